"""What an operator sees of the trash, and does with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docker_registry.v2.operations.collection.work import digest_of
from docker_registry.v2.registry import layout, listed, trash
from docker_registry.v2.registry.trash import Trash


@dataclass(frozen=True)
class Entry:
    """Something in the trash: the data of a blob, or the link of a layer in a repository.

    :param size: bytes of the data; None for a link
    :param at: when it was deleted, by Swift's clock, in seconds since the epoch
    """

    kind: str
    digest: str
    run: str
    state: str
    at: float
    size: int | None = None
    repository: str | None = None


def entries(storage: Any) -> Iterator[Entry]:
    """Yield what is in the trash, as the listing shows it."""
    for stat in storage.walk(layout.TRASH):
        name = listed.parsed(stat.path)
        if name.kind == 'trash_record':
            record = trash.read_record(storage, digest_of(name.values[0]))
            if record:
                yield Entry('blob', name.values[0], record.run, record.state, stat.last_modified or 0, record.size)
        elif name.kind == 'trash_names':
            for digest, gone in trash.names_at(storage, stat.path).layers.items():
                yield Entry('link', digest, gone.run, trash.TRASHED, gone.at, None, name.repository)


def restore(storage: Any, digests: set[str], run: str | None = None) -> tuple[list[Entry], list[Entry]]:
    """Put back blobs by their digests, or all that one run deleted. Return (what was put back, what could not be).

    Records stay until a later collection finds that all is well.
    """
    there = Trash(storage)
    done: list[Entry] = []
    failed: list[Entry] = []
    for entry in entries(storage):
        if entry.digest not in digests and entry.run != run:
            continue
        digest = digest_of(entry.digest)
        is_back = there.restore_data(digest) if entry.kind == 'blob' else there.restore_link(entry.repository or '', digest)
        (done if is_back else failed).append(entry)
    if run:
        _restore_others(storage, run)
    return done, failed


def _restore_others(storage: Any, run: str) -> None:
    for stat in storage.walk(layout.TRASHED_NAMES):
        for path, gone in trash.names_at(storage, stat.path).others.items():
            if gone.run == run:
                if not storage.exists(path, newest=True):
                    storage.replace(path, (gone.content or '').encode())
