"""Which blobs a repository has, and how large they are."""

import contextlib
import time

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.absence import Absence, Reappeared, looking_again
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.shared_memory import Seen
from docker_registry.v2.registry.sharing import Shared, Waiting
from docker_registry.v2.registry.storage import Stat, Storage
from docker_registry.v2.registry.trash import Trash

VERIFIED = 'size'  # metadata of a link: the bytes that the registry has read of the blob
VERIFIED_SECONDS = 600  # for this long after that, all instances accept manifests that name the blob without looking at it
#: For this long after one of them saw a blob, all workers of a registry accept manifests that name it without asking Swift.
FRESH_SECONDS = 60
MOST_SEEN = 2**16  # blobs that they remember


class Linked:
    """Looks up the blobs of all repositories in one storage."""

    def __init__(self, storage: Storage, absence: Absence, trash: Trash):
        self._storage = storage
        self._absence = absence
        self._trash = trash
        self._seen = Seen(MOST_SEEN, FRESH_SECONDS)  # (repository, digest) with the size
        self._large = Shared[int | None]()

    def size(self, repository: str, digest: Digest) -> int:
        """Return the size of a blob of this repository, in bytes.

        The link is looked up first. A push mostly asks for blobs that are missing, and then one request is enough.

        :raises BlobUnknown: the repository does not have the blob
        """
        linked = self._storage.exists(layout.layer_link(repository, digest))
        size = self._size_of_linked(digest, linked or (self._trash.is_used() and self._trash.restore_link(repository, digest)))
        self._seen.add((repository, digest), size)
        return size

    def _size_of_linked(self, digest: Digest, is_linked: bool) -> int:
        size = self._stored_size(digest) if is_linked else None
        if size is None and is_linked and self._trash.restore_data(digest):
            size = self._stored_size(digest)
        if size is None:
            raise errors.BlobUnknown(detail=str(digest))
        return size

    def size_if_large(self, repository: str, digest: Digest, least: int, waiting: Waiting = contextlib.nullcontext) -> int | None:
        """Return the size of a blob of this repository if it has so many bytes or more, and is stored. Return None if it is smaller.

        Of a blob that is smaller, mostly only the link is looked up: it says how many bytes the registry read. All who ask for the same
        blob at the same time share a look.

        :param waiting: see `sharing.Shared.result`
        :raises BlobUnknown: the repository does not have the blob
        """
        return self._large.result((repository, digest, least), lambda: self._size_if_large(repository, digest, least), waiting)

    @looking_again
    def _size_if_large(self, repository: str, digest: Digest, least: int) -> int | None:
        link = self._link(repository, digest)
        if link is None:
            if self._trash.restore_link(repository, digest):
                raise Reappeared()
            self._absence.confirm(layout.layer_link(repository, digest))
            raise errors.BlobUnknown(detail=str(digest))
        known = verified_size(link)
        size = known if known is not None and known < least else self._size_of_linked(digest, True)
        return size if size >= least else None

    def has_seen(self, repository: str, digest: Digest, size: int | None) -> bool:
        """Return whether a worker saw a blob of this size in the repository a short time ago. Asks nobody."""
        return size is not None and self._seen.has((repository, digest), size)

    def linked_size(self, repository: str, digest: Digest) -> int:
        """`size`, in one request if the link is so young that the blob is what the registry read when it wrote the link."""
        link = self._link(repository, digest)
        size = verified_size(link) if link else None
        if link is None or size is None or time.time() - (link.last_modified or 0) > VERIFIED_SECONDS:
            is_linked = link is not None or (self._trash.has_any() and self._trash.restore_link(repository, digest))
            return self._size_of_linked(digest, is_linked)
        self._seen.add((repository, digest), size)
        return size

    def _link(self, repository: str, digest: Digest) -> Stat | None:
        try:
            return self._storage.stat(layout.layer_link(repository, digest))
        except exceptions.FileNotFoundError:
            return None

    def _stored_size(self, digest: Digest) -> int | None:
        """Return the size of the object at the digest's path, in bytes. Return None if it is missing or cannot be the blob."""
        try:
            size = self._storage.stat(layout.blob(digest), newest=False).size
        except exceptions.FileNotFoundError:
            return None
        return size if is_whole(digest, size) else None


def verified_size(link: Stat) -> int | None:
    """Return the size of the blob that the registry read before it wrote a link. None if something else has written the link."""
    size = (link.metadata or {}).get(VERIFIED, '')
    return int(size) if size.isdigit() else None


def is_whole(digest: Digest, size: int | None) -> bool:
    """Return False if the size is 0 and should not be: a dynamic large object is empty if its segments are lost or not yet listed."""
    return size is None or size > 0 or digest.is_of_nothing
