"""The servers that end-to-end tests start, each a process on a port of 127.0.0.1 that ends with the test."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

from ports import free_port

CLEAN = ('PATH', 'LANG', 'LC_ALL')  # all that a server sees of the environment of the tests
UNVERIFIED = ssl._create_unverified_context()  # to ask whether a server is ready
PATIENCE = 60  # seconds for anything to start or stop, on a machine that is busy


def program(name):
    """The path of a program that tests run, one of this virtualenv first; None: it is not installed."""
    return shutil.which(name, path=os.pathsep.join([os.path.dirname(sys.executable), '/usr/sbin', '/usr/bin', '/bin']))


def wait_until(condition, what, patience=PATIENCE):
    """What `condition()` returns once that is true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError('in vain, %d seconds long: %s' % (patience, what))


def children(pid):
    """Of a process, the ids of all below it that have none below themselves: a server's workers."""
    found = []
    for task in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/children' % (pid, task)) as ids:
            for child in map(int, ids.read().split()):
                found += children(child) or [child]
    return found


def has_unread(port):
    """Whether bytes have come to a port of 127.0.0.1 that no process has taken."""
    with open('/proc/net/tcp') as sockets:  # local address, peer, state, bytes to send:bytes to read, in hex
        fields = [line.split()[1:5] for line in sockets][1:]
    return any(local == '0100007F:%04X' % port and state == '01' and int(queues.split(':')[1], 16) for local, _, state, queues in fields)


def peak_memory(pid):
    """Bytes, of the process's whole life."""
    return number_in('/proc/%d/status' % pid, 'VmHWM') * 1024


def written_to_disk(pid):
    """Bytes, those in files that are gone included."""
    return number_in('/proc/%d/io' % pid, 'write_bytes')


def number_in(path, name):
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ':'))


class Server:
    """A process that was told to start; `wait` until it is ready.

    :param command: of a server that listens on `port`
    :param folder: of its log
    :param environment: of the server, beside `CLEAN`
    :param host: where it listens; with `tls`, it has a certificate
    """

    ready_path = '/v2/'

    def __init__(self, command, folder, environment, port, host='127.0.0.1', tls=False):
        self.port, self.address = port, '%s:%d' % ('[%s]' % host if ':' in host else host, port)
        self.url = '%s://%s' % ('https' if tls else 'http', self.address)
        self.log_path = os.path.join(folder, '%s-%d.log' % (type(self).__name__.lower(), port))
        environment = dict({name: os.environ[name] for name in CLEAN if name in os.environ}, **environment)
        with open(self.log_path, 'ab') as log:
            # setpriv: not even tests that are killed leave a server behind.
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM'] + command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def workers(self):
        return children(self.process.pid)

    @property
    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def wait(self):
        try:
            wait_until(self._is_ready, '%s starts' % self.url)
        except AssertionError:
            self.stop()
            raise
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError('it ended with status %d:\n%s' % (self.process.returncode, self.log))
        try:
            return urllib.request.urlopen(self.url + self.ready_path, timeout=5, context=UNVERIFIED).status == 200
        except OSError:
            return False

    def stop(self):
        """Stop it as an operator does; may be called again."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self):
        """As a machine that loses its power."""
        for pid in [self.process.pid] + self.workers:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Registry(Server):
    """`registry-swift serve`, set up by the environment variables of the walk-through, and further `variables`."""

    ready_path = '/readyz'

    def __init__(self, folder, swift, container, workers=2, port=None, host='127.0.0.1', **variables):
        port, self._worker_count = port or free_port(), workers
        super().__init__(
            [program('registry-swift'), 'serve', '--host', host, '--port', str(port)],
            folder,
            {
                'OS_AUTH_URL': swift.auth_url,
                'OS_AUTH_VERSION': '1',
                'OS_USERNAME': swift.user,
                'OS_PASSWORD': swift.key,
                'OS_CONTAINER': container,
                'GUNICORN_WORKERS': str(workers),
                'TMPDIR': folder,
                **variables,
            },
            port,
            host,
            'REGISTRY_TLS_CERTIFICATE' in variables,
        )

    def _is_ready(self):
        return super()._is_ready() and len(self.workers) == self._worker_count

    def kill_workers(self):
        """`kill -9` for every worker; the server starts others."""
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)


class Distribution(Server):
    """CNCF distribution 2.8, as Debian's docker-registry, with its own Swift driver."""

    CONFIGURATION = """
version: 0.1
log: {{level: info}}
http: {{addr: "{address}", secret: of the tests}}
storage:
  delete: {{enabled: true}}
  redirect: {{disable: true}}
  swift: {{authurl: "{auth_url}", authversion: 1, username: "{user}", password: "{key}", container: "{container}"}}
"""

    def __init__(self, folder, swift, container):
        port = free_port()
        self._environment = {'HOME': folder}
        self._configuration = os.path.join(folder, 'distribution-%d.yml' % port)
        with open(self._configuration, 'w') as file:
            file.write(
                self.CONFIGURATION.format(
                    address='127.0.0.1:%d' % port, auth_url=swift.auth_url, user=swift.user, key=swift.key, container=container
                )
            )
        super().__init__([program('docker-registry'), 'serve', self._configuration], folder, self._environment, port)

    def collect(self):
        """What a dry run of its garbage collector says."""
        return subprocess.run(
            [program('docker-registry'), 'garbage-collect', '--dry-run', self._configuration],
            check=True,
            env=self._environment,
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            text=True,
        ).stdout


class DockerEngine:
    """A docker engine of our own, without network or firewall rules, in a folder whose path is short enough for sockets.

    Docker takes every server on 127.0.0.0/8 for one that needs no TLS. So the engine knows one by a name and an address of IPv6: in a mount
    namespace of its own it has another /etc/hosts, and another /etc/docker, in which `certificates` is certs.d.

    It takes overlayfs where that can be had: with its driver vfs, which works everywhere, building takes more than three times as long.
    """

    NAME, ADDRESS = 'registry.example.com', '::1'
    NAMESPACE = 'mkdir -p /etc/docker && mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/etc" /etc/docker && exec "$@"'

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix='docker-')
        self._log = open(self._path('log'), 'w+b')
        self.certificates = self._path('etc/certs.d')
        os.makedirs(self.certificates)
        shutil.copy('/etc/hosts', self._path('hosts'))
        with open(self._path('hosts'), 'a') as file:
            file.write('%s %s\n' % (self.ADDRESS, self.NAME))
        self.host = 'unix://' + self._path('docker.sock')
        self._process = subprocess.Popen(
            [
                'setpriv',
                '--pdeathsig',
                'TERM',
                'unshare',
                '--mount',
                'sh',
                '-c',
                self.NAMESPACE,
                self._folder,
                program('dockerd'),
                '--iptables=false',
                '--ip6tables=false',
                '--bridge=none',
                '--data-root',
                self._path('data'),
                '--exec-root',
                self._path('exec'),
                '-H',
                self.host,
                '--pidfile',
                self._path('pid'),
            ],
            env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': self._folder},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def wait(self):
        try:
            wait_until(self._is_ready, 'the docker engine starts')
        except AssertionError:
            self._log.seek(0)
            sys.stderr.write(self._log.read().decode(errors='replace'))
            self.stop()
            raise
        return self

    def _is_ready(self):
        assert self._process.poll() is None, 'the docker engine ended'
        return self.run('version').returncode == 0

    @property
    def environment(self):
        """Of a program that is to use this engine."""
        # The classic builder is in every version, and needs nothing else.
        return {'PATH': '/usr/bin:/bin', 'HOME': self._folder, 'DOCKER_HOST': self.host, 'DOCKER_BUILDKIT': '0'}

    def __call__(self, *words):
        """What a docker command prints."""
        done = self.run(*words)
        assert done.returncode == 0, 'docker %s: %s' % (' '.join(words), done.stderr)
        return done.stdout

    def run(self, *words, stdin=''):
        """The `subprocess.CompletedProcess` of a docker command, also if it failed."""
        return subprocess.run(
            [program('docker')] + list(words), input=stdin, capture_output=True, text=True, timeout=5 * PATIENCE, env=self.environment
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()
        shutil.rmtree(self._folder)

    def _path(self, name):
        return os.path.join(self._folder, name)
