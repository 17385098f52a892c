"""What `registry-swift fsck` has put aside: damaged data, and the names of their segments. It is kept for a month."""

import json

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.bounds import DAY
from docker_registry.v2.operations.collection.work import Work
from docker_registry.v2.registry import layout

KEPT = 30 * DAY


def collect(work: Work) -> None:
    """Delete what was put aside long ago. Segments that the rest names count as named."""
    for stat in list(work.storage.walk(layout.LOST)):
        if not work.can_touch(stat.path):
            continue
        if work.is_older(stat.last_modified, KEPT):
            work.report.add('aside')
            if not work.dry_run:
                work.delete([stat.path])
        elif stat.path.endswith('/record'):
            _name_segments(work, stat.path)


def _name_segments(work: Work, path: str) -> None:
    try:
        parts = json.loads(work.storage.get_content(path, newest=True))['parts']
        names = [str(name) for name, _, _ in parts]
    except (exceptions.FileNotFoundError, ValueError, TypeError, KeyError):
        return
    # Those of a dynamic object are from the container's root already. No name is both.
    rows = [(name, path) for own in names for name in (own, work.full_name(own))]
    work.db.executemany('INSERT OR IGNORE INTO recorded VALUES (?, ?)', rows)
