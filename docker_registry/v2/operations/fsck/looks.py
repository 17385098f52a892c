"""Looks for single objects, and tells what is not there from what could not be found out."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors
from docker_registry.v2.registry.absence import Absence, Reappeared
from docker_registry.v2.registry.storage import Stat, Storage

Result = TypeVar('Result')


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

    :param replication_cycle: seconds, see `Absence`
    """

    def __init__(self, storage: Storage, replication_cycle: float):
        self._storage = storage
        self._absence = Absence(storage, replication_cycle)

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

    def _look(self, path: str, look: Callable[[], Result], again: bool = True) -> Result | None:
        with finding_out():
            try:
                return look()
            except exceptions.FileNotFoundError:
                pass
            try:
                self._absence.confirm(path)
            except Reappeared:
                if again:
                    return self._look(path, look, again=False)
                raise
        return None

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
