"""The command `registry-swift trash`."""

import pytest
from collected import World
from collection_process import Clock

from docker_registry.v2 import cli
from docker_registry.v2.cli import trashing
from docker_registry.v2.operations.collection import lock
from docker_registry.v2.operations.collection.bounds import DAY
from docker_registry.v2.operations.collection.lock import Lock
from fake_swift import FakeSwift


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


def test_emptying_says_in_a_line_that_a_collection_runs(world, capsys, monkeypatch):
    for name, value in {
        'OS_AUTH_URL': world.server.auth_url,
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': world.server.user,
        'OS_PASSWORD': world.server.key,
        'OS_CONTAINER': world.place.container,
        'STORAGE_PATH': 'files',
    }.items():
        monkeypatch.setenv(name, value)

    with Lock(world.place.storage()):
        assert cli.main(['trash', 'empty']) == 1

    assert 'registry-swift trash: another collection has the lock' in capsys.readouterr().err


def test_emptying_knows_how_long_an_upload_may_take():
    options = cli.parser().parse_args(['trash', 'empty'])

    assert trashing.bounds(options, {'REGISTRY_UPLOAD_LIFETIME': str(5 * DAY)}).kept > 5 * DAY
