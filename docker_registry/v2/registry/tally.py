"""Counts what happens, for whoever listens in this process: the metrics.

Only what no request to Swift and no status of a response tells has a place here.
"""

from collections.abc import Callable
from typing import NamedTuple


class Occurrence(NamedTuple):
    """Something that happens again and again: its kind, which is a metric without `registry_` and `_total`, and which of the kind."""

    kind: str
    outcome: str = ''


LOGIN_RIGHT = Occurrence('logins', 'right')  # a password was checked; those that a process remembers are not counted
LOGIN_WRONG = Occurrence('logins', 'wrong')
LOGIN_DELAYED = Occurrence('logins', 'delayed')  # the client must wait: too many wrong passwords, or too many logins at a time
TOKEN = Occurrence('tokens')
CACHE_HIT = Occurrence('manifest_cache_requests', 'hit')
CACHE_MISS = Occurrence('manifest_cache_requests', 'miss')
UNREADABLE_REQUEST = Occurrence('http_unreadable_requests')  # it never reached the application

_listeners: list[Callable[[Occurrence], None]] = []


def count(what: Occurrence) -> None:
    for listener in _listeners:
        listener(what)


def listen(listener: Callable[[Occurrence], None]) -> None:
    """From now on, call a function each time that something happens. It must not raise, and not wait."""
    _listeners.append(listener)


def forget(listener: Callable[[Occurrence], None]) -> None:
    """:raises ValueError: it does not listen"""
    _listeners.remove(listener)
