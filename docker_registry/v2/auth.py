"""Who may come in: users with a password and, if that is allowed, everybody to pull.

Users log in with Basic. Where everybody may pull there are tokens besides, since docker asks for one or the other before it asks for
anything else, and has no way to ask for nothing: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import hashlib
import logging
import math
import threading
import time

from itsdangerous import BadData, URLSafeSerializer

from docker_registry.v2 import errors, names, proxies
from docker_registry.v2.failures import Failures

logger = logging.getLogger(__name__)

FAILURES_SECONDS = 300  # for which a failed login counts
ALL_USERS = 10  # times as many as for one user may fail for an address
TOKEN_SECONDS = 300  # for which a token is good, if the user stays
TOKEN_PATH = '/v2/token'

#: What there is to be admitted to, each with the scope of a token for it: https://distribution.github.io/distribution/spec/auth/scope/
PING, PULL, PUSH, CATALOG = '', 'repository:{}:pull', 'repository:{}:pull,push', 'registry:catalog:*'


class Everybody:
    """Nobody is asked who they are."""

    def admit(self, request, action, repository=None):
        pass

    def grant(self, request):
        raise errors.NotFound(detail=TOKEN_PATH)


class Guard:
    """Lets users in and, where `tokens` are, everybody to pull.

    :param users: `htpasswd.Users`
    :param most_failures: of an address for one user, in `FAILURES_SECONDS`
    :param tokens: `Tokens`, if everybody may pull
    """

    def __init__(self, users, most_failures, tokens=None):
        self._users, self._tokens = users, tokens
        self._most, self._failures = most_failures, Failures(FAILURES_SECONDS)
        self._locks = [threading.Lock() for _ in range(64)]

    def admit(self, request, action, repository=None):
        """Let a request pass, with its `user`; :raises Unauthorized, TooManyRequests:"""
        if action == PULL and request.method not in ('GET', 'HEAD'):
            action = PUSH
        kind, credentials = _authorization(request)
        if kind == 'basic':
            request.user = self._user(request, credentials, self._challenge(request, action, repository))
        elif kind == 'bearer' and self._tokens:
            request.user = self._tokens.read(credentials, self._users)
            if request.user is None:
                raise self._unauthorized(request, action, repository, 'invalid_token')
        anonymous = self._tokens and (action == PULL or action == PING and kind == 'bearer')
        if not request.user and not anonymous:
            raise self._unauthorized(request, action, repository, 'insufficient_scope' if kind == 'bearer' else '')

    def grant(self, request):
        """A token for the user of a request, or for nobody; :raises Unauthorized, TooManyRequests:"""
        if not self._tokens:
            raise errors.NotFound(detail=TOKEN_PATH)
        kind, credentials = _authorization(request)
        if kind == 'basic':
            request.user = self._user(request, credentials, BASIC)
        return self._tokens.make(request.user, self._users)

    # Passwords

    def _user(self, request, credentials, challenge):
        """The name of the user whose password came; :raises Unauthorized, TooManyRequests:"""
        name, _, password = credentials.partition(b':')
        household = proxies.household(request.remote_addr or '')
        limits = ((household, name), self._most), ((household,), self._most * ALL_USERS)
        self._require_patience(limits)  # before all else: no guess is free, not even of what is remembered
        if self._users.remembers(name, password):
            return name.decode()
        with self._locks[hash((household, name)) % len(self._locks)]:  # one guess after another
            self._require_patience(limits)
            if self._users.remembers(name, password) or self._users.check(name, password):
                return name.decode()
            for key, most in limits:
                self._failures.count(key, most)
        logger.warning('a wrong password for %s from %s', name.decode() if self._users.hash_of(name) else 'a user that there is not',
                       request.remote_addr)
        raise errors.Unauthorized('wrong user name or password', headers={'WWW-Authenticate': challenge})

    def _require_patience(self, limits):
        wait = max(self._failures.wait(key, most) for key, most in limits)
        if wait:
            raise errors.TooManyRequests(headers={'Retry-After': str(math.ceil(wait))})

    # Challenges

    def _unauthorized(self, request, action, repository, error):
        return errors.Unauthorized(headers={'WWW-Authenticate': self._challenge(request, action, repository, error)})

    def _challenge(self, request, action, repository, error=''):
        if not self._tokens:
            return BASIC
        if not proxies.is_host(request.host):
            raise errors.ParameterInvalid('the Host is no name or address')
        fields = {'realm': f'{request.scheme}://{request.host}{TOKEN_PATH}', 'service': request.host,
                  'scope': _scope(action, repository), 'error': error}
        return 'Bearer ' + ','.join(f'{name}="{value}"' for name, value in fields.items() if value)


BASIC = 'Basic realm="registry"'


def _scope(action, repository):
    try:
        return action.format(repository and names.repository(repository))
    except errors.NameInvalid:  # of which nothing is to be had anyway
        return ''


def _authorization(request):
    """(scheme, credentials) of the request, those of Basic decoded; ('', b'') without any or with nonsense: RFC 7617"""
    scheme, _, credentials = request.headers.get('Authorization', '').strip().partition(' ')
    if scheme.lower() != 'basic':
        return scheme.lower(), credentials.strip()
    try:
        return 'basic', base64.b64decode(credentials.strip(), validate=True)
    except ValueError:
        return '', b''


class Tokens:
    """Tokens that any instance with the same key knows again. They end with the password that they were given for."""

    def __init__(self, key):
        self._serializer = URLSafeSerializer(key, salt='login', signer_kwargs={'digest_method': hashlib.sha256})

    def make(self, user, users):
        """What a client is answered; `user` is '' for nobody."""
        claims = {'user': user, 'password': _fingerprint(user, users), 'expires': int(time.time()) + TOKEN_SECONDS}
        token = self._serializer.dumps(claims)
        return {'token': token, 'access_token': token, 'expires_in': TOKEN_SECONDS}

    def read(self, token, users):
        """The user of a token, '' for nobody; None if the token is none of ours, too old, or of a former password."""
        try:
            claims = self._serializer.loads(token)
        except BadData:
            return None
        user = claims['user']
        if claims['expires'] < time.time() or claims['password'] != _fingerprint(user, users):
            return None
        return user


def _fingerprint(user, users):
    """What changes when the user's password does; of a user that is gone it is what no token has."""
    if not user:
        return ''
    stored = users.hash_of(user.encode())
    return stored and hashlib.sha256(stored).hexdigest()[:32]
