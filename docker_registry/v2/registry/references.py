"""Looks for the blobs and manifests that a manifest names, before the registry accepts the manifest."""

from docker_registry.v2.registry import damage, errors, layout
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.formats import Parsed, Reference
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage


class References:
    """What manifests name, in all repositories of one storage."""

    def __init__(self, storage: Storage, together: Together, blobs: Blobs):
        self._storage = storage
        self._together = together
        self._blobs = blobs

    def require(self, repository: str, parsed: Parsed) -> None:
        """Check that the repository has everything that a manifest names, and that blobs have the sizes that the manifest states.

        A damaged blob counts as missing. The repository loses it, so that the client sends it again.

        :raises ManifestBlobUnknown: a blob or manifest is missing
        :raises ManifestInvalid: a blob is whole, but the manifest states another size
        """
        absent = self._absent_blobs(repository, [*parsed.blobs, *parsed.blobs_or_manifests])
        manifests = [*parsed.manifests, *(reference for reference in parsed.blobs_or_manifests if reference in absent)]
        found = self._together.map(lambda manifest: self._is_revision(repository, manifest.digest), manifests)
        missing = [blob for blob in parsed.blobs if blob in absent]
        missing += [manifest for manifest, is_there in zip(manifests, found) if not is_there]
        if missing:
            raise errors.ManifestBlobUnknown(list(dict.fromkeys(str(reference.digest) for reference in missing)))

    def _absent_blobs(self, repository: str, blobs: list[Reference]) -> set[Reference]:
        blobs = [blob for blob in blobs if not self._has_seen(repository, blob)]
        digests = list(dict.fromkeys(blob.digest for blob in blobs))  # one blob may stand in a manifest with any number of sizes
        found = dict(zip(digests, self._together.map(lambda digest: self._size(repository, digest), digests)))
        sizes = {blob: found[blob.digest] for blob in blobs}
        absent = {blob for blob, size in sizes.items() if size is None}
        # docker states 1 for an empty blob, because the Range of an upload cannot say that it is empty.
        suspects = {blob: size for blob, size in sizes.items() if size and blob.size not in (None, size)}
        return absent.union(self._damaged(repository, suspects))

    def _has_seen(self, repository: str, blob: Reference) -> bool:
        size = self._blobs.seen_size(repository, blob.digest)
        return size is not None and blob.size in (None, size)

    def _size(self, repository: str, digest: Digest) -> int | None:
        try:
            return self._blobs.linked_size(repository, digest)
        except errors.BlobUnknown:
            return None

    def _is_revision(self, repository: str, digest: Digest) -> bool:
        return self._storage.exists(layout.revision_link(repository, digest))

    def _damaged(self, repository: str, suspects: dict[Reference, int]) -> list[Reference]:
        """Return those blobs that are damaged, of {blob: stored size, which is not the size that the manifest states}.

        The manifest is no evidence: a client may be wrong, and must not take a blob from others. So the registry reads the blob, once.
        """
        true_sizes: dict[Digest, int | None] = {}
        for blob, stored in suspects.items():
            if blob.digest not in true_sizes:
                true_sizes[blob.digest] = damage.true_size(self._storage, blob.digest)
                if true_sizes[blob.digest] is None:
                    self._drop(repository, blob.digest, stored)
        wrong = [blob for blob in suspects if true_sizes[blob.digest] not in (None, blob.size)]
        if wrong:
            raise errors.ManifestInvalid(
                '; '.join(f'{blob.digest} has {true_sizes[blob.digest]} bytes, but the manifest says {blob.size}' for blob in wrong)
            )
        return [blob for blob in suspects if true_sizes[blob.digest] is None]

    def _drop(self, repository: str, digest: Digest, size: int) -> None:
        damage.note(self._storage, digest, size)
        try:
            self._blobs.unlink(repository, digest)
        except errors.BlobUnknown:
            pass  # another client has found the same
        # A client may have stored the blob again, and linked it just before the link was removed.
        if damage.stored_size(self._storage, digest) not in (None, 0, size):
            self._blobs.link(repository, digest)
