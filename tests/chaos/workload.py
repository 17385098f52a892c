"""The clients. Each pushes, overwrites, deletes and pulls, in repositories of its own and in one that all share."""

import math
import random

import contents
from api import Api
from hurried import BOUNDS, UPLOAD
from ledger import ACKNOWLEDGED, BLOB, MANIFEST, REFERRER, TAG, THERE, Key
from pulls import Puller
from uploads import Uploader

SHARED = 'shared/app'
OWN_TAGS, SHARED_TAGS = 8, 4  # tags that a client writes in each repository of its own, and that all write in the shared one
TRIES = 3  # a client sends a push that failed again, as docker does
PAUSE = 0.2  # seconds after a request that failed
RECENT = 12  # manifests that a client remembers of each repository, to name them in indexes and the like

#: Seconds. Clients delete only blobs that no collection can have moved to the trash, from where a pull would put them back.
YOUNG = BOUNDS['older_than'] - 4

KiB, MiB = 1024, 1024**2

#: How often a client does what.
WEIGHTS = {
    'push_image': 14,
    'push_large_image': 2,
    'push_index': 3,
    'push_referrer': 4,
    'push_again': 3,
    'push_loose_blob': 5,
    'mount_blob': 4,
    'push_deleted': 6,
    'mount_deleted': 3,
    'abandon_upload': 1,
    'delete_tag': 5,
    'delete_manifest': 8,
    'delete_blob': 4,
    'pull_tag': 14,
    'pull_manifest': 9,
    'pull_blob': 10,
    'pull_range': 4,
    'ask_blob': 4,
    'list_tags': 9,
    'list_referrers': 5,
}


class Client:
    """One client. The random choices depend on the seed and its number alone; what comes of them depends on time, too.

    :param bench: `Bench` that all clients share
    """

    def __init__(self, bench, number):
        self._bench, self._ledger, self._judge = bench, bench.ledger, bench.judge
        self._rng = random.Random(f'{bench.seed}-{number}')
        self._name, self._made = f's{bench.seed}-c{number}', 0
        self._api = Api(self._name, bench.ports, self._rng)
        self._own = [f'c{number}/app', f'c{number}/lib']
        self._uploader = Uploader(self._api, self._judge, self._ledger, self._rng)
        self._puller = Puller(self._api, self._judge, self._ledger, bench.contents, self._rng)
        self._manifests = {}  # repository -> [Manifest] that it pushed last
        self._loose = []  # (repository, Blob, when it was pushed) that no manifest names
        self._blobs = {}  # (repository, digest of an image): [Blob] that it names
        self._deleted = []  # (repository, Manifest) of images that it deleted
        self._layers = []  # (repository, Blob) that manifests name, and that nobody deletes

    def run(self):
        """Work until the bench stops."""
        while not self._bench.stopping.is_set():
            operation = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            own = getattr(self, '_' + operation, None)
            (own or getattr(self._puller, operation))()
            if self._api.all_refused:
                self._pause()

    def _repository(self):
        return self._rng.choice([*self._own, SHARED])

    def _tag(self, repository):
        return f's{self._rng.randrange(SHARED_TAGS)}' if repository == SHARED else f'v{self._rng.randrange(OWN_TAGS)}'

    # Pushing

    def _push_image(self, sizes=None):
        repository = self._repository()
        sizes = sizes or [self._rng.choice([200, 5 * KiB, 40 * KiB, 300 * KiB]) for _ in range(self._rng.randint(1, 2))]
        self._push_with_blobs(repository, sizes)

    def _push_large_image(self):
        self._push_image([self._rng.randint(2 * MiB, 5 * MiB)])

    def _push_referrer(self):
        repository = self._repository()
        subjects = self._manifests.get(repository)
        if subjects:
            self._push_with_blobs(repository, [100], self._rng.choice(subjects))

    def _push_with_blobs(self, repository, sizes, subject=None):
        until = self._until()
        blobs = [self._new_blob(50), *(self._new_blob(self._rng.randint(size // 2, size) + 1) for size in sizes)]
        if not all(self._push_blob(repository, blob) for blob in blobs):
            return
        self._layers = [*self._layers, *((repository, blob) for blob in blobs)][-RECENT:]
        media_type = self._rng.choice([contents.IMAGE, contents.IMAGE, contents.DOCKER_IMAGE])
        manifest = contents.image(self._new_name(), blobs[0], blobs[1:], contents.IMAGE if subject else media_type, subject)
        by_digest = subject or self._rng.random() < 0.2
        self._blobs[repository, manifest.digest] = blobs
        self._push_manifest(repository, manifest, [] if by_digest else [self._tag(repository)], until)

    def _push_index(self):
        repository = self._repository()
        known = [manifest for manifest in self._manifests.get(repository, []) if not manifest.manifests]
        if known:
            named = self._rng.sample(known, min(len(known), 2))
            self._push_manifest(repository, contents.index(self._new_name(), named), [self._tag(repository)])

    def _push_again(self):
        """Push a manifest again, which may have been deleted since. Give it several tags in one request."""
        repository = self._repository()
        if self._manifests.get(repository):
            tags = [] if self._rng.random() < 0.5 else sorted({self._tag(repository), self._tag(repository)})
            self._push_manifest(repository, self._rng.choice(self._manifests[repository]), tags)

    def _push_deleted(self):
        """Push an image again that was deleted, as docker does: it asks for each blob, and pushes what is not there."""
        if self._deleted:
            repository, manifest = self._rng.choice(self._deleted)
            until = self._until()
            if all(self._find_or_push(repository, blob) for blob in self._blobs[repository, manifest.digest]):
                self._push_manifest(repository, manifest, [self._tag(repository)], until)

    def _find_or_push(self, repository, blob):
        key = Key(BLOB, repository, blob.digest)
        return self._puller.find(key) or self._push_blob(repository, blob)

    def _mount_deleted(self):
        """Mount the blobs of an image that was deleted in another repository, and push the image there."""
        if self._deleted:
            source, manifest = self._rng.choice(self._deleted)
            target, until = self._repository(), self._until()
            blobs = self._blobs[source, manifest.digest]
            if target != source and not manifest.subject and all(self._mount_or_push(target, source, blob) for blob in blobs):
                self._blobs[target, manifest.digest] = blobs
                self._push_manifest(target, manifest, [self._tag(target)], until)

    def _mount_or_push(self, target, source, blob):
        return self._uploader.mount(target, source, blob) == ACKNOWLEDGED or self._push_blob(target, blob)

    def _abandon_upload(self):
        self._uploader.abandon(self._repository(), self._new_blob(self._rng.randint(1 * MiB, 3 * MiB)))

    def _until(self):
        """Return when a push has to be ended that begins now."""
        return self._judge.now() + UPLOAD

    def _push_loose_blob(self):
        repository = self._repository()
        blob = self._new_blob(self._rng.choice([300, 20 * KiB]))
        began = self._judge.now()
        if self._push_blob(repository, blob):
            self._loose = [*self._loose, (repository, blob, began)][-RECENT:]

    def _push_blob(self, repository, blob):
        """Push a blob, several times if need be, and return whether it was acknowledged."""
        for _ in range(TRIES):
            if self._uploader.push(repository, blob) == ACKNOWLEDGED:
                return True
            self._pause()
        return False

    def _push_manifest(self, repository, manifest, tags, until=math.inf):
        """Push a manifest, several times if need be, but not after a moment: the registry believes what it saw until then."""
        self._bench.contents[manifest.digest] = manifest
        self._ledger.need(repository, manifest.digest, manifest.blobs)
        if len(tags) == 1 and self._rng.random() < 0.8:
            reference = tags[0]
        else:
            reference = manifest.digest + ''.join(f'{"&" if i else "?"}tag={tag}' for i, tag in enumerate(tags))
        changes = [(Key(MANIFEST, repository, manifest.digest), THERE)]
        changes += [(Key(TAG, repository, tag), manifest.digest) for tag in tags]
        if manifest.subject:
            changes.append((Key(REFERRER, repository, manifest.digest, manifest.subject), THERE))
        for _ in range(TRIES):
            if self._judge.now() > until:
                return
            pending = self._ledger.begin(changes, self._judge.now())
            path = f'/v2/{repository}/manifests/{reference}'
            answer = self._api.send('PUT', path, manifest.content, {'Content-Type': manifest.media_type})
            if self._judge.written('push a manifest', pending, answer, len(manifest.content)) == ACKNOWLEDGED:
                self._manifests[repository] = [*self._manifests.get(repository, []), manifest][-RECENT:]
                return
            self._pause()

    def _mount_blob(self):
        if self._layers:
            source, blob = self._rng.choice(self._layers)
            target = self._repository()
            if target != source and self._uploader.mount(target, source, blob) is None:
                self._uploader.push(target, blob)

    # Deleting

    def _delete_tag(self):
        repository = self._repository()
        tag = self._tag(repository)
        self._delete('delete a tag', f'/v2/{repository}/manifests/{tag}', [Key(TAG, repository, tag)])

    def _delete_manifest(self):
        repository = self._repository()
        if self._manifests.get(repository):
            manifest = self._rng.choice(self._manifests[repository])
            keys = [Key(MANIFEST, repository, manifest.digest)]
            if manifest.subject:
                keys.append(Key(REFERRER, repository, manifest.digest, manifest.subject))
            self._delete('delete a manifest', f'/v2/{repository}/manifests/{manifest.digest}', keys)
            if (repository, manifest.digest) in self._blobs:
                self._deleted = [*self._deleted, (repository, manifest)][-RECENT:]

    def _delete_blob(self):
        young = [(repository, blob) for repository, blob, pushed in self._loose if self._judge.now() - pushed < YOUNG]
        if young:
            repository, blob = self._rng.choice(young)
            self._delete('delete a blob', f'/v2/{repository}/blobs/{blob.digest}', [Key(BLOB, repository, blob.digest)])

    def _delete(self, operation, path, keys):
        pending = self._ledger.begin([(key, None) for key in keys], self._judge.now())
        answer = self._api.send('DELETE', path)
        if self._judge.written(operation, pending, answer) != ACKNOWLEDGED:
            self._pause()

    # Names

    def _new_name(self):
        self._made += 1
        return f'{self._name}-{self._made}'

    def _new_blob(self, size):
        blob = contents.Blob(self._new_name(), size)
        self._bench.contents[blob.digest] = blob
        return blob

    def _pause(self):
        self._bench.stopping.wait(PAUSE * (0.5 + self._rng.random()))
