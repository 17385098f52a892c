"""Names that others have written into the container do not stop a collection."""

import pytest
from collected import Clock, World

from docker_registry.v2.operations.collection import lock
from fake_swift import FakeSwift

ODD = [
    'files/other//name',
    'files/other/../name',
    'files/_lost/x//y',
    'files/_lost/x/../y/record',
    'files/_segments/upload//1',
    'files/_trash/names/a/_withdrawn//x',
    'files/docker/registry/v2/repositories/a/_uploads/u//x',
    'segments/abc//d',
]


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


@pytest.mark.parametrize('name', ODD)
def test_a_name_that_the_driver_refuses_stops_nothing(world, name):
    world.registry().push_blob('a', world.bytes())
    world.server.put(world.place.container, name, bytes(1024**2))

    world.settle(days=31)

    assert name in world.container.objects
    assert not [name for name in world.container.objects if name.endswith('/data')]
