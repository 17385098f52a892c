"""The requests to Swift that one request of a client causes, in all threads: how many, how long, and which of them failed.

The storage driver calls the functions here in the context of the client's request.
"""

import contextlib
import contextvars
import secrets
import threading

MOST_FAILURES = 10  # that one line of the log names

_current = contextvars.ContextVar('trace', default=None)


def new_id():
    """Return an id for a request that brings none."""
    return secrets.token_hex(8)


class Trace:
    """What a client's request costs in Swift.

    :ivar id: the id of the client's request
    :ivar count: requests to Swift, and logins
    :ivar seconds: the sum of the times after which Swift responded. Requests at the same time count each
    :ivar failures: the errors of the first requests that failed, also if they were sent again and then succeeded
    """

    def __init__(self, request_id):
        self.id, self.count, self.seconds, self.failures = request_id, 0, 0.0, []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def current(self):
        """Count what happens within."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def add(self, seconds):
        with self._lock:
            self.count += 1
            self.seconds += seconds

    def fail(self, error):
        with self._lock:
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(error)


def watch(storage):
    """Let the driver tell of its requests, and send the id of the client's request to Swift."""
    storage.on_request, storage.on_failure, storage.request_id = count, fail, current_id


def count(method, status, seconds):
    if trace := _current.get():
        trace.add(seconds)


def spent():
    """Return how many requests to Swift the client's request has caused so far."""
    trace = _current.get()
    return trace.count if trace else 0


def fail(error):
    if trace := _current.get():
        trace.fail(error)


def current_id():
    """Return the id of the client's request that is being worked on, or None."""
    trace = _current.get()
    return trace and trace.id
