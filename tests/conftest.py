"""Fixtures: the Swifts that the tests run on, and drivers for them.

TEST_SWIFTS     Swifts for the contract suite (default: `fake,real`); `cluster` is one of several nodes, `ceph` is a Ceph RADOS
                Gateway, which needs Debian's packages, and `live` is the one that the OS_* variables name
SWIFT_PYTHON    a Python with OpenStack Swift, to run the real Swift
REGISTRY_TEST_REQUIRE   servers whose absence fails a test instead of skipping it, comma-separated; `all` means every server
"""
import os
import shutil
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import fake_swift
from docker_registry.drivers import swift as driver_module

SWIFTS = os.environ.get('TEST_SWIFTS', 'fake,real').split(',')
LISTING_LIMIT = 20  # small, so that a few dozen objects fill several pages
CREDENTIALS = sorted(set(name for setting in driver_module.SETTINGS for name in setting.environment))


#: Configuration of a driver for the Swift that the OS_* variables name. {} if they are not set.
LIVE = dict((setting.key, os.environ[name]) for setting in driver_module.SETTINGS
            for name in reversed(setting.environment) if name in os.environ)
NO_LIVE = 'set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_CONTAINER to test on a live Swift'


def missing(what, why):
    """Skip a test because something is missing. Fail it if REGISTRY_TEST_REQUIRE names that thing."""
    required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
    if what in required or 'all' in required:
        pytest.fail('%s is required: %s' % (what, why))
    pytest.skip('%s: %s' % (what, why))


def pytest_sessionstart(session):
    if SWIFTS == ['live'] and 'swift_authurl' not in LIVE:
        required = set(os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')) & set(['live', 'all'])
        pytest.exit('nothing is tested: ' + NO_LIVE, 1 if required else 0)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Remove all settings from the environment. A test gives every setting itself."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope='session')
def swift_python():
    """A Python that has OpenStack Swift."""
    if not {'real', 'cluster'} & set(SWIFTS):
        pytest.skip('TEST_SWIFTS leaves out the real Swift')
    python = os.environ.get('SWIFT_PYTHON', '')
    if not os.path.exists(python):
        missing('swift', 'SWIFT_PYTHON names no Python with OpenStack Swift (make test ENVS=swift makes one)')
    return python


@pytest.fixture(scope='session')
def real_swift(swift_python):
    import swift_process
    node = swift_process.start(swift_python, listing_limit=LISTING_LIMIT)
    yield node
    node.stop()


@pytest.fixture(scope='session')
def cluster(swift_python):
    """A Swift of four nodes with three replicas, on Python 3. Its proxy leaves out a server for 20 seconds after a single error."""
    import swift_cluster
    absent = [program for program in swift_cluster.PROGRAMS if not shutil.which(program)]
    if absent:
        missing('cluster', 'not installed: %s' % ', '.join(absent))
    rest = ['DEFAULT:error_suppression_limit=0', 'DEFAULT:error_suppression_interval=20']
    with swift_cluster.start(swift_python, set=rest, listing_limit=LISTING_LIMIT) as running:
        yield running


@pytest.fixture(scope='session')
def ceph_programs():
    """The programs of Ceph."""
    absent = [name for name in ('ceph-mon', 'ceph-osd', 'radosgw') if not any(
        os.path.exists(os.path.join(folder, name)) for folder in os.environ['PATH'].split(os.pathsep))]
    if absent:
        missing('ceph', 'no %s; python3 tools/rgw_node.py names the packages' % ', '.join(absent))


@pytest.fixture(scope='session')
def real_ceph(ceph_programs):
    import swift_process
    node = swift_process.start_ceph()
    yield node
    node.stop()


@pytest.fixture
def fake():
    with fake_swift.FakeSwift(listing_limit=LISTING_LIMIT) as server:
        yield server


def settings_for(server, **more):
    """Configuration of a driver for a server with v1 auth."""
    return dict({'swift_authurl': server.auth_url, 'swift_auth_version': 1, 'swift_user': server.user,
                 'swift_password': server.key, 'swift_container': 'registry', 'swift_segment_size': '1MiB',
                 'swift_retry_max_wait': 0, 'swift_pool_size': 6, 'swift_pool_timeout': 10, 'swift_read_timeout': 20}, **more)


@pytest.fixture(params=SWIFTS)
def swift_config(request):
    """Configuration of a driver, for each Swift in turn, in a place that no other test uses."""
    place = 'driver-test-%s' % uuid.uuid4().hex[:12]
    if request.param == 'live':
        if 'swift_authurl' not in LIVE:
            missing('live', NO_LIVE)
        config = dict(LIVE, swift_segment_size='1MiB', swift_pool_size=6, storage_path=place)
    elif request.param in ('real', 'cluster', 'ceph'):
        server = request.getfixturevalue({'real': 'real_swift', 'ceph': 'real_ceph'}.get(request.param, request.param))
        config = settings_for(server, swift_container=place, storage_path='root')
    else:
        config = settings_for(request.getfixturevalue('fake'), storage_path='root')
    yield config
    clean_up(config)


def clean_up(config):
    storage = driver_module.Storage(config=config)
    try:
        storage._swift.delete_all(entry['name'] for page in storage._swift.list_all(storage._prefix(None))
                                  for entry in page)
    except Exception as error:  # a test may have made the server unreachable on purpose
        sys.stderr.write('not cleaned up: %s\n' % error)


@pytest.fixture
def another(swift_config):
    """A function that makes another driver for the same container and root, with other settings if given."""
    return lambda **more: driver_module.Storage(config=dict(swift_config, **more))


@pytest.fixture
def storage(another):
    return another()


@pytest.fixture
def names(storage):
    """A function that returns the names of all objects below the root, as Swift lists them, including segments."""
    return lambda: sorted(storage._path(driver_module._native(entry['name']))
                          for page in storage._swift.list_all('root/' if storage._root == 'root' else storage._root + '/')
                          for entry in page)


@pytest.fixture
def put_raw(storage):
    """A function that puts an object under a name that the driver itself never uses."""
    storage.connect()
    return lambda path, content: storage._swift.request(
        'PUT', storage._swift.object_path(storage._root + '/' + path), body=driver_module._Blocks([content]))


@pytest.fixture
def free_connections():
    return lambda storage: storage._swift._pool.free()


@pytest.fixture
def is_live(request):
    return 'live' in request.node.name


@pytest.fixture
def listing_limit(is_live):
    return LISTING_LIMIT


@pytest.fixture
def fake_storage(fake):
    """A function that makes a driver on the fake Swift of the fixture `fake`."""
    return lambda **more: driver_module.Storage(config=settings_for(fake, **more))
