"""Attacks on what stands between the registry and its storage."""

from against_bodies import large
from attack import attack

MiB = 2**20


@attack('50 clients ask /readyz, Swift is stopped', clients=50, stops_storage=True)
async def readyz(target, address, number):
    await target.ask(address, 'GET', '/readyz')


@attack('8 clients ask for far ranges', clients=8, seconds=5, pause=0.05)
async def far_ranges(target, address, number):
    """Single bytes, nearly 1 MiB apart: a server that reads what is between them reads the whole blob."""
    size = target.content['large_size']
    ranges = ','.join(f'{at}-{at}' for at in range(0, size, MiB - 100))
    await target.ask(address, 'GET', large(target), {'Range': f'bytes={ranges}'})
