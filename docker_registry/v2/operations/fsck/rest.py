"""Checks the lists of referrers, and the links that nobody needs."""

import functools

from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.operations.fsck.facts import Facts, known
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.operations.fsck.plans import Plan, Stage
from docker_registry.v2.operations.fsck.writing import Writing
from docker_registry.v2.registry import errors, formats, layout, referrers
from docker_registry.v2.registry.names import Digest

UNKNOWN_REVISION = """
SELECT repository, subject, digest FROM referrer WHERE repository IN scope AND NOT EXISTS
(SELECT 1 FROM revision WHERE revision.repository = referrer.repository AND revision.digest = referrer.digest)
"""
#: Revisions that name something that may be their subject: it is no blob of the repository, and lists no such referrer.
NO_ENTRY = """
SELECT revision.repository, revision.digest, reference.digest FROM revision JOIN reference ON manifest = revision.digest
LEFT JOIN layer ON layer.repository = revision.repository AND layer.digest = reference.digest
LEFT JOIN referrer ON referrer.repository = revision.repository AND subject = reference.digest AND referrer.digest = revision.digest
WHERE revision.repository IN scope AND layer.digest IS NULL AND referrer.digest IS NULL
"""
NO_DATA = """
SELECT repository, layer.digest FROM layer LEFT JOIN blob ON blob.digest = layer.digest
WHERE repository IN scope AND blob.digest IS NULL
"""


class Rest:
    def __init__(self, facts: Facts, looks: Looks, writing: Writing):
        self._facts = facts
        self._looks = looks
        self._writing = writing
        self.plans: list[Plan] = []
        self.findings: list[Finding] = []

    def check_all(self) -> None:
        for check, sql in ((self._entry, UNKNOWN_REVISION), (self._no_entry, NO_ENTRY), (self._no_data, NO_DATA)):
            for repository, *texts in self._facts.ask(sql):
                digests = [digest for digest in map(known, texts) if digest]
                if len(digests) == len(texts):
                    self._try(check, repository, digests)

    def _try(self, check, repository: int, digests: list[Digest]) -> None:
        try:
            check(repository, self._facts.repositories[repository], *digests)
        except NotKnown as error:
            what = f'could not find out about {", ".join(map(str, digests))}: {error}'
            name = self._facts.repositories[repository]
            self.findings.append(Finding(findings.UNKNOWN, what, name, advice='run the check again later'))

    def _plan(self, stage: Stage, damage: str, what: str, name: str, do) -> None:
        self.plans.append(Plan(stage, Finding(damage, what, name, advice='run with --repair'), do))

    def _entry(self, repository: int, name: str, subject: Digest, digest: Digest) -> None:
        if not self._facts.has_revision(repository, digest):
            what = f'the referrers of {subject} name {digest}, which is no image of the repository'
            self._plan(Stage.REFERRER, findings.REFERRER, what, name, functools.partial(self._writing.drop_referrer, name, subject, digest))

    def _no_entry(self, repository: int, name: str, digest: Digest, subject: Digest) -> None:
        image = self._facts.image(digest)
        if image is None or image.subject != subject or self._looks.stat(layout.referrer(name, subject, digest)):
            return
        content = self._facts.manifest(digest)
        try:
            parsed = formats.parse(content or b'')
            descriptor = referrers.descriptor(digest, len(content or b''), parsed)
        except errors.RegistryError:
            return  # this registry would not have accepted it, so it lists it nowhere
        do = functools.partial(self._writing.referrer, name, subject, digest, descriptor)
        self._plan(Stage.REFERRER, findings.REFERRER, f'the referrers of {subject} lack {digest}', name, do)

    def _no_data(self, repository: int, name: str, digest: Digest) -> None:
        """A link that a revision names stays: the image is what is reported."""
        if not self._facts.is_mentioned(repository, digest) and not self._facts.has_data(digest):
            do = functools.partial(self._writing.drop_layer_link, name, digest)
            self._plan(Stage.LAYER, findings.UNUSED_LINK, f'{digest} is linked, but its data are missing. No image needs it', name, do)


GARBAGE = """
SELECT (SELECT count(*) FROM blob WHERE NOT EXISTS (SELECT 1 FROM layer WHERE layer.digest = blob.digest)
    AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.digest = blob.digest)
    AND NOT EXISTS (SELECT 1 FROM reference WHERE reference.digest = blob.digest)
    AND NOT EXISTS (SELECT 1 FROM pointer WHERE pointer.digest = blob.digest)),
(SELECT count(*) FROM foreign_upload),
(SELECT count(*) FROM repository WHERE NOT EXISTS (SELECT 1 FROM revision WHERE revision.repository = repository.id)
    AND NOT EXISTS (SELECT 1 FROM tag WHERE tag.repository = repository.id))
"""


def garbage(facts: Facts) -> list[Finding]:
    """Return one note if there is anything that only a collection may delete."""
    blobs, files, repositories = facts.ask(GARBAGE)[0]
    counts = [
        (blobs, 'blobs without a link'),
        (files, 'files of uploads by CNCF distribution'),
        (repositories, 'repositories without an image'),
    ]
    what = ', '.join(f'{count} {things}' for count, things in counts if count)
    return [Finding(findings.GARBAGE, what, advice='when all is whole: registry-swift gc')] if what else []
