"""Tokens for docker, used where everybody may pull. A token is a signed statement of who has logged in.

https://distribution.github.io/distribution/spec/auth/token/
"""

import datetime
import hashlib
import time

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2.access.htpasswd import Users

LEEWAY = 60  # seconds for which a token is accepted longer than clients are told, for requests on their way and clocks that differ


class Tokens:
    """Makes and reads tokens. All instances with the same key accept them. A token becomes invalid when the password changes.

    :param lifetime: seconds for which clients are told to use a token; clients take less than 60 for 60
    """

    def __init__(self, key: bytes, lifetime: int):
        self._lifetime = lifetime
        self._serializer = URLSafeSerializer(key, salt='login', signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user: str, stored: bytes | None) -> dict[str, str | int]:
        """Return the response document with a new token.

        :param user: name of the user, or '' for an anonymous token
        :param stored: stored hash of the user's password, or None for an anonymous token
        """
        issued = int(time.time())
        token = self._serializer.dumps({'user': user, 'password': _fingerprint(stored), 'expires': issued + self._lifetime})
        return {
            'token': token,
            'access_token': token,
            'expires_in': self._lifetime,
            'issued_at': datetime.datetime.fromtimestamp(issued, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
        }

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
        if claims['expires'] + LEEWAY < time.time() or claims['password'] != _fingerprint(stored) or user and stored is None:
            return None
        return user


def _fingerprint(stored: bytes | None) -> str | None:
    """Return a short value that changes when the password changes; None for an anonymous token."""
    return hashlib.sha256(stored).hexdigest()[:32] if stored else None
