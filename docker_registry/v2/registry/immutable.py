"""Tags that a client may create, and may not overwrite."""

from collections.abc import Callable
from typing import Protocol

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage
from docker_registry.v2.registry.tags import Tags


class Manifest(Protocol):
    """What this module asks of a manifest."""

    @property
    def digest(self) -> Digest: ...
    @property
    def media_type(self) -> str: ...


class ImmutableTags:
    """Points tags to manifests if they do not exist, or point there already.

    :param get: returns the manifest that clients get for a tag or a digest, or raises `ManifestUnknown`
    """

    def __init__(self, storage: Storage, tags: Tags, get: Callable[[str, Digest | str], Manifest]):
        self._storage, self._tags, self._get = storage, tags, get

    def require(self, repository: str, tag: str, digest: Digest) -> None:
        """:raises TagImmutable: the tag points to another manifest"""
        try:
            if self._get(repository, tag).digest == digest:
                return
        except errors.ManifestUnknown:
            return
        raise errors.TagImmutable(detail=tag)

    def require_type(self, repository: str, digest: Digest, media_type: str) -> None:
        """:raises TagImmutable: the repository has the manifest, with another media type"""
        try:
            if self._get(repository, digest).media_type == media_type:
                return
        except errors.ManifestUnknown:
            return
        raise errors.TagImmutable('this manifest is there already, with another media type', str(digest))

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        """Do what `Tags.point` does. Of several clients that do so at the same time, Swift lets one create the tag.

        Swift compares before it stores the bytes, so two that come within these milliseconds may both succeed, and the later one stays.

        :raises TagImmutable: see `require`
        """
        if not self._storage.put_new(layout.tag_current(repository, tag), str(digest).encode()):
            self.require(repository, tag, digest)
            self._tags.point(repository, tag, digest)  # the tag ended when its manifest was deleted, and its name is still there
