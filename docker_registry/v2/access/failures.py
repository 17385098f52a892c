"""How often a login failed lately, counted by all processes of this registry together."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time

_SLOTS = 2**20
_SLOT = struct.Struct('dd')  # how full it was, from 0 to a little over 1, and when


class Failures:
    """A leaky bucket for each key: so many failures fill it, and it is empty `seconds` after the last one.

    The buckets lie in memory that worker processes share, which are forked after this was made. Two keys may have the same one.
    """

    def __init__(self, seconds):
        self._seconds = seconds
        self._file = os.memfd_create('failures')  # the lock of a process that dies is gone with it
        os.ftruncate(self._file, _SLOTS * _SLOT.size)
        self._memory = mmap.mmap(self._file, _SLOTS * _SLOT.size)
        self._key = os.urandom(16)  # nobody can choose an address whose bucket is that of another
        self._lock = threading.Lock()

    def count(self, key, most):
        """A failure, of which `most` fill the bucket."""
        with self._locked():
            _SLOT.pack_into(self._memory, self._offset(key), min(self._level(key), 1) + 1 / most, time.monotonic())

    def wait(self, key, most):
        """Seconds until this key may try again; 0: it may now."""
        return max(0, self._level(key) + 1 / most - 1 - 1e-9) * self._seconds

    def _level(self, key):
        level, counted = _SLOT.unpack_from(self._memory, self._offset(key))
        return max(0, level - (time.monotonic() - counted) / self._seconds)

    def _offset(self, key):
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, 'big') % _SLOTS * _SLOT.size

    @contextlib.contextmanager
    def _locked(self):
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
