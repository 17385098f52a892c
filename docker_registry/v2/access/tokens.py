"""Tokens for docker, where everybody may pull: who has logged in, signed.

https://distribution.github.io/distribution/spec/auth/token/
"""

import hashlib
import time

from itsdangerous import BadData, URLSafeSerializer

TOKEN_SECONDS = 300  # for which a token is good, if the user stays


class Tokens:
    """Tokens that any instance with the same key knows again. They end with the password that they were given for."""

    def __init__(self, key):
        self._serializer = URLSafeSerializer(key, salt='login', signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user, stored):
        """What a client is answered, for a user and the hash of the password that came; '' and None for nobody."""
        claims = {'user': user, 'password': _fingerprint(stored), 'expires': int(time.time()) + TOKEN_SECONDS}
        token = self._serializer.dumps(claims)
        return {'token': token, 'access_token': token, 'expires_in': TOKEN_SECONDS}

    def read(self, token, users):
        """The user of a token, '' for nobody; None if the token is none of ours, too old, or of a former password.

        :raises htpasswd.Broken:
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


def _fingerprint(stored):
    """What changes when the password does."""
    return stored and hashlib.sha256(stored).hexdigest()[:32]
