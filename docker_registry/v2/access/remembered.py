"""Right passwords, remembered for a short time, because clients send them with each request."""

import hmac
import os

from docker_registry.v2.access.identity import Identity
from docker_registry.v2.registry.recent import Recent

REMEMBERED_SECONDS = 300  # from when the password was checked: it does not matter how often it is used


class Remembered:
    """The right logins of the last `REMEMBERED_SECONDS` in this process. Of what a client has sent, it keeps only a keyed hash."""

    def __init__(self) -> None:
        self._recent, self._key = Recent(REMEMBERED_SECONDS), os.urandom(32)

    def add(self, identity: Identity, *login: bytes) -> None:
        """Remember who it is that has sent a login.

        :param login: the name, the password, and whatever else must still be the same
        """
        self._recent.add(self._mark(login), identity)

    def get(self, *login: bytes) -> Identity | None:
        return self._recent.get(self._mark(login))

    def _mark(self, login: tuple[bytes, ...]) -> bytes:
        return hmac.digest(self._key, b''.join(b'%d:%b' % (len(part), part) for part in login), 'sha256')
