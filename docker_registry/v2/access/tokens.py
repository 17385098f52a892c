"""Tokens for docker, used where everybody may pull. A token is a signed statement of who has logged in.

https://distribution.github.io/distribution/spec/auth/token/
"""

import hashlib
import time

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2.access.htpasswd import Users

TOKEN_SECONDS = 300  # lifetime of a token, unless its user or the user's password changes before


class Tokens:
    """Makes and reads tokens. All instances with the same key accept them. A token becomes invalid when the password changes."""

    def __init__(self, key: bytes):
        self._serializer = URLSafeSerializer(key, salt='login', signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user: str, stored: bytes | None) -> dict[str, str | int]:
        """Return the response document with a new token.

        :param user: name of the user, or '' for an anonymous token
        :param stored: stored hash of the user's password, or None for an anonymous token
        """
        claims = {'user': user, 'password': _fingerprint(stored), 'expires': int(time.time()) + TOKEN_SECONDS}
        token = self._serializer.dumps(claims)
        return {'token': token, 'access_token': token, 'expires_in': TOKEN_SECONDS}

    def read(self, token: bytes, users: Users) -> str | None:
        """Return the user of a token, or '' for an anonymous token.

        Return None if the token is invalid: it has a wrong signature, has expired, or was made for an earlier password.

        :raises htpasswd.Broken: the file of users cannot be used
        """
        try:
            claims = self._serializer.loads(token)
        except BadData:
            return None
        user = claims['user']
        stored = users.hash_of(user.encode()) if user else None
        if claims['expires'] < time.time() or claims['password'] != _fingerprint(stored) or user and stored is None:
            return None
        return user


def _fingerprint(stored: bytes | None) -> str | None:
    """Return a short value that changes when the password changes; None for an anonymous token."""
    return hashlib.sha256(stored).hexdigest()[:32] if stored else None
