"""Segments of large objects that nothing names: what uploads have left that never ended, and blobs that are gone for good.

Nobody can put a segment back. So a collection deletes only what two surveys have found unnamed, at least as far apart as a listing can be
late, and nothing if it could not find out what any large object consists of.
"""

import contextlib
from collections.abc import Iterator

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.work import Work, blob_path
from docker_registry.v2.operations.survey.contents import SMALLEST_LARGE_OBJECT
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.trash import Segment

BATCH = 10000
#: What the survey has looked at already, of the folders below our root.
SURVEYED = {path.partition('/')[0] for path in (layout.ROOT, layout.SEGMENTS, layout.TRASH, layout.SECRET)}
FOREIGN = 'foreign'  # stands for an upload's id in the table `unowned`, before the folder of a segment of CNCF distribution

UNNAMED = """
SELECT s.upload, s.name, ifnull(s.size, 0) FROM segment s
WHERE s.upload IN (SELECT upload FROM segment GROUP BY upload HAVING max(modified) < ?)
AND NOT EXISTS (SELECT 1 FROM composed c WHERE c.name = s.name) AND NOT EXISTS (SELECT 1 FROM recorded d WHERE d.name = s.name)
ORDER BY s.upload"""


def collect(work: Work) -> None:
    """Delete the segments that no object and no record of the trash names."""
    _add_other_owners(work)
    unknown = work.db.execute("SELECT count(*) FROM composition WHERE kind = 'unreadable'").fetchone()[0]
    if unknown:
        work.report.remark(f'no segments were deleted: Swift did not tell what {unknown} objects consist of. Run this again later')
        return
    seen: set[str] = set()
    gone = [(upload, name, size) for upload, name, size in _ours(work) if _is_due(work, upload, seen)]
    _delete(work, work.storage.at(''), gone, 'segments')
    foreign = [(folder, name, size) for folder, name, size in _foreign(work) if _is_due(work, f'{FOREIGN} {folder}', seen)]
    _delete(work, work.storage.at(''), foreign, 'foreign_segments')
    forgotten = [(upload,) for (upload,) in work.db.execute('SELECT upload FROM unowned') if upload not in seen]
    work.db.executemany('DELETE FROM unowned WHERE upload = ?', forgotten)


def _ours(work: Work) -> Iterator[tuple[str, str, int]]:
    return iter(work.db.execute(UNNAMED, [work.cutoff(work.bounds.abandoned)]).fetchall())


def _foreign(work: Work) -> Iterator[tuple[str, str, int]]:
    """Yield the segments of CNCF distribution that are below no prefix of a dynamic large object."""
    container = work.storage.settings.container + '/'
    prefixes = {
        prefix[len(container) :]
        for (prefix,) in work.db.execute("SELECT DISTINCT prefix FROM composition WHERE kind = 'dynamic'")
        if prefix.startswith(container)
    }
    lengths = sorted({len(prefix) for prefix in prefixes})
    query = (
        'SELECT name, ifnull(size, 0) FROM foreign_segment s WHERE modified < ? '
        'AND NOT EXISTS (SELECT 1 FROM composed c WHERE c.name = s.name) AND NOT EXISTS (SELECT 1 FROM recorded d WHERE d.name = s.name)'
    )
    for name, size in work.db.execute(query, [work.cutoff(work.bounds.older_than + work.bounds.abandoned)]).fetchall():
        if not any(name[:length] in prefixes for length in lengths):
            yield name.rpartition('/')[0], name, size


def _is_due(work: Work, upload: str, seen: set[str]) -> bool:
    """Return whether an earlier survey has found segments of an upload unnamed, too."""
    seen.add(upload)
    if work.bounds.is_quiet:
        return True
    since = work.db.execute('SELECT since FROM unowned WHERE upload = ?', [upload]).fetchone()
    if since is None and not work.dry_run:
        work.db.execute('INSERT INTO unowned VALUES (?, ?)', [upload, work.now])
    return since is not None and since[0] < work.now - work.bounds.listing_lag - work.bounds.skew


def _delete(work: Work, storage, gone: list[tuple[str, str, int]], what: str) -> None:
    for first in range(0, len(gone), BATCH):
        some = gone[first : first + BATCH]
        if not work.dry_run:
            work.change()
            storage.remove_parts([Segment(name, size, '') for _, name, size in some])
        work.report.add(what, len(some))
        work.report.add('segment_bytes', sum(size for _, _, size in some))


def _add_other_owners(work: Work) -> None:
    """Look at large objects that no listing of blobs shows.

    They are blobs that the last collection knew, and everything else below our root: somebody may keep images of a v1 registry there.
    """
    unlisted = work.db.execute(
        "SELECT owner FROM composition WHERE kind IN ('static', 'dynamic') "
        "AND owner GLOB 'sha*:*' AND owner NOT IN (SELECT digest FROM blob)"
    ).fetchall()
    for (digest,) in unlisted:
        if work.stat(blob_path(digest)) is None:
            work.db.execute('DELETE FROM composed WHERE owner = ?', [digest])
            work.db.execute('DELETE FROM composition WHERE owner = ?', [digest])
    work.together.map(lambda path: _add_owner(work, path), list(_other_objects(work)))


def _other_objects(work: Work) -> Iterator[str]:
    for child in work.storage.list_directory():
        if child not in SURVEYED:
            small = SMALLEST_LARGE_OBJECT if child != layout.LOST else 0
            yield from (stat.path for stat in work.storage.walk(child) if not stat.size or stat.size >= small)


def _add_owner(work: Work, path: str) -> None:
    with contextlib.suppress(exceptions.FileNotFoundError):
        large = work.storage.large_object(path)
        work.db.execute('INSERT OR REPLACE INTO composition VALUES (?, ?, ?, NULL)', [path, large.kind, large.prefix])
        work.db.executemany('INSERT OR IGNORE INTO composed VALUES (?, ?)', [(path, name) for name in large.names])
