"""Tells a name that is not there from one that Swift cannot find at the moment.

If two of the three nodes of an object were down when it was written, Swift returns 404 for it while the third is down. Only a
listing still shows the name.
"""

import functools
import time
from collections.abc import Callable
from typing import TypeVar

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.storage import Stat, Storage

Result = TypeVar('Result')

CONTRADICTION = 'storage lists this and cannot find it at the moment; retry later'


def listed(storage: Storage, path: str) -> Stat | None:
    """Return what a listing shows at a path, or None. It costs one request."""
    page = storage.list_page(layout.folder_of(path), path[:-1], recursive=True)  # few names come between these two
    return next((stat for stat in page if stat.path == path), None)


class Absence:
    """Looks twice before a client is told that something it asked for is not there.

    :param replication_cycle: seconds; an older name is on all its nodes, so a listing that still shows it is what is wrong
    """

    def __init__(self, storage: Storage, replication_cycle: float):
        self._storage = storage
        self._replication_cycle = replication_cycle

    def confirm(self, path: str, deleted: Callable[[float], bool] = lambda written: False) -> None:
        """Return if there is no object at a path for which Swift returned 404. It costs one request.

        :param deleted: returns whether the object was deleted after it was written, in seconds since the epoch
        :raises Unavailable: a listing shows the object, and it is young
        :raises Reappeared: so it does, and the object is there now
        """
        listed = self._storage.list_page(layout.folder_of(path), limit=10, recursive=True)
        written = next((stat.last_modified or 0 for stat in listed if stat.path == path), 0)
        if time.time() - written < self._replication_cycle and not deleted(written):
            raise Reappeared() if self._storage.exists(path) else errors.Unavailable(CONTRADICTION)


class Reappeared(errors.Unavailable):
    """Swift returned 404 for an object, and then found it: somebody has just written it, or a node is back. Look again."""

    def __init__(self):
        super().__init__(CONTRADICTION)


def looking_again(look: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a method that looks for something: it looks again if that has reappeared, once."""

    @functools.wraps(look)
    def twice(*arguments, **named):
        try:
            return look(*arguments, **named)
        except Reappeared:
            return look(*arguments, **named)

    return twice
