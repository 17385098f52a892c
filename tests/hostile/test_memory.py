"""A worker gives back the memory that a peak took."""

import asyncio

from against_manifests import push_large, push_nested
from bench import ATTACKER_NAME, memory
from registry_process import until

PUSHES = 16
MOST_LEFT = 200 * 10**6  # bytes of a worker
SECONDS = 10  # after the last push


def test_memory_goes_back_after_large_manifests(bench):
    server = bench.settled_server(False, False)
    target = bench.target(ATTACKER_NAME)

    async def push():
        await push_nested(target)
        await asyncio.gather(*[push_large(target, f'127.0.1.{number % 4 + 1}', number) for number in range(PUSHES)])

    asyncio.run(push())
    until(lambda: all(memory(pid) < MOST_LEFT for pid in server.workers), SECONDS)
