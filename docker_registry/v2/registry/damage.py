"""Damaged blobs: objects whose bytes are not those of their digest.

CNCF distribution stores blobs as dynamic large objects. Swift makes such an object from a listing of its segments, without an error if
some are missing. What this registry stores is whole: it verifies the digest first, and a static large object never gets shorter.

Nothing here deletes or replaces the bytes: another client may be storing them again.
"""

import contextlib
import logging
import re
from collections.abc import Callable

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat, Storage

logger = logging.getLogger(__name__)


def is_possible(stat: Stat) -> bool:
    """Return whether a stored blob can be damaged. Only a large object can be: the ETag of any other is the MD5 of its bytes."""
    return not re.fullmatch('[0-9a-f]{32}', stat.etag or '')


def true_size(storage: Storage, digest: Digest, is_wanted: Callable[[], bool] = lambda: True) -> int | None:
    """Read the bytes that are stored under a digest. Return their number, or None if they are missing or have another digest.

    :raises ClientGone: `is_wanted` has returned False meanwhile
    """
    hasher, size = digest.hasher(), 0
    try:
        with contextlib.closing(storage.stream_read(layout.blob(digest), newest=True)) as stream:
            for block in stream:
                hasher.update(block)
                size += len(block)
                if not is_wanted():
                    raise errors.ClientGone()
    except exceptions.FileNotFoundError:
        return None
    return size if digest.matches(hasher) else None


def stored(storage: Storage, digest: Digest) -> Stat | None:
    """Return the `Stat` of what is stored under a digest now, or None if nothing is."""
    try:
        return storage.stat(layout.blob(digest), newest=True)
    except exceptions.FileNotFoundError:
        return None


def note(storage: Storage, digest: Digest, size: int) -> None:
    """Tell all instances that the blob is damaged as long as it has this size."""
    logger.warning('blob %s is damaged: %d bytes of it are stored. A push of an image that has it repairs it', digest, size)
    storage.replace(layout.damage(digest), str(size).encode())


def is_known(storage: Storage, digest: Digest, stat: Stat) -> bool:
    """Return whether somebody has noted that a stored blob is damaged. A blob of another size than the note has been repaired."""
    return is_possible(stat) and _noted(storage, digest) == stat.size


def _noted(storage: Storage, digest: Digest) -> int | None:
    try:
        content = storage.get_content(layout.damage(digest), newest=True)
    except exceptions.FileNotFoundError:
        return None
    return int(content) if content.isdigit() else None
