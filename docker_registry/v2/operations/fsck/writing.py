"""Writes and removes the small objects of the registry. Each call looks again just before, and may be repeated."""

from collections.abc import Callable
from typing import Any

from docker_registry.v2.operations.fsck.looks import Looks, NotKnown, finding_out
from docker_registry.v2.registry import errors, formats, layout, revisions
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat


class Writing:
    """Repairs of names. Each returns whether all is as it should be now, and raises `NotKnown` if that cannot be found out."""

    def __init__(self, storage: Any, looks: Looks):
        self._storage = storage
        self._looks = looks

    def _is_stored(self, digest: Digest) -> bool:
        return self._looks.stat(layout.blob(digest)) is not None

    def layer_link(self, repository: str, digest: Digest) -> bool:
        """Link a blob that a manifest of the repository names. The link does not say that the registry has read the blob."""
        return self._is_stored(digest) and self._write_new(layout.layer_link(repository, digest), str(digest).encode())

    def revision_link(self, repository: str, digest: Digest, content: bytes) -> bool:
        """Make stored bytes a revision. The link says what the manifest says, if this registry would have accepted it."""
        path = layout.revision_link(repository, digest)
        if not self._is_stored(digest):
            return False
        if self._looks.stat(path):
            return True
        try:
            metadata = revisions.metadata(formats.parse(content))
        except errors.RegistryError:
            metadata = None
        with finding_out():
            self._storage.replace(path, str(digest).encode(), metadata)
        return True

    def tag_index(self, repository: str, tag: str, digest: Digest) -> bool:
        return self._write_new(layout.tag_index(repository, tag, digest), str(digest).encode())

    def pointer(self, repository: str, tag: str, digest: Digest, before: Stat) -> bool:
        """Point a damaged tag to a revision, unless somebody has pushed it meanwhile."""
        path = layout.tag_current(repository, tag)
        if not self._looks.stat(layout.revision_link(repository, digest)):
            return False
        if not self._looks.is_unchanged(path, before):
            raise NotKnown('somebody has changed the tag during the check')
        with finding_out():
            self._storage.replace(path, str(digest).encode())
        return True

    def referrer(self, repository: str, subject: Digest, digest: Digest, descriptor: bytes) -> bool:
        if not self._looks.stat(layout.revision_link(repository, digest)):
            return False
        return self._write_new(layout.referrer(repository, subject, digest), descriptor)

    def _write_new(self, path: str, content: bytes) -> bool:
        with finding_out():
            self._storage.put_new(path, content)
        return True

    def drop_referrer(self, repository: str, subject: Digest, digest: Digest) -> bool:
        """Remove an entry of the list of referrers whose manifest is no revision."""
        path = layout.referrer(repository, subject, digest)
        entry = self._looks.content(path)
        if entry:
            self._drop(path, entry[0], lambda: self._looks.stat(layout.revision_link(repository, digest)) is not None)
        return True

    def drop_layer_link(self, repository: str, digest: Digest) -> bool:
        """Remove a link whose data are missing, so that clients find the blob missing and push it."""
        self._drop(layout.layer_link(repository, digest), str(digest).encode(), lambda: self._is_stored(digest))
        return True

    def _drop(self, path: str, content: bytes, is_needed: Callable[[], bool]) -> None:
        """Delete an object, unless it is needed. A push may write what it needs first, and then this object, just before it is deleted."""
        if is_needed():
            return
        with finding_out():
            self._storage.discard(path)
        if is_needed():
            self._write_new(path, content)
