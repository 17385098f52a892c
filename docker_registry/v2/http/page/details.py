"""What the list of tags shows of manifests: their sizes and platforms. Manifests never change, so a process remembers it."""

import contextlib
from typing import NamedTuple

from docker_registry.v2.http.page import budget, images
from docker_registry.v2.registry import errors, formats
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.recent import Recent

REMEMBERED_SECONDS, MOST = 24 * 3600, 5000
SHOWN, LONGEST_SHOWN = 3, 60  # platforms of one image, and characters of each: clients may have pushed megabytes of them


class Facts(NamedTuple):
    """What a process remembers of a manifest or a configuration: a few hundred bytes, whatever that says.

    `platforms` are the first, and `others` is the number of those that follow. `more` is what else must be read for a summary.
    """

    size: int | None
    platforms: tuple[str, ...]
    others: int
    more: Digest | None


class Summary(NamedTuple):
    """The size of an image in bytes, or None if it is not known; its platforms, and how many more of these there are.

    The size of an image for several platforms is that for the first.
    """

    size: int | None
    platforms: tuple[str, ...]
    more: int


class Details:
    """Reads manifests and configurations, within the budget of a page.

    :param domain: `registry.domain.Domain`
    :param is_sparse: True if manifests may name what is not in their repository. Nothing of that is shown: it may be somebody else's
    """

    def __init__(self, domain, is_sparse):
        self._domain, self._is_sparse = domain, is_sparse
        self._known = Recent(REMEMBERED_SECONDS, MOST)  # digest: `Facts`

    def summaries(self, digests):
        """Return {digest: `Summary`} of those that are known, or become known within the budget. The first come first."""
        left = budget.READS - self._read(digests, budget.left(budget.READS))
        known = self._facts(digests)
        self._read([facts.more for facts in known.values() if facts.more], 0 if self._is_sparse else budget.left(left))
        return {digest: self._summary(facts) for digest, facts in known.items()}

    def sizes(self, digests):
        """Return {digest: bytes} of the images that an index names, like `summaries`."""
        if not self._is_sparse:
            self._read(digests, budget.left(budget.PLATFORMS))
        return {digest: facts.size for digest, facts in self._facts([] if self._is_sparse else digests).items()}

    def config(self, repository, manifest):
        """Return the bytes of the configuration that a manifest names, or b'' if there is none to show."""
        config = images.config_of(manifest)
        if not config or config[1] > images.LARGEST:
            return b''
        try:
            with contextlib.closing(self._domain.blobs.open(repository, config[0], (0, images.LARGEST - 1))) as stream:
                return b''.join(stream)
        except (errors.BlobUnknown, errors.RangeUnsatisfiable):
            return b''

    def _facts(self, digests):
        return {digest: facts for digest in digests if (facts := self._known.get(digest))}

    def _summary(self, facts):
        further = facts.more and not self._is_sparse and self._known.get(facts.more)
        size = facts.size if facts.size is not None or not further else further.size
        return Summary(size, facts.platforms or (further.platforms if further else ()), facts.others)

    def _read(self, digests, most):
        """Read up to `most` of these that are not known. Return how many requests that took."""
        unknown = [digest for digest in dict.fromkeys(digests) if digest not in self._known][:most]
        for digest, content in zip(unknown, self._domain.together.map(self._domain.manifests.content, unknown)):
            self._known.add(digest, _facts_of(content or b''))
        return len(unknown)


def _facts_of(content):
    """Return the `Facts` of a manifest or a configuration; none of bytes that are neither."""
    document = images.load(content)
    entries = [entry for entry in images.entries(document) if not entry.is_attestation]
    if entries:
        platforms = tuple(dict.fromkeys(entry.platform for entry in entries if entry.platform))
        return Facts(None, _shown(platforms), len(platforms[SHOWN:]), entries[0].digest)
    config = images.config_of(document)
    platform = images.platform_of(document)
    more = config[0] if config and config[1] <= images.LARGEST else None
    return Facts(images.size_of(document), _shown((platform,) if platform else ()), 0, more)


def _shown(platforms):
    return tuple(errors.short(platform, LONGEST_SHOWN) for platform in platforms[:SHOWN])


def is_index(media_type):
    return media_type.lower() in (formats.OCI_INDEX, formats.DOCKER_LIST)
