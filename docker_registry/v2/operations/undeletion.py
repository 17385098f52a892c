"""`registry-swift undelete`: gives an image back to a repository. A delete takes links and tags only; the bytes stay until a collection."""

from dataclasses import dataclass, field

from docker_registry.v2.operations.targets import Target
from docker_registry.v2.registry import damage, errors, formats, layout, names
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.formats import Parsed, Reference
from docker_registry.v2.registry.names import Digest

MOST_NAMED = 20  # missing digests in an error
LARGEST = 64 * 1024**2  # bytes; nothing larger is read as a manifest


class Impossible(Exception):
    """The image cannot come back. The text says why."""


@dataclass
class Found:
    """What an image consists of, in the order in which it must be written: blobs, manifests that others name, the image itself."""

    contents: dict[Digest, tuple[bytes, str]] = field(default_factory=dict)  # of manifests, with their media types
    sizes: dict[Digest, int] = field(default_factory=dict)  # of blobs
    missing: list[str] = field(default_factory=list)

    @property
    def manifests(self) -> int:
        return len(self.contents)

    @property
    def blobs(self) -> int:
        return len(self.sizes)


def parse(image: str, digest: str) -> tuple[Target, Digest]:
    """Return what `NAME[:TAG]` and a digest mean.

    :raises ValueError: one of them is wrong
    """
    try:
        name, colon, tag = image.partition(':')
        return Target(names.repository(name), names.tag(tag) if colon else ''), names.digest(digest)
    except errors.RegistryError as error:
        raise ValueError(f'write NAME or NAME:TAG, without the host of the registry, and then the digest: {error} ({error.detail})')


class Undeletion:
    def __init__(self, domain: Domain):
        self._domain = domain
        self._storage = domain.storage

    def run(self, target: Target, digest: Digest, replace: bool = False) -> Found:
        """Put a manifest and all that it names back into a repository, and tag it.

        :param replace: whether the tag may point to another manifest now
        :raises Impossible: something is missing, or the tag is taken
        """
        if target.tag and not replace:
            self._require_free(target, digest)
        found = Found()
        self._find(digest, '', found)
        if found.missing:
            more = f' and {len(found.missing) - MOST_NAMED} more' if len(found.missing) > MOST_NAMED else ''
            raise Impossible(f'{digest} cannot come back. Missing: {", ".join(found.missing[:MOST_NAMED])}{more}. {target} was not changed')
        for blob, size in found.sizes.items():
            self._domain.blobs.link(target.repository, blob, size, verified=False)
        # A collection that looked for links before they were written may have moved the bytes to its trash meanwhile. So look again.
        gone = [blob for blob in found.sizes if self._size(blob) is None]
        if gone:
            raise Impossible(f'a collection has just freed {", ".join(map(str, gone[:MOST_NAMED]))}. {target} was not changed')
        for manifest, (content, media_type) in found.contents.items():
            tags = [target.tag] if target.tag and manifest == digest else []
            self._domain.manifests.put(target.repository, manifest, content, media_type, tags)
        return found

    def _require_free(self, target: Target, digest: Digest) -> None:
        now = self._domain.tags.now(target.repository, target.tag)[0]
        if now not in (None, digest) and self._domain.manifests.exists(target.repository, now):
            raise Impossible(f'{target} points to {now} now. Choose another tag, or add --replace')

    def _find(self, digest: Digest, media_type: str, found: Found) -> None:
        """Find a manifest and all that it names, those that others name first."""
        if digest in found.contents:
            return
        content = self._content(digest)
        if content is None:
            found.missing.append(f'{digest} (a manifest)')
            return
        try:
            parsed = formats.parse(content, media_type)
        except errors.RegistryError as error:
            found.missing.append(f'{digest} (the bytes are there, but they are no manifest that this registry accepts: {error})')
            return
        for child in parsed.manifests:
            self._find(child.digest, '', found)
        self._find_blobs(parsed, found)
        found.contents[digest] = content, parsed.media_type

    def _find_blobs(self, parsed: Parsed, found: Found) -> None:
        blobs = [*parsed.blobs, *parsed.blobs_or_manifests]
        for blob, size in zip(blobs, self._domain.together.map(lambda blob: self._size(blob.digest), blobs)):
            if size is None:
                found.missing.append(str(blob.digest))
            elif _differs(blob, size):
                found.missing.append(f'{blob.digest} (it has {size} bytes instead of {blob.size})')
            else:
                found.sizes[blob.digest] = size

    def _content(self, digest: Digest) -> bytes | None:
        """Return the bytes of a manifest, or None if they are missing or damaged."""
        size = self._size(digest)
        if size is None or size > LARGEST:
            return None
        content = self._storage.get_content(layout.blob(digest), newest=True)
        return content if Digest.of(content, digest.algorithm) == digest else None

    def _size(self, digest: Digest) -> int | None:
        """Return how many bytes are stored under a digest, or None. What a collection has put into its trash comes back first."""
        stat = damage.stored(self._storage, digest)
        if stat is None and self._domain.trash.restore_data(digest):
            stat = damage.stored(self._storage, digest)
        return None if stat is None else stat.size or 0


def _differs(blob: Reference, size: int) -> bool:
    return blob.size not in (None, size) and not (size == 0 and blob.digest.is_of_nothing)
