"""Real clients and a real Swift, with `registry-swift serve` between them.

A `place` is a container of one test, and the servers that the test starts on it. Needs Debian's docker.io, skopeo, podman,
docker-registry, busybox-static and mmdebstrap, `registry-swift` in this virtualenv, and a SWIFT_PYTHON; runs as root.
"""

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
import proxies
import servers
import swift_process

sys.path.append(os.path.join(bases.CHECKOUT, 'tests', 'registry'))
from release import source_distribution

LOG_LINES = 40  # of each server, shown when a test fails


def pytest_configure(config):
    config.addinivalue_line('markers', 'large: takes minutes and some 20 GB of disk; run when LARGE=1')


def pytest_collection_modifyitems(items):
    if os.environ.get('LARGE') != '1':
        for item in items:
            if item.get_closest_marker('large'):
                item.add_marker(pytest.mark.skip(reason='LARGE=1 runs it'))


def need(*programs):
    """Skip a test for want of a program, unless that must be there."""
    for name in programs:
        if not servers.program(name):
            missing('%s is not installed' % name)


def missing(why):
    required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
    if 'e2e' in required or 'all' in required:
        pytest.fail('end-to-end tests are required: %s' % why)
    pytest.skip(why)


class Place:
    """A container, in which there is nothing yet, and servers on it."""

    def __init__(self, folder, swift):
        self.folder, self.swift = folder, swift
        self.container = 'e2e-%s' % uuid.uuid4().hex[:12]
        self.servers = []

    def registry(self, swift=None, **options):
        """A further `servers.Registry` that is ready; it may be on another Swift."""
        return self._started(servers.Registry(self.folder, swift or self.swift, self.container, **options))

    def nginx(self, registries, tls, users, **options):
        """A `proxies.Nginx` in front of registries that is ready."""
        need('nginx', 'unshare')
        return self._started(proxies.Nginx(self.folder, registries, tls, users, **options))

    def distribution(self):
        need('docker-registry')
        return self._started(servers.Distribution(self.folder, self.swift, self.container))

    def _started(self, server):
        self.servers.append(server)
        return server.wait()


def _running(**options):
    python = os.environ.get('SWIFT_PYTHON', '')
    if not os.path.exists(python):
        missing('SWIFT_PYTHON names no Python with OpenStack Swift (tox -e swift makes one)')
    with swift_process.start(python, **options) as node:
        yield node


@pytest.fixture(scope='session')
def swift():
    yield from _running()


@pytest.fixture(scope='session')
def cloud():
    """A Swift that clients log in to with a Keystone, as on an OpenStack cloud."""
    yield from _running(keystone=True)


@pytest.fixture
def place(swift, folder):
    need('registry-swift', 'setpriv')
    place = Place(folder, swift)
    yield place
    for server in reversed(place.servers):
        print('--- %s' % server.log_path, *server.log.splitlines()[-LOG_LINES:], sep='\n')
        server.stop()


@pytest.fixture
def registry(place):
    return place.registry()


@pytest.fixture
def folder(tmp_path):
    """As text; emptied at once, for images are large."""
    yield str(tmp_path)
    shutil.rmtree(str(tmp_path), ignore_errors=True)


@pytest.fixture
def new_image(folder):
    """Makes an `images.Image` of one platform in a folder of its own."""
    return lambda *sizes, **more: images.make_image(_new(folder), sizes or (images.MiB,), **more)


@pytest.fixture
def new_multi_arch(folder):
    return lambda *sizes, **more: images.make_multi_arch(_new(folder), sizes or (images.MiB,), **more)


@pytest.fixture
def new_folder(folder):
    """Makes a path for a folder that is not there yet."""
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
    folder = tempfile.mkdtemp(prefix='podman-')  # podman takes no path of more than 50 characters
    podman = clients.Podman(folder)
    yield podman
    podman('rm', '--all', '--force')
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='session')
def docker():
    """A docker engine, called with the words of a docker command."""
    yield from _docker_engine()


@pytest.fixture
def other_docker():
    """That of another machine, which has no image yet."""
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
    """The name of an image with a Python."""
    need('mmdebstrap')
    return bases.make_python(docker, str(tmp_path_factory.mktemp('base') / 'context'))


@pytest.fixture(scope='session')
def image(docker, base):
    """The name of the image that this checkout makes."""
    need('make')
    clients.run(['make', '-C', bases.CHECKOUT, 'image', 'BASE=' + base, 'ARGS=--network host'], docker.environment)
    return 'registry-swift'


@pytest.fixture(scope='session')
def sdist(tmp_path_factory):
    """The path of a release of this checkout."""
    return source_distribution(str(tmp_path_factory.mktemp('sdist')))


@pytest.fixture(scope='session')
def v1_base(docker, base, sdist, tmp_path_factory):
    """The name of an image with a v1 registry."""
    if not os.path.exists(os.path.join(bases.V1_RELEASE, 'made-from.txt')):
        missing('there is no v1 registry in %s (tox -e registry makes it)' % bases.V1_RELEASE)
    return bases.make_v1(docker, base, sdist, str(tmp_path_factory.mktemp('v1') / 'context'))


@pytest.fixture
def run(docker, image, place):
    """`docker run`: makes a `containers.RegistryContainer` with the walk-through's variables, on the place's container.

    Takes options of docker, and variables of other values; None leaves one out.
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
    """A `certificates.Files` for localhost and the name by which the docker engine knows a server with TLS."""
    return certificates.make(_new(folder), servers.DockerEngine.NAME)


@pytest.fixture
def trust(docker, tls):
    """Has the docker engine know the CA of a server with TLS, until the test ends; the address by which it knows the server."""
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
    """A file of one user, ALICE, made by Apache's htpasswd."""
    need('htpasswd')
    path = os.path.join(folder, 'htpasswd')
    name, _, password = clients.ALICE.partition(':')
    subprocess.run([servers.program('htpasswd'), '-cbB', path, name, password], check=True, stderr=subprocess.PIPE)
    return path


@pytest.fixture
def login(docker):
    """Logs docker in to addresses, until the test ends; the finished command."""
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
    """Gives the image of the test a name at an address."""

    def tag(address, name='team/hello'):
        docker('tag', hello[0], '%s/%s' % (address, name))
        return '%s/%s' % (address, name)

    return tag


@pytest.fixture
def hello(docker, folder):
    """The name of an image of its own, built from nothing, that prints a line of its own; and that line."""
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
