"""The lock of a collection: while it runs, and when another one takes it."""

import threading

import pytest

from docker_registry.v2.operations.collection import lock
from docker_registry.v2.operations.collection.lock import Lock
from docker_registry.v2.operations.collection.problems import Locked
from docker_registry.v2.registry import layout
from registry_process import until

PATIENCE = 30  # seconds


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    monkeypatch.setattr(lock, 'RENEWED', 0.05)


def test_it_is_renewed_while_nothing_is_deleted(fake_place):
    storage, written = fake_place.storage(), threading.Semaphore(0)
    storage.on_request = lambda method, status, seconds: method == 'PUT' and written.release()
    with Lock(storage) as held:
        for _ in range(3):
            assert written.acquire(timeout=PATIENCE)
        held.check()
    assert not fake_place.storage().exists(layout.LOCK)


def test_whoever_has_lost_it_stops(fake_place):
    storage = fake_place.storage()

    def is_lost_to_another():
        # Again and again: the holder may have looked just before, and then its own content comes back.
        storage.replace(layout.LOCK, b'{"run": "other", "host": "there", "process": "1 2"}')
        return is_lost(held)

    with Lock(storage) as held:
        until(is_lost_to_another, PATIENCE)
    assert storage.exists(layout.LOCK)


def test_whoever_could_not_renew_it_stops(fake_place, monkeypatch):
    monkeypatch.setattr(lock, 'RENEWED', 1000)
    with Lock(fake_place.storage()) as held:
        held.check()
        monkeypatch.setattr(lock, 'TRUSTED', 0)
        until(lambda: is_lost(held), PATIENCE)


def is_lost(held):
    try:
        held.check()
    except Locked:
        return True
