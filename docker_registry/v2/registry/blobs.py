"""Blobs: bytes stored under their digest, and the links that make them part of a repository."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence

from docker_registry.core import exceptions
from docker_registry.v2.registry import damage, errors, layout
from docker_registry.v2.registry.absence import Absence, Reappeared, looking_again
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent
from docker_registry.v2.registry.sources import Verified, read_all
from docker_registry.v2.registry.storage import Part, Source, Stat, Storage, Stream
from docker_registry.v2.registry.trash import Trash

logger = logging.getLogger(__name__)

SMALL = 1024 * 1024  # bytes; a blob up to this size is read into memory, so that the driver can retry its PUT
VERIFIED = 'size'  # metadata of a link: the bytes that the registry has read of the blob
VERIFIED_SECONDS = 600  # for this long after that, all instances accept manifests that name the blob without looking at it
FRESH_SECONDS = 60  # for this long after it saw a blob, a process accepts manifests that name it without asking Swift

#: First and last byte, both included; one of them may be None.
Range = tuple[int | None, int | None]


class Blobs:
    """The blobs of all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together, absence: Absence, trash: Trash, replication_cycle: float):
        self._storage = storage
        self._together = together
        self._absence = absence
        self._trash = trash
        self._replication_cycle = replication_cycle
        self._seen = Recent(FRESH_SECONDS)  # (repository, digest): size

    # Reading

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

    def seen_size(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a blob that this process saw in the repository a short time ago, or None. Asks nobody."""
        return self._seen.get((repository, digest))

    @looking_again
    def open(self, repository: str, digest: Digest, bytes_range: Range | None = None) -> Stream:
        """Return the storage driver's stream of a blob of this repository, or of a range of it. An empty blob comes whole.

        :raises BlobUnknown: the repository does not have the blob
        :raises RangeUnsatisfiable: the blob has no bytes in the range
        """
        linked = self._together.start(self._storage.exists, layout.layer_link(repository, digest))
        stream = None
        try:
            stream = self._open_data(digest, bytes_range)
            if not linked.result():
                if self._trash.restore_link(repository, digest):
                    raise Reappeared()
                self._absence.confirm(layout.layer_link(repository, digest))
                raise errors.BlobUnknown(detail=str(digest))
            stream = stream or self._open_trashed(digest, bytes_range)
        except errors.RangeUnsatisfiable:
            if not linked.result():
                raise errors.BlobUnknown(detail=str(digest))
            raise
        except BaseException:
            linked.exception()
            if stream is not None:
                stream.close()
            raise
        return stream

    def open_known(self, digest: Digest, bytes_range: Range) -> Stream:
        """Return a stream of a range of a blob that `size` has found. The repository is not asked for it again.

        :raises BlobUnknown: the blob is not stored any more
        """
        return self._open_data(digest, bytes_range) or self._open_trashed(digest, bytes_range)

    def _open_trashed(self, digest: Digest, bytes_range: Range | None) -> Stream:
        stream = self._open_data(digest, bytes_range) if self._trash.restore_data(digest) else None
        if stream is None:
            self._absence.confirm(layout.blob(digest))
            raise errors.BlobUnknown(detail=str(digest))
        return stream

    def _open_data(self, digest: Digest, bytes_range: Range | None) -> Stream | None:
        try:
            stream = self._storage.stream_read(layout.blob(digest), bytes_range, newest=False)
        except exceptions.FileNotFoundError:
            return None
        except exceptions.WrongArgumentsError:
            return self._open_without_range(digest)
        if not _is_whole(digest, stream.size):
            stream.close()
            raise errors.BlobUnknown(detail=str(digest))
        return stream

    def _open_without_range(self, digest: Digest) -> Stream | None:
        """Answer a range that storage refused. An empty blob has no range that it could refuse, so clients get it whole.

        Some clients send a Range with every request.
        """
        size = self._stored_size(digest)
        if size:
            raise errors.RangeUnsatisfiable(size)
        return None if size is None else self._open_data(digest, None)

    def _stored_size(self, digest: Digest) -> int | None:
        """Return the size of the object at the digest's path, in bytes. Return None if it is missing or cannot be the blob."""
        try:
            size = self._storage.stat(layout.blob(digest), newest=False).size
        except exceptions.FileNotFoundError:
            return None
        return size if _is_whole(digest, size) else None

    # Writing

    def link(self, repository: str, digest: Digest, size: int | None = None, verified: bool = True) -> None:
        """Make a stored blob part of this repository.

        :param size: bytes, if known; then this process accepts manifests that state it without asking Swift
        :param verified: whether the registry has read the blob; then all instances do so for a short time
        """
        metadata = {VERIFIED: str(size)} if verified and size is not None else None
        self._storage.replace(layout.layer_link(repository, digest), str(digest).encode(), metadata)
        self._seen.add((repository, digest), size)

    def linked_size(self, repository: str, digest: Digest) -> int:
        """`size`, in one request if the link is so young that the blob is what the registry read when it wrote the link."""
        link = self._link(repository, digest)
        size = _verified_size(link) if link else None
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

    @looking_again
    def unlink(self, repository: str, digest: Digest) -> None:
        """Remove a blob from this repository only.

        Swift may answer a DELETE with 404 that has deleted the last replica it could reach. So the registry looks before.

        :raises BlobUnknown: the repository does not have the blob
        """
        self._seen.discard((repository, digest))
        link = layout.layer_link(repository, digest)
        is_linked, was_trashed = self._storage.exists(link), self._trash.withdraw(repository, digest)
        if is_linked:
            self._storage.discard(link)
        elif not was_trashed:
            self._absence.confirm(link)
            raise errors.BlobUnknown(detail=str(digest))

    def mount(self, repository: str, digest: Digest, source: str | None = None) -> bool:
        """Link a blob of the repository `source`, or of any if that is None.

        Without a source, no link proves that a PUT of the blob succeeded. So a small blob that is young is stored again.

        :return: False if the blob is not stored for certain, or is damaged
        """
        stat, link = self._mountable(digest, source)
        if (stat is None or (source is not None and not link)) and self._trash.is_used():
            stat, link = self._mountable(digest, source, restored=True)
        if (
            stat is None
            or not _is_whole(digest, stat.size)
            or (source is not None and not link)
            or damage.is_known(self._storage, digest, stat)
        ):
            return False
        if link or self._is_replicated(stat):
            self.link(repository, digest, stat.size, verified=link is not None and _verified_size(link) == stat.size)
            return True
        return stat.size is not None and stat.size <= SMALL and self._store_again(repository, digest)

    def _mountable(self, digest: Digest, source: str | None, restored: bool = False) -> tuple[Stat | None, Stat | None]:
        """Return what is stored, and the link of the repository `source`. With `restored`, what is in the trash comes back first."""
        if restored and (source is None or self._link(source, digest) or self._trash.restore_link(source, digest)):
            self._trash.restore_data(digest)
        stat, link = self._together.all(
            lambda: damage.stored(self._storage, digest), lambda: None if source is None else self._link(source, digest)
        )
        return stat, link

    def _store_again(self, repository: str, digest: Digest) -> bool:
        try:
            self.store_bytes(repository, digest, self._storage.get_content(layout.blob(digest)))
        except (errors.DigestInvalid, exceptions.FileNotFoundError):
            return False
        return True

    def store_bytes(self, repository: str, digest: Digest, content: bytes) -> None:
        """Store a blob from memory.

        :raises DigestInvalid: the content has another digest; nothing is stored
        """
        hasher = digest.hasher()
        hasher.update(content)
        if not digest.matches(hasher):
            raise errors.DigestInvalid(detail=str(digest))
        # Overwrite without checking. A stored blob may be damaged, and a check costs as much as writing these few bytes.
        self._storage.replace(layout.blob(digest), content)
        self.link(repository, digest, len(content))

    def store_stream(self, repository: str, digest: Digest, source: Source, length: int, segments: str) -> None:
        """Store `length` bytes of the file `source` under their final name.

        The last bytes are held back until the digest is verified.

        :param segments: names the segments, if the blob needs any
        :raises DigestInvalid: the bytes have another digest; nothing is stored
        :raises SizeInvalid: the source has fewer bytes; nothing is stored
        """
        if length <= SMALL:
            return self.store_bytes(repository, digest, read_all(source, length))
        verified = Verified(source, digest, length)
        if self._is_stored(repository, digest, length):
            verified.drain()
            stat = damage.stored(self._storage, digest)  # not the link, which another client may have removed: it has proved what it can
            if stat is None or stat.size != length:
                raise errors.Unavailable('the blob was deleted from storage while the client sent it; push it again')
        else:
            # Overwrite: an object under this name has the wrong size, and the right bytes repair it.
            with _parts_exist():
                self._storage.put_stream(layout.blob(digest), verified, segments)
        self.link(repository, digest, length)

    def store_parts(self, repository: str, digest: Digest, parts: Sequence[Part]) -> None:
        """Commit stored parts as a blob. The caller has verified their digest.

        :raises UploadUnknown: a part is missing
        """
        size = sum(part.size for part in parts)
        with _parts_exist():
            if not self._storage.compose(layout.blob(digest), parts, new=True) and not self._is_stored(repository, digest, size):
                self._storage.compose(layout.blob(digest), parts)
        self.link(repository, digest, size)

    def _is_stored(self, repository: str, digest: Digest, size: int) -> bool:
        """Return whether the blob need not be stored again: it has the right size, and is on more than one node for certain.

        A PUT that failed may have left the blob on one node, where a HEAD finds it. Only a link proves that a PUT succeeded.
        """
        stat = damage.stored(self._storage, digest)
        if stat is None:
            return False
        if stat.size is not None and stat.size != size:
            logger.warning('blob %s is damaged: it has %d bytes instead of %d. The registry stores it again', digest, stat.size, size)
        return stat.size == size and (self._is_replicated(stat) or self._storage.exists(layout.layer_link(repository, digest)))

    def _is_replicated(self, stat: Stat) -> bool:
        return stat.last_modified is not None and time.time() - stat.last_modified > self._replication_cycle


@contextlib.contextmanager
def _parts_exist() -> Iterator[None]:
    try:
        yield
    except exceptions.FileNotFoundError:
        raise errors.UploadUnknown(detail='parts of the upload are missing')


def _verified_size(link: Stat) -> int | None:
    """Return the size of the blob that the registry read before it wrote a link. None if something else has written the link."""
    size = (link.metadata or {}).get(VERIFIED, '')
    return int(size) if size.isdigit() else None


def _is_whole(digest: Digest, size: int | None) -> bool:
    """Return False if the size is 0 and should not be: a dynamic large object is empty if its segments are lost or not yet listed."""
    return size is None or size > 0 or digest.is_of_nothing
