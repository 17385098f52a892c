"""Decides which requests to admit: those of users with a password and, if anonymous pulls are allowed, pulls by everybody.

Users log in with Basic authentication, or exchange their password for a token. docker asks `/v2/` once how to log in, and cannot pull
without a login unless it gets a token: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Protocol

from docker_registry.v2.access import addresses, htpasswd
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.access.tokens import Invalid, Tokens
from docker_registry.v2.registry import errors, names

logger = logging.getLogger(__name__)

TOKEN_PATH = '/v2/token'

#: The kinds of access: the type of the resource, and the actions on it.
PING, CATALOG = ('', ()), ('registry', ('*',))
PULL, PUSH, DELETE = ('repository', ('pull',)), ('repository', ('pull', 'push')), ('repository', ('delete',))

Access = tuple[str, tuple[str, ...]]


class Request(Protocol):
    """What the guard reads of a request, and what it sets: the `user`, and the `scopes` if a token limits them."""

    user: str | None
    scopes: Scopes | None
    method: str
    args: Any
    host: str
    scheme: str
    headers: Any
    remote_addr: str | None


class Everybody:
    """The guard of a registry without passwords: admits every request."""

    everybody_pulls = True

    def admit(self, request: Request, access: Access, repository: str | None = None) -> None:
        pass

    def may_mount(self, request: Request, source: str | None) -> bool:
        return True

    def grant(self, request: Request, kind: str, credentials: bytes, asked: Scopes, offline: bool) -> dict:
        raise errors.NotFound(detail=TOKEN_PATH)


class Guard:
    """Admits users and, if `everybody_pulls`, pulls by everybody.

    :param users: `htpasswd.Users`
    :param most_failures: see `Logins`
    :param tokens: `tokens.Tokens` to ask clients for tokens, or None to ask for passwords; needed if everybody may pull
    """

    def __init__(self, users: htpasswd.Users, most_failures: int, tokens: Tokens | None, everybody_pulls: bool):
        self.everybody_pulls = everybody_pulls
        self._tokens, self._logins = tokens, Logins([users], most_failures)
        self._has_warned = False

    def admit(self, request: Request, access: Access, repository: str | None = None) -> None:
        """Admit a request and set its `user`, or raise.

        :raises Unauthorized: the request needs a login, its login or token is wrong, or its token is for something else
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users cannot be used
        """
        if access == PULL and request.method not in ('GET', 'HEAD'):
            access = DELETE if request.method == 'DELETE' else PUSH
        needed = _needed(access, repository)
        kind, credentials = authorization(request)
        with _known_users():
            if kind == 'basic':
                request.user = self._log_in(request, credentials, self._challenge(request, needed)).name
            elif kind == 'bearer' and self._tokens:
                try:
                    identity, request.scopes = self._tokens.read(credentials)
                    request.user = identity.name
                except Invalid as error:
                    raise self._unauthorized(request, needed, 'invalid_token', str(error))
        anonymous = self.everybody_pulls and (access == PULL or access == PING and kind == 'bearer')
        if not request.user and not anonymous or request.scopes is not None and not request.scopes.covers(needed):
            raise self._unauthorized(request, needed, 'insufficient_scope' if kind == 'bearer' else '')

    def may_mount(self, request: Request, source: str | None) -> bool:
        """Return whether an admitted request may mount a blob from a repository, or from any if that is None."""
        return request.scopes is None or source is not None and request.scopes.covers(_needed(PULL, source))

    def grant(self, request: Request, kind: str, credentials: bytes, asked: Scopes, offline: bool) -> dict:
        """Return the response document with a token for a user, or with an anonymous token.

        The token is for what the client asks and may do. To ask for more is no error.

        :param kind: 'basic' for the credentials of Basic authentication, 'refresh' for a refresh token, anything else for none
        :param offline: True to return a refresh token as well
        :raises NotFound: this registry issues no tokens
        :raises Unauthorized: the login is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users cannot be used
        """
        if not self._tokens:
            raise errors.NotFound(detail=TOKEN_PATH)
        with _known_users():
            if kind == 'basic':
                identity = self._log_in(request, credentials, BASIC)
            elif kind == 'refresh':
                identity = self._refresh(request, credentials, self._tokens)
            else:  # if only users may pull, the token is for nothing; docker tries a push for a minute if it gets none
                return self._tokens.make(ANONYMOUS, asked.only('pull') if self.everybody_pulls else Scopes())
        request.user = identity.name
        document = self._tokens.make(identity, asked)
        refresh = offline and (credentials.decode() if kind == 'refresh' else self._tokens.make_refresh(identity))
        return document | {'refresh_token': refresh} if refresh else document

    # Logins

    def _log_in(self, request: Request, credentials: bytes, challenge: str) -> Identity:
        """Return who has sent credentials.

        :raises Unauthorized: the user name or the password is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises htpasswd.Broken: the file of users cannot be used
        """
        name, _, password = credentials.partition(b':')
        identity = self._logins.check(name, password, request.remote_addr)
        if identity:
            return identity
        logger.warning(
            'a wrong password for %s from %s', name.decode() if self._logins.source_of(name) else 'an unknown user', request.remote_addr
        )
        raise errors.Unauthorized('wrong user name or password', headers={'WWW-Authenticate': challenge})

    def _refresh(self, request: Request, token: bytes, tokens: Tokens) -> Identity:
        """Return who has sent a refresh token.

        :raises Unauthorized: the token is not valid
        :raises TooManyRequests: too many logins failed
        :raises htpasswd.Broken: the file of users cannot be used
        """
        try:
            return tokens.read_refresh(token)
        except Invalid as error:
            self._logins.refuse(error.user.encode(), token, request.remote_addr)
            logger.warning('a refresh token for %s from %s: %s', error.user or 'an unknown user', request.remote_addr, error)
            raise errors.Unauthorized(str(error), headers={'WWW-Authenticate': BASIC})

    # Challenges

    def _unauthorized(self, request: Request, needed: Scopes, error: str, message: str | None = None) -> errors.Unauthorized:
        return errors.Unauthorized(message, headers={'WWW-Authenticate': self._challenge(request, needed, error)})

    def _challenge(self, request: Request, needed: Scopes, error: str = '') -> str:
        if not self._tokens or self._is_misled(request):
            return BASIC
        if not addresses.is_host(request.host):
            raise errors.ParameterInvalid('the Host header is not a host name or an address')
        if request.method == 'POST' and request.args.get(
            'mount'
        ):  # an upload begins if the token does not cover this, so clients are told in advance
            needed |= _needed(PULL, request.args.get('from'))
        fields = {'realm': f'{request.scheme}://{request.host}{TOKEN_PATH}', 'service': request.host, 'scope': str(needed), 'error': error}
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
                'Until you add it, the registry asks for passwords (Basic) instead of tokens, and docker cannot pull without a login',
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


def _needed(access: Access, repository: str | None) -> Scopes:
    """Return the scopes that a token needs for a request. A repository that cannot exist needs none: no endpoint serves it."""
    kind, actions = access
    if kind != 'repository':
        return Scopes({(kind, 'catalog'): actions})
    try:
        return Scopes({(kind, names.repository(repository or '')): actions})
    except errors.NameInvalid:
        return Scopes()


def authorization(request: Request) -> tuple[str, bytes]:
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
