"""How often a login failed lately, counted by all processes of this registry together."""

import hashlib
import mmap
import os
import struct
import time

_SLOTS = 2 ** 16
_SLOT = struct.Struct('dd')


class Failures:
    """A leaky bucket for each key: `most` failures fill it, and it is empty `seconds` after the last one.

    The buckets lie in memory that worker processes share, which are forked after this was made. Two keys may have the same
    one, and two that write at the same instant may count as one: it is a brake, not a ledger.
    """

    def __init__(self, seconds):
        self._seconds = seconds
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT.size)
        self._key = os.urandom(16)  # nobody can choose an address whose bucket is that of another

    def count(self, key, most):
        level, now = self._level(key, most), time.monotonic()
        _SLOT.pack_into(self._memory, self._offset(key), min(level, most) + 1, now)

    def wait(self, key, most):
        """Seconds until this key may try again; 0: it may now."""
        return max(0, self._level(key, most) - most + 1) * self._seconds / most

    def _level(self, key, most):
        level, counted = _SLOT.unpack_from(self._memory, self._offset(key))
        return max(0, level - (time.monotonic() - counted) * most / self._seconds)

    def _offset(self, key):
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, 'big') % _SLOTS * _SLOT.size
