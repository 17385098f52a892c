"""Repairs the data of blobs: from their segments, from the trash, or from another registry. A hash proves every repair.

What has other bytes than its digest, and cannot be repaired, is put aside, so that clients find it missing and push it again. Swift cannot
delete on a condition. So the object is looked at again just before, and what is deleted is kept below `_lost`.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.fsck import findings, lost
from docker_registry.v2.operations.fsck.data import Verdict
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown, finding_out
from docker_registry.v2.operations.fsck.reading import Reader
from docker_registry.v2.operations.fsck.segments import Segments
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.trash import DYNAMIC, PLAIN, Segment, Trash

logger = logging.getLogger(__name__)

#: Fetches a blob from another registry, stores it, and returns whether it did.
Fetch = Callable[[Digest, Iterable[str]], bool]


class Healing:
    """Repairs of data.

    :param fetch: None if there is no other registry
    """

    def __init__(self, storage: Any, looks: Looks, segments: Segments, reader: Reader, fetch: Fetch | None = None):
        self._storage = storage
        self._looks = looks
        self._segments = segments
        self._reader = reader
        self._fetch = fetch
        self._trash = Trash(storage)

    # Data that are missing

    def bring_back(self, digest: Digest, size: int | None, repositories: Iterable[str]) -> str:
        """Store the data of a blob that are missing. Return what they were made of, or '' if they are still missing.

        :param size: bytes, if known: then segments are searched
        :param repositories: where another registry may have it
        :raises NotKnown: Swift could not be asked
        """
        with finding_out():
            if self._trash.restore_data(digest):
                return 'put back from the trash'
            put_aside = lost.read(self._storage, digest)
        if put_aside and self._made_of_what_came_back(digest, put_aside):
            return 'made of its segments, which have come back'
        for parts in self._segments.of_size(size) if size else ():
            if self._reader.is_made_of(digest, parts) and self._compose(digest, parts, new=True):
                return 'made of segments that had no object'
        with finding_out():
            return 'fetched from the other registry' if self._fetch and self._fetch(digest, repositories) else ''

    def _made_of_what_came_back(self, digest: Digest, put_aside: lost.Lost) -> bool:
        found = self._segments.below(put_aside.prefix) if put_aside.prefix else self._segments.found(put_aside.names)
        parts = [part for part in found if part]
        if len(parts) < len(found) or not self._segments.can_be_composed(parts) or not self._reader.is_made_of(digest, parts):
            return False
        if not self._compose(digest, parts, new=True):
            return False
        with finding_out():
            lost.forget(self._storage, digest)
        return True

    def _compose(self, digest: Digest, parts: list[Segment], new: bool = False) -> bool:
        """Return whether the data are made of these parts now, or of what somebody else has stored meanwhile."""
        with finding_out():
            try:
                self._segments.compose(digest, parts, new)
            except exceptions.FileNotFoundError:
                return False
        return True

    # Data that are damaged

    def is_condemned(self, verdict: Verdict) -> bool:
        """Return whether the bytes under a digest are not its own, so that nobody loses anything if they are put aside.

        :raises NotKnown: Swift did not return them
        """
        if verdict.damage == findings.SEGMENTS and len(verdict.whole) != len(verdict.parts):
            return True  # a segment is missing: Swift returns an error instead of the bytes
        if verdict.damage in (findings.SEGMENTS, findings.SHORT):
            return not self._reader.is_made_of(verdict.digest, verdict.parts)
        read = self._reader.blob(verdict.digest)
        return read is not None and not read.is_right

    def repair(self, verdict: Verdict, repositories: Iterable[str]) -> str:
        """Repair the data of a blob. Return how, or '' if it is still damaged. Then it has been put aside.

        A dynamic large object is read for this. If its bytes are wrong, the verdict says so afterwards.

        :raises NotKnown: Swift could not be asked, or somebody else has stored the blob meanwhile
        """
        for parts in self._candidates(verdict):
            if self._reader.is_made_of(verdict.digest, parts):
                return self._replace(verdict, parts)
        if verdict.damage == findings.DYNAMIC and not verdict.whole:
            return ''
        if verdict.damage == findings.DYNAMIC:
            verdict.damage, verdict.what = findings.BYTES, f'the bytes of {verdict.digest} are not those of its digest'
        if not self.is_condemned(verdict):
            return ''
        self.put_aside(verdict)
        return self.bring_back(verdict.digest, None, repositories)

    def _candidates(self, verdict: Verdict) -> Iterable[list[Segment]]:
        if verdict.whole:
            yield list(verdict.whole)
        if verdict.size and verdict.damage != findings.DYNAMIC:
            yield from self._segments.of_size(verdict.size)

    def _replace(self, verdict: Verdict, parts: list[Segment]) -> str:
        self._require_unchanged(verdict)
        if not self._compose(verdict.digest, parts):
            raise NotKnown(f'a segment of {verdict.digest} went away during the repair')
        return 'it is a static large object now' if verdict.kind == DYNAMIC else 'made of its segments again'

    def put_aside(self, verdict: Verdict) -> None:
        """Delete the data of a blob. What they were stays below `_lost`: a copy of a plain object, or the names of the segments.

        :raises NotKnown: see `repair`
        """
        path = layout.blob(verdict.digest)
        with finding_out():
            if verdict.kind == PLAIN:
                self._storage.copy(path, layout.lost_copy(verdict.digest))
            lost.write(self._storage, verdict)
        self._require_unchanged(verdict)
        with finding_out():
            self._storage.discard(path)
        logger.warning('%s; put aside to %s', verdict.what, layout.lost_record(verdict.digest))

    def _require_unchanged(self, verdict: Verdict) -> None:
        if not self._looks.is_unchanged(layout.blob(verdict.digest), verdict.stat):
            raise NotKnown(f'somebody has stored {verdict.digest} again during the check')
