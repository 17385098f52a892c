"""The servers that are attacked: this registry on a real Swift and, to compare, CNCF distribution on a file system."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import bcrypt

import probes
import swift_process
from ports import free_port
from registry_process import COMMAND, DEADLINE, environment, until
from tls import make_certificate, tls_options
from wire import HOST, Target, digest_of, image

WORKERS = 2
LINES, PIECES = 1000, ['a', '*a*a*a*', '?' * 40, '/*/', 'a**' * 60]  # of the file of rules
MANY, AT_A_TIME = 300, 8  # repositories that nobody but the owner sees, and how many are made at a time
REPOSITORY, PASSWORD = 'library/probe', 'right'
OWNER, READER, ATTACKER_NAME = 'owner', 'reader', 'attacker'
USERS = [OWNER, READER, ATTACKER_NAME, *(f'user{number}' for number in range(20))]
# The attacker may push to one place. The other lines match no name, and only the last character of a name says so.
RULES = f"""
allow  {OWNER}          pull,push  **
allow  everybody        pull       library/**
allow  {ATTACKER_NAME}  pull,push  hostile/**
""" + ''.join(f'allow  everybody  pull  **{piece}**{number}**-\n' for number, piece in zip(range(LINES), itertools.cycle(PIECES)))
COST = 12  # of the passwords
CONFIG = json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
LARGE = 300 * 2**20  # bytes of the blob that attackers ask for
SETTLED, SETTLE_SECONDS = 0.2, 10  # a server is ready for the next attack if /healthz and a pull take less, within this time
ATTACKER = pathlib.Path(__file__).with_name('attacker.py')


@dataclasses.dataclass
class Content:
    """What the server stores for attackers and the probe."""

    repository: str
    config: str
    large: str
    large_size: int


class Server:
    """A server process that listens on `port` of loopback.

    :param command: its command and arguments
    :param users: whether the client that measures logs in. The server then knows users of the cloud as well, if it is our registry
    """

    health = '/healthz'

    def __init__(self, folder, command, environ, port, tls, users):
        self.port, self.tls, self.users = port, tls, users
        self.credentials = f'{READER}:{PASSWORD}' if users else None
        self.log_path = folder / f'log-{port}'
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM', *command], env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._is_ready)

    def _is_ready(self):
        assert self.process.poll() is None, self.log_path.read_text()
        with contextlib.suppress(OSError, probes.Wrong):
            self.client().get(self.health)
            return True

    def client(self):
        return probes.Client(self.port, self.tls, self.credentials)

    @property
    def workers(self):
        """Process ids of the processes that serve."""
        return descendants(self.process.pid) or [self.process.pid]

    def stop(self):
        """End the server, by force if it does not end by itself."""
        workers = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(DEADLINE / 6)
        except subprocess.TimeoutExpired:
            for pid in [*workers, self.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Registry(Server):
    """`registry-swift serve`."""

    def __init__(self, bench, tls, users):
        environ = environment(bench.swift, OS_CONTAINER='hostile', GUNICORN_WORKERS=WORKERS, SWIFT_SEGMENT_SIZE=None)
        port, options = free_port(), []
        options += tls_options(bench.folder) if tls else []
        options += ['--htpasswd', str(bench.passwords), '--rules', str(bench.rules)]
        options += ['--logins', 'htpasswd,keystone', '--keystone-url', bench.keystone_url] if users else []
        super().__init__(bench.folder, [*COMMAND, 'serve', '--port', str(port), *options], environ, port, tls, users)


class Distribution(Server):
    """CNCF distribution 2.8, as Debian's docker-registry."""

    health = '/'
    CONFIGURATION = """
version: 0.1
log: {{level: error}}
http: {{addr: "{host}:{port}", secret: of the tests{tls}}}
storage:
  delete: {{enabled: true}}
  filesystem: {{rootdirectory: "{folder}"}}
{auth}
"""

    def __init__(self, bench, tls, users):
        port = free_port()
        pair = f', tls: {{certificate: "{bench.folder}/certificate.pem", key: "{bench.folder}/key.pem"}}' if tls else ''
        auth = f'auth: {{htpasswd: {{realm: tests, path: "{bench.passwords}"}}}}' if users else ''
        path = bench.folder / f'distribution-{port}.yml'
        path.write_text(self.CONFIGURATION.format(host=HOST, port=port, tls=pair, folder=bench.folder / 'peer', auth=auth))
        command = [shutil.which('docker-registry'), 'serve', str(path)]
        super().__init__(bench.folder, command, {'PATH': os.environ['PATH'], 'HOME': str(bench.folder)}, port, tls, users)


class Bench:
    """One storage with servers on it, which are started when they are needed.

    :param make: `Registry` or `Distribution`
    """

    def __init__(self, make=Registry):
        self._make, self._servers = make, {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='hostile-'))
        self.passwords, self.rules = self.folder / 'htpasswd', self.folder / 'rules'
        self.rules.write_text(RULES)
        self._keystone = socket.create_server((HOST, 0))  # nobody answers there
        self.keystone_url = 'http://%s:%d/v3' % self._keystone.getsockname()
        self.swift = swift_process.start() if make is Registry else None
        try:
            make_certificate(self.folder)
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(COST)).decode()
            self.passwords.write_text(''.join(f'{name}:{hashed}\n' for name in USERS))
            self.content = self._fill()
        except BaseException:
            self.close()
            raise

    def _fill(self):
        """Push what attackers and the probe ask for."""
        large = os.urandom(2**20) * (LARGE // 2**20)
        target = self.target(OWNER)

        async def push():
            await target.push_blob(probes.ADDRESS, REPOSITORY, CONFIG)
            await target.push_blob(probes.ADDRESS, REPOSITORY, large)
            answer = await target.push_manifest(probes.ADDRESS, REPOSITORY, 'v1', image((digest_of(CONFIG), len(CONFIG))))
            assert answer.status == 201, answer
            await asyncio.gather(*[push_many(first) for first in range(AT_A_TIME)])

        async def push_many(first):
            for number in range(first, MANY if self.swift else 0, AT_A_TIME):
                mount = f'mount={digest_of(CONFIG)}&from={REPOSITORY}'
                answer = await target.ask(probes.ADDRESS, 'POST', f'/v2/many/of-{number}/blobs/uploads/?{mount}')
                assert answer.status == 201, answer

        asyncio.run(push())
        return Content(REPOSITORY, digest_of(CONFIG), digest_of(large), LARGE)

    def target(self, name):
        """Return a `Target` for somebody who attacks a server, or fills it."""
        return Target(self.server(False, False).port, False, {}, f'{name}:{PASSWORD}')

    def server(self, tls, users):
        """Return the server of this kind, which runs."""
        if (tls, users) not in self._servers:
            self._servers[tls, users] = self._make(self, tls, users)
        return self._servers[tls, users]

    def settled_server(self, tls, users):
        """Return the server of this kind once it answers quickly; a new one if an attack has left it slow."""
        server, deadline = self.server(tls, users), time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if all(self._is_quick(server) for _ in range(3)):
                return server
            time.sleep(0.1)
        self._servers.pop((tls, users)).stop()
        return self.server(tls, users)

    def _is_quick(self, server):
        began, client = time.monotonic(), server.client()
        try:
            client.get(server.health)
            client.pull(dataclasses.asdict(self.content))
        except (OSError, probes.Wrong, probes.http.client.HTTPException):
            return False
        return time.monotonic() - began < SETTLED

    @contextlib.contextmanager
    def stopped_storage(self):
        """In this block, Swift accepts connections and does not answer."""
        pids = descendants(self.swift.process.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def close(self):
        for server in self._servers.values():
            server.stop()
        if self.swift:
            self.swift.stop()
        self._keystone.close()
        shutil.rmtree(self.folder)


def descendants(pid):
    """Return the ids of the processes that a process has started, and of those that these have started."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for path in pathlib.Path(f'/proc/{pid}/task').glob('*/children'):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def peak_memory(pid):
    """Return the most memory that a process has used since `forget_peak`, in bytes."""
    return _status(pid, 'VmHWM')


def memory(pid):
    """Return the memory that a process uses, in bytes."""
    return _status(pid, 'VmRSS')


def _status(pid, name):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(rf'^{name}:\s*(\d+)', text, re.M)[1]) * 1024


def forget_peak(pid):
    """Begin to measure `peak_memory`: proc(5), clear_refs."""
    pathlib.Path(f'/proc/{pid}/clear_refs').write_text('5')


def start_attacker(name, server, content, slowness=1.0):
    """Start the process of an attack on a server. Returns it when the attack begins; then it runs for the attack's `seconds`.

    :param slowness: see `attack.slowed`
    """
    credentials = f'{ATTACKER_NAME}:{PASSWORD}'
    target = json.dumps(dict(port=server.port, tls=server.tls, content=dataclasses.asdict(content), credentials=credentials))
    command = ['setpriv', '--pdeathsig', 'KILL', 'nice', sys.executable, str(ATTACKER), name, target, str(slowness)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process
