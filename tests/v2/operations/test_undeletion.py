"""`registry-swift undelete`: an image comes back as long as its bytes are there."""

import io

import pytest

from docker_registry.v2.operations import clearing, deletion, targets, undeletion
from docker_registry.v2.registry import formats, layout, names, trash
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings.config import Config
from registry_client import as_json, descriptor, digest_of, image
from registry_process import environment, run


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(clearing, 'SETTLE_SECONDS', 0)


@pytest.fixture
def domain(place):
    return Domain(place.storage(), Config())


@pytest.fixture
def undelete(domain):
    return lambda image, digest, **more: undeletion.Undeletion(domain).run(*undeletion.parse(image, digest), **more)


def delete_repository(domain, name='a'):
    assert deletion.Deletion(domain, targets.parse([], [name])).run(lambda line: None) == [True]


def is_whole(registry, reference, *contents, repository='a'):
    found = registry('GET', f'/v2/{repository}/manifests/{reference}')
    blobs = [registry('GET', f'/v2/{repository}/blobs/{digest_of(content)}').status_code for content in contents]
    return {found.status_code, *blobs} == {200}


def test_a_deleted_image_comes_back_with_its_tag_and_layers(registry, domain, undelete):
    digest = registry.push_image('a', 'v1', b'layer', b'more')
    delete_repository(domain)

    found = undelete('a:v1', digest)

    assert (found.manifests, found.blobs) == (1, 3)
    assert is_whole(registry, 'v1', b'{}', b'layer', b'more')
    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest


def test_without_a_tag_only_its_digest_finds_it(registry, undelete):
    digest = registry.push_image('a', 'v1', b'layer')
    registry('DELETE', f'/v2/a/manifests/{digest}')

    undelete('a', digest)

    assert is_whole(registry, digest, b'layer')
    assert registry('GET', '/v2/a/tags/list').json['tags'] == []


def test_an_index_brings_its_images_along(registry, domain, undelete):
    children = [as_json(image(b'{}', layer)) for layer in (b'amd64', b'arm64')]
    for child, layer in zip(children, (b'amd64', b'arm64')):
        registry.push_image('a', digest_of(child), layer)
    entries = [descriptor(child, formats.OCI_IMAGE) for child in children]
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}
    digest = registry.push_manifest('a', 'multi', index, formats.OCI_INDEX)
    delete_repository(domain)

    undelete('a:multi', digest)

    assert is_whole(registry, 'multi', b'{}', b'amd64', b'arm64')
    assert all(is_whole(registry, digest_of(child)) for child in children)


def test_a_signature_is_in_the_list_of_its_image_again(registry, domain, undelete):
    digest = registry.push_image('a', 'v1')
    signature = registry.push_manifest('a', 'signed', image(b'{}', subject=descriptor(as_json(image(b'{}')), formats.OCI_IMAGE)))
    delete_repository(domain)

    undelete('a:v1', digest)
    undelete('a', signature)

    assert [entry['digest'] for entry in registry('GET', f'/v2/a/referrers/{digest}').json['manifests']] == [signature]


def test_an_image_can_come_back_in_another_repository(registry, domain, undelete):
    digest = registry.push_image('a', 'v1', b'layer')
    delete_repository(domain)

    undelete('b/again:v1', digest)

    assert is_whole(registry, 'v1', b'layer', repository='b/again')


def test_what_is_missing_is_named_and_nothing_changes(registry, domain, undelete):
    digest = registry.push_image('a', 'v1', b'layer', b'more')
    delete_repository(domain)
    registry.storage.remove(layout.blob(names.digest(digest_of(b'layer'))))

    with pytest.raises(undeletion.Impossible, match=digest_of(b'layer')):
        undelete('a:v1', digest)
    assert registry('GET', '/v2/_catalog').json['repositories'] == []


@pytest.mark.parametrize('content', [b'', b'other', b'five!'])
def test_bytes_that_are_not_those_of_the_manifest_do_not_come_back(fake_place, fake_registry, content):
    domain = Domain(fake_place.storage(), Config())
    digest = fake_registry.push_image('a', 'v1', b'layer')
    delete_repository(domain)
    fake_place.server.put(fake_place.container, 'files/' + layout.blob(names.digest(digest)), content)

    with pytest.raises(undeletion.Impossible, match=r'Missing: sha256:\w+ \(a manifest\)'):
        undeletion.Undeletion(domain).run(*undeletion.parse('a:v1', digest))


def test_a_layer_that_is_cut_short_counts_as_missing(fake_place, fake_registry):
    domain = Domain(fake_place.storage(), Config())
    digest = fake_registry.push_image('a', 'v1', b'layer')
    delete_repository(domain)
    fake_place.server.put(fake_place.container, 'files/' + layout.blob(names.digest(digest_of(b'layer'))), b'lay')

    with pytest.raises(undeletion.Impossible, match='it has 3 bytes instead of 5'):
        undeletion.Undeletion(domain).run(*undeletion.parse('a:v1', digest))


def test_bytes_come_back_from_the_trash_of_a_collection(registry, domain, undelete):
    digest = registry.push_image('a', 'v1', b'layer')
    delete_repository(domain)
    for blob in map(names.digest, (digest, digest_of(b'{}'), digest_of(b'layer'))):
        parts = registry.storage.write_parts(f'segments of {blob.hex}', io.BytesIO(registry.storage.get_content(layout.blob(blob))))
        segments = [trash.Segment(part.path, part.size, part.etag) for part in parts]
        trash.write_record(registry.storage, blob, trash.Record('1', trash.TRASHED, trash.STATIC, None, segments))
        registry.storage.remove(layout.blob(blob))

    undelete('a:v1', digest)

    assert is_whole(registry, 'v1', b'{}', b'layer')


def test_a_tag_that_points_to_another_image_moves_only_if_told(registry, undelete):
    old = registry.push_image('a', 'v1', b'old')
    registry('DELETE', f'/v2/a/manifests/{old}')
    new = registry.push_image('a', 'v1', b'new')

    with pytest.raises(undeletion.Impossible, match=new):
        undelete('a:v1', old)
    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == new
    undelete('a:v1', old, replace=True)
    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == old


def test_the_digest_of_a_layer_is_not_read_as_a_manifest(registry, undelete, domain, monkeypatch):
    monkeypatch.setattr(undeletion, 'LARGEST', 10)
    digest = registry.push_blob('a', b'a large layer')

    with pytest.raises(undeletion.Impossible, match='a manifest'):
        undelete('a:v1', digest)


def test_the_command(place, registry, domain):
    digest = registry.push_image('a', 'v1', b'layer')
    delete_repository(domain)
    environ = environment(place.server, OS_CONTAINER=place.container)

    status, output, errors = run('undelete', 'a:v1', digest, environ=environ)

    assert (status, errors) == (0, '')
    assert output == f'a:v1 has {digest} again: 1 manifests, 2 blobs\n'
    assert is_whole(registry, 'v1', b'layer')


@pytest.mark.parametrize(
    'arguments', [['a:v1', 'v1'], ['A', digest_of(b'')], ['localhost:5000/a:v1', digest_of(b'')], ['a', digest_of(b'')]]
)
def test_a_wrong_name_is_one_line_and_status_1(fake_place, arguments):
    fake_place.storage()

    status, output, errors = run('undelete', *arguments, environ=environment(fake_place.server, OS_CONTAINER=fake_place.container))

    assert (status, output, errors.count('\n')) == (1, '', 1)
