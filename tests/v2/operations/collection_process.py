"""Runs of the collection as processes that can be killed, their clock, and samples of the cases in which that may happen."""

import contextlib
import os
import random
import threading
import time

from docker_registry.v2.operations.collection import run
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.progress import Progress


class Clock:
    """The clock of all: Swift, registries and collections. `ahead` is in seconds."""

    def __init__(self, patch):
        now = time.time
        self.ahead = 0
        patch.setattr(time, 'time', lambda: now() + self.ahead)


class Killed(BaseException):
    """Ends a run as if its process had been killed."""


class Process:
    """A run of the collection, as a process of its own that can be killed.

    :param storage: nobody else uses it
    :param at: {number: function}: called after so many requests to Swift, before the next one
    :param kill: the run is killed after so many requests
    """

    def __init__(self, storage, at=None, kill=None):
        self.storage, self.requests, self.is_dead = storage, 0, False
        self._at, self._kill, self._lock = dict(at or {}), kill, threading.RLock()
        send = storage._swift._send

        def gate(*arguments):
            self._before_request()
            return send(*arguments)

        storage._swift._send = gate

    def _before_request(self):
        with self._lock:
            if self.is_dead or self.requests == self._kill:
                self.die()
            for number in [number for number in self._at if number <= self.requests]:
                self._at.pop(number)()
            if self.is_dead:
                self.die()
            self.requests += 1

    def die(self):
        self.is_dead = True
        raise Killed()

    def collect(self, bounds=None, **options):
        """Run, and return the report, or None if the run was killed."""
        options = dict({'threads': 1, 'force': True}, **options)
        try:
            return run.collect(self.storage, run.Options(bounds or Bounds(), **options), None, Progress(None))
        except Killed:
            return None


# Cases, of which there are too many to try all each time


def sample(what, cases, count):
    """Return some of many cases: `count` of them, or what COLLECTION_CASES says. COLLECTION_SEED chooses others."""
    wanted, seed = os.environ.get('COLLECTION_CASES', str(count)), os.environ.get('COLLECTION_SEED', '1')
    chosen = cases if wanted == 'all' or int(wanted) >= len(cases) else random.Random(seed).sample(cases, int(wanted))
    print(f'{what}: {len(chosen)} of {len(cases)} cases, COLLECTION_SEED={seed}')
    return chosen


@contextlib.contextmanager
def case(**what):
    """Say in which case a test has failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f'in the case {what}') if hasattr(error, 'add_note') else print('in the case', what)
        raise
