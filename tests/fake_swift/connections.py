# -*- coding: utf-8 -*-
"""Connections of clients: HTTP/1.1 as a thread for each of them reads and writes it."""

import select
import socket
import struct
import threading
import time

from .messages import Request, native

PIECE = 1 << 16


class HangUp(Exception):
    """The connection is to end now."""


class Exchange(threading.Thread):
    """One client connection and, at any time, the one request on it."""

    def __init__(self, swift, connection):
        threading.Thread.__init__(self, name='fake-swift-connection')
        self.daemon = True
        self.swift, self.connection, self.reader = swift, connection, connection.makefile('rb')
        self.request, self.keep_alive, self.body_was_read, self.closed = None, True, False, False

    def run(self):
        try:
            while self.keep_alive and self.next_request():
                self.swift.action_for(self.request)(self)
        except (HangUp, EnvironmentError, ValueError, select.error):
            pass  # the client went away, a fault closed the connection, or the server stops
        finally:
            self.close()

    def close(self, reset=False):
        if self.closed:
            return
        self.closed = True
        try:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass  # the other side was faster
        self.reader.close()
        self.connection.close()

    def abort(self):
        """Called from another thread: wakes up this one, which then closes."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass

    def hang_up(self, reset=False):
        self.close(reset)
        raise HangUp()

    def next_request(self):
        """Read the head of a request; False at the end of the connection."""
        lines = []
        while not lines or lines[-1]:
            line = self.reader.readline(PIECE)
            if not line.endswith(b'\n'):
                return False
            lines.append(line.rstrip(b'\r\n'))
        method, target, version = lines[0].split(b' ')
        fields = [native(line).partition(':') for line in lines[1:-1]]
        self.request = Request(native(method), target, [(name, value.strip()) for name, _, value in fields])
        self.keep_alive = version == b'HTTP/1.1' and self.request.headers.get('Connection', '').lower() != 'close'
        self.body_was_read = not self.request.chunked and not self.request.length
        self.swift.requests.append(self.request)
        return True

    def read_body(self, upto=None):
        """Read the request's body, or so much of it; `truncated` says that it is not whole."""
        if self.body_was_read:
            return
        request, pieces = self.request, []
        if request.headers.get('Expect', '').lower() == '100-continue':
            self.send_bytes(b'HTTP/1.1 100 Continue\r\n\r\n')
        wanted = request.length if upto is None else min(upto, request.length or upto)
        for piece in self.read_chunks() if request.chunked else self.read_exactly(wanted):
            pieces.append(piece)
            request.received += len(piece)
            if upto is not None and request.received >= upto:
                break
        request.body = b''.join(pieces)
        if upto is not None or not request.chunked and request.received < request.length:
            request.truncated = True
        self.body_was_read = not request.truncated

    def read_exactly(self, size):
        while size:
            piece = self.reader.read(min(size, PIECE))
            if not piece:
                return
            size -= len(piece)
            yield piece

    def read_chunks(self):
        while True:
            line = self.reader.readline(PIECE)
            size = int(line.split(b';')[0], 16) if line.strip() else 0
            got = 0
            for piece in self.read_exactly(size):
                got += len(piece)
                yield piece
            if not self.reader.readline(PIECE).endswith(b'\n') or got < size or not line.strip():
                self.request.truncated = True
                return
            if not size:
                return

    def perform(self):
        """Let Swift do what was asked, and give its answer."""
        return self.swift.answer(self.request)

    def send(self, response, upto=None):
        """Send an answer, or its headers and so much of its body; returns the bytes left over."""
        self.swift.stamp(response.headers)
        if not self.body_was_read:
            self.keep_alive = False
        if not self.keep_alive:
            response.headers['Connection'] = 'close'
        self.request.status = response.status
        head, body = response.head(), b''
        if self.request.method != 'HEAD' and response.status not in (204, 304):
            body = response.framed_body()
            self.keep_alive = self.keep_alive and (response.chunked or response.length in (None, len(body)))
        self.send_bytes(head + body[:upto])
        return b'' if upto is None else body[upto:]

    def send_bytes(self, data):
        for start in range(0, len(data), PIECE):
            self.connection.sendall(data[start:start + PIECE])

    def stall(self, seconds=None):
        """Be silent until released, for so long, or until the client has gone."""
        deadline, released = time.time() + (seconds or 1e9), self.swift.released
        while not released.wait(min(0.05, max(0, deadline - time.time()))) and time.time() < deadline:
            readable = select.select([self.connection], [], [], 0)[0]
            if readable and self.body_was_read and not self.connection.recv(1, socket.MSG_PEEK):
                raise HangUp()
        if self.swift.stopping:
            raise HangUp()
