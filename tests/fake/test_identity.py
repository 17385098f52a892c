# -*- coding: utf-8 -*-
"""Logins: v1, Keystone v2 and v3."""

import json

import pytest

from fake_swift import FakeSwift


def test_v1_login_gives_a_storage_url_and_a_token_that_is_let_in(swift, client):
    answer = client.login()
    assert answer.status == 200
    assert answer.headers['x-storage-url'] == swift.storage_url
    assert answer.headers['x-storage-token'] == answer.headers['x-auth-token']
    assert 86390 <= int(answer.headers['x-auth-token-expires']) <= 86400
    assert client.storage('HEAD', '/c').status == 204


@pytest.mark.parametrize('login', [('nobody', 'testing'), ('test:tester', 'wrong')])
def test_v1_login_refuses_wrong_credentials(client, login):
    assert client.login(*login).status == 401


def test_v1_login_gives_the_same_token_while_it_lives(swift, client):
    first = client.login().headers['x-auth-token']
    assert client.login().headers['x-auth-token'] == first
    swift.expire_tokens()
    assert client.login().headers['x-auth-token'] != first


def test_a_request_without_a_token_answers_401(client):
    answer = client.ask('GET', '/v1/AUTH_test/c')
    assert (answer.status, answer.headers['www-authenticate']) == (401, 'Swift realm="AUTH_test"')


def test_another_account_answers_403(client):
    client.storage('HEAD')
    assert client.ask('GET', '/v1/AUTH_other/c', headers={'X-Auth-Token': client.token}).status == 403


def test_expired_tokens_answer_401_until_the_next_login(swift, client):
    assert client.storage('HEAD', '/c').status == 204
    swift.expire_tokens()
    assert client.storage('HEAD', '/c').status == 401
    client.token = None
    assert client.storage('HEAD', '/c').status == 204


def test_tokens_expire_by_themselves(make):
    _, client = make(token_life=0)
    assert client.storage('HEAD', '/c').status == 401


def keystone_3(client, identity, scope=None):
    auth = {'identity': identity, 'scope': scope} if scope else {'identity': identity}
    return client.ask('POST', '/v3/auth/tokens', json.dumps({'auth': auth}))


def password_of(user):
    return {'methods': ['password'], 'password': {'user': dict({'password': 'testing'}, **user)}}


BY_NAME = {'name': 'tester', 'domain': {'name': 'Default'}}
BY_ID = {'id': FakeSwift.user_id}


@pytest.mark.parametrize('user', [BY_NAME, BY_ID, {'name': 'tester', 'domain': {'id': 'default'}}])
@pytest.mark.parametrize('project', [{'name': 'test', 'domain': {'id': 'default'}}, {'id': FakeSwift.project_id}])
def test_v3_password_login_by_names_and_ids(client, user, project):
    answer = keystone_3(client, password_of(user), {'project': project})
    assert answer.status == 201
    client.token = answer.headers['x-subject-token']
    assert client.storage('HEAD', '/c').status == 204


@pytest.mark.parametrize('user, project', [
    ({'name': 'tester'}, {'id': FakeSwift.project_id}),
    (BY_NAME, {'name': 'test', 'domain': {'name': 'Elsewhere'}}),
    ({'name': 'tester', 'domain': {'name': 'Default'}, 'password': 'wrong'}, {'id': FakeSwift.project_id})])
def test_v3_password_login_refuses_what_is_missing_or_wrong(client, user, project):
    answer = keystone_3(client, password_of(user), {'project': project})
    assert (answer.status, answer.json['error']['code']) == (401, 401)


@pytest.mark.parametrize('given, status', [
    ({'id': 'c4ed', 'secret': 'hush'}, 201), ({'name': 'registry', 'secret': 'hush', 'user': BY_NAME}, 201),
    ({'name': 'registry', 'secret': 'hush', 'user': BY_ID}, 201), ({'name': 'registry', 'secret': 'hush'}, 401),
    ({'id': 'c4ed', 'secret': 'wrong'}, 401)])
def test_v3_application_credentials(client, given, status):
    answer = keystone_3(client, {'methods': ['application_credential'], 'application_credential': given})
    assert answer.status == status


def test_v3_login_by_trust(client):
    assert keystone_3(client, password_of(BY_ID), {'OS-TRUST:trust': {'id': FakeSwift.trust_id}}).status == 201


def test_v3_login_without_a_scope_has_no_catalog(client):
    assert 'catalog' not in keystone_3(client, password_of(BY_ID)).json['token']


def test_v3_catalog_has_two_regions_and_two_interfaces(swift, client):
    answer = keystone_3(client, password_of(BY_ID), {'project': {'id': FakeSwift.project_id}})
    (service,) = answer.json['token']['catalog']
    urls = dict(((endpoint['region'], endpoint['interface']), endpoint['url']) for endpoint in service['endpoints'])
    assert service['type'] == 'object-store'
    assert urls == {
        ('RegionOne', 'public'): swift.storage_url,
        ('RegionOne', 'internal'): swift.storage_url.replace('127.0.0.1', 'localhost'),
        ('RegionTwo', 'public'): swift.storage_url + '_two',
        ('RegionTwo', 'internal'): swift.storage_url.replace('127.0.0.1', 'localhost') + '_two'}


@pytest.mark.parametrize('tenant, status', [
    ({'tenantName': 'test'}, 200), ({'tenantId': FakeSwift.project_id}, 200), ({'tenantName': 'x'}, 401)])
def test_v2_login(client, tenant, status):
    login = {'passwordCredentials': {'username': 'tester', 'password': 'testing'}}
    answer = client.ask('POST', '/v2.0/tokens', json.dumps({'auth': dict(login, **tenant)}))
    assert answer.status == status


def test_v2_catalog_and_token_are_let_in(swift, client):
    login = {'passwordCredentials': {'username': 'tester', 'password': 'testing'}, 'tenantName': 'test'}
    access = client.ask('POST', '/v2.0/tokens', json.dumps({'auth': login})).json['access']
    assert access['serviceCatalog'][0]['endpoints'][0]['publicURL'] == swift.storage_url
    client.token = access['token']['id']
    assert client.storage('HEAD', '/c').status == 204


@pytest.mark.parametrize('url', ['url', 'auth_url_v3'])
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_keystoneauth_logs_in_and_finds_the_endpoint(swift, url):
    pytest.importorskip('keystoneauth1')
    from keystoneauth1 import session
    from keystoneauth1.identity import generic
    auth = generic.Password(auth_url=getattr(swift, url), username='tester', password='testing', project_name='test',
                            user_domain_name='Default', project_domain_name='Default')
    client = session.Session(auth=auth)
    found = client.get_endpoint(service_type='object-store', interface='public', region_name='RegionTwo')
    client.session.close()
    assert found == swift.storage_url + '_two'


def test_the_regions_hold_different_containers(swift, client):
    client.storage('HEAD')
    assert client.ask('PUT', '/v1/AUTH_test_two/c2', headers={'X-Auth-Token': client.token}).status == 201
    assert list(swift.accounts['AUTH_test_two'].containers) == ['c2']
    assert list(swift.containers) == ['c']
