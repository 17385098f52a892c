"""Every path of the layout. CNCF distribution 2.8 writes the same paths."""

import pytest

from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest

DIGEST = Digest('sha256', 'ab' + 'c' * 62)
OTHER = Digest('sha512', 'd' * 128)


@pytest.mark.parametrize(
    'path, expected',
    [
        (layout.blob(DIGEST), 'docker/registry/v2/blobs/sha256/ab/ab' + 'c' * 62 + '/data'),
        (layout.blob(OTHER), 'docker/registry/v2/blobs/sha512/dd/' + 'd' * 128 + '/data'),
        (layout.layer_link('a/b', DIGEST), 'docker/registry/v2/repositories/a/b/_layers/sha256/ab' + 'c' * 62 + '/link'),
        (layout.revision_link('a', DIGEST), 'docker/registry/v2/repositories/a/_manifests/revisions/sha256/ab' + 'c' * 62 + '/link'),
        (layout.tag_current('a', 'v1'), 'docker/registry/v2/repositories/a/_manifests/tags/v1/current/link'),
        (layout.tag_index('a', 'v1', DIGEST), 'docker/registry/v2/repositories/a/_manifests/tags/v1/index/sha256/ab' + 'c' * 62 + '/link'),
        (layout.referrer('a', OTHER, DIGEST), 'docker/registry/v2/repositories/a/_referrers/sha512/' + 'd' * 128 + '/sha256/ab' + 'c' * 62),
        (layout.part_list('id', '00'), '_segments/id-00/parts'),
        (layout.last('survey'), '_gc/last/survey'),
        (layout.imported('tags', 'c/registry', 'x'), '_import/tags/77/7788806ce499450deaeb7aad741094e0921779fc91e1dff8d9f072d11cc25378'),
    ],
)
def test_a_path(path, expected):
    assert path == expected


@pytest.mark.parametrize(
    'path, name',
    [
        ('docker/registry/v2/repositories/a/_layers/sha256/x/link', 'a'),
        ('docker/registry/v2/repositories/a/b-c/d/_manifests/tags/_x/current/link', 'a/b-c/d'),
        ('docker/registry/v2/repositories/a/b', None),
        ('docker/registry/v2/repositories/_a/b', None),
    ],
)
def test_the_repository_of_a_path(path, name):
    assert layout.repository_of(path) == name


def test_a_referrer_of_a_path():
    assert layout.digest_of(layout.referrer('a', OTHER, DIGEST)) == DIGEST


def test_the_fallback_tag_is_cut_to_the_length_of_the_spec():
    assert layout.referrers_tag(OTHER) == 'sha512-' + 'd' * 64
