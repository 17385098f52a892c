"""Blobs: bytes under their digest, and the links that make them part of a repository."""

import logging
import time

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.recent import Recent

logger = logging.getLogger(__name__)

READ_SIZE = 256 * 1024
SMALL = 1024 * 1024  # bytes; what is no larger is taken into memory, and so can be sent to Swift again
ONE_OBJECT = 4 * 1024**3  # bytes; Swift's own limit is 5 GiB, and a site's may be lower
FRESH_SECONDS = 60  # how long a blob that was seen counts as seen for a manifest that names it
DURABLE_SECONDS = 3600  # no collector touches what is younger, so a link younger than this has its bytes


class Blobs:
    """The blobs of all repositories on one storage."""

    def __init__(self, storage, together):
        self._storage = storage
        self._together = together
        self._seen = Recent(FRESH_SECONDS)

    # Reading

    def size(self, repository, digest):
        """Bytes of a blob of this repository; :raises BlobUnknown:

        The link first: of a blob that is not there, which is what a push mostly asks for, one request tells.
        """
        if not self._storage.exists(layout.layer_link(repository, digest)):
            raise errors.BlobUnknown(detail=str(digest))
        size = self._stored_size(digest)
        if size is None:
            raise errors.BlobUnknown(detail=str(digest))
        self._seen.add((repository, digest))
        return size

    def open(self, repository, digest, bytes_range=None):
        """The storage driver's stream of a blob of this repository, or of a range of it.

        :raises BlobUnknown, RangeInvalid:
        """
        linked = self._together.start(self._storage.exists, layout.layer_link(repository, digest))
        stream = None
        try:
            stream = self._open_data(digest, bytes_range)
            if stream is None or not linked.result():
                raise errors.BlobUnknown(detail=str(digest))
        except BaseException:
            linked.exception()
            if stream is not None:
                stream.close()
            raise
        return stream

    def _open_data(self, digest, bytes_range):
        try:
            stream = self._storage.stream_read(layout.blob(digest), bytes_range, newest=False)
        except exceptions.FileNotFoundError:
            return None
        except exceptions.WrongArgumentsError:
            raise errors.RangeInvalid(detail=str(digest))
        if not _is_whole(digest, stream.size):
            stream.close()
            return None
        if bytes_range and stream.size == 0:  # of which Swift gives all, whatever the range
            stream.close()
            raise errors.RangeInvalid(detail=str(digest))
        return stream

    def _stored_size(self, digest, newest=False):
        """Bytes at the digest's path, or None if there is nothing that can be the blob."""
        try:
            size = self._storage.stat(layout.blob(digest), newest=newest).size
        except exceptions.FileNotFoundError:
            return None
        return size if _is_whole(digest, size) else None

    def missing(self, repository, digests):
        """Those of the digests that are not in this repository."""
        digests = [digest for digest in dict.fromkeys(digests) if (repository, digest) not in self._seen]
        found = self._together.map(lambda digest: self._is_usable(repository, digest), digests)
        return [digest for digest, usable in zip(digests, found) if not usable]

    def _is_usable(self, repository, digest):
        """Whether a manifest may name the blob.

        A link is written after its bytes, and deleted before them; so a young link needs no second request. An old one
        does: the garbage collector of CNCF distribution deletes bytes and leaves their links.
        """
        try:
            link = self._storage.stat(layout.layer_link(repository, digest))
        except exceptions.FileNotFoundError:
            return False
        if link.last_modified is not None and abs(time.time() - link.last_modified) < DURABLE_SECONDS:
            return True
        return self._stored_size(digest) is not None

    # Writing

    def link(self, repository, digest):
        """Make stored bytes a blob of this repository."""
        self._storage.replace(layout.layer_link(repository, digest), str(digest).encode())
        self._seen.add((repository, digest))

    def unlink(self, repository, digest):
        """Take a blob out of this repository, and of no other; :raises BlobUnknown:"""
        self._seen.discard((repository, digest))
        try:
            self._storage.remove(layout.layer_link(repository, digest))
        except exceptions.FileNotFoundError:
            raise errors.BlobUnknown(detail=str(digest))

    def mount(self, repository, digest, source=None):
        """Link a blob of another repository, or of any; False if it is not there."""
        calls = [lambda: self._stored_size(digest) is not None]
        if source is not None:
            calls.append(lambda: self._storage.exists(layout.layer_link(source, digest)))
        if not all(self._together.all(*calls)):
            return False
        self.link(repository, digest)
        return True

    def store_bytes(self, repository, digest, content):
        """Store a blob that is in memory; :raises DigestInvalid:"""
        hasher = digest.hasher()
        hasher.update(content)
        if not digest.matches(hasher):
            raise errors.DigestInvalid(detail=str(digest))
        # Not only if it is new: what is there may be damaged, and to look costs as much as to write this little.
        self._storage.replace(layout.blob(digest), content)
        self.link(repository, digest)

    def store_stream(self, repository, digest, source, length):
        """Store `length` bytes of `source.read` straight at their final name; :raises DigestInvalid: and nothing is kept.

        The last bytes are held back until the digest is known to be right.
        """
        if length <= SMALL:
            return self.store_bytes(repository, digest, _read_all(source, length))
        verified = Verified(source, digest, length)
        if self.holds(digest, length):
            verified.drain()
        else:
            # Not `new`: what is there, if anything, is of another size, and this heals it.
            self._storage.put_stream(layout.blob(digest), verified, length)
        self.link(repository, digest)

    def store_parts(self, repository, digest, parts):
        """Commit stored parts, whose digest was verified, as a blob; :raises UploadUnknown: they are gone"""
        size = sum(part.size for part in parts)
        try:
            if not self._storage.compose(layout.blob(digest), parts, new=True) and not self.holds(digest, size):
                self._storage.compose(layout.blob(digest), parts)
        except exceptions.FileNotFoundError:
            raise errors.UploadUnknown(detail='its parts are gone')
        except exceptions.BrokenError as error:
            if getattr(error, 'status', None) == 400:  # Swift checks each part that a large object names
                raise errors.UploadUnknown(detail='its parts are gone')
            raise
        self.link(repository, digest)

    def holds(self, digest, size):
        """Whether the bytes are there, in full: a blob that was damaged is not, and is stored anew."""
        stored = self._stored_size(digest, newest=True)
        if stored is not None and stored != size:
            logger.warning('%s has %d bytes instead of %d: storing it anew', digest, stored, size)
        return stored == size


def _is_whole(digest, size):
    """False for what shows no bytes though it should: a dynamic large object whose segments are lost, or not yet listed."""
    return size is None or size > 0 or digest.is_of_nothing


def _read_all(source, length):
    content = bytearray()
    while len(content) < length:
        block = source.read(min(READ_SIZE, length - len(content)))
        if not block:
            raise errors.SizeInvalid()
        content += block
    return bytes(content)


class Verified:
    """A file of `length` bytes that raises `DigestInvalid` instead of giving its last block, if the digest is wrong."""

    def __init__(self, source, digest, length):
        self._source, self._digest, self._left = source, digest, length
        self._hasher = digest.hasher()

    def read(self, size=READ_SIZE):
        if not self._left:
            return b''
        block = self._source.read(min(size, self._left))
        if not block:
            raise errors.SizeInvalid()
        self._hasher.update(block)
        self._left -= len(block)
        if not self._left and not self._digest.matches(self._hasher):
            raise errors.DigestInvalid(detail=str(self._digest))
        return block

    def drain(self):
        """Read to the end, for the verdict alone."""
        while self.read():
            pass
