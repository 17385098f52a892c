"""Which blobs a check has read, and when: so that a check that was interrupted goes on, and the next one need not read all again.

It lies in the container, in a small object for each two digits that a digest can begin with. So a check that runs in a new pod or on
another machine goes on where the last one ended. Losing it costs time only.
"""

import json
import logging
import time
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat

logger = logging.getLogger(__name__)

SAVED_SECONDS = 60  # how often it is written; what was read since is read again after a crash


class Remembered:
    """:param good_for: seconds; a blob that was read before that is read again. 0 reads all"""

    def __init__(self, storage: Any, good_for: float):
        self._storage = storage
        self._good_for = good_for
        self._digits = ''
        self._read: dict[str, list] = {}  # digest: [when, what the object looked like]
        self._saved, self._changed = time.monotonic(), False

    def has(self, digest: Digest, stat: Stat) -> bool:
        """Return whether this very object was read not long ago, and was right. Ask in the order of the digests."""
        self._turn_to(digest.hex[:2])
        when, looked = self._read.get(str(digest), (0, None))
        return looked == _looks(stat) and time.time() - when < self._good_for

    def add(self, digest: Digest, stat: Stat) -> None:
        self._turn_to(digest.hex[:2])
        self._read[str(digest)] = [int(time.time()), _looks(stat)]
        self._changed = True
        if time.monotonic() - self._saved > SAVED_SECONDS:
            self.save()

    def save(self) -> None:
        """Write what was read. If that fails, the next check reads more than it would have to."""
        if self._changed:
            try:
                self._storage.replace(layout.read_blobs(self._digits), json.dumps(self._read).encode())
            except exceptions.UnspecifiedError as error:
                logger.warning('which blobs were read is not noted: %s', error)
        self._saved, self._changed = time.monotonic(), False

    def _turn_to(self, digits: str) -> None:
        if digits == self._digits:
            return
        self.save()
        self._digits = digits
        try:
            read = json.loads(self._storage.get_content(layout.read_blobs(digits), newest=True))
        except (exceptions.UnspecifiedError, ValueError):  # also if there is none
            read = {}
        entries = read.items() if isinstance(read, dict) else ()
        self._read = {key: entry for key, entry in entries if _is_entry(entry) and time.time() - entry[0] < self._good_for}


def _is_entry(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], (int, float))


def _looks(stat: Stat) -> str:
    return f'{stat.etag} {stat.size} {stat.last_modified}'
