"""One turn at a time, and who has it next."""

import contextlib
import itertools
import threading
from collections.abc import Hashable, Iterator
from typing import Any


class Refused(Exception):
    """There was no turn: too many waited that come first, or it took too long."""


class Turns:
    """Gives one turn at a time, the next one to the lowest rank that waits. Of equal ranks, the first to come is the next.

    :param most_waiting: requests that may wait; if there are more, the highest rank is refused, and of equal ranks the last one that waits
    :param seconds: the longest wait
    """

    def __init__(self, most_waiting: int, seconds: float):
        self._most, self._seconds = most_waiting, seconds
        self._lock, self._count = threading.Lock(), itertools.count()
        self._current: _Turn | None = None
        self._waiting: dict[Hashable, _Turn] = {}

    @contextlib.contextmanager
    def take(self, key: Hashable, rank: Any) -> Iterator[bool]:
        """Wait for a turn, and have it until the context ends.

        Requests with the same key share a turn: True means that this request has it, False that another one has just had it.

        :raises Refused: see there
        """
        turn, leads = self._enter(key, rank)
        awaited = turn.begun if leads else turn.ended
        try:
            if not awaited.wait(self._seconds) or turn.refused:
                raise Refused()
            yield leads
        finally:
            self._leave(turn, leads)

    def _enter(self, key: Hashable, rank: Any) -> tuple['_Turn', bool]:
        """Return the turn of a key, and whether it is new.

        :raises Refused: there is no room for it
        """
        with self._lock:
            if self._current is None:
                self._current = turn = _Turn(key, (rank, next(self._count)))
                turn.begun.set()
                return turn, True
            joined = self._current if self._current.key == key else self._waiting.get(key)
            turn = joined or _Turn(key, (rank, next(self._count)))
            self._make_room(turn)
            turn.requests += 1
            if not joined:
                self._waiting[key] = turn
            return turn, not joined

    def _make_room(self, turn: '_Turn') -> None:
        """Refuse others until there is room for one more request.

        Of equal ranks, the new one stays: when many come for the first time at once, those that are refused come back with a higher rank.

        :raises Refused: all others come first
        """
        while sum(waiting.requests for waiting in self._waiting.values()) + self._followers() >= self._most:
            last = max(self._waiting.values(), key=lambda waiting: waiting.rank, default=turn)
            if last is turn or last.rank[0] < turn.rank[0]:
                raise Refused()
            self._refuse(last)

    def _followers(self) -> int:
        return self._current.requests if self._current else 0

    def _leave(self, turn: '_Turn', leads: bool) -> None:
        """End a turn, or the wait for it."""
        with self._lock:
            if not leads:
                turn.requests -= 1
            elif turn is self._current:
                self._end(turn)
            elif not turn.refused:
                self._refuse(turn)

    def _refuse(self, turn: '_Turn') -> None:
        del self._waiting[turn.key]
        turn.refused = True
        turn.begun.set()
        turn.ended.set()

    def _end(self, turn: '_Turn') -> None:
        turn.ended.set()
        self._current = min(self._waiting.values(), key=lambda waiting: waiting.rank, default=None)
        if self._current:
            del self._waiting[self._current.key]
            self._current.requests -= 1  # the one whose turn it is no longer waits
            self._current.begun.set()


class _Turn:
    """A turn of the requests with one key. `requests` of them wait for it to begin or to end."""

    def __init__(self, key: Hashable, rank: Any):
        self.key, self.rank = key, rank
        self.requests, self.refused = 0, False
        self.begun, self.ended = threading.Event(), threading.Event()
