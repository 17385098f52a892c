"""Strings from outside become checked values here, and only here: repository names, tags, digests."""

import hashlib
import re
from dataclasses import dataclass

from docker_registry.v2.registry import errors

# https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
_NAME = re.compile(r'[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*', re.ASCII)
_TAG = re.compile(r'[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}', re.ASCII)
_MEDIA_TYPE = re.compile(r'[a-zA-Z0-9!#$&^_.+-]{1,127}/[a-zA-Z0-9!#$&^_.+-]{1,127}', re.ASCII)
_HEX_DIGITS = {'sha256': 64, 'sha512': 128}

LONGEST_NAME = 255  # what clients and CNCF distribution accept


@dataclass(frozen=True, order=True)
class Digest:
    """A content digest of an algorithm that this registry computes: sha256 or sha512."""

    algorithm: str
    hex: str

    def __str__(self):
        return f'{self.algorithm}:{self.hex}'

    def hasher(self):
        """A new hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, hasher):
        return hasher.name == self.algorithm and hasher.hexdigest() == self.hex

    @classmethod
    def of(cls, content, algorithm='sha256'):
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @property
    def is_of_nothing(self):
        """Whether it is the digest of zero bytes."""
        return self == Digest.of(b'', self.algorithm)


def digest(text):
    """The `Digest` that a text says; :raises DigestInvalid:"""
    algorithm, _, digits = (text or '').partition(':')
    if not re.fullmatch('[0-9a-f]{%d}' % _HEX_DIGITS.get(algorithm, 0), digits, re.ASCII) or not digits:
        raise errors.DigestInvalid('not a sha256 or sha512 digest', text)
    return Digest(algorithm, digits)


def algorithm(text):
    """The name of a digest algorithm; :raises DigestInvalid:"""
    if text not in _HEX_DIGITS:
        raise errors.DigestInvalid('unsupported digest algorithm: sha256 and sha512 are known', text)
    return text


def repository(text):
    """A repository name, as it is; :raises NameInvalid:"""
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(text):
        raise errors.NameInvalid(detail=text[:LONGEST_NAME])
    return text


def tag(text):
    """A tag, as it is; :raises TagInvalid:"""
    if not _TAG.fullmatch(text):
        raise errors.TagInvalid(detail=text[:200])
    return text


def reference(text):
    """What names a manifest: a `Digest`, or a tag as `str`; :raises DigestInvalid, TagInvalid:"""
    return digest(text) if ':' in text else tag(text)


def media_type(text):
    """A media type without its parameters, in the case it came in; :raises ManifestInvalid:"""
    bare = text.partition(';')[0].strip()
    if not _MEDIA_TYPE.fullmatch(bare):
        raise errors.ManifestInvalid('not a media type', text[:200])
    return bare
