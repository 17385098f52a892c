"""What a repository has, as its listings show it: tags, revisions, and what the manifests mention."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from docker_registry.core import exceptions
from docker_registry.v2.registry import catalog, errors, layout, listing, mentions
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.mentions import Mentions
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.pruning import Pointer
from docker_registry.v2.registry.tags import Listed

PAGE = 1000  # names of repositories that are asked for at a time


@dataclass(frozen=True)
class Inventory:
    """A repository at the time of a look. All times are Swift's, in seconds since the epoch.

    :param revisions: digest: when its link was written
    :param untagged: digest: the last time at which it lost a tag, as far as is known
    """

    repository: str
    tags: Mapping[str, Pointer]
    revisions: Mapping[Digest, float]
    untagged: Mapping[Digest, float]

    def tags_of(self, digest: Digest) -> list[str]:
        return sorted(tag for tag, pointer in self.tags.items() if pointer.digest == digest)

    def age_of_untagged(self, digest: Digest, now: float) -> float:
        """Return for how many seconds a revision has had no tag, at least. It has none if it was pushed by its digest."""
        return now - max(self.revisions[digest], self.untagged.get(digest, 0))


def take(domain: Domain, repository: str) -> Inventory:
    """Look at a repository. Of one that does not exist, everything is empty."""
    listed, revisions, notes = domain.together.all(
        lambda: domain.tags.all(repository),
        lambda: domain.pruning.revisions(repository),
        lambda: list(listing.below(domain.storage, layout.untagged(repository))),
    )
    by_etag: dict[str | None, Digest] = {digest.etag: digest for digest in (*revisions, *(d for tag in listed for d in tag.digests))}
    unknown = [tag for tag in listed if tag.etag not in by_etag]
    tags = {tag.tag: Pointer(by_etag[tag.etag], tag.written) for tag in listed if tag.etag in by_etag}
    for tag, (digest, written) in zip(unknown, domain.together.map(lambda tag: domain.tags.now(repository, tag.tag), unknown)):
        tags[tag.tag] = Pointer(digest, written or tag.written)
    untagged = {layout.digest_of(stat.path): stat.last_modified or 0 for stat in notes}
    for found in listed:
        for digest, lost in _lost(found).items():
            untagged[digest] = max(untagged.get(digest, 0), lost)
    return Inventory(repository, tags, revisions, untagged)


def _lost(listed: Listed) -> dict[Digest, float]:
    """Return when a tag began to point to another digest, for each to which it has pointed: not before, and mostly just then."""
    times = {layout.digest_in_index(path): stat.last_modified or 0 for path, stat in listed.index.items()}
    since = [*times.values(), listed.written]
    return {digest: min((time for time in since if time > pushed), default=pushed) for digest, pushed in times.items() if digest}


def mentioned(domain: Domain, digests: Iterable[Digest]) -> dict[Digest, Mentions | None]:
    """Return what manifests mention. None if a manifest cannot be read: its bytes are missing, damaged or no manifest."""
    digests = list(digests)

    def read(digest: Digest) -> Mentions | None:
        try:
            content = domain.storage.get_content(layout.blob(digest), newest=False)
            return mentions.of(content) if Digest.of(content, digest.algorithm) == digest else None
        except (exceptions.FileNotFoundError, errors.ManifestInvalid):
            return None

    return dict(zip(digests, domain.together.map(read, digests)))


def repositories(domain: Domain) -> Iterable[str]:
    """Yield the names of all repositories, page by page."""
    marker: str | None = ''
    while marker is not None:
        page, marker = catalog.page(domain.storage, PAGE, marker)
        yield from page


def in_order(digests: Iterable[Digest], known: Mapping[Digest, Mentions | None]) -> list[list[Digest]]:
    """Return the digests in groups: each digest after those that mention it as part of them, and after its subject.

    So whoever deletes the groups one after the other never leaves a manifest that names a deleted one.
    """
    left = set(digests)
    before: dict[Digest, set[Digest]] = {digest: set() for digest in left}
    for digest in left:
        found = known.get(digest)
        for other in found.sizes if found else ():
            if other in left and other != digest:
                first, then = (other, digest) if found and other == found.subject else (digest, other)
                before[then].add(first)
    groups = []
    while left:
        group = [digest for digest in left if not before[digest] & left] or list(left)  # digests cannot name each other in a circle
        groups.append(sorted(group))
        left -= set(group)
    return groups
