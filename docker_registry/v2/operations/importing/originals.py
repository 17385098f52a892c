"""The layers of a v1 registry as Swift has them: what they consist of, and whether Swift can make blobs of them without their bytes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.tree import MD5, Tree
from docker_registry.v2.registry import errors
from docker_registry.v2.registry.sources import Joined
from docker_registry.v2.registry.storage import Source
from docker_registry.v2.registry.trash import DYNAMIC, PLAIN
from docker_registry.v2.registry.uploads import StoredPart

READ_SIZE = 256 * 1024


@dataclass(frozen=True)
class Original:
    """A layer of a v1 registry.

    :param etag: of the object
    :param parts: the plain objects of which it consists, below the root of the registry. None if it is not known, or not so simple
    """

    image: str
    size: int
    etag: str
    parts: Sequence[StoredPart] | None


def look(tree: Tree, image: str) -> Original:
    """Return what Swift says of the layer of an image.

    :raises Skipped: it is missing, or has lost its segments
    :raises Unavailable: Swift does not find it, and may find it later
    """
    path = tree.layer(image)
    try:
        large, stat = tree.storage.large_object(path), tree.storage.stat(path, newest=True)
        size, etag = stat.size or 0, stat.etag or ''
        if large.kind == DYNAMIC:
            if not size:
                raise Skipped(f'the layer of image {image} has lost its segments, below {large.prefix}')
            return Original(image, size, etag, None)
        if large.kind == PLAIN:
            return Original(image, size, etag, [StoredPart(path, size, etag)] if MD5.fullmatch(etag) else None)
        return Original(image, size, etag, _parts(tree, path))
    except exceptions.FileNotFoundError:
        tree.require_absent(path)
        raise Skipped(f'the layer of image {image} is missing, or a segment of it: {path}')


def _parts(tree: Tree, path: str) -> Sequence[StoredPart] | None:
    try:
        return [StoredPart(*part) for part in tree.storage.parts_of(path)] or None
    except exceptions.WrongArgumentsError:  # it has segments in another container, for example
        return None


@contextlib.contextmanager
def reading(tree: Tree, original: Original) -> Iterator[Source]:
    """Give a file with the bytes of a layer. If its parts are known, each is compared with its MD5.

    :raises Skipped: in the block, from `read`: a part is missing, or somebody has written another one
    :raises Unavailable: likewise: Swift returned other bytes than it has stored, or may find a part later
    """
    path = tree.layer(original.image)
    opened: Any = None
    try:
        if original.parts:
            opened = Joined(tree.storage, original.parts, compared=True)
            yield opened
        else:
            opened = tree.storage.stream_read(path, newest=True)
            yield _Blocks(opened)
    except exceptions.FileNotFoundError:
        tree.require_absent(path)
        raise Skipped(f'the layer of image {original.image} is missing: {path}')
    except errors.UploadUnknown as error:
        _require_changed(tree, original)
        raise Skipped(f'the layer of image {original.image} is damaged in Swift, or somebody has just written it: {error.detail}')
    finally:
        if opened is not None:
            opened.close()


def _require_changed(tree: Tree, original: Original) -> None:
    """Return if a part that could not be read is not there any more, or is another one.

    :raises Unavailable: all are as they were, or Swift does not find one that it lists
    """
    for part in original.parts or ():
        try:
            stat = tree.storage.stat(part.path, newest=True)
        except exceptions.FileNotFoundError:
            tree.require_absent(part.path)
            return
        if (stat.size, stat.etag) != (part.size, part.etag):
            return
    raise errors.Unavailable(f'Swift returned other bytes of the layer of image {original.image} than it has stored')


class _Blocks:
    """A file with the blocks of a stream."""

    def __init__(self, stream: Iterator[bytes]):
        self._stream, self._block = stream, b''

    def read(self, size: int = READ_SIZE) -> bytes:
        if not self._block:
            self._block = next(self._stream, b'')
        block, self._block = self._block[:size], self._block[size:]
        return block
