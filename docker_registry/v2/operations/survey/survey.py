"""A survey of a container, which the commands ask in SQL. See `database` for its tables."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import contents, database, reading, state, v1, walk


@dataclass
class Survey:
    """What one pass over the listings found.

    `db` is the database. `started` is the time by Swift's clock at which the pass began, in seconds since the epoch: what was written
    later may be missing. `root` stands before each path in the names of objects: '' or a path with a slash at its end.
    """

    storage: Any
    db: sqlite3.Connection
    started: float
    root: str

    def one(self, query: str, *parameters: Any) -> Any:
        """Return the only value, or the first row, of what a query selects. None if it selects nothing."""
        row = self.db.execute(query, parameters).fetchone()
        return row[0] if row and len(row) == 1 else row


def take(
    storage: Any,
    folder: str,
    pace: Pace | None = None,
    progress: Progress | None = None,
    memory: Callable[[sqlite3.Connection], None] | None = None,
    started: float | None = None,
    threads: int = reading.THREADS,
    v1_path: str | None = None,
) -> Survey:
    """List the container, read what its objects say, and return the `Survey`. It changes nothing in the container.

    :param folder: for the database. If a survey that was interrupted less than an hour ago is there, this one goes on with it. If
        one is there that came to its end, what this one needs of it is not read again
    :param pace: counts and limits the requests
    :param memory: is called with the database before manifests and large objects are read. It may fill the tables `manifest` and
        `reference`, `composition` and `composed` with what is known already, which is then not read again
    :param v1_path: the `storage_path` of a v1 registry in the same container, to read its tree, too
    :param started: the time by Swift's clock, if the caller has just asked for it
    """
    progress = progress or Progress(None)
    if pace:
        storage.on_request = pace
    place = json.dumps(storage.identity())
    db = state.opened(folder, place)
    if database.fact(db, 'started') is None:
        database.note(db, 'started', started or storage.clock())
    walk.walk(storage, db, progress, v1_path)
    state.remember(db, folder, place)
    if memory:
        memory(db)
    contents.read_manifests(storage, db, progress, threads)
    contents.read_links(storage, db, progress)
    contents.read_compositions(storage, db, progress, threads)
    if v1_path is not None:
        database.note(db, 'v1 root', walk.v1_root(v1_path))
        v1.read(storage.at(''), db, progress, threads)
    database.note(db, 'complete', 1)
    return Survey(storage, db, database.fact(db, 'started'), walk.root_of(storage))
