"""Lists the container into the database of a survey: each name once, page by page, in constant memory.

The order matters to a collector: the data of blobs are listed before the names that link them. So a blob that this finds without a link
had none when its page was listed, or one that the listing did not show yet.
"""

import collections
import itertools
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import database
from docker_registry.v2.registry import layout, listed

PAGE = 10000  # names that are stored together; Swift lists as many in a page
FOREIGN_ROOT = 'files'  # below this name, CNCF distribution keeps its objects, and their segments beside it
Rows = dict[str, list[tuple]]  # of each table


class Place(NamedTuple):
    """A part of the container to list.

    `root` is where the paths of `storage` begin, from the container's root; '' or with a slash at its end.
    """

    title: str
    storage: Any
    path: str | None
    root: str
    rows: Any


def walk(storage: Any, db: sqlite3.Connection, progress: Progress, v1_path: str | None = None) -> None:
    """List all that belongs to the registry. A walk that was interrupted goes on where it was.

    :param v1_path: the `storage_path` of a v1 registry in the same container, to list its tree, too
    """
    for place in [*_places(storage), *_v1_places(storage, v1_path)]:
        _list(place, db, progress)
    database.index(db)


def root_of(storage: Any) -> str:
    """Return what stands before each path of a storage driver in the name of the object: '', or a path with a slash at its end."""
    root = storage.identity()[-1]
    return root and root + '/'


def v1_root(path: str) -> str:
    """Return what stands before each path of a v1 registry in the name of the object, as `root_of`."""
    return path.strip('/') and path.strip('/') + '/'


def foreign_segments(storage: Any) -> str | None:
    """Return where CNCF distribution keeps the segments of its large objects, from the container's root. None if it is not known."""
    *parents, last = root_of(storage).rstrip('/').split('/')
    return '/'.join([*parents, 'segments']) if last == FOREIGN_ROOT else None


def _places(storage: Any) -> Iterator[Place]:
    root = root_of(storage)
    # One listing: `blobs` comes before `repositories` in it.
    yield Place('registry', storage, layout.ROOT, root, _registry_rows)
    yield Place('trash', storage, layout.TRASH, root, _registry_rows)
    yield Place('what was put aside', storage, layout.LOST, root, _registry_rows)
    segments = root + layout.SEGMENTS
    yield Place('segments', storage.at(segments), None, segments + '/', _segment_rows)
    foreign = foreign_segments(storage)
    if foreign:
        yield Place('foreign segments', storage.at(foreign), None, foreign + '/', _foreign_segment_rows)


def _v1_places(storage: Any, v1_path: str | None) -> Iterator[Place]:
    own = root_of(storage)
    if v1_path is None:
        # Layers of a v1 registry at the same root have their segments among ours.
        yield Place('v1 images', storage, 'images', own, _v1_rows)
        return
    root = v1_root(v1_path)
    there = storage.at(root)
    if root != own:
        yield Place('v1 images', storage, 'images', own, _v1_rows)
        yield Place('v1 segments', storage.at(root + layout.SEGMENTS), None, f'{root}{layout.SEGMENTS}/', _v1_segment_rows)
    yield Place(f'v1 images at {root}', there, 'images', root, _v1_rows)
    yield Place('v1 repositories', there, 'repositories', root, _v1_rows)


def _list(place: Place, db: sqlite3.Connection, progress: Progress) -> None:
    marker = database.fact(db, f'listed {place.title}')
    if database.fact(db, f'all {place.title}'):
        return
    with progress.stage(f'Listing {place.title}', 'names') as advance, ThreadPoolExecutor(1) as thread:
        stats = place.storage.walk(place.path, marker)
        ahead = thread.submit(_batch, stats)
        while batch := ahead.result():
            ahead = thread.submit(_batch, stats)
            _store(place, batch, db)
            advance(len(batch))
    database.note(db, f'all {place.title}', 1)


def _batch(stats: Iterator[Any]) -> list[Any]:
    return list(itertools.islice(stats, PAGE))


def _store(place: Place, batch: list[Any], db: sqlite3.Connection) -> None:
    db.execute('BEGIN')
    for table, rows in place.rows(place, batch, db).items():
        db.executemany(f'INSERT OR REPLACE INTO {table} VALUES ({", ".join("?" * len(rows[0]))})', rows)
    marker = batch[-1].path
    if is_path(marker):
        database.note(db, f'listed {place.title}', marker)
    database.note(db, 'names', (database.fact(db, 'names') or 0) + len(batch))
    db.execute('COMMIT')


def is_path(path: str) -> bool:
    """Return whether the driver takes a path to list what comes after it. Foreign names may have any form."""
    return not {'', '.', '..'}.intersection(path.split('/')) and '\0' not in path


# What becomes of each name


def _registry_rows(place: Place, batch: list[Any], db: sqlite3.Connection) -> Rows:
    rows: Rows = collections.defaultdict(list)
    repository, number = None, 0
    for stat in batch:
        name = listed.parsed(stat.path)
        if name.repository and name.kind != 'trash_names' and name.repository != repository:
            repository, number = name.repository, _number(db, name.repository)
        rows[name.kind].append(_row(name, number, stat))
        if _may_link_another(name, stat):
            rows['other'].append((stat.path, None, stat.size, stat.last_modified))
    return rows


def _row(name: listed.Name, repository: int, stat: Any) -> tuple:
    match name.kind:
        case 'blob':
            return (*name.values, stat.size, stat.etag, stat.last_modified)
        case 'trash_copy' | 'lost_copy':
            return (*name.values, stat.size, stat.last_modified)
        case 'damage' | 'trash_record' | 'lost_record':
            return (*name.values, stat.last_modified)
        case 'trash_names':
            return (name.repository, *name.values, stat.last_modified)
        case 'tag':
            return (repository, *name.values, stat.etag, stat.last_modified)
        case 'foreign_upload':
            return (stat.path, repository, *name.values, stat.size, stat.last_modified)
        case 'other':
            return (stat.path, name.values[0] if name.values else None, stat.size, stat.last_modified)
    return (repository, *name.values, stat.last_modified)


def _may_link_another(name: listed.Name, stat: Any) -> bool:
    """Return whether the content of a link is not the digest in its name.

    CNCF distribution stores what a client sends with a sha512 digest under its sha256 digest, and links it by both. Its links
    of the first contain the second. See linkBlob in its registry/storage/linkedblobstore.go.
    """
    if name.kind not in ('layer', 'revision') or name.values[0].startswith('sha256:'):
        return False
    return stat.etag != listed.etag_of(name.values[0])


def _number(db: sqlite3.Connection, repository: str) -> int:
    db.execute('INSERT OR IGNORE INTO repository (name) VALUES (?)', (repository,))
    return db.execute('SELECT id FROM repository WHERE name = ?', (repository,)).fetchone()[0]


def _segment_rows(place: Place, batch: list[Any], db: sqlite3.Connection) -> Rows:
    return {'segment': [(place.root + stat.path, listed.upload_of(stat.path), stat.size, stat.etag, stat.last_modified) for stat in batch]}


def _foreign_segment_rows(place: Place, batch: list[Any], db: sqlite3.Connection) -> Rows:
    return {'foreign_segment': [(place.root + stat.path, stat.size, stat.etag, stat.last_modified) for stat in batch]}


def _v1_rows(place: Place, batch: list[Any], db: sqlite3.Connection) -> Rows:
    rows: Rows = collections.defaultdict(list)
    for stat in batch:
        name, path = listed.parsed_v1(stat.path), f'/{place.root}{stat.path}'
        if name.kind == 'v1_file':
            rows['v1_file'].append((path, place.root, *name.values, stat.size, stat.last_modified))
        elif name.kind == 'v1_tag':
            rows['v1_tag'].append((path, place.root, name.repository, *name.values, None, stat.last_modified))
    return rows


def _v1_segment_rows(place: Place, batch: list[Any], db: sqlite3.Connection) -> Rows:
    return {'v1_segment': [(place.root + stat.path, stat.size, stat.etag, stat.last_modified) for stat in batch]}
