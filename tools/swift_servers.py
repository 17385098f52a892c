"""The processes of a Swift of several nodes: servers that can be killed, stopped and started again, and passes of daemons.

Each dies with the process that made it, even if that is killed, and even if itself is stopped then.
"""

import contextlib
import ctypes
import http.client
import importlib
import os
import pwd
import signal
import socket
import sys
import time

from swift_node import START_AGENT, STOPPING, StartError, answer_requests, fork, listen, signals_held, tail

RUNNING, STOPPED, DEAD = 'running', 'stopped', 'dead'
PR_SET_PDEATHSIG = 1  # of prctl(2)

DAEMONS = {
    'object-replicator': ('swift.obj.replicator', 'ObjectReplicator'),
    'container-replicator': ('swift.container.replicator', 'ContainerReplicator'),
    'account-replicator': ('swift.account.replicator', 'AccountReplicator'),
    'object-updater': ('swift.obj.updater', 'ObjectUpdater'),
    'container-updater': ('swift.container.updater', 'ContainerUpdater'),
}


class Server:
    """A server of Swift on a port of its own.

    While it is dead, a socket that does not listen keeps the port: connections are refused, and no other program gets it.
    """

    def __init__(self, kind, node, conf_path, log, port=0):
        self.kind, self.node, self._conf_path, self._log = kind, node, conf_path, log
        self.process = None
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._kept.bind(('127.0.0.1', port))
        except (OSError, OverflowError) as error:
            raise StartError('cannot listen on 127.0.0.1:%d: %s' % (port, getattr(error, 'strerror', error)))
        self.port = self._kept.getsockname()[1]

    def __str__(self):
        return '%s %d' % (self.kind, self.node)

    def launch(self):
        """Start the process.  `wait` until it answers."""
        with signals_held():  # a signal in between would leave a process that nobody knows
            self.process = start_child(self._log, self._serve)

    def _serve(self):
        answer_requests(self._conf_path, self.kind, listen(self.port), log_name=str(self))

    def state(self):
        if self.process and os.waitpid(self.process, os.WNOHANG)[0]:
            self.process = None
        if not self.process:
            return DEAD
        with open('/proc/%d/stat' % self.process) as stat:
            return STOPPED if stat.read().rpartition(')')[2].split()[0] == 'T' else RUNNING

    def kill(self):
        if self.state() != DEAD:
            process, self.process = self.process, None
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)

    def stop(self):
        if self.state() == RUNNING:
            os.kill(self.process, signal.SIGSTOP)
            os.waitpid(self.process, os.WUNTRACED)

    def cont(self):
        if self.state() == STOPPED:
            os.kill(self.process, signal.SIGCONT)
            os.waitpid(self.process, os.WCONTINUED)

    def wait(self, seconds=30):
        """Wait until it answers.  :raises StartError: it is dead, or does not answer"""
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.state() == DEAD:
                raise StartError('%s is dead; the last lines of the log:\n%s' % (self, tail(self._log.name)))
            if time.monotonic() > deadline:
                raise StartError(
                    '%s did not answer within %d seconds; the last lines of the log:\n%s' % (self, seconds, tail(self._log.name))
                )
            time.sleep(0.01)

    def answers(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=5)
        try:
            connection.request('GET', '/healthcheck', headers={'User-Agent': START_AGENT})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Memcached(Server):
    def _serve(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        os.execlp('memcached', 'memcached', '-l', '127.0.0.1', '-p', str(self.port), '-U', '0', '-u', user)

    def answers(self):
        with contextlib.suppress(OSError):
            return self.ask(b'version').startswith(b'VERSION')
        return False

    def ask(self, command):
        with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
            connection.sendall(command + b'\r\n')
            return connection.recv(100)


class Daemon:
    """One pass of a replicator or updater."""

    def __init__(self, name, node, conf_path, log):
        self._name, self._node, self._conf_path, self._log = name, node, conf_path, log

    def __str__(self):
        return '%s %d' % (self._name, self._node)

    def __enter__(self):
        self._process = start_child(self._log, self._run)
        return self

    def __exit__(self, *exc_info):
        """Kill it if it still runs, because the cluster ends."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)

    def wait(self, seconds=300):
        """Wait until it has ended.  :raises StartError: it failed, or takes longer"""
        deadline, ended = time.monotonic() + seconds, 0
        while not ended:
            ended, status = os.waitpid(self._process, os.WNOHANG)
            if time.monotonic() > deadline:
                raise StartError('%s did not end within %d seconds' % (self, seconds))
            time.sleep(0 if ended else 0.01)
        self._process = None
        if status:
            raise StartError('%s failed; the last lines of the log:\n%s' % (self, tail(self._log.name)))

    def _run(self):
        from swift.common import utils

        utils.monkey_patch()
        module, name = DAEMONS[self._name]
        getattr(importlib.import_module(module), name)(utils.readconf(self._conf_path, self._name, log_name=str(self))).run_once()
        sys.stderr.flush()
        os._exit(0)


def start_child(log, function):
    """Fork a process that calls the function.  What it prints goes to the log.  Returns its id."""
    parent = os.getpid()

    def run():
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        function()

    return fork(run)
