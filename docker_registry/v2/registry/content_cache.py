"""The bytes of manifests and small blobs, in memory. They never change, so they never become stale."""

import collections
import threading
from collections.abc import Iterator

from docker_registry.v2.registry.names import Digest


class ContentCache:
    """A cache of at most `most` bytes of content, by digest. It drops the least recently used content first."""

    def __init__(self, most: int):
        self._most, self._size = most, 0
        self._contents: collections.OrderedDict[Digest, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: Digest) -> bytes | None:
        with self._lock:
            if digest in self._contents:
                self._contents.move_to_end(digest)
            return self._contents.get(digest)

    def put(self, digest: Digest, content: bytes) -> None:
        with self._lock:
            if digest in self._contents or len(content) > self._most // 4:
                return
            self._contents[digest] = content
            self._size += len(content)
            while self._size > self._most:
                self._size -= len(self._contents.popitem(last=False)[1])


class Held(Iterator[bytes]):
    """A whole blob in memory, with what a stream of storage has."""

    first = 0

    def __init__(self, content: bytes):
        self.size = self.length = len(content)
        self._left = [content] if content else []

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        return self._left.pop()

    def release(self) -> bool:
        return True

    def close(self) -> None:
        self._left.clear()
