"""The state of an upload, and the token that carries it in the URL: no instance has to remember an upload."""

import base64
import hashlib
import hmac
import os
import struct
import uuid
import zlib
from collections import namedtuple
from dataclasses import dataclass, replace

from docker_registry.v2.registry import errors

#: A stored part: the request that stored it, its number in the upload, bytes, and MD5 in hex.
Part = namedtuple('Part', 'attempt number size etag')

MOST_PARTS = 48  # carried in a token; a longer list is stored
MOST_PENDING = 1400  # bytes carried in a token, compressed: the config of an image mostly fits
TOKEN_SIZE = 3000  # characters; no token is longer

_NONCE, _MAC = 16, 32
_HEAD = struct.Struct('!B16sIQB64s8sIHH')  # see _pack
_PART = struct.Struct('!4sQ16s')
_VERSION = 1
_ALGORITHMS = ('sha256', 'sha512')


@dataclass(frozen=True)
class Upload:
    """What is known of an upload. Its bytes are: the stored list of parts, then `parts`, then `pending`.

    `algorithm` is what the client asked for; `hex` is the digest of all bytes so far, or '' where that was lost.
    """

    id: str
    repository: str
    started: int
    algorithm: str = 'sha256'
    hex: str = ''
    offset: int = 0
    listed: int = 0  # how many parts the stored list has
    list_attempt: str = ''  # the attempt under which it is stored
    parts: tuple = ()  # of `Part`, numbered on from the list's
    pending: bytes = b''

    @classmethod
    def begin(cls, repository, algorithm, now):
        empty = hashlib.new(algorithm).hexdigest()
        return cls(str(uuid.uuid4()), repository, int(now), algorithm, empty)

    @property
    def count(self):
        """How many parts it has."""
        return self.listed + len(self.parts)

    def all_parts(self, stored):
        """Those of the stored list and those it carries; :raises UploadUnknown: the list is damaged"""
        if len(stored) != self.listed * _PART.size:
            raise errors.UploadUnknown(detail='its list of parts is damaged')
        return _unpack_parts(stored, 0) + list(self.parts)

    def packed_list(self, stored):
        """What to store as the list of all parts: the list stored before, if any, and the parts it carries."""
        return stored + _pack_parts(self.parts)

    def with_list(self, attempt):
        """This upload, once its list of parts has been stored."""
        return replace(self, listed=self.count, list_attempt=attempt, parts=())


def fits(pending):
    """Whether bytes are few enough to travel in a token."""
    return len(zlib.compress(pending, 9)) <= MOST_PENDING


class StateTokens:
    """Signs uploads and knows its own signature again, as does every instance with the same key.

    Encrypted, too: what is pending may be an image's config, and URLs end up in the logs of proxies.
    """

    def __init__(self, key, lifetime):
        self._mac_key = hmac.digest(key, b'upload token: signature', 'sha256')
        self._mask_key = hmac.digest(key, b'upload token: mask', 'sha256')
        self._lifetime = lifetime

    def sign(self, upload):
        """A URL-safe token of at most `TOKEN_SIZE` characters."""
        nonce = os.urandom(_NONCE)
        body = nonce + self._masked(nonce, _pack(upload))
        token = base64.urlsafe_b64encode(body + self._mac(upload.repository, body)).rstrip(b'=').decode()
        assert len(token) <= TOKEN_SIZE
        return token

    def read(self, repository, token, now):
        """The `Upload` of a token of this repository; :raises UploadUnknown: not ours, of another one, or too old"""
        try:
            raw = base64.b64decode(token + '=' * (-len(token) % 4), b'-_', validate=True)
        except ValueError:
            raise errors.UploadUnknown()
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(repository, body)):
            raise errors.UploadUnknown()
        upload = _unpack(repository, self._masked(body[:_NONCE], body[_NONCE:]))
        if now - upload.started > self._lifetime:
            raise errors.UploadUnknown(detail='it was begun too long ago')
        return upload

    def _mac(self, repository, body):
        return hmac.digest(self._mac_key, repository.encode() + b'\0' + body, 'sha256')

    def _masked(self, nonce, content):
        mask = hashlib.shake_256(self._mask_key + nonce).digest(len(content))
        return (int.from_bytes(content, 'big') ^ int.from_bytes(mask, 'big')).to_bytes(len(content), 'big')


def _pack(upload):
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


def _unpack(repository, content):
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


def _pack_parts(parts):
    return b''.join(_PART.pack(bytes.fromhex(part.attempt), part.size, bytes.fromhex(part.etag)) for part in parts)


def _unpack_parts(content, first):
    return [Part(attempt.hex(), first + i, size, etag.hex()) for i, (attempt, size, etag) in enumerate(_PART.iter_unpack(content))]
