"""The objects of a v1 registry, for tests: as docker-registry 0.5 to 0.9 writes them, and in all odd forms that old registries have."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from urllib.parse import quote_plus

CREATED = '2014-03-14T09:26:53.589793238Z'


def image_id(text):
    """Return an id such as docker made of random bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def archive(**files):
    """Return a tar archive of files: {name: bytes}."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w', format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1400000000
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


def gzipped(content):
    return gzip.compress(content, mtime=1400000000)


def in_members(content, count=3):
    """Return a gzip file of several members, as parallel programs write them."""
    size = len(content) // count + 1
    return b''.join(gzipped(content[first : first + size]) for first in range(0, len(content), size))


#: Every form of a layer that docker could read: what makes it from an archive.
FORMS = {
    'plain': bytes,
    'gzip': gzipped,
    'gzip of several members': in_members,
    'bzip2': bz2.compress,
    'bzip2 of two streams': lambda content: bz2.compress(content[:700]) + bz2.compress(content[700:]),
    'xz': lzma.compress,
    'xz with padding': lambda content: lzma.compress(content) + bytes(8),
}


def document(name, parents=(), **more):
    """Return the json of an image by docker 1.5."""
    about = {
        'id': name,
        'created': CREATED,
        'container': image_id(f'container of {name}'),
        'container_config': {'Hostname': 'c0ffee', 'Cmd': ['/bin/sh', '-c', f'#(nop) ADD {name[:8]} in /'], 'Env': None},
        'docker_version': '1.5.0',
        'author': 'someone@example.com',
        'config': {
            'Hostname': 'c0ffee',
            'Cmd': ['/bin/sh'],
            'Env': ['PATH=/usr/bin:/bin'],
            'ExposedPorts': {'80/tcp': {}},
            'Volumes': None,
        },
        'architecture': 'amd64',
        'os': 'linux',
        'Size': 7,
    }
    return about | ({'parent': parents[0]} if parents else {}) | more


class Tree:
    """The objects that a v1 registry writes, by the same driver.

    :param storage: a driver whose root is the `storage_path` of the registry
    """

    def __init__(self, storage):
        self.storage = storage

    def image(self, name, layer, parents=(), ancestry=True, about=None, checksum=None):
        """Store an image.

        :param parents: ids of its ancestors, the nearest first
        :param ancestry: whether there is such a file
        :param about: its json, as a document or as bytes
        :param checksum: a text that `_checksum` contains, instead of what the registry computes
        """
        about = document(name, parents) if about is None else about
        content = about if isinstance(about, bytes) else json.dumps(about).encode()
        self.storage.put_content(f'images/{name}/json', content)
        right = json.dumps(['sha256:' + hashlib.sha256(content + b'\n' + layer).hexdigest()])
        self.storage.put_content(f'images/{name}/_checksum', right if checksum is None else checksum)
        self.storage.stream_write(f'images/{name}/layer', io.BytesIO(layer))
        if ancestry:
            self.storage.put_content(f'images/{name}/ancestry', json.dumps([name, *parents]))

    def begin(self, name):
        """Let an image look as if its upload had not ended."""
        self.storage.put_content(f'images/{name}/_inprogress', 'true')

    def tag(self, repository, tag, image):
        """Store a tag. The registry quotes names in its paths."""
        path = '/'.join(map(quote_plus, repository.split('/', 1)))
        self.storage.put_content(f'repositories/{path}/tag_{quote_plus(tag)}', image)
        self.storage.put_content(f'repositories/{path}/tag{quote_plus(tag)}_json', '{"docker_version": "1.5.0"}')
        self.storage.put_content(f'repositories/{path}/_index_images', '[]')

    def private(self, repository):
        path = '/'.join(map(quote_plus, repository.split('/', 1)))
        self.storage.put_content(f'repositories/{path}/_private', '')

    def chain(self, repository, tag, *layers):
        """Store an image of layers, the base first, and tag it. Return the ids of its images, the base first."""
        ids = []
        for number, layer in enumerate(layers):
            name = image_id(f'{repository}:{tag} {number}')
            self.image(name, layer, ids[::-1])
            ids.append(name)
        self.tag(repository, tag, ids[-1])
        return ids
