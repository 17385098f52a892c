"""What a check has found: damages, and what could not be found out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from docker_registry.v2.registry.names import Digest

# Kinds of damage. The bytes of a blob:
SHORT = 'short'  # a dynamic large object lost segments
DYNAMIC = 'dynamic'  # a large object that Swift makes from a listing: it is whole, but may become short
SEGMENTS = 'segments'  # a static large object lost a segment, or one has changed
SIZE = 'size'  # the object has another size than the manifest says, and other bytes
STATED = 'stated size'  # the bytes are right, but a manifest says another size
BYTES = 'bytes'  # the bytes have another digest
MISSING = 'missing data'
EMPTIED = 'emptied image'  # every blob of an image is missing
UNUSED_LINK = 'link without data'  # nobody needs it
# Names:
LAYER_LINK = 'layer link'
MANIFEST = 'manifest'
TAG = 'tag'
TAG_INDEX = 'tag index'
CHILD = 'image of an index'
REFERRER = 'referrer'
# No damages:
GARBAGE = 'garbage'
UNKNOWN = 'not known'

NOTES = (GARBAGE, DYNAMIC)  # they keep nobody from pulling, so an image that has one is whole
HARMLESS = (*NOTES, UNUSED_LINK, TAG_INDEX, REFERRER, UNKNOWN)  # clients can pull all the same


@dataclass
class Finding:
    """One damage.

    :param what: what is wrong, or what was wrong if it is repaired
    :param repository: where; None if it is in several, or in none
    :param tags: `repository:tag`, and the platform of an index in brackets, of what cannot be pulled
    :param advice: what to do about it
    :param digest: the blob or manifest whose data it is about
    """

    damage: str
    what: str
    repository: str | None = None
    tags: list[str] = field(default_factory=list)
    advice: str = ''
    repaired: bool = False
    digest: Digest | None = None

    @property
    def is_bad(self) -> bool:
        return not self.repaired and self.damage not in NOTES

    def as_json(self) -> dict[str, object]:
        return {
            'damage': self.damage,
            'what': self.what,
            'digest': self.digest and str(self.digest),
            'repository': self.repository,
            'tags': self.tags,
            'repaired': self.repaired,
            'advice': self.advice,
        }


def unpullable(findings: Iterable[Finding]) -> list[str]:
    """Return the tags that cannot be pulled now, in order."""
    return sorted({tag for finding in findings if finding.is_bad and finding.damage not in HARMLESS for tag in finding.tags})


def status(findings: Iterable[Finding]) -> int:
    """Return the exit status: 0 whole, 1 all damage is repaired, 2 damaged, or something could not be found out."""
    findings = list(findings)
    return 2 if any(finding.is_bad for finding in findings) else int(any(finding.repaired for finding in findings))
