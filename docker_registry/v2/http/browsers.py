"""Refuses requests that a web page of somebody else makes a user's browser send.

The browser may reach a registry that the page's author cannot reach, and it sends a password that it knows without asking. Clients such
as docker send none of the fields that are looked at here.
"""

from urllib.parse import urlsplit

from docker_registry.v2.access import addresses
from docker_registry.v2.registry import errors

CHANGING = ('POST', 'PUT', 'PATCH', 'DELETE')


class Browsers:
    """Looks at where requests come from.

    :param loopback_only: True if requests may name no other host than this machine. A registry without passwords on a loopback address
        needs that. Otherwise the author of a page could let the page's own name lead to 127.0.0.1 after it was loaded (DNS rebinding).
        The browser would then take the registry for the page's own server.
    :param cors: `cors.Cors`, which knows the sites whose pages may change something
    """

    def __init__(self, loopback_only, cors):
        self._loopback_only, self._cors = loopback_only, cors

    def check(self, environ, from_proxy):
        """Check a WSGI environment.

        :param from_proxy: True if a trusted proxy sent the request; which hosts it serves is its matter
        :raises Denied: the page of another site sent it, or it is for another host
        """
        host = environ.get('HTTP_HOST', '')
        if self._loopback_only and not from_proxy and host and not addresses.is_loopback(host):
            raise errors.Denied(
                'this registry has no passwords and listens on a loopback address, so it answers requests to localhost and 127.0.0.1 '
                'only. To use another name, set REGISTRY_HTPASSWD, or name your proxy in REGISTRY_TRUSTED_PROXIES',
                host[:200],
            )
        if environ['REQUEST_METHOD'] in CHANGING and _is_foreign(environ, host) and not self._cors.names(environ):
            raise errors.Denied('a web page of another site may not change anything in this registry')


def _is_foreign(environ, host):
    """Return whether a browser says that the page of another site sent a request. Other clients say nothing.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header, and for older browsers
    https://www.rfc-editor.org/rfc/rfc6454#section-7. Schemes are not compared: a proxy that is not trusted may terminate TLS.
    """
    site, origin = environ.get('HTTP_SEC_FETCH_SITE'), environ.get('HTTP_ORIGIN')
    if site is not None:
        return site not in ('same-origin', 'none')  # none: the user typed the URL
    try:
        return origin is not None and urlsplit(origin).netloc.lower() != host.lower()  # the origin may be `null`
    except ValueError:
        return True
