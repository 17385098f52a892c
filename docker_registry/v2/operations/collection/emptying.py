"""What becomes of the things in the trash: they are put back, or deleted for good.

A record of data is `trash` at first. When it is old enough and nothing links the blob, it becomes `purging`: from then on nobody puts the
data back. When every request that had read it before has ended, the segments are deleted, and the record last.
"""

from dataclasses import replace

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.blobs import write
from docker_registry.v2.operations.collection.links import is_needed
from docker_registry.v2.operations.collection.work import Work, blob_path, digest_of
from docker_registry.v2.registry import layout, trash
from docker_registry.v2.registry.trash import Gone, Names, Record

WITHDRAWALS = f'{layout.TRASHED_NAMES}/*/_withdrawn/*'


def empty(work: Work) -> None:
    """Put back what is needed again, and delete for good what has been in the trash for long enough. Call `read` first."""
    if work.dry_run:
        return
    _empty_names(work)
    _drop_lone_copies(work)
    _drop_withdrawals(work)
    for digest, modified, content in work.db.execute('SELECT * FROM trashed').fetchall():
        _decide(work, digest, modified, trash.record_of(content))


def read(work: Work) -> None:
    """Fill the table `trashed`. Records that the last collection has read are not read again."""
    unlisted = work.db.execute('SELECT digest FROM trashed WHERE digest NOT IN (SELECT digest FROM trash_record)').fetchall()
    gone = [digest for (digest,) in unlisted if work.stat(layout.trashed_blob(digest_of(digest))) is None]
    work.db.executemany('DELETE FROM trashed WHERE digest = ?', [(digest,) for digest in gone])
    unknown = work.db.execute(
        'SELECT r.digest FROM trash_record r LEFT JOIN trashed t ON t.digest = r.digest AND t.modified = r.modified WHERE t.digest IS NULL'
    ).fetchall()
    work.db.execute('CREATE TEMP TABLE recorded (name TEXT, digest TEXT, PRIMARY KEY (name, digest)) WITHOUT ROWID')
    for digest, content in work.db.execute('SELECT digest, content FROM trashed').fetchall():
        _note_segments(work, digest, content)
    add_records(work, [digest for (digest,) in unknown])


def size(work: Work) -> int:
    """Return the bytes of the blobs in the table `trashed`."""
    return sum(trash.record_of(content).size or 0 for (content,) in work.db.execute('SELECT content FROM trashed'))


def add_records(work: Work, digests: list[str]) -> None:
    """Read records of data, if they are there."""
    for row in work.together.map(lambda digest: _read(work, digest), digests):
        if row:
            work.db.execute('INSERT OR REPLACE INTO trashed VALUES (?, ?, ?)', row)
            _note_segments(work, row[0], row[2])


def _note_segments(work: Work, digest: str, content: str) -> None:
    record = trash.record_of(content)
    names = [work.full_name(part.path) if record.kind == trash.STATIC else part.path for part in record.parts]
    work.db.executemany('INSERT OR IGNORE INTO recorded VALUES (?, ?)', [(name, digest) for name in names])


def _read(work: Work, digest: str) -> tuple[str, float, str] | None:
    try:
        content, stat = work.storage.get_object(layout.trashed_blob(digest_of(digest)), newest=True)
    except exceptions.FileNotFoundError:
        return None
    trash.record_of(content)  # raises if it is none
    return digest, stat.last_modified or 0, content.decode()


def _drop_lone_copies(work: Work) -> None:
    """Delete the copies of a collection that crashed before it wrote their record: the data of these blobs never were deleted."""
    lone = work.db.execute('SELECT digest, modified FROM trash_copy WHERE digest NOT IN (SELECT digest FROM trashed)').fetchall()
    for digest, modified in lone:
        if work.is_older(modified, work.bounds.settled) and work.stat(layout.trashed_blob(digest_of(digest))) is None:
            work.delete([layout.trashed_copy(digest_of(digest))])


def _drop_withdrawals(work: Work) -> None:
    """Delete what says that clients deleted blobs. It is younger than the entries that it is about, so these are gone."""
    old = work.db.execute(
        'SELECT path FROM other WHERE path GLOB ? AND modified < ?', [WITHDRAWALS, work.cutoff(work.bounds.kept)]
    ).fetchall()
    if paths := [path for (path,) in old if work.can_touch(path)]:
        work.delete(paths)


def _decide(work: Work, digest: str, modified: float, record: Record) -> None:
    if work.is_linked(digest):
        _keep(work, digest, modified, record)
    elif work.is_listed(digest) or (work.is_older(modified, _waiting(work, record)) and work.stat(blob_path(digest))):
        # Somebody has put it back, or a collection has crashed before it deleted the data. If it is old, it goes to the trash again.
        _drop_if_settled(work, digest, modified, record)
    elif work.is_older(modified, _waiting(work, record)) and _is_newest(work, digest, modified):
        if record.state == trash.TRASHED:
            _write(work, digest, replace(record, state=trash.PURGING))
        else:
            _purge(work, digest, record)


def _is_newest(work: Work, digest: str, modified: float) -> bool:
    """Return whether a record is still that of a time. A listing may show an older one than a crashed collection has written."""
    row = _read(work, digest)
    if row is None or row[1] != modified:
        work.db.execute('DELETE FROM trashed WHERE digest = ?', [digest])
        return False
    return True


def _waiting(work: Work, record: Record) -> float:
    """Return the age at which a record that nothing needs comes into its next state."""
    return work.bounds.kept if record.state == trash.TRASHED else work.bounds.settled


def _keep(work: Work, digest: str, modified: float, record: Record) -> None:
    """Something links the blob again: its data must be there."""
    if work.stat(blob_path(digest)):
        return _drop_if_settled(work, digest, modified, record)
    if record.state == trash.PURGING:
        # Only while all its segments are there. A crash in between leaves a record from which anybody can put the data back.
        if record.kind == trash.STATIC and not all(work.stat(part.path) for part in record.parts):
            work.report.remark(f'{digest} is linked, but its data are gone from the trash, too. Run registry-swift fsck')
            return
        _write(work, digest, replace(record, state=trash.TRASHED))
    if trash.put_back(work.storage, digest_of(digest), record):
        work.report.add('restored')
    else:
        work.report.remark(f'{digest} is linked, but its data cannot be put back from the trash. Run registry-swift fsck')


def _drop_if_settled(work: Work, digest: str, modified: float, record: Record) -> None:
    """Delete the record of data that are there, when no late DELETE can take them away any more and listings show them."""
    stat = work.stat(blob_path(digest))
    if stat and work.is_older(stat.last_modified, work.bounds.settled) and work.is_older(modified, work.bounds.settled):
        _delete_record(work, digest, record)


def _delete_record(work: Work, digest: str, record: Record) -> None:
    if record.kind == trash.PLAIN:
        work.delete([layout.trashed_copy(digest_of(digest))])
    work.delete([layout.trashed_blob(digest_of(digest))])
    work.db.execute('DELETE FROM trashed WHERE digest = ?', [digest])


def _purge(work: Work, digest: str, record: Record) -> None:
    """Delete segments that nothing else names, then the record. A crash in between leaves a record that purges again."""
    freed = record.size or 0 if record.kind == trash.PLAIN else 0  # segments elsewhere go, and count, when nothing names them any more
    if record.kind == trash.STATIC:
        if work.db.execute("SELECT 1 FROM composition WHERE kind = 'unreadable'").fetchone():
            work.report.remark('nothing was deleted for good: Swift did not tell what some objects consist of. Run this again later')
            return
        named = 'SELECT 1 FROM composed WHERE name = ?1 AND owner != ?2 UNION ALL SELECT 1 FROM recorded WHERE name = ?1 AND digest != ?2'
        # Layers that were linked from a v1 registry at our root consist of its objects, which are no segments of ours.
        own = [part for part in record.parts if part.path.startswith(layout.SEGMENTS + '/')]
        gone = [part for part in own if not work.db.execute(named, [work.full_name(part.path), digest]).fetchone()]
        work.change()
        work.storage.remove_parts(gone)
        work.db.executemany('DELETE FROM segment WHERE name = ?', [(work.full_name(part.path),) for part in gone])
        freed = sum(part.size for part in gone)
    work.report.add('purged')
    work.report.add('purged_bytes', freed)
    _delete_record(work, digest, record)


def _empty_names(work: Work) -> None:
    """Put back the names that are needed again, and forget those that have been gone for long enough."""
    for repository, shard in work.db.execute('SELECT repository, shard FROM trash_names').fetchall():
        path = layout.trashed_shard(repository, shard)
        names = trash.names_at(work.storage, path)
        kept = Names(
            {digest: gone for digest, gone in names.layers.items() if _keep_layer(work, repository, digest, gone.at)},
            {path: gone for path, gone in names.others.items() if _keep_name(work, repository, path, gone)},
        )
        if kept != names:
            work.change()
            trash.write_names(work.storage, path, kept)


def _keep_layer(work: Work, repository: str, digest: str, at: float) -> bool:
    """Return whether the entry of a layer's link stays. The link is put back if a manifest of the repository names the layer."""
    if work.db.execute('SELECT 1 FROM unsure JOIN repository ON id = repository WHERE name = ?', [repository]).fetchone():
        return True
    needed = work.db.execute(
        'SELECT 1 FROM reference f JOIN revision v ON v.digest = f.manifest JOIN repository r ON r.id = v.repository '
        'WHERE f.digest = ? AND r.name = ?',
        [digest, repository],
    ).fetchone()
    if not needed:
        return not work.is_older(at, work.bounds.kept)
    link = layout.layer_link(repository, digest_of(digest))
    stat = work.stat(link)
    if stat is None:
        work.storage.replace(link, digest.encode())
        work.report.add('restored_links', 1, repository)
        return True
    return not (work.is_older(stat.last_modified, work.bounds.settled) and work.is_older(at, work.bounds.settled))


def _keep_name(work: Work, repository: str, path: str, gone: Gone) -> bool:
    needed = is_needed(work, path, repository, layout.digest_in_index(path) or layout.digest_beside(path))
    if needed and work.stat(path) is None:
        work.storage.replace(path, (gone.content or '').encode())
        work.report.add('restored_links', 1, repository)
    return not work.is_older(gone.at, work.bounds.kept)


def _write(work: Work, digest: str, record: Record) -> None:
    work.change()
    write(work, digest, record)
    work.db.execute('DELETE FROM trashed WHERE digest = ?', [digest])
