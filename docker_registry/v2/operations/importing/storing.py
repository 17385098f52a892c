"""Stores layers as blobs, as a push would: the data first, then the link.

Large layers move no bytes through this process if Swift can do without: it copies their objects, or a blob is composed of them (`link`).
"""

import secrets
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing import originals
from docker_registry.v2.operations.importing.originals import Original
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Part
from docker_registry.v2.registry.uploads import StoredPart

#: Bytes of the largest object that Swift is asked to copy. It answers when it has the whole copy, and a driver waits for two minutes.
MOST_COPIED = 256 * 1024**2
COPIES = 4  # that a layer asks for at a time: each takes a connection until Swift has the whole copy


class Storing:
    """Writes blobs of layers, and the links of repositories. Threads share it.

    :param is_here: the v1 registry is in the same container
    :param link: compose blobs of the objects of the v1 registry
    """

    def __init__(self, domain: Domain, tree: Tree, is_here: bool, link: bool):
        self._blobs, self._storage, self._tree = domain.blobs, domain.storage, tree
        self._together, self._is_here, self._link = Together(2 * COPIES), is_here, link
        self._container: Any = domain.storage.at('') if is_here else None
        self._root = domain.storage.identity()[-1]
        self._below = f' below {self._root or "/"}'
        self._lock = threading.Lock()
        self._first: dict[Digest, str] = {}  # where each blob was stored in this run
        self._linked: set[tuple[str, Digest]] = set()

    def are_any_held(self) -> bool:
        """Return whether layers of the v1 registry must stay, as far as a listing shows."""
        return self._is_here and any(True for _ in self._container.at(self._tree.root).held())

    def needs_bytes(self, original: Original) -> bool:
        """Return whether the bytes of a layer must pass through this process to be stored."""
        if not self._is_here or not original.parts:
            return True
        return not self._link and _is_large(original)

    # Blobs

    def store_bytes(self, repository: str, digest: Digest, content: bytes) -> None:
        self._blobs.store_bytes(repository, digest, content)
        self._note(repository, digest)

    def store_written(self, repository: str, digest: Digest, parts: list[Part]) -> None:
        if self.has(repository, digest):
            self.discard(parts)  # no blob has ever named them
        else:
            self._blobs.store_parts(repository, digest, parts)
            self._note(repository, digest)

    def store_original(self, repository: str, digest: Digest, original: Original) -> bool:
        """Return whether the blob consists of the objects of the v1 registry now.

        :raises Skipped: the layer has changed since it was read
        """
        if self.has(repository, digest):
            return self._link and self._container.at(self._tree.root).is_held(self._tree.layer(original.image))
        try:
            if self._link:
                self._compose(repository, digest, original)
            else:
                self._blobs.store_parts(repository, digest, self._copied(original.parts or ()))
        except (exceptions.FileNotFoundError, errors.UploadUnknown):
            raise Skipped(f'the layer of image {original.image} was changed while it was imported. Run this again')
        self._note(repository, digest)
        return self._link

    def _compose(self, repository: str, digest: Digest, original: Original) -> None:
        """Make a blob of the objects of the v1 registry. Before that, everybody learns that they must stay.

        An object of this name that no link proves is overwritten: it has these bytes, or none that anybody can use.

        :raises Skipped: there is another registry in the container that has linked the layer, and there is room for one name only
        """
        v1, layer, why = self._container.at(self._tree.root), self._tree.layer(original.image), f'{digest}{self._below}\n'
        if not (_why_held(v1, layer) or why).endswith(f'{self._below}\n'):
            raise Skipped(f'another registry in the container has linked the layer of image {original.image}. Import it without --link')
        v1.hold(layer, why)
        self._container.compose(self.full_name(self._root, layout.blob(digest)), [self._whole(part) for part in original.parts or ()])
        v1.hold(layer, why)  # `Unlinking` may have found no blob, and released the layer
        self._blobs.link(repository, digest, original.size)

    def copy_over(self, digest: Digest, original: Original) -> None:
        """Let a blob that is composed of the objects of the v1 registry consist of copies of them. Their ETags are compared.

        :raises Skipped: the layer has changed
        """
        try:
            self._storage.compose(layout.blob(digest), self._read(original) if _is_large(original) else self._copied(original.parts or ()))
        except exceptions.FileNotFoundError:
            raise Skipped(f'the layer of image {original.image} was changed while it was copied')

    def _read(self, original: Original) -> Sequence[Part]:
        """Copy a layer through this process. The bytes are compared with the ETags of its objects."""
        with originals.reading(self._tree, original) as source:
            return list(self._storage.write_parts(new_segments(), source))

    def _copied(self, parts: Sequence[StoredPart]) -> list[StoredPart]:
        """Let Swift copy the objects of a layer, if they have the ETags of what was read.

        :raises FileNotFoundError: one of them is gone, or is another one
        """
        segments = new_segments()
        copies = [StoredPart(self._storage.part_path(segments, number), part.size, part.etag) for number, part in enumerate(parts)]

        def copy(number: int) -> None:
            source, target = self._whole(parts[number]), self.full_name(self._root, copies[number].path)
            self._container.copy(source.path, target, etag=source.etag)

        self._together.map(copy, range(len(copies)))
        return copies

    def _whole(self, part: StoredPart) -> StoredPart:
        return StoredPart(self.full_name(self._tree.root, part.path), part.size, part.etag)

    @staticmethod
    def full_name(root: str, path: str) -> str:
        """Return the name of an object from the container's root."""
        return f'{root}/{path}'.lstrip('/')

    def discard(self, parts: Sequence[Part] | None) -> None:
        """Delete segments that no blob has ever named."""
        self._storage.remove_parts(parts or ())

    # Links

    def has(self, repository: str, digest: Digest, source: str | None = None) -> bool:
        """Link a blob to a repository, if it is stored for certain. Return whether it is.

        :param source: a repository that may have it
        """
        with self._lock:
            if (repository, digest) in self._linked:
                return True
            sources = [self._first.get(digest), source, repository]
        for known in [*dict.fromkeys(filter(None, sources)), None]:  # None: any other repository
            if self._blobs.mount(repository, digest, known) is not None:
                self._note(repository, digest)
                return True
        return False

    def _note(self, repository: str, digest: Digest) -> None:
        with self._lock:
            self._first.setdefault(digest, repository)
            self._linked.add((repository, digest))


def _is_large(original: Original) -> bool:
    """Return whether Swift would take too long to copy an object of a layer."""
    return any(part.size > MOST_COPIED for part in original.parts or ())


def _why_held(v1: Any, layer: str) -> str | None:
    try:
        return v1.why_held(layer)
    except exceptions.FileNotFoundError:
        return None


def new_segments() -> str:
    """Return a name for segments that no one else has."""
    return layout.segments(uuid.uuid4().hex, secrets.token_hex(4))
