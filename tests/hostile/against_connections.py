"""Attacks with connections: that say nothing, say half of something, or do not end."""

import asyncio
import contextlib
import functools
import ssl

from attack import PLAIN, TLS, attack
from wire import context

BOTH = (PLAIN, TLS)


@attack('300 connections without a byte', clients=300, over=BOTH)
async def silent(target, address, number):
    async with target.connected(address, tls=False) as connection:
        await connection.until_closed()


@attack('300 half TLS handshakes', clients=300, over=(TLS,))
async def half_handshake(target, address, number):
    async with target.connected(address, tls=False) as connection:
        await connection.send(hello()[: len(hello()) // 2])
        await connection.until_closed()


@functools.cache
def hello():
    """Return what a client sends first."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname='localhost').do_handshake()
    return sent.read()


@attack('15 half request heads a second', clients=75, every=1 / 15, seconds=4.5, over=BOTH)
async def half_head(target, address, number):
    async with target.connected(address) as connection:
        await connection.send(b'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAccept: ')
        await connection.until_closed()


@attack('60 heads byte by byte', clients=60)
async def slow_head(target, address, number):
    async with target.connected(address) as connection:
        for byte in b'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAccept: ' + 1000 * b'a':
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.25)


@attack('60 clients that never close', clients=60, every=1 / 20, over=BOTH)
async def lingering(target, address, number):
    """The server says that it closes the connection. The client sends on, and closes nothing."""
    async with target.connected(address) as connection:
        await connection.ask('GET', '/v2/', {'Connection': 'close'})
        while True:
            await connection.send(b'.')
            await asyncio.sleep(0.25)


@attack('20 bodies sent after the error', clients=20, over=BOTH)
async def unread_body(target, address, number):
    """The body of a manifest that is far too large, most of it after the response."""
    async with target.connected(address) as connection:
        await connection.send_head('PUT', '/v2/hostile/unread/manifests/v1', {'Content-Length': 2**30})
        while True:
            await connection.send(bytes(16 * 1024))
            await asyncio.sleep(0.1)


opening = asyncio.Semaphore(8)


@attack('2,300 idle connections, one address', clients=2300, pause=10, ramp=2)
@attack('2,300 idle connections, 23 addresses', clients=2300, addresses=23, pause=10, ramp=2)
@attack('2,300 idle TLS connections, 23 addresses', clients=2300, addresses=23, pause=10, ramp=6, over=(TLS,))
async def idle(target, address, number):
    """One request each, and then nothing."""
    async with opening:
        connection = await target.connect(address)
        try:
            await connection.ask('GET', '/v2/')
        except BaseException:
            connection.abort()
            raise
    try:
        await connection.until_closed()
    finally:
        connection.abort()
