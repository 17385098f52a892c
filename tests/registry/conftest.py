# -*- coding: utf-8 -*-
"""Fixtures: two releases of the real docker-registry on a real Swift, each with and without the Redis LRU cache.

A `deployment` is the setup at the end of the walk-through: the walk-through's environment variables, the release's own sample
configuration, and a container that does not exist yet. `registry` and `other` are two of its processes, as on two machines.

The driver is installed next to the registries, not in this environment. So run this folder with
`pytest --confcutdir=tests/registry`.

SWIFT_PYTHON    a Python with OpenStack Swift
REGISTRY_TEST_REQUIRE   what fails a test if it is missing, instead of skipping it: swift, redis, registry, or all; comma-separated
REGISTRY_ENVS, REGISTRY_DRIVER  see release.py
"""
import os
import shutil
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import swift_process
import v1_image
from container import Container
from fake_swift import FakeSwift
from processes import Redis, Registry
from release import RELEASES, CannotInstall, Release, source_distribution
from v1_client import V1Client

LISTING_LIMIT = 20  # names in a page of Swift's listing, so that a repository of a dozen tags has more than one page
LOG_LINES = 60  # lines of each registry's log that a failed test shows
ROOT = 'team/registry'  # STORAGE_PATH, without the slashes around it


def missing(what, why):
    """Skip a test because something is missing. Fail it if REGISTRY_TEST_REQUIRE names that thing."""
    required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
    if what in required or 'all' in required:
        pytest.fail('%s is required: %s' % (what, why))
    pytest.skip('%s: %s' % (what, why))


class Deployment(object):
    """Registries of one release on one container of one Swift.

    :param swift: an object with `auth_url`, `user` and `key` of a v1 login
    :param redis: the cache that they share, or None
    """

    def __init__(self, folder, release, swift, redis=None, container_name=None):
        self.release = release
        self.swift = swift
        self.redis = redis
        self.container_name = container_name or 'registry-' + uuid.uuid4().hex[:8]
        self.registries = []
        self.more = {}  # settings in addition to those of the walk-through
        self._folder = folder
        self._pair = {}

    def names(self, prefix=''):
        """Paths below STORAGE_PATH of all objects that begin with `prefix`, read from Swift itself."""
        return [name[len(ROOT) + 1:] for name in self._container().names('%s/%s' % (ROOT, prefix))]

    def read(self, path):
        """The bytes at a path below STORAGE_PATH, read from Swift itself."""
        return self._container().read('%s/%s' % (ROOT, path))

    def segments(self, path):
        """(path, size) of each segment of a large object."""
        return [(name[len(ROOT) + 1:], size) for name, size in self._container().segments('%s/%s' % (ROOT, path))]

    def _container(self):
        return Container(self.swift, self.container_name)

    def settings(self):
        """The `-e` options of the walk-through, those for Redis if there is one, and `more`."""
        settings = {
            'SETTINGS_FLAVOR': 'swift', 'OS_AUTH_URL': self.swift.auth_url, 'OS_AUTH_VERSION': '1',
            'OS_USERNAME': self.swift.user, 'OS_PASSWORD': self.swift.key, 'OS_CONTAINER': self.container_name,
            'GUNICORN_WORKERS': '2', 'STORAGE_PATH': '/%s' % ROOT}
        for cache in ('CACHE', 'CACHE_LRU') if self.redis else ():
            settings.update({cache + '_REDIS_HOST': '127.0.0.1', cache + '_REDIS_PORT': str(self.redis.port)})
        return dict(settings, **self.more)

    def begin(self, without=(), **more):
        """Start a `Registry`, with more settings or without some. Does not wait until it responds."""
        settings = dict((name, value) for name, value in dict(self.settings(), **more).items() if name not in without)
        self.registries.append(Registry(self.release, new_folder(self._folder), settings))
        return self.registries[-1]

    def start(self, without=(), **more):
        """Start a `Registry`, with more settings or without some, and wait until it responds."""
        return self.begin(without, **more).wait_for_ping()

    def one_of_pair(self, which):
        """One of two registries that run as long as the deployment does. Starts it at first use."""
        if which not in self._pair:
            self._pair[which] = self.start()
        return self._pair[which]

    def stop(self):
        while self.registries:
            self.registries.pop().stop()


def new_folder(parent):
    folder = os.path.join(str(parent), uuid.uuid4().hex[:8])
    os.makedirs(folder)
    return folder


# Made once for all tests


@pytest.fixture(scope='session')
def releases(tmpdir_factory):
    """A function that makes the `Release` of a version, once for each version."""
    made = {}
    folder = str(tmpdir_factory.mktemp('driver'))

    def release(version):
        if version not in made:
            try:
                driver = os.environ.get('REGISTRY_DRIVER') or source_distribution(new_folder(folder))
                made[version] = Release(version, driver)
            except (CannotInstall, OSError) as error:
                missing('registry', error)
        return made[version]

    return release


@pytest.fixture(scope='session')
def real_swift():
    python = os.environ.get('SWIFT_PYTHON', '')
    if not os.path.exists(python):
        missing('swift', 'SWIFT_PYTHON names no Python with OpenStack Swift (make test ENVS=swift makes one)')
    node = swift_process.start(python, listing_limit=LISTING_LIMIT)
    yield node
    node.stop()


@pytest.fixture(scope='session')
def image(tmpdir_factory):
    """Three layers of real files, one of them larger than a segment. All tests share it."""
    folder = tmpdir_factory.mktemp('image')
    yield v1_image.real_image(folder)
    shutil.rmtree(str(folder))


@pytest.fixture
def small_image(tmpdir):
    """A function that makes an image of small layers, a different one at each call."""
    return lambda layers=1: v1_image.small_image(tmpdir, layers)


# Deployments


@pytest.fixture(scope='session', params=RELEASES, ids=['registry' + version.replace('.', '') for version in RELEASES])
def release(request, releases):
    return releases(request.param)


@pytest.fixture(scope='session', params=['', 'redis'], ids=['plain', 'redis'])
def cache(request, release, tmpdir_factory):
    """The Redis of the LRU cache, or None. Each release has its own: core's keys do not contain the container's name."""
    server = start_redis(tmpdir_factory.mktemp('redis')) if request.param else None
    yield server
    if server:
        server.stop()


@pytest.fixture
def own_redis(tmpdir):
    """A Redis for one test, which may stop it."""
    server = start_redis(tmpdir.mkdir('redis'))
    yield server
    server.stop()


def start_redis(folder):
    try:
        return Redis(str(folder))
    except OSError as error:
        missing('redis', 'redis-server: %s' % error)


@pytest.fixture(scope='session')
def deployment(release, cache, real_swift, tmpdir_factory):
    made = Deployment(tmpdir_factory.mktemp('registry'), release, real_swift, cache)
    yield made
    made.stop()


@pytest.fixture
def deploy(tmpdir):
    """A function that makes more deployments. They end with the test. The arguments are those of `Deployment`."""
    made = []
    yield lambda *arguments: made.append(Deployment(tmpdir, *arguments)) or made[-1]
    for deployment in made:
        deployment.stop()


@pytest.fixture
def registry(deployment):
    return deployment.one_of_pair('registry')


@pytest.fixture
def other(deployment):
    return deployment.one_of_pair('other')


@pytest.fixture
def client(registry):
    return V1Client(registry.address)


@pytest.fixture
def other_client(other):
    return V1Client(other.address)


@pytest.fixture
def name():
    """A repository that no other test uses."""
    return 'team/%s' % uuid.uuid4().hex[:12]


@pytest.fixture(scope='session')
def pushed(deployment, image):
    """The name of a repository with `image` as its tag `latest`, for tests that only read."""
    name = 'team/pushed'
    V1Client(deployment.one_of_pair('registry').address).push(name, image, 'latest')
    return name


# On the fake Swift, for failures that a real one does not have on demand


@pytest.fixture(scope='session')
def fake_server():
    with FakeSwift() as server:
        yield server


@pytest.fixture(scope='session')
def fake_deployment(release, cache, fake_server, tmpdir_factory):
    """A deployment on the fake Swift, whose `registry` retries only once."""
    made = Deployment(tmpdir_factory.mktemp('registry'), release, fake_server, cache)
    made.more = {'SWIFT_RETRIES': '1', 'SWIFT_RETRY_MAX_WAIT': '0'}
    yield made
    made.stop()


@pytest.fixture
def fake(fake_server):
    """The fake Swift, without faults before and after the test."""
    yield fake_server
    fake_server.clear_faults()


@pytest.fixture
def on_fake(fake_deployment):
    """A client of a registry on the fake Swift."""
    return V1Client(fake_deployment.one_of_pair('registry').address)


# If a test fails, its report has the logs of the registries


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for value in getattr(item, 'funcargs', {}).values():
            for server in value.registries if isinstance(value, Deployment) else ():
                lines = server.log().splitlines()[-LOG_LINES:]
                report.sections.append(('log of the registry on port %d' % server.port, '\n'.join(lines)))
