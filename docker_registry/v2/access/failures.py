"""Counts recent failed logins. All processes of this registry share the counts."""

import time
from collections.abc import Hashable

from docker_registry.v2.registry.shared_memory import Seen, Table

#: Keys of counts, each with the number that fills it.
Limits = tuple[tuple[Hashable, int], ...]


class Buckets(Table):
    """A leaky bucket for each key. A full bucket drains in `seconds`."""

    def __init__(self, seconds: float):
        super().__init__(2**20, 'dd')  # how full the bucket was, from 0 to a little over 1, and when that was
        self._seconds = seconds

    def count(self, limits: Limits) -> None:
        """Add one to each key. Call it while the table is `locked`."""
        for key, most in limits:
            self.write(key, min(self.level(key), 1) + 1 / most, time.monotonic())

    def level(self, key: Hashable) -> float:
        """Return how full a bucket is, from 0 to a little over 1."""
        level, counted = self.read(key)
        return max(0, level - (time.monotonic() - counted) / self._seconds)

    def wait(self, limits: Limits) -> float:
        """Return the seconds until one fits into each of these buckets; 0 if it fits now."""
        return max(max(0, self.level(key) + 1 / most - 1 - 1e-9) * self._seconds for key, most in limits)


class Failures:
    """A leaky bucket for each key. `most` failures fill it, and a full bucket drains in `seconds`.

    The same attempt counts once in `seconds`. A client that repeats an old password guesses nothing, so it must not use up the
    attempts of a user who knows the new one.
    """

    def __init__(self, seconds: float):
        self._buckets, self._attempts = Buckets(seconds), Seen(2**16, seconds)

    def count(self, attempt: Hashable, limits: Limits) -> None:
        """Count a failed attempt for each key, unless the same attempt was counted within `seconds`.

        :param attempt: all that the client sent to log in; only a keyed hash of it is kept
        """
        with self._buckets.locked():
            if attempt not in self._attempts:
                self._attempts.add(attempt)
                self._buckets.count(limits)

    def has_counted(self, attempt: Hashable) -> bool:
        """Return whether the same attempt failed within `seconds`. It may be forgotten earlier if there are very many."""
        return attempt in self._attempts

    def wait(self, limits: Limits) -> float:
        """Return the seconds until all these keys may try again; 0 if they may try now."""
        return self._buckets.wait(limits)
