"""Places for requests of one address."""

import threading

import pytest
from werkzeug.test import create_environ

from docker_registry.v2.http import work
from docker_registry.v2.http.work import Places, Work
from docker_registry.v2.registry import errors


@pytest.fixture
def places():
    return Places(2 * work.SHARE)  # two for requests that move no blob


def test_an_address_has_only_so_many_places(places, monkeypatch):
    monkeypatch.setattr(work, 'PATIENCE', 0.01)
    held = [Work(places, '10.0.0.1') for _ in range(2)]

    with pytest.raises(errors.TooManyRequests):
        Work(places, '10.0.0.1')
    Work(places, '10.0.0.2').end()
    held[0].end()
    Work(places, '10.0.0.1').end()


def test_pages_leave_room_for_other_requests_of_the_same_address(places, monkeypatch):
    monkeypatch.setattr(work, 'PATIENCE', 0.01)
    page = Work(places, '10.0.0.1', is_page=True)

    with pytest.raises(errors.TooManyRequests):
        Work(places, '10.0.0.1', is_page=True)
    Work(places, '10.0.0.1').end()
    Work(places, '10.0.0.2', is_page=True).end()
    page.end()
    Work(places, '10.0.0.1', is_page=True).end()
    assert not places.pages._counters


def test_a_place_is_given_back_once(places, monkeypatch):
    monkeypatch.setattr(work, 'PATIENCE', 0.01)
    one, other = Work(places, '10.0.0.1'), Work(places, '10.0.0.1')
    one.end()
    one.end()

    another = Work(places, '10.0.0.1')
    with pytest.raises(errors.TooManyRequests):
        Work(places, '10.0.0.1')
    other.end()
    another.end()


def test_who_waits_for_a_client_leaves_the_place_and_takes_it_again(places):
    first = [Work(places, '10.0.0.1') for _ in range(2)]
    with first[0].paused():
        second = Work(places, '10.0.0.1')
        ending = threading.Timer(0.05, second.end)
        ending.start()  # until then, the first one cannot go on
    ending.join()  # it gives its place to the first one, and only then forgets that it wanted one

    for one in first:
        one.end()
    assert not places.others._counters and not places.transfers._counters


def test_what_a_response_is_read_from_is_released_while_the_client_does_not_take_it(places):
    released = []

    class Stream:
        def release(self):
            released.append(True)

    one = Work(places, '10.0.0.1')
    one.stream = Stream()
    with one.paused():
        assert released


def test_a_request_that_fails_while_it_waits_holds_no_place(places):
    one = Work(places, '10.0.0.1')
    with pytest.raises(OSError), one.paused():
        raise OSError('the client has gone')
    one.end()

    assert not places.others._counters and not places.transfers._counters


def test_work_that_has_ended_takes_no_place_again(places):
    one = Work(places, '10.0.0.1')
    one.end()
    with one.paused():
        pass

    assert not places.others._counters and not places.transfers._counters


def test_a_response_whose_head_the_server_refuses_keeps_no_place(fake_registry):
    def start_response(*_):
        raise ValueError('a field with a line break')

    class Connection:
        work = None

    with pytest.raises(ValueError):
        fake_registry.app({**create_environ('/v2/'), 'registry.connection': Connection()}, start_response)
    assert not fake_registry.app._places.others._counters


def test_addresses_of_one_household_share_places(places, monkeypatch):
    monkeypatch.setattr(work, 'PATIENCE', 0.01)
    for last in '12':
        Work(places, f'2001:db8::{last}')

    with pytest.raises(errors.TooManyRequests):
        Work(places, '2001:db8::3')


def test_a_body_takes_another_place(places):
    transfers = [Work(places, '10.0.0.1') for _ in range(2)]
    for one in transfers:
        one.transfer()
    short = [Work(places, '10.0.0.1') for _ in range(2)]

    for one in transfers + short:
        one.end()
    assert not places.others._counters and not places.transfers._counters


def test_a_body_that_waits_for_its_turn_holds_nothing(places):
    others = []
    for _ in range(2 * work.SHARE):
        others.append(Work(places, '10.0.0.1'))
        others[-1].transfer()
    released = threading.Event()

    class Stream:
        release = released.set

    one = Work(places, '10.0.0.1')
    waiting = threading.Thread(target=one.transfer, args=(Stream(),))
    waiting.start()
    assert released.wait(30)
    more = [Work(places, '10.0.0.1') for _ in range(2)]  # its first place is free
    others[0].end()
    waiting.join(30)

    for work_of in [one, *others, *more]:
        work_of.end()
    assert not places.others._counters and not places.transfers._counters


def test_too_many_bodies_are_refused(places, monkeypatch):
    monkeypatch.setattr(work, 'PATIENCE', 0.01)
    for _ in range(2 * work.SHARE):
        Work(places, '10.0.0.1').transfer()
    one = Work(places, '10.0.0.1')

    with pytest.raises(errors.TooManyRequests):
        one.transfer()
    one.end()
    assert not places.others._counters
