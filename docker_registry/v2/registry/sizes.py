"""How large repositories were at the last survey or collection: a table in the container, for the page for browsers.

The table has the order of the catalog. It lies in pieces of at most `ROWS` repositories, and a record names the first repository of each
piece. So a page of the catalog reads the record and one or two pieces. The pieces of a table have names that no other table has, and the
record is written after them: a crash leaves the old table or the new one. Nothing relies on the table.
"""

import bisect
import itertools
import json
import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout, records
from docker_registry.v2.registry.storage import Storage

ROWS = 1000  # repositories in a piece
MOST_READ = 2  # pieces that one look reads
LARGEST = 1024**2  # bytes of a piece; a larger object is none
LEFT_SECONDS = 3600  # a piece that no record names, and that is older than this, is left of a command that did not end
KIND = 'sizes'  # of the record


class Size(NamedTuple):
    """The bytes of all blobs of a repository, each blob once, and the number of its tags."""

    bytes: int
    tags: int


class Table(NamedTuple):
    """Some rows of the table. `at` is when it was true, in seconds since the epoch."""

    at: float
    sizes: dict[str, Size]


NONE = Table(0, {})


def write(storage: Storage, rows: Iterable[tuple[str, int, int]], at: float) -> None:
    """Store a table instead of the last one.

    :param rows: (repository, bytes, tags)
    :raises: the errors of the driver
    """
    last, run = records.read(storage, KIND).get('run'), secrets.token_hex(8)
    first: list[str] = []
    left = iter(sorted(rows, key=lambda row: layout.own_names(row[0])))
    while piece := list(itertools.islice(left, ROWS)):
        content = json.dumps({name: numbers for name, *numbers in piece}).encode()
        storage.replace(layout.sizes(run, len(first)), content)
        first.append(piece[0][0])
    records.write(storage, KIND, {'at': at, 'run': run, 'first': first})
    for stat in storage.walk(layout.SIZES):
        of = stat.path.split('/')[-2]
        if of != run and (of == last or (stat.last_modified or 0) < at - LEFT_SECONDS):
            storage.discard(stat.path)


def read(storage: Storage, names: Iterable[str]) -> Table:
    """Return what the table says of some repositories, as far as `MOST_READ` of its pieces say it. `NONE`: there is no table."""
    names = list(names)
    if not names:
        return NONE
    try:
        record = _record(storage)
        if not record:
            return NONE
        at, run, first = record
        begins = [layout.own_names(name) for name in first]
        pieces = {name: bisect.bisect(begins, layout.own_names(name)) - 1 for name in names}
        needed = sorted({number for number in pieces.values() if number >= 0})[:MOST_READ]
        read = {number: records.document(storage, layout.sizes(run, number), LARGEST) for number in needed}
    except exceptions.UnspecifiedError:
        return NONE  # the page can do without it
    found = {name: size for name, number in pieces.items() if (size := _size(read.get(number, {}).get(name)))}
    return Table(at, found)


def _size(found: object) -> Size | None:
    if not isinstance(found, list) or len(found) != 2:
        return None
    return Size(*found) if all(type(number) is int and 0 <= number < 2**63 for number in found) else None


def _record(storage: Storage) -> tuple[float, str, list[str]] | None:
    """Return (when the last table was true, the folder of its pieces, the first repository of each), or None if there is none."""
    record = records.read(storage, KIND)
    at, run, first = (record.get(name) for name in ('at', 'run', 'first'))
    if not isinstance(at, (int, float)) or not 0 < at < 2**37:  # a year of four digits
        return None
    if not isinstance(run, str) or not re.fullmatch('[0-9a-f]{16}', run):
        return None
    return (at, run, first) if isinstance(first, list) and all(isinstance(name, str) for name in first) else None
