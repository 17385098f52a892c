"""What a collection knows from the last one: what manifests name, who owns which segments, which links there were, how many of each.

It is a packed database in the container. If it is lost, the next collection reads all manifests again, and deletes no segments.
"""

import contextlib
import gzip
import logging
import os
import shutil
import sqlite3
import zlib

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout

logger = logging.getLogger(__name__)

#: Tables of a survey that stay true, and so save requests: the bytes of a digest never change.
KNOWN = ('manifest', 'reference', 'composition', 'composed')
VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS remembered (digest TEXT, repository TEXT, PRIMARY KEY (digest, repository)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS count (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
-- Uploads that own segments which nothing names, with the time at which a collection has first seen that.
CREATE TABLE IF NOT EXISTS unowned (upload TEXT PRIMARY KEY, since REAL) WITHOUT ROWID;
-- Records of the trash that a collection has read, with the time at which they were written.
CREATE TABLE IF NOT EXISTS trashed (digest TEXT PRIMARY KEY, modified REAL, content TEXT) WITHOUT ROWID;
"""
OWN = ('remembered', 'count', 'unowned', 'trashed')


def load(storage, db: sqlite3.Connection, folder: str) -> bool:
    """Fill the tables of a new survey with what the last collection knew. Return False if there is no memory that can be used."""
    db.executescript(SCHEMA)
    path = os.path.join(folder, 'memory')
    try:
        with contextlib.closing(storage.stream_read(layout.MEMORY, newest=True)) as stream, open(path + '.gz', 'wb') as packed:
            packed.writelines(stream)
        with gzip.open(path + '.gz') as unpacked, open(path, 'wb') as file:
            shutil.copyfileobj(unpacked, file)
        return _attach(db, path)
    except exceptions.FileNotFoundError:
        return False
    except (OSError, EOFError, zlib.error, sqlite3.Error) as error:
        logger.warning('%s in the container cannot be read, and is written anew: %s', layout.MEMORY, error)
        return False


def _attach(db: sqlite3.Connection, path: str) -> bool:
    db.execute('ATTACH ? AS memory', [path])
    try:
        if db.execute('PRAGMA memory.user_version').fetchone()[0] != VERSION:
            return False
        db.execute('BEGIN')
        for table in (*KNOWN, *OWN):
            db.execute(f'INSERT OR IGNORE INTO main.{table} SELECT * FROM memory.{table}')
        db.execute('COMMIT')
        return True
    except sqlite3.Error:
        db.execute('ROLLBACK')
        raise
    finally:
        db.execute('DETACH memory')


def save(storage, db: sqlite3.Connection, folder: str) -> None:
    """Keep what this collection knows. A crash before this costs the next one requests, and nothing else."""
    path = os.path.join(folder, 'remember')
    db.execute('ATTACH ? AS memory', [path])
    try:
        db.execute(f'PRAGMA memory.user_version = {VERSION}')
        for table in (*KNOWN, *OWN):
            db.execute(f'CREATE TABLE memory.{table} AS SELECT * FROM main.{table}')
    finally:
        db.execute('DETACH memory')
    with open(path, 'rb') as file, gzip.open(path + '.gz', 'wb') as packed:
        shutil.copyfileobj(file, packed)
    with open(path + '.gz', 'rb') as packed:
        storage.stream_write(layout.MEMORY, packed)


def forget_marks(db: sqlite3.Connection) -> None:
    """Forget which segments nothing named. Collections mark them only if the last one has told what it did meanwhile."""
    db.execute('DELETE FROM unowned')


def remember(db: sqlite3.Connection, counts: dict[str, int]) -> None:
    """Take note of what the survey has found, for the next collection. Forget what is gone."""
    db.executescript("""
        DELETE FROM remembered;
        INSERT OR IGNORE INTO remembered SELECT l.digest, r.name FROM layer l JOIN repository r ON r.id = l.repository;
        INSERT OR IGNORE INTO remembered SELECT v.digest, r.name FROM revision v JOIN repository r ON r.id = v.repository;
        DELETE FROM manifest WHERE state != 'read' OR digest NOT IN (SELECT digest FROM revision);
        DELETE FROM reference WHERE manifest NOT IN (SELECT digest FROM manifest);
        DELETE FROM composition WHERE kind IN ('missing', 'unreadable');
        DELETE FROM composed WHERE owner NOT IN (SELECT owner FROM composition);
        DELETE FROM count;
    """)
    db.executemany('INSERT INTO count VALUES (?, ?)', counts.items())
