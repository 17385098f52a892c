"""A set that remembers things for a short time."""

import collections
import threading
import time
from collections.abc import Hashable


class Recent:
    """A set of at most `most` members, each of which expires `seconds` after it was last added."""

    def __init__(self, seconds: float, most: int = 10000):
        self._seconds, self._most = seconds, most
        self._times: collections.OrderedDict[Hashable, float] = collections.OrderedDict()
        self._lock = threading.Lock()

    def add(self, member: Hashable) -> None:
        with self._lock:
            self._times[member] = time.monotonic()
            self._times.move_to_end(member)
            while len(self._times) > self._most:
                self._times.popitem(last=False)

    def discard(self, member: Hashable) -> None:
        with self._lock:
            self._times.pop(member, None)

    def __contains__(self, member: Hashable) -> bool:
        with self._lock:
            added = self._times.get(member)
        return added is not None and time.monotonic() - added < self._seconds
