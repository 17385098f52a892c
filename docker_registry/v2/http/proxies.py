"""What proxies say of a request: whom it is from, and what address the client knows us by. Believed if the proxy is trusted."""

from docker_registry.v2.access.addresses import address, is_host


class Proxies:
    """The trusted ones.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For

    :param networks: of `ipaddress`, in which they are
    """

    def __init__(self, networks):
        self._networks = networks

    def apply(self, environ):
        """Put what a trusted proxy says where a server puts what it knows itself; from others it is ignored."""
        peer = address(environ.get('REMOTE_ADDR', ''))
        if not self._trusts(peer):
            return
        environ['REMOTE_ADDR'] = str(self._client(peer, environ.get('HTTP_X_FORWARDED_FOR', '')))
        scheme = _last(environ.get('HTTP_X_FORWARDED_PROTO', '')).lower()
        if scheme in ('http', 'https'):
            environ['wsgi.url_scheme'] = scheme
        host = _last(environ.get('HTTP_X_FORWARDED_HOST', ''))
        if is_host(host):
            environ['HTTP_HOST'] = host

    def _client(self, peer, forwarded):
        """The last address that no proxy of ours has: what stands before it, the client may have made up."""
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
