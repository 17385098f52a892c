"""Who has the next turn, who is refused, and who shares one."""

import concurrent.futures
import contextlib
import threading

import pytest

from docker_registry.v2.access.turns import Refused, Turns
from registry_process import until

DEADLINE = 60


class Queue:
    """Requests that wait for turns, in the order in which `come` adds them. `order` has the names in the order of their turns."""

    def __init__(self, turns, pool):
        self.turns, self._pool, self.order = turns, pool, []

    def come(self, name, rank):
        """Add a request and return its future: True for a turn of its own, False for that of another one, None if it was refused."""
        future = self._pool.submit(self._wait, name, rank)
        until(lambda: future.done() or self._is_in(name))
        return future

    def _is_in(self, name):
        current = self.turns._current  # once: it may end at any moment
        return name in self.turns._waiting or current and current.key == name

    def _wait(self, name, rank):
        try:
            with self.turns.take(name, rank) as own:
                if own:
                    self.order.append(name)
                return own
        except Refused:
            return None


@pytest.fixture
def queue():
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        yield lambda most=10, seconds=DEADLINE: Queue(Turns(most, seconds), pool)


@contextlib.contextmanager
def busy(queue):
    with queue.turns.take('first', 0):
        yield


def test_the_lowest_rank_is_next_and_of_equal_ranks_the_first(queue):
    queue = queue()
    with busy(queue):
        futures = [queue.come(name, rank) for name, rank in (('c', 5), ('a', 1), ('d', 5), ('b', 2))]

    assert [future.result(DEADLINE) for future in futures] == [True] * 4
    assert queue.order == ['a', 'b', 'c', 'd']


def test_when_too_many_wait_the_highest_rank_is_refused(queue):
    queue = queue(most=2)
    with busy(queue):
        kept, dropped = queue.come('kept', 1), queue.come('dropped', 2)
        assert queue.come('late', 3).result(DEADLINE) is None
        early = queue.come('early', 0)
        assert dropped.result(DEADLINE) is None

    assert [early.result(DEADLINE), kept.result(DEADLINE), queue.order] == [True, True, ['early', 'kept']]


def test_of_equal_ranks_a_new_one_takes_the_last_place(queue):
    queue = queue(most=2)
    with busy(queue):
        first, second, third = (queue.come(name, 1) for name in ('first of all', 'second', 'third'))

    assert [future.result(DEADLINE) for future in (first, second, third)] == [True, None, True]


def test_requests_with_the_same_key_share_a_turn(queue):
    queue = queue()
    with busy(queue):
        futures = [queue.come('a', 1) for _ in range(3)]
        until(lambda: queue.turns._waiting['a'].requests == 3)

    assert sorted(future.result(DEADLINE) for future in futures) == [False, False, True]


def test_requests_that_share_a_turn_count_one_by_one(queue):
    queue = queue(most=3)
    with busy(queue):
        shared = [queue.come('a', 1) for _ in range(4)]
        until(lambda: [future for future in shared if future.done()])
        other = queue.come('b', 0)

    assert other.result(DEADLINE) is True
    assert [future.result(DEADLINE) for future in shared] == [None] * 4


def test_who_shares_the_turn_of_the_moment_occupies_a_place_too(queue):
    queue = queue(most=1)
    with busy(queue):
        follower = queue.come('first', 0)
        until(lambda: queue.turns._current.requests == 1)
        assert queue.come('other', 1).result(DEADLINE) is None

    assert follower.result(DEADLINE) is False


def test_nobody_waits_longer_than_allowed(queue):
    queue = queue(seconds=0.05)
    with busy(queue):
        futures = [queue.come(name, 1) for name in ('a', 'a', 'first')]
        assert [future.result(DEADLINE) for future in futures] == [None] * 3
        assert not queue.turns._waiting and not queue.turns._current.requests

    assert queue.come('b', 1).result(DEADLINE) is True


def test_a_turn_that_fails_is_over(queue):
    queue = queue()
    with pytest.raises(ValueError), queue.turns.take('a', 1):
        raise ValueError

    assert queue.come('b', 1).result(DEADLINE) is True


def test_a_wait_that_is_interrupted_leaves_nothing_behind(monkeypatch):
    def interrupted(event, seconds):
        raise KeyboardInterrupt

    turns = Turns(10, DEADLINE)
    with turns.take('first', 0), monkeypatch.context() as patched:
        patched.setattr(threading.Event, 'wait', interrupted)
        with pytest.raises(KeyboardInterrupt), turns.take('a', 1):
            pass

    with turns.take('b', 1) as own:
        assert own
