"""Uploads: chunks become write-once parts, and one request makes parts a blob.

Nothing here is mutable or listed: the whole state of an upload is its `upload_state.Upload`, which the client carries. Each
request stores its parts under a fresh random name, its attempt: a chunk that is sent twice, late or by someone else can so
never overwrite what a blob is made of. Nor does anything here delete parts: an answer that got lost may have been that of a
commit. Parts that no blob names are the garbage collector's, once they are older than an upload may become.
"""

import collections
import hashlib
import secrets
import threading
import time
from dataclasses import replace

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout, names, upload_state
from docker_registry.v2.registry.blobs import ONE_OBJECT, READ_SIZE, Verified
from docker_registry.v2.registry.upload_state import Part, Upload

MOST_PENDING_READ = 8 * 1024  # bytes of a chunk to look at, to see whether they fit into the token
REWRITTEN_WHOLE = 32 * 1024**2  # bytes; what has to be read back anyway and is no larger becomes one plain object
SMALLEST_PART = 1024**2  # bytes; Swift slows down the reading of smaller segments
MOST_PARTS = 1000  # segments that a static large object may have

#: A part as the storage driver wants it.
StoredPart = collections.namedtuple('StoredPart', 'path size etag')


class Uploads:
    """Uploads into all repositories on one storage."""

    def __init__(self, storage, blobs):
        self._storage = storage
        self._blobs = blobs
        self._hashers = Hashers()

    def begin(self, repository, algorithm='sha256'):
        return Upload.begin(repository, names.algorithm(algorithm), time.time())

    # Chunks

    def append(self, upload, source):
        """The upload with all that `source.read` gives; if that raises, the one before goes on as it was."""
        hasher = self._hashers.take(upload)
        hashed = Hashed(Chained(upload.pending, source), hasher, skip=len(upload.pending))
        start = hashed.read_up_to(MOST_PENDING_READ + 1) if not upload.count else b''
        if not upload.count and len(start) <= MOST_PENDING_READ and upload_state.fits(start):
            return self._advanced(upload, hashed, pending=start)
        return self._stored(upload, Chained(start, hashed), hashed)

    def _stored(self, upload, source, hashed):
        attempt = secrets.token_hex(4)
        written = self._storage.write_parts(layout.segments(upload.id, attempt), source, upload.count)
        parts = tuple(Part(attempt, upload.count + i, part.size, part.etag) for i, part in enumerate(written))
        return self._listed(self._advanced(upload, hashed, parts=upload.parts + parts, pending=b''), attempt)

    def _advanced(self, upload, hashed, **changes):
        digits = hashed.hasher.hexdigest() if hashed.hasher else ''
        upload = replace(upload, offset=upload.offset + hashed.count, hex=digits, **changes)
        self._hashers.keep(upload, hashed.hasher)
        return upload

    def _listed(self, upload, attempt):
        """The upload with its parts in a stored list, if they have become too many for a token."""
        if len(upload.parts) <= upload_state.MOST_PARTS:
            return upload
        self._storage.replace(layout.part_list(upload.id, attempt), upload.packed_list(self._list_content(upload)))
        return upload.with_list(attempt)

    def _list_content(self, upload):
        if not upload.listed:
            return b''
        try:
            return self._storage.get_content(layout.part_list(upload.id, upload.list_attempt), newest=False)
        except exceptions.FileNotFoundError:
            raise errors.UploadUnknown(detail='its list of parts is gone')

    # The end

    def finish(self, upload, digest, source=None, length=None):
        """Make a blob of the upload and the last chunk, of `length` bytes if that is known.

        :raises DigestInvalid: and the upload is as it was
        """
        if source is not None:
            if not upload.offset and length is not None and length <= ONE_OBJECT:
                return self._blobs.store_stream(upload.repository, digest, source, length)
            upload = self.append(upload, source)
        if not upload.count:
            return self._blobs.store_bytes(upload.repository, digest, upload.pending)
        self._commit(upload, digest)

    def _commit(self, upload, digest):
        parts = [
            StoredPart(self._storage.part_path(layout.segments(upload.id, part.attempt), part.number), part.size, part.etag)
            for part in upload.all_parts(self._list_content(upload))
        ]
        known = bool(upload.hex) and upload.algorithm == digest.algorithm
        if known and upload.hex != digest.hex:
            raise errors.DigestInvalid(detail=str(digest))
        if not known and upload.offset <= REWRITTEN_WHOLE:
            # It takes as many requests as hashing alone, and the blob is one object.
            return self._blobs.store_stream(upload.repository, digest, Joined(self._storage, parts), upload.offset)
        if not _is_well_cut(parts):
            parts = self._recut(upload, digest, parts)
        elif not known:
            Verified(Joined(self._storage, parts), digest, upload.offset).drain()
        self._blobs.store_parts(upload.repository, digest, parts)

    def _recut(self, upload, digest, parts):
        """The same bytes in fewer parts: many small chunks would make a blob that Swift reads slowly, or refuses."""
        source = Verified(Joined(self._storage, parts), digest, upload.offset)
        return self._storage.write_parts(layout.segments(upload.id, secrets.token_hex(4)), source)


def _is_well_cut(parts):
    return len(parts) <= MOST_PARTS and all(part.size >= SMALLEST_PART for part in parts[:-1])


class Chained:
    """A file: some bytes, and then another file."""

    def __init__(self, start, source):
        self._start, self._source = start, source

    def read(self, size=READ_SIZE):
        if not self._start:
            return self._source.read(size)
        block, self._start = self._start[:size], self._start[size:]
        return block


class Hashed:
    """A file that hashes and counts what is read of it, but for the first `skip` bytes, which were hashed before."""

    def __init__(self, source, hasher, skip=0):
        self._source, self._skip = source, skip
        self.hasher = hasher
        self.count = 0

    def read(self, size=READ_SIZE):
        block = self._source.read(size)
        new = block[self._skip :]
        self._skip -= len(block) - len(new)
        self.count += len(new)
        if self.hasher:
            self.hasher.update(new)
        return block

    def read_up_to(self, size):
        """`size` bytes, or fewer at the end."""
        content = b''
        while len(content) < size:
            block = self.read(size - len(content))
            if not block:
                break
            content += block
        return content


class Joined:
    """A file of the bytes of stored parts, one after the other; :raises UploadUnknown: one of them is gone"""

    def __init__(self, storage, parts):
        self._storage = storage
        self._parts = collections.deque(parts)
        self._stream = iter(())
        self._block = b''

    def read(self, size=READ_SIZE):
        while not self._block:
            self._block = next(self._stream, b'')
            if not self._block:
                if not self._parts:
                    return b''
                self._stream = self._open(self._parts.popleft())
        block, self._block = self._block[:size], self._block[size:]
        return block

    def _open(self, part):
        try:
            stream = self._storage.stream_read(part.path, newest=False)
        except exceptions.FileNotFoundError:
            raise errors.UploadUnknown(detail='its parts are gone')
        if stream.size != part.size:
            stream.close()
            raise errors.UploadUnknown(detail='its parts were changed')
        return stream


class Hashers:
    """Running hashes of uploads in this process, by what was hashed, so that the next chunk may go on with one.

    Python's hashes cannot be written down. If the next chunk goes to another process, the bytes are read back at the end.
    """

    def __init__(self, most=1000):
        self._most = most
        self._hashers = collections.OrderedDict()
        self._lock = threading.Lock()

    def take(self, upload):
        """A hash object of all of the upload so far, for the caller alone; None if there is none."""
        if not upload.count:
            hasher = hashlib.new(upload.algorithm)
            hasher.update(upload.pending)
            return hasher
        with self._lock:
            hasher = self._hashers.get(self._key(upload))
        return hasher and hasher.copy()

    def keep(self, upload, hasher):
        if not hasher or not upload.parts:
            return
        with self._lock:
            self._hashers[self._key(upload)] = hasher
            while len(self._hashers) > self._most:
                self._hashers.popitem(last=False)

    @staticmethod
    def _key(upload):
        return upload.id, upload.offset, upload.hex
