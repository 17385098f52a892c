# -*- coding: utf-8 -*-
"""A client that sends any request to the fake Swift and shows the whole response."""

import base64
import hashlib
import hmac
import json
import time

try:
    from http.client import BadStatusLine, HTTPConnection, IncompleteRead
    from urllib.parse import quote
except ImportError:  # Python 2
    from urllib import quote

    from httplib import BadStatusLine, HTTPConnection, IncompleteRead  # noqa: F401


class Answer(object):
    """A response: status, headers with lower-case names, and the whole body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = dict((name.lower(), value) for name, value in response.getheaders())
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body.decode('utf-8'))


class Client(object):
    """One keep-alive connection to the fake. It logs in when it first needs a token."""

    def __init__(self, swift, timeout=30):
        self.swift, self.timeout = swift, timeout
        self.connection = HTTPConnection(swift.auth_url.split('/')[2], timeout=timeout)
        self.token, self.container = None, 'c'

    def login(self, user=None, key=None):
        path = '/' + self.swift.auth_url.split('/', 3)[3]
        return self.ask('GET', path, headers={'X-Auth-User': user or self.swift.user, 'X-Auth-Key': key or self.swift.key})

    def ask(self, method, path, body=None, headers=()):
        self.connection.request(method, path, body, dict(headers))
        return Answer(self.connection.getresponse())

    def storage(self, method, path='', body=None, headers=(), **more):
        """Send a request for a path below the storage URL, with the token. Keywords are headers."""
        if self.token is None:
            self.token = self.login().headers['x-auth-token']
        given = dict({'X-Auth-Token': self.token}, **dict(headers))
        given.update((name.replace('_', '-'), value) for name, value in more.items())
        return self.ask(method, '/' + self.swift.storage_url.split('/', 3)[3] + path, body, given)

    def put_segments(self, *bodies):
        """Store segments as /c/seg0, /c/seg1, ... and return the entries of a manifest that names them."""
        entries = []
        for number, body in enumerate(bodies):
            path = '/%s/seg%d' % (self.container, number)
            self.storage('PUT', path, body)
            entries.append({'path': path, 'etag': hashlib.md5(body).hexdigest(), 'size_bytes': len(body)})
        return entries

    def put_manifest(self, entries, name='big', **headers):
        path = '/%s/%s?multipart-manifest=put' % (self.container, name)
        return self.storage('PUT', path, json.dumps(entries), Accept='application/json', **headers)

    def bulk_delete(self, *lines):
        return self.storage('POST', '?bulk-delete', '\n'.join(lines), Content_Type='text/plain', Accept='application/json')

    def names(self, query=''):
        return [entry.get('name') or entry['subdir'] for entry in self.storage('GET', '/c?format=json' + query).json]

    def close(self):
        self.connection.close()


def wait_until(condition, seconds=30):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, 'waited in vain'
        time.sleep(0.005)


def signed(path, key=b'secret', digest='sha256', method='GET', expires=None, form='hex'):
    expires = int(time.time()) + 60 if expires is None else expires
    mac = hmac.new(key, ('%s\n%d\n%s' % (method, expires, path)).encode('utf-8'), getattr(hashlib, digest))
    signature = mac.hexdigest() if form == 'hex' else digest + ':' + base64.urlsafe_b64encode(mac.digest()).decode('ascii')
    return quote(path.encode('utf-8')) + '?temp_url_sig=%s&temp_url_expires=%d' % (signature, expires)
