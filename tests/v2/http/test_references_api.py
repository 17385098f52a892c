"""What a manifest names has to be in its repository."""

import pytest

from docker_registry.v2.registry import formats
from registry_client import as_json, descriptor, digest_of, image

CONFIG = b'{}'
CACHE_CONFIG, LAYER_TYPE = 'application/vnd.buildkit.cacheconfig.v0', 'application/vnd.oci.image.layer.v1.tar+gzip'


def put(registry, content, repository='a', media_type=formats.OCI_IMAGE):
    return registry(
        'PUT',
        f'/v2/{repository}/manifests/v1',
        content if isinstance(content, bytes) else as_json(content),
        headers={'Content-Type': media_type},
    )


# Indexes of blobs


def cache(*layers, media_type=formats.OCI_INDEX):
    """A build cache as BuildKit before 0.21 exports it."""
    entries = [
        descriptor(
            layer, LAYER_TYPE, annotations={'buildkit/createdat': '2026-01-01T00:00:00Z', 'containerd.io/uncompressed': digest_of(layer)}
        )
        for layer in layers
    ]
    return {'schemaVersion': 2, 'mediaType': media_type, 'manifests': [*entries, descriptor(CONFIG, CACHE_CONFIG)]}


@pytest.mark.parametrize('media_type', [formats.OCI_INDEX, formats.DOCKER_LIST])
@pytest.mark.parametrize('fresh', [False, True])
def test_a_build_cache_is_pushed_pulled_and_deleted(place, media_type, fresh):
    registry = place.registry()
    for content in (b'one', b'two', CONFIG):
        registry.push_blob('a', content)
    document = cache(b'one', b'two', media_type=media_type)

    answer = put(place.registry() if fresh else registry, document, media_type=media_type)

    assert answer.status_code == 201, answer.data
    assert registry('GET', '/v2/a/manifests/v1', headers={'Accept': media_type.upper()}).json == document
    for content in (b'one', b'two', CONFIG):
        assert registry('GET', '/v2/a/blobs/' + digest_of(content)).data == content
    assert registry('DELETE', answer.headers['Location']).status_code == 202
    assert registry('GET', '/v2/a/manifests/v1').status_code == 404
    assert registry('GET', '/v2/a/blobs/' + digest_of(b'one')).data == b'one'


def test_the_missing_blobs_of_a_build_cache_are_named(place):
    registry = place.registry()
    registry.push_blob('a', CONFIG)
    registry.push_blob('a', b'one')

    answer = put(registry, cache(b'one', b'two', b'three'), media_type=formats.OCI_INDEX)

    assert answer.status_code == 404
    assert [error['detail']['digest'] for error in answer.json['errors']] == [digest_of(b'two'), digest_of(b'three')]


def test_an_entry_of_a_type_that_is_not_known_may_be_a_manifest(place):
    registry, media_type = place.registry(), 'application/vnd.example+json'
    content = as_json({'mediaType': media_type})
    registry.push_manifest('a', 'other', content, media_type)
    registry.push_blob('a', CONFIG)
    document = cache()
    document['manifests'].append(descriptor(content, media_type))

    assert put(registry, document, media_type=formats.OCI_INDEX).status_code == 201


def test_an_image_that_was_pushed_as_a_blob_only_cannot_be_pulled_and_is_missing(place):
    registry = place.registry()
    content = as_json(image(CONFIG))
    registry.push_blob('a', content)
    document = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(content, formats.OCI_IMAGE)]}

    assert put(registry, document, media_type=formats.OCI_INDEX).status_code == 404


def test_a_build_cache_may_name_what_is_missing_where_that_is_allowed(place):
    registry = place.registry(sparse_manifests=True)

    assert put(registry, cache(b'one'), media_type=formats.OCI_INDEX).status_code == 201
