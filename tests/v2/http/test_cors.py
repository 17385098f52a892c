"""What the pages of other sites may do, by REGISTRY_CORS_ORIGINS. tests/end_to_end/test_cors.py asks a browser."""

import dataclasses
import pathlib
import re

import pytest

from access_client import basic
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http import cors
from docker_registry.v2.settings import config
from registry_client import code_of

UI, OTHER = 'https://ui.example.com', 'https://evil.example'
#: What every page may read of a response, and what browsers read themselves: https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
READABLE = {'cache-control', 'content-language', 'content-type', 'expires', 'last-modified', 'pragma'}
FOR_BROWSERS = {'content-security-policy', 'vary', 'x-content-type-options'}


def preflight(registry, path, origin=UI, method='DELETE', **more):
    sent = {'Origin': origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': 'authorization', **more}
    return registry('OPTIONS', path, headers=sent)


def fields(answer):
    """Return {name without `Access-Control-`: value} of a response."""
    prefix = 'Access-Control-'
    return {name.removeprefix(prefix): value for name, value in answer.headers.items() if name.startswith(prefix)}


@pytest.fixture
def access(tmp_path):
    (tmp_path / 'htpasswd').write_text(htpasswd.line('alice', 'correct horse', 4) + '\n')
    return config.Access(htpasswd=str(tmp_path / 'htpasswd'), cors_origins=(UI, 'http://localhost:8080'))


@pytest.fixture
def registry(fake_place, access):
    return fake_place.registry(access)


# Preflights


@pytest.mark.parametrize('path', ['/v2/', '/v2', '/v2/_catalog', '/v2/team/app/manifests/v1', '/v2/token', '/v2/no/such/thing'])
def test_a_preflight_needs_no_login_and_asks_nothing_of_swift(registry, path):
    answer = preflight(registry, path)

    assert (answer.status_code, answer.data) == (204, b'')
    assert 'Content-Type' not in answer.headers and not registry.swift_requests
    assert fields(answer) == {
        'Allow-Origin': UI,
        'Allow-Credentials': 'true',
        'Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
        'Allow-Headers': cors.SENT,
        'Max-Age': '7200',
        'Expose-Headers': cors.EXPOSED,
    }


NEARLY = [
    'null',
    '',
    'http://ui.example.com',
    'https://ui.example.com:8443',
    'https://ui.example.com:443',
    'https://ui.example.com/',
    'https://ui.example.com.',
    'https://x.ui.example.com',
    'https://ui.example.com.evil.example',
    'https://evil.example/https://ui.example.com',
    'https://ui.example.com@evil.example',
    'https://ada@ui.example.com',
    'HTTPS://UI.EXAMPLE.COM',
    'https://ui_example.com',
    'https://ui.example.com, https://evil.example',
    'https://ui.example.com https://evil.example',
    '*',
]


@pytest.mark.parametrize('origin', [OTHER, *NEARLY])
def test_another_site_is_allowed_nothing_however_near_its_name_is(registry, origin):
    answer = preflight(registry, '/v2/', origin)

    assert answer.status_code == 405 and not fields(answer)
    assert not fields(registry('GET', '/v2/', headers=dict(basic(), Origin=origin)))


def test_a_preflight_tells_strangers_nothing_of_what_is_there(fake_place):
    registry = fake_place.registry(config.Access(cors_origins=(UI,)))
    registry.push_image('a', 'v1', b'layer')
    answers = [preflight(registry, f'/v2/{name}/manifests/v1') for name in ('a', 'b')]

    assert {(answer.status_code, tuple(fields(answer).items())) for answer in answers} == {(204, tuple(fields(answers[0]).items()))}


def test_each_of_many_sites_is_named_alone(fake_place):
    origins = tuple(f'https://ui{number}.example.com' for number in range(1000))
    registry = fake_place.registry(config.Access(cors_origins=origins))

    for origin in (origins[0], origins[-1]):
        assert fields(registry('GET', '/v2/', headers={'Origin': origin}))['Allow-Origin'] == origin
    assert not fields(registry('GET', '/v2/', headers={'Origin': 'https://ui1000.example.com'}))


@pytest.mark.parametrize('path', ['/', '/healthz', '/readyz', '/v2x', '/metrics'])
def test_cors_is_about_the_api_only(registry, path):
    assert not fields(preflight(registry, path))
    assert not fields(registry('GET', path, headers={'Origin': UI}))


def test_an_options_that_is_no_preflight_is_refused_as_ever(registry):
    answer = registry('OPTIONS', '/v2/', headers={'Origin': UI})

    assert (answer.status_code, answer.headers['Allow']) == (405, 'GET, HEAD')


def test_without_the_setting_there_are_no_fields(fake_registry):
    assert preflight(fake_registry, '/v2/').status_code == 405
    answer = fake_registry('GET', '/v2/', headers={'Origin': UI})
    assert not fields(answer) and 'Vary' not in answer.headers


def test_a_preflight_gives_way_to_the_names_of_a_loopback_address(fake_place):
    registry = fake_place.registry(config.Access(cors_origins=(UI,)))
    registry.app._browsers._loopback_only = True

    assert preflight(registry, '/v2/', Host='evil.example').status_code == 403


# Responses


def test_the_page_of_a_site_with_a_name_may_read_a_response_to_a_login(registry):
    answer = registry('GET', '/v2/', headers=dict(basic(), Origin=UI))

    assert answer.status_code == 200
    assert fields(answer) == {'Allow-Origin': UI, 'Allow-Credentials': 'true', 'Expose-Headers': cors.EXPOSED}


def test_it_may_read_errors_as_well(registry):
    for path, sent, status in (('/v2/', {}, 401), ('/v2/a/tags/list', basic(), 404), ('/v2/nothing', basic(), 404)):
        answer = registry('GET', path, headers=dict(sent, Origin=UI))
        assert (answer.status_code, fields(answer).get('Allow-Origin')) == (status, UI), path


@pytest.mark.parametrize('sent', [{}, {'Origin': OTHER}], ids=str)
def test_a_cache_keeps_the_responses_to_sites_apart(registry, sent):
    answer = registry('GET', '/v2/', headers=dict(basic(), **sent))

    assert not fields(answer)
    assert answer.vary.to_header() == 'Origin'


def test_all_that_a_cache_may_keep_is_kept_apart(fake_place):
    """Also a 304, a 206, a HEAD and errors."""
    registry = fake_place.registry(config.Access(cors_origins=(UI,)))
    digest = registry.push_image('a', 'v1', b'layer')
    asked = [
        ('GET', '/v2/a/manifests/v1', {'If-None-Match': f'"{digest}"'}, 304),
        ('GET', f'/v2/a/manifests/{digest}', {}, 200),
        ('HEAD', f'/v2/a/manifests/{digest}', {}, 200),
        ('GET', '/v2/a/manifests/none', {}, 404),
        ('GET', '/v2/nothing', {}, 404),
        ('OPTIONS', '/v2/_catalog', {}, 405),
        ('GET', '/v2/a/manifests/' + 'x' * 5000, {}, None),
    ]
    for method, path, sent, status in asked:
        for origin in ({}, {'Origin': UI}, {'Origin': OTHER}):
            answer = registry(method, path, headers=dict(sent, **origin))
            assert answer.status_code == (status or answer.status_code) and 'Origin' in answer.vary, (method, path)
            assert fields(answer).get('Allow-Origin') == (UI if origin == {'Origin': UI} else None)


def test_every_field_that_the_api_sends_can_be_read(fake_place):
    registry = fake_place.registry(config.Access(cors_origins=(UI,)))
    digest = registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', 'v2', b'layer')
    asked = {'Origin': UI}
    location = registry('POST', '/v2/a/blobs/uploads/', headers=asked).headers['Location']
    answers = [
        registry('GET', location, headers=asked),
        registry('GET', '/v2/a/tags/list?n=1', headers=asked),
        registry('GET', f'/v2/a/manifests/{digest}', headers=asked),
        registry('GET', f'/v2/a/referrers/{digest}?artifactType=x/y', headers=asked),
        registry('POST', '/v2/a/manifests/v1', headers=asked),
    ]
    sent = {name.lower() for answer in answers for name in answer.headers.keys() if not name.startswith('Access-Control-')}

    assert {'link', 'docker-content-digest', 'oci-filters-applied', 'range', 'allow', 'docker-upload-uuid'} <= sent
    assert sent - READABLE - FOR_BROWSERS <= set(cors.EXPOSED.lower().split(', '))


def test_every_field_that_an_endpoint_names_can_be_read():
    """So that one that is added later is not forgotten."""
    named = set()
    for path in pathlib.Path(cors.__file__).parent.glob('*.py'):
        named.update(
            re.findall(r"'((?:OCI|Docker|X-Request|WWW)-[A-Za-z-]+|Link|Location|ETag|Range|Retry-After|Content-Range)'", path.read_text())
        )

    assert len(named) > 10 and named <= set(cors.EXPOSED.split(', '))


# Changes


@pytest.mark.parametrize('site', ['cross-site', 'same-site', None])
def test_the_page_of_a_site_with_a_name_may_change_what_its_user_may(registry, site):
    sent = dict(basic(), Origin=UI, **({'Sec-Fetch-Site': site} if site else {}))

    assert registry('POST', '/v2/a/blobs/uploads/', headers=sent).status_code == 202
    assert registry('POST', '/v2/a/blobs/uploads/', headers={'Origin': UI}).status_code == 401


@pytest.mark.parametrize('origin', [OTHER, 'null'])
def test_the_page_of_another_site_still_changes_nothing(registry, origin):
    answer = registry('POST', '/v2/a/blobs/uploads/', headers=dict(basic(), Origin=origin))

    assert (answer.status_code, code_of(answer)) == (403, 'DENIED')


def test_a_site_with_a_name_changes_nothing_outside_the_api(registry):
    """A form of the registry's own page must come from the registry itself."""
    assert registry('POST', '/', headers=dict(basic(), Origin=UI)).status_code == 403


def test_no_page_of_another_site_changes_the_page_for_browsers(fake_place):
    registry = fake_place.registry(config.Access(cors_origins=(UI,), ui_delete=True))
    registry.push_image('a', 'v1', b'layer')
    for sent in ({'Origin': UI}, {'Origin': UI, 'Sec-Fetch-Site': 'same-site'}):
        assert registry('POST', '/ui/a/delete/v1', headers=sent).status_code == 403
        assert not fields(registry('GET', '/ui/a/delete/v1', headers=sent))
    assert registry('GET', '/v2/a/manifests/v1').status_code == 200


# Tokens


@pytest.fixture
def tokens(fake_place, access):
    return fake_place.registry(dataclasses.replace(access, anonymous_pull=True))


@pytest.mark.parametrize('scope', ['registry:catalog:*', 'repository:a:delete'])
def test_a_browser_that_needs_a_password_for_a_token_asks_its_user(tokens, scope):
    """docker-registry-ui asks for a token without a password, and shows an error if the token is for nothing."""
    answer = tokens('GET', '/v2/token?scope=' + scope, headers={'Origin': UI})

    assert (answer.status_code, answer.headers['WWW-Authenticate']) == (401, 'Basic realm="registry"')
    assert fields(answer)['Allow-Credentials'] == 'true'
    assert tokens('GET', '/v2/token?scope=' + scope, headers=dict(basic(), Origin=UI)).status_code == 200


@pytest.mark.parametrize(
    'scope, sent',
    [
        ('repository:a:pull', {'Origin': UI}),  # everybody may
        ('repository:a:pull,push', {'Origin': UI}),
        ('', {'Origin': UI}),
        ('registry:catalog:*', {}),  # docker asks, too, and goes on with what it gets
        ('registry:catalog:*', {'Origin': OTHER}),
    ],
)
def test_whoever_else_has_no_password_gets_a_token_for_what_everybody_may(tokens, scope, sent):
    assert tokens('GET', '/v2/token?scope=' + scope, headers=sent).status_code == 200


# Pages of all sites


@pytest.fixture
def open_registry(fake_place, access):
    return fake_place.registry(dataclasses.replace(access, cors_origins=('*',)))


def test_pages_of_all_sites_may_read_without_the_password_that_the_browser_knows(open_registry):
    for sent in ({}, {'Origin': OTHER}, {'Origin': 'null'}):
        answer = open_registry('GET', '/v2/', headers=dict(basic(), **sent))
        assert fields(answer) == {'Allow-Origin': '*', 'Expose-Headers': cors.EXPOSED} and 'Vary' not in answer.headers


def test_they_may_change_nothing(open_registry):
    assert fields(preflight(open_registry, '/v2/a/manifests/v1', OTHER))['Allow-Methods'] == 'GET, HEAD'
    answer = open_registry('DELETE', '/v2/a/manifests/v1', headers=dict(basic(), Origin=OTHER))
    assert answer.status_code == 403


# The setting


@pytest.mark.parametrize(
    'text, origins',
    [
        ('https://ui.example.com', ('https://ui.example.com',)),
        (
            'HTTPS://UI.example.com:443, http://localhost:80  http://[::1]:8080',
            ('https://ui.example.com', 'http://localhost', 'http://[::1]:8080'),
        ),
        ('*', ('*',)),
    ],
)
def test_origins_are_written_as_browsers_send_them(text, origins):
    assert config.read(config.Access, {'REGISTRY_CORS_ORIGINS': text}).cors_origins == origins


@pytest.mark.parametrize(
    'text',
    [
        'ui.example.com',
        'https://ui.example.com/',
        'https://*.example.com',
        'https://a:b@ui.example.com',
        'null',
        '*, https://a',
        'http://b\u00fccher.example',
    ],
)
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ValueError, match=r'--cors-origins \(REGISTRY_CORS_ORIGINS\) must be sites without a path'):
        config.read(config.Access, {'REGISTRY_CORS_ORIGINS': text})
