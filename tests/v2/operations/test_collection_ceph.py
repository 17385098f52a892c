"""Collections on a Ceph RADOS Gateway: it has no If-None-Match, shows large objects as empty ones, and returns no manifests."""

import pytest
from collected import World, timeline
from collection_clients import mount, pull, push_again, restore, send_all
from collection_process import Clock, Process, case, sample

from docker_registry.v2.operations.collection import lock
from docker_registry.v2.registry import keys, trash
from fake_swift import FakeSwift


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    monkeypatch.setattr(keys, 'SETTLED_SECONDS', 0)
    monkeypatch.setattr(trash, 'LOOK_SECONDS', -1)
    with FakeSwift(ceph=True, token_life=10**9) as server:
        yield World(server, Clock(monkeypatch), has_distribution=False)


def test_all_garbage_goes_and_nothing_else(world):
    timeline(world)

    world.settle()
    world.require_safe()
    world.require_clean()


def test_runs_are_killed_and_clients_come_in_between(world):
    states = timeline(world)
    cases = [
        (number, gap, client) for number in range(4) for gap in range(1, 200) for client in (push_again, mount, pull, restore, send_all)
    ]
    for number, gap, client in sample('Ceph', cases, 2):
        with case(state=number, gap=gap, client=client.__name__):
            world.load(states[number])
            steps = client(world)
            Process(world.place.storage(), {gap: lambda: next(steps, None)}, kill=gap + 5).collect()
            list(steps)
            world.require_safe()
            world.settle()
            world.require_safe()
            world.require_clean()
