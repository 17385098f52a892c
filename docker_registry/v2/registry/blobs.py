"""Blobs: bytes stored under their digest, and the links that make them part of a repository."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError

from docker_registry.core import exceptions
from docker_registry.v2.registry import damage, errors, layout
from docker_registry.v2.registry.absence import Absence, Reappeared, looking_again
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.content_cache import ContentCache, Held
from docker_registry.v2.registry.linked import VERIFIED, Linked, is_whole, verified_size
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sharing import PATIENCE, Shared, Waiting
from docker_registry.v2.registry.sources import Verified, read_all
from docker_registry.v2.registry.storage import Part, Source, Stat, Storage, Stream
from docker_registry.v2.registry.trash import Trash

logger = logging.getLogger(__name__)

KEPT = 64 * 1024  # bytes of the largest blob that is kept in memory after a GET: mostly the configuration of an image
SMALL = 1024 * 1024  # bytes; a blob up to this size is read into memory, so that the driver can retry its PUT

#: First and last byte, both included; one of them may be None.
Range = tuple[int | None, int | None]


class Blobs(Linked):
    """The blobs of all repositories in one storage."""

    def __init__(
        self, storage: Storage, together: Together, absence: Absence, trash: Trash, contents: ContentCache, replication_cycle: float
    ):
        super().__init__(storage, absence, trash)
        self._together = together
        self._contents = contents
        self._shared = Shared[bool]()
        self._replication_cycle = replication_cycle

    # Reading

    def open(
        self, repository: str, digest: Digest, bytes_range: Range | None = None, waiting: Waiting = contextlib.nullcontext
    ) -> Stream | Held:
        """Return a stream of a blob of this repository, or of a range of it. An empty blob comes whole.

        The bytes of a small blob are kept in memory. Then only the link is looked for, once for all who ask at the same time.

        :param waiting: see `sharing.Shared.result`
        :raises BlobUnknown: the repository does not have the blob
        :raises RangeUnsatisfiable: the blob has no bytes in the range
        """
        held = None if bytes_range else self._contents.get(digest)
        if held is not None:
            path = layout.layer_link(repository, digest)
            if self._shared.result((repository, digest), lambda: self._storage.exists(path), waiting):
                return Held(held)
        return self._small_held(digest, self._open(repository, digest, bytes_range), bytes_range)

    def _small_held(self, digest: Digest, stream: Stream, bytes_range: Range | None) -> Stream | Held:
        """Read a small blob into memory, if the stream is all of it. It is kept there if it is not damaged."""
        if bytes_range or stream.size is None or stream.size > KEPT:
            return stream
        with contextlib.closing(stream):
            content = b''.join(stream)
        if digest == Digest.of(content, digest.algorithm):
            self._contents.put(digest, content)
        return Held(content)

    @looking_again
    def _open(self, repository: str, digest: Digest, bytes_range: Range | None) -> Stream:
        linked = self._together.start(self._storage.exists, layout.layer_link(repository, digest))
        stream = None
        try:
            stream = self._open_data(digest, bytes_range)
            if not _result(linked, stream):
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

    def open_known(self, digest: Digest, bytes_range: Range | None) -> Stream | Held:
        """Return a stream of a blob that `size` has found, or of a range of it. The repository is not asked for it again.

        :raises BlobUnknown: the blob is not stored any more
        """
        held = None if bytes_range else self._contents.get(digest)
        if held is not None:
            return Held(held)
        return self._small_held(digest, self._open_data(digest, bytes_range) or self._open_trashed(digest, bytes_range), bytes_range)

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
        if not is_whole(digest, stream.size):
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

    # Writing

    def link(self, repository: str, digest: Digest, size: int | None = None, verified: bool = True) -> None:
        """Make a stored blob part of this repository.

        :param size: bytes, if known; then all workers accept manifests that state it without asking Swift
        :param verified: whether the registry has read the blob; then all instances do so with one request
        """
        metadata = {VERIFIED: str(size)} if verified and size is not None else None
        self._storage.replace(layout.layer_link(repository, digest), str(digest).encode(), metadata)
        self._seen.add((repository, digest), size)

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
            self._seen.discard((repository, digest))  # somebody may have looked for it meanwhile
        elif not was_trashed:
            self._absence.confirm(link)
            raise errors.BlobUnknown(detail=str(digest))

    def mount(self, repository: str, digest: Digest, source: str | None = None) -> Stat | None:
        """Link a blob of the repository `source`, or of any if that is None.

        Without a source, no link proves that a PUT of the blob succeeded. So a small blob that is young is stored again.

        :return: what is stored, or None if the blob is not stored for certain, or is damaged
        """
        stat, link = self._mountable(digest, source)
        if (stat is None or (source is not None and not link)) and self._trash.is_used():
            stat, link = self._mountable(digest, source, restored=True)
        if (
            stat is None
            or not is_whole(digest, stat.size)
            or (source is not None and not link)
            or damage.is_known(self._storage, digest, stat)
        ):
            return None
        if link or self._is_replicated(stat):
            self.link(repository, digest, stat.size, verified=link is not None and verified_size(link) == stat.size)
            return stat
        return stat if stat.size is not None and stat.size <= SMALL and self._store_again(repository, digest) else None

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


def _result(look: Future[bool], stream: Stream | None) -> bool:
    """Return the result of a look. If it lasts, it may wait for the connection that the stream has, so that goes back to the pool."""
    try:
        return look.result(PATIENCE)
    except TimeoutError:
        if stream is not None:
            stream.release()
        return look.result()


@contextlib.contextmanager
def _parts_exist() -> Iterator[None]:
    try:
        yield
    except exceptions.FileNotFoundError:
        raise errors.UploadUnknown(detail='parts of the upload are missing')
