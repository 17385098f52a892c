"""What a stored manifest mentions: every digest in it, wherever it stands.

That is more than `formats.parse` finds, which refuses formats that CNCF distribution accepted. Whoever deletes what nothing names must
rather find too much.
"""

import json
from typing import Any, NamedTuple

from docker_registry.v2.registry import errors, names, strict_json
from docker_registry.v2.registry.names import Digest


class Mentions(NamedTuple):
    """The digests that a manifest mentions, each with the size that a descriptor states, or None, and the manifest's subject."""

    sizes: dict[Digest, int | None]
    subject: Digest | None


def of(content: bytes) -> Mentions:
    """Return what the bytes of a manifest mention.

    :raises ManifestInvalid: they are no JSON object, or see `strict_json.require_bounds`
    """
    strict_json.require_bounds(content)
    try:
        # Pairs, because a key may stand there twice.
        document = json.loads(content.decode(errors='replace'), object_pairs_hook=Pairs, parse_int=strict_json.whole_number)
    except ValueError:
        raise errors.ManifestInvalid('the manifest is not valid JSON')
    if not isinstance(document, Pairs):
        raise errors.ManifestInvalid('the manifest is not a JSON object')
    sizes: dict[Digest, int | None] = {}
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Pairs):
            digest, size = _digest(value.get('digest')), value.get('size')
            if digest and type(size) is int and size >= 0:
                sizes[digest] = size
            waiting += [entry for _, entry in value]
        elif isinstance(value, list):
            waiting += value
        elif digest := _digest(value):
            sizes.setdefault(digest, None)
    subject = document.get('subject')
    return Mentions(sizes, _digest(subject.get('digest')) if isinstance(subject, Pairs) else None)


class Pairs(list):
    """A JSON object as a list of keys and values."""

    def get(self, key: str) -> Any:
        return next((value for name, value in reversed(self) if name == key), None)


def _digest(value: object) -> Digest | None:
    try:
        return names.digest(value) if isinstance(value, str) else None
    except errors.DigestInvalid:
        return None
