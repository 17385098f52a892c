"""What a manifest says: its media type, what it names, and what it refers to."""

import json
from dataclasses import dataclass, field

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
#: Types that say nothing: what a client sends that has not been told the type.
_NO_TYPE = ('', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded', 'text/plain')
#: Layers that are not to be pushed, but had from where their descriptor says.
_FOREIGN_LAYERS = ('application/vnd.docker.image.rootfs.foreign.diff.tar', 'application/vnd.oci.image.layer.nondistributable.')


@dataclass(frozen=True)
class Parsed:
    """A manifest that was understood as far as this registry has to.

    `blobs` and `manifests` are the digests that must be in the repository; `stated` is whether the bytes alone give the
    media type, or it has to be kept beside them.
    """

    media_type: str
    stated: bool
    blobs: tuple = ()
    manifests: tuple = ()
    subject: Digest = None
    artifact_type: str = ''
    annotations: dict = field(default_factory=dict)


def parse(content, content_type=''):
    """The `Parsed` manifest of the bytes a client sent; :raises ManifestInvalid, DigestInvalid:"""
    document = _json(content)
    own = own_media_type(document)
    sent = '' if content_type.partition(';')[0].strip().lower() in _NO_TYPE else names.media_type(content_type)
    _refuse_schema_1(document, sent, own)
    if sent and own and sent != own:
        raise errors.ManifestInvalid(f'sent as {sent}, but it is {own}')
    if not sent and not own:
        raise errors.ManifestInvalid('neither the Content-Type nor the manifest says its media type')
    media_type = own or sent
    _refuse_ambiguity(document, media_type)
    return Parsed(media_type, bool(own), *_named(document, media_type), **_referring(document, media_type))


def media_type_of(content):
    """The media type that stored bytes state, or '' if it is kept beside them."""
    return own_media_type(_json(content))


def own_media_type(document):
    """What the `mediaType` field says or, for OCI manifests of older clients that left it out, the other fields."""
    stated = document.get('mediaType')
    if stated:
        return names.media_type(_text(stated, 'mediaType'))
    if document.get('schemaVersion') != 2:
        return ''
    if 'manifests' in document:
        return OCI_INDEX
    return OCI_IMAGE if 'config' in document and 'layers' in document else ''


def _json(content):
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise errors.ManifestInvalid('not valid JSON')
    if not isinstance(document, dict):
        raise errors.ManifestInvalid('not a JSON object')
    return document


def _refuse_schema_1(document, sent, own):
    if sent in _SCHEMA_1 or own in _SCHEMA_1 or document.get('schemaVersion') == 1:
        raise errors.ManifestInvalid('image manifest schema 1 is not accepted: push with docker 1.10 or newer, which sends schema 2')


def _refuse_ambiguity(document, media_type):
    """One that is an image to some clients and an index to others: CVE-2021-41190."""
    other = ('manifests',) if media_type in _IMAGES else ('config', 'layers') if media_type in _INDEXES else ()
    if any(key in document for key in other):
        raise errors.ManifestInvalid(f'a {media_type} has no {" and no ".join(other)}')
    if other and document.get('schemaVersion') != 2:
        raise errors.ManifestInvalid('schemaVersion is not 2')


def _named(document, media_type):
    """(blobs, manifests) that a manifest of a known type names."""
    if media_type in _IMAGES:
        layers = [layer for layer in _descriptors(document, 'layers') if not _is_foreign(layer)]
        return _digests([_descriptor(document.get('config'), 'config')] + layers), ()
    if media_type in _INDEXES:
        return (), _digests(_descriptors(document, 'manifests'))
    if media_type == OCI_ARTIFACT:
        return _digests(_descriptors(document, 'blobs')), ()
    return (), ()


def _is_foreign(layer):
    return _text(_field(layer, 'mediaType', ''), 'mediaType').startswith(_FOREIGN_LAYERS)


def _referring(document, media_type):
    """What stands in the list of referrers of a manifest's subject."""
    subject = document.get('subject')
    if subject is None:
        return {}
    return {
        'subject': names.digest(_text(_descriptor(subject, 'subject').get('digest'), 'subject.digest')),
        'artifact_type': _artifact_type(document, media_type),
        'annotations': _annotations(document),
    }


def _artifact_type(document, media_type):
    """https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers"""
    stated = _text(_field(document, 'artifactType', ''), 'artifactType')
    if stated or media_type in _INDEXES or not isinstance(document.get('config'), dict):
        return stated
    return _text(_field(document['config'], 'mediaType', ''), 'config.mediaType')


def _annotations(document):
    annotations = _field(document, 'annotations', {})
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise errors.ManifestInvalid('annotations are not strings')
    return annotations


def _descriptors(document, key):
    entries = _field(document, key, [])
    if not isinstance(entries, list):
        raise errors.ManifestInvalid(f'{key} is not a list')
    return [_descriptor(entry, key) for entry in entries]


def _descriptor(entry, key):
    if not isinstance(entry, dict):
        raise errors.ManifestInvalid(f'{key} has no descriptor')
    return entry


def _digests(descriptors):
    return tuple(dict.fromkeys(names.digest(_text(entry.get('digest'), 'digest')) for entry in descriptors))


def _field(document, key, default):
    value = document.get(key)
    return default if value is None else value


def _text(value, key):
    if not isinstance(value, str):
        raise errors.ManifestInvalid(f'{key} is not a string')
    return value
