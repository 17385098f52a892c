"""Attacks on passwords."""

import secrets

from attack import attack
from wire import basic


@attack('14 guessers of passwords', clients=14, addresses=14, seconds=5, pause=0.05, users=True)
async def guesser(target, address, number):
    """Each from an address of its own, with another wrong password in each request."""
    async with target.connected(address) as connection:
        for _ in range(50):
            answer = await connection.ask('GET', '/v2/', basic(f'user{number}:{secrets.token_hex(8)}'))
            if answer.headers.get('connection') == 'close':
                break


@attack('40 logins of the cloud, Keystone hangs', clients=40, addresses=40, seconds=5, users=True, ours=True)
async def of_the_cloud(target, address, number):
    """Each user is another one, so that each login asks Keystone, which never answers."""
    await target.ask(address, 'GET', '/v2/', basic(f'{secrets.token_hex(8)}@Default/project:secret'))
