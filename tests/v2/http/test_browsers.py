"""Requests that a foreign web page makes a browser send."""

import pytest

from access_client import basic
from docker_registry.v2.access import htpasswd
from docker_registry.v2.settings import config
from registry_client import code_of
from registry_process import Serving, environment

CHANGES = [
    ('POST', '/v2/a/blobs/uploads/'),
    ('PUT', '/v2/a/manifests/v1'),
    ('DELETE', '/v2/a/manifests/v1'),
    ('PATCH', '/v2/a/blobs/uploads/x'),
]
FOREIGN = [
    {'Origin': 'https://evil.example'},
    {'Origin': 'null'},
    {'Origin': 'http://localhost:8080'},
    {'Origin': 'http://[broken'},
    {'Sec-Fetch-Site': 'cross-site'},
    {'Sec-Fetch-Site': 'same-site'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'http://localhost'},
]


@pytest.fixture
def users(tmp_path):
    (tmp_path / 'htpasswd').write_text(htpasswd.line('alice', 'correct horse', 4) + '\n')
    return str(tmp_path / 'htpasswd')


@pytest.mark.parametrize('method, path', CHANGES)
@pytest.mark.parametrize('sent', FOREIGN, ids=str)
def test_the_page_of_another_site_changes_nothing(fake_registry, method, path, sent):
    answer = fake_registry(method, path, headers=sent)

    assert (answer.status_code, code_of(answer)) == (403, 'DENIED')
    assert not fake_registry.swift_requests


def test_it_changes_nothing_with_the_password_that_the_browser_knows(fake_place, users):
    registry = fake_place.registry(config.Access(htpasswd=users))
    assert registry('POST', '/v2/a/blobs/uploads/', headers=basic()).status_code == 202

    assert registry('POST', '/v2/a/blobs/uploads/', headers=dict(basic(), Origin='https://evil.example')).status_code == 403


@pytest.mark.parametrize(
    'sent', [{}, {'Origin': 'http://LOCALHOST'}, {'Sec-Fetch-Site': 'same-origin'}, {'Sec-Fetch-Site': 'none'}], ids=str
)
def test_the_registrys_own_pages_and_clients_that_are_no_browsers_may(fake_registry, sent):
    assert fake_registry('POST', '/v2/a/blobs/uploads/', headers=sent).status_code == 202


@pytest.mark.parametrize('sent', FOREIGN, ids=str)
def test_a_link_to_the_registry_works(fake_registry, sent):
    assert fake_registry('GET', '/v2/', headers=sent).status_code == 200


def test_behind_a_proxy_the_host_is_that_of_the_client(fake_place):
    access = config.read(config.Access, {'REGISTRY_TRUSTED_PROXIES': '127.0.0.1'})
    sent = {'X-Forwarded-Host': 'hub.example.com', 'Origin': 'https://hub.example.com'}
    through = {'environ_overrides': {'REMOTE_ADDR': '127.0.0.1'}}

    assert fake_place.registry(access)('POST', '/v2/a/blobs/uploads/', headers=sent, **through).status_code == 202
    assert fake_place.registry()('POST', '/v2/a/blobs/uploads/', headers=sent, **through).status_code == 403


# DNS rebinding


HOSTS = [
    ('localhost:5000', 200),
    ('registry.localhost', 200),
    ('127.0.0.1:{port}', 200),
    ('[::1]:5000', 200),
    ('evil.example:{port}', 403),
    ('192.0.2.1', 403),
    ('localhost.evil.example', 403),
]


def statuses(server):
    return [server.request('GET', '/v2/', Host=host.format(port=server.port))[0] for host, _ in HOSTS]


def test_without_passwords_a_loopback_address_has_no_other_names(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        assert statuses(server) == [status for _, status in HOSTS]
        body = server.request('GET', '/v2/', Host='evil.example')[2].decode()

    assert 'REGISTRY_HTPASSWD' in body and 'REGISTRY_TRUSTED_PROXIES' in body and 'evil.example' in body


@pytest.mark.parametrize('variables', [{'REGISTRY_TRUSTED_PROXIES': '127.0.0.1'}, {'REGISTRY_HOST': '0.0.0.0'}, {'REGISTRY_HOST': '::'}])
def test_behind_a_proxy_and_at_other_addresses_a_registry_has_any_name(fake, tmp_path, variables):
    with Serving(tmp_path, environment(fake, **variables)) as server:
        assert statuses(server) == [200] * len(HOSTS)


def test_with_passwords_a_registry_has_any_name(fake, tmp_path, users):
    with Serving(tmp_path, environment(fake, REGISTRY_HTPASSWD=users)) as server:
        assert server.request('GET', '/v2/', Host='hub.example.com', **basic())[0] == 200


def test_a_request_without_a_host_comes_from_no_browser(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        with server.raw('GET /v2/ HTTP/1.0\r\n\r\n').makefile('rb') as answer:
            assert b' 200 ' in answer.readline()
