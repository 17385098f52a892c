"""What an import has done, kept in the container: so a run goes on where another ended, and does nothing twice.

A memo about a layer is written after its blob. So after a crash it may be missing, and the work is done again; none is there without its
blob, as long as nobody deletes that. A memo about a tag is written before the tag, so that the next run knows its own tag from one that
somebody has pushed; and again after it.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.absence import CONTRADICTION, listed

VERSION = 1  # of what an import makes of an image. A memo of another version counts as none


@dataclass(frozen=True)
class Layer:
    """What the layer of a v1 image has become.

    :param digest: of the blob; '' if the layer has no files, so that no blob is needed
    :param size: bytes of the blob
    :param kind: how it is compressed: `gzip`, or `tar` if it is not
    :param diff_id: the digest of the archive inside
    :param repository: where the blob was linked first
    :param history: see `images.history`
    :param is_linked: the blob consists of the bytes of the v1 registry
    :param remarks: what an operator should know
    :param parent: the id of the image below, as the image's json has it; '' if it has none
    :param is_other: it does not match its checksum, and the operator wanted it all the same
    """

    image: str
    digest: str
    size: int
    kind: str
    diff_id: str
    repository: str
    history: dict[str, Any]
    is_linked: bool = False
    remarks: list[str] = field(default_factory=list)
    parent: str = ''
    is_other: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.digest


@dataclass(frozen=True)
class Rejected:
    """A layer that was read, and cannot be imported: it has not to be read again as long as it is the same object.

    :param etag: of the object
    """

    image: str
    why: str
    etag: str


@dataclass(frozen=True)
class Tagged:
    """A tag of a v1 repository that is imported.

    :param image: the image that it named then
    :param target: the new repository and the new tag
    :param digest: of the manifest
    :param before: to which the new tag pointed before, '' if there was none
    :param is_done: the tag was written. If not, it may still be as before
    """

    image: str
    target: str
    digest: str
    before: str = ''
    is_done: bool = False

    def knows(self, digest: str) -> bool:
        """Return whether the new tag points to this digest because of an import: nobody has pushed it since."""
        return digest == self.digest or (not self.is_done and digest == self.before)


class Memo:
    """The memos about one v1 registry.

    :param storage: the registry's driver
    """

    def __init__(self, storage: Any, tree: Tree):
        self._storage = storage
        self._source = str(tree)

    def layer(self, image: str) -> Layer | Rejected | None:
        found = self._read(layout.imported('layers', self._source, image))
        try:
            return (Rejected if 'why' in found else Layer)(**found) if found else None
        except TypeError:
            return None

    def write_layer(self, layer: Layer | Rejected) -> None:
        self._write(layout.imported('layers', self._source, layer.image), asdict(layer))

    def tagged(self, path: str) -> Tagged | None:
        """:param path: of the tag in the v1 registry"""
        found = self._read(layout.imported('tags', self._source, path))
        try:
            return Tagged(*(found[name] for name in ('image', 'target', 'digest', 'before', 'is_done'))) if found else None
        except KeyError:
            return None

    def require_none(self, path: str) -> None:
        """Return if there is no memo about a tag. It costs one request.

        :raises Unavailable: Swift did not find the memo, but lists it
        """
        memo = layout.imported('tags', self._source, path)
        if listed(self._storage, memo):
            raise errors.Unavailable(f'{CONTRADICTION}: {memo}')

    def write_tagged(self, path: str, tagged: Tagged) -> None:
        self._write(layout.imported('tags', self._source, path), asdict(tagged) | {'from': f'{self._source}/{path}'})

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._storage.get_content(path, newest=True))
        except (exceptions.FileNotFoundError, ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or found.pop('version', None) != VERSION:
            return None
        return found

    def _write(self, path: str, document: dict[str, Any]) -> None:
        self._storage.replace(path, json.dumps({'version': VERSION} | document).encode())
