"""Fairness between clients: how many requests of one address are worked on at a time, and what a slow client must let go of."""

import contextlib
import threading

from docker_registry.v2.access import addresses
from docker_registry.v2.registry import errors

PATIENCE = 120  # seconds that a request waits for its turn


class Places:
    """Places for requests. A process works on at most `most` requests of one address at a time; more of them wait for their turn."""

    def __init__(self, most):
        self._most = most
        self._lock = threading.Lock()
        self._counters = {}  # household: [semaphore, number of requests that hold or want a place]

    def take(self, household, patience=None):
        """Wait for a place. Return whether it is there in time.

        :param patience: seconds; None waits for ever
        """
        with self._lock:
            counter = self._counters.setdefault(household, [threading.Semaphore(self._most), 0])
            counter[1] += 1
        taken = counter[0].acquire(timeout=patience)
        if not taken:
            self._forget(household)
        return taken

    def give(self, household):
        with self._lock:
            self._counters[household][0].release()
        self._forget(household)

    def _forget(self, household):
        with self._lock:
            counter = self._counters[household]
            counter[1] -= 1
            if not counter[1]:
                del self._counters[household]


class Work:
    """The work on one request. While it is paused, requests of the same address get its place, and `stream` is released.

    :raises TooManyRequests: too many requests of this address are being worked on
    """

    collects = False  # whether the body of the request is kept in memory until all of it is there
    stream = None  # what the response is read from, with a method `release`

    def __init__(self, places, client):
        self._places, self._household = places, addresses.household(client or '')
        if not places.take(self._household, PATIENCE):
            raise errors.TooManyRequests(
                'too many requests of your address at a time; retry in a few seconds', headers={'Retry-After': '5'}
            )
        self._has_place = True

    @contextlib.contextmanager
    def paused(self):
        """In this block, the client makes the registry wait. If that fails, the work does not go on.

        Work that has ended takes no place again: its connection may still wait, for what belongs to no other work.
        """
        had_place = self._has_place
        if self.stream:
            self.stream.release()
        self._give()
        yield
        if had_place:
            self._has_place = self._places.take(self._household)

    def end(self):
        self.stream = None
        self._give()

    def _give(self):
        if self._has_place:
            self._has_place = False
            self._places.give(self._household)
