"""Attacks with images whose pages are large, and take long to make."""

import functools
import json

from attack import attack
from wire import OCI_IMAGE, digest_of, image

PREPARING = '127.0.3.2'  # source address of what an attacker does before the attack
DEEP, LONG = 'hostile/page-deep', 'hostile/page-long'
EMPTY = b'{}'
TEXT = '"' * 1900  # which is longer when it is escaped


@functools.cache
def nested():
    """Return an image manifest of 100 kB that is 6 MB with indentation."""
    lists = '[' * 50 + ','.join(['1'] * 45_000) + ']' * 50
    return f'{json.dumps(image((digest_of(EMPTY), len(EMPTY))))[:-1]}, "nested": {lists}}}'.encode()


async def push_nested(target):
    await target.push_blob(PREPARING, DEEP, EMPTY)
    answer = await target.push_manifest(PREPARING, DEEP, 'v1', nested())
    target.counts[f'pushed {answer.status}'] += 1


@attack('the page of deep JSON, 32 clients', clients=32, addresses=4, prepare=push_nested, pause=0.5, ours=True)
async def look_at_nested(target, address, number):
    await target.ask(address, 'GET', f'/ui/{DEEP}/manifests/v1')


async def push_long(target):
    """Push an image with many annotations, and referrers with as many."""
    await target.push_blob(PREPARING, LONG, EMPTY)
    annotations = {f'{number}{TEXT}': TEXT for number in range(250)}
    manifest = image((digest_of(EMPTY), len(EMPTY)), annotations=annotations)
    answer = await target.push_manifest(PREPARING, LONG, 'v1', manifest)
    content = json.dumps(manifest).encode()
    subject = {'mediaType': OCI_IMAGE, 'digest': digest_of(content), 'size': len(content)}
    for tag in ('a', 'b', 'c'):
        await target.push_manifest(PREPARING, LONG, tag, dict(manifest, annotations={tag: '', **annotations}, subject=subject))
    target.counts[f'pushed {answer.status}'] += 1


@attack('the page of much text, 32 clients', clients=32, addresses=4, prepare=push_long, pause=0.5, ours=True)
async def look_at_text(target, address, number):
    await target.ask(address, 'GET', f'/ui/{LONG}/manifests/v1')
