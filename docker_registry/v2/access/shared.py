"""Memory that all worker processes of a registry share."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Hashable, Iterator
from typing import Any


class Table:
    """A table with one slot for each key. Worker processes share it, because they are forked after this object is made.

    Two keys may have the same slot: the memory does not grow with the number of keys.

    :param slots: number of slots
    :param form: format of a slot, see `struct`
    """

    def __init__(self, slots: int, form: str):
        self._slots, self._slot = slots, struct.Struct(form)
        self._file = os.memfd_create('shared')  # a lock on a file ends when its process dies
        os.ftruncate(self._file, slots * self._slot.size)
        self._memory = mmap.mmap(self._file, slots * self._slot.size)
        self._key = os.urandom(16)  # so that an attacker cannot choose a key that shares somebody's slot
        self._lock = threading.Lock()

    def read(self, key: Hashable) -> tuple[Any, ...]:
        return self._slot.unpack_from(self._memory, self.offset(key))

    def write(self, key: Hashable, *values: Any) -> None:
        self._slot.pack_into(self._memory, self.offset(key), *values)

    def mark(self, key: Hashable) -> bytes:
        """Return 16 bytes that stand for a key. They do not reveal it, and no other key has them."""
        return hashlib.blake2b(repr(key).encode(), digest_size=16, key=self._key).digest()

    def offset(self, key: Hashable) -> int:
        return int.from_bytes(self.mark(key), 'big') % self._slots * self._slot.size

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


class Seen(Table):
    """A set whose members expire `seconds` after they were added. A member may go earlier if there are very many.

    :param slots: the most members
    """

    def __init__(self, slots: int, seconds: float):
        super().__init__(slots, '16sd')  # the mark of the member, and when it was added
        self._seconds = seconds

    def add(self, key: Hashable) -> None:
        self.write(key, self.mark(key), time.monotonic())

    def __contains__(self, key: Hashable) -> bool:
        mark, added = self.read(key)
        return mark == self.mark(key) and time.monotonic() - added < self._seconds
