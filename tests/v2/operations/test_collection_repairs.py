"""Collections and damaged data: repairs (`registry-swift fsck`), and clients that push the right bytes meanwhile."""

import io

import pytest
from collected import LARGE, World
from collection_process import Clock, Process

from docker_registry.v2.operations.collection import blobs, lock
from docker_registry.v2.operations.fsck import run as fsck
from docker_registry.v2.operations.survey import survey
from docker_registry.v2.registry import layout, names
from docker_registry.v2.registry.concurrency import Together
from fake_swift import FakeSwift
from registry_client import digest_of


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


def repair(world, folder):
    storage = world.place.storage()
    surveyed = survey.take(storage, str(folder))
    findings = fsck.Check(storage, surveyed.db, fsck.Options(repair=True, replication_cycle=0), Together(4)).run()
    surveyed.db.close()
    return findings


@pytest.mark.parametrize('left', range(1, 12))
def test_a_blob_that_a_repair_makes_of_its_segments_gets_no_holes(world, tmp_path, left):
    content = world.bytes(LARGE)
    world.push(world.registry(), world.new_image('a', 'v', content))
    world.collect()
    del world.container.objects['files/' + layout.blob(names.digest(digest_of(content)))]
    world.age(8)
    world.collect()
    world.age(8)
    state = world.save()
    whole = Process(world.place.storage())
    whole.collect()
    world.load(state)

    Process(world.place.storage(), {whole.requests - left: lambda: repair(world, tmp_path)}).collect()

    world.require_whole()


def test_right_bytes_that_replace_damaged_garbage_after_its_record_stay(world, monkeypatch):
    content = world.bytes()
    world.server.put(world.place.container, 'files/' + layout.blob(names.digest(digest_of(content))), bytes(len(content)))
    world.age(8)
    write = blobs.write

    def push_after(*arguments):
        write(*arguments)
        world.push(world.registry(), world.new_image('a', 'v', content))

    monkeypatch.setattr(blobs, 'write', push_after)

    world.collect()

    world.require_safe()


def test_segments_of_an_object_that_was_written_again_go(world):
    storage = world.place.storage()
    storage.stream_write('other/object', io.BytesIO(bytes(LARGE)))
    old = {name: found for name, found in world.container.objects.items() if '/_segments/' in name}
    world.collect()
    storage.stream_write('other/object', io.BytesIO(bytes(LARGE)))
    world.container.objects.update(old)  # as if the writer had been killed before it deleted them

    world.settle()

    assert old and not set(old) & set(world.container.objects)
    world.require_whole()
