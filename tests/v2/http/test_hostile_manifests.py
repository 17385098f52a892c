"""Manifests that are made to stop the registry."""

import json
import types

import pytest

from docker_registry.v2.registry import formats, layout, manifests, names, strict_json
from registry_client import as_json, code_of, descriptor, digest_of, image

CONFIG = b'{}'
UNKNOWN = 'application/vnd.example.thing.v7+json'


def put(registry, content, media_type=formats.OCI_IMAGE, reference='v1', **more):
    content = content if isinstance(content, bytes) else as_json(content)
    return registry('PUT', f'/v2/a/manifests/{reference}', content, headers={'Content-Type': media_type}, **more)


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
