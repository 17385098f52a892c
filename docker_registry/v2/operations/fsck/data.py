"""Compares the data of blobs with what manifests say of them, without reading them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.looks import Looks, etag_of, finding_out
from docker_registry.v2.operations.fsck.segments import MOST, Segments
from docker_registry.v2.registry import damage, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat
from docker_registry.v2.registry.trash import BROKEN, DYNAMIC, PLAIN, STATIC, Segment


@dataclass
class Verdict:
    """What is wrong with the data of a blob.

    :param stat: what was looked at
    :param kind: see `trash.Record`
    :param parts: the segments that are there now
    :param whole: segments that may be the whole blob, to be proved by their hash
    :param names: all segments of a static large object, also those that are missing
    :param prefix: that of the segments of a dynamic one
    """

    digest: Digest
    damage: str
    what: str
    stat: Stat
    kind: str
    parts: Sequence[Segment] = ()
    whole: Sequence[Segment] = ()
    size: int | None = None  # bytes, as the manifests say
    names: Sequence[str] = ()
    prefix: str = ''


class Data:
    """The data of all blobs that are in use."""

    def __init__(self, storage: Any, facts: Facts, looks: Looks, segments: Segments, container: str):
        self._storage = storage
        self._facts = facts
        self._looks = looks
        self._segments = segments
        self._prefix = container + '/'

    def in_use(self) -> Iterator[Digest]:
        """Yield the digest of all stored data that a link or a manifest in the repositories names, in order.

        A repair writes a missing link if the data are there. So they have to be right, too.
        """
        yield from self._facts.digests(
            'SELECT digest FROM blob WHERE EXISTS (SELECT 1 FROM layer WHERE layer.digest = blob.digest AND repository IN scope) OR '
            'EXISTS (SELECT 1 FROM revision WHERE revision.digest = blob.digest AND repository IN scope) OR '
            'EXISTS (SELECT 1 FROM reference JOIN revision ON revision.digest = manifest '
            'WHERE reference.digest = blob.digest AND repository IN scope) ORDER BY digest'
        )

    def size(self, digest: Digest) -> int | None:
        """Return the size of a blob, in bytes, if all manifests agree on it."""
        rows = self._facts.ask(
            'SELECT DISTINCT size FROM reference JOIN revision ON revision.digest = manifest WHERE reference.digest = ? AND size > 0',
            str(digest),
        )
        sizes = {size for (size,) in rows}
        if len(sizes) > 1:
            sizes = self._facts.stated_sizes(digest)
        return sizes.pop() if len(sizes) == 1 else None

    def _may_have(self, digest: Digest, size: int | None) -> bool:
        """Return whether a blob may be so large, as far as manifests say."""
        if size is None or (size == 0 and digest.is_of_nothing) or self.size(digest) == size:
            return True
        stated = self._facts.stated_sizes(digest)
        return size in stated or (not stated and size > 0)

    def wrong(self, digest: Digest) -> Verdict | None:
        """Return the verdict for data that were read and do not have their digest. None if they are missing now.

        :raises NotKnown: Swift could not be asked
        """
        stat = self._looks.stat(layout.blob(digest))
        if stat is None:
            return None
        with finding_out():
            large = self._storage.large_object(layout.blob(digest))
        names, prefix = _segments_in(large.names), ''
        if large.kind == DYNAMIC and large.prefix.startswith(self._prefix):
            prefix = large.prefix[len(self._prefix) :]
        parts = self._segments.below(prefix) if prefix else [part for part in self._segments.found(names) if part]
        what = f'the bytes of {digest} are not those of its digest'
        return Verdict(digest, findings.BYTES, what, stat, large.kind, parts, size=self.size(digest), names=names, prefix=prefix)

    def verdict(self, digest: Digest, stat: Stat) -> Verdict | None:
        """Return what is wrong with the data of a blob as far as it can be known without reading them.

        :param stat: the object as it is now
        :raises NotKnown: Swift could not be asked
        """
        if not damage.is_possible(stat):
            return self._plain(digest, stat)
        with finding_out():
            large = self._storage.large_object(layout.blob(digest))
        if large.kind == DYNAMIC:
            return self._dynamic(digest, stat, large.prefix)
        return self._static(digest, stat, large.names) if large.kind == STATIC else self._plain(digest, stat)

    def _plain(self, digest: Digest, stat: Stat) -> Verdict | None:
        return None if self._may_have(digest, stat.size) else self._wrong_size(digest, stat, PLAIN)

    def _wrong_size(self, digest: Digest, stat: Stat, kind: str, parts: Sequence[Segment] = ()) -> Verdict:
        expected = self.size(digest)
        what = f'{digest} has {stat.size} bytes instead of {expected or "those that manifests state"}'
        return Verdict(digest, findings.SIZE, what, stat, kind, parts, size=expected)

    def _static(self, digest: Digest, stat: Stat, names: Sequence[str]) -> Verdict | None:
        names = _segments_in(names)
        parts = self._segments.found(names)
        there = [part for part in parts if part]
        if not _agree(parts, stat):
            lost = [name for name, part in zip(names, parts) if part is None]
            what = f'{digest} lost {len(lost)} of {len(names)} segments ({lost[0]})' if lost else f'segments of {digest} have changed'
            whole = self._segments.moved(names, stat.etag) or ()
            whole = whole or ([] if lost else there)
            kind = BROKEN if lost else STATIC
            return Verdict(digest, findings.SEGMENTS, what, stat, kind, there, whole, self.size(digest) or stat.size, names)
        size = sum(part.size for part in there)
        return None if self._may_have(digest, size) else self._wrong_size(digest, stat, STATIC, there)

    def _dynamic(self, digest: Digest, stat: Stat, prefix: str) -> Verdict | None:
        """Ask for all segments by name: what Swift serves is made of a listing, which may be late."""
        if not prefix.startswith(self._prefix):
            return self._plain(digest, stat)  # its segments are in another container, which only Swift looks into
        below = prefix[len(self._prefix) :]
        parts = self._segments.below(below)
        size, expected = sum(part.size for part in parts), self.size(digest)
        if (expected is not None and size != expected) or (size == 0 and not digest.is_of_nothing):
            what = f'{digest} has {size} bytes instead of {expected or "more"}: it lost segments below {prefix}'
            return Verdict(digest, findings.SHORT, what, stat, DYNAMIC, parts, size=expected, prefix=below)
        if not self._segments.can_be_composed(parts):
            what = f'{digest} is a dynamic large object of {len(parts)} segments, and cannot be made static: '
            what += f'Swift allows {MOST} segments' if len(parts) > MOST else 'Ceph would not tell of which segments it consists'
            return Verdict(digest, findings.DYNAMIC, what, stat, DYNAMIC, parts, size=size)
        if stat.size != size:
            what = f'Swift serves {stat.size} of the {size} bytes of {digest}: a listing of its segments is late'
            return Verdict(digest, findings.SHORT, what, stat, DYNAMIC, parts, parts, size, prefix=below)
        what = f'{digest} is a dynamic large object. It is whole, but becomes shorter without an error if Swift loses a segment'
        return Verdict(digest, findings.DYNAMIC, what, stat, DYNAMIC, parts, parts, size, prefix=below)


def _segments_in(names: Sequence[str]) -> list[str]:
    """Return the names of segments without that of the list of them, which the driver keeps on Ceph."""
    return [name for name in names if not name.endswith('/list')]


def _agree(parts: Sequence[Segment | None], stat: Stat) -> bool:
    """Return whether segments are those of a static large object: its ETag is made of theirs."""
    there = [part for part in parts if part]
    return len(there) == len(parts) and etag_of([part.etag for part in there]) == (stat.etag or '').strip('"')
