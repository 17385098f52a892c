"""What a command of an operator has found or done, kept in the container: every instance shows it among its metrics.

A record is a small JSON object. The command that writes it may fail to do so, and whoever reads it may find none: nothing relies on it.
"""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.storage import Storage

SURVEY, COLLECTION, CHECK = 'survey', 'collection', 'check'
KINDS = (SURVEY, COLLECTION, CHECK)
LARGEST = 64 * 1024  # bytes; a larger object is no record

Record = Mapping[str, Any]


def read(storage: Storage, kind: str) -> dict[str, Any]:
    """Return the last record of a kind, {} if there is none that can be read.

    :raises: the errors of the driver, if storage does not answer
    """
    return document(storage, layout.last(kind), LARGEST)


def document(storage: Storage, path: str, largest: int) -> dict[str, Any]:
    """Return the JSON object at a path, {} if there is none, or if it has more than `largest` bytes.

    :raises: the errors of the driver, if storage does not answer
    """
    try:
        with contextlib.closing(storage.stream_read(path, newest=True)) as stream:
            is_small = stream.size is not None and stream.size <= largest  # Swift does not tell the size of some large objects
            found = json.loads(b''.join(stream)) if is_small else None
    except (exceptions.FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write(storage: Storage, kind: str, record: Record) -> None:
    """Store the record of a kind instead of the last one.

    :raises: the errors of the driver
    """
    storage.replace(layout.last(kind), json.dumps(record).encode())
