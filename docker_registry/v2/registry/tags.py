"""Tags: the only names in the registry whose content changes.

The last writer wins. A reader sees either the old digest or the new one.
"""

import contextlib
import functools
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, listing, names
from docker_registry.v2.registry.absence import Absence, looking_again
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.deletions import Deletions, ended
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat, Storage

logger = logging.getLogger(__name__)

ROWS_OF_A_TAG = 4  # names that a listing has for most tags, or fewer
PUSH_SECONDS = 300  # a push writes the index of a tag and then its pointer, within this time


class Tags:
    """The tags of all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together, deletions: Deletions):
        self._storage = storage
        self._together = together
        self._deletions = deletions

    def resolve(self, repository: str, tag: str) -> Digest:
        """Return the digest that a tag points to now.

        :raises ManifestUnknown: there is no such tag, or its content is not a digest
        """
        return self.read(repository, tag)[0]

    def read(self, repository: str, tag: str, absence: Absence | None = None) -> tuple[Digest, float]:
        """Return (the digest that a tag points to now, when that was written in seconds since the epoch).

        :param absence: looks again if there seems to be no such tag
        :raises ManifestUnknown: there is no such tag, or its content is not a digest
        """
        path = layout.tag_current(repository, tag)
        try:
            content, stat = self._storage.get_object(path, newest=True)
        except exceptions.FileNotFoundError:
            if absence:
                absence.confirm(path)
            raise errors.ManifestUnknown(detail=tag)
        digest = _digest_in(content)
        if digest is None:
            # An older registry may have left a half-written link. Clients cannot pull it, and the next push of the tag repairs it.
            logger.warning('tag %s of %s does not contain a digest: %r. Push the tag again to repair it', tag, repository, content[:100])
            raise errors.ManifestUnknown(detail=tag)
        return digest, stat.last_modified or 0

    def remember(self, repository: str, tag: str, digest: Digest) -> None:
        """Record that the tag points, or once pointed, to the digest. The garbage collector of CNCF distribution reads this."""
        self._storage.replace(layout.tag_index(repository, tag, digest), str(digest).encode())

    def point(self, repository: str, tag: str, digest: Digest) -> None:
        """Make the tag point to the digest, which must be a revision of the repository. Call `remember` first."""
        self._storage.replace(layout.tag_current(repository, tag), str(digest).encode())

    # Deleting

    def delete(self, repository: str, tag: str) -> None:
        """Delete a tag.

        The pointer is deleted first. From then on the tag does not exist, even if deleting the rest fails. What has a name is
        deleted by its name, because a listing may be late.

        :raises ManifestUnknown: there is no such tag, and nothing is left of one
        """
        current = layout.tag_current(repository, tag)
        try:
            digest = _digest_in(self._storage.get_content(current, newest=True))
        except exceptions.FileNotFoundError:
            left = [stat.path for stat in listing.below(self._storage, layout.tag(repository, tag))]
            if not left:
                raise errors.ManifestUnknown(detail=tag)
            self._discard(left)
            return
        self._storage.discard(current)
        if digest:
            self._storage.discard(layout.tag_index(repository, tag, digest))
        # Whoever pushes the tag meanwhile writes `current` again, which must stay.
        self._discard(stat.path for stat in listing.below(self._storage, layout.tag(repository, tag)) if stat.path != current)

    def pointing_to(self, repository: str, digest: Digest) -> list[str]:
        """Return the tags of the repository that point to the digest, as far as a listing shows them."""
        suspects = [tag.tag for tag in self.listed(repository) if tag.may_point_to(digest)]
        now = self._together.map(lambda tag: self.now(repository, tag), suspects)
        return [tag for tag, (found, _) in zip(suspects, now) if found == digest]

    def delete_pointing_to(self, repository: str, digest: Digest) -> dict[str, float]:
        """Delete all tags of the repository that point to the digest, as far as a listing shows them.

        :return: when each of these tags was written
        """
        suspects = [tag for tag in self.listed(repository) if tag.may_point_to(digest)]
        deleted = self._together.map(lambda tag: self._delete_if_pointing(repository, tag, digest), suspects)
        return {tag.tag: written for tag, written in zip(suspects, deleted) if written is not None}

    def delete_rest(
        self, repository: str, digest: Digest, deleted: Mapping[str, float], is_revision: Callable[[Digest], bool]
    ) -> set[str | None]:
        """`delete_pointing_to` again, after the link of the revision was deleted. It mends what happened at the same time.

        If somebody has pushed the manifest again, tags that point to it stay: older ones end by the note of the deletion. Swift has no
        delete on a condition. So if somebody has pushed another manifest as one of the tags just before their pointers were deleted,
        that tag gets its pointer again. The index shows it. A name in the index that is older than the deleted pointer is of an earlier
        push: it may be there because the first listing did not show it, and what it names was overwritten.

        :param deleted: what `delete_pointing_to` returned
        :return: the ETags of all pointers that the listing shows
        """
        calls: list[Callable[[], object]] = []
        pointers = set()  # of a million tags, this is all that is kept
        for tag in self.listed(repository):
            pointers.add(tag.etag)
            if tag.may_point_to(digest):
                calls.append(functools.partial(self._delete_if_pointing, repository, tag, digest, is_revision))
            if tag.tag in deleted and not tag.current:
                calls.append(functools.partial(self.restore, repository, tag, deleted[tag.tag], is_revision))
        self._together.all(*calls)
        return pointers

    def _delete_if_pointing(
        self, repository: str, listed: 'Listed', digest: Digest, stays: Callable[[Digest], bool] = lambda digest: False
    ) -> float | None:
        """Return when the tag was written, if it was deleted now."""
        index = layout.tag_index(repository, listed.tag, digest)
        now, written = self.now(repository, listed.tag)
        if now == digest and stays(digest):
            return None
        if now == digest:
            self._storage.discard(layout.tag_current(repository, listed.tag))
        being_pushed = {stat.path for stat in listed.index.values() if is_of_a_push_after(stat, written)}
        for path in {index, *listed.index} - (being_pushed - {index}) if now == digest else {index} & set(listed.index):
            self._storage.discard(path)
        return written if now == digest else None

    def restore(self, repository: str, listed: 'Listed', written: float, is_revision: Callable[[Digest], bool]) -> None:
        """Write the pointer of a tag again, if the index shows that somebody pushed the tag just before its pointer was deleted.

        :param written: when the pointer was written that was deleted
        """
        pushed = [stat for stat in listed.index.values() if is_of_a_push_after(stat, written)]
        stat = max(pushed, key=lambda stat: stat.last_modified or 0, default=None)
        digest = stat and layout.digest_in_index(stat.path)
        if digest and self.now(repository, listed.tag) == (None, 0) and is_revision(digest):
            self.point(repository, listed.tag, digest)

    def _discard(self, paths: Iterable[str]) -> None:
        self._together.map(self._storage.discard, paths)

    # Listing

    def all(self, repository: str, most: int | None = None) -> list['Listed']:
        """Return the tags of a repository that a listing shows, or `most` of them, without those whose manifest was deleted."""
        listed, deleted = self._together.all(
            lambda: list(itertools.islice((tag for tag in self.listed(repository) if tag.current), most)),
            lambda: self._deletions.times(repository),
        )
        return self._alive(repository, listed, deleted)

    @looking_again
    def page(self, repository: str, count: int | None = None, last: str = '') -> tuple[list[str], bool]:
        """Return (up to `count` tags after `last` in ASCII order, whether there are more).

        Storage lists the names of objects, and `-` and `.` sort before the slash that follows a tag. So it lists `v1` after `v1-rc`
        and `v1.0`. A tag that is missing from a page for this reason is the beginning of the page's last tag, up to a dash or a dot.
        The registry looks for these tags by name. Of all tags that it has listed, it keeps no more than the names.

        :raises NameUnknown: there is no such repository
        """
        tags, most = self._after(repository, last, count), math.inf if count is None else count + 1
        listed, deleted = self._together.all(lambda: listing.some(tags, most), lambda: self._deletions.times(repository))
        found: list[str] = []
        while listed:
            found += [tag.tag for tag in self._alive(repository, listed, deleted)]
            listed = listing.some(tags, most - len(found))
        more = len(found) >= most
        if more:
            found += [tag.tag for tag in self._alive(repository, self._beginnings(repository, found[-1], last), deleted)]
        if not found and not self._is_known(repository):
            raise errors.NameUnknown(detail=repository)
        found = sorted(set(found))
        return found[:count], more or (count is not None and len(found) > count)

    def _after(self, repository: str, last: str, count: int | None) -> Iterator['Listed']:
        """Yield the tags after `last`, in the order of storage."""
        # Storage lists `last` itself after the tags that begin with it, and its beginnings after that. Earlier pages had them.
        return (listed for listed in self.listed(repository, last, count) if listed.current and listed.tag > last)

    def listed(self, repository: str, last: str = '', count: int | None = None) -> Iterator['Listed']:
        """Yield what a listing shows of each tag, in the order of storage, beginning at the tag `last`."""
        limit = listing.PAGE if count is None else min(listing.PAGE, ROWS_OF_A_TAG * (count + 2))
        marker, listed = last and layout.tag(repository, last) or None, None
        while page := self._storage.list_page(layout.tags(repository), marker, limit, recursive=True):
            for stat in page:
                tag, rest = layout.within_tags(repository, stat.path)
                if listed is None or tag != listed.tag:
                    if listed:
                        yield listed
                    listed = Listed(tag)
                listed.add(rest, stat)
            marker = page[-1].path
            if listed and len(listed.index) + 1 >= limit:  # a tag that has pointed to very many digests
                listed.is_whole, marker = False, layout.after_tag(repository, listed.tag)
        if listed:
            yield listed

    def _alive(self, repository: str, found: list['Listed'], deleted: dict[Digest, float]) -> list['Listed']:
        """Return those tags whose manifest was not deleted. Requests are sent only for tags that point to a manifest that once was."""
        noted: dict[str | None, Digest] = {digest.etag: digest for digest in deleted}
        pointed = list({noted[tag.etag] for tag in found if tag.etag in noted})
        links = dict(zip(pointed, self._together.map(lambda digest: self._deletions.link(repository, digest, deleted[digest]), pointed)))

        def has_ended(digest: Digest | None, written: float) -> bool:
            return digest in links and ended(written, deleted[digest], links[digest])

        doubtful = [tag.tag for tag in found if has_ended(noted.get(tag.etag), tag.written)]
        now = self._together.map(lambda tag: self.now(repository, tag), doubtful)  # the listing may be late
        gone = {tag for tag, (digest, written) in zip(doubtful, now) if has_ended(digest, written)}
        return [tag for tag in found if tag.tag not in gone]

    def now(self, repository: str, tag: str) -> tuple[Digest | None, float]:
        """Return what `read` does, or (None, 0) if the tag is gone or damaged. Clients may see that."""
        try:
            return self.read(repository, tag)
        except errors.ManifestUnknown:
            return None, 0

    def _beginnings(self, repository: str, tag: str, last: str) -> list['Listed']:
        """Return those tags after `last` that are the beginning of a tag, up to a dash or a dot."""
        tags = [tag[:i] for i, character in enumerate(tag) if character in '-.' and tag[:i] > last]
        return [found for found in self._together.map(lambda tag: self._looked_up(repository, tag), tags) if found.current]

    def _looked_up(self, repository: str, tag: str) -> 'Listed':
        listed = Listed(tag, is_whole=False)
        with contextlib.suppress(exceptions.FileNotFoundError):
            listed.current = self._storage.stat(layout.tag_current(repository, tag))
        return listed

    def _is_known(self, repository: str) -> bool:
        page = self._storage.list_page(layout.repository(repository), layout.own_names(repository), 1, recursive=True)
        return any(stat.path.startswith(layout.own_names(repository)) for stat in page)


class Listed:
    """What a listing shows of one tag. Without `current` it is no tag: a push or a delete was interrupted."""

    def __init__(self, tag: str, is_whole: bool = True):
        self.tag = tag
        self.current: Stat | None = None
        self.index: dict[str, Stat] = {}  # by path
        self.is_whole = is_whole  # False if there may be more names

    def add(self, rest: str, stat: Stat) -> None:
        """:param rest: the path of the object, below the tag"""
        if rest == 'current/link':
            self.current = stat
        else:
            self.index[stat.path] = stat

    @property
    def digests(self) -> set[Digest]:
        return {digest for digest in map(layout.digest_in_index, self.index) if digest}

    @property
    def written(self) -> float:
        return (self.current and self.current.last_modified) or 0

    @property
    def etag(self) -> str | None:
        return self.current.etag.strip('"') if self.current and self.current.etag else None  # some Swifts quote it

    def may_point_to(self, digest: Digest) -> bool:
        return not self.is_whole or digest in self.digests or self.etag == digest.etag


def is_of_a_push_after(stat: Stat, written: float) -> bool:
    """Return whether the name in a tag's index is younger than the pointer, and so young that the push may not have ended."""
    return (stat.last_modified or 0) > max(written, time.time() - PUSH_SECONDS)


def _digest_in(content: bytes) -> Digest | None:
    try:
        return names.digest(content.decode('ascii').strip())
    except (ValueError, errors.DigestInvalid):
        return None
