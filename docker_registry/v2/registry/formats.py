"""Parses manifests: their media type, the blobs and manifests they name, and their subject."""

import json
from dataclasses import dataclass, field
from typing import Any

from docker_registry.v2.registry import errors, names, strict_json
from docker_registry.v2.registry.names import Digest

OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'

_IMAGES = (OCI_IMAGE, DOCKER_IMAGE)
INDEXES = (OCI_INDEX, DOCKER_LIST)
_SCHEMA_1 = ('application/vnd.docker.distribution.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v1+prettyjws')
_MANIFESTS = (*_IMAGES, *INDEXES, OCI_ARTIFACT, *_SCHEMA_1)
#: Content-Types that clients send by default. They do not state a manifest's type.
_NO_TYPE = ('', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded', 'text/plain')
#: Types of layers that clients do not push: their descriptor names another place to download them from.
_FOREIGN_LAYERS = ('application/vnd.docker.image.rootfs.foreign.diff.tar', 'application/vnd.oci.image.layer.nondistributable.')

#: The keys of a manifest, of a descriptor and of a platform that clients read. Annotations have no keys of their own.
_MANIFEST_KEYS = (
    *('schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'manifests', 'blobs', 'subject', 'annotations', 'fsLayers'),
)
_DESCRIPTOR_KEYS = ('mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'artifactType', 'platform')
_PLATFORM_KEYS = ('architecture', 'os', 'os.version', 'os.features', 'variant', 'features')
#: The keys of what a manifest names.
_REFERENCE_KEYS = ('layers', 'manifests', 'blobs')
_MOST_SIZE = 2**63 - 1  # bytes; clients read a size as a signed number of 64 bits


@dataclass(frozen=True)
class Reference:
    """A blob or manifest that a manifest names. `size` is in bytes, or None if the manifest does not state it."""

    digest: Digest
    size: int | None = None


@dataclass(frozen=True)
class Parsed:
    """Those parts of a manifest that this registry uses.

    `blobs`, `manifests` and `blobs_or_manifests` must be in the repository. `stated` is True if the bytes themselves give the media
    type; otherwise the registry stores the type next to them.
    """

    media_type: str
    stated: bool
    blobs: tuple[Reference, ...] = ()
    manifests: tuple[Reference, ...] = ()
    blobs_or_manifests: tuple[Reference, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ''
    annotations: dict[str, str] = field(default_factory=dict)


def parse(content: bytes, content_type: str = '', most_references: int | None = None) -> Parsed:
    """Return the `Parsed` manifest for bytes and the Content-Type that a client sent.

    :raises ManifestInvalid: it is not a manifest, clients would read it in another way (`strict_json`), its media type is missing,
        contradictory or not accepted, or it names more than `most_references` blobs and manifests
    :raises DigestInvalid: it names a digest that is not a sha256 or sha512 digest
    """
    document = strict_json.load(content)
    strict_json.require_exact_keys(document, _MANIFEST_KEYS, '')
    own = own_media_type(document)
    sent = '' if content_type.partition(';')[0].strip().lower() in _NO_TYPE else names.media_type(content_type)
    _refuse_schema_1(document, sent, own)
    if sent and own and sent.lower() != own.lower():
        raise errors.ManifestInvalid(f'the Content-Type is {sent}, but the manifest says {own}')
    if not sent and not own:
        raise errors.ManifestInvalid('neither the Content-Type nor the manifest states its media type')
    media_type = own or sent
    kind = media_type.lower()  # RFC 9110, 8.3.1
    if not is_of_an_application(kind):
        raise errors.ManifestInvalid(f'the media type of a manifest must begin with application/, not {media_type}')
    _refuse_ambiguity(document, kind)
    _refuse_many_references(document, kind, most_references)
    return Parsed(media_type, bool(own), **_named(document, kind), **_referring(document, kind))


def media_type_of(content: bytes) -> str:
    """Return the media type that a stored manifest states, or '' if it states none.

    CNCF distribution accepts more than `parse`, and what it stored must be served. So this reads like Go, not like `strict_json.load`.

    :raises ManifestInvalid: the bytes are not a JSON object, the stated type is not a media type, or see `strict_json.require_bounds`
    """
    strict_json.require_bounds(content)
    try:
        document = json.loads(content.decode(errors='replace'), parse_int=strict_json.whole_number)
    except ValueError:
        raise errors.ManifestInvalid('the manifest is not valid JSON')
    if not isinstance(document, dict):
        raise errors.ManifestInvalid('the manifest is not a JSON object')
    return own_media_type(document)


def own_media_type(document: dict) -> str:
    """Return the media type that a manifest states, or ''.

    Older clients leave out `mediaType` in OCI manifests. Then the other fields tell the type.
    """
    stated = _text(_field(document, 'mediaType', ''), 'mediaType')
    if stated:
        return names.media_type(stated)
    if not _has_version(document, 2):
        return ''
    if _has(document, 'manifests'):
        return OCI_INDEX
    return OCI_IMAGE if _has(document, 'config') and _has(document, 'layers') else ''


def is_of_an_application(media_type: str) -> bool:
    """Return whether a browser takes a manifest of this type for data. It would show `text/html` as a page of the registry's origin."""
    return media_type.lower().startswith('application/')


def _refuse_schema_1(document: dict, sent: str, own: str) -> None:
    """Refuse Docker's first format. Only Docker's types mean it, or no type at all: another type may count its versions from 1, too."""
    untyped = not sent and not own and _has_version(document, 1)
    if untyped or sent.lower() in _SCHEMA_1 or own.lower() in _SCHEMA_1:
        raise errors.ManifestInvalid(
            'this registry does not accept image manifest schema 1. Push with docker 1.10 or newer, which sends schema 2'
        )


def _refuse_ambiguity(document: dict, kind: str) -> None:
    """Refuse a manifest that some clients would read as an image and others as an index (CVE-2021-41190)."""
    other = ('manifests',) if kind in _IMAGES else ('config', 'layers') if kind in INDEXES else ()
    if any(_has(document, key) for key in other):
        raise errors.ManifestInvalid(f'a manifest of type {kind} must not have {" or ".join(other)}')
    if other and not _has_version(document, 2):
        raise errors.ManifestInvalid('schemaVersion must be 2')


def _refuse_many_references(document: dict, kind: str, most: int | None) -> None:
    """Refuse a manifest that would make the registry look for too much. Manifests of an unknown type name nothing."""
    count = int(isinstance(document.get('config'), dict))
    count += sum(len(entries) for entries in (document.get(key) for key in _REFERENCE_KEYS) if isinstance(entries, list))
    if most is not None and count > most and kind in _MANIFESTS:
        raise errors.ManifestInvalid(
            f'the manifest names {count} blobs and manifests. This registry accepts {most} (REGISTRY_MANIFEST_REFERENCES)'
        )


def _named(document: dict, kind: str) -> dict[str, Any]:
    """Return the fields of `Parsed` for what a manifest names, or {} for an unknown media type."""
    if kind in _IMAGES:
        layers = [layer for layer in _descriptors(document, 'layers') if not _type_of(layer).startswith(_FOREIGN_LAYERS)]
        return {'blobs': _references([_descriptor(document.get('config'), 'config')] + layers)}
    if kind in INDEXES:
        return _entries(_descriptors(document, 'manifests'))
    if kind == OCI_ARTIFACT:
        return {'blobs': _references(_descriptors(document, 'blobs'))}
    return {}


def _entries(descriptors: list[dict]) -> dict[str, Any]:
    """Return the fields of `Parsed` for the entries of an index.

    BuildKit before 0.21 stores a build cache as an index of blobs: layers, and a config of type application/vnd.buildkit.cacheconfig.v0.
    """
    manifests = [entry for entry in descriptors if _type_of(entry) in _MANIFESTS]
    others = [entry for entry in descriptors if _type_of(entry) not in _MANIFESTS]
    return {'manifests': _references(manifests), 'blobs_or_manifests': _references(others)}


def _type_of(descriptor: dict) -> str:
    return _text(_field(descriptor, 'mediaType', ''), 'mediaType').lower()


def _referring(document: dict, kind: str) -> dict[str, Any]:
    """Return the fields of `Parsed` that the list of referrers needs, or {} if the manifest has no subject."""
    subject = document.get('subject')
    if subject is None:
        return {}
    return {
        'subject': names.digest(_text(_descriptor(subject, 'subject').get('digest'), 'subject.digest')),
        'artifact_type': _artifact_type(document, kind),
        'annotations': _annotations(document),
    }


def _artifact_type(document: dict, kind: str) -> str:
    """Return the artifact type of a manifest, or ''.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
    """
    stated = _text(_field(document, 'artifactType', ''), 'artifactType')
    if stated or kind in INDEXES or not isinstance(document.get('config'), dict):
        return stated
    return _text(_field(_descriptor(document['config'], 'config'), 'mediaType', ''), 'config.mediaType')


def _annotations(document: dict) -> dict[str, str]:
    annotations = _field(document, 'annotations', {})
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise errors.ManifestInvalid('annotations must be a JSON object whose values are strings')
    return annotations


def _descriptors(document: dict, key: str) -> list[dict]:
    entries = _field(document, key, [])
    if not isinstance(entries, list):
        raise errors.ManifestInvalid(f'{key} must be a list')
    return [_descriptor(entry, f'{key}[{number}]') for number, entry in enumerate(entries)]


def _descriptor(entry: object, where: str) -> dict:
    if not isinstance(entry, dict):
        raise errors.ManifestInvalid(f'{where} must be a descriptor, which is a JSON object')
    strict_json.require_exact_keys(entry, _DESCRIPTOR_KEYS, where)
    platform = entry.get('platform')
    if isinstance(platform, dict):
        strict_json.require_exact_keys(platform, _PLATFORM_KEYS, f'{where}.platform')
    return entry


def _references(descriptors: list[dict]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys(Reference(names.digest(_text(entry.get('digest'), 'digest')), _size(entry)) for entry in descriptors))


def _size(descriptor: dict) -> int | None:
    """Return the size of a descriptor in bytes, or None if it does not state one. Some clients write 0 for a size that they do not know."""
    size = _field(descriptor, 'size', 0)
    if type(size) is not int or not 0 <= size <= _MOST_SIZE:  # a bool is an int, too
        raise errors.ManifestInvalid(
            f'the size of {descriptor["digest"]} must be a whole number of bytes: digits without point or exponent'
        )
    return size or None


def _has(document: dict, key: str) -> bool:
    """Return whether the document has a value under a key. Clients read null as no value."""
    return document.get(key) is not None


def _has_version(document: dict, version: int) -> bool:
    value = document.get('schemaVersion')
    return type(value) is int and value == version  # neither 2.0, which clients refuse, nor true


def _field(document: dict, key: str, default: Any) -> Any:
    value = document.get(key)
    return default if value is None else value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise errors.ManifestInvalid(f'{key} must be a string')
    return value
