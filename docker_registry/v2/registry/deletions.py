"""Which manifests were deleted from a repository, and when.

A DELETE of a manifest finds its tags by a listing, and a listing may be late. A tag that it did not find must not come back when
somebody pushes the same manifest again, under another tag. So the DELETE leaves a note, and a tag ends with the deletion of its
manifest, whether it was found or not.
"""

import time
from collections.abc import Container

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout, listing
from docker_registry.v2.registry.absence import Absence
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent
from docker_registry.v2.registry.storage import Stat, Storage

REMEMBERED_SECONDS = 3600  # for this long a process remembers that a link was not written after a deletion


class Deletions:
    """The deletions of manifests from all repositories in one storage. All times are Swift's own.

    :param replication_cycle: seconds, after which every listing shows what was written
    """

    def __init__(self, storage: Storage, together: Together, absence: Absence, replication_cycle: float):
        self._storage = storage
        self._together = together
        self._absence = absence
        self._replication_cycle = replication_cycle
        self._undeleted = Recent(REMEMBERED_SECONDS)

    def record(self, repository: str, digest: Digest) -> None:
        """Note that the manifest is deleted now. The caller then deletes its link."""
        self._storage.replace(layout.deletion(repository, digest), str(digest).encode())

    def forget(self, repository: str, digest: Digest) -> None:
        """Take back a note. The caller then writes the link again."""
        self._storage.discard(layout.deletion(repository, digest))

    def times(self, repository: str) -> dict[Digest, float]:
        """Return when each manifest was last deleted, in seconds since the epoch, as far as a listing shows it."""
        stats = listing.below(self._storage, layout.deleted(repository))
        return {layout.digest_of(stat.path): stat.last_modified or 0 for stat in stats}

    def link(self, repository: str, digest: Digest, deleted: float) -> Stat | None:
        """Return the link of a manifest that was deleted at this time, or None if nobody has pushed it since.

        :raises Unavailable: somebody may have
        """
        path = layout.revision_link(repository, digest)
        link = self._stat(path)
        if link is None:
            self._absence.confirm(path, lambda written: deleted > written)
        return link

    def is_since(self, repository: str, digest: Digest, written: float) -> bool:
        """Return whether the manifest was deleted after a time."""
        return self._time(repository, digest) > written

    def ended_before(self, repository: str, digest: Digest, written: float, link: Stat) -> bool:
        """`ended`, for a manifest whose link is there. It costs no request unless the link is newer than the tag.

        :raises Unavailable: storage lists a note of the deletion, and cannot find it
        """
        key = repository, digest, link.last_modified
        if (link.last_modified or 0) <= written or key in self._undeleted:
            return False
        deleted = self._time(repository, digest)
        if not deleted:
            self._absence.confirm(layout.deletion(repository, digest))
            self._undeleted.add(key)
        return ended(written, deleted, link)

    def expire(self, repository: str, pointers: Container[str | None]) -> None:
        """Drop the notes that are older than any listing can be late, except of manifests that a tag points to.

        :param pointers: the ETags of what the tags contain
        """
        oldest = time.time() - self._replication_cycle
        old = [digest for digest, deleted in self.times(repository).items() if deleted < oldest and digest.etag not in pointers]
        self._together.map(lambda digest: self._storage.discard(layout.deletion(repository, digest)), old)

    def _time(self, repository: str, digest: Digest) -> float:
        deletion = self._stat(layout.deletion(repository, digest))
        return deletion.last_modified or 0 if deletion else 0

    def _stat(self, path: str) -> Stat | None:
        try:
            return self._storage.stat(path)
        except exceptions.FileNotFoundError:
            return None


def ended(written: float, deleted: float, link: Stat | None) -> bool:
    """Return whether a tag has ended: if the link of its manifest is gone, or has come back after a deletion that came after the tag.

    :param written: when the tag was written
    :param deleted: when the manifest was deleted
    """
    return link is None or deleted > written and (link.last_modified or 0) > deleted
