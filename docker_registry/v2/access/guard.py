"""Who may come in: users with a password and, if that is allowed, everybody to pull.

Users log in with Basic. Where everybody may pull there are tokens besides, since docker asks for one or the other before it asks for
anything else, and has no way to ask for nothing: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import contextlib
import logging
import math
import threading

from docker_registry.v2.access import addresses, htpasswd
from docker_registry.v2.access.failures import Failures
from docker_registry.v2.registry import errors, names

logger = logging.getLogger(__name__)

FAILURES_SECONDS = 300  # for which a failed login counts
ALL_USERS = 10  # times as many as for one user may fail for an address
LOGINS = 6  # that may wait in a process at a time, of the requests that it serves: what they wait for takes the processor
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
    :param tokens: `tokens.Tokens`, if everybody may pull
    """

    def __init__(self, users, most_failures, tokens=None):
        self._users, self._tokens = users, tokens
        self._most, self._failures = most_failures, Failures(FAILURES_SECONDS)
        self._lock, self._places = threading.Lock(), threading.BoundedSemaphore(LOGINS)
        self._has_warned = False

    def admit(self, request, action, repository=None):
        """Let a request pass, with its `user`; :raises Unauthorized, TooManyRequests, Unavailable:"""
        if action == PULL and request.method not in ('GET', 'HEAD'):
            action = PUSH
        kind, credentials = _authorization(request)
        with _known_users():
            if kind == 'basic':
                request.user, _ = self._log_in(request, credentials, self._challenge(request, action, repository))
            elif kind == 'bearer' and self._tokens:
                request.user = self._tokens.read(credentials, self._users)
                if request.user is None:
                    raise self._unauthorized(request, action, repository, 'invalid_token')
        anonymous = self._tokens and (action == PULL or action == PING and kind == 'bearer')
        if not request.user and not anonymous:
            raise self._unauthorized(request, action, repository, 'insufficient_scope' if kind == 'bearer' else '')

    def grant(self, request):
        """A token for the user of a request, or for nobody; :raises Unauthorized, TooManyRequests, Unavailable:"""
        if not self._tokens:
            raise errors.NotFound(detail=TOKEN_PATH)
        kind, credentials = _authorization(request)
        stored = None
        if kind == 'basic':
            with _known_users():
                request.user, stored = self._log_in(request, credentials, BASIC)
        return self._tokens.make(request.user, stored)

    # Passwords

    def _log_in(self, request, credentials, challenge):
        """(name of the user whose password came, the hash of that); :raises Unauthorized, TooManyRequests, htpasswd.Broken:"""
        name, _, password = credentials.partition(b':')
        household = addresses.household(request.remote_addr or '')
        limits = ((household, name), self._most), ((household,), self._most * ALL_USERS)
        self._require_patience(limits)  # before all else: no guess is free, not even of what is remembered
        stored = self._users.recall(name, password) or self._check(name, password, limits)
        if stored:
            return name.decode(), stored
        logger.warning(
            'a wrong password for %s from %s',
            name.decode() if self._users.hash_of(name) else 'a user that there is not',
            request.remote_addr,
        )
        raise errors.Unauthorized('wrong user name or password', headers={'WWW-Authenticate': challenge})

    def _check(self, name, password, limits):
        """The hash that a password is right for, or None, and then it is counted. One at a time: those that wait may find it done."""
        if not self._places.acquire(blocking=False):
            raise errors.TooManyRequests('too many logins at a time', headers={'Retry-After': '1'})
        try:
            with self._lock:
                self._require_patience(limits)
                stored = self._users.recall(name, password) or self._users.check(name, password)
                for key, most in limits if stored is None else ():
                    self._failures.count(key, most)
                return stored
        finally:
            self._places.release()

    def _require_patience(self, limits):
        wait = max(self._failures.wait(key, most) for key, most in limits)
        if wait:
            raise errors.TooManyRequests(headers={'Retry-After': str(math.ceil(wait))})

    # Challenges

    def _unauthorized(self, request, action, repository, error):
        return errors.Unauthorized(headers={'WWW-Authenticate': self._challenge(request, action, repository, error)})

    def _challenge(self, request, action, repository, error=''):
        if not self._tokens or self._is_misled(request):
            return BASIC
        if not addresses.is_host(request.host):
            raise errors.ParameterInvalid('the Host is no name or address')
        fields = {
            'realm': f'{request.scheme}://{request.host}{TOKEN_PATH}',
            'service': request.host,
            'scope': _scope(action, repository),
            'error': error,
        }
        return 'Bearer ' + ','.join(f'{name}="{value}"' for name, value in fields.items() if value)

    def _is_misled(self, request):
        """Whether a proxy says that the client came by TLS, and is not trusted: it would be sent to a URL without, password and all."""
        misled = request.scheme == 'http' and 'https' in request.headers.get('X-Forwarded-Proto', '').lower()
        if misled and not self._has_warned:
            self._has_warned = True
            logger.warning(
                '%s says that clients come by TLS, and --trusted-proxies (REGISTRY_TRUSTED_PROXIES) does not name it: docker '
                'cannot pull without a login through it',
                request.remote_addr,
            )
        return misled


BASIC = 'Basic realm="registry"'


@contextlib.contextmanager
def _known_users():
    """:raises Unavailable: it could not be found out who the users are; that nobody is one is not for us to say"""
    try:
        yield
    except htpasswd.Broken:
        raise errors.Unavailable('users cannot be looked up for the moment')


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
