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
    :param linked: (repository, blob) of the links that are there at the beginning
    :param empty: whether no data is there at the beginning. Otherwise that of all blobs is, as OLD
    :param shared: whether the old contents of all blobs share a segment
    :param dynamic: whether Swift stores data without looking for its segments, as it does with dynamic large objects
    """

    writers: tuple
    manifests: tuple = ((0,),)
    pushed: tuple = ()
    linked: tuple = ()
    empty: bool = False
    shared: bool = False
    dynamic: bool = False
    crashes: int = 1
    lies: int = 0
    collectors: int = 1
    late_blobs: bool = False  # whether listings of blobs and records may be behind. Otherwise only those of repositories
    collects_segments: bool = False
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

    @functools.cached_property
    def uploads(self):
        """Bits of the segments that writers may upload."""
        return sum(self.segments_of(writer.blob, 2 + number) for number, writer in enumerate(self.writers))

    def without(self, **rules):
        """Return the scene with other rules."""
        return dataclasses.replace(self, rules=dataclasses.replace(self.rules, **rules))

    def canonical(self, state):
        """Return the state without differences that this scene does not tell apart."""
        uploaded = state.uploaded if self.collects_segments else 0
        data, records = state.data, state.records
        if not self.late_blobs:
            data = tuple([HERE if content else GONE for content in state.contents])
            records = tuple([record._replace(row=GONE) if record.row else record for record in records])
        if (uploaded, data, records) == (state.uploaded, state.data, state.records):
            return state
        return state._replace(uploaded=uploaded, data=data, records=records)

    def first(self):
        content, segments = ABSENT if self.empty else OLD, 0
        for blob in range(self.blobs):
            segments |= self.segments_of(blob, content)
        return State(
            contents=(content,) * self.blobs,
            data=(GONE if self.empty else HERE,) * self.blobs,
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
    """Return writers of the same manifest."""
    return tuple(Writer(kind, repository, blob) for kind in kinds)


PUSHED = dict(pushed=(0,), linked=((0, 0),))  # the manifest is there at the beginning
TWO_REPOSITORIES = dict(manifests=((0,), (0,)))
TWO_BLOBS = dict(manifests=((0,), (1,)), shared=True, late_blobs=True)
SEGMENTS = dict(collects_segments=True, late_blobs=True)

#: CI searches these.
SHORT = {
    'our push of a blob that is garbage': Scene(pushes('ours')),
    'distribution pushes it, and we pull': Scene(pushes('distribution', 'reader')),
    'our push of a small blob': Scene(pushes('monolithic'), dynamic=True),
    'a manifest is deleted and pushed again': Scene(pushes('deleter', 'ours'), **PUSHED, crashes=0),
    'the same, by distribution, and we pull': Scene(pushes('deleter', 'distribution', 'reader'), **PUSHED, crashes=0),
    'a blob is mounted whose link is garbage': Scene((Writer('mount', 1),), linked=((0, 0),), **TWO_REPOSITORIES, crashes=0),
    'two blobs share a segment': Scene(pushes('distribution'), linked=((1, 1),), pushed=(1,), **TWO_BLOBS),
    'two collectors': Scene(pushes('distribution'), collectors=2),
    'a HEAD lies': Scene(pushes('distribution'), lies=1, late_blobs=True),
    'an upload while segments are collected': Scene(pushes('uploader'), empty=True, crashes=0, **SEGMENTS),
    'a push while segments are collected': Scene(pushes('distribution'), crashes=0, **SEGMENTS),
}

#: These take minutes each.
LONG = {
    'our push, and we pull': Scene(pushes('ours', 'reader'), crashes=2),
    'our push, and we pull, dynamic': Scene(pushes('ours', 'reader'), crashes=2, dynamic=True),
    'distribution pushes, and we pull, 4 crashes': Scene(pushes('distribution', 'reader'), crashes=4),
    'our push of a small blob, and we pull': Scene(pushes('monolithic', 'reader'), dynamic=True),
    'we and distribution push': Scene(pushes('ours', 'distribution'), dynamic=True),
    'a manifest is deleted and pushed again, 2 crashes': Scene(pushes('deleter', 'ours', 'reader'), **PUSHED, crashes=2),
    'a blob is mounted while its manifest is deleted': Scene((Writer('deleter'), Writer('mount', 1)), **PUSHED, **TWO_REPOSITORIES),
    'both of two blobs that share a segment are pushed': Scene((*pushes('distribution'), Writer('ours', 1, 1)), crashes=0, **TWO_BLOBS),
    'a HEAD lies, our push': Scene(pushes('ours'), lies=1, late_blobs=True),
    'an upload of a blob that is garbage': Scene(pushes('uploader'), **SEGMENTS),
    'a push while segments are collected, with crashes': Scene(pushes('distribution'), **SEGMENTS),
}
