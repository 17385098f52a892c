"""Reads the bodies of requests from their connections, in place of gunicorn's readers.

Those copy each byte five times, and read twice from the socket for each chunk of a chunked body. Here a byte is copied once, or not at
all. What is not plain data of a body is still gunicorn's: it parses trailers and whatever may be malformed.
"""

import re

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData

#: The end of one chunk and the head of the next, if the head has nothing but a size (RFC 9112, section 7.1).
BETWEEN = re.compile(rb'\r\n([0-9A-Fa-f]{1,8})\r\n')
#: What may become one as more bytes arrive.
BEGUN = re.compile(rb'\r?|\r\n[0-9A-Fa-f]{0,8}\r?')

FIRST_READ, LARGEST_READ = 16 * 1024, 256 * 1024  # bytes of a chunked body that are read at a time
MOST_CHUNKS = 512  # in one read; to find the ends of thousands would keep all other requests waiting


def reader(request):
    """Return a reader for the body of a request of gunicorn, of which nothing was read yet.

    It has `read(size)`, which returns up to `size` bytes, as soon as there are any, and b'' at the end. Like gunicorn's it has a `length`,
    the bytes that are left, or a `parser`, which is true until the end.
    """
    kind = type(request.body.reader)
    if kind is LengthReader:
        return Counted(request.unreader, request.body.reader.length)
    return Chunked(request) if kind is ChunkedReader else request.body.reader


def received(unreader, size):
    """Return up to `size` bytes: what gunicorn has read ahead, or else what the socket has."""
    held = unreader.take_buffered()
    if len(held) > size:
        unreader.unread(held[size:])
    return held[:size] or unreader.sock.recv(size)


class Counted:
    """A body of `length` bytes."""

    def __init__(self, unreader, length):
        self._unreader, self.length = unreader, length

    def read(self, size):
        size = min(size, self.length)
        block = received(self._unreader, size) if size else b''
        self.length -= len(block)
        return block


class Chunked:
    """A chunked body."""

    def __init__(self, request):
        self._request, self._unreader = request, request.unreader
        self._left = 0  # bytes of the chunk that has begun
        self._between = b'\r\n'  # bytes after a chunk that say too little yet; the first chunk begins like all others
        self._at_once = FIRST_READ
        self._rest = None  # gunicorn's reader, from the first chunk on that is more than data

    @property
    def parser(self):
        return self._rest.parser if self._rest else self

    def read(self, size):
        """:raises Exception: gunicorn's, if the body is malformed or ends early"""
        while size and not self._rest:
            block = self._data(received(self._unreader, min(size, self._at_once)))
            if block:
                return block
        return self._rest.read(size) if size else b''

    def _data(self, arrived):
        """Return the data in the bytes that have arrived."""
        if not arrived:
            raise NoMoreData()
        if len(arrived) <= self._left:
            self._left -= len(arrived)
            return arrived
        arrived, self._between = self._between + arrived, b''
        view, pieces, at = memoryview(arrived), [], 0
        while at < len(arrived) and not self._rest:
            if self._left:
                pieces.append(view[at : at + self._left])
                at, self._left = at + len(pieces[-1]), self._left - len(pieces[-1])
            else:
                at = self._next_chunk(arrived, at)
        self._at_once = FIRST_READ if len(pieces) > MOST_CHUNKS else LARGEST_READ
        return b''.join(pieces)

    def _next_chunk(self, arrived, at):
        """Begin the chunk whose head is at `at`, and return where its data begin."""
        head = BETWEEN.match(arrived, at)
        if head and int(head[1], 16):
            self._left = int(head[1], 16)
            return head.end()
        if BEGUN.fullmatch(arrived, at):
            self._between = arrived[at:]
            return len(arrived)
        if arrived[at : at + 2] != b'\r\n':
            raise ChunkMissingTerminator(arrived[at : at + 2])
        self._unreader.unread(arrived[at + 2 :])
        self._rest = ChunkedReader(self._request, self._unreader)
        return len(arrived)
