"""What the checker excuses because a collector runs, and what it does not; and what it finds after the last collection."""

import pytest

import collector
import judge as judge_module
import leftovers
from contents import Blob, image
from hurried import UPLOAD
from ledger import BLOB, KEPT, MANIFEST, OLD, TAG, THERE, Key, Ledger
from test_ledger import DIGEST, PLACE, Story, answered

LONG = OLD + KEPT + UPLOAD


@pytest.fixture
def story():
    story = Story()
    story.ledger.collects = True
    story.ledger.need('a', DIGEST, [PLACE.name])
    return story


def test_a_blob_that_no_manifest_needs_may_be_collected(story):
    story.write(1, 2, blob=THERE)
    story.pull(PLACE, LONG + 3, LONG + 4, 404)
    assert story.kinds == []


def test_a_blob_that_a_manifest_needs_may_not(story):
    story.write(1, 2, blob=THERE)
    story.write(LONG, LONG + 1, manifest=THERE)
    story.pull(PLACE, LONG + 3, LONG + 4, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_young_blob_may_not(story):
    story.write(1, 2, blob=THERE)
    story.write(LONG, LONG + 1, blob=THERE)
    story.pull(PLACE, LONG + 3, LONG + OLD, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_get_has_to_put_back_what_is_in_the_trash(story):
    story.write(1, 2, blob=THERE)
    story.pull(PLACE, OLD + 2, OLD + 3, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_push_may_rely_on_what_it_found(story):
    story.write(1, 2, blob=THERE)
    story.ledger.found(PLACE, LONG)
    story.pull(PLACE, LONG + 1, LONG + 2, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_deleted_blob_may_not_be_back(story):
    story.write(1, 2, blob=THERE)
    story.write(3, 4, blob=None)
    story.pull(PLACE, LONG, LONG + 1)
    assert story.kinds == [judge_module.BACK]


def test_a_head_may_overlook_the_trash_if_a_get_does_not(story):
    story.write(1, 2, blob=THERE, manifest=THERE)
    assert story.judge.is_missed(PLACE, answered('HEAD', 404, 3, 4))
    assert not story.judge.is_missed(PLACE, answered('HEAD', 200, 3, 4))
    assert story.kinds == []


@pytest.mark.parametrize(
    'log, outcome',
    [
        ('registry-swift gc: another collection has the lock: run 1', collector.LOCKED),
        ('registry-swift gc: this collection has not renewed its lock for 13 seconds', collector.LOCKED),
        ('a warning\nregistry-swift gc: the listings show 1 blobs', collector.BRAKE),
        ('registry-swift: Swift cannot be reached', collector.FAILED),
        ('Traceback\nKeyError', collector.BROKEN),
    ],
)
def test_the_last_line_says_why_a_run_failed(log, outcome):
    assert collector.why(log) == outcome


# After the last collection


class Left:
    """A ledger with one tagged image, and one that was deleted."""

    def __init__(self):
        self.config, self.layer, self.gone = (Blob(name, 10) for name in ('config', 'layer', 'gone'))
        self.image, self.deleted = image('image', self.config, [self.layer]), image('deleted', self.config, [self.gone])
        self.contents = {manifest.digest: manifest for manifest in (self.image, self.deleted)}
        self.ledger = Ledger(True)
        self.ledger.pin(Key(MANIFEST, 'a', self.image.digest), THERE, 1)
        self.ledger.pin(Key(MANIFEST, 'a', self.deleted.digest), None, 1)
        self.ledger.pin(Key(TAG, 'a', 'v1'), self.image.digest, 1)
        self.ledger.pin(Key(BLOB, 'a', self.gone.digest), THERE, 1)
        self.needed = leftovers.Needed(self.ledger, self.contents, 2)

    def names(self, *things):
        repository = 'docker/registry/v2/repositories/a'
        digits = {thing: leftovers.hexadecimal(thing.digest) for thing in things}
        yield f'{repository}/_manifests/tags/v1/current/link'
        yield f'{repository}/_manifests/tags/v1/index/sha256/{digits[self.image]}/link'
        yield f'{repository}/_manifests/revisions/sha256/{digits[self.image]}/link'
        for thing, hexadecimal in digits.items():
            yield f'docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data'
            if isinstance(thing, Blob):
                yield f'{repository}/_layers/sha256/{hexadecimal}/link'


def test_an_image_needs_all_that_it_names():
    left = Left()
    assert leftovers.compare(left.needed, left.names(left.image, left.config, left.layer)) == []


def test_what_no_manifest_names_is_left():
    left = Left()
    found = leftovers.compare(left.needed, left.names(left.image, left.config, left.layer, left.gone))
    assert len(found) == 2 and all(leftovers.hexadecimal(left.gone.digest) in line for line in found)


def test_the_bytes_of_a_deleted_subject_may_stay():
    left = Left()
    signature = image('signature', left.config, [], subject=left.deleted)
    left.contents[signature.digest] = signature
    left.ledger.pin(Key(MANIFEST, 'a', signature.digest), THERE, 1)
    needed = leftovers.Needed(left.ledger, left.contents, 2)
    subject = leftovers.hexadecimal(left.deleted.digest)
    name = f'docker/registry/v2/blobs/sha256/{subject[:2]}/{subject}/data'
    assert f'nothing needs {name}' not in leftovers.compare(needed, [name])
    assert f'nothing needs {name}' in leftovers.compare(left.needed, [name])


@pytest.mark.parametrize('name', ['_gc/memory', '_gc/last/collection', '_gc/last/sizes', '_gc/sizes/0123456789abcdef/00000000'])
def test_what_collections_remember_may_stay(name):
    left = Left()
    assert leftovers.compare(left.needed, [*left.names(left.image, left.config, left.layer), name]) == []


@pytest.mark.parametrize('name', ['_segments/upload-1/00000001', '_trash/names/a/_shard/1', '_gc/lock', 'docker/registry/v2/other'])
def test_segments_and_trash_and_what_nobody_knows_are_left(name):
    left = Left()
    found = leftovers.compare(left.needed, [*left.names(left.image, left.config, left.layer), name])
    assert found == [f'nothing needs {name}']


def test_what_is_needed_is_missed():
    left = Left()
    found = leftovers.compare(left.needed, left.names(left.image, left.config))
    assert len(found) == 2 and all(leftovers.hexadecimal(left.layer.digest) in line for line in found)


def test_what_is_left_is_a_violation(story):
    story.judge.left(['nothing needs _gc/lock'])
    assert story.kinds == [judge_module.LEFT]
