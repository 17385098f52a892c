"""What the stages of one collection share."""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker_registry.core.exceptions import FileNotFoundError as FileNotFound
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.survey import walk
from docker_registry.v2.registry import layout, listed, names
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat

LAST = chr(0x10FFFF)  # sorts after every other character

#: A blob that something below `repositories/` links, or that a manifest names which is a revision somewhere.
LINKED = """(
    EXISTS (SELECT 1 FROM layer l WHERE l.digest = {digest})
    OR EXISTS (SELECT 1 FROM revision v WHERE v.digest = {digest})
    OR EXISTS (SELECT 1 FROM tag_index i WHERE i.digest = {digest})
    OR EXISTS (SELECT 1 FROM other o WHERE o.digest = {digest})
    OR EXISTS (SELECT 1 FROM reference f JOIN revision v ON v.digest = f.manifest WHERE f.digest = {digest}))"""


@dataclass
class Report:
    """What a collection did, or with `dry_run` would do."""

    run: str = ''
    dry_run: bool = False
    counts: dict[str, int] = field(default_factory=dict)  # for example `links`, `blobs`, `blob_bytes`
    repositories: dict[str, dict[str, int]] = field(default_factory=dict)  # the same, for one repository
    remarks: dict[str, None] = field(default_factory=dict)  # texts, in their order
    changes: int = 0  # times that something was written or deleted
    trash_bytes: int = 0  # of the blobs that the trash has at the end

    def add(self, name: str, count: int = 1, repository: str | None = None) -> None:
        self.counts[name] = self.counts.get(name, 0) + count
        if repository is not None:
            own = self.repositories.setdefault(repository, {})
            own[name] = own.get(name, 0) + count

    def remark(self, text: str) -> None:
        self.remarks.setdefault(text)


@dataclass
class Work:
    """One collection.

    :param db: the database of a survey, with the tables of `memory`
    :param now: when the survey began, by Swift's clock; ages are counted to it, because it is what the survey proves
    :param root: stands before each path in the name of an object
    :param clock: returns the time by Swift's clock
    :param guard: called before each deletion; it raises if another collection may be running
    """

    storage: Any
    db: sqlite3.Connection
    bounds: Bounds
    now: float
    run: str
    root: str
    guard: Callable[[], None]
    clock: Callable[[], float]
    together: Together
    report: Report
    dry_run: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, query: str, values: list[Any]) -> list[Any]:
        """Return the rows of a query. Threads of `together` must use this, and nothing else of `db`.

        Since Python 3.12, threads that send the same query over one connection may get each other's rows: they share the prepared
        statement, and bind their values to it before either has begun.
        """
        with self.turn:
            return self.db.execute(query, values).fetchall()

    def is_older(self, modified: float | None, age: float) -> bool:
        """Return whether something that was written at a time is older than an age."""
        return modified is not None and modified < self.cutoff(age)

    def cutoff(self, age: float) -> float:
        """Return the time before which something is older than an age. In a quiet registry, everything is older than 0."""
        return float('inf') if self.bounds.is_quiet and not age else self.now - age

    def stat(self, path: str) -> Stat | None:
        """Return the newest `Stat` of an object, or None if it is not there."""
        try:
            return self.storage.stat(path, newest=True)
        except FileNotFound:
            return None

    def find_unsure(self) -> None:
        """Fill the table `unsure`: repositories of which nobody knows what they need. They keep everything.

        They have a manifest that could not be read, or a tag that points to no manifest: its link may be lost. A tag of a manifest that
        clients have deleted has ended.
        """
        self.db.create_function('etag_of', 1, listed.etag_of, deterministic=True)
        self.db.executescript("""
            CREATE TEMP TABLE unsure (repository INTEGER PRIMARY KEY, why TEXT);
            INSERT OR IGNORE INTO unsure
                SELECT v.repository, 'its manifest ' || v.digest || ' is ' || ifnull(m.state, 'not read')
                FROM revision v LEFT JOIN manifest m ON m.digest = v.digest WHERE m.state IS NULL OR m.state != 'read';
            CREATE TEMP TABLE pointed (repository INTEGER, etag TEXT, PRIMARY KEY (repository, etag)) WITHOUT ROWID;
            INSERT OR IGNORE INTO pointed SELECT repository, etag_of(digest) FROM revision;
            INSERT OR IGNORE INTO pointed SELECT repository, etag_of(digest) FROM deletion;
            INSERT OR IGNORE INTO unsure
                SELECT t.repository, 'its tag ' || t.tag || ' points to no manifest that it has' FROM tag t
                LEFT JOIN pointed p ON p.repository = t.repository AND p.etag = trim(t.etag, '"') WHERE p.etag IS NULL;
        """)

    def weigh(self) -> None:
        """Give dynamic large objects the size of their segments: a listing shows them with 0 bytes."""
        container = self.storage.settings.container + '/'
        found = self.db.execute(
            "SELECT owner, prefix FROM composition WHERE kind = 'dynamic' AND owner IN (SELECT digest FROM blob)"
        ).fetchall()
        for digest, prefix in found:
            if prefix.startswith(container):
                first = prefix[len(container) :]
                sizes = 'SELECT sum(size) FROM foreign_segment WHERE name >= ? AND name < ?'
                self.db.execute(f'UPDATE blob SET size = ifnull(({sizes}), 0) WHERE digest = ?', [first, first + LAST, digest])

    def sizes(self) -> list[Any]:
        """Return (repository, bytes of its blobs, tags) of each repository, as the survey found it. Call `weigh` first."""
        return self.db.execute("""
            SELECT name,
                (SELECT coalesce(sum(coalesce(
                        size, (SELECT sum(segment.size) FROM composed JOIN segment USING (name) WHERE owner = digest))), 0)
                    FROM blob WHERE digest IN (
                        SELECT digest FROM layer WHERE repository = id UNION SELECT digest FROM revision WHERE repository = id
                        UNION SELECT digest FROM tag_index WHERE repository = id)),
                (SELECT count(*) FROM tag WHERE repository = id)
            FROM repository
        """).fetchall()

    def is_linked(self, digest: str) -> bool:
        """Return whether the survey has found anything that needs the data of a blob."""
        return bool(self.db.execute('SELECT ' + LINKED.format(digest='?1'), [digest]).fetchone()[0])

    def is_listed(self, digest: str) -> bool:
        """Return whether the survey has seen the data of a blob."""
        return self.db.execute('SELECT 1 FROM blob WHERE digest = ?', [digest]).fetchone() is not None

    def full_name(self, path: str) -> str:
        """Return the name of an object from the container's root, as listings of segments have it."""
        return self.root + path

    def can_touch(self, path: str) -> bool:
        """Return whether the driver takes a path. Others may have written any name, and it stays."""
        if not walk.is_path(path):
            self.report.remark('names with an empty part, "." or ".." are left alone: look for them with another client of Swift')
        return walk.is_path(path)

    def delete(self, paths: list[str]) -> None:
        """Delete objects that have no segments of their own. A missing one is no error."""
        self.change()
        self.storage.discard_all(paths)

    def change(self) -> None:
        """Call this before something is changed."""
        self.guard()
        self.report.changes += 1


def blob_path(digest: str) -> str:
    return layout.blob(digest_of(digest))


def digest_of(text: str) -> Digest:
    return names.digest(text)
