"""Images in the forms in which docker 0.6 to 1.12 pushed them, made of an image that today's docker has built."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import uuid

NO_FILES = bytes(1024)  # the layer of a step that changes no files, such as ENV
FORMS = {'tar': bytes, 'gzip': gzip.compress, 'bzip2': bz2.compress, 'xz': lzma.compress}


class Saved:
    """What `docker save` has written: the configuration of an image, and its layers as archives, the base first.

    https://github.com/moby/moby/blob/v20.10.24/image/spec/v1.2.md: `descriptions` are the JSON documents of a v1 registry, as docker 1.10
    to 1.12 made them to push an image to one.
    """

    def __init__(self, path):
        with tarfile.open(path) as archive:

            def read(name):
                entry = archive.getmember(name)
                if entry.issym():
                    entry = archive.getmember(os.path.normpath(os.path.join(os.path.dirname(name), entry.linkname)))
                return archive.extractfile(entry).read()

            (about,) = json.loads(read('manifest.json'))
            self.configuration = json.loads(read(about['Config']))
            self.layers = [read(name) for name in about['Layers']]
            self.descriptions = [json.loads(read(os.path.dirname(name) + '/json')) for name in about['Layers']]


class Writer:
    """Makes v1 images in a folder: what `OldRegistry.push` takes."""

    def __init__(self, folder, saved):
        self._folder, self._saved = folder, saved
        self.pushes = []

    def add(self, repository, tag, steps, form, private=False):
        """Add an image.

        :param steps: [(description, archive)], the base first. They get new ids
        :param form: of `FORMS`
        """
        layers = []
        for description, archive in steps:
            about = {**description, 'id': uuid.uuid4().hex * 2}
            about.pop('parent', None)
            if layers:
                about['parent'] = layers[-1]['id']
            layers.append({'id': about['id'], 'json': json.dumps(about), 'path': self._write(about['id'], FORMS[form](archive))})
        self.pushes.append({'repository': repository, 'tag': tag, 'private': private, 'layers': layers})

    def _write(self, name, content):
        path = os.path.join(self._folder, name)
        with open(path, 'wb') as file:
            file.write(content)
        return path

    # Steps

    def of_docker_1_12(self):
        return list(zip(self._saved.descriptions, self._saved.layers))

    def of_docker_1_5(self):
        """A layer for each step of the Dockerfile, whether it changes files or not, and its command with each."""
        layers, steps = iter(self._saved.layers), []
        for step in self._saved.configuration['history']:
            about = {
                'created': step['created'],
                'container': uuid.uuid4().hex * 2,
                'container_config': {'Hostname': 'c0ffee', 'Cmd': [step['created_by']]},
                'docker_version': '1.5.0',
                'config': self._saved.configuration['config'],
                'architecture': 'amd64',
                'os': 'linux',
                'Size': 0,
            }
            steps.append((about, NO_FILES if step.get('empty_layer') else next(layers)))
        return steps

    def of_docker_0_6(self):
        """Neither architecture nor system, and no settings to run it."""
        about = {'created': '2013-08-14T09:26:53.589793238-07:00', 'container_config': None, 'config': None, 'docker_version': '0.6.0'}
        return [(about, layer) for layer in self._saved.layers]

    def deep(self, count):
        """So many layers. Each adds a file to `deep`, but one deletes what the layer below has added, and so on."""
        steps = self.of_docker_1_12()
        about = steps[-1][0]
        small = [archive(**{'deep/x': b''}), archive(**{'deep/.wh.x': b'', 'deep/y': b'y'}), archive(**{'deep/z': b'z'})]
        large = [archive(**{'deep/%d' % number: os.urandom(2000)}) for number in range(count - len(steps) - len(small))]
        return steps[:-1] + [(about, layer) for layer in large[:60] + small + large[60:]] + steps[-1:]

    def large(self, size):
        steps = self.of_docker_1_12()
        return [(steps[0][0], archive(large=os.urandom(size))), *steps]


def archive(**files):
    """Return a tar archive of files: {name: bytes}."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode='w') as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), 1400000000
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()
