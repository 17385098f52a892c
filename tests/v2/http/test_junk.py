"""Kilobytes of junk in any place of a request: the answer and the log stay short."""

import logging
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from docker_registry.v2.registry import references
from registry_client import as_json, digest_of, image

DIGEST = digest_of(b'layer')
JUNK = ['x' * 6000, 'A"' * 3000, '\\' * 6000, '😀' * 500, '\x01' * 2000, 'sha256:' + 'g' * 6000, '../' * 2000, 'a/' * 3000 + 'a']
#: {} is the junk.
PATHS = [
    ('GET', '/{}'),
    ('GET', '/v2/{}'),
    ('PUT', '/v2/token?x={}'),
    ('GET', '/v2/token?scope={}'),
    ('GET', '/v2/_catalog?n={}'),
    ('GET', '/v2/_catalog?last={}'),
    ('GET', '/v2/{}/tags/list'),
    ('GET', '/v2/a/tags/list?n={}'),
    ('GET', '/v2/a/tags/list?last={}'),
    ('GET', '/v2/{}/manifests/v1'),
    ('GET', '/v2/a/manifests/{}'),
    ('PUT', '/v2/a/manifests/{}'),
    ('PUT', f'/v2/a/manifests/{DIGEST}?tag={{}}'),
    ('DELETE', '/v2/a/manifests/{}'),
    ('GET', '/v2/{}/referrers/' + DIGEST),
    ('GET', '/v2/a/referrers/{}'),
    ('GET', f'/v2/a/referrers/{DIGEST}?last={{}}'),
    ('GET', '/v2/a/blobs/{}'),
    ('DELETE', '/v2/a/blobs/{}'),
    ('POST', '/v2/{}/blobs/uploads/'),
    ('POST', '/v2/a/blobs/uploads/?digest={}'),
    ('POST', '/v2/a/blobs/uploads/?digest-algorithm={}'),
    ('PATCH', '/v2/a/blobs/uploads/{}'),
    ('PUT', f'/v2/a/blobs/uploads/{{}}?digest={DIGEST}'),
]


def require_short(answer, caplog):
    assert 400 <= answer.status_code < 500
    assert len(answer.data) < 2048
    assert {'code', 'message'} <= set(answer.json['errors'][0])
    assert caplog.messages and max(map(len, caplog.messages)) < 1024


@pytest.mark.parametrize('junk', JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize('method, path', PATHS)
def test_junk_in_a_path_is_not_repeated(fake_registry, caplog, method, path, junk):
    caplog.set_level(logging.INFO, 'docker_registry.v2.http.requests')

    answer = fake_registry(method, path.replace('{}', quote(junk, safe='/')))

    require_short(answer, caplog)


FIELDS = [
    ('PATCH', 'Content-Range', '{}'),
    ('PATCH', 'Content-Range', 'bytes 0-{}'),
    ('PUT', 'Content-Type', '{}'),
    ('PUT', 'Content-Type', 'application/{}'),
    ('PUT', 'Content-Length', '{}'),
]


@pytest.mark.parametrize('junk', ['x' * 6000, 'A"' * 3000, '9' * 6000, ' ,' * 3000], ids='xA9,')
@pytest.mark.parametrize('method, name, value', FIELDS)
def test_junk_in_a_field_is_not_repeated(fake_registry, caplog, method, name, value, junk):
    caplog.set_level(logging.INFO, 'docker_registry.v2.http.requests')
    path = fake_registry.upload('a') if method == 'PATCH' else '/v2/a/manifests/v1'
    environ = {{'Content-Length': 'CONTENT_LENGTH', 'Content-Type': 'CONTENT_TYPE'}.get(name, 'HTTP_CONTENT_RANGE'): value.format(junk)}

    with Client(fake_registry.app).open(path, method=method, environ_overrides=environ) as answer:
        answer.get_data()

    require_short(answer, caplog)


@pytest.mark.parametrize('key', ['mediaType', 'digest', 'size', '{}'])
@pytest.mark.parametrize('junk', JUNK, ids=range(len(JUNK)))
def test_junk_in_a_manifest_is_not_repeated(fake_registry, caplog, key, junk):
    caplog.set_level(logging.INFO, 'docker_registry.v2.http.requests')
    manifest = image(b'{}')
    manifest['config'].update({key.format(junk): junk, 'Digest': junk})

    answer = fake_registry('PUT', '/v2/a/manifests/v1', as_json(manifest), headers={'Content-Type': manifest['mediaType']})

    require_short(answer, caplog)


def test_of_many_missing_blobs_some_are_named(fake_registry):
    layers = [b'%d' % number for number in range(200)]

    answer = fake_registry('PUT', '/v2/a/manifests/v1', as_json(image(b'{}', *layers)))

    assert answer.status_code == 404
    named = [error['detail']['digest'] for error in answer.json['errors']]
    assert named == [digest_of(content) for content in (b'{}', *layers)][: references.MOST_MISSING]
