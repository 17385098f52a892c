"""The lock: one collection at a time, and no repair beside it. It is an object in the container, which a thread writes again and again.

If two collections ran at the same time, one could remove the record with which the other would have to put something back.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid

from docker_registry.core import exceptions
from docker_registry.v2.operations import duration
from docker_registry.v2.operations.collection.problems import Locked, Problem
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.storage import Storage

logger = logging.getLogger(__name__)

RENEWED = 240  # seconds between two writes of the lock
RETRIED = 20  # seconds after which a write that failed is tried again
TRUSTED = 600  # seconds after the last write for which its holder goes on
STALE = 12 * 3600  # seconds after the last write after which another collection takes the lock
ENDED = 900  # the same, if its process runs no more: its last requests may still arrive
SETTLED = 2.0  # seconds in which two that write a new lock at the same moment have both written: Swift may accept both
PROMPT = 1.5  # seconds; less than `SETTLED`, so that two that take over a left lock promptly both see who was last


class Lock:
    """The lock of a container, as a context manager.

    :param take: take the lock, whoever has it
    :param stays: whether it stays after a failure: a request that has failed here may still arrive in Swift
    """

    def __init__(self, storage: Storage, take: bool = False, stays: bool = True):
        self._storage, self._take, self._stays = storage, take, stays
        self._content = b''
        self._written = 0.0  # by our own clock
        self._ahead = 0.0  # seconds that Swift's clock is ahead of ours
        self._ended, self._lost = threading.Event(), ''
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.run = ''
        self.was_left = False  # by a collection that did not come to its end

    def __enter__(self) -> 'Lock':
        self.run = uuid.uuid4().hex[:8]
        self._content = json.dumps({'run': self.run, 'at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), **_process()}).encode()
        began = _elapsed()
        is_new = self._storage.put_new(layout.LOCK, self._content)
        if not is_new:
            self._take_over()
        self._written = _elapsed()
        self._ahead = self._storage.clock() - self._written
        # A slow one may have overwritten the lock of one that has confirmed it. That one stops when it renews it, or cannot.
        time.sleep(SETTLED if is_new or self._written - began < PROMPT else TRUSTED)
        self._confirm()
        self.run = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self.now())) + '-' + self.run
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        """Remove the lock, unless it is to stay."""
        self._ended.set()
        self._thread.join()
        if self._stays and kind is not None and not issubclass(kind, Problem):
            return
        try:
            if self._storage.get_content(layout.LOCK, newest=True) == self._content:
                self._storage.discard(layout.LOCK)
        except exceptions.FileNotFoundError:
            pass

    def _take_over(self) -> None:
        self.was_left = True
        try:
            content, stat = self._storage.get_object(layout.LOCK, newest=True)
        except exceptions.FileNotFoundError:
            content, stat = b'', None
        if stat and not self._take:
            left = (ENDED if _has_ended(content) else STALE) - (self._storage.clock() - (stat.last_modified or 0))
            if left > 0:
                raise Locked(
                    f'another collection has the lock: {_named(content)}. If that one has ended without removing it, run this again in '
                    f'{duration.roughly(left)}, or with --take-lock if it has ended minutes ago for certain'
                )
        self._storage.replace(layout.LOCK, self._content)

    def _confirm(self) -> None:
        """:raises Locked: somebody else has written the lock since"""
        try:
            content = self._storage.get_content(layout.LOCK, newest=True)
        except exceptions.FileNotFoundError:
            content = b''
        if content != self._content:
            raise Locked(f'another collection has taken the lock: {_named(content)}. This one has stopped; run it again later')

    def now(self) -> float:
        """Return the time by Swift's clock, in seconds since the epoch."""
        return self._ahead + _elapsed()

    def check(self) -> None:
        """Call this before each deletion. It costs no request.

        :raises Locked: another collection may have the lock meanwhile, because Swift did not answer, or this process has slept for long
        """
        if self._lost:
            raise Locked(self._lost)
        age = _elapsed() - self._written
        if age > TRUSTED:
            raise Locked(f'this collection has not renewed its lock for {age:.0f} seconds, and has stopped; run it again')

    def _keep(self) -> None:
        """Write the lock again and again while this process runs, also while it only reads. A lock that is lost is not taken again."""
        wait: float = RENEWED
        while not self._ended.wait(wait):
            started, wait = _elapsed(), RENEWED
            try:
                self._confirm()
                if started - self._written > TRUSTED:
                    return  # `check` says so
                self._storage.replace(layout.LOCK, self._content)
                self._written = started
            except Locked as problem:
                self._lost = str(problem)
                return
            except exceptions.UnspecifiedError as error:
                logger.warning('the lock of this collection could not be renewed: %s', error)
                wait = RETRIED


def _elapsed() -> float:
    """Seconds that have passed. Unlike time.monotonic, it counts those in which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, 'CLOCK_BOOTTIME') else time.time()


def _process() -> dict[str, str]:
    return {'host': socket.gethostname(), 'process': f'{os.getpid()} {_started(os.getpid())}', 'machine': _machine()}


def _has_ended(content: bytes) -> bool:
    """Return whether the lock is of a process of this machine, by its boot and its namespace of processes, that runs no more."""
    try:
        holder = json.loads(content)
        pid, _, started = holder['process'].partition(' ')
        return bool(holder['machine']) and holder['machine'] == _machine() and _started(int(pid)) != started
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _machine() -> str:
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            return file.read().strip() + ' ' + os.readlink('/proc/self/ns/pid')
    except OSError:  # not on Linux
        return ''


def _started(pid: int) -> str:
    """Return when a process started, in ticks since the boot; '' if there is no such process."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        return ''


def _named(content: bytes) -> str:
    try:
        holder = json.loads(content)
        return f'run {holder["run"]} on {holder["host"]}, process {holder["process"].partition(" ")[0]}'
    except (ValueError, KeyError, TypeError, AttributeError):
        return 'of an unknown process' if content else 'which has just ended'
