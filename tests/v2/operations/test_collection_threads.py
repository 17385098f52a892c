"""The threads of a collection share one database. Since Python 3.12, they must not ask it at the same time."""

import threading

import pytest
from collected import World
from collection_process import Clock, Process

from docker_registry.v2.operations.collection import lock, run
from fake_swift import FakeSwift

WAITED = 0.2  # seconds for a second thread to come; it does not if it has to wait for the first one


class OneAtATime:
    """A connection that notes whether two threads ask at the same time."""

    def __init__(self, db):
        self._db, self._both, self.met = db, threading.Barrier(2), []

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, *arguments):
        if threading.current_thread() is not threading.main_thread():
            try:
                self._both.wait(WAITED)
                self.met.append(arguments[0])
            except threading.BrokenBarrierError:
                self._both.reset()
        return self._db.execute(*arguments)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


def test_no_two_threads_ask_the_database_at_the_same_time(world, monkeypatch):
    registry, asked = world.registry(), []
    for _ in range(3):
        registry.push_blob('a', world.bytes())
        world.server.put(world.place.container, f'files/other/{len(world.content)}', bytes(1024**2))
    take = run.take

    def taken(*arguments):
        survey = take(*arguments)
        survey.db = OneAtATime(survey.db)
        asked.append(survey.db)
        return survey

    monkeypatch.setattr(run, 'take', taken)
    world.age(8)

    report = Process(world.place.storage()).collect(threads=4)

    assert report.counts['blobs'] == 3
    assert not [query for db in asked for query in db.met]
