# -*- coding: utf-8 -*-
"""What the driver tells its hook `on_event`, besides the requests that it tells `on_request`."""

import threading

import pytest

import fake_swift
from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on, status


@pytest.fixture
def told(fake, fake_storage):
    """Returns a storage, and the list of (event, amount) that it tells."""
    def make(**settings):
        storage, events = fake_storage(swift_retry_max_wait=0, **settings), []
        storage.put_content('o', b'x' * 1000)
        storage.on_event = lambda event, amount: events.append((event, amount))
        return storage, events
    return make


def names(events):
    return [event for event, _ in events]


def test_a_request_without_trouble_is_no_event(told):
    storage, events = told()
    storage.get_content('o')

    assert not events


def test_a_retry_is_told(fake, told):
    storage, events = told()
    fake.fault('GET', status(503), times=2)
    storage.get_content('o')

    assert events == [('retry', 1)] * 2


def test_a_resumed_download_is_told(fake, told):
    storage, events = told()
    fake.fault('GET', fake_swift.cut_response(10))
    assert b''.join(storage.stream_read('o')) == b'x' * 1000

    assert events == [('resumed download', 1)]


def test_a_refused_token_and_the_login_after_it_are_told(fake, told):
    storage, events = told()
    fake.expire_tokens()
    storage.get_content('o')

    assert names(events) == ['refused token', 'login']
    assert 0 < dict(events)['login'] < 60


def test_a_failed_login_is_told(fake, fake_storage):
    storage, events = fake_storage(swift_retries=0), []
    storage.on_event = lambda event, amount: events.append((event, amount))
    fake.fault(on(kind='auth'), status(503), times=None)
    with pytest.raises(exceptions.BrokenError):
        storage.get_content('o')

    assert names(events) == ['failed login']


def test_a_wait_for_a_connection_is_told_with_its_seconds(fake, told, monkeypatch):
    storage, events = told(swift_pool_size=1)
    stream = storage.stream_read('o')
    waits = threading.Event()

    class Waiter(driver_module._Waiter):
        """Tells when somebody begins to wait. Whoever is only in the queue yet may get the connection without a wait."""

        def __init__(self):
            super(Waiter, self).__init__()
            wait = self.ready.wait
            self.ready.wait = lambda seconds: [waits.set(), wait(seconds)][1]
    monkeypatch.setattr(driver_module, '_Waiter', Waiter)
    waiter = threading.Thread(target=storage.get_content, args=('o',))
    waiter.start()
    assert waits.wait(10)
    stream.close()
    waiter.join(10)

    assert names(events) == ['pool wait'] and 0 <= events[0][1] < 60


def test_an_impatient_twin_has_the_same_hook(told):
    storage, events = told()
    storage.impatient(30).get_content('o')

    assert names(events) == ['login']
