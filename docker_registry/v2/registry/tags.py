"""Tags: the only names in the registry that are overwritten. The last writer wins, a reader sees the old or the new."""

import logging

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, names

logger = logging.getLogger(__name__)

PAGE = 1000  # names in one listing, where more are wanted than fit


class Tags:
    """The tags of all repositories on one storage."""

    def __init__(self, storage, together):
        self._storage = storage
        self._together = together

    def resolve(self, repository, tag):
        """The digest a tag points to, now; :raises ManifestUnknown:"""
        try:
            content = self._storage.get_content(layout.tag_current(repository, tag), newest=True)
        except exceptions.FileNotFoundError:
            raise errors.ManifestUnknown(detail=tag)
        try:
            return names.digest(content.decode('ascii').strip())
        except (ValueError, errors.DigestInvalid):
            # What a writer of old has left half-done is nothing a client can pull; a push makes it good.
            logger.warning('tag %s of %s points to no digest: %r', tag, repository, content[:100])
            raise errors.ManifestUnknown(detail=tag)

    def remember(self, repository, tag, digest):
        """Note that the tag points to the digest, or did; for the garbage collector of CNCF distribution."""
        self._storage.replace(layout.tag_index(repository, tag, digest), str(digest).encode())

    def point(self, repository, tag, digest):
        """Let the tag point to the digest, a revision that is there; to be remembered before."""
        self._storage.replace(layout.tag_current(repository, tag), str(digest).encode())

    def delete(self, repository, tag):
        """Remove a tag; :raises ManifestUnknown: there is none

        The pointer first: from then on there is no such tag, whatever becomes of the rest.
        """
        known = self._remove(layout.tag_current(repository, tag))
        if not self._remove(layout.tag(repository, tag)) and not known:
            raise errors.ManifestUnknown(detail=tag)

    def _remove(self, path):
        try:
            self._storage.remove(path)
        except exceptions.FileNotFoundError:
            return False
        return True

    def pointing_to(self, repository, digest):
        """All tags of the repository that point to the digest."""
        tags, _ = self._listed(repository, None, '')
        found = self._together.map(lambda tag: self._points_to(repository, tag, digest), tags)
        return [tag for tag, points in zip(tags, found) if points]

    def _points_to(self, repository, tag, digest):
        try:
            return self.resolve(repository, tag) == digest
        except errors.ManifestUnknown:
            return False

    # Listing

    def page(self, repository, count=None, last=''):
        """(up to `count` tags after `last` in ASCII order, whether there are more); :raises NameUnknown:

        Storage lists folders, whose names end with a slash, so that `v1` comes after `v1-rc` and `v1.0` there. What comes
        too late is always what the end of the page begins with, up to a dash or a dot: that is looked for by name.
        """
        tags, more = self._listed(repository, count, last)
        if more:
            tags += self._present(repository, [tag for tag in _beginnings(tags[-1]) if tag > last])
        if not tags and not self._is_known(repository):
            raise errors.NameUnknown(detail=repository)
        tags = sorted(set(tags))
        return (tags, False) if count is None else (tags[:count], more or len(tags) > count)

    def _listed(self, repository, count, last):
        """(more than `count` tags after `last`, in the order of storage, or all there are; whether there are more)"""
        tags, marker = [], last and layout.tag(repository, last)
        while count is None or len(tags) <= count:
            limit = PAGE if count is None else min(PAGE, count + 2)
            page = self._storage.list_page(layout.tags(repository), marker or None, limit)
            # `last` itself comes after what begins with it, and what `last` begins with came before it.
            tags += [tag for tag in (layout.last_of(stat.path) for stat in page) if tag > last]
            if len(page) < limit:
                return tags, False
            marker = page[-1].path + '/~'  # after all that is in that folder
        return tags, True

    def _present(self, repository, tags):
        found = self._together.map(lambda tag: self._storage.exists(layout.tag_current(repository, tag)), tags)
        return [tag for tag, there in zip(tags, found) if there]

    def _is_known(self, repository):
        page = self._storage.list_page(layout.repository(repository), layout.own_names(repository), 1, recursive=True)
        return any(stat.path.startswith(layout.own_names(repository)) for stat in page)


def _beginnings(tag):
    return [tag[:i] for i, character in enumerate(tag) if character in '-.' and i]
