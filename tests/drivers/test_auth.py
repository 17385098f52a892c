# -*- coding: utf-8 -*-
"""Logins: v1 auth, Keystone v2 and v3, an existing token, TLS, and the errors when a login fails."""
import io
import logging
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import warnings

import pytest
import requests

import fake_swift
from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from docker_registry.drivers.swift import Storage
from fake_swift import on, status

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # the last version for Python 2.7 warns that it is the last
    import responses

AUTH, URL = 'http://swift.example.com/auth/v1.0', 'http://storage.example.com/v1/AUTH_account'
SECRET = u's3cr3t p\xe4ss'.encode('utf-8') if sys.version_info[0] < 3 else u's3cr3t p\xe4ss'


def v1_config(**more):
    return dict({'swift_authurl': AUTH, 'swift_user': 'account:user', 'swift_password': SECRET, 'swift_container': 'c',
                 'swift_retry_max_wait': 0, 'swift_retries': 2}, **more)


def refusal(call, *arguments):
    """The driver's error that a call raises. Checks that neither the error nor the traceback shows a secret."""
    with pytest.raises(exceptions.UnspecifiedError) as raised:
        call(*arguments)
    shown = ''.join(traceback.format_exception(raised.type, raised.value, raised.tb)) + repr(raised.value)
    for secret in ('s3cr3t', 'AUTH_tk', 'hush'):
        assert secret not in shown
    return raised.value


@pytest.fixture
def web():
    if not hasattr(requests.packages.urllib3.util.url.Url, 'url'):
        pytest.skip('requests %s is too old for the library responses' % requests.__version__)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def login_answers(web, headers=None, **more):
    web.add(responses.GET, AUTH, headers=dict({'X-Storage-Url': URL, 'X-Auth-Token': 'AUTH_tk1'}, **(headers or {})), **more)


def header_of(request, name):
    value = request.headers[name]
    return value.decode('utf-8') if isinstance(value, bytes) else value


class TestVersion1(object):

    @pytest.fixture(autouse=True)
    def an_object(self, web):
        web.add(responses.HEAD, URL + '/c/o', headers={'X-Timestamp': '1'})

    @pytest.mark.parametrize('user', ['user', 'account:user', 'SLOS1-2:account:user', ':', u'\xfcser'])
    def test_user_and_key_are_sent_whole(self, web, user):
        login_answers(web)
        assert Storage(config=v1_config(swift_user=user)).exists('o')

        login, head = [call.request for call in web.calls]
        assert header_of(login, 'X-Auth-User') == user and header_of(login, 'X-Auth-Key') == u's3cr3t p\xe4ss'
        assert header_of(head, 'X-Auth-Token') == 'AUTH_tk1' and head.url == URL + '/c/o'

    def test_the_token_may_be_in_x_storage_token_only(self, web):
        web.add(responses.GET, AUTH, headers={'X-Storage-Url': URL, 'X-Storage-Token': 'AUTH_tk2'})
        assert Storage(config=v1_config()).exists('o')

        assert header_of(web.calls[1].request, 'X-Auth-Token') == 'AUTH_tk2'

    def test_a_storage_url_that_is_set_is_used(self, web):
        login_answers(web)
        web.add(responses.HEAD, 'http://elsewhere.example.com/v1/A/c/o')

        assert Storage(config=v1_config(swift_object_storage_url='http://elsewhere.example.com/v1/A/')).exists('o')

    def test_the_login_carries_no_token_and_is_one(self, web):
        login_answers(web)
        storage = Storage(config=v1_config())
        for _ in range(3):
            storage.exists('o')

        assert [call.request.url for call in web.calls] == [AUTH] + 3 * [URL + '/c/o']

    @pytest.mark.parametrize('headers', [{}, {'X-Storage-Url': URL}, {'X-Auth-Token': 'AUTH_tk1'}])
    @pytest.mark.parametrize('code', [200, 204, 300, 301, 302, 400, 404, 405, 410])
    def test_something_else_than_v1_auth_is_said(self, web, headers, code):
        web.add(responses.GET, AUTH, body='<html>welcome</html>' if code != 204 else '', status=code, headers=headers)
        error = refusal(Storage(config=v1_config()).exists, 'o')

        assert type(error) is exceptions.ConfigError and error.status == code
        assert 'swift_authurl' in str(error) and 'swift_auth_version' in str(error) and AUTH in str(error)
        assert len(web.calls) == 1

    @pytest.mark.parametrize('code', [401, 403])
    def test_wrong_credentials_are_said(self, web, code):
        login_answers(web, status=code)
        error = refusal(Storage(config=v1_config()).exists, 'o')

        assert type(error) is exceptions.ConfigError and error.status == code
        assert 'swift_user' in str(error) and 'swift_password' in str(error) and len(web.calls) == 1

    @pytest.mark.parametrize('code', [408, 429, 498, 500, 502, 503, 504])
    def test_a_login_that_fails_in_passing_is_tried_again(self, web, code):
        web.add(responses.GET, AUTH, status=code)
        login_answers(web)

        assert Storage(config=v1_config()).exists('o')

    def test_a_login_that_fails_for_ever_is_broken_and_bounded(self, web):
        web.add(responses.GET, AUTH, status=503, headers={'X-Trans-Id': 'tx9', 'Retry-After': '0'})
        error = refusal(Storage(config=v1_config()).exists, 'o')

        assert (type(error), error.status, error.trans_id) == (exceptions.BrokenError, 503, 'tx9')
        assert len(web.calls) == 3

    def test_a_login_that_asks_to_wait_too_long_says_so(self, web):
        web.add(responses.GET, AUTH, status=429, headers={'Retry-After': '100'})
        error = refusal(Storage(config=v1_config()).exists, 'o')

        assert (error.status, error.retry_after) == (429, 100) and len(web.calls) == 1

    @pytest.mark.parametrize('trouble', [requests.exceptions.ConnectionError('x'), requests.exceptions.Timeout('x'),
                                         socket.timeout('x')])
    def test_a_login_that_is_out_of_reach_is_said(self, web, trouble):
        web.add(responses.GET, AUTH, body=trouble)
        error = refusal(Storage(config=v1_config()).exists, 'o')

        assert type(error) is exceptions.UnreachableError
        assert 'swift_authurl' in str(error) and AUTH in str(error) and len(web.calls) == 3

    def test_a_port_where_nothing_listens_is_said(self, fake, fake_storage):
        storage = fake_storage(swift_retries=1)
        fake.refuse_connections()

        assert type(refusal(storage.exists, 'o')) is exceptions.UnreachableError

    @pytest.mark.parametrize('value', ['s3cr3t\n', 's3cr3t\r\nX-Injected: 1', ' s3cr3t', 's3cr3t\0'])
    @pytest.mark.parametrize('key', ['swift_password', 'swift_auth_token'])
    def test_a_secret_that_no_header_can_hold_is_refused_unseen(self, web, value, key):
        login_answers(web)
        error = refusal(lambda: Storage(config=v1_config(**{key: value, 'swift_object_storage_url': URL})).exists('o'))

        assert type(error) is exceptions.ConfigError and key in str(error)

    def test_nothing_secret_is_logged(self, web, caplog):
        caplog.set_level(logging.DEBUG)
        login_answers(web)
        Storage(config=v1_config()).exists('o')
        refusal(Storage(config=v1_config(swift_auth_version=1, swift_authurl='http://swift.example.com/x')).exists, 'o')

        assert 's3cr3t' not in caplog.text and 'AUTH_tk1' not in caplog.text


class TestReadyToken(object):

    def config(self, **more):
        return dict({'swift_auth_token': 's3cr3t-token', 'swift_object_storage_url': URL, 'swift_container': 'c',
                     'swift_retry_max_wait': 0}, **more)

    def test_it_is_used_without_a_login(self, web):
        web.add(responses.HEAD, URL + '/c/o')
        assert Storage(config=self.config()).exists('o')

        assert header_of(web.calls[0].request, 'X-Auth-Token') == 's3cr3t-token' and len(web.calls) == 1

    def test_one_that_is_refused_is_said(self, web):
        web.add(responses.HEAD, URL + '/c/o', status=401)
        error = refusal(Storage(config=self.config()).exists, 'o')

        assert type(error) is exceptions.ConfigError and 'swift_auth_token' in str(error) and len(web.calls) == 1

    def test_it_needs_a_storage_url(self):
        error = refusal(lambda: Storage(config=self.config(swift_object_storage_url=None)))

        assert 'swift_object_storage_url' in str(error)


@pytest.fixture
def keystone():
    pytest.importorskip('keystoneauth1')


def keystone_config(fake, version=3, **more):
    url = {2: fake.auth_url_v2, 3: fake.auth_url_v3}[version]
    return dict({'swift_authurl': url, 'swift_container': 'registry', 'swift_retries': 2, 'swift_retry_max_wait': 0,
                 'swift_read_timeout': 20}, **more)


PASSWORD = {'swift_user': 'tester', 'swift_password': 'testing'}
BY_PASSWORD = {
    'names, default domain': {'swift_tenant_name': 'test'},
    'domain ids': {'swift_tenant_name': 'test', 'swift_user_domain_id': 'default', 'swift_project_domain_id': 'default'},
    'domain names': {'swift_tenant_name': 'test', 'swift_user_domain_name': 'Default', 'swift_project_domain_name': 'Default'},
    'project name, not tenant': {'swift_project_name': 'test'},
    'project id': {'swift_tenant_id': '0ca1f00d'},
    'user id': {'swift_user': None, 'swift_user_id': 'u5e1d', 'swift_tenant_name': 'test'},
    'ids only': {'swift_user': None, 'swift_user_id': 'u5e1d', 'swift_project_id': '0ca1f00d'},
    'trust': {'swift_trust_id': '7rus7'},
    'trust instead of project': {'swift_trust_id': '7rus7', 'swift_tenant_name': 'test'},
}
CREDENTIALS = {
    'by id': {'swift_application_credential_id': 'c4ed'},
    'by name': {'swift_application_credential_name': 'registry', 'swift_user': 'tester'},
    'by name and user id': {'swift_application_credential_name': 'registry', 'swift_user_id': 'u5e1d'},
    'by name and domain': {'swift_application_credential_name': 'registry', 'swift_user': 'tester',
                           'swift_user_domain_name': 'Default'},
}


@pytest.mark.usefixtures('keystone')
class TestIdentity(object):
    """Instances at the same place have the same identity, however they log in. Another place has another one."""

    def at_v1(self, fake, path=None, **more):
        here = {'swift_authurl': fake.auth_url, 'swift_user': fake.user, 'swift_password': fake.key}
        return Storage(path, v1_config(**dict(here, **more)))

    def test_it_names_the_login_service_the_account_the_container_and_the_root(self, fake):
        assert self.at_v1(fake, 'some/root/').identity() == [fake.auth_url, 'test', 'AUTH_test', 'c', 'some/root']

    @pytest.mark.parametrize('other', [
        {'path': 'elsewhere'}, {'swift_container': 'other'}, {'swift_authurl': 'http://localhost:%d/auth/v1.0'},
        {'swift_object_storage_url': 'http://127.0.0.1/v1/AUTH_other'}])
    def test_another_place_has_another_one(self, fake, other):
        if 'swift_authurl' in other:
            other = {'swift_authurl': other['swift_authurl'] % fake.port}
        assert self.at_v1(fake, **dict({'path': 'files'}, **other)).identity() != self.at_v1(fake, 'files').identity()

    def test_it_does_not_depend_on_the_password_or_the_endpoint(self, fake):
        first = self.at_v1(fake)
        other = self.at_v1(fake, swift_object_storage_url='http://localhost:%d/v1/AUTH_test/' % fake.port)

        assert first.identity() == other.identity()

    @pytest.mark.parametrize('more', [
        dict(PASSWORD, swift_tenant_name='test'), dict(PASSWORD, swift_tenant_id='0ca1f00d'),
        dict(PASSWORD, swift_tenant_name='test', swift_endpoint_type='internal'),
        dict(CREDENTIALS['by id'], swift_application_credential_secret='hush')], ids=['name', 'id', 'internal', 'application credential'])
    def test_keystone_says_the_id_of_the_project(self, fake, more):
        storage = Storage(config=keystone_config(fake, **more))

        assert storage.identity() == [fake.auth_url_v3, '0ca1f00d', 'AUTH_test', storage.settings.container, '']

    def test_version_2_of_keystone_does_too(self, fake):
        assert Storage(config=keystone_config(fake, 2, swift_tenant_name='test', **PASSWORD)).identity()[1:3] == ['0ca1f00d', 'AUTH_test']

    def test_with_a_ready_token_it_names_the_storage_url(self):
        storage = Storage(config={'swift_auth_token': 't', 'swift_object_storage_url': URL, 'swift_container': 'c'})

        assert storage.identity() == [URL, '', URL.rpartition('/')[2], 'c', '']


@pytest.mark.usefixtures('keystone')
class TestKeystone(object):

    def logs_in(self, fake, config):
        storage = Storage(config=config)
        storage.put_content('o', b'content')
        assert storage.get_content('o') == b'content'
        assert len([request for request in fake.requests if request.kind == 'auth' and request.method == 'POST']) == 1

    @pytest.mark.parametrize('who', sorted(BY_PASSWORD))
    def test_version_3_takes_a_password(self, fake, who):
        self.logs_in(fake, keystone_config(fake, **dict(PASSWORD, **BY_PASSWORD[who])))

    @pytest.mark.parametrize('who', sorted(CREDENTIALS))
    def test_version_3_takes_an_application_credential(self, fake, who):
        self.logs_in(fake, keystone_config(fake, swift_application_credential_secret='hush', **CREDENTIALS[who]))

    @pytest.mark.parametrize('project', [{'swift_tenant_name': 'test'}, {'swift_tenant_id': '0ca1f00d'}])
    def test_version_2_takes_a_password(self, fake, project):
        self.logs_in(fake, keystone_config(fake, 2, **dict(PASSWORD, **project)))

    def test_version_2_takes_tenant_and_user_in_one(self, fake):
        self.logs_in(fake, keystone_config(fake, 2, swift_user='test:tester', swift_password='testing'))

    @pytest.mark.parametrize('end', ['', '/'])
    @pytest.mark.parametrize('version', [2, '3'])
    def test_the_version_may_be_missing_in_the_url(self, fake, version, end):
        self.logs_in(fake, keystone_config(fake, swift_authurl=fake.url + end, swift_auth_version=version, swift_tenant_name='test',
                                           **PASSWORD))

    def test_a_slash_at_the_end_of_the_url_does_no_harm(self, fake):
        self.logs_in(fake, keystone_config(fake, swift_authurl=fake.auth_url_v3 + '/', swift_tenant_name='test', **PASSWORD))

    @pytest.mark.parametrize('version', [2, 3])
    @pytest.mark.parametrize('more, host, account', [
        ({}, '127.0.0.1', 'AUTH_test'), ({'swift_region_name': 'RegionTwo'}, '127.0.0.1', 'AUTH_test_two'),
        ({'swift_endpoint_type': 'internal'}, 'localhost', 'AUTH_test'),
        ({'swift_endpoint_type': 'internalURL', 'swift_region_name': 'RegionTwo'}, 'localhost', 'AUTH_test_two'),
        ({'swift_object_storage_url': 'SELF/v1/AUTH_test_two'}, '127.0.0.1', 'AUTH_test_two')])
    def test_region_and_interface_are_chosen(self, fake, version, more, host, account):
        more = dict((key, value.replace('SELF', fake.url)) for key, value in more.items())
        storage = Storage(config=keystone_config(fake, version, swift_tenant_name='test', **dict(PASSWORD, **more)))
        storage.connect()

        request = [request for request in fake.requests if request.kind == 'container'][0]
        assert (request.account, request.headers['Host']) == (account, '%s:%d' % (host, fake.port))

    @pytest.mark.parametrize('more, named', [
        ({'swift_region_name': 'Nowhere'}, 'swift_region_name'), ({'swift_endpoint_type': 'admin'}, 'swift_endpoint_type'),
        ({'swift_service_type': 'volume'}, 'swift_service_type')])
    def test_a_catalog_without_such_a_swift_is_said(self, fake, more, named):
        error = refusal(Storage(config=keystone_config(fake, swift_tenant_name='test', **dict(PASSWORD, **more))).exists, 'o')

        assert type(error) is exceptions.ConfigError and named in str(error)

    @pytest.mark.parametrize('more', [
        {'swift_password': 's3cr3t'}, {'swift_user': 'nobody'}, {'swift_tenant_name': 'other'},
        {'swift_user_domain_name': 'Elsewhere'}, {'swift_project_domain_id': 'elsewhere'}])
    def test_wrong_credentials_are_said(self, fake, more):
        config = keystone_config(fake, swift_tenant_name='test', **PASSWORD)
        error = refusal(Storage(config=dict(config, **more)).exists, 'o')

        assert type(error) is exceptions.ConfigError and error.status == 401
        assert all(name in str(error) for name in ('swift_user', 'swift_password', 'swift_tenant_name', 'swift_user_domain_name'))

    @pytest.mark.parametrize('identifier, secret, code', [('c4ed', 's3cr3t', 401), ('revoked', 'hush', 404)])
    def test_a_wrong_application_credential_is_said(self, fake, identifier, secret, code):
        error = refusal(Storage(config=keystone_config(
            fake, swift_application_credential_id=identifier, swift_application_credential_secret=secret)).exists, 'o')

        assert type(error) is exceptions.ConfigError and error.status == code
        assert 'swift_application_credential_id' in str(error) and 'swift_authurl' not in str(error)

    def test_a_wrong_url_is_said_with_an_application_credential_as_well(self, fake):
        fake.fault(on(kind='auth'), status(404), times=None)
        error = refusal(Storage(config=keystone_config(
            fake, swift_application_credential_id='c4ed', swift_application_credential_secret='hush')).exists, 'o')

        assert type(error) is exceptions.ConfigError and 'swift_authurl' in str(error)

    @pytest.mark.parametrize('version', [2, 3])
    @pytest.mark.parametrize('trouble', [status(503), status(429), status(500), fake_swift.cut_response(), fake_swift.lost_answer(True)])
    def test_a_login_that_fails_in_passing_is_tried_again(self, fake, version, trouble):
        fake.fault(on(kind='auth'), trouble)

        assert not Storage(config=keystone_config(fake, version, swift_tenant_name='test', **PASSWORD)).exists('o')

    @pytest.mark.parametrize('code', [429, 500, 503])
    def test_a_login_that_fails_for_ever_is_broken_and_bounded(self, fake, code):
        fake.fault(on(kind='auth'), status(code), times=None)
        error = refusal(Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD)).exists, 'o')

        assert (type(error), error.status) == (exceptions.BrokenError, code)
        assert len(fake.requests) == 3

    def test_a_login_that_is_out_of_reach_is_said(self, fake):
        fake.refuse_connections()
        error = refusal(Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD)).exists, 'o')

        assert type(error) is exceptions.UnreachableError and 'swift_authurl' in str(error) and fake.auth_url_v3 in str(error)

    @pytest.mark.filterwarnings('ignore:BaseException.message')  # of requests
    @pytest.mark.parametrize('answer', [status(404), status(200, body='<html>welcome</html>'), status(405), status(201, body='{}')])
    def test_something_else_than_keystone_is_said(self, fake, answer):
        fake.fault(on(kind='auth'), answer, times=None)
        error = refusal(Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD)).exists, 'o')

        assert type(error) is exceptions.ConfigError
        assert 'swift_authurl' in str(error) and 'swift_auth_version' in str(error)

    @pytest.mark.parametrize('version, more', [
        (3, {'swift_application_credential_id': 'c4ed', 'swift_application_credential_secret': 'hush'}),
        (3, dict(PASSWORD, swift_tenant_name='test')), (2, dict(PASSWORD, swift_tenant_name='test'))])
    def test_nothing_secret_is_logged(self, fake, caplog, version, more):
        fake.key = 'hush-hush'
        caplog.set_level(logging.DEBUG)
        storage = Storage(config=dict(keystone_config(fake, version, **more), swift_password='hush-hush'))
        storage.put_content('o', b'')
        first = set(fake.identity.tokens)
        fake.expire_tokens()
        storage.exists('o')

        assert first and 'hush' not in caplog.text
        assert not [token for token in first | set(fake.identity.tokens) if token in caplog.text]

    def test_a_token_that_has_run_out_is_renewed(self, fake):
        storage = Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD))
        storage.put_content('o', b'1')
        fake.expire_tokens()

        assert storage.get_content('o') == b'1'

    @pytest.mark.parametrize('refused, good', [(1, True), (2, True), (3, False)])
    def test_a_new_token_that_is_revoked_with_the_old_one_is_renewed_too(self, fake, monkeypatch, refused, good):
        monkeypatch.setattr(driver_module, 'SAME_SECOND', 0.01)
        storage = Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD))
        storage.put_content('o', b'1')
        fake.fault(on('GET', path_contains='/o'), status(401), times=refused)

        if good:
            assert storage.get_content('o') == b'1'
        else:
            assert type(refusal(storage.get_content, 'o')) is exceptions.ConfigError
        assert logins(fake) == 1 + min(refused, 2)

    def test_its_tokens_are_renewed_ahead_of_their_end(self, fake):
        fake.identity.token_life = 3600
        storage = Storage(config=keystone_config(fake, swift_tenant_name='test', **PASSWORD))
        storage.connect()

        assert 3590 < storage._swift._login._token.expires - time.time() <= 3600


def test_keystone_without_keystoneauth1_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split('.')[0] == 'keystoneauth1'] + ['keystoneauth1']:
        monkeypatch.setitem(sys.modules, name, None)
    for version in (2, 3):
        error = refusal(lambda: Storage(config=v1_config(swift_auth_version=version, swift_tenant_name='t')))
        assert type(error) is exceptions.ConfigError
        assert "pip install 'docker-registry-driver-swift[keystone]'" in str(error)

    Storage(config=v1_config())  # v1 does without


def logins(fake):
    return len([request for request in fake.requests if request.kind == 'auth'])


class TestRenewal(object):

    @pytest.fixture
    def storage(self, fake, fake_storage):
        storage = fake_storage(swift_retries=2)
        fake.put('registry', 'o', b'x' * 1000000)
        return storage

    def test_a_refused_token_is_renewed_once(self, fake, storage):
        storage.exists('o')
        fake.expire_tokens()

        assert storage.exists('o') and storage.exists('o')
        assert logins(fake) == 2

    def test_one_login_does_for_many_threads(self, fake, storage):
        fake.fault(on(kind='auth'), fake_swift.delay(0.2))
        self.at_once(lambda: storage.exists('o'))

        assert logins(fake) == 1

    def test_one_renewal_does_for_many_threads(self, fake, storage):
        storage.exists('o')
        for _ in range(3):
            fake.expire_tokens()
            self.at_once(lambda: storage.exists('o'))

        assert 4 <= logins(fake) <= 6  # a late request may still have the older token

    def test_a_token_is_renewed_before_it_expires(self, fake, storage):
        fake.identity.token_life = driver_module.RENEWED_AHEAD + 3600
        self.with_clock(storage, 0)
        fake.expire_tokens()
        fake.identity.v1_token = None
        self.with_clock(storage, 3601)

        assert [request.status for request in fake.requests] == [200, 200, 200, 200] and logins(fake) == 2

    def test_a_token_that_v1_gives_again_is_not_asked_for_with_each_request(self, fake, storage):
        fake.identity.token_life = driver_module.RENEWED_AHEAD - 20
        for _ in range(10):
            assert storage.exists('o')

        assert logins(fake) == 1

    def test_a_short_lived_token_is_renewed_when_it_has_expired(self, fake, storage):
        fake.identity.token_life = 5
        storage.exists('o')
        fake.identity.tokens.clear()
        self.with_clock(storage, 6)

        assert 401 not in [request.status for request in fake.requests] and logins(fake) == 2

    @pytest.mark.parametrize('trouble', [status(503), status(401), fake_swift.cut_response()], ids=['503', '401', 'cut'])
    def test_a_renewal_ahead_that_fails_costs_one_try_and_nothing_else(self, fake, storage, trouble):
        storage.exists('o')
        storage._swift._login._renewal = 0
        fake.fault(on(kind='auth'), trouble, times=None)
        for _ in range(10):
            assert storage.exists('o')

        assert logins(fake) == 2

    def test_nobody_waits_for_a_renewal_ahead(self, fake, storage):
        storage.exists('o')
        storage._swift._login._renewal = 0
        fault = fake.fault(on(kind='auth'), fake_swift.stall(), times=1)
        renewing = threading.Thread(target=storage.exists, args=('o',))
        renewing.start()
        while not fault.hits:
            time.sleep(0.001)
        for _ in range(5):
            assert storage.exists('o')
        assert renewing.is_alive()
        fake.release()
        renewing.join(10)

    def test_a_token_that_has_expired_is_not_used_while_the_login_fails(self, fake, storage):
        storage.exists('o')
        fake.fault(on(kind='auth'), status(503), times=None)
        self.with_clock(storage, 90000, fails=True)

        assert logins(fake) == 1 + 3

    def test_one_that_runs_out_in_the_middle_of_a_stream_is_renewed(self, fake, storage):
        fake.fault(on('GET', path_contains='/o'), fake_swift.cut_response(300000))
        stream = storage.stream_read('o')
        got = next(stream)
        fake.expire_tokens()

        assert got + b''.join(stream) == b'x' * 1000000

    def test_a_login_is_told_to_the_hook_like_a_request(self, fake, storage):
        seen = []
        storage.on_request = lambda method, code, seconds: seen.append((method, code))
        storage.exists('o')

        assert seen == [('LOGIN', None), ('HEAD', 200)]

    @staticmethod
    def at_once(call):
        failures = []

        def run():
            try:
                assert call()
            except BaseException as error:
                failures.append(error)
        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    @staticmethod
    def with_clock(storage, ahead, fails=False):
        class Clock(object):
            sleep = staticmethod(lambda seconds: None)

            def __getattr__(self, name):
                return getattr(time, name)

            def time(self):
                return time.time() + ahead
        driver_module.time = Clock()
        try:
            if fails:
                assert type(refusal(storage.exists, 'o')) is exceptions.BrokenError
            else:
                assert storage.exists('o')
        finally:
            driver_module.time = time


class TlsRelay(object):
    """Serves https://localhost and forwards it to an http server on this machine."""

    def __init__(self, port, certificate, key):
        self._context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
        self._context.load_cert_chain(certificate, key)
        self._port, self._sockets, self._threads = port, [], []
        self._listener = socket.socket()
        self._listener.bind(('127.0.0.1', 0))
        self._listener.listen(16)
        self.url = 'https://localhost:%d' % self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        thread.daemon = True
        thread.start()
        self._threads.append(thread)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except EnvironmentError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection):
        try:
            inside = socket.create_connection(('127.0.0.1', self._port))
            outside = self._context.wrap_socket(connection, server_side=True)
            self._sockets += [inside, outside]
            self._copy(outside, inside)
        except EnvironmentError:  # the client rejects the certificate
            inside.close()
            connection.close()

    @staticmethod
    def _copy(outside, inside):
        """Both ways in one thread. OpenSSL allows no second thread at a connection: one that reads while another writes may break it."""
        try:
            while True:
                ready = [outside] if outside.pending() else select.select([outside, inside], [], [])[0]
                for source in ready:
                    block = source.recv(65536)
                    if not block:
                        return
                    (inside if source is outside else outside).sendall(block)
        except (EnvironmentError, ValueError, select.error):
            pass
        finally:
            end_of(outside)
            end_of(inside)

    def stop(self):
        """Close sockets after their threads end. OpenSSL knows a socket by its number, which a new socket may reuse."""
        end_of(self._listener)
        for end in self._sockets:
            end_of(end)
        for thread in self._threads:
            thread.join()
        for end in self._sockets + [self._listener]:
            end.close()


def end_of(end):
    try:
        # That of ssl.SSLSocket would also take TLS from a socket that another thread is about to read.
        socket.socket.shutdown(end, socket.SHUT_RDWR)
    except EnvironmentError:
        pass


@pytest.fixture(scope='module')
def certificates(tmpdir_factory):
    """A folder with a private CA (`ca.pem`), its certificate for localhost (`server.pem`), and another CA (`other.pem`)."""
    folder = tmpdir_factory.mktemp('certificates')
    folder.join('san').write('subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n')
    for command in (
            'req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3 -subj /CN=private-ca '
            '-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign',
            'req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 3 -subj /CN=other-ca '
            '-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign',
            'req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost',
            'x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 3 -extfile san'):
        process = subprocess.Popen(['openssl'] + command.split(), cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, problems = process.communicate()
        assert process.returncode == 0, problems
    return folder


@pytest.fixture
def tls(fake, certificates):
    relay = TlsRelay(fake.port, str(certificates.join('server.pem')), str(certificates.join('server.key')))
    fake.put('registry', 'o', b'x' * 300000)
    yield relay
    relay.stop()


@pytest.mark.filterwarnings('ignore')  # requests and urllib3 warn about such connections
class TestTls(object):

    @pytest.fixture(params=[1, 3])
    def config(self, request, fake, tls):
        if request.param == 3:
            pytest.importorskip('keystoneauth1')
        return {'swift_authurl': tls.url + {1: '/auth/v1.0', 3: '/v3'}[request.param], 'swift_container': 'registry',
                'swift_user': {1: fake.user, 3: fake.username}[request.param], 'swift_password': fake.key,
                'swift_tenant_name': fake.project, 'swift_object_storage_url': tls.url + '/v1/AUTH_test', 'swift_retries': 1,
                'swift_retry_max_wait': 0, 'swift_read_timeout': 20}

    def test_a_private_ca_is_not_trusted_by_itself(self, fake, config):
        error = refusal(Storage(config=config).exists, 'o')

        assert type(error) is exceptions.ConfigError
        assert 'swift_cacert' in str(error) and 'OS_CACERT' in str(error)
        assert fake.requests == []

    def test_a_private_ca_that_is_named_is_trusted(self, config, certificates):
        storage = Storage(config=dict(config, swift_cacert=str(certificates.join('ca.pem'))))

        assert b''.join(storage.stream_read('o')) == b'x' * 300000
        storage.stream_write('p', io.BytesIO(b'y' * 3000000))
        assert storage.get_size('p') == 3000000

    def test_the_ca_may_be_in_the_environment(self, config, certificates, monkeypatch):
        monkeypatch.setenv('OS_CACERT', str(certificates.join('ca.pem')))

        assert Storage(config=config).exists('o')

    def test_another_ca_is_not_trusted(self, config, certificates):
        error = refusal(Storage(config=dict(config, swift_cacert=str(certificates.join('other.pem')))).exists, 'o')

        assert type(error) is exceptions.ConfigError and 'swift_cacert' in str(error)

    def test_verification_is_off_if_asked_for(self, config):
        assert Storage(config=dict(config, swift_insecure=True)).exists('o')

    def test_another_name_than_the_certificates_is_not_trusted(self, config, certificates):
        config = dict((key, value.replace('//localhost', '//127.0.0.1') if isinstance(value, str) else value)
                      for key, value in config.items())
        error = refusal(Storage(config=dict(config, swift_cacert=str(certificates.join('ca.pem')))).exists, 'o')

        assert type(error) in (exceptions.ConfigError, exceptions.UnreachableError)

    def test_a_storage_url_of_another_ca_is_not_trusted(self, fake, fake_storage, tls):
        error = refusal(fake_storage(swift_object_storage_url=tls.url + '/v1/AUTH_test').exists, 'o')

        assert type(error) is exceptions.ConfigError and 'swift_cacert' in str(error)
        assert logins(fake) == 1 == len(fake.requests)
