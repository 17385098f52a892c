"""Looks for single objects, and tells what is not there from what could not be found out."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.storage import Stat, Storage

Result = TypeVar('Result')

NEIGHBOURS = 10  # names that differ from another in its last digit only, at most: a page that begins before them has it


class NotKnown(Exception):
    """Swift could not be asked. It is no evidence for anything."""


@contextlib.contextmanager
def finding_out() -> Iterator[None]:
    """Turn every error of storage in the block into `NotKnown`."""
    try:
        yield
    except (exceptions.UnspecifiedError, errors.Unavailable) as error:
        raise NotKnown(' '.join(str(error).split()))


class Looks:
    """Looks at objects. Each asks all replicas (X-Newest), because it is the ground for a verdict or a repair.

    :param replication_cycle: seconds; an older name is on all its nodes, so if Swift does not find it, it is lost
    """

    def __init__(self, storage: Storage, replication_cycle: float):
        self._storage = storage
        self._replication_cycle = replication_cycle

    def stat(self, path: str) -> Stat | None:
        """Return the `Stat` of an object, or None if there is none.

        :raises NotKnown: Swift did not answer, or its listing and its nodes contradict each other
        """
        return self._look(path, lambda: self._storage.stat(path, newest=True))

    def content(self, path: str) -> tuple[bytes, Stat] | None:
        """Return (the bytes of a small object, its `Stat`), or None if there is none.

        :raises NotKnown: see `stat`
        """
        return self._look(path, lambda: self._storage.get_object(path, newest=True))

    def _look(self, path: str, look: Callable[[], Result]) -> Result | None:
        with finding_out():
            with contextlib.suppress(exceptions.FileNotFoundError):
                return look()
            if not self._is_listed(path):
                return None
            with contextlib.suppress(exceptions.FileNotFoundError):
                return look()
        raise NotKnown(f'a listing of Swift shows {path}, but Swift cannot find it at the moment')

    def _is_listed(self, path: str) -> bool:
        """Return whether a listing shows an object that is so young that not all its nodes may have it (see `absence`)."""
        page = self._storage.list_page(layout.folder_of(path), path[:-1], NEIGHBOURS, recursive=True)
        written = next((stat.last_modified or 0 for stat in page if stat.path == path), 0)
        return time.time() - written < self._replication_cycle

    def is_unchanged(self, path: str, before: Stat) -> bool:
        """Return whether an object is still the one of a former look. Ask just before it is replaced: somebody may have repaired it.

        :raises NotKnown: see `stat`
        """
        now = self.stat(path)
        return now is not None and (now.etag, now.size, now.last_modified) == (before.etag, before.size, before.last_modified)


def etag_of(etags: list[str]) -> str:
    """Return the ETag of a static large object whose segments have these ETags.

    https://docs.openstack.org/swift/latest/middleware.html#static-large-objects
    """
    return hashlib.md5(''.join(etags).encode(), usedforsecurity=False).hexdigest()
