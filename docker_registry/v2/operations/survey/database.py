"""The database of a survey: what the listings show, and what manifests and large objects name.

It is sqlite, of the standard library, in a file: so a survey of millions of names takes little memory, and the commands ask in SQL what
they need. Times are Swift's, in seconds since the epoch. A digest is text, `sha256:<hex>`. Names of segments begin at the container's root.
"""

import contextlib
import sqlite3
from typing import Any

SCHEMA = """
-- What the listings show.
CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE blob (digest TEXT PRIMARY KEY, size INTEGER, etag TEXT, modified REAL) WITHOUT ROWID;
CREATE TABLE damage (digest TEXT PRIMARY KEY, modified REAL) WITHOUT ROWID;
CREATE TABLE layer (repository INTEGER, digest TEXT, modified REAL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TABLE revision (repository INTEGER, digest TEXT, modified REAL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TABLE media_type (repository INTEGER, digest TEXT, modified REAL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TABLE tag (repository INTEGER, tag TEXT, etag TEXT, modified REAL, PRIMARY KEY (repository, tag)) WITHOUT ROWID;
CREATE TABLE tag_index (repository INTEGER, tag TEXT, digest TEXT, modified REAL, PRIMARY KEY (repository, tag, digest)) WITHOUT ROWID;
CREATE TABLE referrer (
    repository INTEGER, subject TEXT, digest TEXT, modified REAL, PRIMARY KEY (repository, subject, digest)
) WITHOUT ROWID;
CREATE TABLE deletion (repository INTEGER, digest TEXT, modified REAL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
-- Files of uploads that CNCF distribution has under way, or has left. `upload` is its id, `path` is below our root.
CREATE TABLE foreign_upload (path TEXT PRIMARY KEY, repository INTEGER, upload TEXT, size INTEGER, modified REAL) WITHOUT ROWID;
-- Names below `docker/registry/v2` and `_trash` that are none of these. `digest` is what a name that ends with <algorithm>/<hex>/link
-- links, or NULL. Here is also each link whose content is another digest than that in its name, with that other digest.
CREATE TABLE other (path TEXT PRIMARY KEY, digest TEXT, size INTEGER, modified REAL) WITHOUT ROWID;
-- Segments of ours, and the lists of parts beside them. `upload` is the id that all attempts of an upload share.
CREATE TABLE segment (name TEXT PRIMARY KEY, upload TEXT, size INTEGER, etag TEXT, modified REAL) WITHOUT ROWID;
-- Segments of CNCF distribution, which dynamic large objects name by a prefix.
CREATE TABLE foreign_segment (name TEXT PRIMARY KEY, size INTEGER, etag TEXT, modified REAL) WITHOUT ROWID;
CREATE TABLE trash_record (digest TEXT PRIMARY KEY, modified REAL) WITHOUT ROWID;
CREATE TABLE trash_copy (digest TEXT PRIMARY KEY, size INTEGER, modified REAL) WITHOUT ROWID;
CREATE TABLE trash_names (repository TEXT, shard TEXT, modified REAL, PRIMARY KEY (repository, shard)) WITHOUT ROWID;
-- What a repair has put aside.
CREATE TABLE lost_record (digest TEXT PRIMARY KEY, modified REAL) WITHOUT ROWID;
CREATE TABLE lost_copy (digest TEXT PRIMARY KEY, size INTEGER, modified REAL) WITHOUT ROWID;

-- Files of images of a v1 registry, below our root or the one that the caller names. `path` is '/' and the name from the container's root.
CREATE TABLE v1_file (path TEXT PRIMARY KEY, root TEXT, image TEXT, name TEXT, size INTEGER, modified REAL) WITHOUT ROWID;
-- Its tags, and its segments if they are not among ours. `image` is what the tag says, or NULL if it cannot be read.
CREATE TABLE v1_tag (path TEXT PRIMARY KEY, root TEXT, repository TEXT, tag TEXT, image TEXT, modified REAL) WITHOUT ROWID;
CREATE TABLE v1_segment (name TEXT PRIMARY KEY, size INTEGER, etag TEXT, modified REAL) WITHOUT ROWID;
-- The images on which those build that tags name, they themselves included; and of which of these not all ancestors are known.
CREATE TABLE v1_ancestry (image TEXT, ancestor TEXT, PRIMARY KEY (image, ancestor)) WITHOUT ROWID;
CREATE TABLE v1_broken (image TEXT PRIMARY KEY) WITHOUT ROWID;

-- What objects say. A manifest's state is read, missing, damaged (its bytes have another digest), unreadable (Swift did not tell) or
-- opaque (not JSON, so nobody knows what it names).
CREATE TABLE manifest (digest TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
-- Every text in its JSON that looks like a digest. `size` is what a descriptor says beside it, or NULL.
CREATE TABLE reference (manifest TEXT, digest TEXT, size INTEGER, PRIMARY KEY (manifest, digest)) WITHOUT ROWID;
-- What the data of a blob, or another object, consists of. `owner` is a digest, or the path of a foreign upload, of another name or of a
-- v1 file. `kind` and `prefix` are those of the driver's LargeObject, or the kind is `missing` if Swift lists the object and does not
-- find it, or `unreadable` if Swift does not tell. `modified` is that of the listing when it was asked. Objects that are plain for
-- certain, such as small blobs, have no row.
CREATE TABLE composition (owner TEXT PRIMARY KEY, kind TEXT NOT NULL, prefix TEXT, modified REAL) WITHOUT ROWID;
CREATE TABLE composed (owner TEXT, name TEXT, PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS layer_digest ON layer (digest);
CREATE INDEX IF NOT EXISTS revision_digest ON revision (digest);
CREATE INDEX IF NOT EXISTS tag_index_digest ON tag_index (digest);
CREATE INDEX IF NOT EXISTS reference_digest ON reference (digest);
CREATE INDEX IF NOT EXISTS composed_name ON composed (name);
CREATE INDEX IF NOT EXISTS segment_upload ON segment (upload);
CREATE INDEX IF NOT EXISTS other_digest ON other (digest);
"""


class Database(sqlite3.Connection):
    """A connection that closes when nobody uses it any more, without the warning of Python 3.13."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it could not be opened
            self.close()


def create(path: str, durable: bool = False) -> sqlite3.Connection:
    """Return a connection to a new database. It belongs to one survey in one process.

    :param durable: whether it must be whole after a crash of the process; it never is for certain after a crash of the machine
    """
    db = connect(path, durable)
    db.executescript(SCHEMA)
    return db


def connect(path: str, durable: bool = True) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Database)
    db.executescript(
        f'PRAGMA journal_mode = {"WAL" if durable else "OFF"}; PRAGMA synchronous = OFF;'
        'PRAGMA temp_store = FILE; PRAGMA cache_size = -32768;'
    )
    return db


def index(db: sqlite3.Connection) -> None:
    """Add what the joins need. Call it when the listings are in: it is faster than before."""
    db.executescript(INDEXES + 'ANALYZE;')


def fact(db: sqlite3.Connection, name: str) -> Any:
    """Return a fact about the survey itself, or None."""
    row = db.execute('SELECT value FROM fact WHERE name = ?', (name,)).fetchone()
    return row[0] if row else None


def note(db: sqlite3.Connection, name: str, value: Any) -> None:
    db.execute('INSERT OR REPLACE INTO fact VALUES (?, ?)', (name, value))
