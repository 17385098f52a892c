"""Checks what clients send to log in, and makes those wait that fail too often."""

import math
import zlib
from collections.abc import Sequence
from typing import Protocol

from docker_registry.v2.access import addresses, audit, htpasswd
from docker_registry.v2.access.failures import Buckets, Failures, Limits
from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.turns import Refused, Turns
from docker_registry.v2.registry import errors, tally
from docker_registry.v2.registry.shared_memory import Seen

FAILURES_SECONDS = 300  # a full count of failed logins drains in this time
ALL_USERS = 10  # an address may fail this many times as often for all users together as for one user
KNOWN_SECONDS = 24 * 3600  # for which an address comes first after it has logged in as a user
ASKED_SECONDS = 3600  # for which it counts how often an address wanted a password to be hashed
MOST_ASKED = 100  # times of that, beyond which it no longer matters how many they are
MOST_WAITING = 64  # requests of one process that wait until it hashes their password
WAIT_SECONDS = 10  # the longest wait for that


class Source(Protocol):
    """One of the places that know users and their passwords."""

    kind: str  # its name among the logins
    at_a_time: int  # passwords that a process may check at the same time

    def knows(self, name: bytes) -> bool:
        """Return whether this place is the one to ask about a name."""

    def user_of(self, name: bytes) -> bytes:
        """Return what stands for the user when failed logins are counted. It is the same for all names that one user has here."""

    def identity(self, name: bytes) -> Identity | None:
        """Return who a user is if that can be said without a password, else None."""

    def recall(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is if this process remembers that the password is right, else None."""

    def check(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is if the password is right, else None.

        :raises Unavailable: that cannot be found out at the moment
        :raises TooManyRequests: the place wants to be asked later
        """


class Logins:
    """The logins of all clients.

    A process checks few passwords at a time; of those that are hashed, one. First come addresses that have logged in as the same user
    before, then those that have asked for the least. So nobody can occupy the processes with wrong passwords.

    :param sources: the first that knows a name is asked about it. If none does, that is the one whose users have names of any form, or
        else the first of all: it takes as long for a user that it does not have, so time tells nothing about users
    :param most_failures: failed logins of an address for one user, in `FAILURES_SECONDS`, after which it must wait
    """

    def __init__(self, sources: Sequence[Source], most_failures: int):
        self._sources, self._most = sources, most_failures
        self._fallback = next((source for source in sources if source.kind == htpasswd.KIND), sources[0])
        self._failures, self._asked = Failures(FAILURES_SECONDS), Buckets(ASKED_SECONDS)
        self._known = Seen(2**16, KNOWN_SECONDS)
        self._turns = {source.kind: [Turns(MOST_WAITING, WAIT_SECONDS) for _ in range(source.at_a_time)] for source in sources}

    def source_of(self, name: bytes) -> Source | None:
        """Return the first source that knows a name, or None.

        :raises watched.Broken: the file of users cannot be used
        """
        return next((source for source in self._sources if source.knows(name)), None)

    def identity(self, identity: Identity) -> Identity | None:
        """Return who somebody is now who has logged in; None if the place is gone, or cannot say that without a password.

        :raises watched.Broken: the file of users cannot be used
        """
        source = next((source for source in self._sources if source.kind == identity.source), None)
        return source.identity(identity.name.encode()) if source else None

    def check(self, name: bytes, password: bytes, client: str | None) -> Identity | None:
        """Return who the user is if the password is right, else None.

        :param client: the client's address
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the source cannot be asked at the moment
        :raises watched.Broken: the file of users cannot be used
        """
        source = self.source_of(name) or self._fallback
        login = _Login(name, source.user_of(name), password, client, source.identity(name))
        while True:
            # The count comes first: otherwise guesses could be tried against remembered passwords at full speed.
            self._require_patience(login)
            identity = source.recall(name, password)
            if identity or self._failures.has_counted(login.attempt(login.household)):
                return identity
            turns = self._turns[source.kind]
            turn = turns[zlib.crc32(login.household.encode()) % len(turns)]
            try:
                with turn.take(login.attempt(login.household), self._rank(login)) as has_turn:
                    if has_turn:
                        return self._ask(source, login)
            except Refused:
                tally.count(tally.LOGIN_DELAYED)
                raise errors.TooManyRequests('too many logins in progress; retry in a second', headers={'Retry-After': '1'})

    def refuse(self, name: bytes, token: bytes, client: str | None) -> None:
        """Count a wrong refresh token like a wrong password.

        :param name: user that the token was made for, or b'' if this registry did not make it
        :raises TooManyRequests: too many logins failed
        """
        login = _Login(name, name, token, client)
        self._require_patience(login)
        self._count(login)

    def _ask(self, source: Source, login: '_Login') -> Identity | None:
        """Check a password that this process does not know yet. While it waited, another process may have counted it.

        A request may also come too late to share a turn, and too early to find the password remembered.
        """
        self._require_patience(login)
        identity = source.recall(login.name, login.password)
        if identity or self._failures.has_counted(login.attempt(login.household)):
            return identity
        identity = source.check(login.name, login.password)
        if identity is None:
            self._count(login)
        else:
            self._known.add((login.household, login.name))
            audit.login(identity, login.client)
        return identity

    def _rank(self, login: '_Login') -> tuple[bool, int]:
        """Return the rank of a login that wants a turn, and count that. The lowest rank is the next."""
        limits = tuple((network, MOST_ASKED * households) for network, households in login.networks)
        with self._asked.locked():
            self._asked.count(limits)
            asked = max(self._asked.level(network) for network, _ in limits)
        return not self._knows(login), math.ceil(asked * MOST_ASKED)

    def _knows(self, login: '_Login') -> bool:
        return (login.household, login.name) in self._known

    def _count(self, login: '_Login') -> None:
        """Count a failed login for each network of the client. The same password counts once in a network."""
        for network, households in login.networks:
            self._failures.count(login.attempt(network), self._limits(login, network, households))

    def _limits(self, login: '_Login', network: str, households: int) -> Limits:
        most = self._most * households
        return ((network, login.user), most), ((network,), most * ALL_USERS)

    def _require_patience(self, login: '_Login') -> None:
        """Raise `TooManyRequests` if too many logins failed. An address that is known does not wait for its neighbours."""
        networks = login.networks[:1] if self._knows(login) else login.networks
        wait = max(self._failures.wait(self._limits(login, *network)) for network in networks)
        if wait:
            tally.count(tally.LOGIN_DELAYED)
            raise errors.TooManyRequests(headers={'Retry-After': str(math.ceil(wait))})


class _Login:
    """What a client sends to log in, and from where. `user` stands for the user, and `known` says who that would be."""

    def __init__(self, name: bytes, user: bytes, password: bytes, client: str | None, known: Identity | None = None):
        self.name, self.user, self.password, self.client, self._stored = name, user, password, client, known and known.stored
        self.networks = addresses.networks(client or '')
        self.household = self.networks[0][0]

    def attempt(self, network: str) -> tuple:
        """Return what makes two logins the same. A new password in the file makes the next login another one."""
        return network, self.name, self.password, self._stored
