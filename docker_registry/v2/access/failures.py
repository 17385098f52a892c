"""Counts recent failed logins. All processes of this registry share the counts."""

import time
from collections.abc import Hashable

from docker_registry.v2.access.shared import Table

#: Keys of failure counts, each with the number of failures that fills it.
Limits = tuple[tuple[Hashable, int], ...]


class Failures:
    """A leaky bucket for each key. `most` failures fill it, and a full bucket drains in `seconds`.

    The same attempt counts once in `seconds`. A client that repeats an old password guesses nothing, so it must not use up the
    attempts of a user who knows the new one.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._buckets = Table(2**20, 'dd')  # how full the bucket was, from 0 to a little over 1, and when that was
        self._attempts = Table(2**16, '16sd')  # the mark of the attempt, and when it was counted

    def count(self, attempt: Hashable, limits: Limits) -> None:
        """Count a failed attempt for each key, unless the same attempt was counted within `seconds`.

        :param attempt: all that the client sent to log in; only a keyed hash of it is kept
        """
        with self._buckets.locked():
            if self.has_counted(attempt):
                return
            self._attempts.write(attempt, self._attempts.mark(attempt), time.monotonic())
            for key, most in limits:
                self._buckets.write(key, min(self._level(key), 1) + 1 / most, time.monotonic())

    def has_counted(self, attempt: Hashable) -> bool:
        """Return whether the same attempt failed within `seconds`. It may be forgotten earlier if there are very many."""
        mark, counted = self._attempts.read(attempt)
        return mark == self._attempts.mark(attempt) and time.monotonic() - counted < self._seconds

    def wait(self, limits: Limits) -> float:
        """Return the seconds until all these keys may try again; 0 if they may try now."""
        return max(max(0, self._level(key) + 1 / most - 1 - 1e-9) * self._seconds for key, most in limits)

    def _level(self, key: Hashable) -> float:
        level, counted = self._buckets.read(key)
        return max(0, level - (time.monotonic() - counted) / self._seconds)
