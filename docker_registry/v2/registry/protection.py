"""What the images of some tags need: nobody may delete that who may not delete these tags."""

from collections.abc import Iterable

from docker_registry.v2.registry import errors, formats, mentions
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.manifests import Manifest, Manifests
from docker_registry.v2.registry.names import Digest


class Protection:
    """Looks at the images of tags. It costs about two requests for each tag, and for each image of an index."""

    def __init__(self, together: Together, manifests: Manifests):
        self._together, self._manifests = together, manifests

    def needed(self, repository: str, tags: Iterable[str]) -> set[Digest]:
        """Return the digests of all manifests and blobs that the images of these tags need. A tag that is gone needs nothing."""
        found: set[Digest] = set()
        wanted: list[Digest | str] = list(tags)
        while wanted:
            read = [manifest for manifest in self._together.map(lambda one: self._manifest(repository, one), wanted) if manifest]
            found.update(manifest.digest for manifest in read)
            children: set[Digest] = set()
            for manifest in read:
                (children if manifest.media_type.lower() in formats.INDEXES else found).update(_parts(manifest.content))
            wanted = list(children - found)
            found |= children
        return found

    def _manifest(self, repository: str, reference: Digest | str) -> Manifest | None:
        try:
            return self._manifests.get(repository, reference)
        except errors.ManifestUnknown:
            return None


def _parts(content: bytes) -> set[Digest]:
    """Return what a manifest names, apart from its subject."""
    try:
        found = mentions.of(content)
    except errors.ManifestInvalid:
        return set()
    return set(found.sizes) - {found.subject}
