# -*- coding: utf-8 -*-
"""Docker images in the v1 format: a chain of layers, each with an id, a JSON description and a tar of files.

The format: https://github.com/moby/moby/blob/v1.6.0/image/spec/v1.md
"""
import hashlib
import json
import os
import shutil
import tarfile
import uuid

MiB = 1024 * 1024


class Layer(object):
    """One image of the chain: `id`, `parent` (a Layer or None), `json` as bytes, and the `path` of its tar."""

    def __init__(self, path, parent=None, command='/bin/true', cmd=('/bin/sh',)):
        self.id = uuid.uuid4().hex + uuid.uuid4().hex  # 256 random bits; a v1 id does not depend on the content
        self.parent = parent
        self.path = path
        self.size = os.path.getsize(path)
        self.json = self._described(command, cmd)

    def _described(self, command, cmd):
        described = {
            'id': self.id, 'created': '2014-06-22T12:00:00.000000000Z', 'docker_version': '1.5.0', 'architecture': 'amd64',
            'os': 'linux', 'container_config': {'Cmd': ['/bin/sh', '-c', command]}, 'config': {'Cmd': cmd},
            'author': u'Zo\xeb', 'Size': self.size}
        if self.parent:
            described['parent'] = self.parent.id
        return json.dumps(described).encode('utf-8')

    def read(self, first=0, last=None):
        """The bytes of the tar from `first` to `last`, inclusive."""
        with open(self.path, 'rb') as tar:
            tar.seek(first)
            return tar.read() if last is None else tar.read(last - first + 1)

    @property
    def sha256(self):
        return sha256(self.read())

    @property
    def checksum(self):
        """X-Docker-Checksum-Payload: https://github.com/moby/moby/blob/v1.5.0/registry/session.go"""
        return 'sha256:' + sha256(self.json + b'\n' + self.read())

    @property
    def ancestry(self):
        """The ids from this layer down to its base."""
        return [self.id] + (self.parent.ancestry if self.parent else [])


class Image(object):
    """Layers in the order in which docker pushes them, the base first."""

    def __init__(self, layers):
        self.layers = layers
        self.id = layers[-1].id


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def real_image(folder):
    """Three layers of real files: this Python's `json` and `email` packages, 40 MiB in one file, and a change of the first.

    40 MiB are more than one segment of the driver's default size.
    """
    base = _Files(folder, 'base')
    for module in ('json', 'email'):
        base.copy(os.path.dirname(__import__(module).__file__), 'usr/lib/python/' + module)
    base.link('usr/bin/python', '../lib/python')
    large = _Files(folder, 'large')
    large.write('var/lib/large', os.urandom(40 * MiB))
    top = _Files(folder, 'top')
    top.write('usr/lib/python/json/.wh.tool.py', b'')  # in a layer this means that json/tool.py is deleted
    top.write(u'etc/na\xefve.conf'.encode('utf-8'), b'answer = 42\n')
    layers = []
    for files in (base, large, top):
        layers.append(Layer(files.tar(), layers[-1] if layers else None, files.name))
    return Image(layers)


def small_image(folder, layers=1):
    """An image whose layers have one small file each. It is different at each call."""
    chain = []
    for number in range(layers):
        name = uuid.uuid4().hex
        files = _Files(folder, name)
        files.write('etc/' + name, name.encode('ascii') * 100)
        chain.append(Layer(files.tar(), chain[-1] if chain else None, 'echo %d' % number))
    return Image(chain)


def printing_image(folder, busybox, line):
    """An image that runs, and prints a line. Its layers are a static busybox and a file with the line."""
    program = _Files(folder, uuid.uuid4().hex)
    program.copy_file(busybox, 'bin/busybox')
    text = _Files(folder, uuid.uuid4().hex)
    text.write('etc/line', line.encode('utf-8') + b'\n')
    base = Layer(program.tar())
    return Image([base, Layer(text.tar(), base, cmd=('/bin/busybox', 'cat', '/etc/line'))])


class _Files(object):
    """A folder of files that becomes a tar."""

    def __init__(self, folder, name):
        self.name = name
        self._root = os.path.join(str(folder), name)
        os.makedirs(self._root)

    def _place(self, path):
        place = os.path.join(self._root, path)
        if not os.path.isdir(os.path.dirname(place)):
            os.makedirs(os.path.dirname(place))
        return place

    def copy(self, source, path):
        shutil.copytree(source, self._place(path))

    def copy_file(self, source, path):
        shutil.copy(source, self._place(path))

    def link(self, path, target):
        os.symlink(target, self._place(path))

    def write(self, path, content):
        with open(self._place(path), 'wb') as out:
            out.write(content)

    def tar(self):
        path = self._root + '.tar'
        with tarfile.open(path, 'w') as tar:
            tar.add(self._root, '.')
        shutil.rmtree(self._root)
        return path
