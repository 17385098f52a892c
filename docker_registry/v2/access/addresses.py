"""IP addresses and hosts of clients and proxies, as checked values."""

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

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


def household(text: str) -> str:
    """Return the text under which an address is counted.

    For IPv4 it is the address itself, for IPv6 its /64 network: one customer usually has all addresses of such a network.
    """
    found = address(text)
    if found is None or found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
