"""Tokens for forms, as docker and containerd send them, and refresh tokens."""

import time

import pytest
from werkzeug.datastructures import MultiDict

from access_client import basic, bearer, replace
from docker_registry.v2.access import htpasswd, tokens
from docker_registry.v2.http import token_endpoint
from docker_registry.v2.settings.config import Access
from registry_client import code_of

FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
PASSWORD = {'grant_type': 'password', 'username': 'alice', 'password': 'correct horse', 'service': 'x', 'client_id': 'test'}
PULL = 'repository:team/app:pull'


@pytest.fixture
def users(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'correct horse', 4))
    return str(tmp_path / 'htpasswd')


@pytest.fixture
def public(fake_place, users):
    return fake_place.registry(Access(htpasswd=users, anonymous_pull=True))


def post(registry, form, *scopes, **more):
    return registry('POST', '/v2/token', body=MultiDict([*form.items(), *(('scope', scope) for scope in scopes)]), **more)


def refresh_token(registry):
    return post(registry, {**PASSWORD, 'access_type': 'offline'}).json['refresh_token']


def refresh(registry, token, *scopes, **more):
    return post(registry, {'grant_type': 'refresh_token', 'refresh_token': token, 'service': 'x', 'client_id': 'test'}, *scopes, **more)


def opens_catalog(registry, answer):
    return registry('GET', '/v2/_catalog', headers=bearer(answer.json['access_token'])).status_code == 200


# Passwords


def test_a_password_in_a_form_gets_a_token(public):
    answer = post(public, PASSWORD, PULL + ' registry:catalog:*')

    assert answer.status_code == 200 and answer.headers['Cache-Control'] == 'no-store'
    assert set(answer.json) == {'token', 'access_token', 'expires_in', 'issued_at', 'scope'}
    assert answer.json['scope'] == PULL + ' registry:catalog:*'
    assert opens_catalog(public, answer)


def test_several_scopes_in_a_form(public):
    assert post(public, PASSWORD, PULL, 'repository:b:pull').json['scope'] == PULL + ' repository:b:pull'


def test_a_password_of_any_bytes(fake_place, tmp_path):
    (tmp_path / 'htpasswd').write_bytes('älïce:%b\n'.encode() % htpasswd.make(b'p\xc3\xa4ss:&=+ \xff', 4))
    registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), anonymous_pull=True))
    body = b'grant_type=password&username=%C3%A4l%C3%AFce&password=p%C3%A4ss%3A%26%3D%2B+%FF'

    assert registry('POST', '/v2/token', body, headers=FORM).status_code == 200


@pytest.mark.parametrize('form', [{**PASSWORD, 'password': 'wrong'}, {**PASSWORD, 'username': 'nobody'}, {**PASSWORD, 'username': ''}])
def test_a_wrong_password_in_a_form_gets_no_token(public, form):
    answer = post(public, form)

    assert (answer.status_code, code_of(answer)) == (401, 'UNAUTHORIZED')
    assert answer.headers['WWW-Authenticate'] == 'Basic realm="registry"'


def test_wrong_passwords_count_wherever_they_are_sent(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, login_failures=2))
    assert post(registry, {**PASSWORD, 'password': 'one'}).status_code == 401
    assert registry('GET', '/v2/token', headers=basic(password='two')).status_code == 401

    assert post(registry, PASSWORD).status_code == 429


def test_an_old_password_counts_once_wherever_it_is_sent(fake_place, users):
    """containerd sends it in a form first, and then in a header."""
    registry = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, login_failures=2))
    for _ in range(3):
        assert post(registry, {**PASSWORD, 'password': 'old'}).status_code == 401
        assert registry('GET', '/v2/token', headers=basic(password='old')).status_code == 401

    assert post(registry, PASSWORD).status_code == 200


@pytest.mark.parametrize(
    'body, status',
    [
        (b'', 400),
        (b'\xff\x00', 400),
        (b'{"grant_type": "password"}', 400),
        (b'grant_type=authorization_code&code=x', 400),
        (b'grant_type=password&username=alice', 400),
        (b'grant_type=refresh_token', 400),
        (b'grant_type=password&username=alice&password=correct+horse&scope=' + b'x' * 5000, 400),
        (b'a=&' * (token_endpoint.MOST_FIELDS + 1), 400),
        (b'a=' + b'x' * token_endpoint.LONGEST_FORM, 413),
    ],
)
def test_a_form_that_is_not_understood_is_refused(public, body, status):
    answer = public('POST', '/v2/token', body, headers=FORM)

    assert (answer.status_code, code_of(answer)) == (status, 'UNSUPPORTED')


def test_there_are_no_forms_where_nobody_needs_a_token(fake_place, fake_registry, users):
    for registry in (fake_registry, fake_place.registry(Access(htpasswd=users))):
        assert post(registry, PASSWORD).status_code == 404


# Refresh tokens


def test_a_refresh_token_gets_tokens_for_any_scope(public):
    token = refresh_token(public)

    for scope in (PULL, 'registry:catalog:*'):
        answer = refresh(public, token, scope)
        assert (answer.status_code, answer.json['scope']) == (200, scope)
    assert opens_catalog(public, answer)


def test_a_refresh_token_is_given_only_if_it_is_asked_for(public):
    token = refresh_token(public)

    assert 'refresh_token' not in post(public, PASSWORD).json
    assert 'refresh_token' not in public('GET', '/v2/token', headers=basic()).json
    assert 'refresh_token' not in refresh(public, token).json
    assert 'refresh_token' not in public('GET', '/v2/token?offline_token=true').json  # nobody has logged in


def test_a_login_of_docker_gets_a_refresh_token(public):
    answer = public('GET', '/v2/token?account=alice&client_id=docker&offline_token=true&service=x', headers=basic()).json

    assert answer['scope'] == ''
    assert public('GET', '/v2/', headers=bearer(answer['token'])).status_code == 200
    assert refresh(public, answer['refresh_token'], PULL).json['scope'] == PULL


def test_who_asks_for_a_refresh_token_with_one_keeps_it(public):
    token = refresh_token(public)
    form = {'grant_type': 'refresh_token', 'refresh_token': token, 'access_type': 'offline'}

    assert post(public, form).json['refresh_token'] == token


def test_a_refresh_token_opens_nothing_itself(public):
    for method, path in (('GET', '/v2/'), ('GET', '/v2/_catalog'), ('GET', '/v2/team/app/tags/list')):
        answer = public(method, path, headers=bearer(refresh_token(public)))
        assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers['WWW-Authenticate']


def test_a_token_does_not_refresh(public):
    assert refresh(public, post(public, PASSWORD).json['access_token']).status_code == 401


@pytest.mark.parametrize(
    'after', [b'bob:%b\n' % htpasswd.make(b'battery', 4), b'alice:%b\n' % htpasswd.make(b'another', 4)], ids=['removed', 'changed']
)
def test_a_refresh_token_ends_with_the_password(public, users, after):
    token = refresh_token(public)
    replace(users, after)
    answer = refresh(public, token, PULL)

    assert (answer.status_code, code_of(answer)) == (401, 'UNAUTHORIZED')
    assert 'log in again' in answer.json['errors'][0]['message']


def test_a_refresh_token_ends_after_a_year(public, monkeypatch):
    token, now = refresh_token(public), time.time()
    monkeypatch.setattr(time, 'time', lambda: now + tokens.REFRESH_SECONDS - 10)
    assert refresh(public, token).status_code == 200
    monkeypatch.setattr(time, 'time', lambda: now + tokens.REFRESH_SECONDS + 100)

    assert refresh(public, token).status_code == 401


@pytest.mark.parametrize('token', ['', 'x', 'x.y', '\xff', 'a' * 10000])
def test_a_refresh_token_that_is_not_ours_is_no_good(public, token):
    assert refresh(public, token).status_code == 401


@pytest.mark.parametrize('more', ['%FF%FF', '%C3%A9', '%7E%7E', '%3D', '%00%00'])
def test_a_refresh_token_with_characters_that_no_token_has_is_no_good(public, more):
    """base64 would ignore them."""
    body = f'grant_type=refresh_token&access_type=offline&refresh_token={refresh_token(public)}{more}'

    assert public('POST', '/v2/token', body.encode(), headers=FORM).status_code == 401


def test_a_refresh_token_is_good_at_every_instance_and_nowhere_else(fake_place, public, users):
    token = refresh_token(public)

    assert refresh(fake_place.registry(Access(htpasswd=users, anonymous_pull=True)), token).status_code == 200
    foreign = fake_place.registry(Access(htpasswd=users, anonymous_pull=True), upload_secret='another')
    assert refresh(foreign, token).status_code == 401


def test_who_guesses_refresh_tokens_has_to_wait(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, login_failures=2))

    assert [refresh(registry, f'guess-{number}').status_code for number in range(4)] == [401, 401, 429, 429]


def test_an_old_refresh_token_counts_once(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, login_failures=2))
    token = refresh_token(registry)
    replace(users, b'alice:%b\n' % htpasswd.make(b'another', 4))

    assert [refresh(registry, token).status_code for _ in range(5)] == [401] * 5
    assert post(registry, {**PASSWORD, 'password': 'another'}).status_code == 200


def test_refresh_tokens_of_a_file_that_cannot_be_used_are_not_called_wrong(public, users):
    token = refresh_token(public)
    replace(users, b'alice:plain\n')

    assert refresh(public, token).status_code == 503
