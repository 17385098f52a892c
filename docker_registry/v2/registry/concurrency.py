"""Sends independent requests to storage at the same time, and one request for all that need the same answer."""

import collections
import contextvars
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


class Together:
    """Runs calls at the same time, in a bounded number of threads that all requests share.

    One `all`, `map` or `each` has at most half of the threads at a time, and takes a new one only as one of its calls ends. So a
    request that makes thousands of calls leaves room for others.

    A call that runs in one of these threads makes its own calls itself, one after the other: calls that wait for each other could occupy
    all threads.
    """

    _is_inside: contextvars.ContextVar[bool] = contextvars.ContextVar('inside', default=False)

    def __init__(self, threads: int):
        # The pool starts its threads on first use, so after the server has forked its workers.
        self._pool = ThreadPoolExecutor(threads, 'storage')
        self._most = -(-threads // 2)

    def start(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a call and return its future. The call sees the caller's context variables."""
        if self._is_inside.get():
            return _made(call, *arguments)
        context = contextvars.copy_context()
        context.run(self._is_inside.set, True)
        return self._pool.submit(context.run, call, *arguments)

    def each(self, call: Callable[[Item], Result], items: Iterable[Item]) -> 'Flight[Result]':
        """Return an iterator over `call(item)` for each item, in their order. Use it in a `with` block."""
        return Flight(functools.partial(self.start, call), items, self._most)

    def map(self, call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `[call(item) for item in items]`. The calls run at the same time.

        All items are taken before the first call begins, so a listing that fails half-way leaves everything as it was. After an
        error no further call begins. The error is raised when the running calls have ended.
        """
        with self.each(call, list(items)) as results:
            return list(results)

    def all(self, *calls: Callable[[], Any]) -> list[Any]:
        """Return the results of calls without arguments, in their order. Errors are raised as in `map`.

        The first call runs in the caller's thread.
        """
        if not calls:
            return []
        with self.each(lambda call: call(), calls[1:]) as results:
            return [calls[0](), *results]


def _made(call: Callable[..., Result], *arguments: Any) -> Future[Result]:
    """Make a call, and return a future that has its outcome."""
    future: Future[Result] = Future()
    try:
        future.set_result(call(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


class Flight(Iterator[Result], Generic[Result]):
    """The results of calls, of which at most `most` run at a time. A new one begins when the oldest has ended and been taken.

    At the end of the `with` block no call is running, and those that have not begun never will.

    :param start: starts the call for an item, and returns its future
    """

    def __init__(self, start: Callable[[Any], Future[Result]], items: Iterable[Any], most: int):
        self._start, self._items, self._most = start, iter(items), most
        self._futures: collections.deque[Future[Result]] = collections.deque()
        self._fill()

    def _fill(self) -> None:
        for future in self._futures:
            if future.done():
                future.result()  # raises the error of a later call at once, so that no other call begins
        self._futures.extend(map(self._start, itertools.islice(self._items, self._most - len(self._futures))))

    def __next__(self) -> Result:
        if not self._futures:
            raise StopIteration
        result = self._futures[0].result()
        self._futures.popleft()
        self._fill()
        return result

    def __enter__(self) -> 'Flight[Result]':
        return self

    def __exit__(self, *exc_info: object) -> None:
        for future in self._futures:
            future.cancel()
        for future in self._futures:
            if not future.cancelled():
                future.exception()  # waits for its end


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
