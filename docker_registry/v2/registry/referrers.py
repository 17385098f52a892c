"""Referrers: manifests that name another manifest as their `subject`.

Each referrer is an object of its own, written once. So two clients that push at the same time cannot overwrite each other's entry.
"""

import itertools
import json
from collections.abc import Iterator, Sequence

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, formats, layout, listing
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat, Storage
from docker_registry.v2.registry.tags import Tags

PAGE = 200  # descriptors in one response


class Referrers:
    """The referrers of all repositories in one storage."""

    def __init__(self, storage: Storage, together: Together, tags: Tags):
        self._storage = storage
        self._together = together
        self._tags = tags

    def add(self, repository: str, subject: Digest, digest: Digest, size: int, parsed: formats.Parsed) -> None:
        """Add a manifest to the referrers of its subject. The manifest must already be a revision of the repository."""
        descriptor = json.dumps(_descriptor(digest, size, parsed)).encode()
        self._storage.replace(layout.referrer(repository, subject, digest), descriptor)

    def remove(self, repository: str, subject: Digest, digest: Digest) -> None:
        self._storage.discard(layout.referrer(repository, subject, digest))

    def page(self, repository: str, subject: Digest, last: str = '') -> tuple[list[dict], str]:
        """Return (descriptors of the subject's referrers, `last` for the next page or '').

        The first page includes referrers that only the index under the fallback tag names. Clients maintain that index while a
        registry has no referrers API.
        """
        stats, fallback = self._together.all(
            lambda: list(itertools.islice(self._stats(repository, subject, last), PAGE + 1)),
            lambda: [] if last else self._in_fallback_tag(repository, subject),
        )
        more, stats = len(stats) > PAGE, stats[:PAGE]
        listed = {layout.digest_of(stat.path): stat.path for stat in stats}
        found = self._together.all(
            *[lambda path=path: self._listed(path) for path in listed.values()],
            *[lambda digest=digest: self._read(repository, subject, digest) for digest in fallback if digest not in listed],
        )
        return [descriptor for descriptor in found if descriptor], _position(stats[-1].path) if more else ''

    def _stats(self, repository: str, subject: Digest, last: str) -> Iterator[Stat]:
        folder = layout.referrers(repository, subject)
        return listing.below(self._storage, folder, f'{folder}/{last}' if last else None, PAGE + 1)

    def _listed(self, path: str) -> dict | None:
        """Return the descriptor at a path, or None if it is gone: a listing may still name a deleted object."""
        try:
            return json.loads(self._storage.get_content(path))
        except exceptions.FileNotFoundError:
            return None

    def _in_fallback_tag(self, repository: str, subject: Digest) -> Sequence[Digest]:
        """Return the digests in the index under the fallback tag; [] if there is no such index."""
        try:
            index = self._storage.get_content(layout.blob(self._tags.resolve(repository, layout.referrers_tag(subject))), newest=False)
            parsed = formats.parse(index, formats.OCI_INDEX)
            return [entry.digest for entry in (*parsed.manifests, *parsed.blobs_or_manifests)]
        except (exceptions.FileNotFoundError, errors.RegistryError):
            return []

    def _read(self, repository: str, subject: Digest, digest: Digest) -> dict | None:
        """Return a descriptor made from a manifest of the repository, or None if it is not a referrer of the subject."""
        try:
            if not self._storage.exists(layout.revision_link(repository, digest)):
                return None
            content = self._storage.get_content(layout.blob(digest), newest=False)
            parsed = formats.parse(content)
        except (exceptions.FileNotFoundError, errors.RegistryError):
            return None
        return _descriptor(digest, len(content), parsed) if parsed.subject == subject else None


def _descriptor(digest: Digest, size: int, parsed: formats.Parsed) -> dict:
    descriptor: dict[str, object] = {'mediaType': parsed.media_type, 'digest': str(digest), 'size': size}
    if parsed.artifact_type:
        descriptor['artifactType'] = parsed.artifact_type
    if parsed.annotations:
        descriptor['annotations'] = parsed.annotations
    return descriptor


def _position(path: str) -> str:
    return '/'.join(path.split('/')[-2:])
