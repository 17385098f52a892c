"""Fixtures for end-to-end tests: real clients and a real Swift, with `registry-swift serve` between them.

A `place` is the container of one test, and the servers that the test starts on it. The tests run as root. They need the programs that
`tools/run_tests.py` names, `registry-swift` in this virtualenv, and a SWIFT_PYTHON.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid

import pytest

import bases
import certificates
import clients
import containers
import images
import people
import proxies
import servers
import swift_process

sys.path.append(os.path.join(bases.CHECKOUT, 'tests', 'registry'))
from release import source_distribution

LOG_LINES = 40  # the last lines of each server's log, shown when a test fails


def pytest_configure(config):
    config.addinivalue_line('markers', 'large: takes minutes and some 20 GB of disk; run when LARGE=1')


def pytest_collection_modifyitems(items):
    if os.environ.get('LARGE') != '1':
        for item in items:
            if item.get_closest_marker('large'):
                item.add_marker(pytest.mark.skip(reason='LARGE=1 runs it'))


def need(*programs):
    """Skip a test if a program is missing, or fail it if end-to-end tests are required."""
    for name in programs:
        if not servers.program(name):
            missing('%s is not installed' % name)


def missing(why):
    required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
    if {'e2e', 'images', 'all'} & set(required):
        pytest.fail('end-to-end tests are required: %s' % why)
    pytest.skip(why)


class Place:
    """A new container, and the servers that a test starts on it."""

    def __init__(self, folder, swift):
        self.folder, self.swift = folder, swift
        self.container = 'e2e-%s' % uuid.uuid4().hex[:12]
        self.servers = []

    def registry(self, swift=None, **options):
        """Start one more `servers.Registry`, on this Swift or on another one, and return it when it is ready."""
        return self._started(servers.Registry(self.folder, swift or self.swift, self.container, **options))

    def nginx(self, registries, tls, **options):
        """Start a `proxies.Nginx` in front of registries, and return it when it is ready."""
        need('nginx', 'unshare')
        return self._started(proxies.Nginx(self.folder, registries, tls, **options))

    def distribution(self, listener=''):
        need('docker-registry')
        return self._started(servers.Distribution(self.folder, self.swift, self.container, listener))

    def cache(self, origin, credentials=''):
        """Start CNCF distribution as a pull-through cache in front of a registry, and return it when it is ready."""
        need('docker-registry')
        return self._started(servers.Cache(self.folder, origin, credentials))

    def run(self, *words, patience=servers.PATIENCE):
        """Run a command of `registry-swift` on the container. Return its `subprocess.CompletedProcess`, even if it fails."""
        environment = {**servers.inherited(), **servers.account(self.swift, self.container), 'REGISTRY_REPLICATION_CYCLE': '0'}
        command = [servers.program('registry-swift'), *words]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=patience)

    def _started(self, server):
        self.servers.append(server)
        return server.wait()


def _running(**options):
    python = os.environ.get('SWIFT_PYTHON', '')
    if not os.path.exists(python):
        missing('SWIFT_PYTHON is not the path of a Python with OpenStack Swift. Make one with make test ENVS=swift')
    with swift_process.start(python, **options) as node:
        yield node


@pytest.fixture(scope='session')
def swift():
    yield from _running()


@pytest.fixture(scope='session')
def cloud():
    """A Swift with logins through Keystone, as on an OpenStack cloud."""
    yield from _running(keystone=True)


@pytest.fixture
def place(swift, folder):
    with placed(folder, swift) as place:
        yield place


@contextlib.contextmanager
def placed(folder, swift):
    """A new `Place`. Its servers end with the block, and what they have written last is printed."""
    need('registry-swift', 'setpriv')
    place = Place(folder, swift)
    try:
        yield place
    finally:
        for server in reversed(place.servers):
            print('--- %s' % server.log_path, *server.log.splitlines()[-LOG_LINES:], sep='\n')
            server.stop()


@pytest.fixture
def registry(place):
    return place.registry()


@pytest.fixture
def folder(tmp_path):
    """The path of a folder as text. The folder is removed right after the test, because images are large."""
    yield str(tmp_path)
    shutil.rmtree(str(tmp_path), ignore_errors=True)


@pytest.fixture
def new_image(folder):
    """A function that makes an `images.Image` for one platform, in a folder of its own."""
    return lambda *sizes, **more: images.make_image(_new(folder), sizes or (images.MiB,), **more)


@pytest.fixture
def new_multi_arch(folder):
    return lambda *sizes, **more: images.make_multi_arch(_new(folder), sizes or (images.MiB,), **more)


@pytest.fixture
def new_folder(folder):
    """A function that returns a path for a new folder."""
    return lambda: _new(folder)


def _new(folder):
    return os.path.join(folder, uuid.uuid4().hex[:8])


@pytest.fixture
def skopeo(folder):
    need('skopeo')
    return clients.Skopeo(folder)


@pytest.fixture
def podman():
    need('podman', 'runc')
    folder = tempfile.mkdtemp(prefix='podman-')  # podman refuses paths of more than 50 characters
    podman = clients.Podman(folder)
    yield podman
    podman('rm', '--all', '--force')
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='session')
def docker():
    """A docker engine. Call it with the words of a docker command."""
    yield from _docker_engine()


@pytest.fixture
def docker_compose():
    """The path of docker-compose."""
    need('docker-compose')
    return servers.program('docker-compose')


@pytest.fixture
def ctr(docker):
    """containerd's client, for the containerd of the docker engine. Call it with the words of a command; it may fail."""
    need('ctr')
    return docker.ctr


@pytest.fixture
def user_of(request, new_folder):
    """A function that returns somebody with a client program, see `people`: `user_of('docker', server, 'name:password')`."""

    def user_of(program, server, credentials=''):
        need(program)
        if program == 'buildah':
            return people.WithBuildah(server, credentials, new_folder())
        options = [new_folder()] if program == 'skopeo' else []
        return people.PROGRAMS[program](server, credentials, request.getfixturevalue(program), *options)

    return user_of


@pytest.fixture
def other_docker():
    """A docker engine without any images, as on another machine."""
    yield from _docker_engine()


def _docker_engine():
    need('docker', 'dockerd', 'setpriv')
    if os.getuid():
        missing('a docker engine runs as root only')
    engine = servers.DockerEngine().wait()
    yield engine
    engine.stop()


@pytest.fixture(scope='session')
def base(docker, tmp_path_factory):
    """The name of a base image with Python."""
    need('mmdebstrap')
    return bases.make_python(docker, str(tmp_path_factory.mktemp('base') / 'context'))


@pytest.fixture(scope='session')
def image(docker, base):
    """The name of the image that `make image` builds from this checkout."""
    need('make')
    clients.run(['make', '-C', bases.CHECKOUT, 'image', 'BASE=' + base, 'ARGS=--network host'], docker.environment)
    return 'registry-swift'


@pytest.fixture(scope='session')
def sdist(tmp_path_factory):
    """The path of an sdist of this checkout."""
    return source_distribution(str(tmp_path_factory.mktemp('sdist')))


@pytest.fixture(scope='session')
def v1_base(docker, base, sdist, tmp_path_factory):
    """The name of an image with a v1 registry."""
    if not os.path.exists(os.path.join(bases.V1_RELEASE, 'made-from.txt')):
        missing('there is no v1 registry in %s. Make it with make test ENVS=registry' % bases.V1_RELEASE)
    return bases.make_v1(docker, base, sdist, str(tmp_path_factory.mktemp('v1') / 'context'))


@pytest.fixture
def run(docker, image, place):
    """A function that starts a `containers.RegistryContainer` with the walk-through's variables, on the place's container.

    It takes options of `docker run`, and variables to change; None removes one.
    """
    started = []

    def run(*options, docker=docker, image=image, port=None, **variables):
        environment = dict(containers.walkthrough(place.swift, place.container), **variables)
        started.append(containers.RegistryContainer(docker, image, environment, ('--read-only', *options), port))
        return started[-1]

    yield run
    for registry in started:
        print('--- %s' % registry.name, *registry.log.splitlines()[-LOG_LINES:], sep='\n')
        registry.remove()


@pytest.fixture
def tls(folder):
    """`certificates.Files` for this machine, and for the name under which the docker engine reaches a server with TLS."""
    return certificates.make(_new(folder), servers.DockerEngine.NAME)


@pytest.fixture
def trust(docker, tls):
    """A function that makes the docker engine trust a server with TLS until the test ends. It returns the server's address for docker."""
    folders = []

    def trust(server):
        address = '%s:%d' % (servers.DockerEngine.NAME, server.port)
        folders.append(shutil.copytree(tls.folder, os.path.join(docker.certificates, address)))
        return address

    yield trust
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def users(folder):
    """The path of a file of users with one user, ALICE, made by Apache's htpasswd."""
    need('htpasswd')
    path = os.path.join(folder, 'htpasswd')
    name, _, password = clients.ALICE.partition(':')
    subprocess.run([servers.program('htpasswd'), '-cbB', path, name, password], check=True, stderr=subprocess.PIPE)
    return path


@pytest.fixture
def login(docker):
    """A function that logs docker in to an address, until the test ends. It returns the finished command."""
    addresses = []

    def login(address, credentials=clients.ALICE):
        addresses.append(address)
        name, _, password = credentials.partition(':')
        return docker.run('login', '--username', name, '--password-stdin', address, stdin=password)

    yield login
    for address in addresses:
        docker.run('logout', address)


@pytest.fixture
def tagged(docker, hello):
    """A function that tags the image of the test for a registry's address. It returns the image's new name."""

    def tag(address, name='team/hello'):
        docker('tag', hello[0], '%s/%s' % (address, name))
        return '%s/%s' % (address, name)

    return tag


@pytest.fixture
def hello(docker, folder):
    """(name of a new image, the line that it prints). The image is built from scratch and is different in each test."""
    busybox = servers.program('busybox')
    if not busybox:
        missing('busybox (of busybox-static) is not installed')
    context, line = os.path.join(folder, 'context'), 'hello %s' % uuid.uuid4().hex
    os.mkdir(context)
    shutil.copy(busybox, context)
    with open(os.path.join(context, 'line'), 'w') as file:
        file.write(line + '\n')
    with open(os.path.join(context, 'Dockerfile'), 'w') as file:
        file.write('FROM scratch\nCOPY busybox line /\nCMD ["/busybox", "cat", "/line"]\n')
    name = 'hello-%s' % uuid.uuid4().hex[:8]
    docker('build', '--tag', name, context)
    yield name, line
    docker.run('image', 'rm', '--force', name)
