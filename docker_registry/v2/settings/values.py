"""What turns the texts of settings into checked values. A ValueError says what they must be, and not which setting is wrong."""

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FLAGS = {'true': True, 'yes': True, 'on': True, '1': True, 'false': False, 'no': False, 'off': False, '0': False}
SHORTEST_SECRET = 32  # characters
LOGINS = ('htpasswd', 'keystone', 'swift')
MOST_QUOTED = 100  # characters of a wrong value in a message
ANY = '*'
DEFAULT_PORTS = {'http': '80', 'https': '443'}

_ORIGIN = re.compile(r'(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?')

_URL = re.compile(r'(?i:https?)://(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#]\S*)?')


def flag(text: str) -> bool:
    if text.lower() not in FLAGS:
        raise ValueError('must be true or false')
    return FLAGS[text.lower()]


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch('[0-9]{1,15}', text) or int(text) < least or most is not None and int(text) > most:
            raise ValueError('must be a whole number ' + (f'of at least {least}' if most is None else f'from {least} to {most}'))
        return int(text)

    return parse


def quoted(text: str) -> str:
    """Return what a message shows of a wrong value: `, not ...`, or nothing if a password or a token may be in it."""
    if re.search('[@?#]', text):
        return ''
    return f', not {text[:MOST_QUOTED]!r}' + ('...' if len(text) > MOST_QUOTED else '')


def url(text: str) -> str:
    match = _URL.fullmatch(text)
    if not match or not 0 < int(match[1] or 1) < 2**16:
        raise ValueError('must be an http or https URL without a password')
    return text


class Clients(NamedTuple):
    """The clients that a setting names: those in one of the networks `of`, without those in one of `but`."""

    of: tuple[Network, ...] = ()
    but: tuple[Network, ...] = ()

    def __contains__(self, address: object) -> bool:
        return any(address in network for network in self.of) and not any(address in network for network in self.but)

    def __str__(self) -> str:
        return 'no' if not self.of else ', '.join([*map(str, self.of), *(f'!{network}' for network in self.but)])


EVERYWHERE = (ipaddress.IPv4Network('0.0.0.0/0'), ipaddress.IPv6Network('::/0'))


def clients(text: str) -> Clients:
    """Return the clients that `yes`, `no` or a list of networks names. If all networks have a `!`, they are all others."""
    words = text.replace(',', ' ').lower().split()
    if len(words) == 1 and words[0] in FLAGS:
        return Clients(EVERYWHERE if FLAGS[words[0]] else ())
    try:
        of = tuple(ipaddress.ip_network(word) for word in words if not word.startswith('!'))
        but = tuple(ipaddress.ip_network(word[1:]) for word in words if word.startswith('!'))
    except ValueError:
        raise ValueError('must be yes, no, or addresses and networks of clients, separated by commas; !10.0.0.0/8 excludes some')
    return Clients(of or EVERYWHERE, but)


def one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f'must be {" or ".join(words)}')
        return text.lower()

    return parse


def secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:  # somebody who has a token could guess a short secret
        raise ValueError(f'must have at least {SHORTEST_SECRET} characters. Make one with: openssl rand -hex 32')
    return text


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word) for word in text.replace(',', ' ').split())
    except ValueError as error:
        why = f': {error}' if quoted(text) and len(str(error)) < 2 * MOST_QUOTED else ''  # it quotes one of them
        raise ValueError('must be addresses or networks, separated by commas (10.0.0.5, 192.168.0.0/24)' + why)


def logins(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(',', ' ').split())
    if not set(words) <= set(LOGINS) or len(set(words)) < len(words):
        raise ValueError(f'must be some of {", ".join(LOGINS)}, each once, separated by commas')
    return words


def origins(text: str) -> tuple[str, ...]:
    """Return the origins that a text lists, as browsers send them (RFC 6454, 6.2): in lower case, without the port of the scheme.

    :raises ValueError: it lists something else
    """
    words = text.replace(',', ' ').lower().split()
    if words == [ANY]:
        return (ANY,)
    return tuple(_origin(word) for word in words)


def _origin(word: str) -> str:
    match = _ORIGIN.fullmatch(word)
    if not match:
        raise ValueError(
            'must be sites without a path, separated by commas (https://ui.example.com, http://localhost:8080), or * alone. '
            'Write a name with other letters as browsers send it: xn--...'
        )
    scheme, host, port = match.groups()
    return f'{scheme}://{host}' + (f':{port}' if port and port != DEFAULT_PORTS[scheme] else '')
