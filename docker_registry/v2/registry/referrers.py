"""Referrers: manifests that name another manifest as their `subject`.

Each referrer is an object of its own, written once. So two clients that push at the same time cannot overwrite each other's entry.
"""

import bisect
import functools
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, formats, layout, listing, revisions
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent
from docker_registry.v2.registry.storage import Stat, Storage
from docker_registry.v2.registry.tags import Tags

logger = logging.getLogger(__name__)

PAGE = 100  # requests to Swift for the descriptors on one page
#: Bytes of the descriptors on one page. With what is around them they make an index of less than 4 MiB, as the spec asks for:
#: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
MOST_BYTES = 4 * 1024**2 - 1024
INDEX_SECONDS, MOST_INDEXES = 3600, 8  # for this long a process remembers what so many indexes under fallback tags name


class Candidate(NamedTuple):
    """A manifest that may be on a page."""

    digest: Digest
    cost: int  # requests to Swift
    size: int  # bytes of its descriptor, as far as known
    read: Callable[[], bytes | None]  # returns its descriptor, or None if it is not a referrer


class Referrers:
    """The referrers of all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together, tags: Tags):
        self._storage = storage
        self._together = together
        self._tags = tags
        self._indexes = Recent(INDEX_SECONDS, MOST_INDEXES)  # digest of an index: the digests that it names

    def add(self, repository: str, subject: Digest, digest: Digest, descriptor: bytes) -> None:
        """Add a manifest to the referrers of its subject. The manifest must already be a revision of the repository."""
        self._storage.replace(layout.referrer(repository, subject, digest), descriptor)

    def remove(self, repository: str, subject: Digest, digest: Digest) -> None:
        self._storage.discard(layout.referrer(repository, subject, digest))

    def page(
        self,
        repository: str,
        subject: Digest,
        last: Digest | None = None,
        artifact_type: str | None = None,
        most: int = PAGE,
        most_bytes: int = MOST_BYTES,
    ) -> tuple[list[bytes], Digest | None]:
        """Return (descriptors of the subject's referrers as JSON, `last` for the next page or None).

        They are in the order of their digests, and come after `last`. A page has at most `most_bytes` of descriptors, or one that is
        longer. It may have few or none, and still have a next page.

        The pages include referrers that only the index under the fallback tag names. Clients maintain that index while a registry has
        no referrers API.

        :param artifact_type: leave out referrers of other types
        :param most: requests to storage for descriptors
        """
        stats, fallback = self._together.all(
            lambda: list(itertools.islice(self._stats(repository, subject, last, most), most + 1)),
            lambda: self._in_fallback_tag(repository, subject),
        )
        candidates = self._candidates(repository, subject, stats, fallback[bisect.bisect(fallback, last) if last else 0 :], most)
        chosen = _fitting(candidates, most, most_bytes)
        found: list[bytes] = []
        size = 0
        with self._together.each(functools.partial(_read, artifact_type), chosen) as descriptors:
            for candidate, descriptor in zip(chosen, descriptors):
                size += len(descriptor or b'') + len(', ')
                if found and size > most_bytes:
                    return found, last
                found += [descriptor] if descriptor else []
                last = candidate.digest
        return found, last if len(chosen) < len(candidates) else None

    def _stats(self, repository: str, subject: Digest, last: Digest | None, most: int) -> Iterator[Stat]:
        marker = layout.referrer(repository, subject, last) if last else None
        return listing.below(self._storage, layout.referrers(repository, subject), marker, most + 1)

    def _candidates(self, repository: str, subject: Digest, stats: list[Stat], fallback: Sequence[Digest], most: int) -> list[Candidate]:
        """Return what may be on a page, in order: at least one more than fits on it, if there is one more."""
        listed = [Candidate(layout.digest_of(stat.path), 1, stat.size or 0, functools.partial(self._listed, stat.path)) for stat in stats]
        known = {candidate.digest for candidate in listed}
        others = (
            Candidate(digest, 2, 0, functools.partial(self._in_repository, repository, subject, digest))
            for digest in fallback
            if digest not in known
        )
        candidates = sorted([*listed, *itertools.islice(others, most + 1)], key=lambda candidate: candidate.digest)
        return candidates[: most + 1]  # after the last of a full listing there may be more that belongs before the others

    def _listed(self, path: str) -> bytes | None:
        """Return the descriptor at a path, or None if it is gone: a listing may still name a deleted object."""
        try:
            return self._storage.get_content(path)
        except exceptions.FileNotFoundError:
            return None

    def _in_fallback_tag(self, repository: str, subject: Digest) -> Sequence[Digest]:
        """Return the digests in the index under the fallback tag, in order; none if there is no such index."""
        tag = layout.referrers_tag(subject)
        try:
            digest = self._tags.resolve(repository, tag)
            named = self._indexes.get(digest)
            if named is None:
                parsed = formats.parse(self._storage.get_content(layout.blob(digest), newest=False), formats.OCI_INDEX)
                named = sorted({entry.digest for entry in (*parsed.manifests, *parsed.blobs_or_manifests)})
                self._indexes.add(digest, named)
            return named
        except (exceptions.FileNotFoundError, errors.ManifestUnknown):
            return ()
        except errors.RegistryError as error:
            logger.warning('%s of %s is no list of referrers: %s', tag, repository, error)
            return ()

    def _in_repository(self, repository: str, subject: Digest, digest: Digest) -> bytes | None:
        """Return a descriptor made from a manifest of the repository, or None if it is not a referrer of the subject."""
        try:
            said = revisions.said(self._storage.stat(layout.revision_link(repository, digest)))
            if said and said.subject != subject:
                return None
            content = self._storage.get_content(layout.blob(digest), newest=False)
            parsed = formats.parse(content)
        except (exceptions.FileNotFoundError, errors.RegistryError):
            return None
        return _descriptor(digest, len(content), parsed) if parsed.subject == subject else None


def descriptor(digest: Digest, size: int, parsed: formats.Parsed) -> bytes:
    """Return the descriptor of a referrer for `add`.

    :param size: bytes of the manifest
    :raises ManifestInvalid: its annotations are longer than a page of the list of referrers
    """
    content = _descriptor(digest, size, parsed)
    if len(content) > MOST_BYTES:
        raise errors.ManifestInvalid(
            f'the list of referrers has at most {MOST_BYTES} bytes for the annotations of a manifest with a subject, not {len(content)}'
        )
    return content


def _descriptor(digest: Digest, size: int, parsed: formats.Parsed) -> bytes:
    document: dict[str, object] = {'mediaType': parsed.media_type, 'digest': str(digest), 'size': size}
    if parsed.artifact_type:
        document['artifactType'] = parsed.artifact_type
    if parsed.annotations:
        document['annotations'] = parsed.annotations
    return json.dumps(document).encode()


def _fitting(candidates: list[Candidate], most: int, most_bytes: int) -> list[Candidate]:
    """Return the first candidates that cost at most so many requests and have at most so many bytes; one of them in any case."""
    costs = itertools.accumulate(candidate.cost for candidate in candidates)
    sizes = itertools.accumulate(candidate.size for candidate in candidates)
    count = sum(cost <= most and size <= most_bytes for cost, size in zip(costs, sizes))
    return candidates[: max(count, 1)]


def _read(artifact_type: str | None, candidate: Candidate) -> bytes | None:
    descriptor = candidate.read()
    if descriptor is None or artifact_type is None:
        return descriptor
    return descriptor if json.loads(descriptor).get('artifactType', '').lower() == artifact_type.lower() else None
