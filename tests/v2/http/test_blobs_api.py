"""Blobs over HTTP: the endpoints end-2 and end-10 of the spec."""

import pytest

from registry_client import code_of, digest_of

CONTENT = bytes(range(256)) * 8  # 2048 bytes


def test_a_blob_comes_back(registry):
    digest = registry.push_blob('a/b', CONTENT)

    answer = registry('GET', f'/v2/a/b/blobs/{digest}')

    assert (answer.status_code, answer.data) == (200, CONTENT)
    assert answer.headers['Docker-Content-Digest'] == digest
    assert answer.headers['Content-Length'] == '2048'
    assert answer.headers['Accept-Ranges'] == 'bytes'
    assert answer.headers['Content-Type'] == 'application/octet-stream'


def test_head_tells_size_and_digest(registry):
    digest = registry.push_blob('a', CONTENT)

    answer = registry('HEAD', f'/v2/a/blobs/{digest}')

    assert (answer.status_code, answer.data) == (200, b'')
    assert answer.headers['Content-Length'] == '2048'
    assert answer.headers['Docker-Content-Digest'] == digest


@pytest.mark.parametrize('content', [b'', b'{}'])
@pytest.mark.parametrize('algorithm', ['sha256', 'sha512'])
def test_well_known_blobs(registry, content, algorithm):
    digest = registry.push_blob('a', content, digest_of(content, algorithm))

    assert registry('HEAD', f'/v2/a/blobs/{digest}').headers['Content-Length'] == str(len(content))
    assert registry('GET', f'/v2/a/blobs/{digest}').data == content


def test_a_blob_that_the_client_has_is_not_sent_again(registry):
    digest = registry.push_blob('a', CONTENT)

    answer = registry('GET', f'/v2/a/blobs/{digest}', headers={'If-None-Match': f'"{digest}"'})

    assert (answer.status_code, answer.data) == (304, b'')


@pytest.mark.parametrize('method', ['HEAD', 'GET'])
@pytest.mark.parametrize('known', ['"%s"', 'W/"%s"', '"another", "%s"', '*'])
def test_a_client_that_has_the_blob_gets_the_fields_that_a_cache_needs(registry, method, known):
    """RFC 9110, 15.4.5"""
    digest = registry.push_blob('a', CONTENT)

    answer = registry(method, f'/v2/a/blobs/{digest}', headers={'If-None-Match': known.replace('%s', digest)})

    assert (answer.status_code, answer.data) == (304, b'')
    assert answer.headers['ETag'] == f'"{digest}"' and 'max-age' in answer.headers['Cache-Control']
    assert 'Content-Type' not in answer.headers and 'Content-Length' not in answer.headers


@pytest.mark.parametrize('method', ['HEAD', 'GET'])
def test_a_client_that_has_another_blob_gets_this_one(registry, method):
    digest = registry.push_blob('a', CONTENT)

    assert registry(method, f'/v2/a/blobs/{digest}', headers={'If-None-Match': '"another"'}).status_code == 200
    assert registry(method, f'/v2/b/blobs/{digest}', headers={'If-None-Match': '*'}).status_code == 404


@pytest.mark.parametrize('method', ['HEAD', 'GET', 'DELETE'])
def test_an_unknown_blob(registry, method):
    answer = registry(method, '/v2/a/blobs/' + digest_of(CONTENT))

    assert answer.status_code == 404
    assert method == 'HEAD' or code_of(answer) == 'BLOB_UNKNOWN'


@pytest.mark.parametrize('method', ['HEAD', 'GET'])
def test_a_blob_of_another_repository_is_unknown(registry, method):
    digest = registry.push_blob('a', CONTENT)

    assert registry(method, f'/v2/b/blobs/{digest}').status_code == 404


def test_a_deleted_blob_is_gone_at_once_from_its_repository_only(place, registry):
    digest = registry.push_blob('a', CONTENT)
    registry.push_blob('b', CONTENT)
    another = place.registry()
    assert another('HEAD', f'/v2/a/blobs/{digest}').status_code == 200

    assert registry('DELETE', f'/v2/a/blobs/{digest}').status_code == 202

    for instance in (registry, another):
        assert instance('HEAD', f'/v2/a/blobs/{digest}').status_code == 404
        assert instance('GET', f'/v2/a/blobs/{digest}').status_code == 404
        assert instance('GET', f'/v2/b/blobs/{digest}').data == CONTENT


def test_a_deleted_blob_can_be_pushed_again(registry):
    digest = registry.push_blob('a', CONTENT)
    registry('DELETE', f'/v2/a/blobs/{digest}')

    registry.push_blob('a', CONTENT)

    assert registry('GET', f'/v2/a/blobs/{digest}').data == CONTENT


def test_a_dynamic_large_object_of_cncf_distribution_is_served(fake_place, fake_registry):
    digest = fake_registry.push_blob('a', CONTENT)
    name = f'files/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data'
    fake_place.server.put(fake_place.container, 'segments/x/0', CONTENT[:1000])
    fake_place.server.put(fake_place.container, 'segments/x/1', CONTENT[1000:])
    as_dynamic(fake_place, name, 'segments/x/')

    assert fake_registry('HEAD', f'/v2/a/blobs/{digest}').headers['Content-Length'] == '2048'
    assert fake_registry('GET', f'/v2/a/blobs/{digest}').data == CONTENT


def test_a_blob_that_has_lost_its_segments_is_absent_until_it_is_pushed_again(fake_place, fake_registry):
    digest = fake_registry.push_blob('a', CONTENT)
    as_dynamic(fake_place, f'files/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data', 'segments/lost/')

    assert fake_registry('HEAD', f'/v2/a/blobs/{digest}').status_code == 404
    assert fake_registry('GET', f'/v2/a/blobs/{digest}').status_code == 404
    location = fake_registry.upload('a')
    location = fake_registry('PATCH', location, CONTENT).headers['Location']
    assert fake_registry('PUT', f'{location}?digest={digest}').status_code == 201
    assert fake_registry('GET', f'/v2/a/blobs/{digest}').data == CONTENT


def as_dynamic(place, name, segments):
    """Turn an object into a dynamic large object, as the driver of CNCF distribution stores blobs."""
    del place.server.container(place.container)[name]
    place.server.put(place.container, name, b'')
    place.server.container(place.container)[name].headers['X-Object-Manifest'] = f'{place.container}/{segments}'


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize('kind', ['blobs', 'manifests'])
def test_if_match_of_another_digest_is_412_without_the_content(registry, kind, method):
    digest = registry.push_image('a', 'v1', b'layer') if kind == 'manifests' else registry.push_blob('a', b'layer')
    path = f'/v2/a/{kind}/{digest}'

    answer = registry(method, path, headers={'If-Match': '"another"'})

    assert answer.status_code == 412
    assert method == 'HEAD' or code_of(answer) == 'UNSUPPORTED'
    assert registry(method, path, headers={'If-Match': '"another"', 'If-None-Match': f'"{digest}"'}).status_code == 412
    assert registry(method, path, headers={'If-Match': f'W/"{digest}"'}).status_code == 412  # a strong comparison
    for matching in ('*', f'"another", "{digest}"'):
        assert registry(method, path, headers={'If-Match': matching}).status_code == 200
        assert registry(method, path, headers={'If-Match': matching, 'If-None-Match': f'"{digest}"'}).status_code == 304


def test_a_browser_runs_no_script_of_any_response(fake_registry):
    manifest, blob = fake_registry.push_image('a', 'v1', b'layer'), fake_registry.push_blob('a', b'x' * 2000)
    requests = [
        ('GET', '/v2/', {}, 200),
        ('GET', '/nothing', {}, 404),
        ('GET', f'/v2/a/manifests/{manifest}', {}, 200),
        ('HEAD', '/v2/a/manifests/v1', {}, 200),
        ('GET', '/v2/a/manifests/v1', {'If-None-Match': f'"{manifest}"'}, 304),
        ('GET', f'/v2/a/blobs/{blob}', {}, 200),
        ('HEAD', f'/v2/a/blobs/{blob}', {}, 200),
        ('GET', f'/v2/a/blobs/{blob}', {'Range': 'bytes=0-9'}, 206),
        ('GET', f'/v2/a/blobs/{blob}', {'Range': 'bytes=0-9,20-29'}, 206),
        ('GET', f'/v2/a/blobs/{blob}', {'If-None-Match': '*'}, 304),
    ]
    for method, path, fields, status in requests:
        answer = fake_registry(method, path, headers=fields)
        assert answer.status_code == status
        assert answer.headers['X-Content-Type-Options'] == 'nosniff'
        assert answer.headers['Content-Security-Policy'] == "sandbox; default-src 'none'"
