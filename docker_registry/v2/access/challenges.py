"""Challenges: the header WWW-Authenticate, which tells clients how to log in.

https://distribution.github.io/distribution/spec/auth/token/ and RFC 7617
"""

import logging
from typing import Any, Protocol

from docker_registry.v2.access import addresses
from docker_registry.v2.access.scopes import PULL, Scopes, needed_for
from docker_registry.v2.registry import errors

logger = logging.getLogger(__name__)

TOKEN_PATH = '/v2/token'
BASIC = 'Basic realm="registry"'


class Request(Protocol):
    """What a challenge depends on."""

    method: str
    args: Any
    host: str
    scheme: str
    headers: Any
    remote_addr: str | None


class Challenges:
    """Makes challenges: for tokens if the registry issues any, else for passwords."""

    def __init__(self, has_tokens: bool):
        self._has_tokens = has_tokens
        self._has_warned = False

    def unauthorized(self, request: Request, needed: Scopes, error: str, message: str | None = None) -> errors.Unauthorized:
        return errors.Unauthorized(message, headers={'WWW-Authenticate': self.make(request, needed, error)})

    def make(self, request: Request, needed: Scopes, error: str = '') -> str:
        if not self._has_tokens or self._is_misled(request):
            return BASIC
        if not addresses.is_host(request.host):
            raise errors.ParameterInvalid('the Host header is not a host name or an address')
        if request.method == 'POST' and request.args.get(
            'mount'
        ):  # an upload begins if the token does not cover this, so clients are told in advance
            needed |= needed_for(PULL, request.args.get('from'))
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
