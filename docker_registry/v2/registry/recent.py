"""A mapping that remembers things for a short time."""

import collections
import threading
import time
from collections.abc import Hashable
from typing import Any


class Recent:
    """A mapping of at most `most` members, each of which expires `seconds` after it was last added.

    Without values it is a set: use `in`.
    """

    def __init__(self, seconds: float, most: int = 10000):
        self._seconds, self._most = seconds, most
        self._members: collections.OrderedDict[Hashable, tuple[float, Any]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def add(self, member: Hashable, value: Any = True) -> None:
        with self._lock:
            self._members[member] = time.monotonic(), value
            self._members.move_to_end(member)
            while len(self._members) > self._most:
                self._members.popitem(last=False)

    def discard(self, member: Hashable) -> None:
        with self._lock:
            self._members.pop(member, None)

    def get(self, member: Hashable) -> Any:
        """Return the member's value, or None if it is not there."""
        with self._lock:
            added, value = self._members.get(member, (None, None))
        return value if added is not None and time.monotonic() - added < self._seconds else None

    def __contains__(self, member: Hashable) -> bool:
        return self.get(member) is not None
