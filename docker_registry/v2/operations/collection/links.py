"""Links and other small objects of repositories that nothing needs any more: they go to the trash, by repository.

https://distribution.github.io/distribution/ (registry/storage/paths.go) and registry/layout.py say which names there are.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.work import Work, digest_of
from docker_registry.v2.registry import layout, trash

MOST = 1000  # names that go at a time

LAYERS = """
SELECT r.name, 'layer', '', l.digest FROM layer l JOIN repository r ON r.id = l.repository
WHERE l.modified < ?1 AND l.repository NOT IN (SELECT repository FROM unsure) AND NOT EXISTS (
    SELECT 1 FROM reference f JOIN revision v ON v.digest = f.manifest AND v.repository = l.repository WHERE f.digest = l.digest)"""

OTHERS = """
SELECT r.name, 'index', i.tag, i.digest FROM tag_index i JOIN repository r ON r.id = i.repository
WHERE i.modified < ?1 AND i.repository NOT IN (SELECT repository FROM unsure) AND (
    NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = i.repository AND t.tag = i.tag)
    OR NOT EXISTS (SELECT 1 FROM revision v WHERE v.repository = i.repository AND v.digest = i.digest))
UNION ALL SELECT r.name, 'media type', '', m.digest FROM media_type m JOIN repository r ON r.id = m.repository
WHERE m.modified < ?1 AND NOT EXISTS (SELECT 1 FROM revision v WHERE v.repository = m.repository AND v.digest = m.digest)
UNION ALL SELECT r.name, 'referrer', f.subject, f.digest FROM referrer f JOIN repository r ON r.id = f.repository
WHERE f.modified < ?1 AND NOT EXISTS (SELECT 1 FROM revision v WHERE v.repository = f.repository AND v.digest = f.digest)"""

DELETIONS = """
SELECT r.name, d.digest, r.id FROM deletion d JOIN repository r ON r.id = d.repository WHERE d.modified < ?1"""


class Name(NamedTuple):
    """A small object that nothing needs. `beside` is a tag, or the subject of a referrer."""

    repository: str
    kind: str
    beside: str
    digest: str

    @property
    def path(self) -> str:
        digest = digest_of(self.digest)
        return {
            'layer': lambda: layout.layer_link(self.repository, digest),
            'index': lambda: layout.tag_index(self.repository, self.beside, digest),
            'media type': lambda: layout.revision_media_type(self.repository, digest),
            'referrer': lambda: layout.referrer(self.repository, digest_of(self.beside), digest),
        }[self.kind]()

    @property
    def record(self) -> str:
        return layout.trashed_names(self.repository, digest_of(self.digest))


def collect(work: Work) -> None:
    """Move the names that nothing needs to the trash."""
    for name, why in work.db.execute('SELECT name, why FROM unsure JOIN repository ON id = repository'):
        work.report.remark(f'{name} is left alone: {why}. Run registry-swift fsck')
    for query in (LAYERS, OTHERS):
        found = itertools.starmap(Name, work.db.execute(query, [work.cutoff(work.bounds.older_than)]).fetchall())
        for record, candidates in _by_record(found):
            for some in _batches(candidates):
                _move(work, record, some)
    _forget_deletions(work)
    _drop_uploads(work)


def _by_record(found: Iterable[Name]) -> Iterator[tuple[str, list[Name]]]:
    for record, candidates in itertools.groupby(sorted(found, key=lambda name: name.record), key=lambda name: name.record):
        yield record, list(candidates)


def _batches(candidates: list[Name]) -> Iterator[list[Name]]:
    for first in range(0, len(candidates), MOST):
        yield candidates[first : first + MOST]


def _move(work: Work, record: str, candidates: list[Name]) -> None:
    """Move names of one repository to its record in the trash: the record is written first."""
    if work.dry_run:
        moved = dict.fromkeys(candidates, '')
    else:
        found = work.together.map(lambda name: _content(work, name), candidates)
        moved = {name: content for name, content in zip(candidates, found) if content is not None}
    if moved and not work.dry_run:
        names = trash.names_at(work.storage, record)
        for name, content in moved.items():
            if name.kind == 'layer':
                names.layers[name.digest] = trash.Gone(work.run, work.clock())
            else:
                names.others[name.path] = trash.Gone(work.run, work.clock(), content)
        trash.write_names(work.storage, record, names)
        work.delete([name.path for name in moved])
        _keep_restorable(work, record, moved)
        work.together.map(lambda name: _look_again(work, name, moved[name]), [name for name in moved if name.kind != 'layer'])
    for name in moved:
        work.report.add('links' if name.kind == 'layer' else 'names', 1, name.repository)
    layers = [(name.digest, name.repository) for name in moved if name.kind == 'layer']
    work.db.executemany('DELETE FROM layer WHERE digest = ? AND repository = (SELECT id FROM repository WHERE name = ?)', layers)
    indexes = [(name.digest, name.beside, name.repository) for name in moved if name.kind == 'index']
    work.db.executemany(
        'DELETE FROM tag_index WHERE digest = ? AND tag = ? AND repository = (SELECT id FROM repository WHERE name = ?)', indexes
    )


def _keep_restorable(work: Work, record: str, moved: Iterable[Name]) -> None:
    """Look for blobs that clients have deleted just now. Somebody may have pushed them again since, and that link is gone, too."""
    layers = {name.digest: name.repository for name in moved if name.kind == 'layer'}
    folders = [layout.withdrawn(repository) for repository in set(layers.values())]
    withdrawn = {str(layout.digest_of(stat.path)) for folder in folders for stat in work.storage.walk(folder)}
    if withdrawn & set(layers):
        names = trash.names_at(work.storage, record)
        for digest in withdrawn & set(names.layers):
            names.layers[digest] = trash.Gone(f'{work.run}+', work.clock())  # no withdrawal names this
        trash.write_names(work.storage, record, names)


def _content(work: Work, name: Name) -> str | None:
    """Return the content of a small object, or None if it is gone, or younger than the listing says."""
    try:
        content, stat = work.storage.get_object(name.path, newest=True)
    except exceptions.FileNotFoundError:
        return None
    return content.decode('utf-8', 'replace') if work.is_older(stat.last_modified, work.bounds.older_than) else None


def _look_again(work: Work, name: Name, content: str) -> None:
    """Put a name back that somebody has begun to need while it was deleted. Nobody would miss it: it is found by listings only."""
    if is_needed(work, name.path, name.repository, digest_of(name.digest)):
        work.storage.replace(name.path, content.encode())


def is_needed(work: Work, path: str, repository: str, digest) -> bool:
    """Return whether a name that is not a link of a layer belongs to a revision, and to a tag if it is in the index of one."""
    if work.stat(layout.revision_link(repository, digest)) is None:
        return False
    if layout.digest_in_index(path) is None:
        return True
    tag, _ = layout.within_tags(repository, path)
    try:
        return work.storage.get_content(layout.tag_current(repository, tag), newest=True).decode('ascii', 'replace').strip() == str(digest)
    except exceptions.FileNotFoundError:
        return False


def _forget_deletions(work: Work) -> None:
    """Drop notes of deletions that are so old that no listing is late by as much, unless a tag still points to the manifest."""
    old = work.db.execute(DELETIONS, [work.cutoff(max(work.bounds.older_than, work.bounds.listing_lag))]).fetchall()
    pointed = 'SELECT 1 FROM tag WHERE repository = ? AND etag = ?'
    gone = [
        (name, digest) for name, digest, repository in old if not work.db.execute(pointed, [repository, digest_of(digest).etag]).fetchone()
    ]
    for name, _ in gone:
        work.report.add('names', 1, name)
    if gone and not work.dry_run:
        work.delete([layout.deletion(name, digest_of(digest)) for name, digest in gone])


def _drop_uploads(work: Work) -> None:
    """Delete what uploads of CNCF distribution have left. Their segments are freed when no large object names them any more."""
    uploads = work.db.execute(
        'SELECT r.name, u.upload, json_group_array(u.path) FROM foreign_upload u JOIN repository r ON r.id = u.repository '
        'GROUP BY u.repository, u.upload HAVING max(u.modified) < ?',
        [work.cutoff(work.bounds.older_than)],
    ).fetchall()
    for name, _, listed in uploads:
        paths = json.loads(listed)
        if not all(map(work.can_touch, paths)):
            continue
        found = [work.stat(path) for path in paths]
        if all(work.is_older(stat.last_modified, work.bounds.older_than) for stat in found if stat):
            work.report.add('uploads', 1, name)
            if not work.dry_run:
                work.delete(paths)
                work.db.executemany('DELETE FROM composition WHERE owner = ?', [(path,) for path in paths])
                work.db.executemany('DELETE FROM composed WHERE owner = ?', [(path,) for path in paths])
