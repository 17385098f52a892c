"""What stays in the container that nothing names: segments of uploads that came to nothing, and blobs without a link."""

import collections
import contextlib
import json
import re
import urllib.parse

import requests

SEGMENT = re.compile(r'[^/]+/_segments/.*/\d{8}')
BLOB = re.compile(r'[^/]+/docker/registry/v2/blobs/sha256/../([0-9a-f]{64})/data')
LINK = re.compile(r'[^/]+/docker/registry/v2/repositories/.*/sha256/([0-9a-f]{64})/link')


def measure(swift, container):
    """Return {what: bytes} of one container: what is stored in all, and what nothing names."""
    with log_in(swift) as (session, account):
        url = f'{account}/{container}'
        segments, blobs, links, total = {}, {}, set(), 0
        for row in listing(session, url):
            total += 0 if 'slo_etag' in row else row['bytes']
            if SEGMENT.fullmatch(row['name']):
                segments[row['name']] = row['bytes']
            elif found := BLOB.fullmatch(row['name']):
                blobs[found[1]] = row
            elif found := LINK.fullmatch(row['name']):
                links.add(found[1])
        large = [row['name'] for row in blobs.values() if 'slo_etag' in row]
        named = {name for blob in large for name in segments_of(session, url, blob)}
    return collections.OrderedDict(
        stored=total,
        large_objects=len(large),
        segments_that_no_blob_names=sum(size for name, size in segments.items() if name not in named),
        blobs_that_no_repository_links=sum(row['bytes'] for digest, row in blobs.items() if digest not in links),
    )


@contextlib.contextmanager
def log_in(swift):
    """Yield (a session, the URL of the account)."""
    with requests.Session() as session:
        login = session.get(swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': swift.key}, timeout=60)
        session.headers['X-Auth-Token'] = login.headers['X-Auth-Token']
        yield session, login.headers['X-Storage-Url']


def listing(session, url):
    marker = ''
    while True:
        page = session.get(url, params={'format': 'json', 'marker': marker}, timeout=60)
        page.raise_for_status()
        rows = page.json() if page.content else []
        if not rows:
            return
        yield from rows
        marker = rows[-1]['name']


def segments_of(session, url, blob):
    """Return the names of the segments that a static large object consists of."""
    manifest = session.get(f'{url}/{urllib.parse.quote(blob)}', params={'multipart-manifest': 'get'}, timeout=60)
    manifest.raise_for_status()
    return [entry['name'].split('/', 2)[2] for entry in json.loads(manifest.content)]
