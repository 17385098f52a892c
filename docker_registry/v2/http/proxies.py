"""X-Forwarded-* headers: which client a request comes from, and which URL that client uses. Only trusted proxies are believed."""

from docker_registry.v2.access.addresses import address, is_host


class Proxies:
    """The trusted proxies.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For

    :param networks: `ipaddress` networks that contain them
    """

    def __init__(self, networks):
        self._networks = networks

    def apply(self, environ):
        """Overwrite address, scheme and host in a WSGI environment with those from a trusted proxy. Ignore what others send.

        Return whether a trusted proxy sent the request.
        """
        peer = address(environ.get('REMOTE_ADDR', ''))
        if not self._trusts(peer):
            return False
        environ['REMOTE_ADDR'] = str(self._client(peer, environ.get('HTTP_X_FORWARDED_FOR', '')))
        scheme = _last(environ.get('HTTP_X_FORWARDED_PROTO', '')).lower()
        if scheme in ('http', 'https'):
            environ['wsgi.url_scheme'] = scheme
        host = _last(environ.get('HTTP_X_FORWARDED_HOST', ''))
        if is_host(host):
            environ['HTTP_HOST'] = host
        return True

    def _client(self, peer, forwarded):
        """Return the last address that is not a trusted proxy. The client may have made up all addresses before it."""
        for word in reversed(forwarded.split(',')):
            found = address(word.strip())
            if found is None or not self._trusts(peer):
                break
            peer = found
        return peer

    def _trusts(self, peer):
        return peer is not None and any(peer in network for network in self._networks)


def _last(text):
    return text.rpartition(',')[2].strip()
