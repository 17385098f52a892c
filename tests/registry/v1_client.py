# -*- coding: utf-8 -*-
"""A client of the v1 registry. It sends the same requests as docker 0.11 to 1.5, in the same order.

The protocol: https://docs.docker.com/v1.6/reference/api/registry_api/ and
https://docs.docker.com/v1.6/reference/api/hub_registry_spec/; the requests of docker itself:
https://github.com/moby/moby/blob/v1.5.0/registry/session.go and https://github.com/moby/moby/blob/v1.5.0/graph/push.go
"""
import collections
import json
import socket

import httplib

from v1_image import sha256

TIMEOUT = 60  # seconds without a byte after which a test fails
BLOCK = 32 * 1024

#: A response. `complete` is False if the body ended before its Content-Length.
Answer = collections.namedtuple('Answer', 'status headers body complete')

#: A pulled layer: `size` is the value of X-Docker-Size, `length` and `sha256` are those of the received bytes.
Pulled = collections.namedtuple('Pulled', 'id json size length sha256')


class Refused(Exception):
    """The registry returned another status than the one with which the client can go on."""

    def __init__(self, method, path, answer):
        Exception.__init__(self, '%s %s: %d %s' % (method, path, answer.status, answer.body[:500]))
        self.status = answer.status


class V1Client(object):
    """:param address: (host, port) of a registry"""

    user_agent = 'docker/1.5.0 go/go1.4.1 git-commit/a8a31ef kernel/3.13.0-24-generic os/linux arch/amd64'

    def __init__(self, address):
        self.address = address

    # Requests. Each has its own connection, so that a killed or replaced worker does not make a test depend on timing.

    def ask(self, method, path, body=None, headers=None):
        """Send a request and return the `Answer`, whatever its status. A body that is an iterable of blocks is sent chunked."""
        connection = self.begin(method, path, headers, body)
        try:
            response = connection.getresponse()
            try:
                content, complete = response.read(), True
            except httplib.IncompleteRead as error:
                content, complete = error.partial, False
            return Answer(response.status, dict(response.getheaders()), content, complete)
        finally:
            connection.close()

    def begin(self, method, path, headers=None, body=None):
        """Send a request and return its connection. Without a body, the caller can send one on it."""
        connection = httplib.HTTPConnection(*self.address, timeout=TIMEOUT)
        headers = dict({'User-Agent': self.user_agent, 'Connection': 'close'}, **(headers or {}))
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            headers['Transfer-Encoding'] = 'chunked'
        elif body is not None:
            headers['Content-Length'] = str(len(body))
        connection.putrequest(method, '/v1/' + path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if chunked:
            send_chunks(connection, body)
            connection.send(b'0\r\n\r\n')
        elif body:
            connection.send(body)
        return connection

    def expect(self, status, method, path, body=None, headers=None):
        answer = self.ask(method, path, body, headers)
        if answer.status != status:
            raise Refused(method, path, answer)
        return answer

    def get_json(self, path, headers=None):
        return json.loads(self.expect(200, 'GET', path, headers=headers).body)

    def put_json(self, path, value, headers=None, status=200):
        headers = dict({'Content-Type': 'application/json'}, **(headers or {}))
        return self.expect(status, 'PUT', path, json.dumps(value).encode('utf-8'), headers)

    # Push

    def push(self, name, image, *tags):
        """Push an image as `name`:tag. Skips layers that the registry has. Returns the ids of the layers sent."""
        self.expect(200, 'GET', '_ping')
        token = self.announce(name, image, *tags)
        sent = [layer.id for layer in image.layers if self.push_layer(layer, token)]
        for tag in tags:
            self.put_tag(name, tag, image.id, token)
        checksums = [{'id': layer.id, 'checksum': layer.checksum} for layer in image.layers]
        self.put_json('repositories/%s/images' % name, checksums, status=204)
        return sent

    def announce(self, name, image, *tags):
        """Announce the layers to the index. Returns the headers for the following requests."""
        listed = [{'id': layer.id} for layer in image.layers]
        listed[-1]['Tag'] = tags[-1] if tags else ''
        answer = self.put_json('repositories/%s/' % name, listed, {'X-Docker-Token': 'true'})
        return {'Authorization': 'Token ' + answer.headers['x-docker-token']}

    def push_layer(self, layer, token=None):
        """Send the JSON, the bytes, and the checksum, which completes the layer. False if the registry has it already."""
        if self.ask('GET', 'images/%s/json' % layer.id, headers=token).status == 200:
            return False
        self.put_image_json(layer, token)
        self.expect(200, 'PUT', 'images/%s/layer' % layer.id, blocks_of(layer), token)
        self.expect(200, 'PUT', 'images/%s/checksum' % layer.id, b'', dict(
            token or {}, **{'X-Docker-Checksum-Payload': layer.checksum}))
        return True

    def put_image_json(self, layer, token=None):
        self.expect(200, 'PUT', 'images/%s/json' % layer.id, layer.json, token)

    # Pull

    def pull(self, name, tag):
        """Pull an image. Returns a list of `Pulled`, the base first."""
        answer = self.expect(200, 'GET', 'repositories/%s/images' % name, headers={'X-Docker-Token': 'true'})
        token = {'Authorization': 'Token ' + answer.headers['x-docker-token']}
        known = [image['id'] for image in json.loads(answer.body)]
        top = self.tags(name)[tag]
        assert top in known, 'the index does not know %s' % top
        ancestry = self.get_json('images/%s/ancestry' % top, token)
        return [self.pull_layer(image, token) for image in reversed(ancestry)]

    def pull_layer(self, image, token=None):
        described = self.expect(200, 'GET', 'images/%s/json' % image, headers=token)
        layer = self.expect(200, 'GET', 'images/%s/layer' % image, headers=token)
        assert layer.complete, 'the layer ended after %d bytes of %s' % (len(layer.body), layer.headers['content-length'])
        return Pulled(image, described.body, int(described.headers['x-docker-size']), len(layer.body), sha256(layer.body))

    def layer_range(self, image, bytes_range):
        """The `Answer` for a range of a layer. bytes_range is written as in `Range: bytes=...`."""
        return self.ask('GET', 'images/%s/layer' % image, headers={'Range': 'bytes=' + bytes_range})

    # Repositories

    def tags(self, name):
        return self.get_json('repositories/%s/tags' % name)

    def tag(self, name, tag):
        return self.get_json('repositories/%s/tags/%s' % (name, tag))

    def put_tag(self, name, tag, image, token=None):
        self.put_json('repositories/%s/tags/%s' % (name, tag), image, token)

    def delete_tag(self, name, tag):
        self.expect(200, 'DELETE', 'repositories/%s/tags/%s' % (name, tag))

    def delete_repository(self, name):
        self.expect(200, 'DELETE', 'repositories/%s/' % name)

    def set_access(self, name, access):
        self.put_json('repositories/%s/properties' % name, {'access': access})

    def search(self, word):
        """The names that the search index returns."""
        return [found['name'] for found in self.get_json('search?q=' + word)['results']]


def expected_of(image):
    """What `pull` returns for an image that comes back unchanged."""
    return [Pulled(layer.id, layer.json, layer.size, layer.size, layer.sha256) for layer in image.layers]


def blocks_of(layer, size=None):
    """The first `size` bytes of a layer, or all of them, block by block."""
    left = layer.size if size is None else size
    with open(layer.path, 'rb') as tar:
        while left:
            block = tar.read(min(left, BLOCK))
            left -= len(block)
            yield block


def send_chunks(connection, blocks):
    for block in blocks:
        connection.send(b'%x\r\n%s\r\n' % (len(block), block))


def hang_up(connection):
    """Stop sending, like a client that is gone, and wait until the registry notices.

    Returns the status of its response, or None if there is none.
    """
    connection.sock.shutdown(socket.SHUT_WR)
    try:
        return connection.getresponse().status
    except (httplib.BadStatusLine, socket.error):
        return None
    finally:
        connection.close()
