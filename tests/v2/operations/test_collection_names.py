"""What others have written into the container, or what is damaged there, does not stop a collection without a word."""

import pytest
from collected import World
from collection_process import Clock

from docker_registry.v2.operations.collection import lock
from docker_registry.v2.registry import layout, names, trash
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


@pytest.mark.parametrize('position', [4, 20, 40, 100, -4])
def test_a_damaged_memory_is_written_anew(world, position):
    world.registry().push_blob('a', world.bytes())
    world.collect()
    whole = world.container.objects['files/' + layout.MEMORY].body
    damaged = bytearray(whole)
    damaged[position] ^= 255
    world.server.put(world.place.container, 'files/' + layout.MEMORY, bytes(damaged))

    world.collect()

    assert world.container.objects['files/' + layout.MEMORY].body != bytes(damaged)


@pytest.mark.parametrize('content', [b'\xff', b'[' * 100000, b'{}', b'null', b'{"parts": [["x"]]}'])
def test_what_is_no_record_of_the_trash_is_named(world, content):
    world.server.put(world.place.container, 'files/' + layout.trashed_blob(names.digest('sha256:' + 'a' * 64)), content)

    with pytest.raises(trash.Damaged):
        world.collect()
