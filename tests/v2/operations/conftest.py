"""Fixtures for tests of operations. `made` is a container with images and garbage, in its states before the runs of a collection: see
`collected`. It is made once.
"""

import pytest
from collected import World, timeline
from collection_process import Clock, Process

from docker_registry.v2.operations.collection import lock
from docker_registry.v2.registry import keys
from fake_swift import FakeSwift


@pytest.fixture(autouse=True)
def prompt(monkeypatch):
    """Whoever takes over a lock that was left does so promptly, however slow the machine is. Otherwise it waits for ten minutes."""
    monkeypatch.setattr(lock, 'PROMPT', float('inf'))


@pytest.fixture(scope='module')
def made():
    """(world, states, requests of an undisturbed run from each)"""
    with pytest.MonkeyPatch.context() as patch, FakeSwift(token_life=10**9) as server:
        patch.setattr(lock, 'SETTLED', 0)
        patch.setattr(lock, 'PROMPT', float('inf'))
        patch.setattr(keys, 'SETTLED_SECONDS', 0)
        world = World(server, Clock(patch))
        states = timeline(world)
        counts = []
        for state in states:
            world.load(state)
            process = Process(world.place.storage())
            process.collect()
            counts.append(process.requests)
        yield world, states, counts


@pytest.fixture
def world(made):
    yield made[0]
    made[0].server.clear_faults()
    made[0].catch_up()


@pytest.fixture
def states(made):
    return made[1]


@pytest.fixture
def counts(made):
    return made[2]
