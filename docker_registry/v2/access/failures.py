"""Counts recent failed logins. All processes of this registry share the counts."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Hashable, Iterator

_SLOTS = 2**20
_SLOT = struct.Struct('dd')  # how full the bucket was, from 0 to a little over 1, and when that was


class Failures:
    """A leaky bucket for each key. `most` failures fill it, and a full bucket drains in `seconds`.

    The buckets are in memory that all worker processes share, because they are forked after this object is made. Two keys may share
    a bucket.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._file = os.memfd_create('failures')  # a lock on a file ends when its process dies
        os.ftruncate(self._file, _SLOTS * _SLOT.size)
        self._memory = mmap.mmap(self._file, _SLOTS * _SLOT.size)
        self._key = os.urandom(16)  # so that an attacker cannot choose an address that shares somebody's bucket
        self._lock = threading.Lock()

    def count(self, key: Hashable, most: int) -> None:
        """Count one failure. `most` failures fill the bucket."""
        with self._locked():
            _SLOT.pack_into(self._memory, self._offset(key), min(self._level(key), 1) + 1 / most, time.monotonic())

    def wait(self, key: Hashable, most: int) -> float:
        """Return the seconds until this key may try again; 0 if it may try now."""
        return max(0, self._level(key) + 1 / most - 1 - 1e-9) * self._seconds

    def _level(self, key: Hashable) -> float:
        level, counted = _SLOT.unpack_from(self._memory, self._offset(key))
        return max(0, level - (time.monotonic() - counted) / self._seconds)

    def _offset(self, key: Hashable) -> int:
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, 'big') % _SLOTS * _SLOT.size

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
