"""Tokens for docker. A token is a signed statement of who has logged in, and of what the token may be used for.

https://distribution.github.io/distribution/spec/auth/token/ and https://distribution.github.io/distribution/spec/auth/oauth/
"""

import datetime
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2.access.htpasswd import Users
from docker_registry.v2.access.scopes import Scopes

REFRESH_SECONDS = 365 * 24 * 3600  # docker keeps a refresh token instead of the password, and users log in again when it ends
LEEWAY = 60  # seconds for which a token is accepted longer than clients are told, for requests on their way and clocks that differ

# Base64 for URLs, whose decoder would ignore other characters. What is no token needs no key, and so no request to Swift.
_TOKEN = re.compile(rb'\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}')


class Invalid(Exception):
    """A token that is not valid. The text says why, for the client.

    :param user: name of the user that the token was made for, or '' if this registry did not make it
    """

    def __init__(self, text: str, user: str = ''):
        super().__init__(text)
        self.user = user


class Tokens:
    """Makes and reads tokens. All instances with the same key accept them. A token becomes invalid when the password changes.

    An access token opens what its scopes say. A refresh token stands for the password: clients keep it instead, and exchange it for
    access tokens. Neither is good for the other.

    :param key: returns the key, or raises if it cannot be found out
    :param lifetime: seconds for which clients are told to use an access token; clients take less than 60 for 60
    """

    def __init__(self, key: Callable[[], bytes], lifetime: int, users: Users):
        self._key, self._lifetime, self._users = key, lifetime, users

    def _serializer(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key(), salt=kind, signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user: str, stored: bytes | None, scopes: Scopes) -> dict[str, str | int]:
        """Return the response document with a new access token.

        :param user: name of the user, or '' for an anonymous token
        :param stored: stored hash of the user's password, or None for an anonymous token
        :param scopes: what the token may be used for
        """
        issued = int(time.time())
        token = self._serializer('access').dumps({**_claims(user, stored, issued + self._lifetime), 'scope': str(scopes)})
        return {
            'token': token,
            'access_token': token,
            'scope': str(scopes),
            'expires_in': self._lifetime,
            'issued_at': datetime.datetime.fromtimestamp(issued, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
        }

    def make_refresh(self, user: str, stored: bytes | None) -> str:
        return self._serializer('refresh').dumps(_claims(user, stored, int(time.time()) + REFRESH_SECONDS))

    def read(self, token: bytes) -> tuple[str, Scopes]:
        """Return the user of an access token, or '' for an anonymous token, and its scopes.

        :raises Invalid: the token has a wrong signature, has expired, or was made for an earlier password
        :raises htpasswd.Broken: the file of users cannot be used
        """
        claims, _ = self._open('access', token)
        return claims['user'], Scopes.parse(claims['scope'])

    def read_refresh(self, token: bytes) -> tuple[str, bytes | None]:
        """Return the user of a refresh token, and the stored hash of the user's password.

        :raises Invalid: see `read`
        :raises htpasswd.Broken: the file of users cannot be used
        """
        claims, stored = self._open('refresh', token)
        return claims['user'], stored

    def _open(self, kind: str, token: bytes) -> tuple[dict[str, Any], bytes | None]:
        try:
            claims = self._serializer(kind).loads(token) if _TOKEN.fullmatch(token) else None
        except BadData:
            claims = None
        if claims is None:
            raise Invalid('the token is not one of this registry')
        user = claims['user']
        stored = self._users.hash_of(user.encode()) if user else None
        if claims['password'] != _fingerprint(stored) or user and stored is None:
            raise Invalid('the user or the password has changed; log in again', user)
        if claims['expires'] + LEEWAY < time.time():
            raise Invalid('the token has expired', user)
        return claims, stored


def _claims(user: str, stored: bytes | None, expires: int) -> dict[str, Any]:
    return {'user': user, 'password': _fingerprint(stored), 'expires': expires}


def _fingerprint(stored: bytes | None) -> str | None:
    """Return a short value that changes when the password changes; None for an anonymous token."""
    return hashlib.sha256(stored).hexdigest()[:32] if stored else None
