"""Manifests: bytes stored under their digest, the links that make them revisions of a repository, and their tags and referrers."""

import contextlib
import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, formats, layout, names, referrers, revisions, tally
from docker_registry.v2.registry.absence import Absence, Reappeared, looking_again
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.content_cache import ContentCache
from docker_registry.v2.registry.deletions import Deletions
from docker_registry.v2.registry.immutable import ImmutableTags
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent
from docker_registry.v2.registry.references import References
from docker_registry.v2.registry.referrers import Referrers
from docker_registry.v2.registry.shared_memory import Versions
from docker_registry.v2.registry.sharing import Shared, Waiting
from docker_registry.v2.registry.storage import Stat, Storage
from docker_registry.v2.registry.tags import Tags
from docker_registry.v2.registry.trash import Trash

DEFAULT_MEDIA_TYPE = 'application/octet-stream'  # for a stored manifest whose media type is not known, or not of an application
LARGEST = 4 * 1024**2  # bytes; CNCF distribution accepts manifests of this size
LINKED_SECONDS = 1  # for this long a process does not look again for the link of a manifest that a tag still points to
REMEMBERED_SECONDS = 3600  # for this long a process remembers the media type that a manifest states, if its link does not tell


@dataclass(frozen=True)
class Manifest:
    digest: Digest
    media_type: str
    content: bytes


class Manifests:
    """The manifests of all repositories in one storage."""

    def __init__(
        self,
        storage: Storage,
        together: Together,
        blobs: Blobs,
        tags: Tags,
        deletions: Deletions,
        referrers: Referrers,
        absence: Absence,
        trash: Trash,
        contents: ContentCache,
        sparse: bool = False,
        most_references: int | None = None,
        limit: int = LARGEST,
    ):
        self._storage = storage
        self._together = together
        self._tags = tags
        self._deletions = deletions
        self._referrers = referrers
        self._absence = absence
        self._trash = trash
        self._sparse = sparse
        self._most_references = most_references
        self._limit = max(limit, LARGEST)
        self._references = References(storage, together, blobs)
        self._cache = contents
        self._immutable = ImmutableTags(storage, tags, self.get)
        self._shared = Shared[Manifest]()
        self._links = Recent(LINKED_SECONDS)  # (repository, digest): version, link or None
        self._versions = Versions(2**12)  # of the links
        self._stated = Recent(REMEMBERED_SECONDS)  # digest: media type that the manifest states, or ''

    # Reading

    def get(self, repository: str, reference: Digest | str, waiting: Waiting = contextlib.nullcontext) -> Manifest:
        """Return the `Manifest` for a digest or a tag. All that ask for the same one at the same time share a look.

        :param waiting: see `sharing.Shared.result`
        :raises ManifestUnknown: the repository has no such manifest or tag
        """
        return self._shared.result((repository, reference), lambda: self._look(repository, reference), waiting)

    @looking_again
    def _look(self, repository: str, reference: Digest | str) -> Manifest:
        digest, written = (reference, None) if isinstance(reference, Digest) else self._tags.read(repository, reference, self._absence)
        link = None if written is None else self._known_link(repository, digest)
        if link:
            content = self.content(digest)
        else:
            version = self._versions.of((repository, digest))
            link, content = self._together.all(lambda: self._link(repository, digest), lambda: self.content(digest))
            self._links.add((repository, digest), (version, link))
        if link is None:
            self._confirm_unlinked(repository, digest)
        elif content is None:
            if self._trash.restore_data(digest):
                raise Reappeared()
            self._absence.confirm(layout.blob(digest))
        if link is None or not content or (written is not None and self._deletions.ended_before(repository, digest, written, link)):
            raise errors.ManifestUnknown(detail=str(reference))
        return Manifest(digest, self._media_type(repository, digest, content, link), content)

    def _known_link(self, repository: str, digest: Digest) -> Stat | None:
        """Return a link that this process saw within `LINKED_SECONDS`, if no worker has changed it since.

        Another instance may have written it again, with another media type. So a link does not count if the manifest states none.
        """
        version, link = self._links.get((repository, digest)) or (0, None)
        said = link and revisions.said(link)
        return link if said and said.stated and version == self._versions.of((repository, digest)) else None

    def link(self, repository: str, digest: Digest) -> Stat:
        """Return the link that makes a digest a revision of this repository.

        :raises ManifestUnknown: there is none
        """
        link = self._link(repository, digest)
        if link is None:
            self._confirm_unlinked(repository, digest)
            raise errors.ManifestUnknown(detail=str(digest))
        return link

    def _confirm_unlinked(self, repository: str, digest: Digest) -> None:
        """:raises Unavailable: the digest may be a revision of the repository"""
        self._absence.confirm(
            layout.revision_link(repository, digest), lambda written: self._deletions.is_since(repository, digest, written)
        )

    def _link(self, repository: str, digest: Digest) -> Stat | None:
        try:
            return self._storage.stat(layout.revision_link(repository, digest))
        except exceptions.FileNotFoundError:
            return None

    def exists(self, repository: str, digest: Digest) -> bool:
        """Return whether a digest is a revision of this repository now."""
        return self._storage.exists(layout.revision_link(repository, digest))

    def content(self, digest: Digest) -> bytes | None:
        """Return the bytes for a digest: None if they are missing, and b'' if they are damaged or no manifest.

        The bytes never change, so they are cached. The link in a repository may change, so it is not.
        """
        content = self._cache.get(digest)
        tally.count(tally.CACHE_MISS if content is None else tally.CACHE_HIT)
        if content is None:
            try:
                content = self._stored(digest)
            except exceptions.FileNotFoundError:
                return None
            if content:
                self._cache.put(digest, content)
        return content

    def _stored(self, digest: Digest) -> bytes:
        """Return the bytes for a digest, or b'' if they are damaged (for example, a segment was lost) or too many for a manifest.

        The digest may be that of a layer: while the bytes come from storage, nobody knows yet whether it is a revision.
        """
        with contextlib.closing(self._storage.stream_read(layout.blob(digest), newest=False)) as stream:
            content, length = b'', stream.size or 0
            while length <= self._limit and (block := next(stream, b'')):
                content += block
                length = max(length, len(content))
        if length > self._limit:
            return b''
        if digest != Digest.of(content, digest.algorithm):
            content = self._storage.get_content(layout.blob(digest), newest=True)  # which reads again if the ETag differs, too
        return content if digest == Digest.of(content, digest.algorithm) else b''

    def _media_type(self, repository: str, digest: Digest, content: bytes, link: Stat) -> str:
        said = revisions.said(link)
        media_type = said.media_type if said else self._stated_type(digest, content) or self._type_beside(repository, digest)
        return media_type if formats.is_of_an_application(media_type) else DEFAULT_MEDIA_TYPE

    def _stated_type(self, digest: Digest, content: bytes) -> str:
        stated = self._stated.get(digest)
        if stated is None:
            try:
                stated = formats.media_type_of(content)
            except errors.ManifestInvalid:
                stated = ''
            self._stated.add(digest, stated)
        return stated

    def _type_beside(self, repository: str, digest: Digest) -> str:
        try:
            return names.media_type(self._storage.get_content(layout.revision_media_type(repository, digest)).decode('latin-1'))
        except (exceptions.FileNotFoundError, errors.ManifestInvalid):
            return DEFAULT_MEDIA_TYPE

    # Writing

    def put(
        self,
        repository: str,
        digest: Digest,
        content: bytes,
        content_type: str = '',
        tags: Sequence[str] = (),
        is_wanted: Callable[[], bool] = lambda: True,
        immutable: Collection[str] = (),
        keeps_type: bool = False,
    ) -> formats.Parsed:
        """Store a manifest, tag it, and return it as `formats.Parsed`.

        Nothing is stored before the references have been found, so a manifest that is refused leaves nothing. It is tagged or listed as
        a referrer only after its bytes and its link are stored.

        :param is_wanted: called while the registry looks for the references
        :param immutable: those of the tags that must not be overwritten
        :param keeps_type: the same bytes must not get another media type: there may be such a tag that points to them
        :raises ManifestInvalid: see `formats.parse`, `referrers.descriptor` and `References.require`
        :raises DigestInvalid: see `formats.parse`
        :raises ManifestBlobUnknown: a blob or manifest that it names is not in the repository
        :raises ClientGone: `is_wanted` has returned False
        :raises TagImmutable: one of these tags points to another manifest, or the type is another one
        """
        parsed = formats.parse(content, content_type, self._most_references)
        if keeps_type and not parsed.stated:
            self._immutable.require_type(repository, digest, parsed.media_type)
        self._together.map(lambda tag: self._immutable.require(repository, tag, digest), immutable)
        descriptor = referrers.descriptor(digest, len(content), parsed) if parsed.subject else b''
        if not self._sparse:
            self._references.require(repository, parsed, is_wanted)
        self._store(digest, content)
        links: list[Callable[[], object]] = [lambda: self.write_link(repository, digest, revisions.metadata(parsed))]
        if not parsed.stated:
            links.append(lambda: self._storage.replace(layout.revision_media_type(repository, digest), parsed.media_type.encode()))
        links += [functools.partial(self._tags.remember, repository, tag, digest) for tag in tags]
        self._together.all(*links)
        visible: list[Callable[[], object]] = [
            functools.partial(self._immutable.point if tag in immutable else self._tags.point, repository, tag, digest) for tag in tags
        ]
        if parsed.subject:
            visible.append(functools.partial(self._referrers.add, repository, parsed.subject, digest, descriptor))
        self._together.all(*visible)
        return parsed

    def write_link(self, repository: str, digest: Digest, metadata: dict[str, str]) -> None:
        """Make stored bytes a revision of this repository.

        :param metadata: see `revisions.metadata`
        """
        self._storage.replace(layout.revision_link(repository, digest), str(digest).encode(), metadata)
        self._versions.change((repository, digest))

    def _store(self, digest: Digest, content: bytes) -> None:
        # Overwrite without checking. The stored bytes may be damaged, and a check costs as much as writing these few bytes.
        self._storage.replace(layout.blob(digest), content)
        self._cache.put(digest, content)

    # Deleting

    @looking_again
    def delete(self, repository: str, digest: Digest) -> list[str]:
        """Delete a revision, the tags that point to it, and its entry in the list of referrers.

        The link is deleted after the tags. If the delete is interrupted, the manifest can still be pulled, and deleted again. The
        container servers of Swift may show different listings, so a second walk over the tags finds most of what the first missed.
        `Deletions` ends the tags that no walk finds. It is told last: if the delete fails before, no tag must end with the next push.

        :return: the tags that the first walk deleted
        :raises ManifestUnknown: the repository has no such manifest
        """
        link = self.link(repository, digest)
        deleted = self._tags.delete_pointing_to(repository, digest)
        self.forget_content(repository, digest, link)
        self._deletions.record(repository, digest)
        self._storage.discard(layout.revision_link(repository, digest))
        self._versions.change((repository, digest))
        pointers = self._tags.delete_rest(repository, digest, deleted, functools.partial(self.exists, repository))
        self._deletions.expire(repository, pointers)
        return sorted(deleted)

    def forget_content(self, repository: str, digest: Digest, link: Stat) -> None:
        """Delete what belongs to a manifest that goes.

        That is its media type, if it does not state it, its place among referrers, and the note that it lost a tag.
        """
        self._storage.discard(layout.untagged_since(repository, digest))
        stated, subject = self._said(repository, digest, link)
        if not stated:
            self._storage.discard(layout.revision_media_type(repository, digest))
        if subject:
            self._referrers.remove(repository, subject, digest)

    def _said(self, repository: str, digest: Digest, link: Stat) -> tuple[bool, Digest | None]:
        """Return (whether a manifest states its media type, its subject)."""
        said = revisions.said(link)
        if said:
            return said.stated, said.subject
        content = self.content(digest)
        try:
            parsed = formats.parse(content, self._media_type(repository, digest, content, link)) if content else None
        except errors.RegistryError:
            parsed = None  # CNCF distribution accepted this manifest; it is in no list of referrers here
        return (parsed.stated, parsed.subject) if parsed else (False, None)
