"""Manifests that are made to stop the registry, and manifests that it refuses."""

import json
import threading
import types

import pytest

from docker_registry.v2.registry import formats, layout, manifests, names, references, strict_json
from docker_registry.v2.settings.config import Config
from registry_client import as_json, code_of, descriptor, digest_of, image

CONFIG, LAYER = b'{}', bytes(range(256)) * 12000
UNKNOWN = 'application/vnd.example.thing.v7+json'
MOST = Config().manifest_references


def put(registry, content, media_type=formats.OCI_IMAGE, reference='v1', **more):
    content = content if isinstance(content, bytes) else as_json(content)
    return registry('PUT', f'/v2/a/manifests/{reference}', content, headers={'Content-Type': media_type}, **more)


def layers(count, **more):
    return dict(image(CONFIG), layers=[descriptor(b'%d' % number, 'application/a', **more) for number in range(count)])


def index(count):
    entries = [descriptor(b'%d' % number, formats.OCI_IMAGE) for number in range(count)]
    return {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}


def link_of(digest):
    return layout.revision_link('a', names.digest(digest))


# What a manifest says is found out once


@pytest.fixture
def parsing(monkeypatch):
    """The length of each manifest that is parsed."""
    parsed = []

    def loads(text, **more):
        parsed.append(len(text))
        return json.loads(text, **more)

    for module in (formats, strict_json):
        monkeypatch.setattr(module, 'json', types.SimpleNamespace(loads=loads))
    return parsed


MANIFESTS = [(image(CONFIG), formats.OCI_IMAGE), ({'x': 1}, UNKNOWN), ({'mediaType': UNKNOWN.upper()}, UNKNOWN.upper())]


@pytest.mark.parametrize('manifest, media_type', MANIFESTS, ids=['image', 'type beside', 'capitals'])
def test_no_get_head_or_delete_parses_a_manifest(place, manifest, media_type, parsing):
    place.registry().push_blob('a', CONFIG)
    digest = place.registry().push_manifest('a', 'v1', manifest, media_type)
    registry = place.registry()
    del parsing[:]

    for method in ('GET', 'HEAD'):
        for reference in ('v1', digest):
            assert registry(method, f'/v2/a/manifests/{reference}').content_type == media_type
    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

    assert not parsing


def test_a_delete_reads_no_manifest(fake_place):
    fake_place.registry().push_blob('a', CONFIG)
    digest = fake_place.registry().push_manifest('a', 'v1', image(CONFIG, subject=descriptor(b'', formats.OCI_IMAGE)))
    fake_place.server.clear_requests()

    assert fake_place.registry()('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

    assert not [request for request in fake_place.server.requests if '/blobs/' in request.path]
    assert not [path for path in fake_place.objects if '/_referrers/' in path]


@pytest.mark.parametrize('field, value', [('Subject', 'sha256:'), ('Type', 'json'), ('Type', 'application/x\u00e9')])
def test_a_link_that_no_registry_has_written_tells_nothing(fake_place, field, value):
    registry = fake_place.registry()
    registry.push_blob('a', CONFIG)
    digest = registry.push_manifest('a', 'v1', image(CONFIG, subject=descriptor(b'', formats.OCI_IMAGE)))
    fake_place.objects[link_of(digest)].headers['X-Object-Meta-' + field] = value

    assert registry('GET', '/v2/a/manifests/v1').content_type == formats.OCI_IMAGE
    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
    assert not [path for path in fake_place.objects if '/_referrers/' in path]


class Unread:
    """A stream that must not be read."""

    def __init__(self, stream):
        self.size, self.close = stream.size, stream.close

    def __next__(self):
        raise AssertionError('the bytes were read')


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'DELETE'])
def test_a_large_layer_is_not_read_because_somebody_asks_for_it_as_a_manifest(fake_place, method):
    digest = fake_place.registry().push_blob('a', bytes(manifests.LARGEST + 1))
    registry = fake_place.registry()
    stream_read = registry.storage.stream_read
    registry.storage.stream_read = lambda *arguments, **more: Unread(stream_read(*arguments, **more))

    assert registry(method, f'/v2/a/manifests/{digest}').status_code == 404


def test_a_damaged_manifest_is_unknown(fake_place):
    digest = stored(fake_place, as_json(image(CONFIG)))
    fake_place.server.put(fake_place.container, 'files/' + layout.blob(names.digest(digest)), b'{}')

    for method in ('GET', 'HEAD'):
        assert fake_place.registry()(method, '/v2/a/manifests/v1').status_code == 404


def stored(place, content, *beside):
    """Store a manifest as CNCF distribution does, with a media type beside it as an earlier version of this registry did."""
    digest = names.digest(digest_of(content))
    place.storage()
    for path, data in [
        (layout.blob(digest), content),
        (layout.revision_link('a', digest), str(digest).encode()),
        (layout.tag_current('a', 'v1'), str(digest).encode()),
        *[(layout.revision_media_type('a', digest), text) for text in beside],
    ]:
        place.server.put(place.container, 'files/' + path, data)
    return str(digest)


@pytest.mark.parametrize(
    'content, beside, media_type',
    [
        (as_json(image(CONFIG)), [], formats.OCI_IMAGE),
        (b'{"x": 1}', [UNKNOWN.encode()], UNKNOWN),
        (b'{"x": 1}', [], manifests.DEFAULT_MEDIA_TYPE),
        (b'{"schemaVersion": 2, "mediaType": "a", "mediaType": "%s", "x": "\xff"}' % formats.OCI_INDEX.encode(), [], formats.OCI_INDEX),
        (b'no json', [UNKNOWN.encode()], UNKNOWN),
    ],
    ids=['image', 'type beside', 'no type', 'as Go reads it', 'no JSON'],
)
def test_a_manifest_whose_link_tells_nothing_is_parsed_once(fake_place, content, beside, media_type, parsing):
    digest = stored(fake_place, content, *beside)
    registry = fake_place.registry(manifest_cache=0)
    del parsing[:]

    for reference in ('v1', digest, 'v1'):
        assert registry('HEAD', f'/v2/a/manifests/{reference}').content_type == media_type
        assert registry('GET', f'/v2/a/manifests/{reference}').data == content

    assert len(parsing) == 1


@pytest.mark.parametrize('nested', [b'[' * 900 + b']' * 900, b'1'])
def test_a_stored_manifest_beyond_the_bounds_is_served_without_being_parsed(fake_place, nested, parsing):
    content = b'{"mediaType": "%s", "x": [%s]}' % (UNKNOWN.encode(), b','.join([nested] * (4000000 // (len(nested) + 1))))
    stored(fake_place, content)
    registry = fake_place.registry()
    del parsing[:]

    answer = registry('GET', '/v2/a/manifests/v1')

    assert (answer.status_code, answer.content_type) == (200, manifests.DEFAULT_MEDIA_TYPE)
    assert answer.data == content and not parsing
    assert registry('DELETE', f'/v2/a/manifests/{digest_of(content)}').status_code == 202


def test_a_link_that_distribution_writes_again_changes_no_type(fake_place):
    registry = fake_place.registry()
    for manifest, media_type in MANIFESTS:
        registry.push_blob('a', CONFIG)
        digest = registry.push_manifest('a', 'v1', manifest, media_type)
        fake_place.server.put(fake_place.container, 'files/' + link_of(digest), digest.encode())

        assert fake_place.registry()('HEAD', '/v2/a/manifests/v1').content_type == media_type


# Media types


@pytest.mark.parametrize('media_type', ['text/html', 'TEXT/HTML', 'image/svg+xml', 'applicationx/html', 'multipart/mixed'])
@pytest.mark.parametrize('where', ['Content-Type', 'mediaType', 'both'])
def test_a_type_that_a_browser_shows_is_refused(place, media_type, where):
    registry = place.registry()
    document = {} if where == 'Content-Type' else {'mediaType': media_type}

    answer = put(registry, document, 'application/json' if where == 'mediaType' else media_type)

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert 'application/' in answer.json['errors'][0]['message']
    assert registry('GET', '/v2/a/manifests/v1').status_code == 404


@pytest.mark.parametrize('content, beside', [(b'{"mediaType": "text/html"}', []), (b'<script>', [b'text/html']), (b'{}', [b'\xff\n'])])
def test_a_stored_type_that_a_browser_shows_is_not_served(fake_place, content, beside):
    stored(fake_place, content, *beside)

    for method in ('GET', 'HEAD'):
        assert fake_place.registry()(method, '/v2/a/manifests/v1').content_type == manifests.DEFAULT_MEDIA_TYPE


def test_a_type_in_a_link_that_a_browser_shows_is_not_served(fake_place):
    digest = stored(fake_place, b'{}')
    fake_place.objects[link_of(digest)].headers['X-Object-Meta-Type'] = 'text/html'

    assert fake_place.registry()('GET', '/v2/a/manifests/v1').content_type == manifests.DEFAULT_MEDIA_TYPE


# References


@pytest.mark.parametrize(
    'manifest, media_type',
    [
        (layers(MOST), formats.OCI_IMAGE),  # and a config
        (index(MOST + 1), formats.OCI_INDEX),
        (dict(index(MOST + 1), mediaType=formats.DOCKER_LIST), formats.DOCKER_LIST),
        ({'mediaType': formats.OCI_ARTIFACT, 'blobs': layers(MOST + 1)['layers']}, formats.OCI_ARTIFACT),
        (image(b'', *[b''] * MOST), formats.OCI_IMAGE),
    ],
    ids=['image', 'index', 'list', 'artifact', 'one blob many times'],
)
def test_a_manifest_that_names_too_much_is_refused_without_a_request(fake_registry, manifest, media_type):
    answer = put(fake_registry, manifest, media_type)

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert f'names {MOST + 1} ' in answer.json['errors'][0]['message']
    assert 'REGISTRY_MANIFEST_REFERENCES' in answer.json['errors'][0]['message']
    assert not fake_registry.swift_requests


def test_the_most_references_are_a_setting(fake_place):
    fake_place.registry().push_image('a', 'v1', b'1', b'2')
    manifest = fake_place.registry()('GET', '/v2/a/manifests/v1').data

    assert put(fake_place.registry(manifest_references=3), manifest).status_code == 201
    assert put(fake_place.registry(manifest_references=2), manifest).status_code == 400


def test_as_many_references_as_allowed_are_looked_for(fake_place):
    registry = fake_place.registry()
    registry.push_blob('a', CONFIG)
    manifest = layers(MOST - 1)
    for layer in manifest['layers']:
        registry.app.blobs.link('a', names.digest(layer['digest']), layer['size'])

    assert put(registry, manifest).status_code == 201


@pytest.mark.parametrize('manifest, media_type', [(layers(1000), formats.OCI_IMAGE), (index(1000), formats.OCI_INDEX)])
def test_after_a_number_of_missing_references_no_others_are_looked_for(fake_registry, manifest, media_type):
    fake_registry.push_blob('a', CONFIG)
    del fake_registry.swift_requests[:]

    answer = put(fake_registry, manifest, media_type)

    assert answer.status_code == 404
    named = [entry['digest'] for entry in manifest.get('layers', manifest.get('manifests'))]
    assert [error['detail']['digest'] for error in answer.json['errors']] == named[: references.MOST_MISSING]
    assert {error['code'] for error in answer.json['errors']} == {'MANIFEST_BLOB_UNKNOWN'}
    assert len(fake_registry.swift_requests) < 2 * references.MOST_MISSING


def test_one_manifest_has_half_of_the_requests_to_storage_at_a_time(fake_place):
    registry = fake_place.registry(storage_threads=8)
    manifest = layers(100)
    running, most, lock, stat = 0, [], threading.Lock(), registry.storage.stat

    def counted(*arguments, **more):
        nonlocal running
        with lock:
            running += 1
            most.append(running)
        try:
            return stat(*arguments, **more)
        finally:
            with lock:
                running -= 1

    registry.storage.stat = counted

    assert put(registry, manifest).status_code == 404

    assert max(most) <= 4


def test_nothing_is_looked_for_once_the_client_has_gone(fake_place):
    registry = fake_place.registry()
    answers = iter([True, True])

    answer = put(registry, layers(1000), environ_overrides={'registry.client_is_there': lambda: next(answers, False)})

    assert answer.status_code == 499
    assert len(registry.swift_requests) < 20
    assert not [path for path in fake_place.objects if '/_manifests/' in path]


def push_in_chunks(registry, content):
    location = registry('PATCH', registry.upload('a'), content, chunked=True).headers['Location']
    assert registry('PUT', f'{location}?digest={digest_of(content)}').status_code == 201


def test_a_large_object_of_another_size_is_read_once(fake_place):
    """Anybody who may push could make the registry read it again and again."""
    push_in_chunks(fake_place.registry(), LAYER)
    registry = fake_place.registry()
    registry.push_blob('a', CONFIG)
    del registry.swift_requests[:]
    for more in (1, 2, 3):
        document = image(CONFIG, LAYER)
        document['layers'][0]['size'] += more
        assert put(registry, document).status_code == 400

    assert [method for method, _ in registry.swift_requests].count('GET') == 1


def test_a_plain_object_of_another_size_is_not_read(fake_place):
    """Its ETag is the MD5 of its bytes: it never gets shorter."""
    layer = LAYER[:1000]  # shorter than a segment
    fake_place.registry().push_blob('a', layer)
    registry = fake_place.registry()
    registry.push_blob('a', CONFIG)
    document = image(CONFIG, layer)
    document['layers'][0]['size'] += 1

    assert put(registry, document).status_code == 400

    assert 'GET' not in [method for method, _ in registry.swift_requests]
    assert registry('HEAD', '/v2/a/blobs/' + digest_of(layer)).status_code == 200


def test_a_client_that_has_gone_does_not_make_the_registry_read_a_large_object(fake_place):
    push_in_chunks(fake_place.registry(), LAYER)
    registry = fake_place.registry()
    document = image(LAYER)
    document['config']['size'] += 1
    asked = []

    answer = put(registry, document, environ_overrides={'registry.client_is_there': lambda: asked.append(1) or len(asked) < 3})

    assert answer.status_code == 499 and len(asked) == 3
    assert registry('HEAD', '/v2/a/blobs/' + digest_of(LAYER)).status_code == 200


# Nothing is left


def wrong_size():
    document = image(CONFIG, LAYER)
    document['layers'][0]['size'] += 1
    return document


def longer_than_a_page_of_referrers():
    """In a descriptor each of these letters is `\\u00e9`."""
    manifest = image(CONFIG, subject=descriptor(b'', 'a/b'), annotations={'a': 'é' * 1000000})
    return json.dumps(manifest, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    'content, media_type, reference, more',
    [
        (image(CONFIG, b'missing'), formats.OCI_IMAGE, 'v1', {}),
        (index(1), formats.OCI_INDEX, 'v1', {}),
        (wrong_size(), formats.OCI_IMAGE, 'v1', {}),
        (layers(MOST), formats.OCI_IMAGE, 'v1', {}),
        (b'{"x": [' + b'1,' * 60000 + b'1]}', UNKNOWN, 'v1', {}),
        (b'{"x": "' + b'1' * 5 * 1024**2 + b'"}', UNKNOWN, 'v1', {}),
        (image(CONFIG, LAYER), formats.DOCKER_IMAGE, 'v1', {}),
        (image(CONFIG, LAYER), formats.OCI_IMAGE, digest_of(b'other'), {}),
        (image(CONFIG, LAYER), 'text/html', 'v1', {}),
        (image(CONFIG, LAYER), formats.OCI_IMAGE, '.bad', {}),
        (layers(3), formats.OCI_IMAGE, 'v1', {'environ_overrides': {'registry.client_is_there': lambda: False}}),
        (longer_than_a_page_of_referrers(), formats.OCI_IMAGE, 'v1', {}),
    ],
    ids=range(12),
)
def test_a_manifest_that_is_refused_leaves_nothing(fake_place, content, media_type, reference, more):
    for blob in (CONFIG, LAYER):
        fake_place.registry().push_blob('a', blob)
    before = dict(fake_place.objects)

    answer = put(fake_place.registry(), content, media_type, reference, **more)

    assert 400 <= answer.status_code < 500
    assert dict(fake_place.objects) == before
