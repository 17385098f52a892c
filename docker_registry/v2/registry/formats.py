"""Parses manifests: their media type, the blobs and manifests they name, and their subject."""

import json
from dataclasses import dataclass, field
from typing import Any

from docker_registry.v2.registry import errors, names
from docker_registry.v2.registry.names import Digest

OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'

_IMAGES = (OCI_IMAGE, DOCKER_IMAGE)
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_SCHEMA_1 = ('application/vnd.docker.distribution.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v1+prettyjws')
#: Content-Types that clients send by default. They do not state a manifest's type.
_NO_TYPE = ('', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded', 'text/plain')
#: Types of layers that clients do not push: their descriptor names another place to download them from.
_FOREIGN_LAYERS = ('application/vnd.docker.image.rootfs.foreign.diff.tar', 'application/vnd.oci.image.layer.nondistributable.')


@dataclass(frozen=True)
class Parsed:
    """Those parts of a manifest that this registry uses.

    `blobs` and `manifests` are the digests that must be in the repository. `stated` is True if the bytes themselves give the
    media type; otherwise the registry stores the type next to them.
    """

    media_type: str
    stated: bool
    blobs: tuple[Digest, ...] = ()
    manifests: tuple[Digest, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ''
    annotations: dict[str, str] = field(default_factory=dict)


def parse(content: bytes, content_type: str = '') -> Parsed:
    """Return the `Parsed` manifest for bytes and the Content-Type that a client sent.

    :raises ManifestInvalid: it is not a manifest, or its media type is missing, contradictory or not accepted
    :raises DigestInvalid: it names a digest that is not a sha256 or sha512 digest
    """
    document = _json(content)
    own = own_media_type(document)
    sent = '' if content_type.partition(';')[0].strip().lower() in _NO_TYPE else names.media_type(content_type)
    _refuse_schema_1(document, sent, own)
    if sent and own and sent.lower() != own.lower():
        raise errors.ManifestInvalid(f'the Content-Type is {sent}, but the manifest says {own}')
    if not sent and not own:
        raise errors.ManifestInvalid('neither the Content-Type nor the manifest states its media type')
    media_type = own or sent
    kind = media_type.lower()  # RFC 9110, 8.3.1
    _refuse_ambiguity(document, kind)
    return Parsed(media_type, bool(own), *_named(document, kind), **_referring(document, kind))


def media_type_of(content: bytes) -> str:
    """Return the media type that a manifest's bytes state, or '' if they state none.

    :raises ManifestInvalid: the bytes are not a JSON object, or the stated type is not a media type
    """
    return own_media_type(_json(content))


def own_media_type(document: dict) -> str:
    """Return the media type that a manifest states, or ''.

    Older clients leave out `mediaType` in OCI manifests. Then the other fields tell the type.
    """
    stated = document.get('mediaType')
    if stated:
        return names.media_type(_text(stated, 'mediaType'))
    if document.get('schemaVersion') != 2:
        return ''
    if 'manifests' in document:
        return OCI_INDEX
    return OCI_IMAGE if 'config' in document and 'layers' in document else ''


def _json(content: bytes) -> dict:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise errors.ManifestInvalid('the manifest is not valid JSON')
    if not isinstance(document, dict):
        raise errors.ManifestInvalid('the manifest is not a JSON object')
    return document


def _refuse_schema_1(document: dict, sent: str, own: str) -> None:
    """Refuse Docker's first format. Only Docker's types mean it, or no type at all: another type may count its versions from 1, too."""
    untyped = not sent and not own and document.get('schemaVersion') == 1
    if untyped or sent.lower() in _SCHEMA_1 or own.lower() in _SCHEMA_1:
        raise errors.ManifestInvalid(
            'this registry does not accept image manifest schema 1. Push with docker 1.10 or newer, which sends schema 2'
        )


def _refuse_ambiguity(document: dict, kind: str) -> None:
    """Refuse a manifest that some clients would read as an image and others as an index (CVE-2021-41190)."""
    other = ('manifests',) if kind in _IMAGES else ('config', 'layers') if kind in _INDEXES else ()
    if any(key in document for key in other):
        raise errors.ManifestInvalid(f'a manifest of type {kind} must not have {" or ".join(other)}')
    if other and document.get('schemaVersion') != 2:
        raise errors.ManifestInvalid('schemaVersion must be 2')


def _named(document: dict, kind: str) -> tuple[tuple[Digest, ...], tuple[Digest, ...]]:
    """Return (digests of blobs, digests of manifests) that a manifest names. Both are empty for an unknown media type."""
    if kind in _IMAGES:
        layers = [layer for layer in _descriptors(document, 'layers') if not _is_foreign(layer)]
        return _digests([_descriptor(document.get('config'), 'config')] + layers), ()
    if kind in _INDEXES:
        return (), _digests(_descriptors(document, 'manifests'))
    if kind == OCI_ARTIFACT:
        return _digests(_descriptors(document, 'blobs')), ()
    return (), ()


def _is_foreign(layer: dict) -> bool:
    return _text(_field(layer, 'mediaType', ''), 'mediaType').lower().startswith(_FOREIGN_LAYERS)


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
    if stated or kind in _INDEXES or not isinstance(document.get('config'), dict):
        return stated
    return _text(_field(document['config'], 'mediaType', ''), 'config.mediaType')


def _annotations(document: dict) -> dict[str, str]:
    annotations = _field(document, 'annotations', {})
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise errors.ManifestInvalid('annotations must be a JSON object whose values are strings')
    return annotations


def _descriptors(document: dict, key: str) -> list[dict]:
    entries = _field(document, key, [])
    if not isinstance(entries, list):
        raise errors.ManifestInvalid(f'{key} must be a list')
    return [_descriptor(entry, key) for entry in entries]


def _descriptor(entry: object, key: str) -> dict:
    if not isinstance(entry, dict):
        raise errors.ManifestInvalid(f'{key} must hold descriptors, which are JSON objects')
    return entry


def _digests(descriptors: list[dict]) -> tuple[Digest, ...]:
    return tuple(dict.fromkeys(names.digest(_text(entry.get('digest'), 'digest')) for entry in descriptors))


def _field(document: dict, key: str, default: Any) -> Any:
    value = document.get(key)
    return default if value is None else value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise errors.ManifestInvalid(f'{key} must be a string')
    return value
