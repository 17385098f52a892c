"""Turns strings from outside into checked values: repository names, tags, digests, media types. No other module checks these."""

import hashlib
import re
from dataclasses import dataclass

from docker_registry.v2.registry import errors

# https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
_NAME = re.compile(r'[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*', re.ASCII)
_TAG = re.compile(r'[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}', re.ASCII)
_MEDIA_TYPE = re.compile(r'[a-zA-Z0-9!#$&^_.+-]{1,127}/[a-zA-Z0-9!#$&^_.+-]{1,127}', re.ASCII)
_HEX_DIGITS = {'sha256': 64, 'sha512': 128}

LONGEST_NAME = 255  # characters; clients and CNCF distribution accept no more


@dataclass(frozen=True, order=True)
class Digest:
    """A content digest: algorithm (sha256 or sha512, which this registry can compute) and lowercase hex digits."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f'{self.algorithm}:{self.hex}'

    def hasher(self):
        """Return a new hash object for this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, hasher) -> bool:
        return hasher.name == self.algorithm and hasher.hexdigest() == self.hex

    @property
    def etag(self) -> str:
        """The ETag of an object that holds this digest as text, as links and tags do."""
        return hashlib.md5(str(self).encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def of(cls, content: bytes, algorithm: str = 'sha256') -> 'Digest':
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @property
    def is_of_nothing(self) -> bool:
        """True if this is the digest of zero bytes."""
        return self == Digest.of(b'', self.algorithm)


def digest(text: str | None) -> Digest:
    """Return the `Digest` for a text such as `sha256:<64 hex digits>`.

    :raises DigestInvalid: the text is not a sha256 or sha512 digest
    """
    algorithm, _, digits = (text or '').partition(':')
    if len(digits) != _HEX_DIGITS.get(algorithm) or not re.fullmatch('[0-9a-f]+', digits):
        raise errors.DigestInvalid('not a sha256 or sha512 digest', text)
    return Digest(algorithm, digits)


def algorithm(text: str) -> str:
    """Return the name of a digest algorithm, unchanged.

    :raises DigestInvalid: it is neither sha256 nor sha512
    """
    if text not in _HEX_DIGITS:
        raise errors.DigestInvalid('unsupported digest algorithm. This registry supports sha256 and sha512', text)
    return text


def repository(text: str) -> str:
    """Return a repository name, unchanged.

    :raises NameInvalid: it is longer than `LONGEST_NAME`, or does not match the pattern of the spec
    """
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(text):
        raise errors.NameInvalid(detail=text)
    return text


def tag(text: str) -> str:
    """Return a tag, unchanged.

    :raises TagInvalid: it does not match the pattern of the spec
    """
    if not _TAG.fullmatch(text):
        raise errors.TagInvalid(detail=text)
    return text


def reference(text: str) -> Digest | str:
    """Return the reference of a manifest: a `Digest` if the text has a colon, else a tag as `str`.

    :raises DigestInvalid: see `digest`
    :raises TagInvalid: see `tag`
    """
    return digest(text) if ':' in text else tag(text)


def known_reference(text: str) -> Digest | str:
    """`reference`, of a manifest that should be there. What is no tag is the name of none.

    :raises DigestInvalid: see `digest`
    :raises ManifestUnknown: the text cannot be a tag
    """
    try:
        return reference(text)
    except errors.TagInvalid:
        raise errors.ManifestUnknown(detail=text)


def media_type(text: str) -> str:
    """Return a media type without its parameters. The case of its letters is kept.

    :raises ManifestInvalid: it is not a media type
    """
    bare = text.partition(';')[0].strip()
    if not _MEDIA_TYPE.fullmatch(bare):
        raise errors.ManifestInvalid('not a media type', text)
    return bare
