"""What is known about the registry: a survey, the pointers of tags, and manifests that are read when they matter."""

import collections
import sqlite3
from collections.abc import Iterator

from docker_registry.v2.operations.fsck import images
from docker_registry.v2.operations.fsck.images import Image
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.registry import errors, layout, names
from docker_registry.v2.registry.manifests import LARGEST
from docker_registry.v2.registry.names import Digest

REMEMBERED = 1000  # manifests that are kept in memory

SCHEMA = """
CREATE TABLE IF NOT EXISTS pointer (repository INTEGER, tag TEXT, digest TEXT, PRIMARY KEY (repository, tag)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scope (repository INTEGER PRIMARY KEY);
CREATE INDEX IF NOT EXISTS pointer_digest ON pointer (repository, digest);
"""
MENTIONS = """
SELECT 1 FROM revision LEFT JOIN manifest ON manifest.digest = revision.digest WHERE repository = ? AND
(coalesce(state, 'missing') != 'read' OR EXISTS (SELECT 1 FROM reference WHERE manifest = revision.digest AND digest = ?)) LIMIT 1
"""


class Facts:
    """A survey, and more. The database belongs to the caller, and gets what is learnt and repaired.

    :param only: the name of the one repository to check; None checks all
    """

    def __init__(self, db: sqlite3.Connection, looks: Looks, only: str | None = None):
        self.db = db
        self._looks = looks
        self._images: collections.OrderedDict[Digest, Image | None] = collections.OrderedDict()
        db.executescript(SCHEMA)
        everything = dict(db.execute('SELECT id, name FROM repository ORDER BY name'))
        self.repositories: dict[int, str] = {id: name for id, name in everything.items() if only in (None, name)}
        self._names = everything
        db.executemany('INSERT OR IGNORE INTO scope VALUES (?)', [(id,) for id in self.repositories])

    def ask(self, sql: str, *values: object) -> list[tuple]:
        """Return all rows, so that the caller may change the tables while it goes through them."""
        return self.db.execute(sql, values).fetchall()

    def digests(self, sql: str, *values: object) -> Iterator[Digest]:
        """Yield the first column as digests, without those of an algorithm that this registry does not know."""
        for row in self.ask(sql, *values):
            digest = known(row[0])
            if digest:
                yield digest

    def has(self, table: str, digest: Digest, repository: int | None = None) -> bool:
        """Return whether the survey has a row of a digest. That is evidence; its absence is none."""
        if repository is None:
            return bool(self.ask(f'SELECT 1 FROM {table} WHERE digest = ?', str(digest)))
        return bool(self.ask(f'SELECT 1 FROM {table} WHERE digest = ? AND repository = ?', str(digest), repository))

    # Looking where the survey shows nothing

    def has_data(self, digest: Digest) -> bool:
        """:raises NotKnown: see `Looks.stat`"""
        return self.has('blob', digest) or self.look_for_data(digest)

    def look_for_data(self, digest: Digest) -> bool:
        """Ask Swift itself, and note what it says."""
        stat = self._looks.stat(layout.blob(digest))
        self.db.execute('DELETE FROM blob WHERE digest = ?', (str(digest),))
        if stat:
            self.db.execute('INSERT INTO blob VALUES (?, ?, ?, ?)', (str(digest), stat.size, stat.etag, stat.last_modified))
        return stat is not None

    def has_layer(self, repository: int, digest: Digest) -> bool:
        return self._has_link('layer', repository, digest, layout.layer_link(self.repositories[repository], digest))

    def has_revision(self, repository: int, digest: Digest) -> bool:
        return self._has_link('revision', repository, digest, layout.revision_link(self.repositories[repository], digest))

    def _has_link(self, table: str, repository: int, digest: Digest, path: str) -> bool:
        if self.has(table, digest, repository):
            return True
        stat = self._looks.stat(path)
        if stat:
            self.add(table, repository, digest, stat.last_modified)
        return stat is not None

    def add(self, table: str, repository: int, digest: Digest, modified: float | None = None) -> None:
        self.db.execute(f'INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)', (repository, str(digest), modified))

    def add_manifest(self, digest: Digest, image: Image | None) -> None:
        """Note what a manifest names that the survey has not read."""
        self._remember(digest, image)
        self.db.execute('INSERT OR REPLACE INTO manifest VALUES (?, ?)', (str(digest), 'read' if image else 'opaque'))
        named = {**{child.digest: None for child in image.children}, **image.blobs} if image else {}
        rows = [(str(digest), str(other), size) for other, size in named.items()]
        rows += [(str(digest), str(image.subject), None)] if image and image.subject else []
        self.db.executemany('INSERT OR IGNORE INTO reference VALUES (?, ?, ?)', rows)

    # Manifests

    def image(self, digest: Digest) -> Image | None:
        """Return what a stored manifest names. None if its bytes are missing or damaged, or are no manifest.

        :raises NotKnown: Swift could not be asked
        """
        if digest not in self._images:
            content = self.manifest(digest)
            self._remember(digest, images.read(content) if content else None)
        self._images.move_to_end(digest)
        return self._images[digest]

    def _remember(self, digest: Digest, image: Image | None) -> None:
        self._images[digest] = image
        while len(self._images) > REMEMBERED:
            self._images.popitem(last=False)

    def manifest(self, digest: Digest) -> bytes | None:
        """Return the bytes of a manifest. None if they are missing, have another digest, or are too many for a manifest."""
        stat = self._looks.stat(layout.blob(digest))
        if stat is None or (stat.size or 0) > LARGEST:
            return None
        found = self._looks.content(layout.blob(digest))
        return found[0] if found and Digest.of(found[0], digest.algorithm) == digest else None

    def naming(self, repository: int, digest: Digest) -> Iterator[tuple[Digest, str | None]]:
        """Yield (manifest, platform) of each revision that needs a blob or manifest. The platform is None unless it is an index.

        One that cannot be read at the moment, and mentions the digest, counts as needing it.
        """
        parents = self.digests(
            'SELECT manifest FROM reference JOIN revision ON revision.digest = manifest AND repository = ? WHERE reference.digest = ?',
            repository,
            str(digest),
        )
        for parent in parents:
            try:
                image = self.image(parent)
            except NotKnown:
                yield parent, None
                continue
            if image and digest in image.blobs:
                yield parent, None
            for child in image.children if image else ():
                if child.digest == digest:
                    yield parent, child.platform or 'one of its images'

    def stated_sizes(self, digest: Digest) -> set[int]:
        """Return the sizes that images state for a blob of theirs, or an index for an image. What else has a size does not count."""
        images = [self.image(parent) for repository in self.users(digest) for parent, _ in self.naming(repository, digest)]
        sizes = {image.blobs.get(digest) for image in images if image}
        sizes |= {child.size for image in images if image for child in image.children if child.digest == digest}
        return {size for size in sizes if size}

    def is_mentioned(self, repository: int, digest: Digest) -> bool:
        """Return whether any revision mentions a digest, or is such that nobody knows what it mentions."""
        return bool(self.ask(MENTIONS, repository, str(digest)))

    # Tags

    def tags_of(self, repository: int, digest: Digest, platform: str | None = None) -> list[str]:
        """Return the tags, as `repository:tag`, that cannot be pulled without a blob or manifest: `name:tag (platform)` for an index.

        Indexes may name each other in any number, so each is looked at once. The platform is that of the innermost one.
        """
        name, found = self._names[repository], []
        waiting = [(digest, platform)]
        seen = set(waiting)
        while waiting:
            needed, platform = waiting.pop()
            suffix = f' ({platform})' if platform else ''
            rows = self.ask('SELECT tag FROM pointer WHERE repository = ? AND digest = ?', repository, str(needed))
            found += [f'{name}:{tag}{suffix}' for (tag,) in rows]
            parents = {(parent, platform or own) for parent, own in self.naming(repository, needed)}
            waiting += parents - seen
            seen |= parents
        return sorted(set(found))

    def users(self, digest: Digest) -> list[int]:
        """Return the repositories that have a blob or manifest, or name it."""
        rows = self.ask(
            'SELECT repository FROM layer WHERE digest = ?1 UNION SELECT repository FROM revision WHERE digest = ?1 UNION '
            'SELECT repository FROM reference JOIN revision ON revision.digest = manifest WHERE reference.digest = ?1 ORDER BY 1',
            str(digest),
        )
        return [repository for (repository,) in rows if repository in self.repositories]

    def all_tags_of(self, digest: Digest) -> list[str]:
        return [tag for repository in self.users(digest) for tag in self.tags_of(repository, digest)]

    def only_user(self, digest: Digest) -> str | None:
        """Return the name of the repository that has a blob, if there is only one."""
        users = self.users(digest)
        return self.repositories[users[0]] if len(users) == 1 else None


def known(text: str) -> Digest | None:
    try:
        return names.digest(text)
    except errors.DigestInvalid:
        return None
