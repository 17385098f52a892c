"""Files that the bytes of a blob pass through while the registry reads them."""

import collections
import hashlib
from collections.abc import Iterable, Iterator

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors
from docker_registry.v2.registry.hashing import Hashing
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Part, Source, Storage, Stream

READ_SIZE = 256 * 1024


def read_all(source: Source, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        block = source.read(min(READ_SIZE, length - len(content)))
        if not block:
            raise errors.SizeInvalid()
        content += block
    return bytes(content)


class Verified:
    """A file of `length` bytes that verifies its digest.

    If the digest is wrong, `read` raises `DigestInvalid` instead of returning the last block.
    """

    def __init__(self, source: Source, digest: Digest, length: int):
        self._source, self._digest, self._left = source, digest, length
        self._hashing = Hashing(digest.hasher())

    def read(self, size: int = READ_SIZE) -> bytes:
        if not self._left:
            return b''
        block = self._source.read(min(size, self._left))
        if not block:
            raise errors.SizeInvalid()
        self._hashing.update(block)
        self._left -= len(block)
        if not self._left and not self._digest.matches(self._hashing.finished()):
            raise errors.DigestInvalid(detail=str(self._digest))
        return block

    def drain(self) -> None:
        """Read to the end, only to verify the digest."""
        while self.read():
            pass


class Chained:
    """A file that consists of some bytes and then the content of another file."""

    def __init__(self, start: bytes, source: Source):
        self._start, self._source = start, source

    def read(self, size: int = READ_SIZE) -> bytes:
        if not self._start:
            return self._source.read(size)
        block, self._start = self._start[:size], self._start[size:]
        return block


class Hashed:
    """A file that hashes and counts the bytes that are read from it, except the first `skip` bytes, which are hashed already."""

    def __init__(self, source: Source, hasher, skip: int = 0):
        self._source, self._skip = source, skip
        self._hashing = hasher and Hashing(hasher)
        self.count = 0

    def read(self, size: int = READ_SIZE) -> bytes:
        block = self._source.read(size)
        new = block[self._skip :]
        self._skip -= len(block) - len(new)
        self.count += len(new)
        if self._hashing:
            self._hashing.update(new)
        return block

    def hasher(self):
        """Return the hash object, with all bytes that were read, or None."""
        return self._hashing and self._hashing.finished()

    def read_up_to(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end of the file."""
        content = b''
        while len(content) < size:
            block = self.read(size - len(content))
            if not block:
                break
            content += block
        return content


class Joined:
    """A file that consists of stored parts, in order. `read` raises `UploadUnknown` if a part is missing or has another size.

    :param compared: whether to compare the MD5 of each part, too; needless if the caller verifies the digest of all
    """

    def __init__(self, storage: Storage, parts: Iterable[Part], compared: bool = False):
        self._storage = storage
        self._parts = collections.deque(parts)
        self._compared = compared
        self._opened: Stream | None = None
        self._stream: Iterator[bytes] = iter(())
        self._block = b''

    def read(self, size: int = READ_SIZE) -> bytes:
        while not self._block:
            self._block = next(self._stream, b'')
            if not self._block:
                if not self._parts:
                    return b''
                part = self._parts.popleft()
                self._opened = self._open(part)
                self._stream = _compared(self._opened, part.etag) if self._compared else self._opened
        block, self._block = self._block[:size], self._block[size:]
        return block

    def close(self) -> None:
        """Call this if the file is not read to its end."""
        if self._opened is not None:
            self._opened.close()

    def _open(self, part: Part) -> Stream:
        try:
            stream = self._storage.stream_read(part.path, newest=False)
        except exceptions.FileNotFoundError:
            raise errors.UploadUnknown(detail='parts of the upload are missing')
        if stream.size != part.size:
            stream.close()
            raise errors.UploadUnknown(detail='parts of the upload have changed')
        return stream


def _compared(stream: Stream, etag: str) -> Iterator[bytes]:
    hasher = hashlib.md5(usedforsecurity=False)
    for block in stream:
        hasher.update(block)
        yield block
    if hasher.hexdigest() != etag:
        raise errors.UploadUnknown(detail='parts of the upload have changed')
