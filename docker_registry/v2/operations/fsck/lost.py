"""What was put aside: the data of blobs that were damaged. Of a large object, the names of its segments.

A disk may come back, and with it the segments that were missing. Then the next repair makes the blob of them again.
"""

import json
from dataclasses import asdict
from typing import Any, NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.operations.fsck.data import Verdict
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.trash import TRASHED, Record, Segment


class Lost(NamedTuple):
    """The segments of a large object that was damaged: see `Verdict`."""

    names: list[str]
    prefix: str


def write(storage: Any, verdict: Verdict) -> None:
    """Note what the data are now. The record has the fields of one in the trash, and more.

    `parts` also names segments that are missing, so that a collection leaves them alone when they come back.
    """
    there = {part.path for part in verdict.parts}
    parts = [*verdict.parts, *(Segment(name, 0, '') for name in verdict.names if name not in there)]
    record = Record('fsck', TRASHED, verdict.kind, verdict.stat.size, parts)
    more = {'parts': parts, 'damage': verdict.damage, 'names': list(verdict.names), 'prefix': verdict.prefix}
    storage.replace(layout.lost_record(verdict.digest), json.dumps(asdict(record) | more).encode())


def read(storage: Any, digest: Digest) -> Lost | None:
    """Return what the data of a blob were, or None if they were not put aside, or were no large object."""
    try:
        fields = json.loads(storage.get_content(layout.lost_record(digest), newest=True))
        lost = Lost([str(name) for name in fields['names']], str(fields['prefix']))
    except exceptions.FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return None  # somebody else has written it
    return lost if lost.names or lost.prefix else None


def forget(storage: Any, digest: Digest) -> None:
    storage.discard(layout.lost_record(digest))
