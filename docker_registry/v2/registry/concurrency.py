"""Sends independent requests to storage at the same time, and one request for all that need the same answer."""

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

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


class CommonCall(Generic[Result]):
    """A call whose outcome all share that ask for it while it runs. It runs in a thread of its own, once at a time.

    :param seconds: time for which an outcome, be it a result or an error, is good for those who ask after it
    """

    def __init__(self, call: Callable[[], Result], seconds: float = 0):
        self._call, self._seconds = call, seconds
        self._lock = threading.Lock()
        self._future: Future[Result] | None = None
        self._good_until = 0.0

    def result(self, timeout: float | None = None) -> Result:
        """Return the call's result, or raise its error.

        :raises concurrent.futures.TimeoutError: there is none after `timeout` seconds. The call goes on.
        """
        return self._joined().result(timeout)

    def _joined(self) -> Future[Result]:
        with self._lock:
            if self._future is None or self._future.done() and time.monotonic() >= self._good_until:
                future: Future[Result] = Future()
                # A daemon: a pool's threads would hold up the end of the process.
                threading.Thread(target=contextvars.copy_context().run, args=(self._run, future), daemon=True).start()
                self._future = future
            return self._future

    def _run(self, future: Future[Result]) -> None:
        try:
            result = self._call()
        except BaseException as error:
            self._remember()
            future.set_exception(error)
        else:
            self._remember()
            future.set_result(result)

    def _remember(self) -> None:
        self._good_until = time.monotonic() + self._seconds
