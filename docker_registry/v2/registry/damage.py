"""Damaged blobs: objects whose bytes are not those of their digest.

CNCF distribution stores blobs as dynamic large objects. Swift makes such an object from a listing of its segments, without an error if
some are missing. What this registry stores is whole: it verifies the digest first, and a static large object never gets shorter.

Nothing here deletes or replaces the bytes: another client may be storing them again.
"""

import logging

from docker_registry.core import exceptions
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Storage

logger = logging.getLogger(__name__)


def true_size(storage: Storage, digest: Digest) -> int | None:
    """Read the bytes that are stored under a digest. Return their number, or None if they are missing or have another digest."""
    hasher, size = digest.hasher(), 0
    try:
        for block in storage.stream_read(layout.blob(digest), newest=True):
            hasher.update(block)
            size += len(block)
    except exceptions.FileNotFoundError:
        return None
    return size if digest.matches(hasher) else None


def stored_size(storage: Storage, digest: Digest) -> int | None:
    """Return the size of what is stored under a digest now, or None if nothing is."""
    try:
        return storage.stat(layout.blob(digest), newest=True).size
    except exceptions.FileNotFoundError:
        return None


def note(storage: Storage, digest: Digest, size: int) -> None:
    """Tell all instances that the blob is damaged as long as it has this size."""
    logger.warning('blob %s is damaged: %d bytes of it are stored. A push of an image that has it repairs it', digest, size)
    storage.replace(layout.damage(digest), str(size).encode())


def noted(storage: Storage, digest: Digest) -> int | None:
    """Return the size with which the blob is damaged, or None if nobody noted one. A blob of another size has been repaired."""
    try:
        content = storage.get_content(layout.damage(digest), newest=True)
    except exceptions.FileNotFoundError:
        return None
    return int(content) if content.isdigit() else None
