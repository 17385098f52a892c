"""Calls that run together: how many at a time, and what happens after an error."""

import threading

import pytest

from docker_registry.v2.registry.concurrency import Together

SECONDS = 30  # a deadline for what happens at once


class Gate:
    """Calls that wait until the gate opens, and a count of those that run."""

    def __init__(self):
        self.begun, self.running, self.most = [], 0, 0
        self._open, self._changed = threading.Event(), threading.Condition()

    def __call__(self, item):
        with self._changed:
            self.begun.append(item)
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
        assert self._open.wait(SECONDS)
        with self._changed:
            self.running -= 1
        return item

    def open(self):
        self._open.set()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) == count, SECONDS)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.parametrize('threads', [1, 2, 5, 16])
def test_results_are_in_the_order_of_the_items(threads):
    together = Together(threads)

    assert together.map(lambda item: item * 2, range(100)) == list(range(0, 200, 2))
    assert together.all(*[lambda item=item: item for item in range(100)]) == list(range(100))
    assert together.map(str, []) == together.all() == []


def test_one_call_of_map_takes_half_of_the_threads_and_leaves_room_for_others(gate):
    together = Together(8)
    mapping = threading.Thread(target=together.map, args=(gate, range(1000)))
    mapping.start()
    gate.wait_for(4)

    assert together.map(str, range(20)) == list(map(str, range(20)))

    gate.open()
    mapping.join(SECONDS)
    assert len(gate.begun) == 1000 and gate.most <= 4


def test_no_call_of_map_begins_before_all_items_are_there():
    """A delete takes its items from a listing. If that fails half-way, nothing has been deleted."""
    called = []

    def items():
        yield from range(10)
        raise KeyError

    with pytest.raises(KeyError):
        Together(4).map(called.append, items())

    assert not called


def test_each_takes_items_only_as_calls_end():
    taken = []
    together = Together(4)

    with together.each(lambda item: item, (taken.append(item) or item for item in range(1000))) as results:
        assert next(results) == 0
        assert len(taken) <= 3


def test_few_calls_begin_after_an_error_and_none_runs_when_it_is_raised():
    together, begun, ended = Together(8), [], []
    all_begun = threading.Barrier(4)

    def call(item):
        begun.append(item)
        if item < 4:
            all_begun.wait(SECONDS)
        if item == 3:
            raise KeyError(item)
        ended.append(item)

    with pytest.raises(KeyError):
        together.map(call, range(1000))

    assert len(begun) < 10, 'those that began before the error was noticed'
    assert len(ended) == len(begun) - 1


def test_an_error_in_the_callers_thread_ends_the_others(gate):
    together = Together(4)

    def fail():
        gate.wait_for(2)
        gate.open()
        raise KeyError

    with pytest.raises(KeyError):
        together.all(fail, *[lambda item=item: gate(item) for item in range(1000)])

    assert len(gate.begun) == 2 and gate.running == 0


def test_no_call_runs_after_the_block_that_took_only_some_results(gate):
    together = Together(4)
    gate.open()

    with together.each(gate, range(1000)) as results:
        next(results)

    assert len(gate.begun) <= 4 and gate.running == 0


def test_calls_within_calls_end_however_many_there_are():
    """If they waited for threads, those that wait would have them all."""
    together = Together(2)

    def outer(number):
        return together.all(lambda: number, lambda: 10 * number, lambda: sum(together.map(int, range(number))))

    results = []
    callers = [threading.Thread(target=lambda: results.append(together.map(outer, range(8))), daemon=True) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)

    assert results == [[[number, 10 * number, sum(range(number))] for number in range(8)]] * 4


def test_an_error_within_a_call_is_that_of_the_call():
    together = Together(2)
    with pytest.raises(ZeroDivisionError):
        together.map(lambda _: together.all(lambda: 1, lambda: 1 // 0), range(3))
