"""Checks what clients send to log in, and makes those wait that fail too often."""

import math
import threading

from docker_registry.v2.access import addresses, htpasswd
from docker_registry.v2.access.failures import Failures, Limits
from docker_registry.v2.registry import errors

FAILURES_SECONDS = 300  # a full count of failed logins drains in this time
ALL_USERS = 10  # an address may fail this many times as often for all users together as for one user
LOGINS = 6  # requests of one process that hash a password or wait for that; hashing occupies the processor


class Logins:
    """The logins of all clients.

    :param most_failures: failed logins of an address for one user, in `FAILURES_SECONDS`, after which it must wait
    """

    def __init__(self, users: htpasswd.Users, most_failures: int):
        self._users, self._most = users, most_failures
        self._failures = Failures(FAILURES_SECONDS)
        self._lock, self._places = threading.Lock(), threading.BoundedSemaphore(LOGINS)

    def check(self, name: bytes, password: bytes, client: str | None) -> bytes | None:
        """Return the stored hash if the password is right, else None.

        :param client: the client's address
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises htpasswd.Broken: the file of users cannot be used
        """
        limits = self._limits(name, client)
        self._require_patience(limits)  # comes first: otherwise guesses could be tried against remembered passwords at full speed
        stored = self._users.recall(name, password)
        if stored or self._failures.has_counted(self._attempt(name, password, client)):
            return stored
        if not self._places.acquire(blocking=False):
            raise errors.TooManyRequests('too many logins in progress; retry in a second', headers={'Retry-After': '1'})
        try:
            with self._lock:
                return self._hash(name, password, client, limits)
        finally:
            self._places.release()

    def refuse(self, name: bytes, token: bytes, client: str | None) -> None:
        """Count a wrong refresh token like a wrong password.

        :param name: user that the token was made for, or b'' if this registry did not make it
        :raises TooManyRequests: too many logins failed
        """
        limits = self._limits(name, client)
        self._require_patience(limits)
        self._failures.count((addresses.household(client or ''), token), limits)

    def _hash(self, name: bytes, password: bytes, client: str | None, limits: Limits) -> bytes | None:
        """Check a password that this process does not know yet. A process checks one password at a time.

        A request that waited may find that another one has checked the same password.
        """
        self._require_patience(limits)
        attempt = self._attempt(name, password, client)
        stored = self._users.recall(name, password)
        if stored or self._failures.has_counted(attempt):
            return stored
        stored = self._users.check(name, password)
        if stored is None:
            self._failures.count(attempt, limits)
        return stored

    def _attempt(self, name: bytes, password: bytes, client: str | None) -> tuple:
        """Return what makes two logins the same. A new password in the file makes the next login another one."""
        return addresses.household(client or ''), name, password, self._users.hash_of(name)

    def _limits(self, name: bytes, client: str | None) -> Limits:
        household = addresses.household(client or '')
        return ((household, name), self._most), ((household,), self._most * ALL_USERS)

    def _require_patience(self, limits: Limits) -> None:
        wait = self._failures.wait(limits)
        if wait:
            raise errors.TooManyRequests(headers={'Retry-After': str(math.ceil(wait))})
