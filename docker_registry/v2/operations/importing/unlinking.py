"""Copies the layers that `import-v1 --link` has linked, so that the v1 registry's tree can be deleted. Swift copies what it can."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing import originals
from docker_registry.v2.operations.importing.memo import Layer, Memo
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.storing import Storing
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.registry import layout, names, trash
from docker_registry.v2.registry.absence import listed
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.names import Digest

_HELD = re.compile(r'images/([^/]+)/layer')
_WHY = re.compile(r'(sha256:[0-9a-f]{64}) below (.*)\n')


@dataclass(frozen=True)
class Unlinked:
    """What has become of a layer that was held.

    :param size: bytes that Swift copied; 0 if nothing needed them any more
    :param why: it is still held
    """

    image: str
    size: int
    why: str = ''


class Unlinking:
    """Goes through all layers of a v1 registry in the container of the registry that are held."""

    def __init__(self, domain: Domain, tree: Tree):
        self._storage: Any = domain.storage
        self._tree, self._memo = tree, Memo(domain.storage, tree)
        self._storing = Storing(domain, tree, is_here=True, link=False)
        self._v1: Any = self._storage.at(tree.root)
        self._root = self._storage.identity()[-1]

    def held(self) -> list[str]:
        """Return the ids of the images whose layers are held, as far as a listing shows them."""
        return [match[1] for path in self._v1.held() if (match := _HELD.fullmatch(path))]

    def run(self, images: Iterable[str]) -> Iterator[Unlinked]:
        """Copy what is linked of images that are held, layer by layer."""
        for image in images:
            try:
                yield Unlinked(image, self._unlink(image))
            except Skipped as why:
                yield Unlinked(image, 0, str(why))

    def _unlink(self, image: str) -> int:
        path = self._tree.layer(image)
        why = self._v1.why_held(path)
        digest = self._digest(why)
        original = originals.look(self._tree, image)
        own = {self._storing.full_name(self._tree.root, part.path): part.etag for part in original.parts or ()}
        linked = self._linked(digest)
        size = original.size if own.keys() & linked.keys() else 0
        if size and own != linked:
            raise Skipped(f'the layer has changed since it was linked, so {digest} is damaged')
        if size:
            self._storing.copy_over(digest, original)
        elif trash.read_record(self._storage, digest):
            raise Skipped(f'{digest} is in the trash, and may come back. Run registry-swift gc until it is gone for good')
        layer = self._memo.layer(image)
        if isinstance(layer, Layer):
            self._memo.write_layer(replace(layer, is_linked=False))
        self._v1.release(path)
        if own.keys() & self._linked(digest).keys():
            self._v1.hold(path, why)
            raise Skipped('an import with --link needs it again. Run this when that has ended')
        return size

    def _digest(self, why: str) -> Digest:
        """Return the blob for which a layer is held."""
        match = _WHY.fullmatch(why)
        if not match or match[2] != (self._root or '/'):
            raise Skipped('it is held for another registry')
        return names.digest(match[1])

    def _linked(self, digest: Digest) -> dict[str, str]:
        """Return the objects of which a blob consists, by their names from the container's root, with the ETags that they had.

        :raises Skipped: Swift does not find the blob, but lists it
        """
        path = layout.blob(digest)
        try:
            parts = self._storage.at('').parts_of(self._storing.full_name(self._root, path))
        except exceptions.FileNotFoundError:
            if listed(self._storage, path):
                raise Skipped(f'Swift lists {digest} and cannot find it at the moment. Run this again later')
            return {}
        except exceptions.WrongArgumentsError:  # no import has composed it
            return {}
        return {part.path: part.etag for part in parts}
