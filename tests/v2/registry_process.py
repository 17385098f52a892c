"""Runs `registry-swift` as a separate process, with real sockets."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid

COMMAND = [sys.executable, '-m', 'docker_registry.v2']
DEADLINE = 60  # seconds; on an idle machine, everything takes a second or two


def environment(server, **more):
    """Return environment variables for a registry on a Swift with v1 auth, in a new container.

    :param more: further variables; None removes one
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'REGISTRY_', 'GUNICORN_'))}
    variables.update(
        OS_AUTH_URL=server.auth_url,
        OS_AUTH_VERSION='1',
        OS_USERNAME=server.user,
        OS_PASSWORD=server.key,
        OS_CONTAINER='process-' + uuid.uuid4().hex[:12],
        SWIFT_SEGMENT_SIZE='1MiB',
        GUNICORN_WORKERS='1',
    )
    variables.update(more)
    return {name: str(value) for name, value in variables.items() if value is not None}


def run(*arguments, environ):
    """Run a command that ends by itself. Return (exit status, standard output, standard error)."""
    done = subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, done.stdout, done.stderr


def until(condition, seconds=DEADLINE):
    """Call `condition` until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, 'timed out: the condition did not become true'
        time.sleep(0.02)


def changed(*statements):
    """Return the arguments for Python of a registry in which some code runs first, such as `connections.HEAD_TIMEOUT = 0.5`."""
    before = ['import sys, time', 'from gevent import monkey', 'monkey.patch_all()', 'from docker_registry.v2 import cli']
    before.append('from docker_registry.v2.http import bodies, connections, server, token_endpoint, worker')
    return ['-c', '; '.join([*before, *statements, 'sys.exit(cli.main(sys.argv[1:]))'])]


class Serving:
    """`registry-swift serve` on a free port, with its log in a file."""

    def __init__(self, folder, environ, *arguments, command=None):
        command = [sys.executable, *command] if command else COMMAND
        self._opened = []
        self.log_path = str(folder / ('log-' + uuid.uuid4().hex[:8]))
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen([*command, 'serve', '--port', '0', *arguments], env=environ, stdout=log, stderr=log)
        self.port = int(until(self._listening)[1])

    def _listening(self):
        assert self.process.poll() is None, self.log
        return re.search(r'listening on \S+ port (\d+) ', self.log)  # all of the number

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for opened in self._opened:
            opened.close()
        self.end(signal.SIGINT)

    @property
    def log(self):
        with open(self.log_path) as log:
            return log.read()

    @property
    def workers(self):
        """Process ids of the workers."""
        with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as children:
            return [int(word) for word in children.read().split()]

    def end(self, number=signal.SIGTERM):
        """Send a signal, wait for the end, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            for pid in [*self.workers, self.process.pid]:
                os.kill(pid, signal.SIGKILL)
            raise

    def connection(self):
        """Return an `http.client` connection. It is closed when the server ends, if not before."""
        self._opened.append(http.client.HTTPConnection('127.0.0.1', self.port, timeout=DEADLINE))
        return self._opened[-1]

    def raw(self, *pieces, source='127.0.0.1', receive_buffer=None):
        """Return a socket after sending these bytes. It is closed when the server ends, if not before.

        :param source: address of this machine that the connection comes from
        :param receive_buffer: bytes that the kernel takes before the client reads them
        """
        client = socket.socket()
        self._opened.append(client)
        client.settimeout(DEADLINE)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.bind((source, 0))
        client.connect(('127.0.0.1', self.port))
        for piece in pieces:
            client.sendall(piece.encode() if isinstance(piece, str) else piece)
        return client

    def request(self, method, path, body=None, connection=None, **headers):
        """Send a request and return (status, headers, body). If `body` is an iterator, it is sent in chunks."""
        used = connection or self.connection()
        try:
            used.request(
                method,
                path,
                body,
                {name.replace('_', '-'): value for name, value in headers.items()},
                encode_chunked=hasattr(body, '__next__'),
            )
            answer = used.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if connection is None:
                used.close()

    def begin_upload(self, repository='a'):
        """Start an upload and return its path."""
        return self.request('POST', f'/v2/{repository}/blobs/uploads/')[1]['Location']
