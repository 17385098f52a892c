"""Images with random layers, in the format that skopeo calls `dir:`. A folder holds each manifest and blob as a file, byte for byte.

https://github.com/containers/image/blob/main/docs/containers-transports.5.md
"""

import collections
import filecmp
import gzip
import hashlib
import io
import json
import os
import tarfile

MiB = 1024**2

MediaTypes = collections.namedtuple('MediaTypes', 'index manifest config layer')
OCI = MediaTypes(
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.oci.image.config.v1+json',
    'application/vnd.oci.image.layer.v1.tar+gzip',
)
DOCKER = MediaTypes(
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.container.image.v1+json',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
)

#: folder: path of the folder; digest: digest of the manifest or index; blobs: digests of the blobs, an image's layers before its
#: config; platforms: {architecture: digest of its manifest}
Image = collections.namedtuple('Image', 'folder digest blobs platforms')


def digest_of(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def digest_in(folder):
    """Return the digest of the manifest or index in a `dir:` folder."""
    with open(os.path.join(folder, 'manifest.json'), 'rb') as file:
        return digest_of(file.read())


def make_image(folder, layer_sizes=(MiB,), types=OCI, architecture='amd64'):
    """Make an `Image` in a new folder, with one layer for each size. Layers are archives, so they are a little larger than that."""
    os.makedirs(folder)
    layers, diffs = zip(*[_layer(folder, size, types) for size in layer_sizes])
    config = _config(folder, architecture, diffs, types)
    manifest = {'schemaVersion': 2, 'mediaType': types.manifest, 'config': config, 'layers': layers}
    image = _finished(folder, [layer['digest'] for layer in layers] + [config['digest']], manifest, {})
    return image._replace(platforms={architecture: image.digest})


def make_index(folder, images, types=OCI):
    """Make an `Image` for several platforms, in a new folder."""
    os.makedirs(folder)
    platforms, manifests = {}, []
    for image in images:
        for digest in image.blobs:
            os.link(os.path.join(image.folder, digest[7:]), os.path.join(folder, digest[7:]))
        manifest = os.path.join(image.folder, 'manifest.json')
        os.link(manifest, os.path.join(folder, image.digest[7:] + '.manifest.json'))
        platforms.update(image.platforms)
        manifests += [
            {
                'mediaType': types.manifest,
                'digest': digest,
                'size': os.path.getsize(manifest),
                'platform': {'architecture': name, 'os': 'linux'},
            }
            for name, digest in image.platforms.items()
        ]
    return _finished(
        folder,
        [digest for image in images for digest in image.blobs],
        {'schemaVersion': 2, 'mediaType': types.index, 'manifests': manifests},
        platforms,
    )


def make_multi_arch(folder, layer_sizes=(MiB,), types=OCI):
    """Make an index with images for three platforms."""
    os.makedirs(folder)
    images = [make_image(os.path.join(folder, name), layer_sizes, types, name) for name in ('amd64', 'arm64', 's390x')]
    return make_index(os.path.join(folder, 'index'), images, types)


def differences(one, other):
    """Return the names of files that are not the same in two `dir:` folders, byte for byte."""
    names = set(os.listdir(one)) | set(os.listdir(other))
    same, _, _ = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(names - set(same) - {'version'})


def _finished(folder, blobs, manifest, platforms):
    _write(folder, 'manifest.json', json.dumps(manifest, indent=3).encode())
    _write(folder, 'version', b'Directory Transport Version: 1.1\n')
    return Image(folder, digest_in(folder), blobs, platforms)


def _config(folder, architecture, diffs, types):
    content = json.dumps(
        {'architecture': architecture, 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': diffs}}
    ).encode()
    _write(folder, digest_of(content)[7:], content)
    return {'mediaType': types.config, 'digest': digest_of(content), 'size': len(content)}


def _write(folder, name, content):
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(content)


def _layer(folder, size, types):
    """Make a layer and return (its descriptor, its diff id). It is compressed, because clients would otherwise compress it."""
    path = os.path.join(folder, 'layer')
    with open(path, 'wb') as file:
        packed = Hashing(file)
        with gzip.GzipFile(fileobj=packed, filename='', mode='wb', compresslevel=0, mtime=0) as compressed:
            plain = Hashing(compressed)
            with tarfile.open(fileobj=plain, mode='w|') as archive:
                entry = tarfile.TarInfo('random')
                entry.size = size
                archive.addfile(entry, Random())
    os.rename(path, os.path.join(folder, packed.digest[7:]))
    return {'mediaType': types.layer, 'digest': packed.digest, 'size': packed.count}, plain.digest


class Hashing:
    """A file to write to. It keeps the `digest` and the `count` of the bytes that were written."""

    def __init__(self, file):
        self._file, self._hasher, self.count = file, hashlib.sha256(), 0

    def write(self, data):
        self._hasher.update(data)
        self.count += len(data)
        return self._file.write(data)

    def flush(self):
        self._file.flush()

    @property
    def digest(self):
        return 'sha256:' + self._hasher.hexdigest()


class Random(io.RawIOBase):
    """A file with endless random bytes."""

    def read(self, size=-1):
        return os.urandom(size)
