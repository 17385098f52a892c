"""A repair (`registry-swift fsck`) and a collection at the same time."""

import pytest
from collected import LARGE, Clock, Process, World

from docker_registry.v2.operations.collection import lock
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
