"""Targets: manifests. They are also read as docker and containerd read them, with Go's rules."""

import json

from docker_registry.v2.registry import errors, formats, mentions, names
from target import target

DIGEST = 'sha256:' + '0123456789abcdef' * 4
OTHER = 'sha256:' + 'a' * 64
CONFIG = 'application/vnd.oci.image.config.v1+json'
LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'


def described(digest, media_type, **more):
    return {'mediaType': media_type, 'digest': digest, 'size': 7, **more}


def seed(content_type, **document):
    return content_type.encode() + b'\n' + json.dumps(document).encode()


IMAGE = {'schemaVersion': 2, 'config': described(DIGEST, CONFIG), 'layers': [described(OTHER, LAYER)]}
WORDS = (
    *(json.dumps(key).encode() + b': ' for key in formats._MANIFEST_KEYS + formats._DESCRIPTOR_KEYS + formats._PLATFORM_KEYS),
    *(kind.encode() for kind in formats._MANIFESTS + formats._FOREIGN_LAYERS),
    *(
        b'"' + DIGEST.encode() + b'"',
        b'"' + OTHER.encode() + b'"',
        b'NaN',
        b'1e999',
        b'null',
        b'\\u017f',
        b'\\u212a',
        b'"Layers": ',
        b'\\ud800',
    ),
)

#: {media type: the keys under which such a manifest names others}
NAMING = {
    **dict.fromkeys(formats._IMAGES, ('config', 'layers')),
    **dict.fromkeys(formats.INDEXES, ('manifests',)),
    formats.OCI_ARTIFACT: ('blobs',),
}


class Folded(dict):
    """A JSON object with the keys that Go's encoding/json would match: no regard to case, and the last one wins."""

    def __init__(self, pairs):
        super().__init__()
        for key, value in pairs:
            self[key.replace('\u017f', 's').replace('\u212a', 'k').lower()] = value


def go_reads(content):
    return json.loads(content, object_pairs_hook=Folded)


def entries(document, *keys):
    """Return the descriptors under some keys."""
    return [entry for key in keys for entry in as_list(document.get(key))]


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def facts(document, kind, spelled):
    """Return what a manifest says, as one reader reads it.

    :param spelled: how this reader writes the keys of the specification
    """
    keys = ('mediaType', 'digest', 'size', 'artifactType', 'urls', 'data')
    found = [[plain(entry.get(spelled(key))) for key in keys] for entry in entries(document, *NAMING.get(kind, ()), 'subject')]
    return [plain(document.get(spelled(key))) for key in ('schemaVersion', 'mediaType', 'artifactType')], found


def plain(value):
    """Return a value, or a word for one that holds others: their keys may be anything."""
    return 'nested' if isinstance(value, (dict, list)) else value


@target(
    seed(formats.OCI_IMAGE, **IMAGE),
    seed('', mediaType=formats.DOCKER_IMAGE, **IMAGE),
    seed(
        'application/json; charset=utf-8', **IMAGE, subject=described(OTHER, formats.OCI_IMAGE), annotations={'a': 'b'}, artifactType='a/b'
    ),
    seed(
        formats.OCI_INDEX,
        schemaVersion=2,
        manifests=[described(DIGEST, formats.OCI_IMAGE, platform={'os': 'linux', 'architecture': 'amd64'})],
    ),
    seed(formats.DOCKER_LIST, schemaVersion=2, mediaType=formats.DOCKER_LIST, manifests=[described(DIGEST, LAYER)]),
    seed(
        formats.OCI_ARTIFACT, mediaType=formats.OCI_ARTIFACT, blobs=[described(DIGEST, LAYER)], subject=described(OTHER, formats.OCI_IMAGE)
    ),
    seed('application/x-anything', hello='world', schemaVersion=1),
    seed(formats.OCI_IMAGE, **IMAGE, Layers=[described(DIGEST, LAYER)]),
    formats.OCI_IMAGE.encode() + b'\n' + b'[' * 5000,
    formats.OCI_IMAGE.encode() + b'\n{"schemaVersion": 2, "size": ' + b'9' * 5000 + b'}',
    words=WORDS,
)
def manifest(data):
    """An accepted manifest says the same to every reader: to this registry now and when it serves it, to Python, and to Go."""
    content_type, _, content = data.partition(b'\n')
    try:
        parsed = formats.parse(content, content_type.decode('latin-1'))
    except (errors.ManifestInvalid, errors.DigestInvalid) as error:
        json.dumps(error.entries())
        return
    served = formats.media_type_of(content)
    assert served == (parsed.media_type if parsed.stated else ''), (served, parsed)
    assert names.media_type(parsed.media_type) == parsed.media_type
    document, folded = json.loads(content), go_reads(content)
    kind = parsed.media_type.lower()
    assert facts(document, kind, str) == facts(folded, kind, str.lower)
    named = {str(one.digest) for one in parsed.blobs + parsed.manifests + parsed.blobs_or_manifests}
    there = entries(folded, *NAMING.get(kind, ()))
    foreign = [one for one in there if kind in formats._IMAGES and (one.get('mediatype') or '').lower().startswith(formats._FOREIGN_LAYERS)]
    assert {one['digest'] for one in there if one not in foreign} <= named <= {one['digest'] for one in there}
    subject = folded.get('subject')
    assert (subject and subject['digest']) == (parsed.subject and str(parsed.subject))
    json.dumps([parsed.annotations, parsed.artifact_type]).encode()
    mentioned = mentions.of(content)
    assert named <= set(map(str, mentioned.sizes)) and mentioned.subject == parsed.subject


@target(
    b'{"mediaType": "a/b"}',
    b'{"schemaVersion": 2, "manifests": []}',
    b'[]',
    b'{"mediaType": 5}',
    b'[' * 8000,
    b'\xff',
    b'9' * 8000,
    words=WORDS,
)
def stored_manifest(data):
    """Whatever another registry has stored is served: its type is found, or it has none."""
    try:
        mentions.of(data)
    except errors.ManifestInvalid:
        pass
    try:
        found = formats.media_type_of(data)
    except errors.ManifestInvalid:
        return
    assert found == '' or names.media_type(found) == found
