# -*- coding: utf-8 -*-
"""Client connections. A thread for each of them reads requests and writes responses, in HTTP/1.1."""

import select
import socket
import struct
import threading
import time

from .messages import Request, native

PIECE = 1 << 16


class HangUp(Exception):
    """Ends the thread of a connection."""


class Exchange(threading.Thread):
    """One client connection, and the request that is being served on it.

    Actions of faults call `read_body`, `perform`, `send`, `stall` and `hang_up`.
    """

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
            pass  # the client has gone, a fault has closed the connection, or the server stops
        finally:
            self.close()

    def close(self, reset=False):
        """Close the connection, with a TCP reset if wanted."""
        if self.closed:
            return
        self.closed = True
        try:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass  # the client has closed it already
        self.reader.close()
        self.connection.close()

    def abort(self):
        """Make this thread close the connection. Another thread calls this."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass

    def hang_up(self, reset=False):
        """Close the connection and end its thread."""
        self.close(reset)
        raise HangUp()

    def next_request(self):
        """Read the request line and the headers. Returns False at the end of the connection."""
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
        """Read the request body, or its first `upto` bytes. Sets `request.truncated` if that is not all of it."""
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
        """Yield `size` bytes in pieces. They are fewer if the client closes the connection."""
        while size:
            piece = self.reader.read(min(size, PIECE))
            if not piece:
                return
            size -= len(piece)
            yield piece

    def read_chunks(self):
        """Yield the pieces of a chunked body. Sets `request.truncated` if it ends early."""
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
        """Let Swift do what the request asks for, and return the `Response` without sending it."""
        return self.swift.answer(self.request)

    def send(self, response, upto=None):
        """Send a response. With `upto`, send the headers and that many bytes of the body, and return the rest."""
        self.swift.stamp(response.headers, self.request.headers.get('X-Trans-Id-Extra', ''))
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
        if response.stalls and self.request.method != 'HEAD':
            self.stall()
        return b'' if upto is None else body[upto:]

    def send_bytes(self, data):
        for start in range(0, len(data), PIECE):
            self.connection.sendall(data[start:start + PIECE])

    def stall(self, seconds=None):
        """Wait until `swift.release()`, but not longer than `seconds`. Ends the thread if the client closes the connection."""
        deadline, released = time.time() + (seconds or 1e9), self.request.released
        poller = select.poll()  # unlike select, for any number of files that the tests have open
        poller.register(self.connection, select.POLLIN)
        while not released.wait(min(0.05, max(0, deadline - time.time()))) and time.time() < deadline:
            if poller.poll(0) and self.body_was_read and not self.connection.recv(1, socket.MSG_PEEK):
                raise HangUp()
        if self.swift.stopping:
            raise HangUp()
