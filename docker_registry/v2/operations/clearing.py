"""Deletes a whole repository, but not what somebody pushes into it meanwhile."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from docker_registry.core import exceptions
from docker_registry.v2.operations import inventory
from docker_registry.v2.operations.inventory import Inventory
from docker_registry.v2.registry import layout, linked, listing
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.mentions import Mentions
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat, Storage

BATCH = 200  # manifests after which it looks whether somebody needs them
TAGS_AT_A_TIME = 8
#: For this long a process of the registry accepts a manifest without looking for the links of blobs that it has seen.
SETTLE_SECONDS = linked.FRESH_SECONDS + 5

_DIGEST_IN_PATH = re.compile('/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})(?=/|$)')


def own_names(storage: Storage, repository: str) -> Iterator[Stat]:
    """Yield all objects of a repository, without those of repositories nested in it."""
    prefix = layout.own_names(repository)
    for stat in listing.below(storage, layout.repository(repository), prefix):
        if not stat.path.startswith(prefix):
            return
        yield stat


class Clearing:
    """The deletion of one repository.

    A crash leaves a repository that can be deleted again: tags go first, then manifests, then what only they need.

    :param found: the repository as it was before the operator said yes
    :param mentioned: what its manifests mention
    :param listed: its objects at that time
    """

    def __init__(
        self,
        domain: Domain,
        found: Inventory,
        mentioned: Mapping[Digest, Mentions | None],
        listed: list[Stat],
        say: Callable[[str], object],
    ):
        self._domain = domain
        self._storage = domain.storage
        self._repository = found.repository
        self._found = found
        self._mentioned = mentioned
        self._listed = listed
        self._say = say

    def begin(self) -> bool:
        """Delete everything. Return whether the caller must wait for `SETTLE_SECONDS` before the `end`: links of blobs are gone."""
        self._delete_tags()
        self._delete_manifests()
        needed = self._needed()
        unneeded = [stat for stat in self._listed if not self._is_note(stat.path) and not needed & set(_digests_in(stat.path))]
        folder = layout.layers(self._repository) + '/'
        links = [stat for stat in unneeded if stat.path.startswith(folder)]
        self._domain.pruning.names(links)
        self._domain.pruning.names(stat for stat in unneeded if not stat.path.startswith(folder))
        self._mend()
        return bool(links)

    def end(self) -> bool:
        """Put back what pushes need that were under way. Return False if something of the repository is there."""
        self._mend()
        # Else a pull could put links back that a collection has deleted.
        self._storage.discard_all(layout.trashed_shard(self._repository, digit) for digit in '0123456789abcdef')
        return self._delete_notes()

    def _delete_tags(self) -> None:
        tags = self._found.tags.items()
        with Together(2 * TAGS_AT_A_TIME).each(lambda item: self._domain.pruning.tag(self._repository, *item), tags) as results:
            for (tag, _), done in zip(tags, results):
                self._say(f'{"deleted" if done else "pushed meanwhile, kept"}: {self._repository}:{tag}')

    def _delete_manifests(self) -> None:
        seen = self._found.revisions
        for group in inventory.in_order(seen, self._mentioned):
            for first in range(0, len(group), BATCH):
                batch = group[first : first + BATCH]
                gone = self._domain.pruning.manifests(self._repository, batch, seen)
                for digest in batch:
                    self._say(f'{"deleted" if digest in gone else "pushed meanwhile, kept"}: {self._repository}@{digest}')

    def _there(self) -> dict[Digest, Mentions | None]:
        """Return the manifests that are there now. A listing may still show deleted ones."""
        listed = list(self._domain.pruning.revisions(self._repository))
        exist = self._domain.together.map(lambda digest: self._domain.manifests.exists(self._repository, digest), listed)
        return inventory.mentioned(self._domain, (digest for digest, exists in zip(listed, exist) if exists))

    def _needed(self) -> set[Digest]:
        there = self._there()
        return set(there).union(*(found.sizes for found in there.values() if found))

    def _mend(self) -> None:
        """Link the blobs of manifests that are there now. Their links may have been deleted while the manifest was pushed."""
        there = self._there()
        needed = {digest for found in there.values() if found for digest in found.sizes} - there.keys()
        for digest in self._unlinked(needed):
            self._say(f'put back: {digest}, which a push needs')
            self._domain.blobs.link(self._repository, digest)

    def _unlinked(self, digests: Iterable[Digest]) -> Iterator[Digest]:
        for digest in digests:
            if not self._storage.exists(layout.layer_link(self._repository, digest)) and self._is_stored(digest):
                yield digest

    def _is_stored(self, digest: Digest) -> bool:
        try:
            return self._storage.stat(layout.blob(digest), newest=True) is not None
        except exceptions.FileNotFoundError:
            return False

    def _delete_notes(self) -> bool:
        """Delete the notes of deletions if nothing else is left. Return whether that is so."""
        left = list(own_names(self._storage, self._repository))
        if any(self._storage.exists(stat.path) for stat in left if not self._is_note(stat.path)):
            return False
        self._domain.pruning.names(left)
        return True

    def _is_note(self, path: str) -> bool:
        return path.startswith((layout.deleted(self._repository) + '/', layout.untagged(self._repository) + '/'))


def _digests_in(path: str) -> Iterator[Digest]:
    for match in _DIGEST_IN_PATH.finditer(path):
        yield Digest(*match[1].split('/'))
