"""Fixtures for tests of the registry v2 API. Most tests call the WSGI application without a server, on the fake and the real Swift."""

import base64
import contextlib
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, settings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import fake_swift  # noqa: E402
from docker_registry.v2.registry import blobs, keys, shared_memory, sharing  # noqa: E402
from registry_client import SWIFTS, Place  # noqa: E402

# Servers and other tests run meanwhile, so an example may take any time. Examples share the fixtures of their test on purpose.
settings.register_profile('shared', deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.load_profile('shared')


def running(*needs, **options):
    """Run a real Swift for a test session. Skip the tests if it is not installed, or fail them if it is required."""
    if 'real' not in SWIFTS:
        pytest.skip('TEST_SWIFTS leaves out the real Swift')
    import swift_process

    python = os.environ.get('SWIFT_PYTHON', '')
    probe = [python, '-Ec', 'import ' + ', '.join(needs)]
    if not os.path.exists(python) or subprocess.run(probe, stderr=subprocess.DEVNULL).returncode:
        required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
        why = 'SWIFT_PYTHON is not the path of a Python with %s. Make one with make test ENVS=swift' % ' and '.join(needs)
        (pytest.fail if set(required) & {'swift', 'all'} else pytest.skip)(why)
    with swift_process.start(python, **options) as node:
        yield node


@pytest.fixture(scope='session')
def real_swift():
    yield from running('swift')


@pytest.fixture(scope='session')
def keystone_swift():
    """A real Swift with logins through Keystone, as on an OpenStack cloud."""
    yield from running('swift', 'keystone', 'keystonemiddleware', keystone=True)


@pytest.fixture(scope='session')
def shared_swift():
    """A real Swift with more users.

    test:reader with the key `reading` may do only what a container allows. test:Zoë@example.com has the key `zoe`. other:tester, with the
    key `testing`, has another account.
    """
    odd = '_'.join(base64.b64encode(name.encode()).decode().rstrip('=') for name in ('test', 'Zoë@example.com'))
    users = ('user_test_reader=reading', f'user64_{odd}=zoe', 'user_other_tester=testing .admin')
    yield from running('swift', set=[f'filter:tempauth:{user}' for user in users])


@pytest.fixture
def start_swift():
    """A function that starts a real Swift with some options, for one test."""
    with contextlib.ExitStack() as started:
        yield lambda **options: started.enter_context(contextlib.contextmanager(running)('swift', **options))


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """The secret of a registry counts as settled when it is there, although the registry has just begun to exist."""
    monkeypatch.setattr(keys, 'SETTLED_SECONDS', 0)


@pytest.fixture(autouse=True)
def known_slots(monkeypatch):
    """Who shares a slot in the memory of all workers is the same in each run. One run of many would see two clients that share a count."""
    monkeypatch.setattr(shared_memory, 'new_key', lambda: bytes(16))


def pytest_collection_modifyitems(config, items):
    """On a real Swift or Ceph, each test runs with the first of its parameters only: with all of them it runs on the fake.

    ALL_PARAMETERS=1 lets it run with all of them there, too.
    """
    if os.environ.get('ALL_PARAMETERS'):
        return
    seen, kept, left_out = set(), [], []
    for item in items:
        servers = {'real', 'ceph'}.intersection(map(str, getattr(item, 'callspec', None) and item.callspec.params.values() or ()))
        test = (item.nodeid.partition('[')[0], *sorted(servers))
        (left_out if servers and test in seen else kept).append(item)
        seen.add(test)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(autouse=True)
def patient_blobs(monkeypatch):
    """The bytes of a blob wait for the look for its link. After a second they would be asked for again, and tests count the requests."""
    monkeypatch.setattr(blobs, 'PATIENCE', 60)


@pytest.fixture
def lookers(monkeypatch):
    """The threads that have come to share looks at storage: each makes one, or will get the outcome of one that has not begun."""
    found, join = set(), sharing.Shared._join

    def joined(*arguments):
        outcome = join(*arguments)
        found.add(threading.get_ident())
        return outcome

    monkeypatch.setattr(sharing.Shared, '_join', joined)
    monkeypatch.setattr(sharing, 'PATIENCE', 300)  # on a slow machine, another look would begin
    return found


@pytest.fixture
def fake():
    with fake_swift.FakeSwift() as server:
        yield server


@pytest.fixture(params=SWIFTS)
def place(request):
    return Place(request.getfixturevalue({'fake': 'fake', 'real': 'real_swift', 'ceph': 'real_ceph'}[request.param]))


@pytest.fixture
def registry(place):
    return place.registry()


@pytest.fixture
def fake_place(fake):
    return Place(fake)


@pytest.fixture
def fake_registry(fake_place):
    return fake_place.registry()
