"""Clients that push, mount, pull and delete between two requests of a collection, while listings are late or not.

Only a sample is tried: see test_collection_kills.py.
"""

import itertools

import pytest
from collection_clients import ALL
from collection_process import Process, case, sample

from docker_registry.v2.registry import trash

AFTER_THE_RUN = 10**6


@pytest.fixture(autouse=True, params=[True, False], ids=['trash known', 'trash not known'])
def looks(request, monkeypatch):
    """A registry knows at once that the trash has something, or learns it too late."""
    monkeypatch.setattr(trash, 'LOOK_SECONDS', -1 if request.param else 60)
    return request.param


def test_nothing_is_lost_and_nothing_stays_whatever_clients_do_in_a_gap(world, states, counts, looks):
    gaps = [(number, gap) for number in range(5) for gap in range(1, counts[number] + 1)]
    cases = [(client, *gap, late) for client, gap, late in itertools.product(ALL, gaps, (False, True))]
    for client, number, gap, is_late in sample(f'gaps, {looks}', cases, 6):
        between = (gap * 7 + number) % 7  # requests of the run between the steps of the client; 6: it ends before the second one
        with case(client=client.__name__, state=number, gap=gap, between=between, listings_are_late=is_late):
            world.load(states[number])
            if is_late:
                world.lag()
            steps = client(world)
            second = gap + between if between < 6 else AFTER_THE_RUN
            process = Process(world.place.storage(), {gap: lambda: next(steps, None), second: lambda: list(steps)})
            process.collect()
            list(steps)
            world.require_safe()
            if is_late:
                world.age(0.4)
                world.collect()  # the listing has been late for ten hours
                world.require_safe()
                world.age(0.4)
                world.catch_up()
            world.settle()
            world.require_safe()
            world.require_clean()
