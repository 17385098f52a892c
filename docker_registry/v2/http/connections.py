"""Connections of clients: how long the server waits for them, and how it ends them."""

import contextlib
import socket
import ssl
import time

from docker_registry.v2.http.bodies import READ_SIZE

CLIENT_TIMEOUT = 120  # seconds in which a client has to send or take something, or it loses its connection
HEAD_TIMEOUT = 10  # seconds in which the head of a request has to be there: a thread waits for it, of clients nobody knows
LINGER = 2  # seconds for which a connection that has ended is read from
MOST_UNREAD = 60 * 1024  # bytes left of a body; gunicorn reads up to 64 KiB to keep the connection for the next request


class Patient:
    """A socket that waits for its client, and not for ever: a thread would be lost to each that went silent."""

    _deadline = None  # for the head of a request to be there, however it comes

    def setblocking(self, flag):
        """Called before each request."""
        self._deadline = time.monotonic() + HEAD_TIMEOUT if flag else None
        self.settimeout(HEAD_TIMEOUT if flag else 0)

    def be_patient(self):
        """The head is there, and its body may take any time, as long as it comes."""
        self._deadline = None
        self.settimeout(CLIENT_TIMEOUT)

    def recv(self, *arguments):
        if self._deadline is not None:
            self.settimeout(max(0.001, self._deadline - time.monotonic()))
        return super().recv(*arguments)


class PatientSocket(Patient, socket.socket):
    pass


class PatientTLSSocket(Patient, ssl.SSLSocket):
    pass


def much_is_left(reader):
    """Whether of a body that nobody wanted there is more than gunicorn reads, or may be: of one in chunks nobody knows."""
    return getattr(reader, 'length', 0) > MOST_UNREAD or bool(getattr(reader, 'parser', None))


def end(sock):
    """End a connection from our side, and read on for a while: were it closed with something unread, the client, or the proxy
    before it, would be told that it broke, and not see the answer. gunicorn does so after us, and finds nothing left to do: it
    would read less, and let all connections of the process wait meanwhile.
    """
    with contextlib.suppress(OSError):  # the client has closed it, or is silent
        sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(READ_SIZE):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
