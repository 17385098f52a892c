"""A small server on loopback that answers each request as a test says: also with what no healthy server sends."""

import contextlib
import socket
import threading

MOST = 2**27  # bytes that an endless answer has, if nobody ends it


class Peer:
    """Takes connections until the end of the block. `answer` is called with a socket after a request has come on it."""

    def __init__(self, answer, tls=None):
        self.answer, self._tls = answer, tls
        self.requests, self.sent, self.released, self.ended = [], 0, threading.Event(), threading.Event()
        self._listening = socket.create_server(('127.0.0.1', 0))
        self.url = '%s://127.0.0.1:%d' % ('https' if tls else 'http', self._listening.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info):
        self.ended.set()
        self.released.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self):
        while not self.ended.is_set():
            with contextlib.suppress(OSError):  # the end
                client, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):  # the client has gone
            client.settimeout(30)
            with self._tls.wrap_socket(client, server_side=True) if self._tls else contextlib.nullcontext(client) as connection:
                self.requests.append(_request(connection))
                self.answer(Answering(self, connection, self.requests[-1]))


class Answering:
    """What an answer can do. It knows the bytes of the request."""

    def __init__(self, peer, connection, request):
        self._peer, self._connection, self.request = peer, connection, request

    def send(self, content):
        self._connection.sendall(content)
        self._peer.sent += len(content)

    def hang(self):
        """Send nothing until the test releases it."""
        self._peer.released.wait()

    def drip(self, content, seconds=0.05):
        """Send one byte now and then."""
        for byte in content:
            if not self._peer.ended.wait(seconds):
                self.send(bytes([byte]))

    def flood(self):
        while self._peer.sent < MOST and not self._peer.ended.is_set():
            self.send(b' ' * 2**16)


def answer(status=200, body=b'', **headers):
    """Return an answer of HTTP."""
    fields = {'Content-Type': 'application/json', 'Content-Length': len(body), 'Connection': 'close'}
    fields.update({name.replace('_', '-'): value for name, value in headers.items()})
    lines = [f'HTTP/1.1 {status} Status', *(f'{name}: {value}' for name, value in fields.items() if value is not None)]
    head = '\r\n'.join(lines).encode() + b'\r\n\r\n'
    return lambda client: client.send(head + body)


def _request(connection):
    """Return the bytes of a request, or the first ones of something else."""
    content = b''
    while b'\r\n\r\n' not in content or len(content.partition(b'\r\n\r\n')[2]) < _length(content):
        block = connection.recv(65536)
        content += block
        if not block or not content[:1].isalpha():
            break
    return content


def _length(content):
    _, found, rest = content.lower().partition(b'\r\ncontent-length:')
    return int(rest.split(b'\r\n')[0]) if found else 0
