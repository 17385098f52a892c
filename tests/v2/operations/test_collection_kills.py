"""Runs of the collection that are killed after any request, and requests that arrive when their run is dead.

Only a sample is tried. COLLECTION_CASES=all tries all, which takes half an hour; a number is the size of the sample. COLLECTION_SEED
chooses another sample.
"""

import pytest
from collection_clients import push_again
from collection_process import Process, case, sample

from fake_swift import on


def deletes(request):
    return request.method == 'DELETE' or 'bulk-delete' in request.query


class Late:
    """Requests that Swift gets now and performs later. Whoever sent them sees a broken connection."""

    def __init__(self, server):
        self._server, self._requests = server, []

    def __call__(self, exchange):
        exchange.read_body()
        self._requests.append(exchange.request)
        exchange.hang_up()

    def __bool__(self):
        return bool(self._requests)

    def land(self):
        for request in self._requests:
            assert self._server.answer(request).status < 500


def test_nothing_is_lost_and_nothing_stays_wherever_runs_are_killed(world, states, counts):
    for number, kill in sample('kills', [(number, kill) for number, count in enumerate(counts) for kill in range(1, count + 1)], 6):
        with case(state=number, kill=kill):
            world.load(states[number])
            Process(world.place.storage(), kill=kill).collect(threads=1 if kill % 2 else 8)
            world.require_safe()
            world.settle()
            world.require_safe()
            world.require_clean()


def test_nothing_is_lost_and_nothing_stays_where_each_run_is_killed_once(world, states, counts):
    """The run after a killed one is killed, too, at another place: at once, or a day or a week later."""
    kills = [(number, first, second) for number, count in enumerate(counts[:4]) for first in range(1, count + 1) for second in range(4)]
    for number, first, quarter in sample('double kills', kills, 2):
        with case(state=number, first=first, quarter=quarter):
            world.load(states[number])
            Process(world.place.storage(), kill=first).collect()
            for days in (0, 1, 8):
                world.age(days)
                Process(world.place.storage(), kill=(quarter + 1) * counts[number] // 5).collect(take_lock=True)
                world.require_safe()
            world.settle()
            world.require_safe()
            world.require_clean()


@pytest.mark.parametrize('client', ['none', 'push', 'push around it'])
def test_nothing_is_lost_if_a_delete_lands_when_its_run_is_dead(world, states, client):
    cases = [(number, after) for number in range(4) for after in range(40)]
    for number, after in sample(f'late deletes, {client}', cases, 2):
        with case(state=number, after=after, client=client):
            world.load(states[number])
            late = Late(world.server)
            process = Process(world.place.storage())
            process.storage.on_request = lambda *_: process.die() if late else None
            fault = world.server.fault(on(where=deletes), late, after=after)
            process.collect()
            fault.cancel()
            pushing = push_again(world) if client != 'none' else iter([None])
            next(pushing)  # all but the manifests
            if client == 'push':
                list(pushing)
            late.land()
            list(pushing)
            world.require_safe()
            world.settle()
            world.require_safe()
            world.require_clean()
