"""Targets: answers of a Swift to the driver. Whoever may write to the container, or stands in for Swift, chooses them."""

import functools
import io
import itertools
import logging
import re
import socketserver
import threading

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers import swift
from target import target

PARTS = [swift.Part(swift.Storage.part_path('id', number), 1024**2, 'd' * 32) for number in range(2)]

#: What is asked of the driver. The first byte of an input chooses one.
CALLS = (
    lambda storage: storage.stat('a'),
    lambda storage: storage.get_content('a'),
    lambda storage: storage.get_object('a'),
    lambda storage: list(itertools.islice(storage.stream_read('a', (1, 5)), 100)),
    lambda storage: list(itertools.islice(storage.stream_read('a'), 100)),
    lambda storage: storage.list_page('a'),
    lambda storage: list(itertools.islice(storage.list_directory('a'), 100)),
    lambda storage: list(itertools.islice(storage.walk('a'), 100)),
    lambda storage: storage.replace('a', b'content'),
    lambda storage: storage.put_stream('a', io.BytesIO(b'content'), 'id'),
    lambda storage: storage.compose('a', PARTS),
    lambda storage: storage.discard('a'),
    lambda storage: storage.remove('a'),
    lambda storage: storage.remove_parts(PARTS),
    lambda storage: storage.content_redirect_url('a'),
    lambda storage: storage.info(),
    lambda storage: storage.get_size('a'),
    lambda storage: storage.connect(),
)
LOGIN = b'HTTP/1.1 200 OK\r\nX-Storage-Url: http://127.0.0.1:%d/v1/AUTH_a\r\nX-Auth-Token: t\r\nContent-Length: 0\r\n\r\n'


class Answering(socketserver.ThreadingTCPServer):
    """A server on loopback that gives the same answer to each request, except to logins, and then closes the connection."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Answer)
        self.answer, self.login, self.port = b'', b'', self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """The driver has closed the connection."""


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        """Read a request to its end, or the connection would break before the driver has read the answer."""
        head = b''.join(itertools.takewhile(bytes.strip, iter(self.rfile.readline, b'')))
        length = re.search(rb'^content-length: (\d+)', head, re.MULTILINE | re.IGNORECASE)
        self.rfile.read(int(length[1]) if length else 0)
        while b'chunked' in head and self.rfile.readline() not in (b'0\r\n', b''):
            pass
        is_login = head.startswith(b'GET /auth')
        self.wfile.write(self.server.login or LOGIN % self.server.port if is_login else self.server.answer)


@functools.cache
def server():
    logging.getLogger('docker_registry').propagate = False
    return Answering()


def storage():
    return swift.Storage(
        'root',
        {
            'swift_authurl': f'http://127.0.0.1:{server().port}/auth/v1.0',
            'swift_auth_version': 1,
            'swift_user': 'u',
            'swift_password': 'p',
            'swift_container': 'c',
            'swift_retries': 0,
            'swift_read_timeout': 5,
            'swift_pool_size': 2,
        },
    )


def asked(call, answer):
    """Return nothing, or raise if the driver raises anything but its own errors."""
    server().answer = answer
    try:
        call(storage())
    except UnspecifiedError:
        pass


def answer(status, *fields, body=b''):
    return b'\r\n'.join([b'HTTP/1.1 ' + status, *fields, b'Content-Length: %d' % len(body), b'', body])


LISTING = (
    b'[{"name": "root/a/b", "hash": "d41d8cd98f00b204e9800998ecf8427e", "bytes": 5, "content_type": "text/plain", '
    b'"last_modified": "2026-01-31T12:00:00.123456"}, {"subdir": "root/a/c/"}]'
)
LARGE = b'X-Static-Large-Object: True'


@target(
    b'\0' + answer(b'200 OK', b'Etag: "x"', b'X-Timestamp: 1.5', b'X-Object-Meta-A: b', b'Last-Modified: Sat, 31 Jan 2026 12:00:00 GMT'),
    b'\0' + answer(b'404 Not Found'),
    b'\x01' + answer(b'200 OK', b'Etag: 9a0364b9e99bb480dd25e1f0284c8555', body=b'content'),
    b'\x03' + answer(b'206 Partial Content', b'Etag: x', b'Content-Range: bytes 1-5/9', body=b'ontent'[:5]),
    b'\x04HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n',
    b'\x05' + answer(b'200 OK', body=LISTING),
    b'\x05' + answer(b'200 OK', body=b'{"name": "root/a"}'),
    b'\x05HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999999\r\n\r\n[]',
    b'\x06' + answer(b'200 OK', body=b'[5, null, {"name": 7}]'),
    b'\x07' + answer(b'200 OK', body=LISTING.replace(b'2026-01-31', b'99999-13-31')),
    b'\x08' + answer(b'201 Created', b'Etag: 9a0364b9e99bb480dd25e1f0284c8555'),
    b'\x08' + answer(b'503 Service Unavailable', b'Retry-After: 1e99'),
    b'\x09' + answer(b'412 Precondition Failed', b'Etag: x'),
    b'\x0a'
    + answer(
        b'400 Bad Request', b'Content-Type: application/json', body=b'{"Errors": [["/c/x", "404 Not Found"]], "Response Status": "400"}'
    ),
    b'\x0a' + answer(b'400 Bad Request', body='{"Errors": [["/c/x", "²²² "]]}'.encode()),
    b'\x0b' + answer(b'204 No Content'),
    b'\x0c' + answer(b'200 OK', LARGE, b'X-Object-Meta-Segments: id 2', body=b'[{"name": "/c/root/_segments/id/00000000"}]'),
    b'\x0c' + answer(b'200 OK', LARGE, b'X-Object-Meta-Segments: id 9999999'),
    b'\x0c' + answer(b'200 OK', LARGE, body=b'[{"hash": 5}]'),
    b'\x0d' + answer(b'200 OK', body=b'{"Response Status": "200 OK", "Number Deleted": 2, "Errors": []}'),
    b'\x0d' + answer(b'200 OK', body=b'[1]'),
    b'\x0e' + answer(b'200 OK', b'X-Account-Meta-Temp-Url-Key: k', body=b'{"tempurl": {"allowed_digests": ["sha256", 5]}}'),
    b'\x0f' + answer(b'200 OK', body=b'{"bulk_delete": {"max_deletes_per_request": 10}, "slo": []}'),
    b'\x11' + answer(b'204 No Content', b'X-Container-Bytes-Used-Actual: 0', b'X-Storage-Policy: x'),
    words=(
        *(
            b'Etag: ',
            b'Content-Range: bytes ',
            b'Content-Length: ',
            b'X-Timestamp: ',
            b'Last-Modified: ',
            b'Retry-After: ',
            LARGE + b'\r\n',
        ),
        *(
            b'X-Object-Meta-Segments: ',
            b'X-Object-Meta-Segment-List: ',
            b'Transfer-Encoding: chunked\r\n',
            b'WWW-Authenticate: ',
            b'\r\n\r\n',
        ),
        *(
            b'"Errors": ',
            b'"name": ',
            b'"subdir": ',
            b'"bytes": ',
            b'"hash": ',
            b'"last_modified": ',
            b'"Response Status": ',
            b'null',
            b'\xb2',
        ),
        *(
            b'"slo": ',
            b'"bulk_delete": ',
            b'"tempurl": ',
            b'"swift": ',
            b'HTTP/1.1 200 OK\r\n',
            b'HTTP/1.1 401 Unauthorized\r\n',
            b'99999999',
        ),
    ),
)
def swift_answer(data):
    server().login = b''
    asked(CALLS[data[0] % len(CALLS)] if data else CALLS[0], data[1:])


@target(
    answer(b'200 OK', b'X-Storage-Url: http://127.0.0.1:1/v1/AUTH_a', b'X-Auth-Token: t', b'X-Auth-Token-Expires: 86400'),
    answer(b'200 OK', b'X-Storage-Url: http://[::1/v1', b'X-Storage-Token: t', 'X-Auth-Token-Expires: ²'.encode('latin-1')),
    answer(b'200 OK', b'X-Storage-Url: ftp://a/v1', b'X-Auth-Token: t'),
    answer(b'401 Unauthorized'),
    answer(b'503 Service Unavailable', b'Retry-After: 5'),
    b'HTTP/1.1 200\r\n',
    b'',
    words=(b'X-Storage-Url: ', b'X-Auth-Token: ', b'X-Auth-Token-Expires: ', b'Retry-After: ', b'http://127.0.0.1:', b'http://[::1'),
)
def login_answer(data):
    """Whatever the login service answers, the driver raises its own error. It then connects to no other host: this ends before."""
    server().login = data or b'\0'
    try:
        swift._log_in_v1(storage().settings)
    except UnspecifiedError:
        pass
