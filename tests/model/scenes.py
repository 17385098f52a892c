"""Who takes part: small registries, each with some writers, a collector, and faults that may come."""

import dataclasses
import functools

from .rules import Rules
from .store import ABSENT, GONE, HERE, NO_NAMES, OLD, Record, Run, State
from .writers import Writer


@dataclasses.dataclass(frozen=True)
class Scene:
    """
    :param manifests: of each repository: the blobs that its manifest names
    :param pushed: repositories whose manifest is there at the beginning
    :param linked: (repository, blob) of the links that are there at the beginning. Data of all blobs is there, as OLD
    :param shared: whether the old contents of all blobs share a segment
    :param dynamic: whether Swift stores data without looking for its segments, as it does with dynamic large objects
    """

    writers: tuple
    manifests: tuple = ((0,),)
    pushed: tuple = ()
    linked: tuple = ()
    shared: bool = False
    dynamic: bool = False
    crashes: int = 1
    lies: int = 0
    collectors: int = 1
    late_blobs: bool = False  # whether listings of blobs and records may be behind. Otherwise only those of repositories
    rules: Rules = Rules()

    @functools.cached_property
    def blobs(self):
        return 1 + max(blob for manifest in self.manifests for blob in manifest)

    @functools.cached_property
    def pairs(self):
        """(repository, blob) of each possible link, by its number."""
        return [(repository, blob) for repository in range(len(self.manifests)) for blob in range(self.blobs)]

    def link(self, repository, blob):
        return repository * self.blobs + blob

    def segments_of(self, blob, content):
        """Return the bits of the segments of a content. Each upload has its own; bit 0 is what old contents may share."""
        if content == ABSENT:
            return 0
        if content == OLD:
            return 2 << blob | self.shared
        return 1 << (content + self.blobs)

    def without(self, **rules):
        """Return the scene with other rules."""
        return dataclasses.replace(self, rules=dataclasses.replace(self.rules, **rules))

    def canonical(self, state):
        """Return the state without differences that this scene does not tell apart."""
        if self.late_blobs:
            return state
        data = tuple(HERE if content else GONE for content in state.contents)
        return state._replace(data=data, records=tuple(record._replace(row=GONE) for record in state.records))

    def first(self):
        segments = 0
        for blob in range(self.blobs):
            segments |= self.segments_of(blob, OLD)
        return State(
            contents=(OLD,) * self.blobs,
            data=(HERE,) * self.blobs,
            links=tuple(HERE if pair in self.linked else GONE for pair in self.pairs),
            revisions=tuple(HERE if repository in self.pushed else GONE for repository in range(len(self.manifests))),
            records=(Record(),) * self.blobs,
            names=(NO_NAMES,) * len(self.pairs),
            segments=segments,
            writers=(('start', 0),) * len(self.writers),
            runs=(Run(),) * self.collectors,
            crashes=self.crashes,
            lies=self.lies,
        )


def pushes(*kinds, repository=0, blob=0):
    return tuple(Writer(kind, repository, blob) for kind in kinds)


READER, DELETER = 'reader', 'deleter'
