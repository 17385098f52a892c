"""Sends independent requests to storage at the same time."""

import contextvars
import functools
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


class Together:
    """Runs calls at the same time, in a bounded number of threads.

    A call that runs in one of these threads must not use the same `Together`: calls that wait for each other could occupy all
    threads.
    """

    def __init__(self, threads: int):
        # The pool starts its threads on first use, so after the server has forked its workers.
        self._pool = ThreadPoolExecutor(threads, 'storage')

    def start(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a call and return its future. The call sees the caller's context variables."""
        return self._pool.submit(contextvars.copy_context().run, call, *arguments)

    def all(self, *calls: Callable[[], Any]) -> list[Any]:
        """Return the results of calls without arguments, in their order.

        The first call runs in the caller's thread. Returns, or raises the first error, only when all calls have ended.
        """
        if not calls:
            return []
        futures = [self.start(call) for call in calls[1:]]
        try:
            first = calls[0]()
        finally:
            for future in futures:
                future.exception()  # waits, so that no call is still running when an error is raised
        return [first] + [future.result() for future in futures]

    def map(self, call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[call(item) for item in items]`. The calls run at the same time."""
        return self.all(*[functools.partial(call, item) for item in items])
