"""Connections of clients: how long the server waits for each, and what it gives to others meanwhile."""

import contextlib
import socket
import ssl
import time

import gevent

KEEP_ALIVE = 75  # seconds for which a connection stays open until a request begins
HEAD_TIMEOUT = 10  # seconds for the rest of a request's head, and for a TLS handshake
CLIENT_TIMEOUT = 120  # seconds that a connection may be idle during a request, before the server closes it
LINGER = 2  # seconds for which the server still reads from a connection that it is closing
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'  # what gunicorn sends to a client that expects it
REFUSAL = 0.2  # seconds for which the server waits for the request of a connection that is one too many
MOST_UNREAD = 60 * 1024  # bytes of a body that nobody wants, but that are read to keep the connection for the next request
LARGEST_HEAD = 64 * 1024  # bytes of a request's head; gunicorn copies what it has each time that more arrives
SMALL_PIECE = 1024  # bytes of a head; after a smaller piece the server waits for more
PIECE_PAUSE = 0.01  # seconds of that wait
READ_PATIENCE = 0.05  # seconds that a body may let the server wait before others get the place of its request
SEND_PATIENCE = 1  # seconds that a client may take for one block of a response, before the registry lets go of storage
TURN = 0.005  # seconds that one connection may be served without a break
PIECE = 256 * 1024  # bytes that are sent at a time
RECORD = 16 * 1024  # bytes in a record of TLS, at most
UPLOAD_HELD = 512 * 1024  # bytes in memory for which an upload counts while it waits for more; the driver bounds what it has itself


class SlowHead(Exception):
    """A client began to send the head of a request, and did not finish it in time. gunicorn would not answer a `TimeoutError`."""


class LargeHead(Exception):
    """The head of a request is larger than LARGEST_HEAD."""


class Patient:
    """A socket that waits for its client only so long, and lets others work meanwhile.

    It is in one of two states. `expect_head` begins the first: a request may come, and then the rest of its head must. `expect_body`
    begins the second: the application answers, and the client takes the answer.

    A client that sends `Expect: 100-continue` waits before it sends its body. gunicorn would invite it at once. This socket waits until
    the application reads the body, so that a client whose request is refused need not send it.
    """

    work = None  # `work.Work`, which pauses while the client makes the server wait
    crowd = None  # `crowd.Crowd`, which may end this connection if too much memory waits for clients
    keeps_waiting = False  # whether the client waits for CONTINUE
    _head = None  # bytes of the head that have arrived; None in the second state
    _received = 0  # bytes of the body that have arrived
    _deadline = None  # when the head, or the body if it has a time limit, must have arrived
    _turn_began = 0.0
    _is_woken = False

    @property
    def is_idle(self):
        """Whether no request has begun, and the connection need not end."""
        return self._head == 0 and not self._is_woken

    def expect_head(self):
        self._head, self._deadline = 0, time.monotonic() + KEEP_ALIVE
        self.keeps_waiting = False

    def expect_body(self):
        """Allow any time, as long as data keeps flowing."""
        self._head = self._deadline = None
        self._received = 0

    @contextlib.contextmanager
    def within(self, seconds):
        """In this block, the rest of the body must arrive in `seconds`, even if it comes byte by byte."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def recv(self, size):
        self._share()
        if self._head is not None:
            return self._recv_head(size)
        content = self._recv_body(size)
        self._received += len(content)
        return content

    def _recv_body(self, size):
        if self._deadline and time.monotonic() > self._deadline:
            raise TimeoutError()  # although a byte may come again and again
        self.settimeout(READ_PATIENCE)
        with contextlib.suppress(TimeoutError):
            return self.arrived(size)
        with self._paused(self._received if self.work and self.work.collects else min(self._received, UPLOAD_HELD)):
            self._wait_until(self._deadline or time.monotonic() + CLIENT_TIMEOUT)
            return self.arrived(size)

    def arrived(self, size):
        return super().recv(size)

    def _recv_head(self, size):
        """Return b'', as at the end of the connection, if no other request comes."""
        self._wait_until(self._deadline)
        try:
            content = super().recv(size)
        except OSError as error:
            if self._head and isinstance(error, TimeoutError):
                raise SlowHead()
            if self._is_woken or isinstance(error, TimeoutError):
                return b''
            raise
        if self._head and len(content) < SMALL_PIECE:
            time.sleep(PIECE_PAUSE)
        if not self._head:
            self._deadline = time.monotonic() + HEAD_TIMEOUT
        self._head += len(content)
        if self._head > LARGEST_HEAD:
            raise LargeHead()
        return content

    def _wait_until(self, deadline):
        self.settimeout(max(0.001, deadline - time.monotonic()))

    def send(self, content, *flags):
        if isinstance(content, bytes) and content == CONTINUE:  # responses are sent with `sendall`
            self.keeps_waiting = True
            return len(content)
        return super().send(content, *flags)

    def sendall(self, content, *flags):
        """Send everything. After SEND_PATIENCE, the request pauses until the client has taken it."""
        left, patient_until = memoryview(content).cast('B'), time.monotonic() + SEND_PATIENCE
        while left and time.monotonic() < patient_until:
            self._share()
            self._wait_until(patient_until)
            with contextlib.suppress(TimeoutError):
                left = left[super().send(left[:PIECE]) :]
        if left:
            with self._paused(len(content)):
                while left:
                    self.settimeout(CLIENT_TIMEOUT)
                    left = left[super().send(left[:PIECE]) :]

    @contextlib.contextmanager
    def _paused(self, held):
        """In this block, the client makes the server wait.

        :param held: bytes in memory that wait for the client, at most
        """
        with self.crowd.waiting(self, held) if self.crowd else contextlib.nullcontext():
            with self.work.paused() if self.work else contextlib.nullcontext():
                yield

    def _share(self):
        """Let other connections be served. A fast client has always sent more, or can always take more, so nothing else would."""
        if time.monotonic() - self._turn_began > TURN:
            time.sleep(0)
            self._turn_began = time.monotonic()

    def skip(self, body):
        """Read what is left of a body. The next request comes after it."""
        with self.within(HEAD_TIMEOUT):
            while body.read(PIECE):
                pass

    def invite(self):
        """Send CONTINUE if the client waits for it."""
        if self.keeps_waiting:
            self.keeps_waiting = False
            self.sendall(CONTINUE)

    @property
    def is_open(self):
        """Whether the client has not closed the connection, as far as is known."""
        established = 1  # TCP_ESTABLISHED of Linux; the first byte of its struct tcp_info is the state
        return not hasattr(socket, 'TCP_INFO') or self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established

    def wake(self):
        """Make a `recv` that waits for a request return, as at the end of the connection. Any other wait fails with `OSError`."""
        self._is_woken = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RDWR)

    def refuse(self, answer):
        """Answer whatever the client asks, and close. A client that has not asked in a short time gets no answer.

        There is no TLS handshake, which would take much of the processor.
        """
        with contextlib.suppress(OSError):
            self.settimeout(REFUSAL)
            socket.socket.recv(self, PIECE)  # with data unread, the client would get a reset instead of the answer
            socket.socket.send(self, answer)
        super().close()

    def close(self):
        """Stop sending, read for up to `LINGER` seconds, and close.

        If the server closed it with data unread, the client or its proxy would get a connection reset and might not see the response.
        """
        with contextlib.suppress(OSError):  # it is closed, or the client has closed it, or has gone silent
            self.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + LINGER
            while time.monotonic() < deadline:
                self._share()
                self._wait_until(deadline)
                if not super().recv(PIECE):
                    break
        super().close()


class PatientSocket(Patient, socket.socket):
    pass


class PatientTLSSocket(Patient, ssl.SSLSocket):
    def arrived(self, size):
        """Wait for one record, and return it with those after it that are there already. Blocks of 16 KiB would cost too much."""
        content = super().arrived(min(size, RECORD))
        pieces, left = [content], size - len(content)
        self.settimeout(0)
        with contextlib.suppress(OSError):  # there is no more, or the next call says what is wrong
            while left and pieces[-1]:
                pieces.append(super().arrived(min(left, RECORD)))
                left -= len(pieces[-1])
        return b''.join(pieces)

    def do_handshake(self):
        """:raises TimeoutError: the client has not done its part in time, perhaps because it comes byte by byte"""
        with gevent.Timeout(HEAD_TIMEOUT, TimeoutError('the TLS handshake took too long')):
            super().do_handshake()


class Invited:
    """The body of a request as a file. Before the first read, it invites the client to send the body."""

    def __init__(self, body, sock):
        self._body, self._socket = body, sock

    def read(self, size):
        """Return up to `size` bytes, as many as have come, b'' at the end.

        gunicorn's `Body` would wait for all of `size`, and copy them.
        """
        self._socket.invite()
        try:
            return self._body.reader.read(size)
        except Exception:
            self._body.failed = True  # nobody knows where the next request begins
            raise


def much_is_left(reader, most=MOST_UNREAD):
    """Return whether more than `most` bytes of a body may be unread. The length of a chunked body is not known, so it counts."""
    return getattr(reader, 'length', 0) > most or bool(getattr(reader, 'parser', None))
