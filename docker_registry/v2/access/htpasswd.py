"""Reads and writes files of users and passwords in the format of Apache's htpasswd. Only bcrypt hashes are accepted.

https://httpd.apache.org/docs/2.4/misc/password_encryptions.html
"""

import os
import re
from collections.abc import Callable
from typing import Any

import bcrypt

from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.remembered import Remembered
from docker_registry.v2.access.watched import Broken, File, Unreadable

KIND = 'htpasswd'  # the name of this login
COST = 10  # the default for new hashes: 2 ** COST rounds, about 70 milliseconds
LEAST_COST = 4  # the lowest that bcrypt has
MOST_COST = 12  # 0.3 seconds; with more, a few wrong passwords could occupy the machine
MOST_BYTES = 72  # bcrypt ignores further bytes of a password

# Only two bits of the salt's last character count.
_LINE = re.compile(rb'([^:\s]{1,255}):(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31})')


def at_once(call: Callable, *arguments: Any) -> Any:
    return call(*arguments)


class Users:
    """The users in a file. The file is read again when it changes. While it cannot be used, all look-ups raise `Broken`.

    `run` is called as `run(call, *arguments)` for everything that hashes. It returns what the call returns. Hashing takes a processor
    for up to 0.3 seconds. A server whose requests share one thread of the system sets `run` to a function that makes the call in
    another thread: the calls lock nothing, log nothing, and bcrypt lets other threads run meanwhile.
    """

    kind = KIND
    at_a_time = 1  # a hash takes a whole processor

    def __init__(self, path: str, run: Callable[..., Any] = at_once):
        """Read the file.

        :raises Broken: the file cannot be used, or has no users
        """
        self._path, self.run = path, run
        self._remembered = Remembered()
        self._file = File(path, self._read, 'users', 'nobody can log in until you correct the file of users')
        if not self._file.current():
            raise Broken(f'{path} has no users. Add one with `registry-swift htpasswd`')

    def __str__(self) -> str:
        return f'the users of {self._path}'

    def hash_of(self, name: bytes) -> bytes | None:
        """Return the stored hash of a user's password, or None if there is no such user. Both are bytes.

        :raises Broken: the file cannot be used
        """
        return self._file.current().get(name)

    def knows(self, name: bytes) -> bool:
        return self.hash_of(name) is not None

    def user_of(self, name: bytes) -> bytes:
        return name

    def identity(self, name: bytes) -> Identity | None:
        """Return who a user is, without a look at any password; None if there is no such user.

        :raises Broken: the file cannot be used
        """
        stored = self.hash_of(name)
        return None if stored is None else _identity(name, stored)

    def recall(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is if this process remembers that the password is right, else None.

        :raises Broken: the file cannot be used
        """
        stored = self.hash_of(name)
        return self._remembered.get(name, password, stored) if stored else None

    def check(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is if the password is right, else None.

        It takes the same time for an unknown user, and for a user whose hash has a lower cost. So the time tells nothing about users.

        :raises Broken: the file cannot be used
        """
        stored = self.hash_of(name)
        if not self.run(_is_right, password, stored or self._decoy, self._cost) or stored is None:
            return None
        identity = _identity(name, stored)
        self._remembered.add(identity, name, password, stored)  # no longer found after the hash in the file has changed
        return identity

    def _read(self, path: str) -> dict[bytes, bytes]:
        """Return {name: hash} of the file, and make what is compared with the password of an unknown user.

        :raises Broken: the file cannot be used
        """
        hashes = read(path)
        self._cost = max(map(cost_of, hashes.values()), default=COST)
        self._decoy = self.run(make, os.urandom(16), self._cost)
        return hashes


def _identity(name: bytes, stored: bytes) -> Identity:
    return Identity(name.decode(), frozenset([name.decode()]), KIND, stored)


def read(path: str) -> dict[bytes, bytes]:
    """Return {name: hash} of a file, both bytes.

    :raises Broken: the file cannot be read, or a line is wrong
    """
    try:
        with open(path, 'rb') as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Unreadable(f'{path} cannot be read: {error.strerror}')
    hashes: dict[bytes, bytes] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(b'#'):
            name, stored = _parsed(line.strip(), f'{path}, line {number}')
            if name in hashes:
                raise Broken(f'{path}, line {number}: an earlier line has the same user. Remove one of them')
            hashes[name] = stored
    return hashes


def line(name: str, password: str, cost: int = COST) -> str:
    """Return the line of a user.

    :param name: text, as is the password
    :param cost: a number from `LEAST_COST` to `MOST_COST`
    :raises ValueError: the name, the password or the cost is not possible; the text says why
    """
    if not _LINE.fullmatch(name.encode() + b':' + b'$2y$10$'.ljust(60, b'.')) or not name.isprintable() or name[0] == '#':
        raise ValueError('the user name must not contain colons or spaces, must not begin with #, and must have 1 to 255 bytes')
    if not 1 <= len(password.encode()) <= MOST_BYTES:
        raise ValueError(f'the password must have 1 to {MOST_BYTES} bytes: bcrypt ignores further bytes')
    if not LEAST_COST <= cost <= MOST_COST:
        raise ValueError(f'the cost must be from {LEAST_COST} to {MOST_COST}')
    return f'{name}:{make(password.encode(), cost).decode()}'


def _parsed(line: bytes, where: str) -> tuple[bytes, bytes]:
    match = _LINE.fullmatch(line)
    if not match:
        raise Broken(f'{where} is not a user with a bcrypt password. Make the line with `registry-swift htpasswd` or `htpasswd -B`')
    if not LEAST_COST <= int(match[3]) <= MOST_COST:
        raise Broken(f'{where}: the cost of the password hash is {int(match[3])}, but must be from {LEAST_COST} to {MOST_COST}')
    if not match[1].decode(errors='ignore').isprintable() or match[1].decode(errors='ignore').encode() != match[1]:
        raise Broken(f'{where}: the user name is not UTF-8, or contains characters that cannot be printed')
    return match[1], match[2]


def cost_of(stored: bytes) -> int:
    return int(stored[4:6])


def _is_right(password: bytes, stored: bytes, cost: int) -> bool:
    """Return whether a password matches a hash. Takes the time that a hash of `cost` takes.

    If the stored hash has a lower cost c, hashes of the costs c, c + 1 ... cost - 1 use up the missing time: each step of the cost
    doubles the time.
    """
    password = password[:MOST_BYTES]
    right = bcrypt.checkpw(password, stored)
    for lower in range(cost_of(stored), cost):
        make(password, lower)
    return right


def make(password: bytes, cost: int = COST) -> bytes:
    """Return a new hash of a password. It has the prefix $2y$, which Apache and crypt(3) use for this kind of bcrypt, too."""
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).replace(b'$2b$', b'$2y$', 1)
