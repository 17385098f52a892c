"""Reads blobs and hashes them, not faster than allowed. A hash is what proves a repair."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.operations.fsck.looks import finding_out
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sources import READ_SIZE, Joined
from docker_registry.v2.registry.storage import Part, Source, Storage


class Read(NamedTuple):
    """What was read: bytes, and whether they have the digest."""

    size: int
    is_right: bool


class Reader:
    """Reads what is stored.

    :param container: the storage of the whole container, for segments
    :param pace: called with the bytes just read; it sleeps if that was too fast
    """

    def __init__(self, storage: Storage, container: Storage, pace: Callable[[int], None] = lambda count: None):
        self._storage = storage
        self._container = container
        self._pace = pace

    def blob(self, digest: Digest) -> Read | None:
        """Return what is stored under a digest. None if nothing is.

        A static large object that has lost a segment ends early, or Swift returns an error. Then nothing is known: ask for its segments.

        :raises NotKnown: Swift did not return all of it
        """
        with finding_out():
            try:
                with contextlib.closing(self._storage.stream_read(layout.blob(digest), newest=True)) as stream:
                    return self._read(digest, stream)
            except exceptions.FileNotFoundError:
                return None

    def is_made_of(self, digest: Digest, parts: Sequence[Part]) -> bool:
        """Return whether these parts, in this order, are the bytes of a digest.

        :raises NotKnown: Swift did not return all of them
        """
        source = Joined(self._container, parts)
        with finding_out():
            try:
                return self._read(digest, iter(lambda: source.read(READ_SIZE), b'')).is_right
            except errors.UploadUnknown:
                return False

    def _read(self, digest: Digest, blocks: Iterable[bytes]) -> Read:
        hasher, size = digest.hasher(), 0
        for block in blocks:
            hasher.update(block)
            size += len(block)
            self._pace(len(block))
        return Read(size, digest.matches(hasher))


class Paced:
    """A file that is read not faster than allowed."""

    def __init__(self, source: Source, pace: Callable[[int], None]):
        self._source, self._pace = source, pace

    def read(self, size: int = READ_SIZE) -> bytes:
        block = self._source.read(size)
        self._pace(len(block))
        return block


class Pace:
    """Sleeps so that on average at most so many bytes pass in a second. None means as many as can."""

    def __init__(self, bytes_per_second: float | None, sleep: Callable[[float], None] = time.sleep):
        self._rate, self._sleep = bytes_per_second, sleep
        self._free = time.monotonic()  # when all bytes so far may have passed

    def __call__(self, count: int) -> None:
        if self._rate:
            now = time.monotonic()
            self._free = max(self._free, now) + count / self._rate
            if self._free > now:
                self._sleep(self._free - now)
