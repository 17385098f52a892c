"""Checks and repairs the data of all blobs in use: their sizes and segments, and with `deep` every byte."""

from collections.abc import Callable, Iterator

from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.operations.fsck.data import Data, Verdict
from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.healing import Healing
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.operations.fsck.reading import Reader
from docker_registry.v2.operations.fsck.remembered import Remembered
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat

AGAIN = 'push an image that has it: the registry asks clients for it. Or use --from'


class Blobs:
    """:param repair: whether to repair what is damaged"""

    def __init__(self, facts: Facts, looks: Looks, data: Data, healing: Healing, reader: Reader, together: Together, repair: bool):
        self._facts = facts
        self._looks = looks
        self._data = data
        self._healing = healing
        self._reader = reader
        self._together = together
        self._repair = repair

        self.reported: set[Digest] = set()  # digests whose data are damaged, which need not be reported again

    def check(self, remembered: Remembered | None, advance: Callable[[int], object]) -> Iterator[Finding]:
        """Yield a finding for each blob whose size or segments are wrong.

        :param remembered: read also those that look right and were not read lately; None reads only what looks wrong
        :param advance: called with 1 for each blob
        """
        digests = list(self._data.in_use())
        with self._together.each(self._look, digests) as looks:
            for digest, stat in zip(digests, looks):
                if digest not in self.reported:
                    yield from self._found(digest, stat, remembered)
                advance(1)
        if remembered is not None:
            remembered.save()

    def _look(self, digest: Digest) -> Stat | NotKnown | None:
        try:
            return self._looks.stat(layout.blob(digest))
        except NotKnown as error:
            return error

    def _found(self, digest: Digest, stat: Stat | NotKnown | None, remembered: Remembered | None) -> Iterator[Finding]:
        try:
            if isinstance(stat, NotKnown):
                raise stat
            verdict = stat and self._verdict(digest, stat, remembered)
            if verdict:
                yield self._finding(verdict)
            elif stat is None:
                yield self._gone(digest)
        except NotKnown as error:
            if (
                stat and not isinstance(stat, NotKnown) and self._look(digest) is None
            ):  # Swift removes what it finds damaged while it is read
                yield from self._found(digest, None, None)
                return
            what = f'could not find out whether {digest} is whole: {error}'
            tags = self._facts.all_tags_of(digest)
            yield Finding(findings.UNKNOWN, what, self._facts.only_user(digest), tags, 'run the check again later')

    def _verdict(self, digest: Digest, stat: Stat, remembered: Remembered | None) -> Verdict | None:
        verdict = self._data.verdict(digest, stat)
        if verdict and (verdict.damage != findings.DYNAMIC or (verdict.whole and self._repair)):
            return verdict  # its bytes are read before it is condemned or repaired
        if remembered is None or remembered.has(digest, stat):
            return verdict
        read = self._reader.blob(digest)
        if read is None or (not read.is_right and not self._looks.is_unchanged(layout.blob(digest), stat)):
            raise NotKnown('it has changed while it was read')
        if not read.is_right:
            return self._data.wrong(digest)
        remembered.add(digest, stat)
        return verdict

    def _gone(self, digest: Digest) -> Finding:
        """A listing shows the blob and Swift does not have it: it was deleted just now, or all its replicas were quarantined."""
        self._facts.look_for_data(digest)
        finding = Finding(findings.MISSING, f'the data of {digest} are missing, although a listing shows them', advice=AGAIN)
        how = self._bring_back(digest)
        if how:
            finding.what, finding.repaired = f'{finding.what} ({how})', True
        return self._with_users(finding, digest)

    def _with_users(self, finding: Finding, digest: Digest) -> Finding:
        finding.digest, finding.repository, finding.tags = digest, self._facts.only_user(digest), self._facts.all_tags_of(digest)
        return finding

    def _finding(self, verdict: Verdict) -> Finding:
        """Return the finding for a verdict, after its repair if that is wanted.

        Manifests may state a wrong size. Then the bytes are right, and nothing is touched.
        """
        digest = verdict.digest
        finding = self._with_users(Finding(verdict.damage, verdict.what, advice=AGAIN), digest)
        if verdict.damage == findings.DYNAMIC:
            finding.tags = []
            finding.advice = 'run with --repair' if verdict.whole else 'an image with smaller layers would not have this risk'
        elif verdict.whole:
            finding.advice = 'run with --repair'
        if verdict.damage == findings.SIZE and not self._healing.is_condemned(verdict):
            finding.damage, finding.what = findings.STATED, f'{verdict.what}. Its bytes are right: the manifest is wrong'
            finding.advice = 'build and push the image again'
        elif self._repair:
            how = self._healing.repair(verdict, self._names(digest))
            if verdict.damage != finding.damage:
                finding = self._with_users(Finding(verdict.damage, verdict.what, advice=AGAIN), digest)
            finding.repaired = bool(how)
            finding.what += f' ({how})' if how else ''
            if not self._facts.look_for_data(digest):
                finding.advice = f'its damaged data are below {layout.lost_record(digest)} now. {AGAIN[0].upper()}{AGAIN[1:]}'
        return finding

    def _names(self, digest: Digest) -> list[str]:
        return [self._facts.repositories[repository] for repository in self._facts.users(digest)]

    def bring_back(self, digests: set[Digest]) -> Iterator[Finding]:
        """Bring back data that manifests name and that are missing. Yield a finding for each that came back, or is not known."""
        for digest in sorted(digests - self.reported):
            try:
                how = self._bring_back(digest)
            except NotKnown as error:
                yield Finding(findings.UNKNOWN, f'could not find out how to bring back {digest}: {error}', advice='run it again later')
                continue
            if how:
                yield self._with_users(Finding(findings.MISSING, f'the data of {digest} were missing ({how})', repaired=True), digest)

    def _bring_back(self, digest: Digest) -> str:
        if not self._repair:
            return ''
        how = self._healing.bring_back(digest, self._data.size(digest), self._names(digest))
        return how if self._facts.look_for_data(digest) else ''
