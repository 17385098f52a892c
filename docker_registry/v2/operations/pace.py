"""How fast a command sends requests to Swift, and how many it has sent."""

import collections
import threading
import time


class Pace:
    """Counts the requests of a storage driver, and holds up the threads that send more than `per_second`. Set it as `on_request`.

    :param per_second: requests, or None for as many as Swift answers
    """

    def __init__(self, per_second: float | None = None):
        self._pause = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0
        self.methods: collections.Counter[str] = collections.Counter()

    @property
    def requests(self) -> int:
        return sum(self.methods.values())

    def __call__(self, method: str, status: int | None, seconds: float) -> None:
        """Count a request, and sleep until its thread may send another."""
        with self._lock:
            self.methods[method] += 1
            now = time.monotonic()
            self._next = max(self._next, now - seconds) + self._pause
            wait = self._next - now
        if self._pause and wait > 0:
            time.sleep(wait)
