"""Attacks with manifests: large, deep, and with many names in them."""

import asyncio
import functools
import json
import secrets

from attack import attack
from wire import OCI_IMAGE, OCI_INDEX, digest_of, image

LIMIT = 4 * 2**20  # bytes of a manifest; the default of REGISTRY_MANIFEST_LIMIT
PREPARING = '127.0.3.1'  # source address of what an attacker does before the attack
DEEP, LONG, REFERRERS, FALLBACK = 'hostile/deep', 'hostile/long', 'hostile/referrers', 'hostile/fallback'
EMPTY = b'{}'


@functools.cache
def nested():
    """Return an image manifest of nearly 4 MiB that says little: lists in lists."""
    filling = '[[[[[[[[]]]]]]]]'
    lists = ','.join([filling] * ((LIMIT - 1000) // (len(filling) + 1)))
    head = json.dumps(image((digest_of(EMPTY), len(EMPTY))))
    return f'{head[:-1]}, "nested": [{lists}]}}'.encode()


async def push_nested(target):
    await target.push_blob(PREPARING, DEEP, EMPTY)
    answer = await target.push_manifest(PREPARING, DEEP, 'v1', nested())
    target.counts[f'pushed {answer.status}'] += 1


@attack('4 MiB of lists, 32 clients ask HEAD', clients=32, prepare=push_nested, pause=0.5)
async def ask_nested(target, address, number):
    await target.ask(address, 'HEAD', f'/v2/{DEEP}/manifests/v1')


async def push_annotated(target):
    """Push a manifest that is nearly as large as it may be, and quick to parse."""
    await target.push_blob(PREPARING, LONG, EMPTY)
    manifest = image((digest_of(EMPTY), len(EMPTY)), annotations={'long': 'x' * (LIMIT - 1000)})
    answer = await target.push_manifest(PREPARING, LONG, 'v1', manifest)
    target.counts[f'pushed {answer.status}'] += 1


@attack('4 MiB of annotations, 32 clients ask HEAD', clients=32, prepare=push_annotated, pause=0.5)
async def ask_annotated(target, address, number):
    await target.ask(address, 'HEAD', f'/v2/{LONG}/manifests/v1')


@functools.cache
def unknown_layers(count):
    """Return an image manifest that names blobs that nobody has."""
    media_type = 'application/vnd.oci.image.layer.v1.tar'
    layers = [{'mediaType': media_type, 'digest': f'sha256:{secrets.token_hex(32)}', 'size': 1} for _ in range(count)]
    return json.dumps(dict(image((f'sha256:{secrets.token_hex(32)}', 2)), layers=layers)).encode()


@attack('12,000 references, 4 clients that leave', clients=4, pause=0.5)
async def many_references(target, address, number):
    await push_and_leave(target, address, unknown_layers(12_000), OCI_IMAGE)


@attack('36,000 references, 4 clients that leave', clients=4, pause=0.5)
async def large_index(target, address, number):
    await push_and_leave(target, address, unknown_manifests(36_000), OCI_INDEX)


@functools.cache
def unknown_manifests(count):
    """Return an index that names manifests that nobody has."""
    entries = ','.join(f'{{"digest":"sha256:{secrets.token_hex(32)}","size":1}}' for _ in range(count))
    return f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}'.encode()


async def push_and_leave(target, address, content, media_type):
    """Push a manifest, and wait no more than a second for the answer."""
    async with target.connected(address) as connection:
        try:
            async with asyncio.timeout(1):
                await connection.ask('PUT', '/v2/hostile/references/manifests/v1', {'Content-Type': media_type}, content)
        except TimeoutError:
            target.counts['left'] += 1


@attack('pushes of 4 MiB of lists', clients=4, prepare=push_nested, pause=0.2)
async def push_large(target, address, number):
    await target.push_manifest(address, DEEP, f'v{number}', nested())


def subject_of(repository):
    """Return the digest of the manifest that the referrers in a repository refer to. It need not exist."""
    return digest_of(repository.encode())


async def push_referrers(target, count=30, size=500_000):
    await target.push_blob(PREPARING, REFERRERS, EMPTY)
    subject = {'mediaType': OCI_IMAGE, 'digest': subject_of(REFERRERS), 'size': 2}
    for number in range(count):
        annotations = {f'key{number}': 'x' * size}
        manifest = image((digest_of(EMPTY), len(EMPTY)), subject=subject, annotations=annotations)
        answer = await target.push_manifest(PREPARING, REFERRERS, f'referrer{number}', manifest)
        target.counts[f'pushed {answer.status}'] += 1


@attack('30 referrers of 500 KB, 8 clients', clients=8, prepare=push_referrers, pause=0.3)
async def ask_referrers(target, address, number):
    await target.ask(address, 'GET' if number % 2 else 'HEAD', f'/v2/{REFERRERS}/referrers/{subject_of(REFERRERS)}')


async def push_fallback(target, count=8000):
    """Push a referrer, and an index under the fallback tag that names it again and again, and many that do not exist if it may."""
    await target.push_blob(PREPARING, FALLBACK, EMPTY)
    content = json.dumps(image((digest_of(EMPTY), len(EMPTY)))).encode()
    await target.push_manifest(PREPARING, FALLBACK, 'referrer', content)
    entries = [
        {'mediaType': OCI_IMAGE, 'digest': digest_of(content), 'size': len(content), 'annotations': {'a': str(n)}} for n in range(count)
    ]
    index = {'schemaVersion': 2, 'mediaType': OCI_INDEX, 'manifests': entries}
    answer = await target.push_manifest(PREPARING, FALLBACK, subject_of(FALLBACK).replace(':', '-'), index, OCI_INDEX)
    target.counts[f'pushed {answer.status}'] += 1


@attack('a fallback tag of 8,000 entries, 8 clients', clients=8, prepare=push_fallback, pause=0.3)
async def ask_fallback(target, address, number):
    await target.ask(address, 'GET' if number % 2 else 'HEAD', f'/v2/{FALLBACK}/referrers/{subject_of(FALLBACK)}')
