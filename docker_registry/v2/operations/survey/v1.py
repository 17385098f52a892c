"""Reads the tree of a v1 registry: which images its tags name, and on which images these build.

Its names and their contents are those of docker-registry 0.7 to 0.9 (core/driver.py in docker-registry-core). `ancestry` of an image is a
JSON list of ids, the image first and its base last. Registries before 0.6 did not write it, but `json` names the `parent`.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey.reading import THREADS, Failures, each_chunk

MOST_ANCESTORS = 10000  # docker allows 127 layers
LARGEST = 4 * 1024**2  # bytes of a JSON document


def read(storage: Any, db: sqlite3.Connection, progress: Progress, threads: int = THREADS) -> None:
    """Store the image of each tag, and the ancestors of these images.

    :param storage: at the container's root
    """
    reader = Reader(storage)
    tags = db.execute('SELECT count(*) FROM v1_tag WHERE image IS NULL').fetchone()[0]
    with progress.stage('Reading v1 tags', 'tags', tags) as advance:
        query = 'SELECT path FROM v1_tag WHERE image IS NULL AND path > ? ORDER BY path'

        def store_tags(rows: Iterable[tuple[str, str | None]]) -> None:
            db.executemany('UPDATE v1_tag SET image = ? WHERE path = ?', ((image, path) for path, image in rows))

        each_chunk(db, query, reader.tag, store_tags, advance, threads)
    unknown = (
        'FROM (SELECT image, max(root) AS root FROM v1_tag WHERE image IS NOT NULL GROUP BY image) AS t '
        'WHERE image NOT IN (SELECT image FROM v1_ancestry)'
    )
    images = db.execute(f'SELECT count(*) {unknown}').fetchone()[0]
    with progress.stage('Reading v1 images', 'images', images) as advance:

        def store_ancestry(rows: Iterable[tuple[str, list[str], bool]]) -> None:
            for image, ancestors, is_whole in rows:
                db.executemany('INSERT OR IGNORE INTO v1_ancestry VALUES (?, ?)', ((image, ancestor) for ancestor in [image, *ancestors]))
                if not is_whole:
                    db.execute('INSERT OR IGNORE INTO v1_broken VALUES (?)', (image,))

        each_chunk(db, f'SELECT image, root {unknown} AND image > ? ORDER BY image', reader.ancestry, store_ancestry, advance, threads)


class Reader:
    """Reads tags and ancestries. Threads share it."""

    def __init__(self, storage: Any):
        self._storage = storage
        self._failures = Failures()

    def tag(self, row: tuple[str]) -> tuple[str, str | None]:
        """Return (path, the id of the image that the tag names). None if it cannot be read."""
        content = self._content(row[0])
        return row[0], content and content.decode('utf-8', 'replace').strip()[:200] or None

    def ancestry(self, row: tuple[str, str]) -> tuple[str, list[str], bool]:
        """Return (image, its ancestors, whether these are all)."""
        image, root = row
        listed = self._json(f'{root}images/{image}/ancestry')
        if isinstance(listed, list) and listed and all(isinstance(ancestor, str) for ancestor in listed):
            return image, listed[:MOST_ANCESTORS], len(listed) <= MOST_ANCESTORS
        ancestors: list[str] = []
        described = self._json(f'{root}images/{image}/json')
        while isinstance(described, dict) and len(ancestors) < MOST_ANCESTORS:
            parent = described.get('parent')
            if not parent:
                return image, ancestors, True
            if not isinstance(parent, str) or parent in ancestors:
                break
            ancestors.append(parent)
            described = self._json(f'{root}images/{parent}/json')
        return image, ancestors, False

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._content(path) or b'')
        except (ValueError, RecursionError):
            return None

    def _content(self, path: str) -> bytes | None:
        try:
            content = self._storage.get_content(path, newest=True)
        except (exceptions.FileNotFoundError, exceptions.WrongArgumentsError):
            return None
        except (exceptions.UnreachableError, exceptions.BrokenError) as error:
            self._failures.failed(error)
            return None
        self._failures.succeeded()
        return content if len(content) <= LARGEST else None
