"""The trash: what a collection deleted, and how to put it back.

Before a collection deletes the data of a blob or a small object such as a link, it writes a record here. As long as the record is there,
whoever misses the data or the link puts it back: Swift cannot delete on a condition, so a collection may delete what a client has just
begun to rely on. Nobody looks here as long as nothing is missing.
"""

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60  # how often a process looks whether the trash has anything, when a client asks for a blob that is not there
SMALL = 1024 * 1024  # bytes; a survey does not ask whether a smaller object has segments
TRASHED, PURGING = 'trash', 'purging'
PLAIN, STATIC, DYNAMIC, BROKEN = 'plain', 'static', 'dynamic', 'broken'


class Segment(NamedTuple):
    """A segment of a large object, as the driver's `compose` takes it. The path is below the storage's root, or `root`."""

    path: str
    size: int
    etag: str


@dataclass(frozen=True)
class Record:
    """How to put back the data of a blob.

    :param run: the collection that deleted it
    :param state: `TRASHED`, or `PURGING` if its segments are about to be deleted, so that it must not be put back any more
    :param kind: `PLAIN` (its bytes are beside the record), `STATIC` or `DYNAMIC` (`parts` has its segments; those of a dynamic object by
        their names from the container's root), `BROKEN` (segments are missing)
    :param size: bytes
    """

    run: str
    state: str
    kind: str
    size: int | None
    parts: list[Segment] = field(default_factory=list)


class Gone(NamedTuple):
    """A small object that a collection deleted: which collection, when by Swift's clock, and its content unless its name tells that."""

    run: str
    at: float
    content: str | None = None


class Trash:
    """The trash of one storage.

    Both ways to put something back raise `Unavailable` if the storage is that of a read-only registry.
    """

    def __init__(self, storage: Storage):
        self._storage = storage
        self.know(False)
        self._is_known = False

    def is_used(self) -> bool:
        """Return whether the trash has anything, as of a minute ago. It is believed to have nothing until `know` is called.

        So a push of new blobs costs no more requests. Use it only where a client sends again what is not found.
        """
        return self._is_used if time.monotonic() - self._looked <= LOOK_SECONDS else self.has_any()

    def has_any(self) -> bool:
        """Return whether the trash has anything, as of a minute ago. Use it only where a client that is refused can try again."""
        if not self._is_known or time.monotonic() - self._looked > LOOK_SECONDS:
            self.know(self.look())
        return self._is_used

    def look(self) -> bool:
        """Return whether the trash has anything now, as far as a listing shows it."""
        return bool(self._storage.list_page(layout.TRASH, limit=1, recursive=True))

    def know(self, is_used: bool) -> None:
        """Believe this for a minute."""
        self._looked, self._is_used, self._is_known = time.monotonic(), is_used, True

    def restore_link(self, repository: str, digest: Digest) -> bool:
        """Put back the link of a blob, if a collection deleted it. Return whether it did, or somebody else has done so meanwhile.

        The new link does not say that the registry has read the blob. So its readers look for the data.
        """
        gone = read_names(self._storage, repository, digest).layers.get(str(digest))
        if gone is None or self._is_withdrawn(repository, digest, gone):
            return False
        logger.info('%s is put back into %s from the trash', digest, repository)
        with _writing():
            # Without a condition: Swift would refuse it as long as a node that missed the DELETE still has the old link.
            self._storage.replace(layout.layer_link(repository, digest), str(digest).encode())
        return True

    def withdraw(self, repository: str, digest: Digest) -> bool:
        """A client deletes a blob from a repository: its link must not come back. Return whether it could have come back.

        The record of names stays as it is: only a collection may write it.
        """
        gone = read_names(self._storage, repository, digest).layers.get(str(digest))
        if gone is None or self._is_withdrawn(repository, digest, gone):
            return False
        self._storage.replace(layout.withdrawal(repository, digest), gone.run.encode())
        return True

    def _is_withdrawn(self, repository: str, digest: Digest, gone: Gone) -> bool:
        """Return whether a client has deleted the blob after this run had deleted its link. A later run may have deleted a new one."""
        try:
            return self._storage.get_content(layout.withdrawal(repository, digest), newest=True) == gone.run.encode()
        except exceptions.FileNotFoundError:
            return False

    def restore_data(self, digest: Digest) -> bool:
        """Put back the data of a blob, if a collection deleted it. Return whether it is there now. Nothing is overwritten."""
        record = read_record(self._storage, digest)
        if record is None or record.state != TRASHED or record.kind == BROKEN:
            return False
        with _writing():
            return put_back(self._storage, digest, record)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except errors.ReadOnly:
        raise errors.Unavailable('this is in the trash, and a read-only registry puts nothing back; use registry-swift trash restore')


def put_back(storage: Storage, digest: Digest, record: Record) -> bool:
    """Put back the data of a blob, whatever the state of its record. Return whether they are there now. Nothing is overwritten."""
    logger.info('the data of %s are put back from the trash', digest)
    try:
        if record.kind == PLAIN:
            storage.copy(layout.trashed_copy(digest), layout.blob(digest), new=True)
        elif record.kind == DYNAMIC:
            _put_back_dynamic(storage, digest, record)
        elif record.kind == STATIC:
            _compose(storage, layout.blob(digest), record.parts)
    except exceptions.FileNotFoundError:
        logger.warning('the trash has a record of %s, but not all its bytes any more', digest)
        return False
    return record.kind != BROKEN


def _put_back_dynamic(storage: Storage, digest: Digest, record: Record) -> None:
    """A small one comes back as a plain object: no listing would show that it is a large one."""
    whole = storage.at('')
    if (record.size or 0) <= SMALL:
        content = b''.join(whole.get_content(part.path, newest=True) for part in record.parts)
        if Digest.of(content, digest.algorithm) != digest:
            raise exceptions.FileNotFoundError(layout.blob(digest))
        if not storage.put_new(layout.blob(digest), content) and not storage.exists(layout.blob(digest), newest=True):
            storage.replace(layout.blob(digest), content)
    else:
        _compose(whole, '/'.join(filter(None, (storage.identity()[-1], layout.blob(digest)))), record.parts)


def _compose(storage: Storage, path: str, parts: list[Segment]) -> None:
    """Make a large object that is not there. A node that missed its deletion makes Swift say that it is, which a HEAD does not."""
    if not storage.compose(path, parts, new=True) and not storage.exists(path, newest=True):
        storage.compose(path, parts)


# Records of data


def read_record(storage: Storage, digest: Digest) -> Record | None:
    """Return the record of a blob, or None if the trash has none.

    :raises Damaged: what is there is no record
    """
    try:
        return record_of(storage.get_content(layout.trashed_blob(digest), newest=True))
    except exceptions.FileNotFoundError:
        return None


def record_of(content: bytes | str) -> Record:
    """:raises Damaged: the content is not that of a record"""
    try:
        fields = json.loads(content)
        return Record(**{**fields, 'parts': [Segment(*part) for part in fields['parts']]})
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Damaged(f'a record below {layout.TRASHED_BLOBS}')


def write_record(storage: Storage, digest: Digest, record: Record) -> None:
    storage.replace(layout.trashed_blob(digest), json.dumps(asdict(record) | {'parts': record.parts}).encode())


# Records of names


@dataclass
class Names:
    """The small objects that collections deleted from a repository, of one shard.

    :param layers: links of blobs, by digest
    :param others: other names, by path
    """

    layers: dict[str, Gone] = field(default_factory=dict)
    others: dict[str, Gone] = field(default_factory=dict)


def read_names(storage: Storage, repository: str, digest: Digest) -> Names:
    """Return what collections deleted from a repository, of the shard of a digest. It is empty if there is no record.

    :raises Damaged: what is there is no record
    """
    return names_at(storage, layout.trashed_names(repository, digest))


def names_at(storage: Storage, path: str) -> Names:
    """`read_names`, for the path of the record."""
    try:
        fields: Any = json.loads(storage.get_content(path, newest=True))
        return Names(*({name: Gone(*gone) for name, gone in fields[kind].items()} for kind in ('layers', 'others')))
    except exceptions.FileNotFoundError:
        return Names()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Damaged(path)


def write_names(storage: Storage, path: str, names: Names) -> None:
    """Replace a record. An empty one is deleted."""
    if names.layers or names.others:
        storage.replace(path, json.dumps(asdict(names)).encode())
    else:
        storage.discard(path)


class Damaged(exceptions.BrokenError):
    """Something in the trash is no record. The text names its path."""

    def __init__(self, path: str):
        super().__init__(path, message=f'{path} in the container is no record of the trash. Somebody else has written it; look at it')
