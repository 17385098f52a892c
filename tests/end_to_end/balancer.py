"""A plain TCP load balancer. It sends each connection to the next server, without stickiness."""

import itertools
import socket
import threading

BLOCK = 64 * 1024
TLS_HANDSHAKE = b'\x16'  # the first byte of a TLS connection


class Balancer:
    """Listens on `port` of 127.0.0.1 until it is closed.

    :param ports: ports of the servers on 127.0.0.1
    :param per_request: True to send each request to the next server, not only each connection
    """

    def __init__(self, ports, per_request=False):
        self._ports, self._per_request = itertools.cycle(ports), per_request
        self._left = None  # bytes that clients may still send
        self._open = threading.Event()
        self._counting = threading.Lock()
        self.held = threading.Event()
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.address, self.url = '127.0.0.1:%d' % self.port, 'http://127.0.0.1:%d' % self.port
        start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._open.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hold_after(self, count):
        """Let clients send `count` more bytes. Then set `held`, and pass no more bytes until `release`."""
        self.held.clear()
        self._open.clear()
        self._left = count

    def release(self):
        with self._counting:
            self._left = None
        self._open.set()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the listener was closed
                return
            start(self._serve, client, next(self._ports))

    def _serve(self, client, port):
        with client:
            try:
                start_of_request = self._last_of_its_connection(client) if self._per_request else b''
                server = socket.create_connection(('127.0.0.1', port))
            except OSError:
                return
            with server:
                server.sendall(start_of_request)
                back = start(pump, server, client, lambda block: None)
                pump(client, server, self._count)
                back.join()

    def _last_of_its_connection(self, client):
        """Return the first bytes that a client sends, with `Connection: close` added. So the next request gets a new connection."""
        received = b''
        while b'\r\n' not in received and received[:1] != TLS_HANDSHAKE:  # clients try TLS first
            block = client.recv(BLOCK)
            if not block:
                raise OSError('the client closed its connection without a request')
            received += block
        if received[:1] == TLS_HANDSHAKE:
            return received
        return received.replace(b'\r\n', b'\r\nConnection: close\r\n', 1)

    def _count(self, block):
        with self._counting:
            if self._left is not None:
                self._left -= len(block)
            is_held = self._left is not None and self._left < 0
        if is_held:
            self.held.set()
            self._open.wait()


def start(call, *arguments):
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def pump(source, target, seen):
    """Pass on data from `source` to `target` until one of them closes. `seen` is called with each block first, and may wait."""
    try:
        while True:
            block = source.recv(BLOCK)
            if not block:
                return target.shutdown(socket.SHUT_WR)
            seen(block)
            target.sendall(block)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
