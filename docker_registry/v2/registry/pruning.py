"""Deletes what an operator's command has looked at before, unless somebody has written it since.

The DELETE of a client means what is there now. A command looks first, perhaps at thousands of tags, and deletes minutes later. Meanwhile
somebody may push one of them again. Swift cannot delete on a condition. So everything here looks before it deletes, looks again
afterwards, and puts back what it should not have deleted.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, listing, mentions
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.deletions import Deletions
from docker_registry.v2.registry.manifests import Manifests
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat, Storage
from docker_registry.v2.registry.tags import Listed, Tags, is_of_a_push_after

SAME = 0.01  # seconds; a HEAD and a listing may tell the time of one write with more or fewer digits


class Pointer(NamedTuple):
    """What a tag pointed to, or None if it was damaged, and when that was written."""

    digest: Digest | None
    written: float


class Pruning:
    """Deletes from all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together, tags: Tags, deletions: Deletions, manifests: Manifests):
        self._storage = storage
        self._together = together
        self._tags = tags
        self._deletions = deletions
        self._manifests = manifests

    def tag(self, repository: str, tag: str, seen: Pointer) -> bool:
        """Delete a tag, and keep its manifest. Return False if somebody has pushed or deleted the tag since it was seen.

        Before that, it notes that the manifest may be untagged from now on.
        """
        if not self._is_unchanged(repository, tag, seen):
            return False
        if seen.digest:
            self._storage.replace(layout.untagged_since(repository, seen.digest), str(seen.digest).encode())
        self._storage.discard(layout.tag_current(repository, tag))
        listed = Listed(tag)
        for stat in listing.below(self._storage, layout.tag(repository, tag)):
            listed.add(layout.within_tags(repository, stat.path)[1], stat)
        self._tags.restore(repository, listed, seen.written, functools.partial(self._manifests.exists, repository))
        if self._tags.now(repository, tag) != (None, 0):
            return False
        old = [path for path, stat in listed.index.items() if not is_of_a_push_after(stat, seen.written)]
        if seen.digest and not any(is_of_a_push_after(stat, seen.written) for stat in listed.index.values()):
            old.append(layout.tag_index(repository, tag, seen.digest))  # the listing may not show it
        self._together.map(self._storage.discard, set(old))
        return True

    def _is_unchanged(self, repository: str, tag: str, seen: Pointer) -> bool:
        if seen.digest:
            digest, written = self._tags.now(repository, tag)
            return digest == seen.digest and is_same(written, seen.written)
        return self._is_as_seen(layout.tag_current(repository, tag), seen.written)

    def manifests(self, repository: str, chosen: Iterable[Digest], seen: Mapping[Digest, float]) -> set[Digest]:
        """Delete revisions to which no tag points, with what belongs to them. Return those that are gone.

        A revision stays if somebody has pushed it since, if a tag points to it now, or if a manifest that is new names it. The notes of the
        deletion are written first, as for a DELETE: see `Deletions`.

        :param seen: all revisions of the repository that the caller has seen, with the times of their links
        """
        chosen = list(chosen)
        deleted = self._together.map(lambda digest: self._unlink(repository, digest, seen[digest]), chosen)
        links = {digest: link for digest, link in zip(chosen, deleted) if link}
        listed = list(self._tags.listed(repository)) if links else []
        back = self._wanted(repository, links, listed, seen) if links else set()
        for digest in back:
            self._deletions.forget(repository, digest)
            self._manifests.write_link(repository, digest, links[digest].metadata or {})
        gone = links.keys() - back
        self._together.map(lambda digest: self._manifests.forget_content(repository, digest, links[digest]), gone)
        rest = [path for tag in listed for path, stat in tag.index.items() if _is_old_index_of(gone, stat)]
        self._together.map(self._storage.discard, rest)
        self._deletions.expire(repository, {tag.etag for tag in listed})
        return set(gone)

    def _unlink(self, repository: str, digest: Digest, seen: float) -> Stat | None:
        """Return the link that was deleted, or None."""
        try:
            link = self._storage.stat(layout.revision_link(repository, digest), newest=True)
        except exceptions.FileNotFoundError:
            return None
        if not is_same(link.last_modified, seen):
            return None
        self._deletions.record(repository, digest)
        self._storage.discard(link.path)
        return link

    def _wanted(self, repository: str, gone: Mapping[Digest, Stat], listed: list[Listed], seen: Mapping[Digest, float]) -> set[Digest]:
        """Return those of the deleted revisions that a tag points to, or that a revision names which nobody has seen yet."""
        etags = {digest.etag for digest in gone}
        suspects = [tag.tag for tag in listed if tag.etag in etags or not tag.is_whole or tag.digests & gone.keys()]
        wanted = {digest for digest, _ in self._together.map(lambda tag: self._tags.now(repository, tag), suspects)}
        return gone.keys() & (wanted | self.mentioned_since(repository, seen))

    def mentioned_since(self, repository: str, seen: Mapping[Digest, float]) -> set[Digest]:
        """Return the digests that manifests mention which were pushed since somebody has seen these revisions."""
        new = [digest for digest, written in self.revisions(repository).items() if not is_same(written, seen.get(digest, 0))]
        return set().union(*self._together.map(self._mentioned_by, new))

    def _mentioned_by(self, digest: Digest) -> Iterable[Digest]:
        try:
            return mentions.of(self._storage.get_content(layout.blob(digest))).sizes
        except (exceptions.FileNotFoundError, errors.ManifestInvalid):
            return ()

    def revisions(self, repository: str) -> dict[Digest, float]:
        """Return the revisions of a repository that a listing shows, with the times of their links."""
        found = {}
        for stat in listing.below(self._storage, layout.revisions(repository)):
            digest = layout.digest_of_link(stat.path)
            # Image manifest schema 1 has signatures beside the link.
            if digest and stat.path == layout.revision_link(repository, digest):
                found[digest] = stat.last_modified or 0
        return found

    def names(self, seen: Iterable[Stat]) -> int:
        """Delete small objects, except those that were written since a listing showed them. Return how many are gone."""
        return sum(self._together.map(self._discard_as_seen, seen))

    def _discard_as_seen(self, stat: Stat) -> bool:
        return self._is_as_seen(stat.path, stat.last_modified or 0) and self._storage.discard(stat.path)

    def _is_as_seen(self, path: str, written: float) -> bool:
        try:
            return is_same(self._storage.stat(path, newest=True).last_modified, written)
        except exceptions.FileNotFoundError:
            return False


def is_same(time: float | None, other: float) -> bool:
    """Return whether these are the times of the same write."""
    return abs((time or 0) - other) < SAME


def _is_old_index_of(digests: Collection[Digest], stat: Stat) -> bool:
    return layout.digest_in_index(stat.path) in digests and not is_of_a_push_after(stat, 0)
