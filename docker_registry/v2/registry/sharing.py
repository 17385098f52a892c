"""One look at storage for all who ask for the same thing at the same time.

A thousand nodes may pull one tag in the same second. What a caller gets is always the outcome of a look that began after the caller had
come. So nobody sees anything that is older than what a look of their own would have shown.
"""

import contextlib
import operator
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, TimeoutError
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

Result = TypeVar('Result')
PATIENCE = 1  # seconds; after that, another look begins beside one that storage keeps waiting
Waiting = Callable[[], AbstractContextManager[Any]]  # makes a context in which a caller waits for another one


class Look(Future[Result]):
    """The outcome for those who share a look. It is cancelled if whoever makes the look is killed."""

    began = 0.0  # by the monotonic clock

    def wait(self, seconds: float) -> None:
        """Wait for the outcome, or for so long."""
        with contextlib.suppress(CancelledError, TimeoutError):
            self.exception(seconds)


class Looks(Generic[Result]):
    """The looks for one key: those that run, in the order in which they began, and the next one."""

    def __init__(self) -> None:
        self.running: list[Look[Result]] = []
        self.next: Look[Result] | None = None

    def begin(self, look: Look[Result]) -> None:
        look.began = time.monotonic()
        self.running.append(look)

    def end(self, look: Look[Result]) -> list[Look[Result]]:
        """Remove a look that has ended, and those that began before it. Return those that were still there."""
        count = self.running.index(look) + 1 if look in self.running else 0
        ended, self.running = self.running[:count], self.running[count:]
        return ended

    def drop(self, look: Look[Result]) -> None:
        """Remove a look that will have no outcome."""
        self.running = [other for other in self.running if other is not look]
        if self.next is look:
            self.next = None

    @property
    def patience(self) -> float:
        """Seconds until the next look may begin."""
        return self.running[-1].began + PATIENCE - time.monotonic() if self.running else 0


class Shared(Generic[Result]):
    """Looks, of which one for each key runs at a time. Who comes meanwhile shares the next one, which begins when that has ended.

    The first of those who share a look makes it, in their own thread and context. All get the same result, so nobody may change it.

    If a look takes longer than `PATIENCE`, another one begins beside it. Its outcome is newer, so it is also good for those who wait for
    the looks that began before it and still run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: dict[Hashable, Looks[Result]] = {}

    def result(self, key: Hashable, look: Callable[[], Result], waiting: Waiting = contextlib.nullcontext) -> Result:
        """Return what `look()` returns, or raise what it raises.

        :param key: says what it looks for
        :param waiting: makes a context in which a caller waits for the look of another one. Whoever makes the next look does not use it:
            to leave it may take long, and others wait for that look
        """
        while True:
            mine: Look[Result] = Look()
            looks, joined = self._join(key, mine)
            if joined is mine or self._begins_beside(looks, joined, mine, waiting):
                return self._make(key, looks, mine, look)
            if not joined.cancelled():
                return _outcome(joined)

    def _join(self, key: Hashable, mine: Look[Result]) -> tuple[Looks[Result], Look[Result]]:
        with self._lock:
            looks = self._looks.setdefault(key, Looks())
            if looks.next:
                return looks, looks.next
            if looks.running:
                looks.next = mine
            else:
                looks.begin(mine)
            return looks, mine

    def _begins_beside(self, looks: Looks[Result], joined: Look[Result], mine: Look[Result], waiting: Waiting) -> bool:
        """Wait for a look. Return False when it has ended. If it takes long and nobody else does, begin another one, and return True."""
        while True:
            with waiting():
                joined.wait(PATIENCE)
            with self._lock:
                if joined.done():
                    return False
                if not looks.next and looks.patience <= 0:
                    looks.begin(mine)
                    return True

    def _make(self, key: Hashable, looks: Looks[Result], mine: Look[Result], look: Callable[[], Result]) -> Result:
        try:
            if looks.next is mine:
                self._wait_for_turn(looks, mine)
            result = look()
        except Exception as error:
            self._end(key, looks, mine, operator.methodcaller('set_exception', error))
            raise
        except BaseException:
            self._end(key, looks, mine)
            raise
        self._end(key, looks, mine, operator.methodcaller('set_result', result))
        return result

    def _wait_for_turn(self, looks: Looks[Result], mine: Look[Result]) -> None:
        for last in looks.running[-1:]:
            last.wait(max(0, looks.patience))
        with self._lock:
            looks.next = None
            looks.begin(mine)

    def _end(self, key: Hashable, looks: Looks[Result], mine: Look[Result], tell: Callable[[Look[Result]], None] | None = None) -> None:
        """Tell the outcome to all whom it is good for. Without an outcome, let those who wait look again."""
        with self._lock:
            if tell:
                for ended in looks.end(mine):
                    tell(ended)
            mine.cancel()  # does nothing if it has an outcome
            looks.drop(mine)
            if not looks.running and not looks.next and self._looks.get(key) is looks:
                del self._looks[key]


def _outcome(look: Look[Result]) -> Result:
    """Return the result of a look, or raise its error: a copy, because each caller's has a traceback of its own."""
    error = look.exception()
    if error is None:
        return look.result()
    copied = type(error).__new__(type(error), *error.args)  # not called: it may take other arguments
    copied.__dict__.update(error.__dict__)
    raise copied from error
