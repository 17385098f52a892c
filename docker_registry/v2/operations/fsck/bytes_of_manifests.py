"""Checks the bytes of manifests themselves. It comes first: what a manifest needs is known only from its bytes."""

from collections.abc import Iterator

from docker_registry.v2.operations.fsck import findings, images
from docker_registry.v2.operations.fsck.data import Data
from docker_registry.v2.operations.fsck.facts import Facts
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.healing import Healing
from docker_registry.v2.operations.fsck.looks import NotKnown
from docker_registry.v2.registry.manifests import LARGEST
from docker_registry.v2.registry.names import Digest

SUSPECTS = """
SELECT DISTINCT revision.digest FROM revision LEFT JOIN blob ON blob.digest = revision.digest
LEFT JOIN manifest ON manifest.digest = revision.digest
WHERE revision.repository IN scope AND (blob.digest IS NULL OR coalesce(manifest.state, 'missing') NOT IN ('read', 'opaque'))
ORDER BY revision.digest
"""


def check(facts: Facts, data: Data, healing: Healing | None) -> Iterator[Finding]:
    """Yield a finding for each revision whose bytes are missing or damaged.

    :param healing: repairs; None only looks
    """
    for digest in facts.digests(SUSPECTS):
        try:
            yield from _check(facts, data, healing, digest)
        except NotKnown as error:
            yield Finding(
                findings.UNKNOWN,
                f'could not find out whether the bytes of manifest {digest} are right: {error}',
                facts.only_user(digest),
                facts.all_tags_of(digest),
                'run the check again later',
            )


def _check(facts: Facts, data: Data, healing: Healing | None, digest: Digest) -> Iterator[Finding]:
    content = facts.manifest(digest) if facts.look_for_data(digest) else None
    if content is not None:
        facts.add_manifest(digest, images.read(content))
        return
    if any((size or 0) > LARGEST for (size,) in facts.ask('SELECT size FROM blob WHERE digest = ?', str(digest))):
        return  # no manifest; its links are another's business
    finding = Finding(findings.MANIFEST, f'the bytes of manifest {digest} are missing', facts.only_user(digest), digest=digest)
    names = [facts.repositories[repository] for repository in facts.users(digest)]
    how = ''
    if facts.has('blob', digest):
        verdict = data.wrong(digest)
        finding.damage, finding.what = findings.BYTES, f'manifest {digest} is damaged: its bytes have another digest'
        how = healing.repair(verdict, names) if healing and verdict else ''
    elif healing:
        how = healing.bring_back(digest, data.size(digest), names)
    if how and (content := facts.manifest(digest)):
        facts.look_for_data(digest)
        facts.add_manifest(digest, images.read(content))
        finding.what += f' ({how})'
        finding.repaired = True
    elif healing:
        facts.look_for_data(digest)
    finding.tags = facts.all_tags_of(digest)
    if not finding.repaired:
        finding.advice = f'push the image again, use --from, or delete it: registry-swift rm {names[0] if names else "NAME"}@{digest}'
    yield finding
