"""The folder in which the processes of one registry keep their metrics: files in memory that prometheus-client maps.

A worker counts in the files of its place, a number from 0 on. When it dies, the next worker takes its place and counts on. So counters
never go back, and the number of files depends on the number of workers that run at a time, however many have died.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
import time

MEMORY = '/dev/shm'  # writable even if the root file system is read-only
PREFIX = 'registry-swift-metrics-'
#: Bytes of each file that prometheus-client has in a place: more than it needs if clients send every method to every route.
ROOM = {'counter': 512 * 1024, 'histogram': 512 * 1024, 'summary': 4096, 'gauge_livesum': 16 * 1024}
ROOM_OF_REPOSITORY = 2560  # bytes more in the file of counters, for a name of 255 characters
ASKED_SECONDS = 300  # for which somebody counts as interested after a request for metrics
NOTHING_USED = bytes(8)  # how a file of prometheus-client begins that has nothing in it
FIRST = 'first'  # the place of the first process, which counts nothing


class Folder:
    """A new folder. It is locked as long as one of the registry's processes lives.

    :param repositories: so many names a worker may count for
    :raises OSError: it cannot be made
    """

    def __init__(self, repositories=0):
        self._room = ROOM | {'counter': ROOM['counter'] + repositories * ROOM_OF_REPOSITORY}
        parent = MEMORY if os.access(MEMORY, os.W_OK) else tempfile.gettempdir()
        _remove_left(parent)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        try:
            self._begin()
        except OSError:
            self.remove()
            raise

    def _begin(self):
        self._lock = os.open(self._file('lock.new'), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.rename(self._file('lock.new'), self._file('lock'))  # whoever finds it finds it locked
        self.make_room(FIRST)

    def _file(self, name):
        return os.path.join(self.path, name)

    def file(self, kind, place):
        """Return the name of a file of prometheus-client."""
        return self._file(f'{kind}_{place}.db')

    def make_room(self, place):
        """Make the files of a place as large as they will be. In a full file system, a write to a mapped file would end the process.

        :raises OSError: there is no room
        """
        for kind, room in (ROOM if place == FIRST else self._room).items():
            name = self.file(kind, place)
            if os.path.exists(name):
                continue
            file = os.open(name + '.new', os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(file, 0, room)
            finally:
                os.close(file)
            os.rename(name + '.new', name)  # prometheus-client cannot read an empty file

    def forget_gauges(self, place):
        """Empty the file that says how much of something the worker of a place had when it died. It keeps its room."""
        with contextlib.suppress(FileNotFoundError), open(self.file('gauge_livesum', place), 'r+b') as file:
            file.write(NOTHING_USED)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_left(parent):
    """Remove the folders of registries that were killed, so that nobody could do that."""
    for path in glob.glob(os.path.join(parent, PREFIX + '*')):
        with contextlib.suppress(OSError):  # of somebody else, or just being made or removed
            lock = os.open(os.path.join(path, 'lock'), os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


# What the processes tell each other


def ask(path):
    """Say that somebody wants to see metrics."""
    with open(os.path.join(path, 'asked'), 'w'):
        pass


def is_asked(path):
    return _age(path, 'asked') < ASKED_SECONDS


def _age(path, name):
    try:
        return time.time() - os.stat(os.path.join(path, name)).st_mtime
    except FileNotFoundError:
        return float('inf')


@contextlib.contextmanager
def turn(path, seconds):
    """Give whether this process is the one whose turn it is: one of all processes, once in so many seconds. It has it for the block."""
    lock = os.open(os.path.join(path, 'turn'), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_due = _age(path, 'taken') >= seconds
        if is_due:
            with open(os.path.join(path, 'taken'), 'w'):
                pass
    except OSError:
        is_due = False
    try:
        yield is_due
    finally:
        os.close(lock)
