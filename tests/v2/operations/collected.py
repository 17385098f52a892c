"""A container with images that stay and garbage of every kind, in all states of the trash, and what must be true of it for ever.

A test brings it into a state, lets a run of the collection go wrong, and lets later runs end what that one began.
"""

import contextlib
import copy
import random
from typing import NamedTuple

from collection_process import Process
from collection_truth import Truth

from docker_registry.v2.registry import formats, layout, names
from registry_client import Place, as_json, descriptor, digest_of, image

DAY = 86400
LARGE = 1024**2 + 1000  # bytes of a large layer: two segments
LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
MOST_RUNS = 14  # after the last change, until nothing changes any more


class Image(NamedTuple):
    repository: str
    tag: str
    layers: tuple
    config: bytes

    @property
    def blobs(self):
        return (self.config, *self.layers)

    @property
    def manifest(self):
        return as_json(image(self.config, *self.layers))


class World(Truth):
    """The container, and what clients know of it.

    :param has_distribution: CNCF distribution writes into it, too
    """

    def __init__(self, server, clock, has_distribution=True, seed=1):
        self.has_distribution = has_distribution
        self.server, self.clock, self.place = server, clock, Place(server)
        self.content = {}  # digest: bytes that somebody has pushed
        self.acknowledged = {}  # (repository, digest): tags
        self.manifests = {}  # digest: bytes
        self.garbage = []  # images that were deleted, and what was never an image: layers to push again
        self.lone = []  # blobs that are garbage, with a link in the repository `a` or without
        self._random = random.Random(seed)
        self._tokens = 0

    # State

    @property
    def container(self):
        return self.server.containers[self.place.container]

    def save(self):
        known = (self.content, self.acknowledged, self.manifests, self.garbage, self.lone)
        return dict(self.container.objects), dict(self.container.previous), self.clock.ahead, copy.deepcopy(known)

    def load(self, saved):
        objects, previous, self.clock.ahead, known = saved
        self.container.objects, self.container.previous, self.container.frozen = dict(objects), dict(previous), None
        self.content, self.acknowledged, self.manifests, self.garbage, self.lone = copy.deepcopy(known)
        self.server.clear_faults()
        self.server.clear_requests()

    @contextlib.contextmanager
    def aside(self):
        """What happens in this block has never happened afterwards."""
        objects, previous, frozen = dict(self.container.objects), dict(self.container.previous), self.container.frozen
        yield
        self.container.objects, self.container.previous, self.container.frozen = objects, previous, frozen

    def age(self, days):
        self.clock.ahead += days * DAY

    def lag(self):
        self.server.lag_listing(self.place.container)

    def catch_up(self):
        self.server.catch_up(self.place.container)

    # Clients

    def registry(self):
        return self.place.registry()

    def bytes(self, size=100):
        content = self._random.randbytes(size)
        self.content[digest_of(content)] = content
        return content

    def new_image(self, repository, tag, *layers):
        return Image(repository, tag, layers, self.bytes())

    def push(self, registry, pushed):
        """Push an image whose client knows nothing, and return its digest."""
        for content in pushed.blobs:
            registry.push_blob(pushed.repository, content)
        return self.put(registry, pushed)

    def put(self, registry, pushed, media_type=formats.OCI_IMAGE):
        answer = self.offer(registry, pushed.repository, pushed.tag, pushed.manifest, media_type)
        assert answer.status_code == 201, (pushed.repository, answer.data)
        return digest_of(pushed.manifest)

    def offer(self, registry, repository, reference, manifest, media_type=formats.OCI_IMAGE):
        """Send a manifest, and return the answer. The registry may refuse it."""
        digest = digest_of(manifest)
        answer = registry('PUT', f'/v2/{repository}/manifests/{reference or digest}', manifest, headers={'Content-Type': media_type})
        if answer.status_code == 201:
            self.acknowledge(repository, reference, manifest)
        return answer

    def acknowledge(self, repository, tag, manifest):
        self.manifests[digest_of(manifest)] = manifest
        self.acknowledged.setdefault((repository, digest_of(manifest)), set()).update({tag} if tag else ())

    def delete(self, registry, repository, digest):
        del self.acknowledged[repository, digest]
        assert registry('DELETE', f'/v2/{repository}/manifests/{digest}').status_code == 202

    def delete_tag(self, registry, repository, tag):
        for (name, _), tags in self.acknowledged.items():
            if name == repository:
                tags.discard(tag)
        assert registry('DELETE', f'/v2/{repository}/manifests/{tag}').status_code == 202

    # CNCF distribution, by hand

    def distribution_blob(self, content, link=None, upload=None):
        """Store a dynamic large object as distribution does. Return the name of its segments' folder.

        :param upload: (repository, id): it is still an upload
        """
        folder = f'segments/{digest_of(content)[7:10]}/{digest_of(content)[10:]}'
        half = len(content) // 2
        for number, part in enumerate((content[:half], content[half:]), 1):
            self.server.put(self.place.container, f'{folder}/{number:016d}', part)
        data = layout.blob(names.digest(digest_of(content)))
        if upload:
            data = f'{layout.REPOSITORIES}/{upload[0]}/_uploads/{upload[1]}/data'
            self.server.put(self.place.container, f'files/{layout.REPOSITORIES}/{upload[0]}/_uploads/{upload[1]}/startedat', b'2020')
        self.server.put(self.place.container, f'files/{data}', b'', headers={'X-Object-Manifest': f'{self.place.container}/{folder}/'})
        if link:
            self.link(link, content)
        return folder

    def link(self, repository, content):
        digest = digest_of(content)
        self.server.put(self.place.container, 'files/' + layout.layer_link(repository, names.digest(digest)), digest.encode())

    def distribution_manifest(self, repository, tag, manifest):
        digest = names.digest(digest_of(manifest))
        for path, content in (
            (layout.blob(digest), manifest),
            (layout.revision_link(repository, digest), str(digest).encode()),
            (layout.tag_index(repository, tag, digest), str(digest).encode()),
            (layout.tag_current(repository, tag), str(digest).encode()),
        ):
            self.server.put(self.place.container, 'files/' + path, content)
        self.acknowledge(repository, tag, manifest)

    # Scenario

    def keep_images(self):
        """Push what stays: shared layers, large ones, an index, a referrer, an image of distribution."""
        registry = self.registry()
        shared, large, foreign = self.bytes(), self.bytes(LARGE), self.bytes(LARGE)
        self.kept_layers = (shared, large)
        self.push(registry, self.new_image('a', 'kept', shared, large, self.bytes()))
        digest = self.push(registry, self.new_image('b', 'kept', shared, large))
        children = [self.new_image('b', '', shared, self.bytes()) for _ in range(2)]
        for child in children:
            for content in child.blobs:
                registry.push_blob('b', content)
            assert self.offer(registry, 'b', '', child.manifest).status_code == 201
        index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX}
        index['manifests'] = [descriptor(child.manifest, formats.OCI_IMAGE) for child in children]
        assert self.offer(registry, 'b', 'index', as_json(index), formats.OCI_INDEX).status_code == 201
        self.refer(registry, 'b', digest)
        if not self.has_distribution:
            return
        self.distribution_blob(foreign, link='dist')
        pushed = self.new_image('dist', 'kept', foreign, shared)
        for content in (pushed.config, shared):
            registry.push_blob('dist', content)
        self.distribution_manifest('dist', 'kept', pushed.manifest)

    def refer(self, registry, repository, subject):
        """Push a manifest that refers to another one, and return its digest."""
        config = self.bytes()
        registry.push_blob(repository, config)
        about = descriptor(self.manifests[subject], formats.OCI_IMAGE)
        manifest = as_json(image(config, subject=about))
        assert self.offer(registry, repository, '', manifest).status_code == 201
        return digest_of(manifest)

    def litter(self, name):
        """Make garbage of every kind."""
        registry = self.registry()
        deleted = self.new_image('a', name, self.bytes(), self.bytes(LARGE))
        digest = self.push(registry, deleted)
        self.delete(registry, 'a', self.refer(registry, 'a', digest))
        self.delete(registry, 'a', digest)
        lonely = self.new_image(f'gone/{name}', 'v', self.bytes())  # of a repository of its own
        self.delete(registry, lonely.repository, self.push(registry, lonely))
        self.garbage += [deleted, lonely]
        unlinked = [self.bytes(), self.bytes(LARGE)]
        for content in unlinked:
            registry.push_blob('a', content)
            assert registry('DELETE', f'/v2/a/blobs/{digest_of(content)}').status_code == 202
        linked = [self.bytes(), self.bytes(LARGE)]
        for content in linked:
            registry.push_blob('a', content)
        self.lone += [*unlinked, *linked]
        where = registry.upload('a')
        assert registry('PATCH', where, bytes(LARGE)).status_code == 202
        if self.has_distribution:
            foreign = self.bytes(2000)
            self.distribution_blob(foreign)
            self.lone.append(foreign)
            self.distribution_blob(self.bytes(1000), upload=('a', f'5ca1ab1e-{name}'))

    # Runs

    def collect(self, **options):
        return Process(self.place.storage()).collect(**dict({'take_lock': True}, **options))

    def settle(self, days=8):
        """Run until nothing changes any more, with time in between. Return the number of runs."""
        before, same = None, 0
        for count in range(1, MOST_RUNS + 1):
            self.age(days)
            self.collect()
            now = self.names()
            same = same + 1 if now == before else 0
            if same == 2:
                return count
            before = now
        raise AssertionError('it never ends')


def timeline(world):
    """Return the states before each of the runs that follow each other, with garbage in each state of the trash."""
    world.keep_images()
    states = []
    for number in range(6):
        if number < 3:
            world.litter(f'g{number}')
        world.age(8)
        states.append(world.save())
        world.collect(take_lock=False)
        world.require_safe()
    return states
