"""Ranges of blobs: what a Range field asks for, and the body of a response with several ranges.

https://www.rfc-editor.org/rfc/rfc9110.html#name-range-requests
"""

import itertools
import secrets

from docker_registry.v2.registry import errors

MOST_RANGES = 1024  # in one request; podman asks for up to 1024 when it pulls a layer in the format zstd:chunked
READ_THROUGH = 1024**2  # bytes between two ranges that are read and dropped; another request to Swift would take longer
MOST_DROPPED = 4  # bytes that are read and dropped for each byte that the client gets, if they are more than READ_THROUGH
LARGEST = 10**18  # larger than any blob; Python refuses to read numbers of thousands of digits


def parse(text):
    """Return what a Range field asks for: a list of (first, last), (first, None) or (None, number of last bytes).

    The list is empty if there is no such field, or if it asks for no bytes: another unit, no numbers, too many ranges. A server ignores
    these (RFC 9110, 14.2). A range in the list may end before it begins.
    """
    unit, _, listed = (text or '').partition('=')
    words = [word.strip() for word in listed.split(',') if word.strip()]
    if unit.strip().lower() != 'bytes' or len(words) > MOST_RANGES:
        return []
    found = [_one(word) for word in words]
    return [] if None in found else found


def _one(word):
    """Return what one range asks for, see `parse`, or None if it is no range."""
    first, dash, last = (part.strip() for part in word.partition('-'))
    digits = first + last
    return (_number(first), _number(last)) if dash and digits.isascii() and digits.isdigit() else None


def _number(digits):
    return min(int(digits.lstrip('0')[:20] or '0'), LARGEST) if digits else None


def within(wanted, size):
    """Return those ranges that a blob of `size` bytes has, each as (first, last).

    Return an empty list if the blob is to be sent whole: it is empty, or the ranges overlap or are not in ascending order. A server may
    ignore these (RFC 9110, 14.2), and clients that ask for parts of layers send none.

    :raises RangeUnsatisfiable: the blob has no bytes in any of them, or one ends before it begins
    """
    if not size:
        return []
    found = [(max(0, size - last), size - 1) if first is None else (first, _last(last, size)) for first, last in wanted]
    backwards = any(None not in one and one[0] > one[1] for one in wanted)
    found = [(first, last) for first, last in found if first <= last]
    if backwards or not found:
        raise errors.RangeUnsatisfiable(size)
    return found if all(one[1] < other[0] for one, other in itertools.pairwise(found)) else []


def _last(last, size):
    return size - 1 if last is None else min(last, size - 1)


class Multipart:
    """The body of a response with several ranges: RFC 9110, 14.6. It has `length` bytes. Call `begin` before the head is sent.

    :param ranges: (first, last), in ascending order
    :param open_range: called with (first, last), returns the storage driver's stream of these bytes
    """

    def __init__(self, ranges, size, open_range):
        boundary = secrets.token_hex(16)
        self.content_type = f'multipart/byteranges; boundary={boundary}'
        self._groups, self._open, self._stream = list(_groups(ranges)), open_range, None
        self._head = f'\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/{size}\r\n\r\n'
        self._end = f'\r\n--{boundary}--\r\n'.encode()
        self.length = sum(len(self._head % one) + one[1] - one[0] + 1 for one in ranges) + len(self._end)
        self._blocks = self._produced()

    def begin(self):
        """Open the first stream, so that its errors come before the head of the response."""
        self._stream = self._open_group(self._groups[0])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._blocks)

    def release(self):
        """Give the connection to Swift back while the client takes nothing: see the driver's `Stream.release`."""
        return self._stream is None or self._stream.release()

    def close(self):
        if self._stream is not None:
            self._stream.close()

    def _open_group(self, group):
        return self._open((group[0][0], group[-1][1]))

    def _produced(self):
        for group in self._groups:
            if group is not self._groups[0]:
                self._stream = self._open_group(group)
            block, at = memoryview(b''), group[0][0]  # `at` is the place of the block in the blob
            for first, last in group:
                yield (self._head % (first, last)).encode()
                while at <= last:
                    block = block or memoryview(next(self._stream))
                    skipped = min(len(block), first - at) if at < first else 0
                    piece = block[skipped : skipped + last + 1 - max(at, first)]
                    if piece:
                        yield bytes(piece)
                    used = skipped + len(piece)
                    block, at = block[used:], at + used
            self._stream.close()
        yield self._end


def _groups(ranges):
    """Yield lists of those ranges that are read in one request to Swift, with the bytes between them.

    The smallest gaps are read through first, until the bytes to drop would be too many for what the client gets. Otherwise a thousand
    ranges of a byte could make the registry read a gigabyte.
    """
    most = max(READ_THROUGH, MOST_DROPPED * sum(last - first + 1 for first, last in ranges))
    gaps = sorted((other[0] - one[1] - 1, place) for place, (one, other) in enumerate(itertools.pairwise(ranges), 1))
    dropped = itertools.accumulate(gap for gap, _ in gaps)
    ends = sorted(place for (gap, place), total in zip(gaps, dropped) if gap > READ_THROUGH or total > most)
    for start, end in itertools.pairwise([0, *ends, len(ranges)]):
        yield ranges[start:end]
