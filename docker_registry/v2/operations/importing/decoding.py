"""Takes layers out of their compression, a piece at a time.

Docker sent layers as gzip, mostly, and as plain tar, bzip2 or xz. It told them by their first bytes, as this does:
https://github.com/moby/moby/blob/v1.10.0/pkg/archive/archive.go, DetectCompression.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from docker_registry.v2.operations.importing.problems import Skipped

PIECE = 256 * 1024  # bytes that a decoder returns at a time; of a few bytes, compression can make gigabytes
LONGEST_MAGIC = 6
MOST_MEMORY = 128 * 1024**2  # bytes for the dictionary of xz; `xz -9` takes half of it

GZIP, TAR, BZIP2, XZ = 'gzip', 'tar', 'bzip2', 'xz'
_MAGIC = {b'\x1f\x8b\x08': GZIP, b'BZh': BZIP2, b'\xfd7zXZ\x00': XZ}
_ZSTD = b'\x28\xb5\x2f\xfd'


class Damaged(Exception):
    """The compressed bytes end too early, or are none. All pieces before the damage were returned."""


class Decoder(Protocol):
    """Takes the bytes of a layer as they come."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the bytes contain, in pieces of at most `PIECE` bytes.

        :raises Damaged: they are not what they should be
        """
        ...

    def end(self) -> None:
        """:raises Damaged: bytes are missing at the end"""
        ...


def kind_of(start: bytes) -> str:
    """Return the compression of a layer that begins with these bytes: `GZIP`, `TAR`, `BZIP2` or `XZ`.

    :raises Skipped: it is one that the v1 registry's clients did not know
    """
    if start.startswith(_ZSTD):
        raise Skipped('its layer is compressed with zstd, which no client of a v1 registry could read')
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), TAR)


def decoder(kind: str) -> Decoder:
    if kind == GZIP:
        return _Gzip()
    return _Plain() if kind == TAR else _Streams(kind)


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        pass


class _Gzip:
    """Reads all members of a gzip file, one after the other. If it is damaged, every byte before the damage still comes out."""

    def __init__(self) -> None:
        self._member, self._has_begun = _member(), False

    def feed(self, data: bytes) -> Iterator[bytes]:
        may_have_more = False
        while data or may_have_more:
            before = self._member.copy()
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error as error:
                yield from _before_damage(before, data)
                raise Damaged(f'its gzip is damaged ({error})')
            self._has_begun = True
            may_have_more = len(piece) == PIECE  # without more input
            if piece:
                yield piece
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member, self._has_begun, may_have_more = _member(), False, False

    def end(self) -> None:
        if self._has_begun:
            raise Damaged('its gzip ends too early')


def _member() -> Any:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _before_damage(member: Any, data: bytes) -> Iterator[bytes]:
    """Yield what comes out before the error. A call that raises returns nothing, so feed the bytes one by one."""
    for at in range(len(data)):
        try:
            piece = member.decompress(data[at : at + 1])
        except zlib.error:
            return
        if piece:
            yield piece


class _Streams:
    """Reads all streams of an xz or bzip2 file, one after the other."""

    def __init__(self, kind: str):
        self._kind = kind
        self._stream: Any = None

    def _new(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, MOST_MEMORY) if self._kind == XZ else bz2.BZ2Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream is None:
                data = data.lstrip(b'\0') if self._kind == XZ else data  # between streams there may be padding
                if not data:
                    return
                self._stream = self._new()
            try:
                piece = self._stream.decompress(data, PIECE)
            except (lzma.LZMAError, OSError, ValueError) as error:
                raise Damaged(f'its {self._kind} is damaged ({error})')
            data = b''
            if piece:
                yield piece
            if self._stream.eof:
                data, self._stream = self._stream.unused_data, None
            elif self._stream.needs_input:
                return

    def end(self) -> None:
        if self._stream is not None:
            raise Damaged(f'its {self._kind} ends too early')
