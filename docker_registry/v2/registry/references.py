"""Looks for the blobs and manifests that a manifest names, before the registry accepts the manifest."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from docker_registry.v2.registry import damage, errors, layout
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.formats import Parsed, Reference
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent
from docker_registry.v2.registry.storage import Storage

MOST_MISSING = 20  # missing digests that one response names; the registry looks no further
MOST_DAMAGED = 4  # damaged blobs that one request reads; each may have many GB
REMEMBERED_SECONDS = 3600  # for this long a process remembers that it has read a large object and found it whole


class Look(NamedTuple):
    """What to look for under a digest: a blob, a manifest, or either."""

    digest: Digest
    as_blob: bool
    as_manifest: bool


class References:
    """What manifests name, in all repositories of one storage."""

    def __init__(self, storage: Storage, together: Together, blobs: Blobs):
        self._storage = storage
        self._together = together
        self._blobs = blobs
        self._read = Recent(REMEMBERED_SECONDS)  # (digest, ETag): size

    def require(self, repository: str, parsed: Parsed, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Check that the repository has everything that a manifest names, and that blobs have the sizes that the manifest states.

        A damaged blob counts as missing. The repository loses it, so that the client sends it again.

        :param is_wanted: called between the look-ups
        :raises ManifestBlobUnknown: blobs or manifests are missing; it names at most `MOST_MISSING` of them
        :raises ManifestInvalid: a blob is whole, but the manifest states another size
        :raises ClientGone: `is_wanted` has returned False
        """
        blobs = [
            blob for blob in (*parsed.blobs, *parsed.blobs_or_manifests) if not self._blobs.has_seen(repository, blob.digest, blob.size)
        ]
        either = {reference.digest for reference in parsed.blobs_or_manifests}
        looks = [Look(blob.digest, True, blob.digest in either) for blob in blobs]
        looks += [Look(manifest.digest, False, True) for manifest in parsed.manifests]
        sizes, missing = self._look_for_all(repository, looks, is_wanted)
        # docker states 1 for an empty blob, because the Range of an upload cannot say that it is empty.
        suspects = {blob: size for blob in blobs if (size := sizes.get(blob.digest)) and blob.size not in (None, size)}
        damaged = self._damaged(repository, suspects, is_wanted)
        missing += [digest for digest in damaged if digest not in either or not self._is_revision(repository, digest)]
        if missing:
            raise errors.ManifestBlobUnknown([str(digest) for digest in missing])

    def _look_for_all(self, repository: str, looks: list[Look], is_wanted: Callable[[], bool]) -> tuple[dict[Digest, int], list[Digest]]:
        """Return ({digest: what `_look_for` returns}, digests of what is missing)."""
        looks = list(dict.fromkeys(looks))  # one blob may stand in a manifest with any number of sizes
        sizes: dict[Digest, int] = {}
        missing: list[Digest] = []
        with self._together.each(functools.partial(self._look_for, repository), looks) as found:
            for look, size in zip(looks, found):
                if size is None:
                    missing.append(look.digest)
                elif look.as_blob:
                    sizes[look.digest] = size
                if len(missing) == MOST_MISSING:
                    break
                if not is_wanted():
                    raise errors.ClientGone()
        return sizes, missing

    def _look_for(self, repository: str, look: Look) -> int | None:
        """Return the size of a blob, 0 for a manifest, or None if neither is there."""
        try:
            if look.as_blob:
                return self._blobs.linked_size(repository, look.digest)
        except errors.BlobUnknown:
            pass
        return 0 if look.as_manifest and self._is_revision(repository, look.digest) else None

    def _is_revision(self, repository: str, digest: Digest) -> bool:
        return self._storage.exists(layout.revision_link(repository, digest))

    def _damaged(self, repository: str, suspects: dict[Reference, int], is_wanted: Callable[[], bool]) -> list[Digest]:
        """Return those blobs that are damaged, of {blob: stored size, which is not the size that the manifest states}.

        The manifest is no evidence: a client may be wrong, and must not take a blob from others. So the registry reads the blob, once.
        """
        damaged: list[Digest] = []
        for blob, stored in suspects.items():
            if blob.digest in damaged:
                continue
            size = self._true_size(blob.digest, is_wanted)
            if size is None:
                self._drop(repository, blob.digest, stored)
                damaged.append(blob.digest)
            elif size != blob.size:
                raise errors.ManifestInvalid(f'{blob.digest} has {size} bytes, but the manifest says {blob.size}')
            if len(damaged) == MOST_DAMAGED:
                break
        return damaged

    def _true_size(self, digest: Digest, is_wanted: Callable[[], bool]) -> int | None:
        """Return the size of a blob, or None if it is damaged or missing. Only a large object is read, and not again if it was whole."""
        stat = damage.stored(self._storage, digest)
        if stat is None:
            return None
        if stat.size is not None and not damage.is_possible(stat):
            return stat.size
        size = self._read.get((digest, stat.etag))
        if size is None:
            size = damage.true_size(self._storage, digest, is_wanted)
            if size is not None:
                self._read.add((digest, stat.etag), size)
        return size

    def _drop(self, repository: str, digest: Digest, size: int) -> None:
        damage.note(self._storage, digest, size)
        try:
            self._blobs.unlink(repository, digest)
        except errors.BlobUnknown:
            pass  # another client has found the same
        # A client may have stored the blob again, and linked it just before the link was removed.
        stat = damage.stored(self._storage, digest)
        if stat and stat.size not in (0, size):
            self._blobs.link(repository, digest)
