"""Looks that callers share: nobody gets an outcome that is older than the call, and nobody waits for ever."""

import contextlib
import itertools
import random
import threading
import time

import pytest
from hypothesis import given, settings, strategies

from docker_registry.v2.registry import sharing
from docker_registry.v2.registry.sharing import Shared
from registry_process import until

SECONDS = 60  # a deadline for what happens at once


class Killed(BaseException):
    """What gevent does to a greenlet whose client has gone."""


class Door:
    """A look that waits until it is let through. It counts how often it was made, and returns that."""

    def __init__(self):
        self.looks, self._open = 0, threading.Semaphore(0)

    def __call__(self):
        self.looks += 1
        looked = self.looks
        assert self._open.acquire(timeout=SECONDS)
        return looked

    def let(self, count=1):
        for _ in range(count):
            self._open.release()


class Callers:
    """Threads that ask a `Shared` for the same thing."""

    def __init__(self, shared, look, count, **more):
        self.outcomes = []
        self._threads = [threading.Thread(target=self._ask, args=(shared, look), kwargs=more) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, shared, look, **more):
        try:
            self.outcomes.append(shared.result('key', look, **more))
        except BaseException as error:
            self.outcomes.append(error)

    def all(self):
        for thread in self._threads:
            thread.join(SECONDS)
        return self.outcomes


@pytest.fixture
def shared():
    return Shared()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Nobody loses patience because the machine is slow. Tests of that set their own."""
    monkeypatch.setattr(sharing, 'PATIENCE', SECONDS)


def test_who_is_alone_looks(shared):
    assert [shared.result('key', lambda: 5), shared.result('key', lambda: 6)] == [5, 6]


def test_who_comes_while_a_look_runs_shares_the_next_one(shared):
    door = Door()
    first = Callers(shared, door, 1)
    until(lambda: door.looks == 1)
    waiting = []
    others = Callers(shared, door, 20, waiting=lambda: contextlib.nullcontext(waiting.append(1)))
    until(lambda: len(waiting) == 19)  # one of them makes the look
    door.let(2)

    assert first.all() == [1]
    assert others.all() == [2] * 20


def test_other_keys_do_not_wait(shared):
    door = Door()
    first = Callers(shared, door, 1)
    until(lambda: door.looks == 1)

    assert shared.result('another key', lambda: 5) == 5
    door.let()
    assert first.all() == [1]


def test_an_error_is_shared_and_each_has_one_of_its_own(shared):
    door = Door()

    def fail():
        raise ValueError(door())

    first = Callers(shared, fail, 1)
    until(lambda: door.looks == 1)
    waiting = []
    others = Callers(shared, fail, 5, waiting=lambda: contextlib.nullcontext(waiting.append(1)))
    until(lambda: len(waiting) == 4)
    door.let(2)

    assert [error.args for error in first.all()] == [(1,)]
    assert [error.args for error in others.all()] == [(2,)] * 5
    assert len(set(map(id, others.outcomes))) == 5


def test_who_is_killed_takes_nobody_along(shared):
    door, victims = Door(), [1, 2, 3]

    def die_thrice():
        door()
        if victims:
            victims.pop()
            raise Killed()
        return 'alive'

    callers = Callers(shared, die_thrice, 8)
    door.let(8)

    assert sorted(map(repr, callers.all())) == ["'alive'"] * 5 + ['Killed()'] * 3


def test_who_is_killed_while_it_waits_to_look_takes_nobody_along(shared):
    door = Door()
    first = Callers(shared, door, 1)
    until(lambda: door.looks == 1)

    def killed(look, seconds):
        raise Killed()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing.Look, 'wait', killed)
        assert [type(outcome) for outcome in Callers(shared, door, 1).all()] == [Killed]
    others = Callers(shared, door, 3)
    door.let(5)
    assert first.all() == [1]
    assert set(others.all()) <= {2, 3, 4}


def test_a_look_that_takes_long_holds_up_nobody(shared, monkeypatch):
    monkeypatch.setattr(sharing, 'PATIENCE', 0.05)
    door, numbers = Door(), itertools.count(1)

    def look():
        number = next(numbers)
        return door() if number <= 2 else number

    first = Callers(shared, look, 1)
    until(lambda: door.looks == 1)
    others = Callers(shared, look, 5)  # one of them makes the second look, beside the first
    until(lambda: len(others.outcomes) == 4)

    assert min(others.outcomes) > 2
    door.let(2)
    assert first.all() == [1]
    assert min(others.all()) == 2
    assert not shared._looks


def test_an_error_that_cannot_be_made_again_is_shared(shared):
    class Odd(Exception):
        def __init__(self):
            super().__init__('odd')

    door = Door()

    def fail():
        door()
        raise Odd()

    first = Callers(shared, fail, 1)
    until(lambda: door.looks == 1)
    others = Callers(shared, fail, 5)
    door.let(6)

    assert {type(error) for error in first.all() + others.all()} == {Odd}
    assert {str(error) for error in others.outcomes} == {'odd'}


@pytest.mark.parametrize('seconds', [0.03, 0.06, 0.15])
def test_slow_looks_are_shared_as_well(shared, monkeypatch, seconds):
    """Storage is slow, and no look ends before others lose their patience. Each alone would get an answer, but one after the other."""
    monkeypatch.setattr(sharing, 'PATIENCE', 0.05)
    looks, waits, all_there = [], [], threading.Barrier(100)

    def look():
        looks.append(1)
        time.sleep(seconds)

    def ask():
        all_there.wait(SECONDS)  # to begin a hundred threads takes long on a slow machine
        came = time.monotonic()
        shared.result('key', look)
        waits.append(time.monotonic() - came)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert len(waits) == 100 and max(waits) < 3 * seconds + 10
    assert len(looks) < 70


def test_the_newer_look_answers_those_who_wait_for_one_that_hangs(shared, monkeypatch):
    monkeypatch.setattr(sharing, 'PATIENCE', 0.05)
    before, hung, numbers = Door(), Door(), itertools.count(1)
    first = Callers(shared, before, 1)
    until(lambda: before.looks == 1)
    others = Callers(shared, lambda: hung() if next(numbers) == 1 else 'new', 10)
    until(lambda: len(others.outcomes) == 9)  # the look that they share hangs, so one of them makes another

    assert set(others.outcomes) == {'new'}
    hung.let()
    before.let()
    assert first.all() + others.all() == [1] + ['new'] * 9 + [1]
    assert not shared._looks


@settings(max_examples=20)
@given(seed=strategies.integers(0, 2**32), readers=strategies.integers(1, 12), patience=strategies.sampled_from([1, 0.001, 0]))
def test_nobody_sees_what_is_older_than_the_call(monkeypatch, seed, readers, patience):
    """A model of readers and a writer: the state is a number that only grows. Looks take time, fail, and are killed."""
    monkeypatch.setattr(sharing, 'PATIENCE', patience)
    chance, shared, state, stale = random.Random(seed), Shared(), [0], []
    end = time.monotonic() + 0.05

    def look():
        seen = state[0]
        time.sleep(chance.random() * 0.002)
        if chance.random() < 0.1:
            raise chance.choice([ValueError, Killed])()
        return seen

    def read():
        while time.monotonic() < end:
            came = state[0]
            with contextlib.suppress(ValueError, Killed):
                seen = shared.result('key', look)
                if seen < came:
                    stale.append((came, seen))

    def write():
        while time.monotonic() < end:
            state[0] += 1
            time.sleep(0.0002)

    threads = [threading.Thread(target=call) for call in (*[read] * readers, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert not any(thread.is_alive() for thread in threads)
    assert not stale
    assert not shared._looks  # nothing is left
