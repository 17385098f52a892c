"""A containerd for tests, as a client of a registry: `ctr` asks it to pull and push."""

import os
import shutil
import subprocess
import tempfile

from clients import CommandFailed
from servers import PATIENCE, program, wait_until

CONFIGURATION = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.ttrpc"
"""


class Containerd:
    """A containerd with images of its own. The path of its folder is short enough for sockets.

    It unpacks what it pulls with the snapshotter `native`, which works on every file system.
    """

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix='containerd-')
        configuration = os.path.join(self._folder, 'config.toml')
        with open(configuration, 'w') as file:
            file.write(CONFIGURATION.format(folder=self._folder))
        self._log = open(os.path.join(self._folder, 'log'), 'w+b')
        self._environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': self._folder, 'CONTAINERD_SNAPSHOTTER': 'native'}
        # With setpriv, it ends even if the tests are killed.
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'TERM', program('containerd'), '--config', configuration],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def wait(self):
        wait_until(self._is_ready, 'containerd starts')
        return self

    def _is_ready(self):
        assert self._process.poll() is None, 'containerd ended:\n%s' % self.log
        return self._run('version').returncode == 0

    @property
    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors='replace')

    def __call__(self, *words):
        """Run a command of `ctr` and return its output as bytes."""
        done = self._run(*words)
        if done.returncode:
            raise CommandFailed('ctr %s: %s' % (' '.join(words), done.stderr.decode(errors='replace')))
        return done.stdout

    def pull(self, reference, *options):
        self('images', 'pull', '--plain-http', *options, reference)

    def push(self, reference, *options):
        self('images', 'push', '--plain-http', *options, reference)

    def content(self, digest):
        """The bytes of a manifest or blob that it has."""
        return self('content', 'get', digest)

    def _run(self, *words):
        return subprocess.run(
            [program('ctr'), '--address', os.path.join(self._folder, 'containerd.sock'), *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=5 * PATIENCE,
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()
        shutil.rmtree(self._folder)
