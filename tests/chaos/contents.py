"""What clients push: blobs of random bytes that can be made again from a few words, and manifests that name them."""

import dataclasses
import functools
import hashlib
import json
import random

IMAGE = 'application/vnd.oci.image.manifest.v1+json'
INDEX = 'application/vnd.oci.image.index.v1+json'
DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
LAYER = 'application/vnd.oci.image.layer.v1.tar'
CONFIG = 'application/vnd.oci.image.config.v1+json'
ARTIFACT = 'application/vnd.example.signature'


def digest_of(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


class Blob:
    """`size` bytes that depend on `name` alone. It does not keep them."""

    def __init__(self, name, size):
        self.name, self.size = name, size
        self.digest = digest_of(self.content)

    @property
    def content(self):
        return random.Random(self.name).randbytes(self.size)

    def matches(self, content):
        return len(content) == self.size and digest_of(content) == self.digest


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A manifest. `blobs` and `manifests` are the digests that it needs in its repository."""

    content: bytes
    media_type: str
    blobs: tuple = ()
    manifests: tuple = ()
    subject: str = ''

    @functools.cached_property
    def digest(self):
        return digest_of(self.content)

    def matches(self, content):
        return content == self.content


def image(name, config, layers, media_type=IMAGE, subject=None):
    """Return the `Manifest` of an image, or of a referrer if it has a subject, which is a `Manifest`."""
    document = {
        'schemaVersion': 2,
        'mediaType': media_type,
        'config': descriptor(config, CONFIG),
        'layers': [descriptor(layer, LAYER) for layer in layers],
        'annotations': {'name': name},
    }
    if subject:
        document.update(artifactType=ARTIFACT, subject=descriptor(subject, subject.media_type))
    blobs = tuple(blob.digest for blob in (config, *layers))
    return Manifest(json.dumps(document).encode(), media_type, blobs, (), subject.digest if subject else '')


def index(name, manifests):
    document = {
        'schemaVersion': 2,
        'mediaType': INDEX,
        'manifests': [descriptor(manifest, manifest.media_type) for manifest in manifests],
        'annotations': {'name': name},
    }
    return Manifest(json.dumps(document).encode(), INDEX, (), tuple(manifest.digest for manifest in manifests))


def descriptor(thing, media_type):
    size = thing.size if isinstance(thing, Blob) else len(thing.content)
    return {'mediaType': media_type, 'digest': thing.digest, 'size': size}
