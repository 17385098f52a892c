"""How much of the processor's time a call takes, so that tests can set a bound to it on any machine, idle or busy."""

import time
from collections.abc import Callable

#: Seconds that `yardstick` takes on the machine for which the bounds of tests were set. It was not measured there: a query that took 0.006
#: there takes 14.4 times as long as `yardstick`.
YARDSTICK_SECONDS = 0.00042


def seconds(call: Callable[[], object], enough: float, tries: int = 5) -> float:
    """Return the seconds that a call would take on that machine, as the least of some tries.

    Where all processors are busy, each second of theirs does less: two may share a core. So this compares a call that takes long with
    the yardstick.

    :param enough: what takes less even here is not measured again
    """
    least = float('inf')
    for _ in range(tries):
        took = _timed(call)
        if took < enough:
            return took
        least = min(least, took * YARDSTICK_SECONDS / _timed(yardstick))
    return least


def slowness() -> float:
    """Return how many times as long as on that machine everything takes now, at least 1."""
    slow = sorted(_timed(yardstick) for _ in range(200))[180]  # a few are slower for other reasons
    return max(1.0, slow / YARDSTICK_SECONDS)


def _timed(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def yardstick() -> None:
    """Do a fixed piece of work."""
    number, texts = 1, {}
    for _ in range(5000):
        number = number * 31 % 65521
        texts[number & 255] = 'x' * (number & 63)
