"""How fast a command sends requests, and how many it counts."""

import threading
from types import SimpleNamespace

import pytest

from docker_registry.v2.operations import pace as pace_module
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.survey.survey import take


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""

    class Clock:
        now, slept = 100.0, 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds
            self.slept += seconds

    clock = Clock()
    monkeypatch.setattr(pace_module, 'time', clock)
    return clock


def test_requests_are_counted_by_method():
    pace = Pace()
    for method in ('GET', 'GET', 'HEAD'):
        pace(method, 200, 0.1)

    assert (pace.requests, pace.methods) == (3, {'GET': 2, 'HEAD': 1})


def test_without_a_limit_nobody_waits(clock):
    pace = Pace()
    for _ in range(100):
        pace('GET', 200, 0)

    assert clock.slept == 0


def test_no_more_than_the_limit_in_a_second(clock):
    pace = Pace(10)
    for _ in range(100):
        pace('GET', 200, 0)

    assert clock.slept == pytest.approx(10)


def test_what_a_request_took_counts_as_waiting(clock):
    pace = Pace(10)
    for _ in range(10):
        clock.now += 0.06
        pace('GET', 200, 0.06)

    assert clock.slept == pytest.approx(10 * 0.04)


def test_a_pause_is_not_made_up_for(clock):
    pace = Pace(10)
    pace('GET', 200, 0)
    clock.now += 60
    before = clock.slept
    for _ in range(10):
        pace('GET', 200, 0)

    assert clock.slept - before == pytest.approx(1)


def test_threads_share_the_limit(monkeypatch):
    waits = []
    monkeypatch.setattr(pace_module, 'time', SimpleNamespace(monotonic=lambda: 100.0, sleep=waits.append))
    pace = Pace(1)
    threads = [threading.Thread(target=pace, args=('GET', 200, 0)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pace.requests == 5 and sorted(waits) == [1, 2, 3, 4, 5]


def test_a_survey_keeps_the_limit(fake_place, fake_registry, tmp_path):
    fake_registry.push_image('a', 'v1', b'layer')
    pace = Pace(10000)
    take(fake_place.storage(), str(tmp_path), pace)

    assert pace.requests > 5
