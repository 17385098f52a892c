"""Looks for the blobs and manifests that a manifest names, before the registry accepts the manifest."""

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.formats import Parsed
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage


class References:
    """What manifests name, in all repositories of one storage."""

    def __init__(self, storage: Storage, together: Together, blobs: Blobs):
        self._storage = storage
        self._together = together
        self._blobs = blobs

    def require(self, repository: str, parsed: Parsed) -> None:
        """Check that the repository has everything that a manifest names.

        :raises ManifestBlobUnknown: a blob or manifest is missing
        """
        absent = set(self._blobs.missing(repository, [blob.digest for blob in (*parsed.blobs, *parsed.blobs_or_manifests)]))
        manifests = [*parsed.manifests, *(reference for reference in parsed.blobs_or_manifests if reference.digest in absent)]
        found = self._together.map(lambda manifest: self._is_revision(repository, manifest.digest), manifests)
        missing = [blob for blob in parsed.blobs if blob.digest in absent]
        missing += [manifest for manifest, is_there in zip(manifests, found) if not is_there]
        if missing:
            raise errors.ManifestBlobUnknown(list(dict.fromkeys(str(reference.digest) for reference in missing)))

    def _is_revision(self, repository: str, digest: Digest) -> bool:
        return self._storage.exists(layout.revision_link(repository, digest))
