"""The servers that end-to-end tests start. Each is a process on a port of 127.0.0.1 and ends with the test."""

import contextlib
import http.server
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from ports import free_port

CLEAN = ('PATH', 'LANG', 'LC_ALL')  # the only variables that servers inherit from the environment of the tests
UNVERIFIED = ssl._create_unverified_context()  # only for asking whether a server is ready
PATIENCE = 60  # seconds for anything to start or stop, on a busy machine


def program(name):
    """Return the path of a program, from this virtualenv if it has it, or None if it is not installed."""
    return shutil.which(name, path=os.pathsep.join([os.path.dirname(sys.executable), '/usr/sbin', '/usr/bin', '/bin']))


def inherited():
    """Return the variables that servers and commands get from the environment of the tests."""
    return {name: os.environ[name] for name in CLEAN if name in os.environ}


def account(swift, container):
    """Return the variables of the walk-through that say where a registry keeps its images."""
    return {
        'OS_AUTH_URL': swift.auth_url,
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': swift.user,
        'OS_PASSWORD': swift.key,
        'OS_CONTAINER': container,
    }


def wait_until(condition, what, patience=PATIENCE):
    """Call `condition` until it returns something true, and return that. `what` describes the condition in the error."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError('timed out after %d seconds, waiting until: %s' % (patience, what))


def children(pid):
    """Return the ids of a process's descendants that have no children themselves. For a server, these are its workers."""
    return [leaf for task in os.listdir('/proc/%d/task' % pid) for child in children_of_thread(pid, task) for leaf in leaves(child)]


def leaves(pid):
    """Return what `children` does, the process itself if it has none, and nothing if it has ended since it was listed."""
    try:
        return children(pid) or [pid]
    except FileNotFoundError:
        return []


def children_of_thread(pid, task):
    try:
        with open('/proc/%d/task/%s/children' % (pid, task)) as ids:
            return [int(child) for child in ids.read().split()]
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended since it was listed
        return []


def has_ended(pid):
    """Return whether a process has closed all that it had open, whether its parent has waited for it or not."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return stat.read().rpartition(')')[2].split()[0] in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return True


def has_unread(port):
    """Return whether a port of 127.0.0.1 has received bytes that no process has read."""
    with open('/proc/net/tcp') as sockets:  # fields in hex: local address, peer, state, bytes to send:bytes to read
        fields = [line.split()[1:5] for line in sockets][1:]
    return any(local == '0100007F:%04X' % port and state == '01' and int(queues.split(':')[1], 16) for local, _, state, queues in fields)


def peak_memory(pid):
    """Return the most memory that a process has ever used, in bytes."""
    return number_in('/proc/%d/status' % pid, 'VmHWM') * 1024


def written_to_disk(pid):
    """Return the bytes that a process has written to disk. Bytes in deleted files count, too."""
    return number_in('/proc/%d/io' % pid, 'write_bytes')


def number_in(path, name):
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ':'))


class OnePage:
    """A web site that answers each GET with its `page`, without the fields of the registry. `asked` has the path of each."""

    def __init__(self):
        self.asked, self.page, site = [], '', self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                self.send_response(200)
                self.send_header('Content-Type', 'text/html')
                self.end_headers()
                self.wfile.write(site.page.encode())

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self._server.server_address[1]
        self.url = 'http://127.0.0.1:%d' % self.port

    @contextlib.contextmanager
    def serving(self):
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class Server:
    """A server process. It is started at once; `wait` returns when it is ready.

    :param command: command of a server that listens on `port`
    :param folder: folder for its log
    :param environment: variables for the server, in addition to `CLEAN`
    :param host: address that it listens on
    :param tls: True if it serves HTTPS
    """

    ready_path = '/v2/'

    def __init__(self, command, folder, environment, port, host='127.0.0.1', tls=False):
        self.port, self.address = port, '%s:%d' % ('[%s]' % host if ':' in host else host, port)
        self.url = '%s://%s' % ('https' if tls else 'http', self.address)
        self.log_path = os.path.join(folder, '%s-%d.log' % (type(self).__name__.lower(), port))
        environment = {**inherited(), **environment}
        with open(self.log_path, 'ab') as log:
            # With setpriv, the server ends even if the tests are killed.
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
            wait_until(self._is_ready, '%s is ready' % self.url)
        except AssertionError:
            self.stop()
            raise
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError('the server ended with status %d:\n%s' % (self.process.returncode, self.log))
        try:
            return urllib.request.urlopen(self.url + self.ready_path, timeout=5, context=UNVERIFIED).status == 200
        except OSError:
            return False

    def stop(self):
        """Stop the server as an operator does. May be called again."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self):
        """Kill the server and its workers, as a power failure would."""
        pids = [self.process.pid] + self.workers
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # a worker ends by itself when it sees that the server is gone
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: all(has_ended(pid) for pid in pids), 'nothing of %s is left' % self.url)


class Registry(Server):
    """`registry-swift serve` with the environment variables of the walk-through and further `variables`."""

    ready_path = '/readyz'

    def __init__(self, folder, swift, container, workers=2, port=None, host='127.0.0.1', **variables):
        port, self._worker_count = port or free_port(), workers
        super().__init__(
            [program('registry-swift'), 'serve', '--host', host, '--port', str(port)],
            folder,
            {**account(swift, container), 'GUNICORN_WORKERS': str(workers), 'TMPDIR': folder, **variables},
            port,
            host,
            'REGISTRY_TLS_CERTIFICATE' in variables,
        )

    def _is_ready(self):
        return super()._is_ready() and len(self.workers) == self._worker_count

    def kill_workers(self):
        """Kill all workers with SIGKILL. The server starts new ones."""
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)


class Distribution(Server):
    """CNCF distribution 2.8, as Debian's docker-registry, with its own Swift driver.

    :param listener: URL of a listener for its notifications, or '' for none
    """

    CONFIGURATION = """
version: 0.1
log: {{level: info}}
http: {{addr: "{address}", secret: of the tests}}
storage:
  delete: {{enabled: true}}
  redirect: {{disable: true}}
  swift: {{authurl: "{auth_url}", authversion: 1, username: "{user}", password: "{key}", container: "{container}"}}
"""

    NOTIFICATIONS = "notifications: {{endpoints: [{{name: tests, url: '{url}', timeout: 10s, threshold: 5, backoff: 1s}}]}}\n"

    def __init__(self, folder, swift, container, listener=''):
        port = free_port()
        self._environment = {'HOME': folder}
        self._configuration = os.path.join(folder, 'distribution-%d.yml' % port)
        with open(self._configuration, 'w') as file:
            file.write(
                self.CONFIGURATION.format(
                    address='127.0.0.1:%d' % port, auth_url=swift.auth_url, user=swift.user, key=swift.key, container=container
                )
            )
            file.write(self.NOTIFICATIONS.format(url=listener) if listener else '')
        super().__init__([program('docker-registry'), 'serve', self._configuration], folder, self._environment, port)

    def collect(self, *options):
        """Run its garbage collector, without deleting anything if there are no options, and return its output."""
        return subprocess.run(
            [program('docker-registry'), 'garbage-collect', *(options or ['--dry-run']), self._configuration],
            check=True,
            env=self._environment,
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            text=True,
        ).stdout


class Cache(Server):
    """CNCF distribution 2.8 as a pull-through cache in front of a registry.

    :param credentials: name:password of a user of the registry, or '' for none
    """

    CONFIGURATION = """
version: 0.1
log: {{level: info}}
http: {{addr: "{address}", secret: of the tests}}
storage:
  filesystem: {{rootdirectory: "{folder}"}}
proxy: {{remoteurl: "{origin}", username: "{name}", password: "{password}"}}
"""

    def __init__(self, folder, origin, credentials=''):
        port = free_port()
        name, _, password = credentials.partition(':')
        self._stored = os.path.join(folder, 'cache-%d' % port)
        configuration = os.path.join(folder, 'cache-%d.yml' % port)
        with open(configuration, 'w') as file:
            file.write(
                self.CONFIGURATION.format(
                    address='127.0.0.1:%d' % port, folder=self._stored, origin=origin.url, name=name, password=password
                )
            )
        super().__init__([program('docker-registry'), 'serve', configuration], folder, {'HOME': folder}, port)

    def has(self, repository, digests):
        """Return whether it has stored these blobs of a repository. It fetches a blob once more for that, while it answers its client."""
        layers = os.path.join(self._stored, 'docker/registry/v2/repositories', repository, '_layers')
        return all(os.path.exists(os.path.join(layers, digest.replace(':', '/'), 'link')) for digest in digests)


class DockerEngine:
    """A docker engine for tests, without network or firewall rules. The path of its folder is short enough for sockets.

    Docker assumes that servers on 127.0.0.0/8 need no TLS. So the engine reaches servers with TLS under the name NAME, which stands for
    an IPv6 address. The engine runs in its own mount namespace, with its own /etc/hosts and /etc/docker. `certificates` is the folder
    certs.d in that /etc/docker.

    The engine uses overlayfs if possible. The driver vfs works everywhere, but takes more than three times as long to build.
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
        """Environment variables for a program that uses this engine."""
        # The classic builder is part of every version of docker.
        return {'PATH': '/usr/bin:/bin', 'HOME': self._folder, 'DOCKER_HOST': self.host, 'DOCKER_BUILDKIT': '0'}

    def ctr(self, *words):
        """Run a command of containerd's client in the containerd of this engine. Return its `subprocess.CompletedProcess`."""
        socket = self._path('exec/containerd/containerd.sock')
        return subprocess.run(
            [program('ctr'), '--address', socket, '--namespace', 'tests', *words], capture_output=True, text=True, timeout=5 * PATIENCE
        )

    def __call__(self, *words):
        """Run a docker command, which must succeed, and return its output."""
        done = self.run(*words)
        assert done.returncode == 0, 'docker %s: %s' % (' '.join(words), done.stderr)
        return done.stdout

    def run(self, *words, stdin=''):
        """Run a docker command and return its `subprocess.CompletedProcess`, even if it fails."""
        return subprocess.run(
            [program('docker')] + list(words), input=stdin, capture_output=True, text=True, timeout=5 * PATIENCE, env=self.environment
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)  # what a container leaves behind may still be in use

    def _path(self, name):
        return os.path.join(self._folder, name)
