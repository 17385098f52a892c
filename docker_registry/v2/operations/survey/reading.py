"""Reads many objects: some at the same time, some before what they say is stored, and to the end although some cannot be read."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from docker_registry.v2.registry.concurrency import Together

THREADS = 16
CHUNK = 1000  # objects that are read before the outcome is stored
MOST_FAILURES = 100  # in a row


class Failures:
    """Counts what could not be read, and ends a survey of a Swift that is down."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self, error: Exception) -> None:
        self._in_a_row += 1
        if self._in_a_row >= MOST_FAILURES:
            raise error


def each_chunk(
    db: sqlite3.Connection,
    query: str,
    read: Callable[[tuple], Any],
    store: Callable[[Iterable[Any]], None],
    advance: Callable[[int], object],
    threads: int,
) -> None:
    """Read what a query selects, some at a time, and store the outcome.

    :param query: its parameter is the value after which the first column begins, and it is sorted by that column
    """
    together = Together(2 * threads)  # one call gets half of them
    after = ''
    while chunk := db.execute(f'{query} LIMIT {CHUNK}', (after,)).fetchall():
        after = chunk[-1][0]
        with together.each(read, chunk) as results:
            outcome = list(results)
        db.execute('BEGIN')
        store(outcome)
        db.execute('COMMIT')
        advance(len(chunk))
