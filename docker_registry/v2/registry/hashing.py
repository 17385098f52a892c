"""Hashes bytes in another thread of the system, while the one that has read them goes on.

To hash a layer takes longer than to receive it. The server's greenlets all share one thread, which would do nothing else meanwhile.
"""

import functools
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

BATCH = 1024**2  # bytes that are hashed at a time; another thread takes a tenth of that time to begin
SMALL = 64 * 1024  # bytes of a block that is hashed at once: who sends so slowly may stop, and what waits would take memory
THREADS = 4


class Hashing:
    """A hash object that other threads feed, in the order of the bytes. At most two batches of large blocks wait for them.

    :param hasher: a hash object of `hashlib`, which belongs to this object until `finished`
    """

    def __init__(self, hasher: Any):
        self._hasher = hasher
        self._blocks: list[bytes] = []
        self._size = 0
        self._running: Future[None] | None = None

    def update(self, block: bytes) -> None:
        if len(block) < SMALL:
            self.finished().update(block)
            return
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= BATCH:
            self._wait()
            self._running = _threads().submit(_feed, self._hasher, self._blocks)
            self._blocks, self._size = [], 0

    def finished(self) -> Any:
        """Return the hash object. It has all bytes so far."""
        self._wait()
        _feed(self._hasher, self._blocks)
        self._blocks, self._size = [], 0
        return self._hasher

    def _wait(self) -> None:
        if self._running:
            self._running.result()
            self._running = None


def _feed(hasher: Any, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        hasher.update(block)


@functools.cache
def _threads() -> Any:
    monkey = sys.modules.get('gevent.monkey')
    if monkey and monkey.is_module_patched('threading'):  # then a thread of the standard library is a greenlet
        from gevent.threadpool import ThreadPoolExecutor as SystemThreads

        return SystemThreads(THREADS)
    return ThreadPoolExecutor(THREADS, 'hashing')
