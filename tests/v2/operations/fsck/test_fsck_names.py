"""`registry-swift fsck`: damages of names, which the listings and the manifests show. Each is made, found, repaired, and gone."""

import pytest

from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.registry import formats
from registry_client import as_json, digest_of, image

LAYER = b'a layer'


def repaired(fsck, damage, tags, **options):
    """Check that a damage is found, then repaired, and then gone."""
    found = fsck(**options)
    assert (found.damages, found.status) == ([(damage, False)], 2)
    assert found.unpullable == tags
    found = fsck(repair=True, **options)
    assert (found.damages, found.status) == ([(damage, True)], 1)
    assert found.unpullable == []
    assert (fsck(**options).damages, fsck(**options).status) == ([], 0)


def index_of(*manifests):
    entries = [
        {
            'mediaType': formats.OCI_IMAGE,
            'digest': digest_of(content),
            'size': len(content),
            'platform': {'os': 'linux', 'architecture': architecture},
        }
        for architecture, content in manifests
    ]
    return {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}


@pytest.fixture
def multi_arch(registry):
    """Push a repository `a` with an index of two images, tagged v1. Return {architecture: digest}."""
    registry.push_blob('a', b'{}')
    contents = {}
    for architecture in ('amd64', 'arm64'):
        layer = architecture.encode()
        registry.push_blob('a', layer)
        contents[architecture] = as_json(image(b'{}', layer))
        registry.push_manifest('a', digest_of(contents[architecture]), contents[architecture])
    digest = registry.push_manifest('a', 'v1', index_of(*contents.items()), formats.OCI_INDEX)
    return {'index': digest, **{architecture: digest_of(content) for architecture, content in contents.items()}}


def test_a_whole_registry(registry, multi_arch, fsck):
    registry.push_image('team/app', 'v1', LAYER)
    registry.push_image('team/app', 'v2', LAYER, subject={'mediaType': formats.OCI_INDEX, 'digest': multi_arch['index'], 'size': 1})
    registry.push_image('team/app', 'v3', LAYER, annotations={'base': digest_of(b'elsewhere')})

    found = fsck(sizes=True, deep=True)

    assert (found.damages, found.status, found.unpullable) == ([], 0, [])


def test_an_empty_registry(registry, fsck):
    assert fsck().status == 0


# The link of a layer


def test_a_missing_link_of_a_layer_is_written(registry, fsck, container):
    registry.push_image('team/app', 'v1', LAYER)
    container.lose(container.layer('team/app', digest_of(LAYER)))

    repaired(fsck, findings.LAYER_LINK, ['team/app:v1'])

    assert registry('GET', f'/v2/team/app/blobs/{digest_of(LAYER)}').data == LAYER


def test_a_link_without_data_that_no_image_needs_is_removed(registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    unused = registry.push_blob('a', b'unused')
    container.lose(container.data(unused))

    repaired(fsck, findings.UNUSED_LINK, [])

    assert not container.has(container.layer('a', unused))


def test_a_missing_layer_that_an_image_needs_keeps_its_link(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER, b'another')
    container.lose(container.data(digest_of(LAYER)))

    found = fsck(repair=True)

    assert (found.status, found.unpullable) == (2, ['a:v1'])
    assert digest in found.only().what and digest_of(LAYER) in found.only().what
    assert container.has(container.layer('a', digest_of(LAYER)))


def test_an_image_of_which_all_layers_are_gone(registry, fsck, container):
    """Its disk was away for more than a week: what had been deleted came back."""
    digest = registry.push_image('a', 'v1', LAYER)
    for content in (b'{}', LAYER):
        container.lose(container.data(digest_of(content)))

    found = fsck(repair=True).only()

    assert found.damage == findings.EMPTIED
    assert f'registry-swift rm a@{digest}' in found.advice


# The images of an index


def test_a_missing_link_of_an_image_of_an_index_is_written(registry, fsck, container, multi_arch):
    container.lose(container.revision('a', multi_arch['arm64']))

    repaired(fsck, findings.CHILD, ['a:v1 (linux/arm64)'])

    assert registry('GET', f'/v2/a/manifests/{multi_arch["arm64"]}').status_code == 200


def test_what_an_image_of_an_index_needs_is_linked_with_it(registry, fsck, container, multi_arch):
    container.lose(container.revision('a', multi_arch['arm64']))
    container.lose(container.layer('a', digest_of(b'arm64')))

    assert fsck(repair=True).damages == [(findings.CHILD, True), (findings.LAYER_LINK, True)]

    assert fsck().status == 0
    assert registry('GET', f'/v2/a/blobs/{digest_of(b"arm64")}').data == b'arm64'


def test_an_image_of_an_index_whose_bytes_are_missing_names_its_platform(registry, fsck, container, multi_arch):
    container.lose(container.revision('a', multi_arch['arm64']))
    container.lose(container.data(multi_arch['arm64']))

    found = fsck(repair=True)

    assert (found.damages, found.unpullable) == ([(findings.CHILD, False)], ['a:v1 (linux/arm64)'])


@pytest.mark.parametrize('place', ['fake'], indirect=True)
def test_indexes_that_name_each_other_in_many_ways(registry, fsck, container):
    """Paths from the layer to the tag double with each level."""
    registry.push_image('a', 'image', LAYER)
    content = container.storage.get_content(container.data(container.storage.get_content(container.pointer('a', 'image')).decode()))
    level = [('one', content), ('two', content)]
    for number in range(30):
        contents = [as_json(dict(index_of(*level), annotations={'number': f'{number} {side}'})) for side in range(2)]
        level = [(f'side{side}', content) for side, content in enumerate(contents)]
        for content in contents:
            registry.push_manifest('a', digest_of(content), content, formats.OCI_INDEX)
    registry.push_manifest('a', 'top', index_of(*level), formats.OCI_INDEX)
    container.lose(container.data(digest_of(LAYER)))

    assert fsck().unpullable == ['a:image', 'a:top (linux/one)', 'a:top (linux/two)']


@pytest.mark.parametrize('place', ['fake'], indirect=True)
def test_indexes_in_indexes(registry, fsck, container):
    registry.push_image('a', 'image', LAYER)
    content = container.storage.get_content(container.data(container.storage.get_content(container.pointer('a', 'image')).decode()))
    links = [container.revision('a', digest_of(content))]
    for _ in range(50):
        content = as_json(index_of(('amd64', content)))
        links.append(container.revision('a', registry.push_manifest('a', digest_of(content), content, formats.OCI_INDEX)))
    registry.push_manifest('a', 'top', content, formats.OCI_INDEX)
    for link in links[:-1]:
        container.lose(link)

    assert fsck(repair=True).status == 1

    assert fsck().status == 0


def test_a_deleted_image_of_an_index_does_not_come_back(registry, fsck, multi_arch):
    registry('DELETE', f'/v2/a/manifests/{multi_arch["arm64"]}')

    found = fsck(repair=True)

    assert found.unpullable == ['a:v1 (linux/arm64)']
    assert registry('GET', f'/v2/a/manifests/{multi_arch["arm64"]}').status_code == 404


def test_a_layer_of_an_image_of_an_index_names_the_tag_and_the_platform(registry, fsck, container, multi_arch):
    container.lose(container.data(digest_of(b'arm64')))

    assert fsck().unpullable == ['a:v1 (linux/arm64)']


def test_a_registry_of_sparse_indexes(registry, fsck, container, multi_arch):
    container.lose(container.revision('a', multi_arch['arm64']))

    assert fsck(sparse=True).status == 0


# Manifests


def test_missing_bytes_of_a_manifest(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.lose(container.data(digest))

    found = fsck(repair=True)

    assert (found.damages, found.unpullable, found.status) == ([(findings.MANIFEST, False)], ['a:v1'], 2)
    assert f'registry-swift rm a@{digest}' in found.only().advice


def test_wrong_bytes_of_a_manifest_go_aside_and_a_push_heals_them(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    content = container.storage.get_content(container.data(digest))
    container.storage.replace(container.data(digest), content[:-1] + b' ')

    assert fsck().damages == [(findings.BYTES, False)]
    found = fsck(repair=True)

    assert (found.damages, found.unpullable) == ([(findings.BYTES, False)], ['a:v1'])
    assert not container.has(container.data(digest))
    algorithm, digits = digest.split(':')
    assert container.storage.get_content(f'_lost/{algorithm}/{digits[:2]}/{digits}/copy') == content[:-1] + b' '
    registry.push_manifest('a', 'v1', content)
    assert fsck(deep=True).status == 0


# Tags


def test_a_tag_of_a_manifest_without_a_link(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.lose(container.revision('a', digest))

    repaired(fsck, findings.TAG, ['a:v1'])

    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest


def test_what_a_tag_of_a_manifest_without_a_link_needs(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.lose(container.revision('a', digest))
    container.lose(container.layer('a', digest_of(LAYER)))

    assert fsck(repair=True).status == 1

    assert registry('GET', f'/v2/a/blobs/{digest_of(LAYER)}').data == LAYER


@pytest.mark.parametrize('content', [b'', b'sha256:0123', b'\xff'])
def test_a_tag_without_a_digest_points_to_its_newest_whole_image(registry, fsck, container, content):
    old, whole, broken = [registry.push_image('a', 'v1', layer) for layer in (b'old', b'whole', b'broken')]
    container.lose(container.data(broken))
    container.lose(container.index('a', 'v1', broken))
    container.lose(container.revision('a', broken))
    container.storage.replace(container.pointer('a', 'v1'), content)

    repaired(fsck, findings.TAG, ['a:v1'])

    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == whole


def test_a_tag_that_never_pointed_to_anything_whole_stays_as_it_is(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.pointer('a', 'v1'), digest_of(b'nothing').encode())
    container.lose(container.index('a', 'v1', digest))

    found = fsck(repair=True)

    assert (found.status, found.unpullable) == (2, ['a:v1'])
    assert container.storage.get_content(container.pointer('a', 'v1')) == digest_of(b'nothing').encode()


def test_a_tag_of_a_deleted_manifest_does_not_come_back(registry, fsck, container):
    """A late listing hid the tag from the DELETE of its manifest."""
    digest = registry.push_image('a', 'v1', LAYER)
    registry('DELETE', f'/v2/a/manifests/{digest}')
    deletion = f'docker/registry/v2/repositories/a/_deleted/{digest.replace(":", "/")}'
    container.storage.replace(container.pointer('a', 'v1'), digest.encode())
    container.storage.replace(deletion, digest.encode())

    assert fsck(repair=True).status == 0

    assert registry('GET', f'/v2/a/manifests/{digest}').status_code == 404


def test_a_missing_entry_in_the_index_of_a_tag_is_written(registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.lose(container.index('a', 'v1', digest))

    repaired(fsck, findings.TAG_INDEX, [])

    assert container.has(container.index('a', 'v1', digest))


# Referrers


def subject_of(digest):
    return {'mediaType': formats.OCI_IMAGE, 'digest': digest, 'size': 100}


def test_a_missing_referrer_is_listed_again(registry, fsck, container):
    subject = registry.push_image('a', 'v1', LAYER)
    digest = registry.push_image('a', 'signature', b'signature', subject=subject_of(subject))
    before = container.storage.get_content(container.referrer('a', subject, digest))
    container.lose(container.referrer('a', subject, digest))

    repaired(fsck, findings.REFERRER, [])

    assert container.storage.get_content(container.referrer('a', subject, digest)) == before


def test_a_referrer_that_is_no_image_is_removed_from_the_list(registry, fsck, container):
    subject = registry.push_image('a', 'v1', LAYER)
    digest = registry.push_image('a', 'signature', b'signature', subject=subject_of(subject))
    for path in (container.pointer('a', 'signature'), container.index('a', 'signature', digest), container.revision('a', digest)):
        container.lose(path)

    repaired(fsck, findings.REFERRER, [])

    assert not container.has(container.referrer('a', subject, digest))


# One repository


def test_one_repository(registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    registry.push_image('b', 'v1', LAYER)
    for repository in 'ab':
        container.lose(container.layer(repository, digest_of(LAYER)))

    assert fsck(repair=True, repository='a').unpullable == []

    assert fsck().unpullable == ['b:v1']


# Garbage


def test_a_repository_without_images_is_the_collectors_business(fsck, container):
    path = 'docker/registry/v2/repositories/ghost/_uploads/4386197f-dcc2-4d15-a0e6-78842f2a67a1/startedat'
    container.storage.replace(path, b'2020-01-01T00:00:00Z')

    found = fsck(repair=True)

    (finding,) = found.findings
    assert (found.status, finding.damage) == (0, findings.GARBAGE)
    assert '1 repositories without an image' in finding.what and 'registry-swift gc' in finding.advice
    assert container.has(path)


def test_garbage_is_the_collectors_business(registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.data(digest_of(b'garbage')), b'garbage')

    found = fsck(repair=True)

    assert found.status == 0
    assert [finding.damage for finding in found.findings] == [findings.GARBAGE]
    assert container.has(container.data(digest_of(b'garbage')))
