"""What proxies say of a request: whom it is from, and what address the client knows us by. Believed if the proxy is trusted."""

import ipaddress
import re

_WITH_PORT = re.compile(r'([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}')  # as some balancers say it
_HOST = re.compile(r'[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?')


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


def address(text):
    """An `ipaddress`, of IPv4 also where it stands in one of IPv6; None if it is none. A port after it is left out."""
    match = _WITH_PORT.fullmatch(text)
    try:
        found = ipaddress.ip_address(match[1].strip('[]') if match else text)
    except ValueError:
        return None
    return getattr(found, 'ipv4_mapped', None) or found


def is_host(text):
    """Whether it is a host with or without a port, as in a Host header."""
    return bool(_HOST.fullmatch(text))


def household(text):
    """What an address stands for when it is counted: itself or, of IPv6, its network, of which one customer has all."""
    found = address(text)
    if found is None or found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _last(text):
    return text.rpartition(',')[2].strip()
