"""Segments of large objects that nothing names: what uploads have left that never ended, and blobs that are gone for good.

Nobody can put a segment back. So a collection deletes only what two surveys have found unnamed, at least as far apart as a listing can be
late, and nothing if it could not find out what any large object consists of.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection import emptying
from docker_registry.v2.operations.collection.work import Work, blob_path
from docker_registry.v2.operations.survey.contents import SMALLEST_LARGE_OBJECT
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.trash import Segment

BATCH = 10000
#: What the survey has looked at already, and what has no large objects, of the folders below our root.
SURVEYED = {path.partition('/')[0] for path in (layout.ROOT, layout.SEGMENTS, layout.TRASH, layout.SECRET, layout.IMPORTS)} | {'images'}

#: What the last collection knew, and no listing shows any more.
UNLISTED = """
SELECT owner FROM composition WHERE owner NOT IN (SELECT digest FROM blob)
AND owner NOT IN (SELECT path FROM foreign_upload) AND owner NOT IN (SELECT path FROM other) AND owner NOT IN (SELECT path FROM v1_file)"""

AND_UNNAMED = """
AND NOT EXISTS (SELECT 1 FROM composed c WHERE c.name = s.name) AND NOT EXISTS (SELECT 1 FROM recorded d WHERE d.name = s.name)"""

UNNAMED = f"""
SELECT s.upload, s.name, ifnull(s.size, 0) FROM segment s
WHERE s.upload IN (SELECT upload FROM segment GROUP BY upload HAVING max(modified) < ?) {AND_UNNAMED}"""


def collect(work: Work) -> None:
    """Delete the segments that no object and no record of the trash names."""
    _add_other_owners(work)
    unknown = work.db.execute("SELECT count(*) FROM composition WHERE kind = 'unreadable'").fetchone()[0]
    if unknown:
        work.report.remark(f'no segments were deleted: Swift did not tell what {unknown} objects consist of. Run this again later')
        return
    found = [segment for segment in (*_ours(work), *_foreign(work), *_v1(work)) if work.can_touch(segment.name)]
    keys = {segment.key for segment in found}
    due = {key for key in keys if _is_due(work, key)}
    for kind in sorted({segment.kind for segment in found}):
        _delete(work, kind, [segment for segment in found if segment.kind == kind and segment.key in due])
    forgotten = [(upload,) for (upload,) in work.db.execute('SELECT upload FROM unowned') if upload not in keys]
    work.db.executemany('DELETE FROM unowned WHERE upload = ?', forgotten)


class Unnamed(NamedTuple):
    """A segment that nothing names, with its size in bytes. Those with the same key come from the same upload."""

    kind: str
    key: str
    name: str
    size: int


def _ours(work: Work) -> Iterator[Unnamed]:
    for upload, name, size in work.db.execute(UNNAMED, [work.cutoff(work.bounds.abandoned)]).fetchall():
        yield Unnamed('segments', upload, name, size)


def _v1(work: Work) -> Iterator[Unnamed]:
    query = f'SELECT name, ifnull(size, 0) FROM v1_segment s WHERE modified < ? {AND_UNNAMED}'
    for name, size in work.db.execute(query, [work.cutoff(max(work.bounds.older_than, work.bounds.abandoned))]).fetchall():
        yield Unnamed('v1_segments', f'v1 {name.rpartition("/")[0]}', name, size)


def _foreign(work: Work) -> Iterator[Unnamed]:
    """Yield the segments of CNCF distribution that are below no prefix of a dynamic large object."""
    container = work.storage.settings.container + '/'
    prefixes = {
        prefix[len(container) :]
        for (prefix,) in work.db.execute("SELECT DISTINCT prefix FROM composition WHERE kind = 'dynamic'")
        if prefix.startswith(container)
    }
    lengths = sorted({len(prefix) for prefix in prefixes})
    query = f'SELECT name, ifnull(size, 0) FROM foreign_segment s WHERE modified < ? {AND_UNNAMED}'
    for name, size in work.db.execute(query, [work.cutoff(work.bounds.older_than + work.bounds.abandoned)]).fetchall():
        if not any(name[:length] in prefixes for length in lengths):
            yield Unnamed('foreign_segments', f'foreign {name.rpartition("/")[0]}', name, size)


def _is_due(work: Work, key: str) -> bool:
    """Return whether an earlier survey has found segments of an upload unnamed, too."""
    if work.bounds.is_quiet:
        return True
    since = work.db.execute('SELECT since FROM unowned WHERE upload = ?', [key]).fetchone()
    if since is None and not work.dry_run:
        work.db.execute('INSERT INTO unowned VALUES (?, ?)', [key, work.now])
    return since is not None and since[0] < work.now - work.bounds.listing_lag - work.bounds.skew


def _delete(work: Work, kind: str, gone: list[Unnamed]) -> None:
    for first in range(0, len(gone), BATCH):
        some = gone[first : first + BATCH]
        if not work.dry_run:
            work.change()
            work.storage.at('').remove_parts([Segment(segment.name, segment.size, '') for segment in some])
        work.report.add(kind, len(some))
        work.report.add('segment_bytes', sum(segment.size for segment in some))


def _add_other_owners(work: Work) -> None:
    """Look at large objects that no listing of blobs shows.

    They are blobs that the last collection knew, and everything else below our root: somebody may keep images of a v1 registry there.
    """
    for (owner,) in work.db.execute(UNLISTED).fetchall():
        is_blob = owner.startswith(('sha256:', 'sha512:'))
        if work.stat(blob_path(owner) if is_blob else owner) is None:
            if is_blob:  # it may be in the trash since a moment ago, and no listing shows the record yet
                emptying.add_records(work, [owner])
                if _may_be_repaired(work, owner):
                    work.report.remark(f'{owner} is linked, but its data are gone. Its segments stay: run registry-swift fsck')
                    continue
            work.db.execute('DELETE FROM composed WHERE owner = ?', [owner])
            work.db.execute('DELETE FROM composition WHERE owner = ?', [owner])
    others = _other_objects(work)
    while some := list(itertools.islice(others, BATCH)):
        for path, large in zip(some, work.together.map(lambda path: _large_object(work, path), some)):
            if large:
                work.db.execute('DELETE FROM composed WHERE owner = ?', [path])
                work.db.execute('INSERT OR REPLACE INTO composition VALUES (?, ?, ?, NULL)', [path, large.kind, large.prefix])
                work.db.executemany('INSERT OR IGNORE INTO composed VALUES (?, ?)', [(path, name) for name in large.names])


def _may_be_repaired(work: Work, digest: str) -> bool:
    """Return whether a blob that is gone is linked. What a repair has put aside is damaged, and has a time of its own."""
    return work.is_linked(digest) and not work.db.execute('SELECT 1 FROM lost_record WHERE digest = ?', [digest]).fetchone()


def _other_objects(work: Work) -> Iterator[str]:
    with contextlib.suppress(exceptions.FileNotFoundError):  # the container is empty
        children = [child for child in work.storage.list_directory() if child not in SURVEYED]
        for child in children:
            small = SMALLEST_LARGE_OBJECT if child != layout.LOST else 0
            yield from (stat.path for stat in work.storage.walk(child) if not stat.size or stat.size >= small)


def _large_object(work: Work, path: str) -> Any:
    try:
        return work.storage.large_object(path)
    except (exceptions.FileNotFoundError, exceptions.WrongArgumentsError):  # or somebody else has written a name that the driver refuses
        return None
