"""Keeps the database of a survey in a folder: an interrupted survey goes on, and the next one need not read again what cannot change."""

import contextlib
import hashlib
import os
import sqlite3
import time

from docker_registry.v2.operations.survey import database

FILE, OLD = 'survey.sqlite', 'survey.old.sqlite'
RESUMED_SECONDS = 3600  # an interrupted survey that has written nothing for longer begins anew
SCHEMA = hashlib.sha256(database.SCHEMA.encode()).hexdigest()

#: The bytes of a digest never change, and an object is asked again if it was written since.
REMEMBERED = """
INSERT OR IGNORE INTO manifest SELECT * FROM old.manifest WHERE state = 'read' AND digest IN (SELECT digest FROM revision);
INSERT OR IGNORE INTO reference SELECT * FROM old.reference WHERE manifest IN (SELECT digest FROM manifest);
INSERT OR IGNORE INTO composition SELECT * FROM old.composition WHERE kind IN ('plain', 'static', 'dynamic') AND (
    owner IN (SELECT digest FROM blob) OR owner IN (SELECT path FROM foreign_upload)
    OR owner IN (SELECT path FROM other) OR owner IN (SELECT path FROM v1_file)
);
INSERT OR IGNORE INTO composed SELECT * FROM old.composed WHERE owner IN (SELECT owner FROM composition);
"""


def opened(folder: str, place: str) -> sqlite3.Connection:
    """Return the database of an interrupted survey, or a new one. That of a survey which came to its end is put beside it.

    :param place: names the container; a survey of another one does not go on here
    """
    path = os.path.join(folder, FILE)
    written = max((os.path.getmtime(name) for name in _files(path)), default=0.0)
    if _is_survey(path, place):
        db = database.connect(path)
        is_complete = database.fact(db, 'complete') is not None
        if not is_complete and time.time() - written < RESUMED_SECONDS:
            db.execute("DELETE FROM manifest WHERE state IN ('missing', 'unreadable')")
            db.execute("DELETE FROM composition WHERE kind IN ('missing', 'unreadable')")
            return db
        db.close()
        if is_complete:
            os.replace(path, os.path.join(folder, OLD))
    _remove(path)
    db = database.create(path, durable=True)
    database.note(db, 'schema', SCHEMA)
    database.note(db, 'place', place)
    return db


def remember(db: sqlite3.Connection, folder: str, place: str) -> None:
    """Take over what the survey before has read, if there was one. Call it when the listings are in."""
    path = os.path.join(folder, OLD)
    if _is_survey(path, place):
        db.execute('ATTACH ? AS old', (path,))
        db.executescript(f'BEGIN; {REMEMBERED} COMMIT; DETACH old;')
    _remove(path)


def _is_survey(path: str, place: str) -> bool:
    """Return whether there is the database of a survey of this container, made by this version of the program."""
    if not os.path.exists(path):
        return False
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path)) as db:
        return (database.fact(db, 'schema'), database.fact(db, 'place')) == (SCHEMA, place)
    return False


def _files(path: str) -> list[str]:
    return [name for name in (path, path + '-wal', path + '-shm') if os.path.exists(name)]


def _remove(path: str) -> None:
    for name in _files(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
