"""The registry v2 API, as an application without a server, on the fake Swift and on the real one."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import fake_swift  # noqa: E402
from registry_client import Place  # noqa: E402

SWIFTS = [name for name in os.environ.get('TEST_SWIFTS', 'fake,real').split(',') if name != 'live']


@pytest.fixture(scope='session')
def real_swift():
    import swift_process
    python = os.environ.get('SWIFT_PYTHON', '')
    if not os.path.exists(python):
        required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
        why = 'SWIFT_PYTHON names no Python with OpenStack Swift (tox -e swift makes one)'
        (pytest.fail if set(required) & {'swift', 'all'} else pytest.skip)(why)
    node = swift_process.start(python)
    yield node
    node.stop()


@pytest.fixture
def fake():
    with fake_swift.FakeSwift() as server:
        yield server


@pytest.fixture(params=SWIFTS)
def place(request):
    return Place(request.getfixturevalue({'fake': 'fake', 'real': 'real_swift'}[request.param]))


@pytest.fixture
def registry(place):
    return place.registry()


@pytest.fixture
def fake_place(fake):
    return Place(fake)


@pytest.fixture
def fake_registry(fake_place):
    return fake_place.registry()
