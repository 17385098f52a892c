"""Memory that all worker processes of a registry share."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Hashable, Iterator
from typing import Any


def new_key() -> bytes:
    """Return what decides who shares a slot in a table: nothing that an attacker could know, and choose names by."""
    return os.urandom(16)


class Table:
    """A table with one slot for each key. Worker processes share it, because they are forked after this object is made.

    Two keys may have the same slot: the memory does not grow with the number of keys.

    :param slots: number of slots
    :param form: format of a slot, see `struct`
    """

    def __init__(self, slots: int, form: str):
        self._slots, self._slot = slots, struct.Struct(form)
        self._file = os.memfd_create('shared')  # a lock on a file ends when its process dies
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, slots * self._slot.size)
        self._memory = mmap.mmap(self._file, slots * self._slot.size)
        self._key = new_key()
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
        super().__init__(slots, '16sd')  # the mark of the member with its value, and when it was added
        self._seconds = seconds

    def add(self, key: Hashable, value: Hashable = None) -> None:
        self.write(key, self.mark((key, value)), time.monotonic())

    def discard(self, key: Hashable) -> None:
        self.write(key, b'', 0.0)

    def has(self, key: Hashable, value: Hashable = None) -> bool:
        """Return whether the key was added a short time ago, and last with this value."""
        mark, added = self.read(key)
        return mark == self.mark((key, value)) and time.monotonic() - added < self._seconds

    def __contains__(self, key: Hashable) -> bool:
        return self.has(key)


class Versions(Table):
    """Tells whether something has changed since, for all workers. It may say so of what has not.

    :param slots: the more, the rarer that is
    """

    def __init__(self, slots: int):
        super().__init__(slots, 'Q')

    def of(self, key: Hashable) -> int:
        return self.read(key)[0]

    def change(self, key: Hashable) -> None:
        self.write(key, time.monotonic_ns())
