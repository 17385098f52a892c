"""`registry-swift serve` with rules, and logins of the cloud in which it runs."""

import contextlib
import json

import pytest

from access_client import basic, bearer
from docker_registry.v2.access import htpasswd
from registry_process import Serving, environment, run, until
from test_keystone import application_credential, openrc


@contextlib.contextmanager
def serving(folder, environ, rules):
    (folder / 'rules').write_text(rules)
    with Serving(folder, {**environ, 'REGISTRY_RULES': str(folder / 'rules')}) as server:
        yield server


def status(server, method, path, sent=None, **more):
    return server.request(method, path, **(sent or {}), **more)[0]


def test_users_of_keystone_get_the_rights_of_their_project_and_role(keystone_swift, tmp_path):
    project = f'{keystone_swift.project}@{keystone_swift.project_domain}'
    rules = f'allow keystone:{project} pull,push team/**\nallow keystone:{project}/reader delete team/**\n'
    name = f'{keystone_swift.user}@{keystone_swift.user_domain}/{project}'
    environ = openrc(keystone_swift, REGISTRY_LOGINS='keystone')
    with serving(tmp_path, environ, rules) as server, application_credential(keystone_swift) as (credential, revoke):
        robot = f'applicationcredential-{credential["OS_APPLICATION_CREDENTIAL_ID"]}'
        logins = basic(name, keystone_swift.key), basic(robot, credential['OS_APPLICATION_CREDENTIAL_SECRET'])
        for sent in logins:
            assert status(server, 'GET', '/v2/', sent) == 200
            assert status(server, 'POST', '/v2/team/app/blobs/uploads/', sent) == 202
            assert status(server, 'GET', '/v2/other/tags/list', sent) == 403
            token = json.loads(server.request('GET', '/v2/token?scope=repository:team/app:pull,push', **sent)[2])
            assert (token['scope'], token['expires_in']) == ('repository:team/app:pull,push', 300)
            assert status(server, 'GET', '/v2/team/app/tags/list', bearer(token['token'])) == 404
        assert status(server, 'GET', '/v2/', basic(name, 'wrong')) == 401
        assert status(server, 'GET', '/v2/', basic('alice', 'wrong')) == 401
    assert 'by=keystone' in server.log and keystone_swift.key not in server.log


def test_users_of_the_swift_account_get_the_rights_of_the_account(real_swift, tmp_path):
    account, _, user = real_swift.user.partition(':')
    rules = f'allow swift:{account} pull **\nallow swift-user:{user}@{account} push **\n'
    with serving(tmp_path, environment(real_swift, REGISTRY_LOGINS='swift'), rules) as server:
        sent = basic(f'{user}@{account}', real_swift.key)
        assert status(server, 'POST', '/v2/app/blobs/uploads/', sent) == 202
        assert status(server, 'GET', '/v2/', basic(f'{user}@{account}', 'wrong')) == 401
    assert f'login user={user}@{account} by=swift' in server.log


def test_a_keystone_that_cannot_be_asked_is_no_wrong_password(fake, tmp_path):
    environ = environment(fake, REGISTRY_LOGINS='keystone', REGISTRY_KEYSTONE_URL='http://127.0.0.1:1/v3')
    with serving(tmp_path, environ, 'allow users pull **\n') as server:
        answer = server.request('GET', '/v2/', **basic('alice@Default/images', 'secret'))
        assert (answer[0], answer[1]['Retry-After']) == (503, '5')
        assert until(lambda: 'REGISTRY_KEYSTONE_URL http://127.0.0.1:1/v3: it cannot be reached' in server.log)
        assert status(server, 'GET', '/healthz') == 200


@pytest.mark.parametrize('order', ['htpasswd,keystone', 'keystone,htpasswd'])
def test_each_login_is_asked_of_the_first_that_knows_the_name(fake, tmp_path, order):
    (tmp_path / 'users').write_text(htpasswd.line('alice', 'secret', 4) + '\n')
    environ = environment(
        fake, REGISTRY_LOGINS=order, REGISTRY_KEYSTONE_URL='http://127.0.0.1:1/v3', REGISTRY_HTPASSWD=str(tmp_path / 'users')
    )
    with serving(tmp_path, environ, 'allow users pull **\n') as server:
        assert status(server, 'GET', '/v2/', basic('alice', 'secret')) == 200
        assert status(server, 'GET', '/v2/', basic('alice@Default/images', 'secret')) == 503
        assert status(server, 'GET', '/v2/', basic('nobody', 'secret')) == 401


@pytest.mark.parametrize(
    'more, named',
    [
        ({'REGISTRY_LOGINS': 'keystone'}, 'REGISTRY_KEYSTONE_URL'),
        ({'REGISTRY_LOGINS': 'swift', 'OS_AUTH_VERSION': '3', 'OS_PROJECT_NAME': 'images'}, 'OS_AUTH_VERSION'),
    ],
    ids=['keystone', 'swift'],
)
def test_a_login_that_nobody_can_check_stops_the_start(fake, tmp_path, more, named):
    (tmp_path / 'rules').write_text('allow users pull **\n')
    exit_status, _, errors = run('serve', '--port', '0', environ=environment(fake, REGISTRY_RULES=tmp_path / 'rules', **more))

    assert exit_status == 1 and named in errors and errors.count('\n') == 1


@pytest.mark.parametrize('host, warned', [('0.0.0.0', True), ('127.0.0.1', False)])
def test_passwords_of_the_cloud_want_tls(fake, tmp_path, host, warned):
    environ = environment(fake, REGISTRY_LOGINS='swift', REGISTRY_HOST=host)
    with serving(tmp_path, environ, 'allow users pull **\n') as server:
        assert ('reach this registry without TLS' in server.log) == warned
