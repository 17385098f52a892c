"""Fairness between clients: how many requests of one address are worked on at a time, and what a slow client must let go of.

Storage can be busy with cheap requests, such as HEAD of a manifest. So an address has few places for them, and more for the bodies of
blobs: these last long, and are limited by how fast the client is.
"""

import contextlib
import threading

from docker_registry.v2.access import addresses
from docker_registry.v2.registry import errors

SHARE = 4  # places for bodies of blobs, for each place for other requests
PAGE_SHARE = 16  # and for each place for pages, which take up to ten requests to Swift and some milliseconds of the processor
PATIENCE = 120  # seconds that a request waits for its turn


class Places:
    """The places of all addresses in one process.

    :param most: for bodies of blobs on their way from or to one address. For its other requests there are fewer: one for `SHARE` of these,
        and one for `PAGE_SHARE` for the pages for browsers
    """

    def __init__(self, most):
        self.transfers, self.others, self.pages = Kind(most), Kind(-(-most // SHARE)), Kind(-(-most // PAGE_SHARE))


class Kind:
    """Places of one kind: `most` for each address. Who wants one more waits for a turn."""

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

    def __init__(self, places, client, is_page=False):
        self._places, self._household = places, addresses.household(client or '')
        self._kind, self._has_place = places.pages if is_page else places.others, False
        self._take(self._kind)

    def transfer(self, stream=None):
        """Change the place for one of those for the bodies of blobs. From here on, the work is as long as the body.

        :param stream: what the response is read from
        :raises TooManyRequests: too many bodies of this address are on their way
        """
        self.stream = stream
        transfers = self._places.transfers
        if transfers.take(self._household, 0):
            self._kind.give(self._household)
            self._kind = transfers
        else:
            self._let_go()
            self._take(transfers)

    def _take(self, kind):
        if not kind.take(self._household, PATIENCE):
            raise errors.TooManyRequests(
                'too many requests of your address at a time; retry in a few seconds', headers={'Retry-After': '5'}
            )
        self._kind, self._has_place = kind, True

    @contextlib.contextmanager
    def paused(self):
        """In this block, the client makes the registry wait. If that fails, the work does not go on.

        Work that has ended takes no place again: its connection may still wait, for what belongs to no other work.
        """
        had_place = self._let_go()
        yield
        if had_place:
            self._has_place = self._kind.take(self._household)

    def _let_go(self):
        """Give back the place, and what `stream` holds. Return whether there was a place."""
        if self.stream:
            self.stream.release()
        had_place, self._has_place = self._has_place, False
        if had_place:
            self._kind.give(self._household)
        return had_place

    def end(self):
        self.stream = None
        self._let_go()
