"""Connections of clients: how long the server waits for data, and how it closes them."""

import contextlib
import socket
import ssl
import time

from docker_registry.v2.http.bodies import READ_SIZE

CLIENT_TIMEOUT = 120  # seconds that a connection may be idle during a request, before the server closes it
HEAD_TIMEOUT = 10  # seconds for the whole head of a request; a thread waits for it, before any password is checked
LINGER = 2  # seconds for which the server still reads from a connection that it is closing
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'  # what gunicorn sends to a client that expects it
MOST_UNREAD = 60 * 1024  # bytes of an unread body; gunicorn reads up to 64 KiB to keep the connection for the next request


class SlowHead(Exception):
    """A client began to send the head of a request, and did not finish it in time. gunicorn would not answer a `TimeoutError`."""


class Patient:
    """A socket with timeouts. Without them, every client that goes silent would occupy a thread for ever.

    A client that sends `Expect: 100-continue` waits before it sends its body. gunicorn would invite it at once. This socket waits until
    the application reads the body, so that a client whose request is refused need not send it.
    """

    _deadline = None  # when the whole head of a request must have arrived, even if it comes byte by byte
    _has_begun = False  # whether a part of the head has arrived
    keeps_waiting = False  # whether the client waits for CONTINUE

    def setblocking(self, flag):
        """gunicorn calls this before each request. It starts the time limit for the head of the request."""
        self._deadline = time.monotonic() + HEAD_TIMEOUT if flag else None
        self._has_begun = self.keeps_waiting = False
        self.settimeout(HEAD_TIMEOUT if flag else 0)

    def be_patient(self):
        """Allow the body any time, as long as data keeps flowing. To be called when the head has arrived."""
        self._deadline = None
        self.settimeout(CLIENT_TIMEOUT)

    @contextlib.contextmanager
    def within(self, seconds):
        """In this block, the rest of the body must arrive in `seconds`, even if it comes byte by byte."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.be_patient()

    def recv(self, *arguments):
        if self._deadline is None:
            return super().recv(*arguments)
        self.settimeout(max(0.001, self._deadline - time.monotonic()))
        try:
            content = super().recv(*arguments)
        except TimeoutError:
            if self._has_begun:
                raise SlowHead()
            raise
        self._has_begun = True
        return content

    def send(self, content, *arguments):
        if isinstance(content, bytes) and content == CONTINUE:  # responses are sent with `sendall`, which passes no `bytes` to `send`
            self.keeps_waiting = True
            return len(content)
        return super().send(content, *arguments)

    def invite(self):
        """Send CONTINUE if the client waits for it."""
        if self.keeps_waiting:
            self.keeps_waiting = False
            self.sendall(CONTINUE)


class PatientSocket(Patient, socket.socket):
    pass


class PatientTLSSocket(Patient, ssl.SSLSocket):
    pass


class Invited:
    """The body of a request as a file. Before the first read, it invites the client to send the body."""

    def __init__(self, stream, sock):
        self._stream, self._socket = stream, sock

    def read(self, size):
        self._socket.invite()
        return self._stream.read(size)


def much_is_left(reader, most=MOST_UNREAD):
    """Return whether more than `most` bytes of a body may be unread. The length of a chunked body is not known, so it counts."""
    return getattr(reader, 'length', 0) > most or bool(getattr(reader, 'parser', None))


def end(sock):
    """Close a connection: stop sending, then read for up to `LINGER` seconds.

    If the server closed it with data unread, the client or its proxy would get a connection reset and might not see the response.
    gunicorn closes connections afterwards as well, but then finds nothing left to read. On its own it would read less, and make all
    other connections of the process wait.
    """
    with contextlib.suppress(OSError):  # the client has closed the connection, or has gone silent
        sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(READ_SIZE):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
