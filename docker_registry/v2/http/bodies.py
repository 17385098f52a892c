"""Bodies of requests and responses. Both count their bytes."""

from docker_registry.v2.registry import errors

READ_SIZE = 256 * 1024


class Body:
    """The body of a request as a file. It raises an error if the body ends early.

    Set `at_end` to a function that is called once, when all of the body is there, and before its reader gets the last bytes.

    :param length: the Content-Length in bytes, or None if the body is chunked; then the server finds the end
    """

    def __init__(self, stream, length):
        self._stream = stream
        self.length = length
        self.count = 0
        self.at_end = None

    def read(self, size=READ_SIZE):
        """Return up to `size` bytes, b'' at the end.

        :raises SizeInvalid: the body is shorter than its Content-Length, or its chunks are malformed
        :raises RequestInvalid: the client did not send for too long
        """
        left = size if self.length is None else min(size, self.length - self.count)
        if not left:
            return b''
        try:
            block = self._stream.read(left)
        except Exception as error:  # each WSGI server has its own exceptions for a lost connection or a malformed chunk
            if TimeoutError in (type(error), type(error.__context__)):
                raise errors.RequestInvalid('the request body did not arrive in time', status=408) from error
            raise errors.SizeInvalid('the request body ended early, or its chunked encoding is malformed') from error
        self.count += len(block)
        if not block and self.length is not None:
            raise errors.SizeInvalid('the request body is shorter than its Content-Length')
        if self.at_end and (not block or self.count == self.length):
            at_end, self.at_end = self.at_end, None
            at_end()
        return block

    def read_all(self, most):
        """Return the whole body, or None if it has more than `most` bytes.

        :raises SizeInvalid: see `read`
        """
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
    """The body of a response. When the server closes it, it calls `done` once, with the number of bytes that it has produced, and whether
    the server has asked for more after the last of them. If a client has gone, the server does not.

    :param context: a `contextvars.Context` of its own, in which the body is read
    """

    def __init__(self, blocks, done, context):
        self._blocks, self._done, self._context = blocks, done, context
        self._iterator = iter(blocks)
        self._count, self._is_complete = 0, False

    def __iter__(self):
        return self

    def __next__(self):
        try:
            block = self._context.run(next, self._iterator)
        except StopIteration:
            self._is_complete = True
            raise
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
            done(self._count, self._is_complete)
