"""Tokens for docker. A token is a signed statement of who has logged in, and of what the token may be used for.

https://distribution.github.io/distribution/spec/auth/token/ and https://distribution.github.io/distribution/spec/auth/oauth/
"""

import datetime
import hashlib
import re
import time
from collections.abc import Callable, Collection
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.access.scopes import Scopes

REFRESH_SECONDS = 365 * 24 * 3600  # docker keeps a refresh token instead of the password, and users log in again when it ends
OUTSIDE_SECONDS = 300  # the longest lifetime of a token for a user whom the registry cannot look up when the token is used
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
    """Makes and reads tokens. All instances with the same key accept them.

    The token of a user of the htpasswd file becomes invalid when the password changes. That of any other user says who the user is, and
    becomes invalid after `OUTSIDE_SECONDS`, or when the registry no longer has this kind of login.

    An access token opens what its scopes say. A refresh token stands for the password: clients keep it instead, and exchange it for
    access tokens. Neither is good for the other.

    :param key: returns the key, or raises if it cannot be found out
    :param lifetime: seconds for which clients are told to use an access token; clients take less than 60 for 60
    :param users: those of the htpasswd file, or None
    :param kinds: other kinds of login that the registry has
    """

    def __init__(self, key: Callable[[], bytes], lifetime: int, users: htpasswd.Users | None, kinds: Collection[str] = ()):
        self._key, self._lifetime, self._users, self._kinds = key, lifetime, users, kinds

    def _serializer(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key(), salt=kind, signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, identity: Identity, scopes: Scopes) -> dict[str, str | int]:
        """Return the response document with a new access token.

        :param scopes: what the token may be used for
        """
        issued, lifetime = int(time.time()), self._lifetime
        if identity.source in self._kinds:
            lifetime = min(lifetime, OUTSIDE_SECONDS)
        token = self._serializer('access').dumps({**_claims(identity, issued + lifetime), 'scope': str(scopes)})
        return {
            'token': token,
            'access_token': token,
            'scope': str(scopes),
            'expires_in': lifetime,
            'issued_at': datetime.datetime.fromtimestamp(issued, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
        }

    def make_refresh(self, identity: Identity) -> str | None:
        """Return a refresh token, or None for a user whose password only another place can check."""
        if identity.source in self._kinds:
            return None
        return self._serializer('refresh').dumps(_claims(identity, int(time.time()) + REFRESH_SECONDS))

    def read(self, token: bytes) -> tuple[Identity, Scopes]:
        """Return who has an access token, and its scopes.

        :raises Invalid: the token has a wrong signature, has expired, or was made for an earlier password
        :raises watched.Broken: the file of users cannot be used
        """
        claims, identity = self._open('access', token)
        return identity, Scopes.parse(claims['scope'])

    def read_refresh(self, token: bytes) -> Identity:
        """Return who has a refresh token.

        :raises Invalid: see `read`
        :raises watched.Broken: the file of users cannot be used
        """
        return self._open('refresh', token)[1]

    def _open(self, kind: str, token: bytes) -> tuple[dict[str, Any], Identity]:
        try:
            claims = self._serializer(kind).loads(token) if _TOKEN.fullmatch(token) else None
        except BadData:
            claims = None
        if claims is None:
            raise Invalid('the token is not one of this registry')
        identity = self._identity(claims)
        if identity is None:
            raise Invalid('the user or the password has changed; log in again', claims['user'])
        if claims['expires'] + LEEWAY < time.time():
            raise Invalid('the token has expired', claims['user'])
        return claims, identity

    def _identity(self, claims: dict[str, Any]) -> Identity | None:
        """Return whom the registry made a token for, or None if that is no user of it any more."""
        user = claims['user']
        if not user:
            return ANONYMOUS
        if 'source' in claims:
            return Identity(user, frozenset(claims['principals']), claims['source']) if claims['source'] in self._kinds else None
        found = self._users.identity(user.encode()) if self._users else None
        return found if found and claims['password'] == _fingerprint(found) else None


def _claims(identity: Identity, expires: int) -> dict[str, Any]:
    claims: dict[str, Any] = {'user': identity.name, 'expires': expires}
    if identity.source in ('', htpasswd.KIND):
        return claims | {'password': _fingerprint(identity)}
    return claims | {'source': identity.source, 'principals': sorted(identity.principals)}


def _fingerprint(identity: Identity) -> str | None:
    """Return a short value that changes when the password changes; None for an anonymous token."""
    return hashlib.sha256(identity.stored).hexdigest()[:32] if identity.stored else None
