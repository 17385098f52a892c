# -*- coding: utf-8 -*-
"""Servers that a test starts on a free port, and stops by process id."""
import errno
import os
import signal
import socket
import subprocess
import time

from ports import free_port

START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.05


class Server(object):
    """A process that listens on 127.0.0.1:`port`. Its output goes to a file."""

    def __init__(self, command, folder, environment, port):
        self.port = port
        self.address = ('127.0.0.1', port)
        self._log_path = os.path.join(folder, 'log')
        with open(self._log_path, 'wb') as log, open(os.devnull) as nothing:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=nothing, stdout=log, stderr=subprocess.STDOUT,
                close_fds=True)  # otherwise it inherits the sockets of the fake Swift on Python 2
        self.pid = self._process.pid

    def wait(self, is_ready):
        """Wait until the server is ready. :raises DidNotStart: it ended, or it is not ready in time"""
        try:
            wait_until(lambda: self._process.poll() is not None or is_ready(), START_SECONDS)
        except NeverHappened:
            self.stop()
            raise DidNotStart('not ready after %d seconds:\n%s' % (START_SECONDS, self.log()))
        if self._process.poll() is not None:
            raise DidNotStart('ended with code %d:\n%s' % (self._process.returncode, self.log()))

    def log(self):
        with open(self._log_path, 'rb') as log:
            return log.read().decode('utf-8', 'replace')

    def children(self):
        """Process ids of its child processes."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir('/proc'))) if _parent(pid) == self.pid]

    def stop(self, stop_signal=signal.SIGTERM):
        if self._process.poll() is not None:
            return
        children = self.children()
        self._process.send_signal(stop_signal)
        try:
            wait_until(lambda: self._process.poll() is not None, STOP_SECONDS)
        except NeverHappened:
            for pid in [self.pid] + children:
                kill(pid, signal.SIGKILL)
            self._process.wait()


class DidNotStart(Exception):
    """A server did not start. The text has its log."""


class NeverHappened(Exception):
    pass


def wait_until(condition, seconds=60):
    """Call condition() until it returns a true value, and return that. :raises NeverHappened: it never did in time"""
    deadline = time.time() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.time() > deadline:
            raise NeverHappened('not within %d seconds' % seconds)
        time.sleep(POLL_SECONDS)


def kill(pid, number):
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno != errno.ESRCH:  # the process has ended already
            raise


def _parent(pid):
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return int(stat.read().rpartition(')')[2].split()[1])  # "pid (name) state parent ..."
    except (IOError, OSError):
        return None


class Redis(Server):
    """A redis-server that keeps nothing on disk."""

    def __init__(self, folder):
        port = free_port()
        Server.__init__(self, ['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', ''], folder, None, port)
        self.wait(self._answers)

    def _answers(self):
        return subprocess.call(self._client('ping'), stdout=open(os.devnull, 'w'), stderr=subprocess.STDOUT) == 0

    def keys(self, containing=''):
        return subprocess.check_output(self._client('keys', '*%s*' % containing)).split()

    def _client(self, *words):
        return ('redis-cli', '-p', str(self.port)) + words


class Registry(Server):
    """One release under gunicorn with gevent workers, started as `docker run registry` starts it.

    :param settings: the variables of `docker run -e`; everything else comes from the release's own sample configuration
    """

    def __init__(self, release, folder, settings):
        port = free_port()
        environment = dict({
            'PATH': os.path.dirname(release.program('python')) + os.pathsep + os.environ['PATH'], 'HOME': folder,
            'DOCKER_REGISTRY_CONFIG': release.stock_config, 'REGISTRY_HOST': '127.0.0.1', 'REGISTRY_PORT': str(port),
            # gunicorn 18 forks a process in which gevent already runs. It was written for gevent 1.0, which allowed that.
            # gevent 1.1 needs this variable, or every worker but the first hangs when it starts.
            'GEVENT_NOWAITPID': '1',
            # The stock timeout is an hour. A test should not wait that long for a client that is gone.
            'GUNICORN_GRACEFUL_TIMEOUT': '3',
            # By default it replaces each worker after 100 requests, and drops a request that arrives at that moment.
            'GUNICORN_OPTS': '["--max-requests", "0"]'}, **settings)
        self._workers = int(environment['GUNICORN_WORKERS'])
        Server.__init__(self, _start(release, port, environment['GUNICORN_WORKERS']), folder, environment, port)

    def wait_for_ping(self):
        self.wait(self._answers)
        return self

    def _answers(self):
        try:
            connection = socket.create_connection(self.address, timeout=5)
            connection.sendall(b'GET /v1/_ping HTTP/1.0\r\n\r\n')
            return b' 200 ' in connection.recv(100)
        except socket.error:
            return False

    def stop(self, stop_signal=signal.SIGQUIT):  # gunicorn's quick shutdown
        Server.stop(self, stop_signal)

    def kill_workers(self, number=None):
        """Kill `number` workers, or all, with SIGKILL. Returns when gunicorn has replaced them."""
        wait_until(lambda: len(self.children()) == self._workers)
        killed = self.children()[:number]
        for pid in killed:
            kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(self.children()) - set(killed)) == self._workers)


def _start(release, port, workers):
    if release.version == '0.9.1':
        return [release.program('docker-registry')]
    # The program of 0.7.3 listens on every interface, which a test must not do on other people's machines. These are its
    # options, without --debug (which only logs more) and with the values from the environment above.
    return [release.program('gunicorn'), '--access-logfile', '-', '--graceful-timeout', '3', '-t', '3600', '-k', 'gevent',
            '-b', '127.0.0.1:%d' % port, '-w', workers, 'docker_registry.wsgi:application']
