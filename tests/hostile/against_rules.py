"""Attacks on the rules: the file of the tests has 1,000 lines, with patterns that take as long as patterns can."""

import asyncio
import itertools

from attack import attack
from wire import digest_of, with_digest

MiB = 2**20
PAUSE, LONG_PAUSE = 0.05, 0.3  # seconds between two requests, of which the second sort takes longer
LONGEST = 255  # characters of a repository's name
NAMES = 14  # with this length, for which one token may be


def long_name(*numbers):
    """Return a name that no request has had before."""
    beginning = 'x'.join(map(str, numbers))
    return beginning + 'a' * (LONGEST - len(beginning))


@attack('4 clients with names of 255 characters', clients=4, ours=True)
async def long_names(target, address, number):
    """Requests of all kinds to repositories that the rules have not been asked about yet."""
    for at in itertools.count():
        name, other = long_name(number, at), long_name(number, at, 'from')
        await target.ask(address, 'GET', f'/v2/{name}/manifests/v1')
        await asyncio.sleep(PAUSE)
        await target.ask(address, 'POST', f'/v2/hostile/mounts/blobs/uploads/?mount={digest_of(b"a")}&from={other}')
        await asyncio.sleep(PAUSE)


@attack('4 clients ask for tokens for long names', clients=4, ours=True)
async def long_scopes(target, address, number):
    for at in itertools.count():
        scopes = '&'.join(f'scope=repository:{long_name(number, at, each)}:pull' for each in range(NAMES))
        await target.ask(address, 'GET', f'/v2/token?{scopes}')
        await asyncio.sleep(LONG_PAUSE)


@attack('4 clients list what they may not see', clients=4, ours=True)
async def blind(target, address, number):
    """Each reads page after page of the catalog, in which nothing is for it. Half of them have not logged in."""
    path = '/v2/_catalog'
    while path:
        answer = await target.ask(address, 'GET', path, {'Authorization': 'none'} if number % 2 else {})
        path = answer.headers.get('link', '').partition('<')[2].partition('>')[0]
        await asyncio.sleep(LONG_PAUSE)


@attack('60 bodies of requests that are refused', clients=60, ours=True)
async def refused_body(target, address, number):
    """Bodies that go on after the answer, to a repository to which the attacker may not push. Half of the clients have not logged in."""
    method, path = [
        ('PUT', '/v2/library/refused/manifests/v1'),
        ('POST', with_digest('/v2/library/refused/blobs/uploads/', digest_of(b'a'))),
        ('PATCH', '/v2/library/refused/blobs/uploads/made-up'),
    ][number % 3]
    login = {'Authorization': 'none'} if number % 2 else {}
    async with target.connected(address) as connection:
        await connection.send_head(method, path, {'Content-Length': 8 * MiB, **login})
        while True:
            await connection.send(bytes(1024))
            await asyncio.sleep(0.25)
