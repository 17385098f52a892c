"""Decides which requests to admit: those of users with a password and, if anonymous pulls are allowed, pulls by everybody.

Users log in with Basic authentication. With anonymous pulls, the registry also issues tokens. docker asks `/v2/` once how to log
in, and cannot pull without a login unless it gets a token: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Protocol

from docker_registry.v2.access import addresses, htpasswd
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.tokens import Tokens
from docker_registry.v2.registry import errors, names

logger = logging.getLogger(__name__)

TOKEN_PATH = '/v2/token'

#: The kinds of access, as the scope of a token for it: https://distribution.github.io/distribution/spec/auth/scope/
PING, PULL, PUSH, CATALOG = '', 'repository:{}:pull', 'repository:{}:pull,push', 'registry:catalog:*'


class Request(Protocol):
    """What the guard reads of a request, and the `user` that it sets."""

    user: str | None
    method: str
    host: str
    scheme: str
    headers: Any
    remote_addr: str | None


class Everybody:
    """The guard of a registry without passwords: admits every request."""

    def admit(self, request: Request, action: str, repository: str | None = None) -> None:
        pass

    def grant(self, request: Request) -> dict:
        raise errors.NotFound(detail=TOKEN_PATH)


class Guard:
    """Admits users and, with `tokens`, pulls by everybody.

    :param users: `htpasswd.Users`
    :param most_failures: see `Logins`
    :param tokens: `tokens.Tokens` if everybody may pull, else None
    """

    def __init__(self, users: htpasswd.Users, most_failures: int, tokens: Tokens | None = None):
        self._users, self._tokens, self._logins = users, tokens, Logins(users, most_failures)
        self._has_warned = False

    def admit(self, request: Request, action: str, repository: str | None = None) -> None:
        """Admit a request and set its `user`, or raise.

        :raises Unauthorized: the request needs a login, or its login or token is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users cannot be used
        """
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

    def grant(self, request: Request) -> dict:
        """Return the response document with a token for the user of a request, or an anonymous token if it has no login.

        :raises NotFound: this registry issues no tokens
        :raises Unauthorized: the login is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users cannot be used
        """
        if not self._tokens:
            raise errors.NotFound(detail=TOKEN_PATH)
        kind, credentials = _authorization(request)
        stored = None
        if kind == 'basic':
            with _known_users():
                request.user, stored = self._log_in(request, credentials, BASIC)
        return self._tokens.make(request.user or '', stored)

    # Passwords

    def _log_in(self, request: Request, credentials: bytes, challenge: str) -> tuple[str, bytes]:
        """Return (user name, stored hash of the password) for right credentials.

        :raises Unauthorized: the user name or the password is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises htpasswd.Broken: the file of users cannot be used
        """
        name, _, password = credentials.partition(b':')
        stored = self._logins.check(name, password, request.remote_addr)
        if stored:
            return name.decode(), stored
        logger.warning(
            'a wrong password for %s from %s', name.decode() if self._users.hash_of(name) else 'an unknown user', request.remote_addr
        )
        raise errors.Unauthorized('wrong user name or password', headers={'WWW-Authenticate': challenge})

    # Challenges

    def _unauthorized(self, request: Request, action: str, repository: str | None, error: str) -> errors.Unauthorized:
        return errors.Unauthorized(headers={'WWW-Authenticate': self._challenge(request, action, repository, error)})

    def _challenge(self, request: Request, action: str, repository: str | None, error: str = '') -> str:
        if not self._tokens or self._is_misled(request):
            return BASIC
        if not addresses.is_host(request.host):
            raise errors.ParameterInvalid('the Host header is not a host name or an address')
        fields = {
            'realm': f'{request.scheme}://{request.host}{TOKEN_PATH}',
            'service': request.host,
            'scope': _scope(action, repository),
            'error': error,
        }
        return 'Bearer ' + ','.join(f'{name}="{value}"' for name, value in fields.items() if value)

    def _is_misled(self, request: Request) -> bool:
        """Return whether an untrusted proxy says that the client uses TLS.

        A token URL without TLS would then make the client send its password in the clear, so it gets a Basic challenge instead.
        """
        misled = request.scheme == 'http' and 'https' in request.headers.get('X-Forwarded-Proto', '').lower()
        if misled and not self._has_warned:
            self._has_warned = True
            logger.warning(
                'the proxy %s says that clients use TLS, but --trusted-proxies (REGISTRY_TRUSTED_PROXIES) does not name it. '
                'Until you add it, docker cannot pull through it without a login',
                request.remote_addr,
            )
        return misled


BASIC = 'Basic realm="registry"'


@contextlib.contextmanager
def _known_users() -> Iterator[None]:
    """Turn `htpasswd.Broken` into `Unavailable`: while the file of users cannot be used, no password can be called wrong."""
    try:
        yield
    except htpasswd.Broken:
        raise errors.Unavailable('the registry cannot look up users at the moment; retry later')


def _scope(action: str, repository: str | None) -> str:
    try:
        return action.format(repository and names.repository(repository))
    except errors.NameInvalid:  # such a repository cannot exist, so it needs no scope
        return ''


def _authorization(request: Request) -> tuple[str, bytes]:
    """Return (scheme in lower case, credentials) of a request. Credentials of Basic are decoded (RFC 7617).

    The scheme is '' if there is no Authorization header, or if Basic credentials are not base64.
    """
    scheme, _, credentials = request.headers.get('Authorization', '').strip().partition(' ')
    if scheme.lower() != 'basic':
        return scheme.lower(), credentials.strip().encode('latin-1')
    try:
        return 'basic', base64.b64decode(credentials.strip(), validate=True)
    except ValueError:
        return '', b''
