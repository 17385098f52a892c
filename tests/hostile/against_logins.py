"""Attacks on passwords."""

import base64
import secrets

from attack import attack


@attack('14 guessers of passwords', clients=14, addresses=14, seconds=5, pause=0.05, users=True)
async def guesser(target, address, number):
    """Each from an address of its own, with another wrong password in each request."""
    async with target.connected(address) as connection:
        for _ in range(50):
            credentials = base64.b64encode(f'user{number}:{secrets.token_hex(8)}'.encode()).decode()
            answer = await connection.ask('GET', '/v2/', {'Authorization': f'Basic {credentials}'})
            if answer.headers.get('connection') == 'close':
                break
