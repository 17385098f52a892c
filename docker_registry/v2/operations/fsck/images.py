"""Reads manifests as generously as possible: whatever a client can pull has to be looked for, whether or not this registry accepts it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from docker_registry.v2.registry import errors, names
from docker_registry.v2.registry.names import Digest

#: A layer that clients download from elsewhere has one of these in its type.
FOREIGN = ('foreign', 'nondistributable')

LONGEST_PLATFORM = 60  # characters; anybody who may push writes it, and it is printed


class Child(NamedTuple):
    """An entry of an index. It is a manifest, or may be a blob, too, if its type is not one of a manifest."""

    digest: Digest
    platform: str
    is_manifest: bool
    size: int | None


@dataclass(frozen=True)
class Image:
    """What a manifest names. `blobs` has the size of each in bytes, or None if the manifest does not state it."""

    blobs: dict[Digest, int | None]
    children: tuple[Child, ...] = ()
    subject: Digest | None = None


def read(content: bytes) -> Image | None:
    """Return the `Image` that a manifest describes, of any known format. None if it is not the JSON of a manifest."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not {'schemaVersion', 'mediaType'}.intersection(document):
        return None  # a config is JSON, too
    subject = document.get('subject')
    return Image(dict(_blobs(document)), tuple(_children(document)), _digest(subject.get('digest')) if isinstance(subject, dict) else None)


def _blobs(document: dict) -> Iterator[tuple[Digest, int | None]]:
    """:return: config and layers; `fsLayers` is the name in Docker's first format, and `blobs` that in artifacts"""
    entries = [document.get('config'), *_list(document, 'layers'), *_list(document, 'blobs')]
    for entry in filter(_is_stored, entries):
        digest = _digest(entry.get('digest'))
        if digest:
            yield digest, _size(entry)
    for entry in _list(document, 'fsLayers'):
        if isinstance(entry, dict) and (digest := _digest(entry.get('blobSum'))):
            yield digest, None


def _is_stored(entry: object) -> bool:
    return isinstance(entry, dict) and not any(word in str(entry.get('mediaType')).lower() for word in FOREIGN)


def _children(document: dict) -> Iterator[Child]:
    for entry in _list(document, 'manifests'):
        if isinstance(entry, dict) and (digest := _digest(entry.get('digest'))):
            kind = str(entry.get('mediaType')).lower()
            yield Child(digest, _platform(entry.get('platform')), 'manifest' in kind or 'index' in kind, _size(entry))


def _size(descriptor: dict) -> int | None:
    size = descriptor.get('size')
    return size if type(size) is int and size > 0 else None


def _platform(platform: object) -> str:
    """Return a platform as `docker pull --platform` takes it, such as linux/arm64/v8, or ''."""
    if not isinstance(platform, dict):
        return ''
    text = '/'.join(str(platform[key]) for key in ('os', 'architecture', 'variant') if platform.get(key))
    return re.sub(r'[^\w./-]', '?', text[:LONGEST_PLATFORM], flags=re.ASCII)


def _list(document: dict, key: str) -> list:
    entries = document.get(key)
    return entries if isinstance(entries, list) else []


def _digest(text: object) -> Digest | None:
    try:
        return names.digest(text) if isinstance(text, str) else None
    except errors.DigestInvalid:
        return None
