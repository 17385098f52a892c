"""Registries in containers of a docker engine, started by `docker run`. The other servers are in `servers`."""

import urllib.request
import uuid

from servers import account, children, free_port, wait_until

STOP_SECONDS = 60


def walkthrough(swift, container):
    """Return the variables that the walk-through passes to `docker run`."""
    return {'SETTINGS_FLAVOR': 'swift', **account(swift, container), 'GUNICORN_WORKERS': '8'}


def arguments(environment):
    """Return the arguments for `docker run` that set variables. A variable that is None is left out."""
    return [word for name, value in environment.items() if value is not None for word in ('--env', '%s=%s' % (name, value))]


class RegistryContainer:
    """A container on the host's network. It is started at once; `wait` returns when it is ready.

    :param docker: the engine that runs it
    :param environment: variables, in addition to those that make it listen on `port` of 127.0.0.1
    :param options: further options of `docker run`
    :param ready_path: the path that returns 200 when the registry is ready
    """

    def __init__(self, docker, image, environment, options=('--read-only',), port=None, ready_path='/readyz'):
        self.port = port or free_port()
        self.address, self.url = '127.0.0.1:%d' % self.port, 'http://127.0.0.1:%d' % self.port
        self.name = 'registry-%s' % uuid.uuid4().hex[:8]
        self._docker, self._workers, self._ready_url = docker, int(environment['GUNICORN_WORKERS']), self.url + ready_path
        environment = dict({'REGISTRY_HOST': '127.0.0.1', 'REGISTRY_PORT': str(self.port)}, **environment)
        docker('run', '--detach', '--name', self.name, '--network', 'host', *options, *arguments(environment), image)

    def inspect(self, what):
        """Return a field of `docker inspect`, such as `State.Pid`."""
        return self._docker('inspect', '--format', '{{.%s}}' % what, self.name).strip()

    @property
    def workers(self):
        """Process ids of the workers, as this machine sees them."""
        return children(int(self.inspect('State.Pid')))

    @property
    def log(self):
        done = self._docker.run('logs', self.name)
        return done.stdout + done.stderr

    def wait(self):
        wait_until(self._is_ready, '%s starts in a container' % self.url)
        return self

    def _is_ready(self):
        assert self.inspect('State.Running') == 'true', 'it ended:\n%s' % self.log
        try:
            return urllib.request.urlopen(self._ready_url, timeout=5).status == 200 and len(self.workers) == self._workers
        except OSError:
            return False

    def status(self):
        """Wait for the container to end, and return its exit status."""
        return int(self._docker('wait', self.name))

    def stop(self):
        """Stop the container as an operator does, and return its exit status. May be called again."""
        self._docker('stop', '--time', str(STOP_SECONDS), self.name)
        return self.status()

    def kill(self):
        """Kill the container, as a power failure would."""
        self._docker('kill', self.name)

    def remove(self):
        """Remove the container, even if it is running. May be called again."""
        self._docker.run('rm', '--force', self.name)
