"""Reads what the listings do not tell: what manifests name, which large objects have which segments, and what odd links contain.

Nothing that one object says or hides ends the survey: it is noted as unreadable, and whoever deletes anything must take it for
everything. Only if Swift fails many times in a row, the error goes to the caller.
"""

import contextlib
import functools
import json
import re
import sqlite3
import threading
from collections.abc import Iterable
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey.reading import THREADS, Failures, each_chunk
from docker_registry.v2.registry import errors, layout, names, strict_json

LARGEST_MANIFEST = 64 * 1024**2  # bytes; nobody pushes such, and a larger one is not read
LARGE_MANIFEST = 4 * 1024**2  # bytes; larger ones are read one at a time
SMALLEST_LARGE_OBJECT = 1024**2  # bytes; a smaller one has one segment: see registry/uploads.py

_QUOTED_DIGEST = re.compile(rb'"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"')
_ESCAPED_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_DIGEST = re.compile('sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}')
_LONGEST_ESCAPED = 6 * 135 + 2  # bytes of a digest, if each character is written as \u0000


# Manifests


def read_manifests(storage: Any, db: sqlite3.Connection, progress: Progress, threads: int = THREADS) -> None:
    """Store what each manifest names, if the table `manifest` does not have it yet. The bytes of a digest never change."""
    unknown = (
        'FROM (SELECT DISTINCT digest FROM revision) AS r LEFT JOIN blob USING (digest) '
        'WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = r.digest)'
    )
    reader = ManifestReader(storage)

    def store(rows: Iterable[tuple[str, str, dict]]) -> None:
        for digest, state, references in rows:
            db.execute('INSERT OR REPLACE INTO manifest VALUES (?, ?)', (digest, state))
            db.execute('DELETE FROM reference WHERE manifest = ?', (digest,))
            db.executemany('INSERT INTO reference VALUES (?, ?, ?)', ((digest, name, size) for name, size in references.items()))

    total = db.execute(f'SELECT count(*) {unknown}').fetchone()[0]
    with progress.stage('Reading manifests', 'manifests', total) as advance:
        each_chunk(db, f'SELECT r.digest, size {unknown} AND r.digest > ? ORDER BY r.digest', reader.read, store, advance, threads)


class ManifestReader:
    """Reads manifests. Threads share it."""

    def __init__(self, storage: Any):
        self._storage = storage
        self._failures = Failures()
        self._large = threading.Lock()

    def read(self, row: tuple[str, int | None]) -> tuple[str, str, dict[str, int | None]]:
        """Return (digest, state, {digest: size}), as the schema of the survey has them.

        :param row: the digest, and the size that the listing shows, if any
        """
        digest, size = row
        if size is not None and size > LARGEST_MANIFEST:
            return digest, 'opaque', {}
        with self._large if size is None or size > LARGE_MANIFEST else contextlib.nullcontext():
            try:
                state, content = self._content(names.digest(digest))
            except (exceptions.UnreachableError, exceptions.BrokenError) as error:
                self._failures.failed(error)
                return digest, 'unreadable', {}
            self._failures.succeeded()
            return (digest, *named(content)) if content is not None else (digest, state, {})

    def _content(self, digest: names.Digest) -> tuple[str, bytes | None]:
        """Return ('read', the bytes) or what is wrong. Swift may return an old copy, or none, so look twice."""
        state, content = self._attempt(digest, newest=False)
        return (state, content) if content is not None or state == 'opaque' else self._attempt(digest, newest=True)

    def _attempt(self, digest: names.Digest, newest: bool) -> tuple[str, bytes | None]:
        try:
            with contextlib.closing(self._storage.stream_read(layout.blob(digest), newest=newest)) as stream:
                content = bytearray()
                for block in stream if (stream.size or 0) <= LARGEST_MANIFEST else [bytes(1)]:
                    content += block
                    if max(len(content), stream.size or 0) > LARGEST_MANIFEST:
                        return 'opaque', None
        except exceptions.FileNotFoundError:
            return 'missing', None
        hasher = digest.hasher()
        hasher.update(content)
        return ('read', bytes(content)) if digest.matches(hasher) else ('damaged', None)


def named(content: bytes) -> tuple[str, dict[str, int | None]]:
    """Return the state of a manifest, `read` or `opaque`, and {digest: size} of all that it may name.

    Any string that looks like a digest counts, at any depth and in any place. The size is what a descriptor says, or None.
    """
    found: dict[str, int | None] = {match[1].decode(): None for match in _QUOTED_DIGEST.finditer(content)}
    try:
        strict_json.require_bounds(content)
        document = json.loads(content.decode(), parse_int=_size, parse_float=lambda text: None)
    except (errors.ManifestInvalid, ValueError, RecursionError):
        return 'opaque', found
    if b'\\u' in content:
        found.update(dict.fromkeys(_escaped(content)))
    found.update(_sizes(document))
    return 'read', found


def _escaped(content: bytes) -> Iterable[str]:
    r"""Yield the digests in which some characters are written as \uXXXX.

    The content must be JSON: where quotes do not come in pairs, the expression takes the square of the time.
    """
    for match in _ESCAPED_STRING.finditer(content):
        if b'\\u' in match[0] and len(match[0]) <= _LONGEST_ESCAPED:
            with contextlib.suppress(ValueError):
                text = json.loads(match[0])
                if _DIGEST.fullmatch(text):
                    yield text


def _size(text: str) -> int | None:
    return int(text) if len(text) <= 18 else None  # sqlite has 64 bits


def _sizes(document: Any) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            digest, size = value.get('digest'), value.get('size')
            if isinstance(digest, str) and _DIGEST.fullmatch(digest) and type(size) is int:
                sizes.setdefault(digest, size)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return sizes


# Large objects

#: Tables of objects that may be large ones, with the column that is the owner in `composition`, and the root below which they lie if it
#: is another one than ours. `other`, too: who knows what they are.
_OWNERS = {'blob': ('digest', 'NULL'), 'foreign_upload': ('path', 'NULL'), 'other': ('path', 'NULL'), 'v1_file': ('path', 'root')}
_EMPTY = tuple(str(names.Digest.of(b'', algorithm)) for algorithm in ('sha256', 'sha512'))
_MAY_BE_LARGE = f"""
    (o.size IS NULL OR o.size >= {SMALLEST_LARGE_OBJECT} OR o.size = 0 AND {{owner}} NOT IN {_EMPTY} OR {{owner}} GLOB '*/_uploads/*/data')
"""
_HAS_THE_SIZE_OF_A_LONE_SEGMENT = f"""
    o.size BETWEEN 1 AND {SMALLEST_LARGE_OBJECT - 1}
    AND o.size IN (SELECT size FROM segment WHERE name NOT IN (SELECT name FROM composed) AND name NOT GLOB '*/parts')
"""


def read_compositions(storage: Any, db: sqlite3.Connection, progress: Progress, threads: int = THREADS) -> None:
    """Ask each object once what it consists of, if it may be a large object. Ask again if it has been written since: it may be small now.

    A composition's kind is also `missing` if Swift lists the object but does not find it, and `unreadable` if Swift does not tell.
    """
    for condition, title in ((_MAY_BE_LARGE, 'Asking for segments'), (_HAS_THE_SIZE_OF_A_LONE_SEGMENT, 'Asking for single segments')):
        for table, (owner, root) in _OWNERS.items():
            unknown = (
                f'FROM {table} AS o LEFT JOIN composition AS c ON c.owner = o.{owner} '
                f'WHERE CASE WHEN c.owner IS NULL THEN {condition.format(owner="o." + owner)} ELSE c.modified IS NOT o.modified END'
            )
            total = db.execute(f'SELECT count(*) {unknown}').fetchone()[0]
            if total:
                query = f'SELECT o.{owner}, o.modified, {root} {unknown} AND o.{owner} > ? ORDER BY o.{owner}'
                with progress.stage(title, 'objects', total) as advance:
                    each_chunk(db, query, CompositionReader(storage).read, functools.partial(_store_compositions, db), advance, threads)


def _store_compositions(db: sqlite3.Connection, rows: Iterable[tuple[str, float, str, str | None, list[str]]]) -> None:
    for owner, modified, kind, prefix, segments in rows:
        db.execute('DELETE FROM composed WHERE owner = ?', (owner,))
        db.executemany('INSERT OR IGNORE INTO composed VALUES (?, ?)', ((owner, segment) for segment in segments))
        db.execute('INSERT OR REPLACE INTO composition VALUES (?, ?, ?, ?)', (owner, kind, prefix, modified))


class CompositionReader:
    """Asks what objects consist of. Threads share it."""

    def __init__(self, storage: Any):
        self._storage = storage
        self._failures = Failures()

    def read(self, row: tuple[str, float, str | None]) -> tuple[str, float, str, str | None, list[str]]:
        """Return (owner, modified, kind, prefix, names of segments).

        :param row: a digest or a path, the time of the listing, and the root below which it lies if it is another one than ours
        """
        owner, modified, root = row
        # What a large object says of its segments is relative to the root of the driver that wrote it.
        storage, path = (self._storage, owner) if root is None else (self._storage.at(root), owner.removeprefix(f'/{root}'))
        try:
            found = storage.large_object(layout.blob(names.digest(path)) if _DIGEST.fullmatch(path) else path)
        except (exceptions.FileNotFoundError, exceptions.WrongArgumentsError):
            return owner, modified, 'missing', None, []
        except (exceptions.UnreachableError, exceptions.BrokenError) as error:
            self._failures.failed(error)
            return owner, modified, 'unreadable', None, []
        self._failures.succeeded()
        return owner, modified, found.kind, found.prefix, list(found.names)


# Links


def read_links(storage: Any, db: sqlite3.Connection, progress: Progress) -> None:
    """Read the links whose content may be another digest than that in their name: see `walk`. There are few, if any."""
    paths = db.execute("SELECT path FROM other WHERE path GLOB '*/link' AND (digest IS NULL OR digest NOT GLOB 'sha256:*')").fetchall()
    with progress.stage('Reading links', 'links', len(paths)) as advance:
        for (path,) in paths:
            with contextlib.suppress(exceptions.FileNotFoundError, exceptions.WrongArgumentsError):
                digest = storage.get_content(path, newest=True)[:1000].decode('utf-8', 'replace').strip()
                if _DIGEST.fullmatch(digest):
                    db.execute('UPDATE other SET digest = ? WHERE path = ?', (digest, path))
            advance(1)
