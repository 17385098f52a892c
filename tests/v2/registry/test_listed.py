"""What the names in listings say, also strange ones: whoever deletes anything must not take one name for another."""

import pytest

from docker_registry.v2.registry import layout, listed
from docker_registry.v2.registry.listed import Name
from docker_registry.v2.registry.names import Digest

DIGEST = Digest('sha256', 'ab' + 'c' * 62)
OTHER = Digest('sha512', 'd' * 128)
UPLOADS = layout.repository('a/b') + '/_uploads/3f1c'


@pytest.mark.parametrize(
    'path, name',
    [
        (layout.blob(DIGEST), Name('blob', None, (str(DIGEST),))),
        (layout.blob(OTHER), Name('blob', None, (str(OTHER),))),
        (layout.damage(DIGEST), Name('damage', None, (str(DIGEST),))),
        (layout.layer_link('a/b', DIGEST), Name('layer', 'a/b', (str(DIGEST),))),
        (layout.layer_link('a/b', OTHER), Name('layer', 'a/b', (str(OTHER),))),
        (layout.revision_link('a', DIGEST), Name('revision', 'a', (str(DIGEST),))),
        (layout.revision_media_type('a', DIGEST), Name('media_type', 'a', (str(DIGEST),))),
        (layout.tag_current('a', 'v1'), Name('tag', 'a', ('v1',))),
        (layout.tag_index('a', '_layers', OTHER), Name('tag_index', 'a', ('_layers', str(OTHER)))),
        (layout.referrer('a', OTHER, DIGEST), Name('referrer', 'a', (str(OTHER), str(DIGEST)))),
        (layout.deletion('a', DIGEST), Name('deletion', 'a', (str(DIGEST),))),
        (layout.trashed_blob(DIGEST), Name('trash_record', None, (str(DIGEST),))),
        (layout.trashed_copy(DIGEST), Name('trash_copy', None, (str(DIGEST),))),
        (layout.lost_record(DIGEST), Name('lost_record', None, (str(DIGEST),))),
        (layout.lost_copy(DIGEST), Name('lost_copy', None, (str(DIGEST),))),
        (layout.trashed_names('a/b', DIGEST), Name('trash_names', 'a/b', ('a',))),
        (UPLOADS + '/data', Name('foreign_upload', 'a/b', ('3f1c',))),
        (UPLOADS + '/startedat', Name('foreign_upload', 'a/b', ('3f1c',))),
        (UPLOADS + '/hashstates/sha256/1048576', Name('foreign_upload', 'a/b', ('3f1c',))),
        (layout.layer_link('blobs/link/data', DIGEST), Name('layer', 'blobs/link/data', (str(DIGEST),))),
        (layout.layer_link('a/' * 100 + 'a', DIGEST), Name('layer', 'a/' * 100 + 'a', (str(DIGEST),))),
    ],
)
def test_every_name_of_the_layout(path, name):
    assert listed.parsed(path) == name


@pytest.mark.parametrize(
    'path',
    [
        layout.ROOT,
        layout.ROOT + '/elsewhere',
        layout.REPOSITORIES + '/_layers/sha256',
        layout.blob(DIGEST).replace('/ab/', '/cd/'),
        layout.blob(DIGEST) + '/data',
        layout.blob(DIGEST).upper(),
        layout.blob(Digest('sha256', 'ab')),
        layout.blob(Digest('sha384', 'a' * 96)),
        layout.blob(Digest('sha256', 'A' * 64)),
        layout.blob(Digest('sha256', '\uff11' * 64)),
        layout.blob(DIGEST) + '\n',
        layout.tag_current('a', '-v1'),
        layout.tag_current('a', 'v\n1'),
        layout.deletion('a', DIGEST) + '\n',
        layout.trashed_names('a', DIGEST) + '/b',
        layout.TRASHED_NAMES + '/a/b',
        layout.repository('a') + '/b',
    ],
)
def test_names_that_nobody_understands(path):
    assert listed.parsed(path) == Name('other')


@pytest.mark.parametrize(
    'path, digest',
    [
        (layout.layer_link('Upper', DIGEST), DIGEST),
        (layout.layer_link('a' * 256, DIGEST), DIGEST),
        (layout.layer_link('a\nb', DIGEST), DIGEST),
        (layout.layer_link('a/_layers/b', DIGEST), DIGEST),
        (layout.tag_index('a', '-v1', DIGEST), DIGEST),
        (layout.revision_link('a', OTHER).removesuffix('link') + f'signatures/sha256/{DIGEST.hex}/link', DIGEST),
        (layout.layer_link('a', Digest('sha384', 'a' * 96)), Digest('sha384', 'a' * 96)),
        (layout.layer_link('a', Digest('multihash+base58', 'QmRZxt2b1F')), Digest('multihash+base58', 'QmRZxt2b1F')),
    ],
)
def test_a_strange_name_still_links_its_digest(path, digest):
    assert listed.parsed(path) == Name('other', None, (str(digest),))


@pytest.mark.parametrize(
    'segment, upload',
    [
        ('9f2b1c34-0d5e-4f6a-8b7c-112233445566-0a1b2c3d/00000001', '9f2b1c34-0d5e-4f6a-8b7c-112233445566'),
        ('9f2b1c34-0d5e-4f6a-8b7c-112233445566-0a1b2c3d/parts', '9f2b1c34-0d5e-4f6a-8b7c-112233445566'),
        ('9f2b1c340d5e4f6a8b7c112233445566/00000000', '9f2b1c340d5e4f6a8b7c112233445566'),
        ('strange', 'strange'),
    ],
)
def test_the_upload_of_a_segment(segment, upload):
    assert listed.upload_of(segment) == upload
