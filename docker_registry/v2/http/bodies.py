"""Bodies: what comes from a client, counted, and what goes to one."""

from docker_registry.v2.registry import errors

READ_SIZE = 256 * 1024


class Body:
    """The body of a request as a file that cannot end early unnoticed.

    :param length: bytes announced, or None if it is chunked, which the server ends
    """

    def __init__(self, stream, length):
        self._stream = stream
        self.length = length
        self.count = 0

    def read(self, size=READ_SIZE):
        """Up to `size` bytes, b'' at the end; :raises SizeInvalid: there should have been more"""
        left = size if self.length is None else min(size, self.length - self.count)
        if not left:
            return b''
        try:
            block = self._stream.read(left)
        except Exception as error:  # each server has its own for a connection that is cut, or a chunk that is none
            raise errors.SizeInvalid('the body was cut short, or is badly framed') from error
        self.count += len(block)
        if not block and self.length is not None:
            raise errors.SizeInvalid('the body was cut short')
        return block

    def read_all(self, most):
        """All of it; None if that is more than `most` bytes."""
        if self.length is not None and self.length > most:
            return None
        content = bytearray()
        while len(content) <= most:
            block = self.read(min(READ_SIZE, most + 1 - len(content)))
            if not block:
                return bytes(content)
            content += block
        return None


class Counted:
    """A body on its way to the client; calls `done` with the bytes that went, once, when the server closes it."""

    def __init__(self, blocks, done):
        self._blocks, self._done = blocks, done
        self._iterator = iter(blocks)
        self._count = 0

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self._iterator)
        self._count += len(block)
        return block

    def close(self):
        done, self._done = self._done, None
        if done is None:
            return
        try:
            if hasattr(self._blocks, 'close'):
                self._blocks.close()
        finally:
            done(self._count)
