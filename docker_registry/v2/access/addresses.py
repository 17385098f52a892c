"""Where a request comes from, as a checked value: IP addresses and hosts."""

import ipaddress
import re

_WITH_PORT = re.compile(r'([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}')  # as some balancers say it
_HOST = re.compile(r'[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?')


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
