"""Logins with the users of the Swift account in which the registry lies, where Swift itself knows them (v1 auth).

https://docs.openstack.org/swift/latest/overview_auth.html#tempauth
"""

import logging
import re
from collections.abc import Callable

from swiftclient import client as swiftclient

from docker_registry.v2.access import outside
from docker_registry.v2.access.identity import Identity, quoted
from docker_registry.v2.access.remembered import Remembered

logger = logging.getLogger(__name__)

KIND = 'swift'  # the name of this login


class SwiftAccount:
    """The users of one account of Swift.

    The name of a user in v1 auth is `account:user`. Basic authentication takes a colon for the end of the name, so a user types
    `user@account`. In a name, `%40` stands for `@` and so on.

    :param server: that of v1 auth
    :param storage_url: returns the storage URL of the registry
    """

    kind = KIND
    at_a_time = outside.AT_A_TIME

    def __init__(self, server: outside.Server, storage_url: Callable[[], str]):
        self._server, self._storage_url, self._remembered = server, storage_url, Remembered()

    def __str__(self) -> str:
        return f'the users of the Swift account at {self._server.url}'

    def knows(self, name: bytes) -> bool:
        return _parsed(name) is not None

    def user_of(self, name: bytes) -> bytes:
        return outside.likeness(*_parsed(name) or ())

    def identity(self, name: bytes) -> None:
        return None

    def recall(self, name: bytes, password: bytes) -> Identity | None:
        return self._remembered.get(name, password)

    def check(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is if the password is right and the user is one of this account, else None.

        :raises Unavailable: Swift does not say whether it is right
        :raises TooManyRequests: Swift wants to be asked later
        """
        parts, key = _parsed(name), outside.password(password)
        if not parts or not key.isprintable() or key != key.strip():  # a header can hold no other key
            return None
        user, account = parts
        url = key and self._server.ask(self._ask, f'{account}:{user}', key)
        if not url or not self._is_own(url, user, account):
            return None
        person, place = quoted(user), quoted(account)
        identity = Identity(f'{person}@{place}', frozenset({f'{KIND}:{place}', f'{KIND}-user:{person}@{place}'}), KIND)
        self._remembered.add(identity, name, password)
        return identity

    def _ask(self, http: outside.Session, user: str, key: str) -> str | None:
        """Return the storage URL of a user, or None if the password is wrong."""
        connection = swiftclient.HTTPConnection(self._server.url)
        connection.request_session = http
        # requests sends text as Latin-1 and fails on other characters
        headers = {'X-Auth-User': user.encode(), 'X-Auth-Key': key.encode()}
        answer = connection.request('GET', connection.parsed_url.path or '/', None, headers)
        if answer.status_code in (401, 403):
            return None
        url = answer.headers.get('X-Storage-Url')
        if not url or not answer.ok:
            raise self._server.failed(f'it does not answer like v1 auth (status {answer.status_code}). Check the URL')
        return url

    def _is_own(self, url: str, user: str, account: str) -> bool:
        """Return whether a storage URL is that of the registry's account. Its host may differ, such as for a network inside the cloud."""
        own = _account_path(self._storage_url())
        if own is None:
            raise self._server.failed(
                'the storage URL names no account, so nobody can say whose users these are. With Ceph, set rgw_swift_account_in_url'
            )
        if _account_path(url) == own:
            return True
        logger.warning('Swift lets %s@%s in, but to another account than that of this registry', quoted(user), quoted(account))
        return False


def _parsed(name: bytes) -> tuple[str, str] | None:
    """Return the user and the account; None if this is no such name."""
    raw_user, _, raw_account = name.rpartition(b'@')
    user, account = outside.part(raw_user), outside.part(raw_account)
    if not user or not account or b'/' in name or ':' in account or (user.strip(), account.strip()) != (user, account):
        return None  # a header loses blanks at its ends
    return user, account


def _account_path(url: str) -> str | None:
    """Return the path of a storage URL, which ends with the account; None if it names no account."""
    match = re.fullmatch(r'https?://[^/?#]+(/(?:[^?#]+/)?v1(?:\.0)?/[^/?#]+)/*', url)
    return match and match[1]
