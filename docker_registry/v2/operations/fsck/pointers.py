"""What the tags point to: one GET for each."""

from typing import NamedTuple

from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.registry import errors, layout, names
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat


class Pointer(NamedTuple):
    """The pointer of a tag. `digest` is None if its content is no digest. `unknown` is why it could not be read, or ''."""

    repository: int
    tag: str
    digest: Digest | None
    stat: Stat | None
    unknown: str = ''


def read_all(facts: Facts, looks: Looks, together: Together) -> list[Pointer]:
    """Return all tags that exist, and note in the database what they point to."""
    rows = facts.ask('SELECT repository, tag FROM tag WHERE repository IN scope ORDER BY repository, tag')

    def read(row: tuple[int, str]) -> Pointer | None:
        try:
            return _read(facts.repositories[row[0]], looks, *row)
        except NotKnown as error:
            return Pointer(*row, None, None, str(error))

    with together.each(read, rows) as found:
        pointers = [pointer for pointer in found if pointer]
    facts.db.executemany(
        'INSERT OR REPLACE INTO pointer VALUES (?, ?, ?)',
        [(pointer.repository, pointer.tag, str(pointer.digest)) for pointer in pointers if pointer.digest],
    )
    return pointers


def _read(name: str, looks: Looks, repository: int, tag: str) -> Pointer | None:
    """Return a tag as it is now, or None if it is gone."""
    found = looks.content(layout.tag_current(name, tag))
    return found and Pointer(repository, tag, digest_in(found[0]), found[1])


def digest_in(content: bytes) -> Digest | None:
    try:
        return names.digest(content.decode('ascii').strip())
    except (ValueError, errors.DigestInvalid):
        return None
