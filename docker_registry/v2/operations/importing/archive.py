"""Follows the headers of a tar archive that passes by: whether it has entries, and whether it is whole.

tarfile cannot be used for this: it wants to read by itself, and it keeps all entries in memory. It parses the headers.
"""

import tarfile

BLOCK = 512
LARGEST_PAX = 1024**2  # bytes of extended headers that are looked at
END = bytes(2 * BLOCK)  # what ends an archive

_EXTENDED, _GLOBAL = (b'x', b'X'), b'g'
_LONG_NAMES = (b'L', b'K')  # of GNU
_SPARSE = b'S'  # of GNU; such a header may go on in more blocks
_WITHOUT_DATA = (b'1', b'2', b'3', b'4', b'5', b'6')  # links, devices and folders have none, whatever size they state


class Archive:
    """A tar archive. `problem` is None as long as it is right, else a text.

    https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html, and the GNU format
    """

    def __init__(self) -> None:
        self.entries = 0
        #: Bytes before the blocks of zeros that end the archive. None if they have not come.
        self.end: int | None = None
        self.problem: str | None = None
        self._offset = 0  # of the header that comes next
        self._block = bytearray()
        self._left = self._padding = 0  # bytes of the entry that are still to come, and how many of them are only padding
        self._pax: bytearray | None = None
        self._size: int | None = None  # that an extended header states for the next entry
        self._goes_on = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data) and self.end is None and not self.problem:
            if self._left and not self._goes_on:
                step = min(self._left, len(data) - at)
                self._skip(data[at : at + step] if self._pax is not None else b'', step)
            else:
                step = min(BLOCK - len(self._block), len(data) - at)
                self._block += data[at : at + step]
                if len(self._block) == BLOCK:
                    block, self._block = bytes(self._block), bytearray()
                    self._read(block)
            at += step

    def finish(self) -> None:
        """Call this after the last byte. Some programs leave out the padding of the last file, and the end."""
        if self.end is None and not self.problem and (self._block or self._goes_on or self._left > self._padding):
            self.problem = 'the archive ends in the middle of a file'

    def _skip(self, data: bytes, count: int) -> None:
        self._left -= count
        if self._pax is None:
            return
        self._pax += data
        if not self._left:
            self._size, self._pax = _stated_size(bytes(self._pax)), None

    def _read(self, block: bytes) -> None:
        if self._goes_on:
            self._offset += BLOCK
            self._goes_on = bool(block[504])
            return
        if not block.strip(b'\0'):
            self.end = self._offset
            return
        try:
            header = tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
        except tarfile.HeaderError:
            self.problem = 'it is no tar archive' if not self._offset else f'the archive is damaged at byte {self._offset}'
            return
        self._take(header, block)

    def _take(self, header: tarfile.TarInfo, block: bytes) -> None:
        size = max(header.size, 0)
        if header.type in _EXTENDED and size <= LARGEST_PAX:
            self._pax = bytearray()
        elif header.type not in (*_EXTENDED, _GLOBAL, *_LONG_NAMES):
            self.entries += 1
            size = 0 if header.type in _WITHOUT_DATA else size if self._size is None else self._size
            self._size = None
            self._goes_on = header.type == _SPARSE and bool(block[482])
        self._padding = -size % BLOCK
        self._left = size + self._padding
        self._offset += BLOCK + self._left
        if not self._left:
            self._pax = None


def _stated_size(records: bytes) -> int | None:
    """Return the size that an extended header states, or None. Each record is `<its length> <name>=<value>` and a newline."""
    while records:
        length = records.partition(b' ')[0]
        count = int(length) if length.isdigit() and len(length) < 8 else 0
        name, _, value = records[len(length) + 1 : count].partition(b'=')
        if name == b'size' and value[:-1].isdigit() and len(value) < 20:
            return int(value)
        records = records[count:] if count else b''
    return None
