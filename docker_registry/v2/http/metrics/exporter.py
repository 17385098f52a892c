"""Serves metrics on a port of their own, in a process of its own: no load on the workers holds it up, and it needs no Swift.

It is another program, and no fork of the first process, which has the greenlets and the sockets of gunicorn. It imports neither.
"""

import contextlib
import http.server
import io
import logging
import os
import signal
import socket
import sys
import threading
import time

from docker_registry.v2.http.metrics.exposition import CONTENT_TYPE, exposition

logger = logging.getLogger(__name__)

SOCKET, LIFELINE = 0, 3  # its file descriptors
CLIENT_TIMEOUT = 5  # seconds for a request, and for taking its response: less than Prometheus waits for its turn
MOST_HEAD = 16 * 1024  # bytes of a request
NEEDED = ('PATH', 'PYTHON', 'LD_', 'LANG', 'LC_', 'TZ')  # variables that it gets: none with passwords
PAUSE = 1  # seconds between two starts of the process: one that cannot start must neither fill the log nor take the processor
MOST = 20  # requests at a time; more wait in the kernel


class Exporter:
    """The process, as the first process of the registry sees it. It ends when all other processes of the registry have ended.

    :param path: of a `folder.Folder`
    :param sock: a socket that is bound
    """

    def __init__(self, path, sock):
        self._path, self._sock = path, sock
        self._sock.listen(128)
        self._lifeline = os.pipe()  # the other end of it stays open in the registry's processes
        self._pid, self._started = None, 0.0

    def keep(self):
        """Start the process, if it does not run."""
        if self._pid and (_is_running(self._pid) or time.monotonic() - self._started < PAUSE):
            return
        if self._pid:
            logger.error('the process that serves metrics has ended; it is started again')
        files = [(os.POSIX_SPAWN_DUP2, self._sock.fileno(), SOCKET), (os.POSIX_SPAWN_DUP2, self._lifeline[0], LIFELINE)]
        arguments = [sys.executable, '-m', __spec__.name, self._path]
        environ = {name: value for name, value in os.environ.items() if name.startswith(NEEDED)}
        self._started = time.monotonic()
        self._pid = os.posix_spawn(sys.executable, arguments, environ, file_actions=files)

    def end(self):
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def leave(self):
        """Close in a new worker what it must not keep."""
        self._sock.close()
        os.close(self._lifeline[0])


def _is_running(pid):
    """Return whether a child runs. gunicorn takes note of all children that end, so a process id that is no more means that."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Handler(http.server.BaseHTTPRequestHandler):
    def setup(self):
        super().setup()
        self.rfile = io.BytesIO(_head(self.connection))
        self.connection.settimeout(CLIENT_TIMEOUT)

    def do_GET(self):
        if self.path.partition('?')[0] != '/metrics':
            self.send_error(404, explain='Metrics are at /metrics')
            return
        try:
            text = exposition(self.server.path)
        except OSError as error:  # somebody has removed the files
            self.send_error(500, explain=f'The files of the metrics cannot be read: {error.strerror}')
            return
        self.send_response(200)
        self.send_header('Content-Type', CONTENT_TYPE)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        """Log nothing: somebody asks every few seconds."""


def _head(sock):
    """Return the head of a request. The standard library would wait for ever for one that comes byte by byte.

    :raises OSError: it is too large, does not come in time, or not at all
    """
    deadline, head = time.monotonic() + CLIENT_TIMEOUT, b''
    while b'\r\n\r\n' not in head and b'\n\n' not in head:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        block = sock.recv(MOST_HEAD)
        head += block
        if not block or len(head) > MOST_HEAD:
            raise ConnectionAbortedError()
    return head


class Server(http.server.ThreadingHTTPServer):
    """Serves at most MOST requests at a time."""

    def __init__(self, sock, path):
        super().__init__(sock.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.path = sock, path
        self._free = threading.BoundedSemaphore(MOST)

    def process_request(self, request, client_address):
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request, client_address):
        """Say nothing of clients that go away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main(path):
    # Signals for the whole group of processes must not end it before those that it tells of.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # gunicorn lets its socket be inherited. Clients of a registry that ends must find nobody listening.
    os.closerange(LIFELINE + 1, os.sysconf('SC_OPEN_MAX'))
    threading.Thread(target=Server(socket.socket(fileno=SOCKET), path).serve_forever, daemon=True).start()
    os.read(LIFELINE, 1)
    os._exit(0)


if __name__ == '__main__':
    main(sys.argv[1])
