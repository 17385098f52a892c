"""The connections of one worker process."""

import contextlib

from docker_registry.v2.access import addresses
from docker_registry.v2.registry import errors


class Crowd:
    """Counts connections, so that no client address can take them all.

    :param most: connections of all clients. If there are more, the connection that has been open longest without a request ends
    :param most_of_one: connections of one client address
    :param proxies: networks of trusted proxies, whose connections are those of many clients
    """

    def __init__(self, most, most_of_one, proxies=()):
        self._most, self._most_of_one, self._proxies = most, most_of_one, proxies
        self._sockets = {}  # in the order of their arrival
        self._counts = {}

    @contextlib.contextmanager
    def joined(self, sock, client):
        """In this block, the connection counts.

        :raises TooManyRequests: its address has too many
        """
        household = addresses.household(client)
        if self._counts.get(household, 0) >= self._most_of_one and not self._is_proxy(client):
            raise errors.TooManyRequests('too many connections of your address', headers={'Retry-After': '5'})
        if len(self._sockets) >= self._most:
            self._end_one()
        key = object()
        self._sockets[key] = sock
        self._counts[household] = self._counts.get(household, 0) + 1
        try:
            yield
        finally:
            del self._sockets[key]
            self._counts[household] -= 1
            if not self._counts[household]:
                del self._counts[household]

    def _is_proxy(self, client):
        address = addresses.address(client)
        return address is not None and any(address in network for network in self._proxies)

    def _end_one(self):
        idle = next((sock for sock in self._sockets.values() if sock.is_idle), None)
        if idle:
            idle.wake()

    def wake_idle(self):
        """End all connections on which no request has begun."""
        for sock in self._sockets.values():
            if sock.is_idle:
                sock.wake()
