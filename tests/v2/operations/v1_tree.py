"""The objects of a v1 registry, for tests."""

import io
import json


class Tree:
    """The objects that a v1 registry writes, by the same driver."""

    def __init__(self, storage):
        self.storage = storage

    def image(self, name, layer, parents=(), ancestry=True):
        document = {'id': name} | ({'parent': parents[0]} if parents else {})
        self.storage.put_content(f'images/{name}/json', json.dumps(document))
        self.storage.put_content(f'images/{name}/_checksum', '[]')
        self.storage.stream_write(f'images/{name}/layer', io.BytesIO(layer))
        if ancestry:
            self.storage.put_content(f'images/{name}/ancestry', json.dumps([name, *parents]))

    def tag(self, repository, tag, image):
        self.storage.put_content(f'repositories/{repository}/tag_{tag}', image)
        self.storage.put_content(f'repositories/{repository}/_index_images', '[]')
