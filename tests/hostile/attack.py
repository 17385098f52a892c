"""What an attack is, and how a process carries one out."""

import asyncio
import dataclasses
import json
import os
import ssl
from collections.abc import Callable

PLAIN, TLS = False, True
#: Each attack by its name. The modules `against_*` add theirs.
ATTACKS: dict[str, 'Attack'] = {}


@dataclasses.dataclass(frozen=True)
class Attack:
    """Clients that all do the same, each again and again.

    :param client: async function of (target, address, number), which is one life of a client; ends when the server cuts it off
    :param prepare: async function of (target), called once before the attack
    :param clients: number of clients
    :param addresses: number of source addresses that they share
    :param every: seconds between the starts of two clients
    :param pause: seconds between two lives of a client
    :param ramp: seconds that the clients have to get ready, before the attack counts
    :param seconds: how long the attack lasts after that
    :param over: whether it goes over TLS: `PLAIN`, `TLS` or both
    :param users: whether the client that measures logs in, and the server knows users of the cloud as well
    :param ours: whether only our registry has what is attacked
    :param stops_storage: whether the storage is stopped meanwhile
    """

    name: str
    client: Callable
    prepare: Callable | None = None
    clients: int = 1
    addresses: int = 1
    every: float = 0.0
    pause: float = 1.0
    ramp: float = 0.0
    seconds: float = 2.8
    over: tuple = (PLAIN,)
    users: bool = False
    ours: bool = False
    stops_storage: bool = False


def attack(name, **options):
    """Register a function as the client of an attack. May be applied several times, with other options."""

    def register(client):
        ATTACKS[name] = Attack(name, client, **options)
        return client

    return register


def slowed(one, slowness):
    """Return an attack for a machine on which everything takes so many times as long: it does the same, but not as fast."""
    seconds = one.seconds * (slowness if one.every or one.users else 1)  # as many clients start, and users have as many logins
    return dataclasses.replace(one, every=one.every * slowness, pause=one.pause * slowness, seconds=seconds)


async def carry_out(one, target):
    """Prepare an attack, say so with a line of JSON, attack, and print what happened as another line of JSON."""
    if one.prepare:
        await one.prepare(target)
    lives = [asyncio.ensure_future(_lives(one, target, number)) for number in range(one.clients)]
    await asyncio.wait(lives, timeout=one.ramp, return_when=asyncio.FIRST_EXCEPTION)
    print(json.dumps('attacks'), flush=True)
    await asyncio.wait(lives, timeout=one.seconds, return_when=asyncio.FIRST_EXCEPTION)
    broken = [life.exception() for life in lives if life.done() and life.exception()]
    if broken:
        raise broken[0]
    print(json.dumps({str(name): count for name, count in target.counts.items()}), flush=True)
    os._exit(0)  # closes thousands of connections at once


async def _lives(one, target, number):
    await asyncio.sleep(number * one.every)
    while True:
        try:
            await one.client(target, f'127.0.1.{1 + number % one.addresses}', number)
        except (OSError, EOFError, ssl.SSLError, asyncio.LimitOverrunError) as error:
            target.counts[type(error).__name__] += 1
        await asyncio.sleep(one.pause)
