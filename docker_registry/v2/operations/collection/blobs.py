"""The data of blobs that nothing links: a record of how to put them back is written first, then they are deleted."""

import time

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.problems import LyingListing
from docker_registry.v2.operations.collection.work import LINKED, Work, blob_path, digest_of
from docker_registry.v2.registry import layout, trash
from docker_registry.v2.registry.storage import Stat
from docker_registry.v2.registry.trash import Record, Segment

BATCH = 200  # blobs that are deleted one after another, in several threads
SMALLEST = 100  # a container with fewer blobs may lose any share of them
MOST_SEGMENTS = 1000  # in a large object that can be put back


def candidates(work: Work) -> list[tuple[str, int]]:
    """Return (digest, bytes) of each blob that nothing links and that is old enough, as the listings show."""
    query = f'SELECT digest, ifnull(size, 0) FROM blob b WHERE modified < ? AND NOT {LINKED.format(digest="b.digest")}'
    return work.db.execute(query, [work.cutoff(work.bounds.older_than)]).fetchall()


def collect(work: Work) -> None:
    """Move the data of blobs that nothing links to the trash.

    :raises LyingListing: a link that the last collection has seen is there, although no listing shows it; nothing more is deleted
    """
    found = candidates(work)
    for first in range(0, len(found), BATCH):
        some = found[first : first + BATCH]
        sizes = [size for _, size in some] if work.dry_run else work.together.map(lambda blob: _move(work, blob[0]), some)
        moved = [(digest, size) for (digest, _), size in zip(some, sizes) if size is not None]
        work.report.add('blobs', len(moved))
        work.report.add('blob_bytes', sum(size for _, size in moved))
        work.db.executemany('DELETE FROM blob WHERE digest = ?', [(digest,) for digest, _ in moved])


def _move(work: Work, digest: str) -> int | None:
    """Return the size of a blob that is in the trash now; None if it stays."""
    stat = work.stat(blob_path(digest))
    if stat is None or not work.is_older(stat.last_modified, work.bounds.older_than):
        return None
    if _is_linked_again(work, digest):
        return None
    try:
        record = _record(work, digest, stat)
        if record is None:
            work.report.remark(f'{digest} is left alone: it has too many segments to be put back, or segments elsewhere')
            return None
        if record.kind == trash.PLAIN:
            work.storage.copy(blob_path(digest), layout.trashed_copy(digest_of(digest)))
    except exceptions.FileNotFoundError:
        return None  # a repair has put it aside, or Swift does not find it at the moment: the next run looks again
    write(work, digest, record)
    if work.stat(blob_path(digest)) != stat:
        return None  # it was damaged, and somebody has just pushed the right bytes, of which the record knows nothing
    has_note = work.ask('SELECT 1 FROM damage WHERE digest = ?', [digest])
    work.delete([blob_path(digest), *([layout.damage(digest_of(digest))] if has_note else [])])
    return stat.size or 0


def write(work: Work, digest: str, record: Record) -> None:
    """Write a record of the trash, and remember it."""
    started = time.monotonic()
    trash.write_record(work.storage, digest_of(digest), record)
    if time.monotonic() - started > max(work.bounds.skew, 60):  # its time is to be that of the DELETE
        trash.write_record(work.storage, digest_of(digest), record)


def _is_linked_again(work: Work, digest: str) -> bool:
    """Return whether somebody has linked a blob where the last collection has seen a link, so that no listing shows it yet.

    :raises LyingListing: so long ago that every listing should show it
    """
    remembered = work.ask('SELECT repository FROM remembered WHERE digest = ?', [digest])
    known = 'SELECT 1 FROM layer l JOIN repository r ON r.id = l.repository WHERE l.digest = ? AND r.name = ?'
    for (repository,) in remembered:
        for link in (layout.layer_link(repository, digest_of(digest)), layout.revision_link(repository, digest_of(digest))):
            stat = work.stat(link)
            if stat is None or work.ask(known, [digest, repository]):
                continue
            if work.is_older(stat.last_modified, work.bounds.listing_lag + work.bounds.skew):
                raise LyingListing(f'{link} is there, but no listing shows it. Nothing more was deleted; run this again later')
            return True
    return False


def _record(work: Work, digest: str, stat: Stat) -> Record | None:
    """Return how to put a blob back, or None if it cannot be."""
    large = work.storage.large_object(blob_path(digest))
    if large.kind == 'plain':
        return Record(work.run, trash.TRASHED, trash.PLAIN, stat.size)
    if large.kind == 'static':
        try:
            parts = [Segment(*part) for part in work.storage.parts_of(blob_path(digest))]
            return Record(work.run, trash.TRASHED, trash.STATIC, stat.size, parts)
        except exceptions.FileNotFoundError:
            if not work.storage.is_ceph():  # Swift returns the manifest whole, so it is the object that is not there
                raise
            work.storage.large_object(blob_path(digest))  # raises if it is the object; else it is a segment
            return Record(work.run, trash.TRASHED, trash.BROKEN, stat.size)
        except exceptions.WrongArgumentsError:
            return _record_elsewhere(work, digest, stat)
    parts = _dynamic_parts(work, large.prefix)
    if len(parts) > MOST_SEGMENTS or work.storage.is_ceph():
        return None
    is_whole = parts and sum(part.size for part in parts) == stat.size
    return Record(work.run, trash.TRASHED, trash.DYNAMIC if is_whole else trash.BROKEN, stat.size, parts if is_whole else [])


def _record_elsewhere(work: Work, digest: str, stat: Stat) -> Record | None:
    """`_record`, for a static large object whose segments are not below our root: it has been dynamic, and in the trash before."""
    try:
        parts = work.storage.at('').parts_of(work.full_name(blob_path(digest)))
    except (exceptions.FileNotFoundError, exceptions.WrongArgumentsError):
        return None
    return Record(work.run, trash.TRASHED, trash.DYNAMIC, stat.size, [Segment(*part) for part in parts])


def _dynamic_parts(work: Work, prefix: str) -> list[Segment]:
    """Return the segments of a dynamic large object of this container, by their names from the container's root."""
    container, _, folder = prefix.partition('/')
    if container != work.storage.settings.container:
        return []
    return [Segment(stat.path, stat.size, stat.etag) for stat in work.storage.at('').walk(folder.rstrip('/'))]
