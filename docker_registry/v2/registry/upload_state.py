"""The state of an upload, and the token that carries it in the URL. So no instance has to store the state."""

import hashlib
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from docker_registry.v2.registry import errors
from docker_registry.v2.registry.seal import Broken, Seal


class Part(NamedTuple):
    """A stored part."""

    attempt: str  # the request that stored it
    number: int  # in the upload
    size: int  # bytes
    etag: str  # MD5, in hex


MOST_PARTS = 48  # parts that a token carries; a longer list is stored in Swift
MOST_PENDING = 1400  # compressed bytes of content that a token carries; enough for most image configs
TOKEN_SIZE = 3000  # characters; the longest a token can be

_HEAD = struct.Struct('!B16sIQB64s8sIHH')  # see _pack
_PART = struct.Struct('!4sQ16s')
_VERSION = 1
_ALGORITHMS = ('sha256', 'sha512')


@dataclass(frozen=True)
class Upload:
    """The whole state of an upload. Its content is, in this order: the parts in the stored list, `parts`, `pending`.

    `algorithm` is the digest algorithm that the client asked for. `hex` is the digest of all bytes so far, or '' if it is not known.
    """

    id: str
    repository: str
    started: int  # seconds since the epoch
    algorithm: str = 'sha256'
    hex: str = ''
    offset: int = 0  # bytes so far
    listed: int = 0  # number of parts in the stored list
    list_attempt: str = ''  # the attempt that stored the list
    parts: tuple[Part, ...] = ()  # `Part`s after those in the list; their numbers go on from there
    pending: bytes = b''  # bytes that are in the token itself and not stored

    @classmethod
    def begin(cls, repository: str, algorithm: str, now: float) -> 'Upload':
        empty = hashlib.new(algorithm).hexdigest()
        return cls(str(uuid.uuid4()), repository, int(now), algorithm, empty)

    @property
    def count(self) -> int:
        """Number of all parts."""
        return self.listed + len(self.parts)

    def all_parts(self, stored: bytes) -> list[Part]:
        """Return all parts as a list.

        :param stored: the content of the stored list; b'' if there is none
        :raises UploadUnknown: the stored list is damaged
        """
        if len(stored) != self.listed * _PART.size:
            raise errors.UploadUnknown(detail="the upload's list of parts is damaged")
        return _unpack_parts(stored, 0) + list(self.parts)

    def packed_list(self, stored: bytes) -> bytes:
        """Return the new content of the stored list: its present content and the parts that the token carries."""
        return stored + _pack_parts(self.parts)

    def with_list(self, attempt: str) -> 'Upload':
        """Return this upload as it is after `attempt` has stored its list of parts."""
        return replace(self, listed=self.count, list_attempt=attempt, parts=())


def fits(pending: bytes) -> bool:
    """Return whether bytes are few enough to be carried in a token."""
    return len(zlib.compress(pending, 9)) <= MOST_PENDING


class StateTokens:
    """Makes signed tokens from uploads, and reads them back. All instances with the same key accept each other's tokens.

    Tokens are also encrypted: pending bytes may be an image's config, and proxies write URLs to their logs.

    :param key: returns the key, or raises if it cannot be found out
    """

    def __init__(self, key: Callable[[], bytes], lifetime: int):
        self._seal, self._lifetime = Seal(key, 'upload token'), lifetime

    def sign(self, upload: Upload) -> str:
        """Return a URL-safe token of at most `TOKEN_SIZE` characters."""
        token = self._seal.seal(_pack(upload), upload.repository)
        assert len(token) <= TOKEN_SIZE
        return token

    def read(self, repository: str, token: str, now: float) -> Upload:
        """Return the `Upload` that a token carries.

        :param now: seconds since the epoch
        :raises UploadUnknown: the token was not signed with this key, belongs to another repository, or has expired
        """
        try:
            upload = _unpack(repository, self._seal.open(token, repository, _HEAD.size))
        except Broken:
            raise errors.UploadUnknown()
        if now - upload.started > self._lifetime:
            raise errors.UploadUnknown(detail='the upload has expired: its client took too long to finish it')
        return upload


def _pack(upload: Upload) -> bytes:
    digits = bytes.fromhex(upload.hex)
    pending = zlib.compress(upload.pending, 9) if upload.pending else b''
    head = _HEAD.pack(
        _VERSION,
        uuid.UUID(upload.id).bytes,
        upload.started,
        upload.offset,
        _ALGORITHMS.index(upload.algorithm) * 2 + bool(digits),
        digits,
        upload.list_attempt.encode(),
        upload.listed,
        len(upload.parts),
        len(pending),
    )
    return head + _pack_parts(upload.parts) + pending


def _unpack(repository: str, content: bytes) -> Upload:
    (version, upload_id, started, offset, kind, digits, list_attempt, listed, parts, pending) = _HEAD.unpack_from(content)
    if version != _VERSION:
        raise errors.UploadUnknown()
    algorithm = _ALGORITHMS[kind // 2]
    parts_end = _HEAD.size + parts * _PART.size
    return Upload(
        str(uuid.UUID(bytes=upload_id)),
        repository,
        started,
        algorithm,
        digits[: hashlib.new(algorithm).digest_size].hex() if kind % 2 else '',
        offset,
        listed,
        list_attempt.rstrip(b'\0').decode(),
        tuple(_unpack_parts(content[_HEAD.size : parts_end], listed)),
        zlib.decompress(content[parts_end : parts_end + pending]) if pending else b'',
    )


def _pack_parts(parts: Iterable[Part]) -> bytes:
    return b''.join(_PART.pack(bytes.fromhex(part.attempt), part.size, bytes.fromhex(part.etag)) for part in parts)


def _unpack_parts(content: bytes, first: int) -> list[Part]:
    return [Part(attempt.hex(), first + i, size, etag.hex()) for i, (attempt, size, etag) in enumerate(_PART.iter_unpack(content))]
