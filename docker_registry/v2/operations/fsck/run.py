"""The order of a check: first what gives names their bytes, then the names (never a name without its bytes)."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker_registry.v2.operations.fsck import bytes_of_manifests, pointers, rest
from docker_registry.v2.operations.fsck.blobs import Blobs
from docker_registry.v2.operations.fsck.data import Data
from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.healing import Healing
from docker_registry.v2.operations.fsck.looks import Looks
from docker_registry.v2.operations.fsck.origin import Origin
from docker_registry.v2.operations.fsck.plans import carry_out
from docker_registry.v2.operations.fsck.reading import Reader
from docker_registry.v2.operations.fsck.remembered import Remembered
from docker_registry.v2.operations.fsck.revisions import Revisions
from docker_registry.v2.operations.fsck.segments import Segments
from docker_registry.v2.operations.fsck.tags import Tags
from docker_registry.v2.operations.fsck.writing import Writing
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest

READ_AGAIN = 7 * 86400  # seconds; `--deep` reads a blob again after that


@dataclass(frozen=True)
class Options:
    """What to check.

    :param sizes: compare sizes and segments, too
    :param deep: read all blobs, too
    :param repository: check this one only
    :param read_again: seconds, see `Remembered`
    :param pace: see `Reader`
    :param sparse: see `Revisions`
    :param replication_cycle: see `Looks`
    """

    sizes: bool = False
    deep: bool = False
    repair: bool = False
    repository: str | None = None
    read_again: float = READ_AGAIN
    pace: Callable[[int], None] = lambda count: None
    sparse: bool = False
    replication_cycle: float = 24 * 3600


class Check:
    """One check.

    :param db: a survey of the same storage (`survey.database`), which gets what is learnt
    :param origin: another registry that has the same images
    """

    def __init__(
        self,
        storage: Any,
        db: sqlite3.Connection,
        options: Options,
        together: Together,
        origin: Origin | None = None,
        progress: Progress | None = None,
    ):
        self._storage, self._options, self._together = storage, options, together
        self._progress = progress or Progress(None)
        container, root = storage.at(''), storage.identity()[-1]
        self._looks = Looks(storage, options.replication_cycle)
        self._facts = Facts(db, self._looks, options.repository)
        segments = Segments(storage, container, root, db, Looks(container, options.replication_cycle), together)
        reader = Reader(storage, container, options.pace)
        self._data = Data(storage, self._facts, self._looks, segments, storage.settings.container)
        fetch = (lambda digest, repositories: origin.fetch(storage, digest, repositories)) if origin else None
        self._healing = Healing(storage, self._looks, segments, reader, fetch)
        self._blobs = Blobs(self._facts, self._looks, self._data, self._healing, reader, together, options.repair)

    def run(self) -> list[Finding]:
        """Check, repair if that is wanted, and return the findings.

        :raises NotKnown: never: what could not be found out is a finding
        """
        facts, looks, writing = self._facts, self._looks, Writing(self._storage, self._looks)
        tags_now = pointers.read_all(facts, looks, self._together)
        found = list(bytes_of_manifests.check(facts, self._data, self._healing if self._options.repair else None))
        self._blobs.reported.update(finding.digest for finding in found if finding.digest)
        found += self._check_data()
        self._blobs.reported.update(finding.digest for finding in found if finding.digest and finding.is_bad)
        revisions = Revisions(facts, looks, writing, self._bring_back, self._options.sparse)
        tags = Tags(facts, looks, writing, revisions)
        others = rest.Rest(facts, looks, writing)
        revisions.check_all()
        tags.check_all(tags_now)
        revisions.check_waiting()
        found += self._blobs.bring_back({blob for blobs in revisions.lacking.values() for blob in blobs})
        others.check_all()
        plans = [*revisions.plans, *tags.plans, *others.plans]
        found += [*revisions.findings, *tags.findings, *others.findings, *(plan.finding for plan in plans)]
        if self._options.repair:
            found += carry_out(plans)
        return [*found, *revisions.lacks(self._blobs.reported), *rest.garbage(facts)]

    def _bring_back(self, manifest: Digest, repositories: list[str]) -> str:
        return self._healing.bring_back(manifest, None, repositories) if self._options.repair else ''

    def _check_data(self) -> list[Finding]:
        if not self._options.sizes and not self._options.deep:
            return []
        total = sum(1 for _ in self._data.in_use())
        with self._progress.stage('Reading blobs' if self._options.deep else 'Checking blobs', 'blobs', total) as advance:
            remembered = Remembered(self._storage, self._options.read_again) if self._options.deep else None
            return list(self._blobs.check(remembered, advance))
