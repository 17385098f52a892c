"""The registries, as processes that are killed with SIGKILL and started again, as a service manager would."""

import collections
import http.client
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from collector import HURRIED
from ports import free_port

WORKERS = 2
START_SECONDS = 60  # for a registry to serve; Swift has to answer its login meanwhile
PAUSE = (2, 9)  # seconds between two kills
DOWN = (0, 1.5)  # seconds until a registry is started again
#: Settings under which a registry gives up within a minute when Swift does not answer. The log has each request to Swift.
SETTINGS = {
    'GUNICORN_WORKERS': WORKERS,
    'GUNICORN_THREADS': 8,
    'LOGLEVEL': 'DEBUG',
    'SWIFT_SEGMENT_SIZE': '1MiB',
    'SWIFT_CONNECT_TIMEOUT': 5,
    'SWIFT_READ_TIMEOUT': 20,
    'SWIFT_RETRIES': 3,
    'SWIFT_RETRY_MAX_WAIT': 2,
}


class Registry:
    """One `registry-swift serve` on a port that it keeps.

    :param hurried: whether it believes what it saw for seconds only: see hurried.py
    """

    def __init__(self, name, swift, container, folder, hurried=False):
        self.name, self.port = name, free_port()
        self.log_path = folder / f'{name}.log'
        clean = {key: value for key, value in os.environ.items() if not key.startswith(('OS_', 'ST_', 'SWIFT_', 'REGISTRY_', 'GUNICORN_'))}
        login = {'OS_AUTH_URL': swift.auth_url, 'OS_AUTH_VERSION': 1, 'OS_USERNAME': swift.user, 'OS_PASSWORD': swift.key}
        own = dict(login, OS_CONTAINER=container, **SETTINGS)
        self._program = [HURRIED] if hurried else ['-m', 'docker_registry.v2']
        self.environment = dict(clean, **{key: str(value) for key, value in own.items()})
        self._process = None

    def start(self):
        """Start it if it does not run. It may end at once, if Swift does not answer."""
        if not self.runs():
            with open(self.log_path, 'ab') as log:
                # With setpriv, it ends even if the chaos is killed. Its workers notice the end of their parent.
                command = ['setpriv', '--pdeathsig', 'KILL', sys.executable, *self._program, 'serve', '--port', str(self.port)]
                self._process = subprocess.Popen(
                    command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )

    def runs(self):
        return self._process is not None and self._process.poll() is None

    def serves(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            connection.request('GET', '/readyz')
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self):
        """kill -9 of the registry and all of its workers."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()

    def kill_worker(self, rng):
        """kill -9 of one worker, if it has one. Return whether it had."""
        try:
            with open(f'/proc/{self._process.pid}/task/{self._process.pid}/children') as children:
                workers = [int(word) for word in children.read().split()]
            os.kill(rng.choice(workers), signal.SIGKILL)
            return True
        except (OSError, IndexError):
            return False

    def stop(self):
        if self.runs():
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.kill()


class Registries:
    """All registries. `keep_killing` kills them and starts them again."""

    def __init__(self, number, swift, container, folder, hurried=False):
        self.all = [Registry(f'registry-{n}', swift, container, folder, hurried) for n in range(1, number + 1)]
        self.kills = collections.Counter()

    @property
    def ports(self):
        return [registry.port for registry in self.all]

    def start(self):
        """Start all that do not run. Return when all serve.

        :raises RuntimeError: one does not
        """
        deadline = time.monotonic() + START_SECONDS
        for registry in self.all:
            while not registry.serves():
                if time.monotonic() > deadline:
                    raise RuntimeError(f'{registry.name} does not serve; its log is {registry.log_path}')
                registry.start()
                time.sleep(0.1)

    def stop(self):
        for registry in self.all:
            registry.stop()

    def keep_killing(self, rng: random.Random, stopping: threading.Event, pause=PAUSE):
        """Kill registries until `stopping` is set: one while another serves, only a worker of one, or now and then all at once.

        :param pause: (least, most) seconds between two kills
        """
        while not stopping.wait(rng.uniform(*pause)):
            what = rng.choices(['a registry', 'a worker', 'all registries'], (6, 4, 0.5))[0]
            one = rng.choice(self.all)
            if what == 'a worker' or what == 'a registry' and not all(registry.serves() for registry in self.all):
                self.kills['a worker'] += one.kill_worker(rng)
            else:
                for registry in self.all if what == 'all registries' else [one]:
                    registry.kill()
                self.kills[what] += 1
            stopping.wait(rng.uniform(*DOWN))
            for registry in self.all:
                registry.start()
