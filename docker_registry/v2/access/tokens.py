"""Tokens for docker. A token is a signed statement of who has logged in, and of what the token may be used for.

https://distribution.github.io/distribution/spec/auth/token/
"""

import datetime
import hashlib
import time

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2.access.htpasswd import Users
from docker_registry.v2.access.scopes import Scopes

LEEWAY = 60  # seconds for which a token is accepted longer than clients are told, for requests on their way and clocks that differ


class Invalid(Exception):
    """A token that is not valid. The text says why, for the client."""


class Tokens:
    """Makes and reads tokens. All instances with the same key accept them. A token becomes invalid when the password changes.

    :param lifetime: seconds for which clients are told to use a token; clients take less than 60 for 60
    """

    def __init__(self, key: bytes, lifetime: int, users: Users):
        self._lifetime, self._users = lifetime, users
        self._serializer = URLSafeSerializer(key, salt='access', signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user: str, stored: bytes | None, scopes: Scopes) -> dict[str, str | int]:
        """Return the response document with a new token.

        :param user: name of the user, or '' for an anonymous token
        :param stored: stored hash of the user's password, or None for an anonymous token
        :param scopes: what the token may be used for
        """
        issued = int(time.time())
        claims = {'user': user, 'password': _fingerprint(stored), 'expires': issued + self._lifetime, 'scope': str(scopes)}
        token = self._serializer.dumps(claims)
        return {
            'token': token,
            'access_token': token,
            'scope': str(scopes),
            'expires_in': self._lifetime,
            'issued_at': datetime.datetime.fromtimestamp(issued, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
        }

    def read(self, token: bytes) -> tuple[str, Scopes]:
        """Return the user of a token, or '' for an anonymous token, and its scopes.

        :raises Invalid: the token has a wrong signature, has expired, or was made for an earlier password
        :raises htpasswd.Broken: the file of users cannot be used
        """
        try:
            claims = self._serializer.loads(token)
        except BadData:
            raise Invalid('the token is not one of this registry')
        user = claims['user']
        stored = self._users.hash_of(user.encode()) if user else None
        if claims['password'] != _fingerprint(stored) or user and stored is None:
            raise Invalid('the user or the password has changed; log in again')
        if claims['expires'] + LEEWAY < time.time():
            raise Invalid('the token has expired')
        return user, Scopes.parse(claims['scope'])


def _fingerprint(stored: bytes | None) -> str | None:
    """Return a short value that changes when the password changes; None for an anonymous token."""
    return hashlib.sha256(stored).hexdigest()[:32] if stored else None
