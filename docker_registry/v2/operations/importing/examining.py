"""Reads a layer once: its checksum, the digest of the archive inside, and, if clients cannot read its compression, gzip instead."""

import hashlib
import zlib
from collections.abc import Iterator

from docker_registry.v2.operations.importing.archive import END, Archive
from docker_registry.v2.operations.importing.decoding import Damaged, decoder
from docker_registry.v2.registry.storage import Source

READ_SIZE = 256 * 1024
#: Bytes that are taken out of their compression before the next ones: a few of them can be many gigabytes, even as gzip.
READ_SIZE_PACKED = 16 * 1024
LEVEL = 6  # of gzip


class Examination:
    """What a layer is. Feed it all stored bytes, then call `finish`.

    :param kind: see `decoding.kind_of`
    :param document: the image's json, of which the v1 registry made a checksum together with the layer
    """

    def __init__(self, kind: str, document: bytes):
        self.archive = Archive()
        self.damage: str | None = None
        self._decoder = decoder(kind)
        self._tar = hashlib.sha256()
        self._checksum = hashlib.sha256(document + b'\n')

    @property
    def diff_id(self) -> str:
        """The digest of the archive inside, as the configuration of an image has it."""
        return f'sha256:{self._tar.hexdigest()}'

    @property
    def checksum(self) -> str:
        """The checksum in the form in which the v1 registry keeps it."""
        return f'sha256:{self._checksum.hexdigest()}'

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces of the archive that the bytes contain. Take all of them."""
        self._checksum.update(data)
        if self.damage is None:
            yield from self._pieces(data)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            for piece in self._decoder.feed(data):
                self._tar.update(piece)
                self.archive.feed(piece)
                yield piece
        except Damaged as damage:
            self.damage = str(damage)

    def finish(self) -> None:
        if self.damage is None:
            try:
                self._decoder.end()
            except Damaged as damage:
                self.damage = str(damage)
        self.archive.finish()


class Examined:
    """A file with the bytes of a layer as they are stored. Whatever is read of it is examined."""

    def __init__(self, source: Source, examination: Examination):
        self._source, self._examination = source, examination

    def read(self, size: int = READ_SIZE) -> bytes:
        block = self._source.read(size)
        for _ in self._examination.feed(block):
            pass
        return block


class Repacked:
    """A file with the archive of a layer as gzip. The same archive gives the same bytes: the header has no time and no name.

    :param kept: bytes of the archive that are kept; the end of an archive follows them. None keeps all
    """

    def __init__(self, source: Source, examination: Examination, kept: int | None = None):
        self._source, self._examination, self._left = source, examination, kept
        self._gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._tar = hashlib.sha256()
        self._ready = bytearray()
        self._has_ended = False

    @property
    def diff_id(self) -> str:
        return f'sha256:{self._tar.hexdigest()}'

    def read(self, size: int = READ_SIZE) -> bytes:
        while len(self._ready) < size and not self._has_ended:
            block = self._source.read(READ_SIZE_PACKED)
            for piece in self._examination.feed(block):
                self._add(piece)
            if not block:
                self._end()
        block, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return block

    def _add(self, piece: bytes) -> None:
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        self._tar.update(piece)
        self._ready += self._gzip.compress(piece)

    def _end(self) -> None:
        if self._left is not None:
            self._tar.update(END)
            self._ready += self._gzip.compress(END)
        self._ready += self._gzip.flush()
        self._has_ended = True
