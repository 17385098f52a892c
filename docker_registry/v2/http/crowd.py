"""The connections of one worker process: how many a client address may have, and how much memory may wait for slow clients."""

import collections
import contextlib

from docker_registry.v2.access import addresses
from docker_registry.v2.registry import errors

MOST_HELD = 128 * 1024**2  # bytes of bodies in memory that wait for their clients


class Crowd:
    """Counts connections, so that no client address can take them all.

    :param most: connections of all clients. If there are more, the connection that has been open longest without a request ends
    :param most_of_one: connections of one client address
    :param proxies: networks of trusted proxies, whose connections are those of many clients
    """

    def __init__(self, most, most_of_one, proxies=()):
        self._most, self._most_of_one, self._proxies = most, most_of_one, proxies
        self._members = {}  # {socket: household}, in the order of their arrival
        self._counts = collections.Counter()
        self._waiting = {}  # {socket: bytes}, in the order in which they began to wait

    @contextlib.contextmanager
    def joined(self, sock, client):
        """In this block, the connection counts.

        :raises TooManyRequests: its address has too many, or all connections are busy
        """
        household = addresses.household(client)
        if self._counts[household] >= self._most_of_one and not self._is_proxy(client):
            raise errors.TooManyRequests('too many connections of your address', headers={'Retry-After': '5'})
        if len(self._members) >= self._most:
            self._end_one()
        self._members[sock] = household
        self._counts[household] += 1
        try:
            yield
        finally:
            del self._members[sock]
            self._counts[household] -= 1
            if not self._counts[household]:
                del self._counts[household]

    def _is_proxy(self, client):
        address = addresses.address(client)
        return address is not None and any(address in network for network in self._proxies)

    def _end_one(self):
        idle = next((sock for sock in self._members if sock.is_idle), None)
        if idle is None:
            raise errors.TooManyRequests('too many connections', headers={'Retry-After': '5'})
        idle.wake()

    def wake_idle(self):
        """End all connections on which no request has begun."""
        for sock in self._members:
            if sock.is_idle:
                sock.wake()

    @contextlib.contextmanager
    def waiting(self, sock, held):
        """In this block, the connection waits for its client, and `held` bytes of memory with it.

        If all that waits is more than MOST_HELD, the address that holds most loses the connections that have waited longest.
        """
        self._waiting[sock] = held
        while sum(self._waiting.values()) > MOST_HELD:
            self._end_largest()
        try:
            yield
        finally:
            self._waiting.pop(sock, None)

    def _end_largest(self):
        sums = collections.Counter()
        for sock, held in self._waiting.items():
            sums[self._members.get(sock)] += held
        largest = max(sums, key=sums.get)
        sock = next(sock for sock, held in self._waiting.items() if held and self._members.get(sock) == largest)
        del self._waiting[sock]
        sock.wake()
