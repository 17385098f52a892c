"""/readyz: whether Swift answers, told to any number of load balancers, in time and at the cost of one look."""

import threading
import time

import pytest

from docker_registry.v2.http import readiness
from fake_swift import on, stall, status
from registry_client import Registry, code_of
from registry_process import until

LISTING = on('GET', kind='container')


def looks(fake):
    return len([request for request in fake.requests if LISTING(request)])


class Callers:
    """Ask /readyz at the same time, each in a thread. `answers` has (status, seconds) of those that have an answer."""

    def __init__(self, registry, count):
        self.answers = []
        self._threads = [threading.Thread(target=self._ask, args=[registry]) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, registry):
        started = time.monotonic()
        status = registry('GET', '/readyz').status_code
        self.answers.append((status, time.monotonic() - started))

    def all(self):
        for thread in self._threads:
            thread.join(30)
        return self.answers


@pytest.fixture
def forgetful(monkeypatch):
    """The outcome of a look is good only for those who asked while it ran."""
    monkeypatch.setattr(readiness, 'REMEMBERED', 0)


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(readiness, 'PATIENCE', 0.5)


def test_many_callers_cost_one_look(fake, fake_place, monkeypatch):
    for name in ('PATIENCE', 'REMEMBERED'):  # a busy machine takes long to start 50 threads
        monkeypatch.setattr(readiness, name, 30)
    fake_registry = fake_place.registry()
    fault = fake.fault(LISTING, stall())
    callers = Callers(fake_registry, 50)
    until(lambda: fault.hits)
    fake.release()

    assert [status for status, _ in callers.all()] == [200] * 50
    assert looks(fake) == 1


@pytest.fixture
def later(monkeypatch):
    """A function that lets the time pass for which an outcome is good: not a second, in which a busy machine may ask only once."""
    assert readiness.REMEMBERED == 1
    monkeypatch.setattr(readiness, 'REMEMBERED', 300)

    def move(registry):
        registry.app.readiness._look._good_until -= readiness.REMEMBERED

    return move


def test_the_outcome_is_good_for_a_second(fake, fake_place, later):
    registry = fake_place.registry()
    assert registry('GET', '/readyz').status_code == 200
    fake.fault(LISTING, status(503), times=None)

    assert registry('GET', '/readyz').status_code == 200
    later(registry)
    assert registry('GET', '/readyz').status_code == 503


def test_trouble_is_good_for_a_second_too(fake, fake_place, later):
    registry = fake_place.registry()
    fake.fault(LISTING, status(503), times=1)

    assert [registry('GET', '/readyz').status_code for _ in range(5)] == [503] * 5
    assert looks(fake) == 1
    later(registry)
    assert registry('GET', '/readyz').status_code == 200


def test_a_silent_swift_is_503_in_three_seconds_for_all_that_ask(fake, fake_place, monkeypatch):
    assert readiness.PATIENCE == 3
    monkeypatch.setattr(readiness, 'REMEMBERED', 300)  # a thread may begin to ask when the look has ended
    registry = fake_place.registry()
    fake.fault(LISTING, stall(), times=None)

    answers = Callers(registry, 50).all()

    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 3 + 7  # 50 threads on a busy machine
    assert looks(fake) == 1


def test_a_503_for_want_of_an_answer_is_an_error_of_the_api(fake, fake_place, monkeypatch):
    registry = fake_place.registry(retry_after=7)
    monkeypatch.setattr(readiness, 'PATIENCE', 0.05)
    fake.fault(LISTING, stall(), times=None)

    answer = registry('GET', '/readyz')

    assert (answer.status_code, code_of(answer), answer.headers['Retry-After']) == (503, 'UNAVAILABLE', '7')
    assert 'has not answered in 0.05 seconds' in answer.json['errors'][0]['message']


def test_no_second_look_begins_before_the_first_has_ended(fake, fake_place, monkeypatch):
    monkeypatch.setattr(readiness, 'PATIENCE', 300)
    registry = fake_place.registry()
    fault = fake.fault(LISTING, stall(), times=None)
    monkeypatch.setattr(readiness, 'PATIENCE', 0.05)  # for callers; the look itself keeps its 300 seconds

    assert registry('GET', '/readyz').status_code == 503
    until(lambda: fault.hits)  # the look has reached Swift, which may take longer than the caller waits
    assert [registry('GET', '/readyz').status_code for _ in range(4)] == [503] * 4
    assert fault.hits == 1


def test_it_is_200_soon_after_swift_is_back(fake, fake_place, hasty, forgetful):
    registry = fake_place.registry()
    fault = fake.fault(LISTING, stall(), times=None)
    assert registry('GET', '/readyz').status_code == 503
    fault.cancel()

    assert until(lambda: registry('GET', '/readyz').status_code == 200, seconds=20)


def test_nothing_is_retried(fake, fake_place, forgetful):
    registry = Registry(fake_place.storage(swift_retries=5, swift_retry_max_wait=30), fake_place.registry().app.config)
    registry('GET', '/readyz')
    fake.clear_requests()
    fake.fault(on(where=lambda request: True), status(503), times=None)

    assert registry('GET', '/readyz').status_code == 503
    assert len(fake.requests) == 1


def test_it_does_not_wait_for_what_clients_do(fake, fake_place, forgetful, monkeypatch):
    """The only connection is busy, and so is the check of the container."""
    monkeypatch.setattr(readiness, 'PATIENCE', 10)  # it would wait longer for them
    registry = Registry(fake_place.storage(swift_pool_size=1, swift_pool_timeout=30), fake_place.registry().app.config)
    registry.storage._swift._checked = 0
    waiting = fake.fault(on('HEAD', kind='container'), stall(), times=None)  # also if the driver tries again
    client = threading.Thread(target=registry, args=('GET', '/v2/a/manifests/v1'))
    client.start()
    until(lambda: waiting.hits)

    assert registry('GET', '/readyz').status_code == 200
    assert client.is_alive()
    fake.release()
    client.join(30)


def test_it_counts_its_requests_in_the_log(fake_place, caplog, monkeypatch):
    monkeypatch.setattr(readiness, 'REMEMBERED', 300)  # the second one may come late
    registry = fake_place.registry()
    with caplog.at_level('INFO', 'docker_registry.v2.http.requests'):
        registry('GET', '/readyz')
        registry('GET', '/readyz')

    assert [message.split('swift=')[1][:1] for message in caplog.messages] == ['2', '0']  # a login and a listing; then nothing
