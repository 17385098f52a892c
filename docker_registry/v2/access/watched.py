"""Files that an operator writes, which are read again when they change."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

SETTLED_SECONDS = 1  # a file that changed more recently may be half written, because editors and htpasswd write in place

Content = TypeVar('Content', bound=Sized)


class Broken(Exception):
    """The file cannot be used. The text says why, and in which line."""


class Unreadable(Broken):
    """The system does not give the file, maybe only at the moment."""


class File(Generic[Content]):
    """A file that is read again when it changes.

    :param read: returns the content of the file with a path, or raises `Broken`
    :param entries: what the content consists of, for the log
    :param consequence: what it means that the file cannot be used, for the log
    :raises Broken: the file cannot be used now
    """

    def __init__(self, path: str, read: Callable[[str], Content], entries: str, consequence: str):
        self._path, self._read, self._entries, self._consequence = path, read, entries, consequence
        self._lock = threading.Lock()
        self._trouble = ''  # what the log has said last
        self._stamp = self._stamp_of_file()
        self._content: Content | None = read(path)

    def current(self) -> Content:
        """Return the content of the file as it is now. While the file is being written, it is the content from before.

        :raises Broken: the file cannot be used
        """
        with self._lock:
            stamp = self._stamp_of_file()
            if stamp != self._stamp and not 0 <= time.time() - stamp[0] / 1e9 < SETTLED_SECONDS:
                self._stamp, self._content = stamp, None
                try:
                    self._content = self._read(self._path)
                    self._trouble = ''
                    logger.info('%s has changed and was read again: %d %s', self._path, len(self._content), self._entries)
                except Broken as error:
                    if isinstance(error, Unreadable):
                        self._stamp = ()  # so the next question tries again: perhaps too many files were open
                    if str(error) != self._trouble:
                        logger.error('%s: %s', self._consequence, error)
                    self._trouble = str(error)
            if self._content is None:
                raise Broken(f'{self._path} cannot be used')
            return self._content

    def _stamp_of_file(self) -> tuple[int, ...]:
        """Return what every change of the file changes. The size is not in it: a file that is being truncated already has size 0, but for
        some milliseconds the times from before, so it would seem to be settled.
        """
        try:
            found = os.stat(self._path)
        except OSError:
            return (0,)  # `read` raises an error that says why
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino
