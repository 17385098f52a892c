"""A file of users and passwords, as Apache's htpasswd writes it, with bcrypt and nothing weaker.

https://httpd.apache.org/docs/2.4/misc/password_encryptions.html
"""

import hmac
import logging
import os
import re
import threading
import time

import bcrypt

from docker_registry.v2.registry.recent import Recent

logger = logging.getLogger(__name__)

COST = 10  # of what we make: 2 ** COST rounds, some 70 milliseconds
LEAST_COST = 4  # that bcrypt has
MOST_COST = 12  # 0.3 seconds; more would let a few wrong passwords occupy the machine
MOST_BYTES = 72  # of a password, that bcrypt looks at
REMEMBERED_SECONDS = 300  # clients send the password with each request: it is not hashed each time
SETTLED_SECONDS = 1  # a file changed more lately may be half written: htpasswd writes in place

# Of the last character of the salt only two bits count.
_LINE = re.compile(rb'([^:\s]{1,255}):(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31})')


class Broken(Exception):
    """The file cannot be used; says which line."""


class Users:
    """The users of a file, which is read again when it changes. While it cannot be used, nobody can be looked up."""

    def __init__(self, path):
        """:raises Broken:"""
        self._path = path
        self._lock = threading.Lock()
        self._remembered = Recent(REMEMBERED_SECONDS)
        self._key = os.urandom(32)
        self._stamp = self._stamp_of_file()
        self._take(read(path))
        if not self._hashes:
            raise Broken(f'{path} has no users: add one with `registry-swift htpasswd`')

    def __str__(self):
        return f'the users of {self._path}'

    def hash_of(self, name):
        """The hash of a user's password, None if there is no such user. `name` is bytes; :raises Broken:"""
        return self._current().get(name)

    def recall(self, name, password):
        """The hash that this was the password of a short while ago, if it still is, else None; :raises Broken:"""
        stored = self.hash_of(name)
        return stored if self._mark(name, password, stored or b'') in self._remembered else None

    def check(self, name, password):
        """The hash that this is the password of, else None. Takes as long for a user that there is not, or has a cheaper hash.

        :raises Broken:
        """
        stored = self.hash_of(name)
        if not _is_right(password, stored or self._decoy, self._cost) or stored is None:
            return None
        self._remembered.add(self._mark(name, password, stored))
        return stored

    def _mark(self, name, password, stored):
        """What stands for a right login in memory: of no use to who reads it, and another one once the file has changed."""
        return hmac.digest(self._key, b'%d:%b%d:%b%b' % (len(name), name, len(password), password, stored), 'sha256')

    def _current(self):
        """{name: hash}, of the file as it is now; :raises Broken:"""
        with self._lock:
            stamp = self._stamp_of_file()
            if stamp != self._stamp and not 0 <= time.time() - stamp[0] / 1e9 < SETTLED_SECONDS:
                self._stamp, self._hashes = stamp, None
                try:
                    self._take(read(self._path))
                    logger.info('%s was read again: %d users', self._path, len(self._hashes))
                except Broken as error:
                    logger.error('nobody can log in until this is mended: %s', error)
            if self._hashes is None:
                raise Broken(f'{self._path} cannot be used')
            return self._hashes

    def _take(self, hashes):
        self._cost = max(map(cost_of, hashes.values()), default=COST)
        self._decoy = make(os.urandom(16), self._cost)  # what the password of a user that there is not is compared with
        self._hashes = hashes

    def _stamp_of_file(self):
        try:
            found = os.stat(self._path)
        except OSError:
            return (0,)  # reading it says why
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size


def read(path):
    """{name: hash}, both bytes; :raises Broken:"""
    try:
        with open(path, 'rb') as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Broken(f'{path} cannot be read: {error.strerror}')
    hashes = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(b'#'):
            name, stored = _parsed(line.strip(), f'{path}, line {number}')
            if name in hashes:
                raise Broken(f'{path}, line {number}: this user stands in an earlier line already')
            hashes[name] = stored
    return hashes


def line(name, password, cost=COST):
    """The line of a user; :raises ValueError: what is wrong with the name, the password or the cost, all text but the last"""
    if not _LINE.fullmatch(name.encode() + b':' + b'$2y$10$'.ljust(60, b'.')) or not name.isprintable() or name[0] == '#':
        raise ValueError('a name has no colon and no spaces, no # at its beginning, and at most 255 bytes')
    if not 1 <= len(password.encode()) <= MOST_BYTES:
        raise ValueError(f'a password has 1 to {MOST_BYTES} bytes: bcrypt looks at no more')
    if not LEAST_COST <= cost <= MOST_COST:
        raise ValueError(f'the cost should be from {LEAST_COST} to {MOST_COST}')
    return f'{name}:{make(password.encode(), cost).decode()}'


def _parsed(line, where):
    match = _LINE.fullmatch(line)
    if not match:
        raise Broken(f'{where} is not a user with a bcrypt password: make it with `registry-swift htpasswd` or `htpasswd -B`')
    if not LEAST_COST <= int(match[3]) <= MOST_COST:
        raise Broken(f'{where}: the cost of the password is {int(match[3])}, and should be from {LEAST_COST} to {MOST_COST}')
    if not match[1].decode(errors='ignore').isprintable() or match[1].decode(errors='ignore').encode() != match[1]:
        raise Broken(f'{where}: the name is not UTF-8, or has characters that cannot be shown')
    return match[1], match[2]


def cost_of(stored):
    return int(stored[4:6])


def _is_right(password, stored, cost):
    """Whether a password is that of a hash, in the time that a hash of `cost` takes.

    After one of a lower cost c, those of c, c + 1 ... cost - 1 take what is missing: each takes as long as all before it together.
    """
    password = password[:MOST_BYTES]
    right = bcrypt.checkpw(password, stored)
    for lower in range(cost_of(stored), cost):
        make(password, lower)
    return right


def make(password, cost=COST):
    """A hash of a password. $2y$ is what Apache and crypt(3) call this bcrypt, too."""
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).replace(b'$2b$', b'$2y$', 1)
