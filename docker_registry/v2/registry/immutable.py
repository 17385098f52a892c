"""Tags that a client may create, and may not overwrite."""

from collections.abc import Callable

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage
from docker_registry.v2.registry.tags import Tags


class ImmutableTags:
    """Points tags to manifests if they do not exist, or point there already.

    :param current: returns the digest of the manifest that a tag has for clients, or raises `ManifestUnknown`
    """

    def __init__(self, storage: Storage, tags: Tags, current: Callable[[str, str], Digest]):
        self._storage, self._tags, self._current = storage, tags, current

    def require(self, repository: str, tag: str, digest: Digest) -> None:
        """:raises TagImmutable: the tag points to another manifest"""
        try:
            if self._current(repository, tag) == digest:
                return
        except errors.ManifestUnknown:
            return
        raise errors.TagImmutable(detail=tag)

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        """Do what `Tags.point` does. Of several clients that do so at the same time, Swift lets one create the tag.

        Swift compares before it stores the bytes, so two that come within these milliseconds may both succeed, and the later one stays.

        :raises TagImmutable: see `require`
        """
        if not self._storage.put_new(layout.tag_current(repository, tag), str(digest).encode()):
            self.require(repository, tag, digest)
            self._tags.point(repository, tag, digest)  # the tag ended when its manifest was deleted, and its name is still there
