"""Tags: the only names in the registry whose content changes.

The last writer wins. A reader sees either the old digest or the new one.
"""

import logging

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, names
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage

logger = logging.getLogger(__name__)

PAGE = 1000  # names in one listing, at most


class Tags:
    """The tags of all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together):
        self._storage = storage
        self._together = together

    def resolve(self, repository: str, tag: str) -> Digest:
        """Return the digest that a tag points to now.

        :raises ManifestUnknown: there is no such tag, or its content is not a digest
        """
        try:
            content = self._storage.get_content(layout.tag_current(repository, tag), newest=True)
        except exceptions.FileNotFoundError:
            raise errors.ManifestUnknown(detail=tag)
        try:
            return names.digest(content.decode('ascii').strip())
        except (ValueError, errors.DigestInvalid):
            # An older registry may have left a half-written link. Clients cannot pull it, and the next push of the tag repairs it.
            logger.warning('tag %s of %s does not contain a digest: %r. Push the tag again to repair it', tag, repository, content[:100])
            raise errors.ManifestUnknown(detail=tag)

    def remember(self, repository: str, tag: str, digest: Digest) -> None:
        """Record that the tag points, or once pointed, to the digest. The garbage collector of CNCF distribution reads this."""
        self._storage.replace(layout.tag_index(repository, tag, digest), str(digest).encode())

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        """Make the tag point to the digest, which must be a revision of the repository. Call `remember` first."""
        self._storage.replace(layout.tag_current(repository, tag), str(digest).encode())

    def delete(self, repository: str, tag: str) -> None:
        """Delete a tag.

        The pointer is deleted first. From then on the tag does not exist, even if deleting the rest fails.

        :raises ManifestUnknown: there is no such tag
        """
        known = self._remove(layout.tag_current(repository, tag))
        if not self._remove(layout.tag(repository, tag)) and not known:
            raise errors.ManifestUnknown(detail=tag)

    def _remove(self, path: str) -> bool:
        try:
            self._storage.remove(path)
        except exceptions.FileNotFoundError:
            return False
        return True

    def pointing_to(self, repository: str, digest: Digest) -> list[str]:
        """Return all tags of the repository that point to the digest."""
        tags, _ = self._listed(repository, None, '')
        found = self._together.map(lambda tag: self._points_to(repository, tag, digest), tags)
        return [tag for tag, points in zip(tags, found) if points]

    def _points_to(self, repository: str, tag: str, digest: Digest) -> bool:
        try:
            return self.resolve(repository, tag) == digest
        except errors.ManifestUnknown:
            return False

    # Listing

    def page(self, repository: str, count: int | None = None, last: str = '') -> tuple[list[str], bool]:
        """Return (up to `count` tags after `last` in ASCII order, whether there are more).

        Storage lists folders, whose names end with a slash, and `-` and `.` sort before the slash. So it lists `v1` after `v1-rc` and
        `v1.0`. A tag that is missing from a page for this reason is the beginning of the page's last tag, up to a dash or a dot. The
        registry looks for these tags by name.

        :raises NameUnknown: there is no such repository
        """
        tags, more = self._listed(repository, count, last)
        if more:
            tags += self._present(repository, [tag for tag in _beginnings(tags[-1]) if tag > last])
        if not tags and not self._is_known(repository):
            raise errors.NameUnknown(detail=repository)
        tags = sorted(set(tags))
        return (tags, False) if count is None else (tags[:count], more or len(tags) > count)

    def _listed(self, repository: str, count: int | None, last: str) -> tuple[list[str], bool]:
        """Return (tags after `last` in the order of storage, whether there are more).

        The list has more than `count` tags, or else all there are.
        """
        tags: list[str] = []
        marker = last and layout.tag(repository, last)
        while count is None or len(tags) <= count:
            limit = PAGE if count is None else min(PAGE, count + 2)
            page = self._storage.list_page(layout.tags(repository), marker or None, limit)
            # Storage lists `last` itself after the tags that begin with it, and its beginnings after that. Earlier pages had them.
            tags += [tag for tag in (layout.last_of(stat.path) for stat in page) if tag > last]
            if len(page) < limit:
                return tags, False
            marker = page[-1].path + '/~'  # sorts after everything in that folder
        return tags, True

    def _present(self, repository: str, tags: list[str]) -> list[str]:
        found = self._together.map(lambda tag: self._storage.exists(layout.tag_current(repository, tag)), tags)
        return [tag for tag, there in zip(tags, found) if there]

    def _is_known(self, repository: str) -> bool:
        page = self._storage.list_page(layout.repository(repository), layout.own_names(repository), 1, recursive=True)
        return any(stat.path.startswith(layout.own_names(repository)) for stat in page)


def _beginnings(tag: str) -> list[str]:
    return [tag[:i] for i, character in enumerate(tag) if character in '-.' and i]
