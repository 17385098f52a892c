"""Manifests over HTTP: the endpoints end-3, end-7 and end-9 of the spec."""

import json

import pytest

from docker_registry.v2.registry import formats
from registry_client import as_json, code_of, descriptor, digest_of, image

CONFIG, LAYER = b'{}', b'a layer'
UNKNOWN = 'application/vnd.example.thing.v7+json'


@pytest.fixture
def pushed(registry):
    """A registry whose repository `a` has the blobs of `image(CONFIG, LAYER)`."""
    for content in (CONFIG, LAYER):
        registry.push_blob('a', content)
    return registry


def put(registry, reference, content, media_type=None, **more):
    fields = {'Content-Type': media_type} if media_type else {}
    return registry('PUT', f'/v2/a/manifests/{reference}', content, headers=fields, **more)


def docker_image():
    return dict(image(CONFIG, LAYER), mediaType=formats.DOCKER_IMAGE)


def without_media_type(manifest):
    return {key: value for key, value in manifest.items() if key != 'mediaType'}


@pytest.mark.parametrize(
    'manifest, media_type',
    [
        (image(CONFIG, LAYER), formats.OCI_IMAGE),
        (image(CONFIG), formats.OCI_IMAGE),
        (docker_image(), formats.DOCKER_IMAGE),
        (without_media_type(image(CONFIG, LAYER)), formats.OCI_IMAGE),
        ({'schemaVersion': 2, 'manifests': []}, formats.OCI_INDEX),
        ({'schemaVersion': 2, 'mediaType': formats.DOCKER_LIST, 'manifests': []}, formats.DOCKER_LIST),
        ({'mediaType': formats.OCI_ARTIFACT, 'artifactType': 'a/b', 'blobs': [descriptor(LAYER, 'a/b')]}, formats.OCI_ARTIFACT),
        ({'mediaType': UNKNOWN, 'config': 'whatever'}, UNKNOWN),
        ({'what': 'ever'}, UNKNOWN),
        (dict(image(CONFIG, LAYER), unknown={'field': 1}), formats.OCI_IMAGE),
    ],
    ids=range(10),
)
@pytest.mark.parametrize('algorithm', ['tag', 'sha256', 'sha512'])
@pytest.mark.parametrize('chunked', [False, True])
def test_the_very_bytes_come_back_with_their_type(pushed, manifest, media_type, algorithm, chunked):
    content = json.dumps(manifest, indent=3).encode() + b'\n'
    digest = digest_of(content, 'sha256' if algorithm == 'tag' else algorithm)
    reference = 'v1' if algorithm == 'tag' else digest

    answer = put(pushed, reference, content, media_type + '; charset=utf-8', chunked=chunked)

    assert (answer.status_code, answer.headers['Docker-Content-Digest']) == (201, digest), answer.data
    for path in (answer.headers['Location'], f'/v2/a/manifests/{reference}'):
        for method in ('GET', 'HEAD'):
            back = pushed(method, path)
            assert (back.status_code, back.data) == (200, content if method == 'GET' else b'')
            assert back.headers['Content-Type'] == media_type
            assert back.headers['Content-Length'] == str(len(content))
            assert back.headers['Docker-Content-Digest'] == digest


@pytest.mark.parametrize(
    'content, media_type',
    [
        (b'', formats.OCI_IMAGE),
        (b'no json', formats.OCI_IMAGE),
        (b'[]', formats.OCI_IMAGE),
        (b'null', UNKNOWN),
        (b'\xff\xfe', UNKNOWN),
        (b'[' * 100000, UNKNOWN),
        (b'{}', None),
        (b'{}', 'application/json'),
        (b'{}', 'no media type'),
        (b'{}', formats.OCI_IMAGE),
        (as_json(image(CONFIG, LAYER)), formats.DOCKER_IMAGE),
        (as_json({'mediaType': 7}), UNKNOWN),
        (as_json(dict(image(CONFIG), schemaVersion=3)), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), config='x')), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), layers={})), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), layers=[7])), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), layers=[{'mediaType': []}])), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), manifests=[])), formats.OCI_IMAGE),
        (as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [], 'layers': []}), formats.OCI_INDEX),
        (as_json(dict(image(CONFIG), subject=7)), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), subject={}, annotations=7)), formats.OCI_IMAGE),
        (as_json(dict(image(CONFIG), subject=descriptor(b'', 'a/b'), annotations={'a': 1})), formats.OCI_IMAGE),
    ],
    ids=range(22),
)
def test_what_is_no_manifest(pushed, content, media_type):
    answer = put(pushed, 'v1', content, media_type)

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert pushed('GET', '/v2/a/manifests/v1').status_code == 404


@pytest.mark.parametrize(
    'content, media_type',
    [
        (b'{"schemaVersion": 1}', 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
        (b'{"schemaVersion": 1, "fsLayers": []}', 'application/json'),
    ],
)
def test_schema_1_is_refused_in_words(registry, content, media_type):
    answer = put(registry, 'v1', content, media_type)

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert 'schema 1' in answer.json['errors'][0]['message']


@pytest.mark.parametrize('reference', ['sha256:bad', digest_of(b'other')])
def test_a_wrong_digest(pushed, reference):
    answer = put(pushed, reference, as_json(image(CONFIG)), formats.OCI_IMAGE)

    assert (answer.status_code, code_of(answer)) == (400, 'DIGEST_INVALID')
    assert pushed('GET', f'/v2/a/manifests/{reference}').status_code in (400, 404)


@pytest.mark.parametrize(
    'document',
    [
        {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [{'mediaType': formats.OCI_IMAGE, 'digest': 'x' * 1000000}]},
        {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [], 'subject': {'digest': '\x00' * 100000}},
    ],
)
def test_an_error_does_not_repeat_a_long_manifest(registry, document):
    answer = registry('PUT', '/v2/a/manifests/v1', as_json(document), headers={'Content-Type': formats.OCI_INDEX})

    assert code_of(answer) == 'DIGEST_INVALID' and len(answer.data) < 2000


def test_an_error_does_not_repeat_a_long_key(registry):
    answer = registry(
        'PUT', '/v2/a/manifests/v1', b'{"%b": 1, "%b": 2}' % (2 * (b'x' * 100000,)), headers={'Content-Type': formats.OCI_INDEX}
    )

    assert code_of(answer) == 'MANIFEST_INVALID' and len(answer.data) < 2000


def test_missing_blobs_are_named(registry):
    registry.push_blob('a', CONFIG)
    registry.push_blob('b', LAYER)
    content = as_json(image(CONFIG, LAYER, b'another'))

    answer = put(registry, 'v1', content, formats.OCI_IMAGE)

    assert answer.status_code == 404
    assert [(error['code'], error['detail']['digest']) for error in answer.json['errors']] == [
        ('MANIFEST_BLOB_UNKNOWN', digest_of(LAYER)),
        ('MANIFEST_BLOB_UNKNOWN', digest_of(b'another')),
    ]
    assert registry('GET', '/v2/a/manifests/v1').status_code == 404
    assert registry('GET', f'/v2/a/manifests/{digest_of(content)}').status_code == 404


def test_a_blob_whose_bytes_a_collector_of_old_has_taken_is_missing(fake_place, fake_registry):
    fake_registry.push_blob('a', CONFIG)
    for found in fake_place.server.container(fake_place.container).values():
        found.timestamp -= 7200
    digest = digest_of(CONFIG)
    del fake_place.server.container(fake_place.container)[f'files/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data']

    assert put(fake_place.registry(), 'v1', as_json(image(CONFIG)), formats.OCI_IMAGE).status_code == 404


@pytest.mark.parametrize(
    'media_type', ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'application/vnd.oci.image.layer.nondistributable.v1.tar']
)
def test_layers_that_are_had_from_elsewhere_need_not_be_there(pushed, media_type):
    manifest = image(CONFIG)
    manifest['layers'] = [descriptor(b'far away', media_type, urls=['https://example.com/layer'])]

    assert put(pushed, 'v1', as_json(manifest), formats.OCI_IMAGE).status_code == 201


def test_an_index_needs_its_manifests(registry):
    index = {
        'schemaVersion': 2,
        'mediaType': formats.OCI_INDEX,
        'manifests': [descriptor(as_json(image(b'{}', b'amd64')), formats.OCI_IMAGE)],
    }
    assert put(registry, 'v1', as_json(index), formats.OCI_INDEX).status_code == 404

    registry.push_image('a', 'amd64', b'amd64')

    assert put(registry, 'v1', as_json(index), formats.OCI_INDEX).status_code == 201


def test_references_may_be_missing_where_that_is_allowed(place):
    registry = place.registry(sparse_manifests=True)

    registry.push_manifest('a', 'v1', image(CONFIG, LAYER))

    assert registry('GET', '/v2/a/manifests/v1').json == image(CONFIG, LAYER)


@pytest.mark.parametrize('chunked', [False, True])
def test_a_manifest_has_a_limit(registry, chunked):
    limit = 4 * 1024 * 1024
    smaller, larger = (as_json({'mediaType': UNKNOWN, 'x': 'x' * (size - 63)}) for size in (limit, limit + 1))
    assert len(larger) == limit + 1

    assert put(registry, 'v1', smaller, UNKNOWN, chunked=chunked).status_code == 201
    answer = put(registry, 'v1', larger, UNKNOWN, chunked=chunked)

    assert (answer.status_code, code_of(answer)) == (413, 'MANIFEST_INVALID')
    assert registry('GET', '/v2/a/manifests/v1').data == smaller


def test_a_manifest_cut_short(pushed):
    content = as_json(image(CONFIG, LAYER))

    answer = put(pushed, 'v1', content, formats.OCI_IMAGE, environ_overrides={'CONTENT_LENGTH': str(len(content) + 1)})

    assert (answer.status_code, code_of(answer)) == (400, 'SIZE_INVALID')


def test_several_tags_at_once(pushed):
    content = as_json(image(CONFIG))
    tags = [f'v{number}' for number in range(10)]

    answer = put(pushed, digest_of(content) + '?' + '&'.join(f'tag={tag}' for tag in tags), content, formats.OCI_IMAGE)

    assert (answer.status_code, answer.headers.getlist('OCI-Tag')) == (201, tags)
    for tag in tags:
        assert pushed('GET', f'/v2/a/manifests/{tag}').data == content


def with_tags(content, tags):
    return digest_of(content) + '?' + '&'.join(f'tag={tag}' for tag in tags)


#: The most that one request may have: 50 tags, and 3 KiB of OCI-Tag fields.
MOST_TAGS = [[f'v{number}' for number in range(50)], [str(number).ljust(128, 'x') for number in range(22)]]


@pytest.mark.parametrize('tags', MOST_TAGS, ids=['many', 'long'])
def test_as_many_tags_as_a_response_may_name(pushed, tags):
    content = as_json(image(CONFIG))

    answer = put(pushed, with_tags(content, tags), content, formats.OCI_IMAGE)

    assert (answer.status_code, answer.headers.getlist('OCI-Tag')) == (201, tags)
    assert sum(len(f'{name}: {value}\r\n') for name, value in answer.headers) < 4096


@pytest.mark.parametrize('tags', MOST_TAGS, ids=['many', 'long'])
def test_more_tags_than_a_response_may_name_are_refused_before_anything_is_stored(fake_place, tags):
    registry, content = fake_place.registry(), as_json(image(CONFIG))
    registry.push_blob('a', CONFIG)
    before = dict(fake_place.objects)

    answer = put(registry, with_tags(content, tags + ['one-more']), content, formats.OCI_IMAGE)

    assert (answer.status_code, code_of(answer)) == (414, 'UNSUPPORTED')
    assert dict(fake_place.objects) == before


def test_a_tag_that_is_named_twice_counts_once(pushed):
    content = as_json(image(CONFIG))
    tags = MOST_TAGS[0]

    answer = put(pushed, with_tags(content, tags + tags), content, formats.OCI_IMAGE)

    assert (answer.status_code, answer.headers.getlist('OCI-Tag')) == (201, tags)


@pytest.mark.parametrize('bad', ['.bad', '', 'a/b', 'x' * 129, 'é'])
def test_a_bad_tag_among_several(pushed, bad):
    content = as_json(image(CONFIG))

    assert put(pushed, with_tags(content, ['v1', bad]), content, formats.OCI_IMAGE).status_code == 400
    assert pushed('GET', '/v2/a/manifests/v1').status_code == 404


def test_a_bad_tag(pushed):
    assert put(pushed, '.bad', as_json(image(CONFIG)), formats.OCI_IMAGE).status_code == 400


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'DELETE'])
@pytest.mark.parametrize('reference', ['v1', '.INVALID_MANIFEST_NAME', digest_of(b'')])
def test_an_unknown_manifest(registry, method, reference):
    answer = registry(method, f'/v2/a/manifests/{reference}')

    assert answer.status_code == 404
    assert method == 'HEAD' or code_of(answer) == 'MANIFEST_UNKNOWN'


def test_a_manifest_of_another_repository_is_unknown(registry):
    digest = registry.push_image('a', 'v1', LAYER)

    assert registry('GET', f'/v2/b/manifests/{digest}').status_code == 404


def test_a_tag_moves(place, registry):
    registry.push_image('a', 'v1', b'old')
    another = place.registry()
    assert another('GET', '/v2/a/manifests/v1').status_code == 200

    digest = registry.push_image('a', 'v1', b'new')

    assert another('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest


def test_a_manifest_that_the_client_has_is_not_sent_again(registry):
    digest = registry.push_image('a', 'v1', LAYER)

    assert registry('GET', '/v2/a/manifests/v1', headers={'If-None-Match': f'"{digest}"'}).status_code == 304


def test_a_deleted_tag_is_gone_at_once_and_its_manifest_stays(place, registry):
    digest = registry.push_image('a', 'v1', LAYER)
    another = place.registry()
    assert another('HEAD', '/v2/a/manifests/v1').status_code == 200

    assert registry('DELETE', '/v2/a/manifests/v1').status_code == 202

    assert another('HEAD', '/v2/a/manifests/v1').status_code == 404
    assert another('HEAD', f'/v2/a/manifests/{digest}').status_code == 200
    assert registry('GET', '/v2/a/tags/list').json['tags'] == []


def test_a_deleted_manifest_takes_its_tags_and_no_others(place, registry):
    digest = registry.push_image('a', 'v1', LAYER)
    registry.push_image('a', 'latest', LAYER)
    registry.push_image('a', 'v2', b'another')
    another = place.registry()
    assert another('HEAD', f'/v2/a/manifests/{digest}').status_code == 200

    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

    for reference, status in ((digest, 404), ('v1', 404), ('latest', 404), ('v2', 200)):
        assert another('HEAD', f'/v2/a/manifests/{reference}').status_code == status
    assert registry('GET', '/v2/a/tags/list').json['tags'] == ['v2']
    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 404


def test_a_deleted_manifest_can_be_pushed_again(registry):
    digest = registry.push_image('a', 'v1', LAYER)
    registry('DELETE', f'/v2/a/manifests/{digest}')

    registry.push_image('a', 'v1', LAYER)

    assert registry('HEAD', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest


def test_a_tag_of_a_manifest_that_is_gone_is_gone(fake_place, fake_registry):
    """A tag is pushed while its manifest is being deleted. The delete does not find the tag, because the listing lags behind."""
    digest = fake_registry.push_image('a', 'v1', LAYER)
    fake_place.server.lag_listing(fake_place.container)
    fake_registry.push_manifest('a', 'unlisted', fake_registry('GET', '/v2/a/manifests/v1').data)

    fake_registry('DELETE', f'/v2/a/manifests/{digest}')

    assert fake_registry('GET', '/v2/a/manifests/unlisted').status_code == 404


@pytest.mark.parametrize('content', [b'', b'sha256:half', b'\xff'])
def test_a_tag_left_half_written_is_unknown_until_it_is_pushed_again(fake_place, fake_registry, content):
    fake_place.server.put(fake_place.container, 'files/docker/registry/v2/repositories/a/_manifests/tags/v1/current/link', content)

    assert fake_registry('GET', '/v2/a/manifests/v1').status_code == 404
    fake_registry.push_image('a', 'v1', LAYER)
    assert fake_registry('GET', '/v2/a/manifests/v1').status_code == 200
