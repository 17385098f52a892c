"""Client programs as people use them: somebody logs in, or does not, and pulls and pushes one image. All have the same methods.

`pull` and `push` raise `clients.CommandFailed` with what the program says. The images are pulled first, and pushed under another name.
"""

import os

import clients
from clients import CommandFailed

PLAIN = '--tls-verify=false'


class Person:
    """A client program and who uses it.

    :param server: an object with an `address`
    :param credentials: `name:password`, or '' for nobody who has logged in
    """

    def __init__(self, server, credentials=''):
        self.address, self.credentials = server.address, credentials

    def at(self, name):
        return '%s/%s' % (self.address, name)


class WithDocker(Person):
    def __init__(self, server, credentials, docker):
        super().__init__(server, credentials)
        self._docker = docker

    def _checked(self, *words, stdin=''):
        done = self._docker.run(*words, stdin=stdin)
        if done.returncode:
            raise CommandFailed('docker %s: %s' % (' '.join(words), done.stderr))

    def log_in(self):
        """Log in, or out. The docker engine of the tests knows one login for an address."""
        name, _, password = self.credentials.partition(':')
        if name:
            self._checked('login', '--username', name, '--password-stdin', self.address, stdin=password)
        else:
            self._docker.run('logout', self.address)

    def pull(self, name):
        self.log_in()
        self._checked('pull', self.at(name))

    def push(self, source, target):
        self.log_in()
        self._checked('tag', self.at(source), self.at(target))
        self._checked('push', self.at(target))


class WithSkopeo(Person):
    def __init__(self, server, credentials, skopeo, folder):
        super().__init__(server, credentials)
        self._skopeo, self._folder = skopeo, folder
        os.mkdir(folder)

    def pull(self, name):
        self._skopeo.copy('docker://' + self.at(name), self._stored(name), '--src-tls-verify=false', *self._login('--src'))

    def push(self, source, target):
        self._skopeo.copy(self._stored(source), 'docker://' + self.at(target), '--dest-tls-verify=false', *self._login('--dest'))

    def _stored(self, name):
        return 'dir:%s/%s' % (self._folder, name.replace('/', '_').replace(':', '_'))

    def _login(self, side):
        return [side + '-creds', self.credentials] if self.credentials else []


class WithPodman(Person):
    def __init__(self, server, credentials, podman):
        super().__init__(server, credentials)
        self._podman = podman

    def pull(self, name):
        self._podman('pull', '--quiet', PLAIN, *self._login(), self.at(name))

    def push(self, source, target):
        self._podman('push', '--quiet', PLAIN, *self._login(), self.at(source), self.at(target))

    def _login(self):
        return ['--creds', self.credentials] if self.credentials else []


class WithBuildah(Person):
    def __init__(self, server, credentials, folder):
        super().__init__(server, credentials)
        self._folder = folder
        os.mkdir(folder)

    def pull(self, name):
        self._run('pull', name)

    def push(self, source, target):
        self._run('push', source, 'docker://' + self.at(target))

    def _run(self, command, name, *more):
        places = ['--root', os.path.join(self._folder, 'root'), '--runroot', os.path.join(self._folder, 'runroot')]
        login = ['--creds', self.credentials] if self.credentials else []
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': self._folder, 'TMPDIR': self._folder}
        words = ['buildah', '--storage-driver', 'vfs', *places, command, '--quiet', PLAIN, *login, self.at(name), *more]
        clients.run(words, environment)


class WithContainerd(Person):
    """`ctr`, with the containerd of a docker engine."""

    def __init__(self, server, credentials, ctr):
        super().__init__(server, credentials)
        self._ctr = ctr

    def pull(self, name):
        self._run('content', 'fetch', self.at(name))

    def push(self, source, target):
        self._run('images', 'push', self.at(target), self.at(source))

    def _run(self, *words):
        login = ['--user', self.credentials] if self.credentials else []
        done = self._ctr(*words[:2], '--plain-http', *login, *words[2:])
        if done.returncode:
            raise CommandFailed('ctr %s: %s' % (' '.join(words), done.stderr))


PROGRAMS = {'docker': WithDocker, 'skopeo': WithSkopeo, 'podman': WithPodman, 'buildah': WithBuildah, 'ctr': WithContainerd}
