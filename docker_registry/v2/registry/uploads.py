"""Uploads: each chunk is stored as write-once parts, and one request commits all parts as a blob.

Uploads need no listing and no mutable object: the client carries the whole state, an `upload_state.Upload`, in its URL.

Each request stores its parts under a fresh random name, its attempt. So a chunk that is sent twice, late or by someone else
can never overwrite the parts of a blob.

No code here deletes parts. The response to a commit may have been lost on the way, and then the parts already belong to a blob.
Parts that no blob names stay. A garbage collector may delete them once they are older than the lifetime of an upload.
"""

import collections
import hashlib
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, names, upload_state
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sources import Chained, Hashed, Joined, Verified
from docker_registry.v2.registry.storage import Part as PartLike
from docker_registry.v2.registry.storage import Source, Storage
from docker_registry.v2.registry.upload_state import Part, Upload

MOST_PENDING_READ = 8 * 1024  # bytes; a first chunk up to this size may fit into the token, and need no part
REWRITTEN_WHOLE = 16 * 1024**2  # bytes; an upload up to this size whose parts must be read back becomes one plain object
SMALLEST_PART = 1024**2  # bytes; Swift limits the rate of reading smaller segments
MOST_PARTS = 1000  # segments in one static large object, by Swift's default


class StoredPart(NamedTuple):
    """A part in the form that the storage driver takes."""

    path: str
    size: int
    etag: str


class Uploads:
    """Uploads into all repositories in one storage."""

    def __init__(self, storage: Storage, blobs: Blobs):
        self._storage = storage
        self._blobs = blobs
        self._hashers = Hashers()

    def begin(self, repository: str, algorithm: str = 'sha256') -> Upload:
        return Upload.begin(repository, names.algorithm(algorithm), time.time())

    # Chunks

    def append(self, upload: Upload, source: Source) -> Upload:
        """Store the bytes of the file `source` and return the upload that includes them.

        If this raises, the client can go on with the upload that was passed in: it has not changed.
        """
        hasher = self._hashers.take(upload)
        hashed = Hashed(Chained(upload.pending, source), hasher, skip=len(upload.pending))
        start = hashed.read_up_to(MOST_PENDING_READ + 1) if not upload.count else b''
        if not upload.count and len(start) <= MOST_PENDING_READ and upload_state.fits(start):
            return self._advanced(upload, hashed, pending=start)
        return self._stored(upload, Chained(start, hashed), hashed)

    def _stored(self, upload: Upload, source: Source, hashed: 'Hashed') -> Upload:
        parts = self._written(upload, source, upload.count, upload.offset - len(upload.pending))
        upload = self._advanced(upload, hashed, parts=upload.parts + parts, pending=b'')
        return self._listed(self._joined(upload))

    def _written(self, upload: Upload, source: Source, number: int, stored: int) -> tuple[Part, ...]:
        attempt = secrets.token_hex(4)
        written = self._storage.write_parts(layout.segments(upload.id, attempt), source, number, stored)
        return tuple(Part(attempt, number + i, part.size, part.etag) for i, part in enumerate(written))

    def _advanced(self, upload: Upload, hashed: 'Hashed', **changes: Any) -> Upload:
        hasher = hashed.hasher()
        digits = hasher.hexdigest() if hasher else ''
        upload = replace(upload, offset=upload.offset + hashed.count, hex=digits, **changes)
        self._hashers.keep(upload, hasher)
        return upload

    def _joined(self, upload: Upload) -> Upload:
        """Return the upload. If a token cannot carry its parts because many are small, read those back and store them as fewer.

        Otherwise the end of an upload in very small chunks would have to read thousands of parts.
        """
        if len(upload.parts) <= upload_state.MOST_PARTS:
            return upload
        large = next((i for i, part in enumerate(upload.parts) if part.size < SMALLEST_PART), len(upload.parts))
        kept, small = upload.parts[:large], upload.parts[large:]
        size = sum(part.size for part in small)
        if len(small) < upload_state.MOST_PARTS // 2 or size > len(small) * SMALLEST_PART:
            return upload
        source = Joined(self._storage, _stored_parts(self._storage, upload, small), compared=True)
        return replace(upload, parts=kept + self._written(upload, source, small[0].number, upload.offset - size))

    def _listed(self, upload: Upload) -> Upload:
        """Return the upload. If it has too many parts for a token, store the list of its parts first."""
        if len(upload.parts) <= upload_state.MOST_PARTS:
            return upload
        attempt = secrets.token_hex(4)
        self._storage.replace(layout.part_list(upload.id, attempt), upload.packed_list(self._list_content(upload)))
        return upload.with_list(attempt)

    def _list_content(self, upload: Upload) -> bytes:
        if not upload.listed:
            return b''
        try:
            return self._storage.get_content(layout.part_list(upload.id, upload.list_attempt), newest=False)
        except exceptions.FileNotFoundError:
            raise errors.UploadUnknown(detail="the upload's list of parts is missing")

    # The end

    def finish(self, upload: Upload, digest: Digest, source: Source | None = None, length: int | None = None) -> None:
        """Commit the upload as a blob.

        :param source: a file with the last chunk, if there is one
        :param length: bytes of that chunk, if known; a whole blob of known length needs no parts if it is small
        :raises DigestInvalid: the bytes have another digest; the client can go on with the same upload
        :raises UploadUnknown: parts of the upload are missing or damaged
        """
        if source is not None:
            if not upload.offset and length is not None:
                return self._blobs.store_stream(upload.repository, digest, source, length, _new_segments(upload))
            upload = self.append(upload, source)
        if not upload.count:
            return self._blobs.store_bytes(upload.repository, digest, upload.pending)
        self._commit(upload, digest)

    def _commit(self, upload: Upload, digest: Digest) -> None:
        parts: Sequence[PartLike] = _stored_parts(self._storage, upload, upload.all_parts(self._list_content(upload)))
        known = bool(upload.hex) and upload.algorithm == digest.algorithm
        if known and upload.hex != digest.hex:
            raise errors.DigestInvalid(detail=str(digest))
        if not known and upload.offset <= REWRITTEN_WHOLE:
            # The parts must be read back to hash them. Writing a plain object meanwhile costs no more requests.
            joined = Joined(self._storage, parts)
            return self._blobs.store_stream(upload.repository, digest, joined, upload.offset, _new_segments(upload))
        if not _is_well_cut(parts):
            parts = self._recut(upload, digest, parts)
        elif not known:
            Verified(Joined(self._storage, parts), digest, upload.offset).drain()
        self._blobs.store_parts(upload.repository, digest, parts)

    def _recut(self, upload: Upload, digest: Digest, parts: Sequence[PartLike]) -> Sequence[PartLike]:
        """Write the same bytes again, in fewer parts. Swift would read a blob of many small parts slowly, or refuse it."""
        source = Verified(Joined(self._storage, parts), digest, upload.offset)
        return self._storage.write_parts(_new_segments(upload), source)


def _new_segments(upload: Upload) -> str:
    """Return a name for the segments of a new attempt."""
    return layout.segments(upload.id, secrets.token_hex(4))


def _stored_parts(storage: Storage, upload: Upload, parts: Sequence[Part]) -> list[PartLike]:
    paths = (storage.part_path(layout.segments(upload.id, part.attempt), part.number) for part in parts)
    return [StoredPart(path, part.size, part.etag) for path, part in zip(paths, parts)]


def _is_well_cut(parts: Sequence[PartLike]) -> bool:
    return len(parts) <= MOST_PARTS and all(part.size >= SMALLEST_PART for part in parts[:-1])


class Hashers:
    """The hash objects of uploads in this process, so that the next chunk can go on with one.

    Python's hash objects cannot be serialized. If the next chunk reaches another process, `finish` reads all bytes back to hash them.
    """

    def __init__(self, most: int = 1000):
        self._most = most
        self._hashers: collections.OrderedDict[tuple, Any] = collections.OrderedDict()
        self._lock = threading.Lock()

    def take(self, upload: Upload):
        """Return a hash object for all bytes of the upload so far, or None if this process has none.

        It is a copy, which belongs to the caller.
        """
        if not upload.count:
            return hashlib.new(upload.algorithm, upload.pending)
        with self._lock:
            hasher = self._hashers.get(self._key(upload))
        return hasher and hasher.copy()

    def keep(self, upload: Upload, hasher) -> None:
        if not hasher or not upload.parts:
            return
        with self._lock:
            self._hashers[self._key(upload)] = hasher
            while len(self._hashers) > self._most:
                self._hashers.popitem(last=False)

    @staticmethod
    def _key(upload: Upload) -> tuple:
        return upload.id, upload.offset, upload.hex
