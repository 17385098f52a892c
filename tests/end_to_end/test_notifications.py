"""Notifications of this registry and of CNCF distribution 2.8, for the same requests."""

import hashlib
import json
import os
import sys

import pytest
import requests

import bases
from servers import wait_until

sys.path.append(os.path.join(bases.CHECKOUT, 'tests', 'v2'))
from event_listener import EventListener

OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
LAYER, CONFIG = b'layer' * 100, b'{}'


def digest_of(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def descriptor(content, media_type):
    return {'mediaType': media_type, 'digest': digest_of(content), 'size': len(content)}


MANIFEST = json.dumps(
    {
        'schemaVersion': 2,
        'mediaType': OCI_IMAGE,
        'config': descriptor(CONFIG, 'application/vnd.oci.image.config.v1+json'),
        'layers': [descriptor(LAYER, 'application/vnd.oci.image.layer.v1.tar+gzip')],
    }
).encode()
DIGEST = digest_of(MANIFEST)


class Client:
    """Sends requests to a server one by one, and collects the events of each."""

    def __init__(self, server, listener):
        self._url, self._listener, self._session = f'http://{server.address}', listener, requests.Session()
        self.told = []

    def send(self, method, path, count, content=None, **headers):
        """Send a request, and wait for so many events."""
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        url = path if path.startswith('http') else self._url + path
        answer = self._session.request(method, url, data=content, headers={'Accept': OCI_IMAGE, **headers}, timeout=60)
        answer.raise_for_status()
        wait_until(lambda: len(self._listener.accepted) >= len(self.told) + count, 'the listener has the events of %s' % path)
        self.told += self._listener.accepted[len(self.told) :]
        return answer

    def push(self, content):
        location = requests.compat.urljoin(self._url, self.send('POST', '/v2/a/blobs/uploads/', 0).headers['Location'])
        self.send('PUT', location + ('&' if '?' in location else '?') + 'digest=' + digest_of(content), 1, content)

    def everything(self):
        """Send every kind of request that distribution tells of."""
        for content in (LAYER, CONFIG):
            self.push(content)
        self.send('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=a', 1)
        for reference in ('v1', DIGEST, 'v2'):
            self.send('PUT', f'/v2/a/manifests/{reference}', 1, MANIFEST, Content_Type=OCI_IMAGE)
        for method in ('GET', 'HEAD'):
            for path in ('manifests/v1', f'manifests/{DIGEST}', f'blobs/{digest_of(LAYER)}'):
                self.send(method, f'/v2/a/{path}', 1)
        self.send('GET', f'/v2/a/blobs/{digest_of(LAYER)}', 1, Range='bytes=0-3')
        self.send('DELETE', f'/v2/a/manifests/{DIGEST}', 3)
        self.send('DELETE', f'/v2/a/blobs/{digest_of(LAYER)}', 1)


def comparable(event, server):
    """Return an event without what differs each time."""
    text = json.dumps(event).replace(server.address, 'server')
    event = json.loads(text)
    for holder, name in ((event, 'id'), (event, 'timestamp'), (event['request'], 'id'), (event['source'], 'instanceID')):
        assert isinstance(holder[name], str) and holder[name]
        holder[name] = ''
    host, _, port = event['request']['addr'].rpartition(':')
    assert host == '127.0.0.1' and port.isdigit()
    event['request']['addr'] = ''
    assert event['source']['addr'].rpartition(':')[2] == server.address.rpartition(':')[2]
    event['source']['addr'] = event['source']['addr'].rpartition(':')[0]
    return event


def told_by(start):
    with EventListener() as listener:
        server = start(listener.url)
        client = Client(server, listener)
        client.everything()
        assert {post.path for post in listener.posts} == {'/callback'}
        return [comparable(event, server) for event in client.told]


@pytest.fixture
def theirs(place):
    return told_by(place.distribution)


@pytest.fixture
def ours(place):
    return told_by(lambda url: place.registry(REGISTRY_NOTIFICATIONS_URL=url))


def test_the_events_of_both_are_the_same(theirs, ours):
    assert len(theirs) == 17
    assert [list(event) for event in ours] == [list(event) for event in theirs]
    assert ours == theirs
