"""IP addresses and hosts of clients and proxies, as checked values."""

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Lengths of the networks that an address is counted in, each with the number of households that it may use up there.
IPV4_NETWORKS, IPV6_NETWORKS = ((32, 1), (24, 16)), ((64, 1), (56, 4), (48, 16))

_WITH_PORT = re.compile(r'([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}')  # some balancers send addresses with a port
_HOST = re.compile(r'[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?')


def address(text: str) -> Address | None:
    """Return the `ipaddress` object for a text, or None if it is not an IP address.

    An IPv4-mapped IPv6 address becomes the IPv4 address. A port after the address is dropped.
    """
    match = _WITH_PORT.fullmatch(text)
    try:
        found = ipaddress.ip_address(match[1].strip('[]') if match else text)
    except ValueError:
        return None
    return getattr(found, 'ipv4_mapped', None) or found


def is_host(text: str) -> bool:
    """Return whether the text is a host, with or without a port, as in a Host header."""
    return bool(_HOST.fullmatch(text))


def is_loopback(text: str) -> bool:
    """Return whether a host, with or without a port, is this machine under any DNS: 127.0.0.0/8, ::1 or localhost (RFC 6761, 6.3)."""
    found = address(text) or address(text.strip('[]'))
    if found:
        return found.is_loopback
    return is_host(text) and ('.' + text.partition(':')[0].rstrip('.').lower()).endswith('.localhost')


def networks(text: str) -> list[tuple[str, int]]:
    """Return the networks under which an address is counted, the smallest first, and how many households each may use up.

    The smallest is the household: for IPv4 the address itself, for IPv6 its /64, because one customer usually has all addresses of
    such a network. Who has more than one household has them next to each other: providers give customers an IPv6 /56 or /48, and
    nobody can announce less than an IPv4 /24.
    """
    found = address(text)
    if found is None:
        return [(str(found), 1)]
    lengths = IPV4_NETWORKS if found.version == 4 else IPV6_NETWORKS
    return [(str(ipaddress.ip_network((found, length), strict=False)), households) for length, households in lengths]


def household(text: str) -> str:
    """Return the smallest of the `networks` of an address."""
    return networks(text)[0][0]
