"""Attacks with bodies: that nobody reads, that do not come, or that fill memory."""

import asyncio

from attack import PLAIN, TLS, attack
from wire import CHUNKED, digest_of, path_of, with_digest

BOTH = (PLAIN, TLS)
MiB = 2**20
REPOSITORY = 'hostile/bodies'


def large(target):
    return '/v2/{repository}/blobs/{large}'.format(**target.content)


@attack('40 slow readers, one address', clients=40, every=1 / 10, seconds=5, over=BOTH)
@attack('40 slow readers, four addresses', clients=40, every=1 / 10, seconds=5, addresses=4)
async def slow_reader(target, address, number, headers=()):
    """Every other client reads a byte a second of a large blob. The others read nothing.

    They come one after the other: forty at once would show how fast a Swift of one node begins to send forty blobs.
    """
    async with target.connected(address, receive_buffer=2048, limit=1) as connection:
        await connection.send_head('GET', large(target), headers)
        while number % 2 or await connection.reader.read(1):
            await asyncio.sleep(1)


@attack('40 slow readers of many ranges', clients=40, every=1 / 10, seconds=5)
async def slow_reader_of_ranges(target, address, number):
    ranges = ','.join(f'{start * MiB}-{(start + 8) * MiB}' for start in range(0, 280, 20))
    await slow_reader(target, address, number, {'Range': f'bytes={ranges}'})


@attack('40 bodies that do not come', clients=40, over=BOTH)
async def silent_body(target, address, number):
    """Uploads with PATCH and PUT. The head says 8 MiB."""
    location = await target.begin_upload(address, REPOSITORY)
    async with target.connected(address) as connection:
        path = location if number % 2 else with_digest(location, digest_of(b'never'))
        await connection.send_head('PATCH' if number % 2 else 'PUT', path, {'Content-Length': 8 * MiB})
        await connection.until_closed()


@attack('40 uploads that stall after 1 MiB', clients=40)
async def stalled_upload(target, address, number):
    location = await target.begin_upload(address, REPOSITORY)
    async with target.connected(address) as connection:
        await connection.send_head('PUT', with_digest(location, digest_of(b'never')), {'Content-Length': 8 * MiB})
        await connection.send(bytes(MiB))
        await connection.until_closed()


@attack('40 uploads of a byte a second', clients=40)
async def trickled_upload(target, address, number):
    location = await target.begin_upload(address, REPOSITORY)
    async with target.connected(address) as connection:
        await connection.send_head('PATCH', location, CHUNKED)
        while True:
            await connection.send(b'1\r\n.\r\n')
            await asyncio.sleep(1)


@attack('40 manifests that stall', clients=40)
async def stalled_manifest(target, address, number):
    async with target.connected(address) as connection:
        await connection.send_head('PUT', f'/v2/{REPOSITORY}/manifests/v{number}', {'Content-Length': 4000})
        await connection.send(b'{"schemaVersion": 2, ')
        await connection.until_closed()


@attack('40 login forms that stall', clients=40, users=True)
async def stalled_form(target, address, number):
    async with target.connected(address) as connection:
        headers = {'Content-Length': 1000, 'Content-Type': 'application/x-www-form-urlencoded'}
        await connection.send_head('POST', '/v2/token', headers)
        await connection.send(b'grant_type=password&')
        await connection.until_closed()


@attack('1,000 tiny chunks, then a giant one', clients=4, seconds=6)
async def tiny_chunks(target, address, number):
    async with target.connected(address) as connection:
        location = path_of(await connection.ask('POST', f'/v2/{REPOSITORY}/blobs/uploads/'))
        for _ in range(1000):
            location = path_of(await connection.ask('PATCH', location, body=b'.'))
        await connection.send_head('PATCH', location, {'Content-Length': 256 * MiB})
        for _ in range(256):
            await connection.send(bytes(MiB))
            await asyncio.sleep(0.05)


@attack('40 uploads of 1 MiB a second', clients=40, ramp=6, seconds=6)
async def slow_upload(target, address, number):
    """Each sends nearly a segment, and waits then."""
    location = await target.begin_upload(address, REPOSITORY)
    async with target.connected(address) as connection:
        await connection.send_head('PATCH', location, {'Content-Length': 64 * MiB})
        for _ in range(60):
            await connection.send(bytes(MiB // 4))
            await asyncio.sleep(0.25)
        await connection.until_closed()
