"""What is common to all requests: routes, errors, the log, health checks."""

import logging
import re

import pytest
from hypothesis import given, settings, strategies
from werkzeug.test import Client

from docker_registry.v2.http import readiness
from docker_registry.v2.registry import errors
from docker_registry.v2.settings.config import Config, ServerSettings
from fake_swift import lost_answer, on, status
from registry_client import Registry, code_of, digest_of


def test_the_api_is_there(registry):
    for path in ('/v2/', '/v2'):
        answer = registry('GET', path)
        assert (answer.status_code, answer.json) == (200, {})
        assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'


@pytest.mark.parametrize('path', ['/v1/_ping', '/v2/a', '/v2/a/nothing', '/v2/a/blobs/', '/v2//blobs/x/y', '/v2/a%0A/tags/list'])
def test_no_such_endpoint(fake_registry, path):
    answer = fake_registry('GET', path)

    assert (answer.status_code, code_of(answer)) == (404, 'UNSUPPORTED')


@pytest.mark.parametrize(
    'method, path, allowed',
    [
        ('POST', '/v2/', 'GET, HEAD'),
        ('PUT', '/v2/a/tags/list', 'GET, HEAD'),
        ('DELETE', '/v2/_catalog', 'GET, HEAD'),
        ('POST', '/v2/a/manifests/v1', 'DELETE, GET, HEAD, PUT'),
        ('POST', '/v2/a/blobs/x', 'DELETE, GET, HEAD'),
        ('GET', '/v2/a/blobs/uploads/', 'POST'),
        ('HEAD', '/v2/a/blobs/uploads/', 'POST'),
        ('POST', '/v2/a/blobs/uploads/x', 'DELETE, GET, HEAD, PATCH, PUT'),
        ('OPTIONS', '/healthz', 'GET, HEAD'),
    ],
)
def test_a_method_that_is_not_supported(fake_registry, method, path, allowed):
    answer = fake_registry(method, path)

    assert answer.status_code == 405
    assert answer.headers['Allow'] == allowed
    assert method == 'HEAD' or code_of(answer) == 'UNSUPPORTED'


def test_an_error_without_a_detail_has_no_such_field(fake_registry):
    (error,) = fake_registry('POST', '/v2/').json['errors']

    assert set(error) == {'code', 'message'}


@pytest.mark.parametrize('name', ['blobs', 'a/manifests', 'manifests/uploads', 'a/tags/list', 'a/blobs/uploads', 'v2/referrers/x'])
def test_a_repository_may_be_named_like_an_endpoint(registry, name):
    digest = registry.push_image(name, 'v1', b'layer')

    assert registry('GET', f'/v2/{name}/manifests/v1').headers['Docker-Content-Digest'] == digest
    assert registry('GET', f'/v2/{name}/tags/list').json == {'name': name, 'tags': ['v1']}
    assert registry('GET', f'/v2/{name}/blobs/' + digest_of(b'layer')).data == b'layer'


ENDPOINTS = [
    ('GET', '/v2/{name}/tags/list?n={text}&last={text}'),
    ('GET', '/v2/_catalog?n={text}&last={text}'),
    ('GET', '/v2/{name}/manifests/{text}'),
    ('PUT', '/v2/{name}/manifests/{text}'),
    ('DELETE', '/v2/{name}/manifests/{text}'),
    ('GET', '/v2/{name}/blobs/{text}'),
    ('HEAD', '/v2/{name}/blobs/{text}'),
    ('DELETE', '/v2/{name}/blobs/{text}'),
    ('POST', '/v2/{name}/blobs/uploads/?digest={text}'),
    ('POST', '/v2/{name}/blobs/uploads/?mount={text}&from={text}'),
    ('PATCH', '/v2/{name}/blobs/uploads/{text}'),
    ('PUT', '/v2/{name}/blobs/uploads/{text}?digest={text}'),
    ('GET', '/v2/{name}/blobs/uploads/{text}'),
    ('GET', '/v2/{name}/referrers/{text}?last={text}'),
]
HEADERS = ['Range', 'Content-Range', 'Content-Type', 'If-None-Match', 'If-Range', 'X-Request-Id', 'Transfer-Encoding']
texts = strategies.one_of(
    strategies.text(max_size=40),
    strategies.sampled_from(['..', '%2e%2e', '%00', 'a%2F..%2Fb', 'sha256:' + 'a' * 64, 'v1', '~', '?', '#']),
    strategies.from_regex(r'[ -~]{0,30}'),
)
printable = strategies.from_regex('[ -~]{0,30}', fullmatch=True)


@settings(max_examples=300)
@given(
    endpoint=strategies.sampled_from(ENDPOINTS),
    name=strategies.one_of(strategies.just('a'), texts),
    text=texts,
    fields=strategies.dictionaries(strategies.sampled_from(HEADERS), printable, max_size=3),
    body=strategies.binary(max_size=30),
)
def test_nonsense_is_the_clients_fault(fake_registry, endpoint, name, text, fields, body):
    method, path = endpoint
    target = path.format(name=name, text=text)
    try:
        target.encode()
    except UnicodeEncodeError:
        return
    with Client(fake_registry.app).open(target, method=method, data=body, headers=fields) as answer:  # closed, it gives its place back
        assert 400 <= answer.status_code < 500 or answer.status_code in (200, 202), (answer, answer.data)
        if answer.status_code >= 400 and method != 'HEAD':
            assert {'code', 'message'} <= set(answer.json['errors'][0]) <= {'code', 'message', 'detail'}


@settings(max_examples=100)
@given(wanted=strategies.one_of(strategies.from_regex('bytes=[0-9]{0,3}-[0-9]{0,3}', fullmatch=True), texts))
def test_any_range_is_answered_or_refused(fake_registry, wanted):
    if not wanted.isprintable() or not wanted.isascii():
        return
    content = bytes(range(200))
    if not fake_registry.swift_requests:
        fake_registry.push_blob('a', content)

    answer = fake_registry('GET', '/v2/a/blobs/' + digest_of(content), headers={'Range': wanted})

    assert answer.status_code in (200, 206, 416)
    if answer.status_code == 206:
        first, last = map(int, re.match(r'bytes (\d+)-(\d+)/200', answer.headers['Content-Range']).groups())
        assert answer.data == content[first : last + 1]


@pytest.mark.parametrize(
    'trouble',
    [status(503, {'Retry-After': '7'}), status(500), status(403), status(401), status(507), lost_answer()],
    ids=['503', '500', '403', '401', '507', 'cut'],
)
@pytest.mark.parametrize(
    'method, path',
    [
        ('GET', '/v2/a/manifests/v1'),
        ('HEAD', '/v2/a/blobs/' + digest_of(b'x')),
        ('GET', '/v2/a/blobs/' + digest_of(b'x')),
        ('DELETE', '/v2/a/blobs/' + digest_of(b'x')),
        ('DELETE', '/v2/a/manifests/v1'),
        ('GET', '/v2/a/tags/list'),
        ('GET', '/v2/_catalog'),
        ('GET', '/v2/a/referrers/' + digest_of(b'x')),
        ('POST', '/v2/a/blobs/uploads/?digest=' + digest_of(b'x')),
        ('POST', '/v2/a/blobs/uploads/?from=b&mount=' + digest_of(b'x')),
        ('GET', '/readyz'),
    ],
)
def test_trouble_with_storage_is_503_and_never_404(fake_place, trouble, method, path):
    registry = instance(fake_place, swift_retries=0)
    fake_place.server.fault(on(kind='object'), trouble, times=None)
    fake_place.server.fault(on('GET', kind='container'), trouble, times=None)

    answer = registry(method, path, b'x' if method == 'POST' else b'')

    assert answer.status_code == 503
    assert int(answer.headers['Retry-After']) > 0
    assert method == 'HEAD' or code_of(answer) == 'UNAVAILABLE'


def instance(place, **settings):
    return Registry(place.storage(**settings), Config())


def test_swifts_own_retry_after_is_passed_on(fake_place):
    registry = instance(fake_place, swift_retries=0)
    fake_place.server.fault(on(kind='object'), status(503, {'Retry-After': '17'}), times=None)

    assert registry('GET', '/v2/a/manifests/v1').headers['Retry-After'] == '17'


def test_a_full_quota_is_said(fake_place):
    registry = instance(fake_place)
    fake_place.server.fault(on('PUT', kind='object'), status(413), times=None)

    answer = registry('POST', '/v2/a/blobs/uploads/?digest=' + digest_of(b'x'), b'x')

    assert (answer.status_code, code_of(answer)) == (403, 'DENIED')


def test_an_error_of_ours_is_500_without_a_traceback(fake_registry, caplog):
    fake_registry.app.tags.page = None

    answer = fake_registry('GET', '/v2/a/tags/list')

    assert (answer.status_code, code_of(answer)) == (500, 'UNKNOWN')
    assert 'Traceback' not in answer.text
    assert 'TypeError' in caplog.text


def test_each_request_is_one_line_of_log(fake_registry, caplog):
    digest = fake_registry.push_blob('a', b'12345')
    location = fake_registry.upload('a')
    caplog.clear()
    with caplog.at_level(logging.INFO, 'docker_registry.v2.http.requests'):
        fake_registry('GET', f'/v2/a/blobs/{digest}', headers={'X-Request-Id': 'mine'})
        fake_registry('GET', location)

    first, second = caplog.messages
    assert re.fullmatch(rf'GET /v2/a/blobs/{digest} 200 5 \d+\.\d\d\d swift=2 from=- user=- id=mine', first)
    assert re.fullmatch(r'GET /v2/a/blobs/uploads/\.\.\. 204 0 \d+\.\d\d\d swift=0 from=- user=- id=[0-9a-f]{16}', second)


def test_nobody_can_write_a_line_of_the_log(fake_registry, caplog):
    with caplog.at_level(logging.INFO, 'docker_registry.v2.http.requests'):
        fake_registry('GET', '/v2/x%0a2026-11-25%20INFO%20[1]%20forged%0d%1b[31m%e2%80%a8')

    (message,) = caplog.messages
    assert message.isascii() and message.isprintable() and r'x\n2026' in message


def test_alive_and_ready(place, monkeypatch):
    monkeypatch.setattr(readiness, 'PATIENCE', 60)  # a real Swift on a busy machine
    registry = place.registry()

    assert registry('GET', '/healthz').status_code == 200
    assert registry('GET', '/readyz').status_code == 200


def test_alive_but_not_ready_without_swift(fake_place):
    registry = instance(fake_place, swift_retries=0)
    fake_place.server.refuse_connections()

    assert registry('GET', '/healthz').status_code == 200
    assert registry('GET', '/readyz').status_code == 503


def test_a_client_that_goes_away_gives_the_connection_back(fake_place):
    registry = instance(fake_place, swift_pool_size=2)
    content = b'x' * 2000000
    digest = registry.push_blob('a', content)

    for _ in range(5):
        answer = Client(registry.app).open(f'/v2/a/blobs/{digest}')
        next(iter(answer.response))
        answer.close()

    assert registry('GET', f'/v2/a/blobs/{digest}').data == content


def test_other_servers_may_forget_to_close_a_response(fake_registry):
    """Only our own server limits the requests of an address: it always closes the responses."""
    for _ in range(2 * ServerSettings.threads):
        assert Client(fake_registry.app).get('/v2/a/manifests/v1').status_code == 404  # nobody reads the body


def test_docker_does_not_repeat_what_the_rules_refuse():
    """Its client gives up on the code DENIED only if the message is not the one that CNCF distribution has for the code."""
    assert errors.Denied.message != 'requested access to the resource is denied'
