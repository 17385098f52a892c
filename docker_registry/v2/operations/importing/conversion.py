"""Makes a blob of the layer of a v1 image. The layer is read once; if its gzip is damaged at the end, twice."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker_registry.v2.operations.importing import images, originals
from docker_registry.v2.operations.importing.decoding import BZIP2, GZIP, LONGEST_MAGIC, TAR, XZ, kind_of
from docker_registry.v2.operations.importing.examining import Examination, Examined, Repacked
from docker_registry.v2.operations.importing.memo import Layer, Memo, Rejected
from docker_registry.v2.operations.importing.originals import Original
from docker_registry.v2.operations.importing.problems import Skipped, Unusable
from docker_registry.v2.operations.importing.storing import Storing, new_segments
from docker_registry.v2.operations.importing.tree import Image, Tree
from docker_registry.v2.registry.blobs import SMALL
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sources import Chained, Hashed
from docker_registry.v2.registry.storage import Part, Source

NOT_CHECKED = 'the v1 registry has no checksum of its bytes'
TARSUM = 'tarsum'  # begins checksums of the files, which docker before 0.10 sent
SHA256 = 'sha256:'


@dataclass
class Read:
    """A layer that was read.

    :param digest: of the bytes that become the blob, `size` of them
    :param content: these bytes, if they are few
    :param written: segments that hold them, if they could not stay as they were
    """

    kind: str
    diff_id: str
    digest: Digest
    size: int
    examination: Examination
    content: bytes | None = None
    written: list[Part] | None = None


class Conversion:
    """Converts layers. Threads share it.

    :param storage: the driver of the registry
    :param advance: called with the number of bytes that were read; it may raise to end everything
    :param ignore_checksums: a layer that does not match its checksum gets a remark
    """

    def __init__(
        self, storage: Any, tree: Tree, memo: Memo, storing: Storing, advance: Callable[[int], object], ignore_checksums: bool = False
    ):
        self._storage, self._tree, self._memo, self._storing, self._advance = storage, tree, memo, storing, advance
        self._ignore_checksums = ignore_checksums

    def run(self, image: str, repository: str, rejected: Rejected | None = None) -> Layer:
        """Store the layer of an image as a blob of a repository, unless it has no files. Keep a memo of it.

        :param rejected: what the memo says of an earlier attempt
        :raises Skipped: the image is not whole
        """
        found, original = require_whole(self._tree, image, rejected)
        try:
            layer = self._converted(found, original, repository)
        except Unusable as why:
            if original.etag:
                self._memo.write_layer(Rejected(image, str(why), original.etag))
            raise
        self._memo.write_layer(layer)
        return layer

    def _converted(self, found: Image, original: Original, repository: str) -> Layer:
        image = found.id
        stated = self._tree.checksums(image)
        read = self._read(original, found)
        try:
            remarks = _require_usable(image, read.examination) + self._compared(image, stated, read.examination)
            if read.examination.damage:
                self._storing.discard(read.written)
                read = self._read(original, found, read.examination.archive.end)
                _require_same(image, read)
            is_empty = not read.examination.archive.entries
        except Skipped:
            self._storing.discard(read.written)
            raise
        about: dict[str, Any] = {
            'image': image,
            'repository': repository,
            'history': images.history(found.document, is_empty),
            'remarks': remarks,
            'parent': str(found.document.get('parent') or ''),
            'is_other': _is_other(stated, read.examination),
        }
        if is_empty:
            self._storing.discard(read.written)
            return Layer(digest='', size=0, kind=TAR, diff_id='', **about)
        is_linked = self._store(repository, original, read)
        return Layer(digest=str(read.digest), size=read.size, kind=read.kind, diff_id=read.diff_id, is_linked=is_linked, **about)

    def _read(self, original: Original, image: Image, kept: int | None = None) -> Read:
        """:param kept: see `Repacked`"""
        with originals.reading(self._tree, original) as opened:
            source = _Counted(opened, self._advance)
            start = Hashed(source, None).read_up_to(LONGEST_MAGIC)
            kind = kind_of(start)
            examination = Examination(kind, image.content)
            whole = Chained(start, source)
            repacked = Repacked(whole, examination, kept) if kept is not None or kind in (BZIP2, XZ) else None
            out = Hashed(repacked or Examined(whole, examination), hashlib.sha256())
            content, written = self._taken(original, out, repacked is not None)
        examination.finish()
        return Read(
            kind=GZIP if repacked else kind,
            diff_id=repacked.diff_id if repacked else examination.diff_id,
            digest=Digest('sha256', out.hasher().hexdigest()),
            size=out.count,
            examination=examination,
            content=content,
            written=written,
        )

    def _taken(self, original: Original, out: Hashed, is_repacked: bool) -> tuple[bytes | None, list[Part] | None]:
        """Read a layer to its end. Return its bytes if they are few, and the segments in which they were stored, if they had to be."""
        head = out.read_up_to(SMALL + 1)
        if len(head) <= SMALL:
            return head, None
        if self._storing.needs_bytes(original) or is_repacked:
            return None, list(self._storage.write_parts(new_segments(), Chained(head, out)))
        while out.read():
            pass
        return None, None

    def _compared(self, image: str, stated: list[str], examination: Examination) -> list[str]:
        """Return a remark about a layer, if its checksum does not prove that it is what was pushed.

        :raises Unusable: it is something else
        """
        if examination.checksum in stated:
            return []
        if _is_other(stated, examination):
            first = next(checksum for checksum in stated if checksum.startswith(SHA256))
            text = f'the layer of image {image} does not match its checksum: it is {examination.checksum} instead of {first}'
            if not self._ignore_checksums:
                raise Unusable(f'{text}. --ignore-checksums imports it all the same')
            return [text]
        tarsum = next((checksum for checksum in stated if checksum.startswith(TARSUM)), None)
        return [f'its checksum is of a kind that was not compared ({tarsum.partition(":")[0]})' if tarsum else NOT_CHECKED]

    def _store(self, repository: str, original: Original, read: Read) -> bool:
        """Return whether the blob consists of the bytes of the v1 registry."""
        if read.content is not None:
            self._storing.store_bytes(repository, read.digest, read.content)
            return False
        if read.written is not None:
            self._storing.store_written(repository, read.digest, read.written)
            return False
        return self._storing.store_original(repository, read.digest, original)


def require_whole(tree: Tree, image: str, rejected: Rejected | None = None) -> tuple[Image, Original]:
    """Return an image and its layer, of which nothing was read yet.

    :param rejected: what the memo says of an earlier attempt
    :raises Skipped: it is clear already that the image cannot be imported
    """
    found = tree.image(image)
    if tree.is_in_progress(image):
        raise Skipped(f'image {image} is incomplete: its upload has not ended (_inprogress)')
    original = originals.look(tree, image)
    if rejected and rejected.etag == original.etag:
        raise Skipped(rejected.why)
    return found, original


class _Counted:
    """A file that tells how much of it is read."""

    def __init__(self, source: Source, advance: Callable[[int], object]):
        self._source, self._advance = source, advance

    def read(self, size: int = originals.READ_SIZE) -> bytes:
        block = self._source.read(size)
        self._advance(len(block))
        return block


def _require_usable(image: str, examination: Examination) -> list[str]:
    """Return a remark about a layer, if it is damaged where nobody needs it.

    :raises Unusable: no client could ever unpack it
    """
    archive = examination.archive
    if examination.damage and (archive.problem or archive.end is None):
        raise Unusable(f'the layer of image {image} is damaged: {examination.damage}')
    if archive.problem:
        raise Unusable(f'the layer of image {image} is damaged: {archive.problem}')
    return [f'{examination.damage}; its files are whole, so it was compressed again'] if examination.damage else []


def _is_other(stated: list[str], examination: Examination) -> bool:
    """Return whether there is a checksum that a layer does not match."""
    return examination.checksum not in stated and any(checksum.startswith(SHA256) for checksum in stated)


def _require_same(image: str, read: Read) -> None:
    """:raises Unusable: the second reading found less than the first"""
    if read.examination.archive.end is None:
        raise Unusable(f'the layer of image {image} was read twice, and was not the same')
