"""Checks what the revisions of each repository need: their bytes, their blobs, and the images of an index."""

import functools
from collections.abc import Callable, Iterator

from docker_registry.v2.operations.fsck import findings, images
from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.images import Child
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.operations.fsck.plans import Plan, Stage
from docker_registry.v2.operations.fsck.writing import Writing
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest

BringBack = Callable[[Digest, list[str]], str]

#: Revisions that name something for which the survey has no link, or no data.
SUSPECTS = """
SELECT DISTINCT revision.digest FROM revision JOIN reference ON manifest = revision.digest
LEFT JOIN layer ON layer.repository = revision.repository AND layer.digest = reference.digest
LEFT JOIN revision AS child ON child.repository = revision.repository AND child.digest = reference.digest
LEFT JOIN blob ON blob.digest = reference.digest
WHERE revision.repository = ? AND (blob.digest IS NULL OR layer.digest IS NULL AND child.digest IS NULL)
"""


class Revisions:
    """What the revisions need and lack.

    :param bring_back: stores the bytes of a manifest that are missing, and returns how; '' if it cannot. It gets names of repositories, too
    :param sparse: whether the registry accepts an index without its images, so that a missing one is no damage
    """

    def __init__(self, facts: Facts, looks: Looks, writing: Writing, bring_back: BringBack, sparse: bool = False):
        self._facts = facts
        self._looks = looks
        self._writing = writing
        self._bring_back = bring_back
        self._sparse = sparse
        self.plans: list[Plan] = []
        self.findings: list[Finding] = []
        self.lacking: dict[tuple[int, Digest], list[Digest]] = {}  # (repository, manifest): its blobs whose data are missing
        self._waiting: list[tuple[int, Digest]] = []
        self._checked: set[tuple[int, Digest]] = set()
        self._linked: set[tuple[int, Digest]] = set()  # blobs whose link is planned

    def check_all(self) -> None:
        for repository in self._facts.repositories:
            self._waiting += [(repository, digest) for digest in self._facts.digests(SUSPECTS, repository)]
            self.check_waiting()

    def check_waiting(self) -> None:
        """Check the revisions that are to be linked, and those that are to be linked because of these."""
        while self._waiting:
            self._check(*self._waiting.pop())

    def _check(self, repository: int, digest: Digest) -> None:
        if (repository, digest) in self._checked:
            return
        self._checked.add((repository, digest))
        try:
            image = self._facts.image(digest)
            for blob in image.blobs if image else ():
                self._check_blob(repository, digest, blob)
            for child in image.children if image else ():
                self._check_child(repository, digest, child)
        except NotKnown as error:
            self._unknown(repository, f'what {digest} needs: {error}', digest)

    def _unknown(self, repository: int, what: str, digest: Digest) -> None:
        name = self._facts.repositories[repository]
        self.findings.append(Finding(findings.UNKNOWN, f'could not find out {what}', name, advice='run the check again later'))

    def _check_blob(self, repository: int, manifest: Digest, blob: Digest) -> None:
        if not self._facts.has_data(blob):
            self.lacking.setdefault((repository, manifest), []).append(blob)
        if not self._facts.has_layer(repository, blob):
            self._plan_layer_link(repository, manifest, blob)

    def _plan_layer_link(self, repository: int, manifest: Digest, blob: Digest) -> None:
        name = self._facts.repositories[repository]
        what = f'{manifest} needs {blob}, whose link in the repository is missing'
        finding = Finding(findings.LAYER_LINK, what, name, self._facts.tags_of(repository, manifest), 'run with --repair')
        if (repository, blob) not in self._linked:
            self._linked.add((repository, blob))
            self.plans.append(Plan(Stage.LAYER, finding, functools.partial(self._writing.layer_link, name, blob)))

    # The images of an index

    def _check_child(self, repository: int, index: Digest, child: Child) -> None:
        facts = self._facts
        if facts.has('revision', child.digest, repository) or facts.has('layer', child.digest, repository) or self._sparse:
            return  # the bytes of a revision are checked as such
        if facts.has_revision(repository, child.digest):
            self._waiting.append((repository, child.digest))
        elif child.is_manifest or not facts.has_layer(repository, child.digest):
            self._missing_child(repository, index, child)

    def _missing_child(self, repository: int, index: Digest, child: Child) -> None:
        name = self._facts.repositories[repository]
        platform = child.platform or 'one of its images'
        finding = Finding(findings.CHILD, f'{index} lacks {child.digest} ({platform})', name)
        finding.tags = self._facts.tags_of(repository, index, platform)
        self.findings.append(finding)
        if self._looks.stat(layout.deletion(name, child.digest)):
            finding.what += ', which somebody has deleted'
            finding.advice = 'push the index again, without the image or with it'
        elif self.plan_revision(repository, child.digest, finding):
            self.findings.remove(finding)  # it is in the plan
        else:
            finding.advice = 'its bytes are missing: push it again, or use --from'

    def plan_revision(self, repository: int, digest: Digest, finding: Finding) -> bool:
        """Plan to link a manifest if its bytes are there, or can be brought back. Return whether they are. `check_waiting` checks it."""
        name = self._facts.repositories[repository]
        content = self._facts.manifest(digest)
        if content is None and (how := self._bring_back(digest, [name])):
            finding.what += f' ({how})'
            content = self._facts.manifest(digest)
            self._facts.look_for_data(digest)
        image = images.read(content) if content else None
        if not content or image is None:
            return False
        finding.advice = 'run with --repair'
        self.plans.append(Plan(Stage.REVISION, finding, functools.partial(self._writing.revision_link, name, digest, content)))
        self._facts.add_manifest(digest, image)
        self._facts.add('revision', repository, digest)
        self._waiting.append((repository, digest))
        return True

    # What is missing at the end

    def lacks(self, reported: set[Digest]) -> Iterator[Finding]:
        """Yield a finding for each image that lacks the data of blobs. Ask when what can be brought back is back.

        :param reported: blobs that have findings of their own
        """
        for (repository, manifest), blobs in self.lacking.items():
            missing = [blob for blob in blobs if blob not in reported and not self._facts.has('blob', blob)]
            if not missing:
                continue
            name = self._facts.repositories[repository]
            try:
                image = self._facts.image(manifest)
            except NotKnown:
                image = None
            finding = Finding(findings.MISSING, '', name, self._facts.tags_of(repository, manifest))
            shown = ', '.join(map(str, missing[:3])) + (f' and {len(missing) - 3} more' if len(missing) > 3 else '')
            finding.what = (
                f'{manifest} lacks {len(missing)} of its {len(image.blobs)} blobs: {shown}' if image else f'{manifest} lacks blobs: {shown}'
            )
            finding.advice = f'push the image again, use --from, or delete it: registry-swift rm {name}@{manifest}'
            if image and len(missing) == len(image.blobs) > 1:
                finding.damage = findings.EMPTIED
                finding.advice = f'it may have been deleted, and have come back with an old disk: registry-swift rm {name}@{manifest}'
            yield finding
