"""How much space a collection can free after a deletion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout, listing
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.mentions import Mentions
from docker_registry.v2.registry.names import Digest

UNITS = ('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')


@dataclass
class Freed:
    """The blobs that repositories will not need any more: {repository: {digest: size in bytes, or None if it is not known}}."""

    blobs: dict[str, dict[Digest, int | None]] = field(default_factory=dict)

    def add(self, repository: str, gone: Mapping[Digest, Mentions | None], remaining: Mapping[Digest, Mentions | None]) -> None:
        """Add the manifests that go, and what only they mention. If one that stays cannot be read, nothing is certain, so add nothing."""
        if None in remaining.values():
            return
        kept = set(remaining).union(*(found.sizes for found in remaining.values() if found))
        blobs = self.blobs.setdefault(repository, {})
        for digest, found in gone.items():
            for name, size in {digest: None, **(found.sizes if found else {})}.items():
                if name not in kept:
                    blobs[name] = blobs.get(name) or size

    def size(self, domain: Domain, exactly: bool) -> int:
        """Return the bytes that these blobs have in storage.

        :param exactly: leave out those that other repositories have linked. That takes a listing of all repositories
        """
        digests = {digest: size for blobs in self.blobs.values() for digest, size in blobs.items()}
        if exactly:
            for stat in listing.below(domain.storage, layout.REPOSITORIES):
                digest = layout.digest_of_link(stat.path)
                if digest in digests and digest not in self.blobs.get(layout.repository_of(stat.path) or '', ()):
                    del digests[digest]
        unknown = [digest for digest, size in digests.items() if size is None]
        return sum(filter(None, digests.values())) + sum(domain.together.map(lambda digest: _stored(domain, digest), unknown))


def _stored(domain: Domain, digest: Digest) -> int:
    try:
        return domain.storage.stat(layout.blob(digest), newest=False).size or 0
    except exceptions.FileNotFoundError:
        return 0


def text(size: float) -> str:
    """Return a number of bytes for people, such as `1.5 GiB`."""
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            return f'{size:.0f} {unit}' if unit == UNITS[0] else f'{size:.1f} {unit}'
        size /= 1024
    raise AssertionError
