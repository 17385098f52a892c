"""Looks for the segments of large objects, and for other segments with the same bytes."""

import itertools
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from docker_registry.v2.operations.fsck.looks import Looks, etag_of, finding_out
from docker_registry.v2.registry import layout, listing
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.trash import Segment

NUMBERED = re.compile(r'(.*/)(\d{16})$', re.ASCII)  # CNCF distribution's segments, which begin at 1
#: Names of segments in both tables. Lists of parts lie beside ours.
TABLES = """
(SELECT name, upload, size, etag FROM segment WHERE name GLOB '*/[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'
UNION ALL SELECT name, NULL, size, etag FROM foreign_segment)
"""
MOST = 1000  # segments that Swift allows in one static large object
LOOKED_AHEAD = 2  # numbers after the last known segment that are asked for by name: a listing may lack the newest


class Segments:
    """The segments in a container. All paths of segments are from the container's root.

    :param storage: the registry's driver, and `container` the same at the container's root
    :param root: the registry's root in the container
    """

    def __init__(self, storage: Any, container: Any, root: str, db: sqlite3.Connection, looks: Looks, together: Together):
        self._storage, self._container, self._root = storage, container, root
        self._db = db
        self._looks = looks
        self._together = together

    def found(self, names: Sequence[str]) -> list[Segment | None]:
        """Return each segment as it is now. None for one that is missing: a listing also shows what has lost its disk.

        :raises NotKnown: Swift could not be asked
        """
        return self._together.map(self._found, names)

    def _found(self, name: str) -> Segment | None:
        stat = self._looks.stat(name)
        return Segment(name, stat.size or 0, (stat.etag or '').strip('"')) if stat else None

    def below(self, prefix: str) -> list[Segment]:
        """Return the segments of a dynamic large object whose names begin with a prefix, in their order.

        A listing may lack some. So each number up to the last, and a few after it, is asked for by its name.
        """
        with finding_out():
            stats = list(listing.below(self._container, layout.folder_of(prefix)))
        found = [stat.path for stat in stats if stat.path.startswith(prefix)]
        numbers = [int(match[2]) for match in map(NUMBERED.match, found) if match]
        folder = next((match[1] for match in map(NUMBERED.match, found) if match), prefix.rstrip('/') + '/')
        listed, segments = set(found), {segment.path: segment for segment in self.found(found) if segment}
        if len(numbers) == len(found):
            for number in itertools.count(1):
                name = f'{folder}{number:016d}'
                if name not in listed and (segment := self._found(name)):
                    segments[name] = segment
                if name not in segments and number > max(numbers, default=0) + LOOKED_AHEAD:
                    break
        return [segments[name] for name in sorted(segments)]

    # Other segments with the same bytes

    def moved(self, names: Sequence[str], etag: str | None) -> list[Segment] | None:
        """Return the segments of a static large object, some of which are under another name now. Its ETag proves that they are the same.

        Looked for are one segment under any name, and any number of them under their own numbers in another folder.
        """
        known = self.found(names)
        lost = [number for number, segment in enumerate(known) if segment is None]
        for others in self._other_places(names, lost):
            candidate = [segment or others.get(number) for number, segment in enumerate(known)]
            whole = [segment for segment in candidate if segment]
            if len(whole) == len(names) and etag_of([segment.etag for segment in whole]) == (etag or '').strip('"'):
                return whole
        return None

    def _other_places(self, names: Sequence[str], lost: list[int]) -> Iterator[dict[int, Segment]]:
        """Yield {position: what may be the segment there}."""
        if not lost:
            yield {}
        if len(lost) == 1:
            for segment in self._all():
                yield {lost[0]: segment}
            return
        wanted = {names[number].rpartition('/')[2]: number for number in lost}
        for _, segments in itertools.groupby(self._all(), key=lambda segment: layout.folder_of(segment.path)):
            found = {wanted[last]: segment for segment in segments if (last := segment.path.rpartition('/')[2]) in wanted}
            if len(found) == len(lost):
                yield found

    def _all(self) -> Iterator[Segment]:
        return (Segment(*row) for row in self._db.execute(f'SELECT name, size, etag FROM {TABLES} ORDER BY name') if row[1])

    def of_size(self, size: int) -> Iterator[list[Segment]]:
        """Yield the segments of each upload that are together so large. Only a hash can tell whether they are a blob."""
        uploads = self._db.execute(
            f'SELECT upload FROM {TABLES} WHERE upload NOT NULL GROUP BY upload HAVING sum(size) = ?', (size,)
        ).fetchall()
        for (upload,) in uploads:
            rows = self._db.execute(f'SELECT name, size, etag FROM {TABLES} WHERE upload = ?', (upload,)).fetchall()
            segments = sorted((Segment(*row) for row in rows if row[1]), key=lambda segment: segment.path.rpartition('/')[2])
            if self.can_be_composed(segments):
                yield segments
        for _, group in itertools.groupby(self._all(), key=lambda segment: layout.folder_of(segment.path)):
            segments = list(group)
            if sum(segment.size for segment in segments) == size and self.can_be_composed(segments):
                yield segments

    # Writing

    def _are_own(self, parts: Sequence[Segment]) -> bool:
        own = f'{self._root}/{layout.SEGMENTS}/'.lstrip('/')
        return all(part.path.startswith(own) for part in parts)

    def can_be_composed(self, parts: Sequence[Segment]) -> bool:
        """Return whether a static large object may consist of these. Ceph does not return its segments, and the driver notes only ours."""
        return 0 < len(parts) <= MOST and (self._are_own(parts) or not self._storage.is_ceph())

    def compose(self, digest: Digest, parts: Sequence[Segment], new: bool = False) -> bool:
        """Make the data of a blob of segments that the caller has proved. No bytes move.

        :raises FileNotFoundError: one is missing now, or has changed
        """
        if self._are_own(parts):
            skipped = len(self._root) + 1 if self._root else 0
            return self._storage.compose(layout.blob(digest), [Segment(part.path[skipped:], part.size, part.etag) for part in parts], new)
        return self._container.compose(f'{self._root}/{layout.blob(digest)}'.lstrip('/'), parts, new)
