"""What a manifest names has to be in its repository, and blobs have to be whole."""

import pytest

from docker_registry.v2.registry import formats, layout, names
from fake_swift import on, status
from registry_client import as_json, code_of, descriptor, digest_of, image

CONFIG, LAYER = (
    b'{}',
    bytes(range(256)) * 12000,
)  # 3 MB: more than the segment size of these tests, and than a blob that is stored in memory
SEGMENT = 1000000
CACHE_CONFIG, LAYER_TYPE = 'application/vnd.buildkit.cacheconfig.v0', 'application/vnd.oci.image.layer.v1.tar+gzip'


def put(registry, content, repository='a', media_type=formats.OCI_IMAGE):
    return registry(
        'PUT',
        f'/v2/{repository}/manifests/v1',
        content if isinstance(content, bytes) else as_json(content),
        headers={'Content-Type': media_type},
    )


def head(registry, content=LAYER, repository='a'):
    return registry('HEAD', f'/v2/{repository}/blobs/{digest_of(content)}').status_code


def data_of(digest):
    return f'docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data'


class Dynamic:
    """The layer in repository `a` as CNCF distribution stores it: a dynamic large object of several segments."""

    def __init__(self, place):
        self._server, self._container = place.server, place.container
        place.registry().push_blob('a', LAYER)
        name = 'files/' + data_of(digest_of(LAYER))
        del self._objects[name]
        self._server.put(
            self._container,
            f'files/docker/registry/v2/repositories/a/_layers/sha256/{digest_of(LAYER)[7:]}/link',
            digest_of(LAYER).encode(),
        )
        self.store_segments()
        self._server.put(self._container, name, b'')
        self._objects[name].headers['X-Object-Manifest'] = f'{self._container}/segments/x/'

    @property
    def _objects(self):
        return self._server.container(self._container)

    def store_segments(self):
        for start in range(0, len(LAYER), SEGMENT):
            self._server.put(self._container, f'segments/x/{start:08d}', LAYER[start : start + SEGMENT])

    def lose(self, number):
        del self._objects[f'segments/x/{number * SEGMENT:08d}']


@pytest.fixture
def dynamic(fake_place):
    return Dynamic(fake_place)


@pytest.fixture
def registry(fake_place, dynamic):
    """A registry that has just started, on a container with a layer of CNCF distribution."""
    registry = fake_place.registry()
    registry.push_blob('a', CONFIG)
    return registry


def push_in_chunks(registry, repository='a'):
    location = registry.upload(repository)
    location = registry('PATCH', location, LAYER, chunked=True).headers['Location']
    return registry('PUT', f'{location}?digest={digest_of(LAYER)}').status_code


def push_whole(registry, repository='a'):
    return registry('PUT', f'{registry.upload(repository)}?digest={digest_of(LAYER)}', LAYER).status_code


def test_a_whole_dynamic_large_object_may_be_named(registry):
    assert put(registry, image(CONFIG, LAYER)).status_code == 201
    assert registry('GET', '/v2/a/blobs/' + digest_of(LAYER)).data == LAYER


@pytest.mark.parametrize('lost', [0, 1, 3])
@pytest.mark.parametrize('seen', [False, True])
@pytest.mark.parametrize('push', [push_in_chunks, push_whole])
def test_a_layer_that_lost_a_segment_is_missing_once_a_manifest_names_it_and_a_push_repairs_it(registry, dynamic, lost, seen, push):
    dynamic.lose(lost)
    if seen:
        assert head(registry) == 200, 'nobody knows its size yet'

    answer = put(registry, image(CONFIG, LAYER))

    assert (answer.status_code, code_of(answer)) == (404, 'MANIFEST_BLOB_UNKNOWN')
    assert answer.json['errors'][0]['detail'] == {'digest': digest_of(LAYER)}
    assert head(registry) == 404
    assert push(registry) == 201
    assert put(registry, image(CONFIG, LAYER)).status_code == 201
    assert registry('GET', '/v2/a/blobs/' + digest_of(LAYER)).data == LAYER


def test_a_layer_whose_last_segment_was_listed_late_is_accepted(registry, dynamic):
    dynamic.lose(3)
    assert head(registry) == 200
    dynamic.store_segments()

    assert put(registry, image(CONFIG, LAYER)).status_code == 201


@pytest.mark.parametrize('source', ['&from=a', ''])
def test_a_damaged_layer_that_was_found_is_not_mounted_by_any_instance(fake_place, registry, dynamic, source):
    registry('POST', f'/v2/c/blobs/uploads/?mount={digest_of(LAYER)}&from=a')
    dynamic.lose(3)
    registry.push_blob('b', CONFIG)
    assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=c').status_code == 201, 'nobody knows its size yet'
    assert put(registry, image(CONFIG, LAYER), 'b').status_code == 404

    another = fake_place.registry()

    assert head(another, repository='b') == 404
    assert another('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=c').status_code == 202
    assert push_in_chunks(another, 'b') == 201
    assert put(registry, image(CONFIG, LAYER), 'b').status_code == 201
    answer = registry('POST', f'/v2/d/blobs/uploads/?mount={digest_of(LAYER)}{source}')
    assert answer.status_code == (201 if source else 202), 'without a source, nothing proves that the blob is on more than one node'
    assert not source or registry('GET', '/v2/d/blobs/' + digest_of(LAYER)).data == LAYER


def test_a_damaged_layer_that_was_just_mounted_is_found_by_every_instance(fake_place, registry, dynamic):
    dynamic.lose(3)
    another = fake_place.registry()
    another.push_blob('b', CONFIG)

    assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=a').status_code == 201

    for instance in (registry, another):
        assert put(instance, image(CONFIG, LAYER), 'b').status_code == 404


def test_a_link_that_a_repairing_push_wrote_meanwhile_stays(fake_place, registry, dynamic):
    """The push stores the blob and links it after the registry has found the damage, and before it removes the link."""
    dynamic.lose(3)
    another = fake_place.registry()
    discard = registry.storage.discard

    def push_and_discard(path):
        registry.storage.discard = discard
        assert push_in_chunks(another) == 201
        return discard(path)

    registry.storage.discard = push_and_discard

    assert put(registry, image(CONFIG, LAYER)).status_code == 404

    assert put(another, image(CONFIG, LAYER)).status_code == 201
    assert another('GET', '/v2/a/blobs/' + digest_of(LAYER)).data == LAYER


def test_trouble_while_the_damage_is_looked_at_takes_no_link(fake_place, registry, dynamic):
    document = image(CONFIG, LAYER)
    document['layers'][0]['size'] += 1
    fault = fake_place.server.fault(
        on(method='GET', where=lambda request: data_of(digest_of(LAYER)) in request.path), status(503), times=None
    )

    assert put(registry, document).status_code == 503

    fault.cancel()
    assert head(registry) == 200


@pytest.mark.parametrize('push', [push_in_chunks, push_whole, None], ids=['in chunks', 'whole', 'dynamic'])
@pytest.mark.parametrize('more', [1, -1])
@pytest.mark.parametrize('fresh', [False, True])
def test_a_manifest_with_a_wrong_size_is_refused_and_takes_no_link(fake_place, registry, push, more, fresh):
    if push:
        registry('DELETE', '/v2/a/blobs/' + digest_of(LAYER))
        del fake_place.server.container(fake_place.container)['files/' + data_of(digest_of(LAYER))]
        push(registry)
    document = image(CONFIG, LAYER)
    document['layers'][0]['size'] += more

    answer = put(fake_place.registry() if fresh else registry, document)

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert answer.json['errors'][0]['message'] == f'{digest_of(LAYER)} has {len(LAYER)} bytes, but the manifest says {len(LAYER) + more}'
    assert head(registry) == 200
    assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=a').status_code == 201
    assert put(registry, image(CONFIG, LAYER)).status_code == 201


@pytest.mark.parametrize('size', [0, None])
def test_a_manifest_without_sizes_is_accepted(registry, size):
    """Some clients leave them out, or write 0."""
    document = image(CONFIG, LAYER)
    document['layers'][0]['size'] = size

    assert put(registry, document).status_code == 201


def test_an_empty_blob_may_have_the_size_1(registry):
    """docker takes the size from the Range of an upload, which cannot say that an upload is empty."""
    registry.push_blob('a', b'')
    document = image(CONFIG, b'')
    document['layers'][0]['size'] = 1

    assert put(registry, document).status_code == 201


def test_the_size_of_a_layer_that_is_had_from_elsewhere_is_not_looked_at(registry):
    document = image(CONFIG)
    document['layers'] = [descriptor(LAYER, 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls=['https://example.com'])]
    document['layers'][0]['size'] += 1

    assert put(registry, document).status_code == 201


def test_the_blobs_of_an_artifact_are_whole(registry, dynamic):
    dynamic.lose(3)

    answer = put(registry, {'mediaType': formats.OCI_ARTIFACT, 'blobs': [descriptor(LAYER, 'a/b')]}, media_type=formats.OCI_ARTIFACT)

    assert answer.status_code == 404
    assert head(registry) == 404


def test_one_blob_under_two_sizes(registry):
    document = image(CONFIG, LAYER, LAYER)
    document['layers'][1]['size'] -= 1

    assert put(registry, document).status_code == 400


def test_a_blob_under_many_sizes_is_looked_for_and_read_once(fake_place, registry):
    push_whole(registry)
    document = image(CONFIG, *[LAYER] * 50)
    for number, layer in enumerate(document['layers']):
        layer['size'] += number
    fresh = fake_place.registry()

    assert put(fresh, document).status_code == 400
    assert [method for method, _ in fresh.swift_requests].count('GET') == 1
    assert len(fresh.swift_requests) < 10


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


def test_a_damaged_layer_of_a_build_cache_is_missing(registry, dynamic):
    dynamic.lose(3)

    assert put(registry, cache(LAYER), media_type=formats.OCI_INDEX).status_code == 404
    assert head(registry) == 404


def test_a_build_cache_may_name_what_is_missing_where_that_is_allowed(place):
    registry = place.registry(sparse_manifests=True)

    assert put(registry, cache(b'one'), media_type=formats.OCI_INDEX).status_code == 201


def test_what_a_manifest_names_is_looked_for_at_the_same_time(fake_place):
    """Two requests for each blob that this process has not seen: one for its link, and one for its size."""
    layers = [b'layer %d' % number for number in range(30)]
    for content in (*layers, CONFIG):
        fake_place.registry().push_blob('a', content)
    registry = fake_place.registry()
    del registry.swift_requests[:]

    assert put(registry, cache(*layers), media_type=formats.OCI_INDEX).status_code == 201

    assert [method for method, _ in registry.swift_requests].count('HEAD') <= 2 * (len(layers) + 1) + 1  # and one for the container


def test_what_this_process_has_stored_is_not_looked_for(fake_place):
    registry = fake_place.registry()
    for content in (LAYER, b'one', CONFIG):
        registry.push_blob('a', content)
    assert push_in_chunks(registry) == 201
    del registry.swift_requests[:]

    assert put(registry, image(CONFIG, LAYER, b'one')).status_code == 201

    assert {method for method, _ in registry.swift_requests} == {'PUT'}


def test_a_link_tells_the_size_of_a_blob_that_the_registry_has_read(fake_place, registry):
    registry.push_blob('b', LAYER)
    another = fake_place.registry()

    del another.swift_requests[:]
    another.app.blobs.linked_size('b', names.digest(digest_of(LAYER)))

    assert another.swift_requests == [('HEAD', 200)]


def test_a_mount_passes_that_size_on_and_no_other(fake_place, registry, dynamic):
    registry.push_blob('b', CONFIG)
    registry('POST', f'/v2/c/blobs/uploads/?mount={digest_of(CONFIG)}&from=b')
    registry('POST', f'/v2/c/blobs/uploads/?mount={digest_of(LAYER)}&from=a')

    links = [fake_place.objects[layout.layer_link('c', names.digest(digest_of(content)))] for content in (CONFIG, LAYER)]

    assert [link.headers.get('X-Object-Meta-Size') for link in links] == [str(len(CONFIG)), None]
