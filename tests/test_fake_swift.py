# -*- coding: utf-8 -*-
"""The fake Swift speaks Swift, and misbehaves exactly as told."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time

import pytest

import fake_swift
from fake_swift import FakeSwift, on

try:
    import http.client as http
    from urllib.parse import quote
except ImportError:  # Python 2
    from urllib import quote

    import httplib as http


class Answer(object):
    """What came back: status, headers (lower-case names) and the whole body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = dict((name.lower(), value) for name, value in response.getheaders())
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body.decode('utf-8'))


class Client(object):
    """One keep-alive connection to the fake, logged in."""

    def __init__(self, swift, timeout=10):
        self.swift, self.connection = swift, http.HTTPConnection('127.0.0.1', swift.port, timeout=timeout)
        self.token = None

    def login(self, user=None, key=None):
        return self.ask('GET', '/auth/v1.0', headers={'X-Auth-User': user or self.swift.user, 'X-Auth-Key': key or self.swift.key})

    def ask(self, method, path, body=None, headers=()):
        self.connection.request(method, path, body, dict(headers))
        return Answer(self.connection.getresponse())

    def storage(self, method, path='', body=None, headers=(), **more):
        """A request below the storage URL, with the token; keywords are headers."""
        if self.token is None:
            self.token = self.login().headers['x-auth-token']
        given = dict({'X-Auth-Token': self.token}, **dict(headers))
        given.update((name.replace('_', '-'), value) for name, value in more.items())
        return self.ask(method, '/' + self.swift.storage_url.split('/', 3)[3] + path, body, given)

    def put_segments(self, *bodies):
        """Store segments as /c/seg0 ... and give the manifest entries that name them."""
        entries = []
        for number, body in enumerate(bodies):
            self.storage('PUT', '/c/seg%d' % number, body)
            entries.append({'path': '/c/seg%d' % number, 'etag': hashlib.md5(body).hexdigest(), 'size_bytes': len(body)})
        return entries

    def put_manifest(self, entries, name='big', **headers):
        return self.storage('PUT', '/c/%s?multipart-manifest=put' % name, json.dumps(entries), Accept='application/json', **headers)

    def bulk_delete(self, *lines):
        return self.storage('POST', '?bulk-delete', '\n'.join(lines), Content_Type='text/plain', Accept='application/json')

    def names(self, query=''):
        return [entry.get('name') or entry['subdir'] for entry in self.storage('GET', '/c?format=json' + query).json]

    def close(self):
        self.connection.close()


@pytest.fixture
def make():
    """Start a fake with a container `c`, and a client on it; every one of them ends with the test."""
    started = []

    def start(**options):
        swift = FakeSwift(**options)
        swift.create_container('c')
        client = Client(swift)
        started.append((swift, client))
        return swift, client
    yield start
    for swift, client in started:
        client.close()
        swift.stop()
        assert not swift.crashes


@pytest.fixture
def pair(make):
    return make()


@pytest.fixture
def swift(pair):
    return pair[0]


@pytest.fixture
def client(pair):
    return pair[1]


def wait_until(condition, seconds=5):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, 'waited in vain'
        time.sleep(0.005)


# logging in

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


# /info

def test_info_tells_the_limits_without_a_token(make):
    _, client = make(listing_limit=7, max_deletes=3, allowed_digests=('sha256',))
    info = client.ask('GET', '/info').json
    assert info['swift']['container_listing_limit'] == 7
    assert info['bulk_delete']['max_deletes_per_request'] == 3
    assert info['slo']['max_manifest_segments'] == 1000
    assert info['tempurl']['allowed_digests'] == ['sha256']


def test_info_can_be_switched_off(make):
    _, client = make(info=False)
    assert client.ask('GET', '/info').status == 404


def test_info_leaves_out_what_is_switched_off(make):
    _, client = make(bulk=False, slo=False)
    assert not {'bulk_delete', 'slo'} & set(client.ask('GET', '/info').json)


def test_every_answer_names_its_transaction(client):
    answers = client.ask('GET', '/nowhere'), client.ask('GET', '/info'), client.storage('HEAD')
    ids = [answer.headers['x-trans-id'] for answer in answers]
    assert len(set(ids)) == 3 and all(one.startswith('tx') for one in ids)


# containers

def test_a_container_is_created_once(client):
    assert [client.storage('PUT', '/new').status for _ in range(2)] == [201, 202]


def test_a_container_keeps_and_drops_metadata(client):
    assert client.storage('POST', '/c', X_Container_Meta_Color='red').status == 204
    assert client.storage('HEAD', '/c').headers['x-container-meta-color'] == 'red'
    client.storage('POST', '/c', X_Remove_Container_Meta_Color='x')
    assert 'x-container-meta-color' not in client.storage('HEAD', '/c').headers


@pytest.mark.parametrize('method', ['HEAD', 'GET', 'POST', 'DELETE'])
def test_a_missing_container_answers_404(client, method):
    assert client.storage(method, '/none').status == 404


def test_a_container_counts_its_objects_and_bytes(swift, client):
    swift.put('c', 'a', b'123')
    swift.put('c', 'b', b'4567')
    headers = client.storage('HEAD', '/c').headers
    assert (headers['x-container-object-count'], headers['x-container-bytes-used']) == ('2', '7')


def test_only_an_empty_container_is_deleted(swift, client):
    swift.put('c', 'a', b'')
    assert client.storage('DELETE', '/c').status == 409
    client.storage('DELETE', '/c/a')
    assert client.storage('DELETE', '/c').status == 204
    assert 'c' not in swift.containers


def test_an_account_lists_its_containers(swift, client):
    swift.put('c', 'a', b'123')
    assert client.storage('GET', '?format=json').json == [{'name': 'c', 'count': 1, 'bytes': 3}]


# listings

@pytest.fixture
def tree(swift, client):
    for name in ['a', 'd/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1', 'e', u'\xe9', u'\uffee', u'\U0001f40b']:
        swift.put('c', name, b'')
    return client


@pytest.mark.parametrize('query, names', [
    ('', ['a', 'd/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1', 'e', u'\xe9', u'\uffee', u'\U0001f40b']),
    ('&delimiter=/', ['a', 'd/', 'dd/', 'e', u'\xe9', u'\uffee', u'\U0001f40b']),
    ('&prefix=d/&delimiter=/', ['d/', 'd/1', 'd/2/']),
    ('&prefix=d', ['d/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1']),
    ('&prefix=d/&delimiter=/&marker=d/2/', []),
    ('&prefix=d/&delimiter=/&marker=d/2/x', ['d/2/']),
    ('&marker=d/2/y&end_marker=e', ['dd/1']),
    ('&limit=2', ['a', 'd/']),
    ('&delimiter=/&limit=2&marker=a', ['d/', 'dd/']),
    ('&marker=' + quote(u'\uffee'.encode('utf-8')), [u'\U0001f40b']),
    ('&prefix=none', [])])
def test_a_listing_selects_as_swift_does(tree, query, names):
    assert tree.names(query) == names


def test_a_listing_entry_tells_about_its_object(swift, client):
    client.storage('PUT', '/c/a', b'abc', Content_Type='text/x')
    (entry,) = client.storage('GET', '/c?format=json').json
    modified = entry.pop('last_modified')
    assert entry == {'name': 'a', 'bytes': 3, 'hash': hashlib.md5(b'abc').hexdigest(), 'content_type': 'text/x'}
    assert len(modified) == len('2024-01-01T00:00:00.000000') and modified[10] == 'T'


def test_a_listing_ends_at_the_limit_and_goes_on_at_the_marker(make):
    swift, client = make(listing_limit=2)
    for name in 'abc':
        swift.put('c', name, b'')
    assert (client.names(), client.names('&marker=b')) == (['a', 'b'], ['c'])


def test_a_listing_refuses_more_than_its_limit(client):
    answer = client.storage('GET', '/c?format=json&limit=10001')
    assert (answer.status, answer.body) == (412, b'Maximum limit is 10000')


def test_a_plain_listing_is_names_in_lines(tree):
    assert tree.storage('GET', '/c?prefix=d/&delimiter=/').body == b'd/\nd/1\nd/2/\n'


def test_an_empty_listing_is_204_in_text_and_200_in_json(client):
    assert client.storage('GET', '/c').status == 204
    answer = client.storage('GET', '/c?format=json')
    assert (answer.status, answer.json) == (200, [])


# objects

def test_an_object_comes_back_with_its_headers(client):
    put = client.storage('PUT', '/c/a', b'abc', Content_Type='text/x', X_Object_Meta_Color='red')
    got = client.storage('GET', '/c/a')
    etag = hashlib.md5(b'abc').hexdigest()
    assert (put.status, put.headers['etag']) == (201, etag)
    assert (got.status, got.body, got.headers['etag'], got.headers['content-length']) == (200, b'abc', etag, '3')
    assert (got.headers['content-type'], got.headers['x-object-meta-color']) == ('text/x', 'red')
    assert got.headers['last-modified'].endswith('GMT') and float(got.headers['x-timestamp']) > 1e9


def test_head_is_get_without_the_body(swift, client):
    swift.put('c', 'a', b'abc')
    got, headed = client.storage('GET', '/c/a'), client.storage('HEAD', '/c/a')
    for answer in got, headed:
        for name in 'x-trans-id', 'x-openstack-request-id', 'date':
            answer.headers.pop(name)
    assert (headed.status, headed.headers, headed.body) == (200, got.headers, b'')


@pytest.mark.parametrize('name', [u'a b', u'a+b', u'100%', u'\xe9\u20ac/\U0001f40b', u'a?b', u'a&b=c'])
def test_names_are_any_text(swift, client, name):
    path = '/c/' + quote(name.encode('utf-8'))
    client.storage('PUT', path, b'abc')
    assert list(swift.container('c')) == [name]
    assert client.storage('GET', path).body == b'abc'
    assert client.names() == [name]


def test_a_chunked_body_is_stored(swift, client):
    client.storage('HEAD')
    head = 'PUT /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\nTransfer-Encoding: chunked\r\n\r\n' % client.token
    client.connection.sock.sendall(head.encode('ascii') + b'3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')
    assert b' 201 ' in client.connection.sock.recv(1 << 16)
    assert swift.container('c')['a'].body == b'abcde'
    assert swift.requests[-1].received == 5


@pytest.mark.parametrize('framing', [b'Content-Length: 10\r\n\r\nabc', b'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
                                     b'Transfer-Encoding: chunked\r\n\r\n9\r\nabc'])
def test_a_body_cut_short_stores_nothing(swift, client, framing):
    client.storage('HEAD')
    swift.clear_requests()
    head = 'PUT /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\n' % client.token
    client.connection.sock.sendall(head.encode('ascii') + framing)
    client.connection.sock.shutdown(socket.SHUT_WR)
    wait_until(lambda: swift.requests and swift.requests[-1].status)
    assert swift.requests[-1].status == 499
    assert not swift.container('c')


def test_expect_100_continue_is_answered_before_the_body(swift, client):
    client.storage('HEAD')
    head = 'PUT /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n' % client.token
    client.connection.sock.sendall(head.encode('ascii'))
    assert client.connection.sock.recv(1 << 16).startswith(b'HTTP/1.1 100 ')
    client.connection.sock.sendall(b'x')
    assert b' 201 ' in client.connection.sock.recv(1 << 16)


def test_a_wrong_etag_answers_422_and_stores_nothing(swift, client):
    assert client.storage('PUT', '/c/a', b'abc', Etag='0' * 32).status == 422
    assert not swift.container('c')


def test_if_none_match_star_does_not_overwrite(swift, client):
    statuses = [client.storage('PUT', '/c/a', body, If_None_Match='*').status for body in (b'1', b'2')]
    assert (statuses, swift.container('c')['a'].body) == ([201, 412], b'1')


def test_a_put_into_a_missing_container_answers_404(client):
    assert client.storage('PUT', '/none/a', b'abc').status == 404


def test_a_put_without_a_length_answers_411(client):
    client.storage('HEAD')
    client.connection.putrequest('PUT', '/v1/AUTH_test/c/a')
    client.connection.putheader('X-Auth-Token', client.token)
    client.connection.endheaders()
    assert Answer(client.connection.getresponse()).status == 411


def test_an_object_too_large_answers_413(make):
    _, client = make(max_file_size=2)
    assert client.storage('PUT', '/c/a', b'abc').status == 413


def test_a_name_too_long_answers_400(client):
    assert client.storage('PUT', '/c/' + 'x' * 1024, b'').status == 201
    assert client.storage('PUT', '/c/' + 'x' * 1025, b'').status == 400


@pytest.mark.parametrize('asked, status, body, content_range', [
    ('bytes=1-2', 206, b'12', 'bytes 1-2/10'), ('bytes=7-', 206, b'789', 'bytes 7-9/10'),
    ('bytes=-3', 206, b'789', 'bytes 7-9/10'), ('bytes=8-99', 206, b'89', 'bytes 8-9/10'),
    ('bytes=-99', 206, b'0123456789', 'bytes 0-9/10'),
    ('bytes=500-0', 200, b'0123456789', None), ('lines=1-2', 200, b'0123456789', None), ('bytes=x-2', 200, b'0123456789', None)])
def test_a_range_gives_its_part(swift, client, asked, status, body, content_range):
    swift.put('c', 'a', b'0123456789')
    answer = client.storage('GET', '/c/a', Range=asked)
    assert (answer.status, answer.body, answer.headers.get('content-range')) == (status, body, content_range)


@pytest.mark.parametrize('asked', ['bytes=10-', 'bytes=10-20', 'bytes=-0'])
def test_a_range_out_of_reach_answers_416(swift, client, asked):
    swift.put('c', 'a', b'0123456789')
    answer = client.storage('GET', '/c/a', Range=asked)
    assert (answer.status, answer.headers['content-range']) == (416, 'bytes */10')


@pytest.mark.parametrize('header, matching, other', [('If-Match', 200, 412), ('If-None-Match', 304, 200)])
def test_reads_on_condition_of_the_etag(swift, client, header, matching, other):
    etag = swift.put('c', 'a', b'abc').etag
    asked = [client.storage('GET', '/c/a', headers={header: tag}).status for tag in ('"%s"' % etag, etag, '"other"')]
    assert asked == [matching, matching, other]


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'DELETE', 'POST'])
def test_a_missing_object_answers_404(client, method):
    assert client.storage(method, '/c/none').status == 404


def test_a_deleted_object_is_gone(swift, client):
    swift.put('c', 'a', b'abc')
    assert client.storage('DELETE', '/c/a').status == 204
    assert client.storage('HEAD', '/c/a').status == 404


def test_post_replaces_the_metadata_and_keeps_the_body(client):
    client.storage('PUT', '/c/a', b'abc', X_Object_Meta_Old='1')
    assert client.storage('POST', '/c/a', X_Object_Meta_New='2').status == 202
    answer = client.storage('GET', '/c/a')
    assert (answer.body, answer.headers['x-object-meta-new'], 'x-object-meta-old' in answer.headers) == (b'abc', '2', False)


def test_delete_after_becomes_delete_at(client):
    client.storage('PUT', '/c/a', b'abc', X_Delete_After='60')
    assert 55 < int(client.storage('HEAD', '/c/a').headers['x-delete-at']) - time.time() < 61


def test_an_expired_object_answers_404_but_is_still_listed(swift, client):
    swift.put('c', 'a', b'abc', headers={'X-Delete-At': '1'})
    assert client.storage('GET', '/c/a').status == 404
    assert client.names() == ['a']


def test_a_name_that_is_no_text_answers_412(client):
    assert client.storage('PUT', '/c/%FF', b'').status == 412


def test_post_makes_a_dlo_an_ordinary_object(swift, client):
    swift.put('c', 'big', b'own', headers={'X-Object-Manifest': 'c/parts/'})
    client.storage('POST', '/c/big', X_Object_Meta_A='b')
    assert client.storage('GET', '/c/big').body == b'own'


def test_metadata_too_long_answers_400(client):
    assert client.storage('PUT', '/c/a', b'', X_Object_Meta_A='x' * 257).status == 400


# static large objects

def test_an_slo_reads_as_its_segments_in_order(client):
    entries = client.put_segments(b'hello ', b'world')
    put = client.put_manifest(entries)
    etag = hashlib.md5(''.join(entry['etag'] for entry in entries).encode('ascii')).hexdigest()
    got, headed = client.storage('GET', '/c/big'), client.storage('HEAD', '/c/big')
    assert (put.status, put.headers['etag'], got.body) == (201, '"%s"' % etag, b'hello world')
    for answer in got, headed:
        assert (answer.headers['content-length'], answer.headers['etag']) == ('11', '"%s"' % etag)
        assert (answer.headers['x-static-large-object'], len(answer.headers['x-manifest-etag'])) == ('True', 32)


def test_an_slo_is_listed_with_its_total_and_both_etags(client):
    put = client.put_manifest(client.put_segments(b'hello ', b'world'))
    entry = client.storage('GET', '/c?format=json&prefix=big').json[0]
    assert (entry['bytes'], entry['slo_etag']) == (11, put.headers['etag'])
    assert entry['hash'] == client.storage('HEAD', '/c/big').headers['x-manifest-etag']


@pytest.mark.parametrize('asked, body', [('bytes=4-7', b'o wo'), ('bytes=6-', b'world'), ('bytes=-2', b'ld')])
def test_a_range_of_an_slo_crosses_segments(client, asked, body):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    answer = client.storage('GET', '/c/big', Range=asked)
    assert (answer.status, answer.body) == (206, body)


def test_an_slo_may_contain_an_slo(client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    assert client.put_manifest([{'path': '/c/big', 'size_bytes': 11}, {'path': '/c/seg0'}], 'bigger').status == 201
    assert client.storage('GET', '/c/bigger').body == b'hello worldhello '


@pytest.mark.parametrize('change, reason', [
    ({'etag': '0' * 32}, 'Etag Mismatch'), ({'size_bytes': 3}, 'Size Mismatch'), ({'path': '/c/none'}, '404 Not Found')])
def test_an_slo_is_checked_against_its_segments(swift, client, change, reason):
    entries = client.put_segments(b'hello ', b'world')
    entries[1].update(change)
    answer = client.put_manifest(entries)
    assert (answer.status, answer.json['Errors']) == (400, [[entries[1]['path'], reason]])
    assert 'big' not in swift.container('c')


@pytest.mark.parametrize('body', ['nonsense', '{}', '[1]', '[{"path": 7}]', '[{"path": "nope"}]', '[{"path": "/c/big"}]',
                                  '[{"path": "/c/a", "extra": 1}]', '[{"path": "/c/a", "etag": 7}]',
                                  '[{"path": "/c/a", "size_bytes": "x"}]', '[{"path": "/c/a", "size_bytes": 0}, {"path": "/c/a"}]'])
def test_a_manifest_that_makes_no_sense_answers_400(client, body):
    assert client.storage('PUT', '/c/big?multipart-manifest=put', body).status == 400


def test_only_the_last_segment_may_be_empty(client):
    entries = client.put_segments(b'hello', b'')
    assert client.put_manifest(entries).status == 201
    assert client.put_manifest([{'path': entry['path']} for entry in reversed(entries)]).status == 400


@pytest.mark.parametrize('count, status', [(1000, 201), (1001, 413)])
def test_an_slo_has_at_most_a_thousand_segments(client, count, status):
    (entry,) = client.put_segments(b'x')
    assert client.put_manifest([entry] * count).status == status


def test_an_slo_with_another_etag_answers_422(client):
    assert client.put_manifest(client.put_segments(b'x'), Etag='0' * 32).status == 422


def test_an_slo_is_not_overwritten_against_if_none_match(client):
    entries = client.put_segments(b'x')
    assert [client.put_manifest(entries, If_None_Match='*').status for _ in range(2)] == [201, 412]


def test_an_slo_is_matched_by_its_etag(client):
    etag = client.put_manifest(client.put_segments(b'hello ', b'world')).headers['etag']
    assert client.storage('GET', '/c/big', If_Match=etag, Range='bytes=6-').body == b'world'
    assert client.storage('GET', '/c/big', If_Match='"0"').status == 412


def test_the_manifest_of_an_slo_can_be_read_both_ways(client):
    entries = client.put_segments(b'hello ', b'world')
    client.put_manifest(entries)
    records = client.storage('GET', '/c/big?multipart-manifest=get').json
    assert [(record['name'], record['bytes'], record['hash']) for record in records] == [
        (entry['path'], entry['size_bytes'], entry['etag']) for entry in entries]
    assert client.storage('GET', '/c/big?multipart-manifest=get&format=raw').json == entries


def test_an_slo_without_its_first_segment_answers_409(swift, client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    client.storage('DELETE', '/c/seg0')
    assert client.storage('HEAD', '/c/big').status == 200
    assert client.storage('GET', '/c/big').status == 409
    assert client.storage('GET', '/c/big', Range='bytes=6-').body == b'world'


@pytest.mark.parametrize('spoil', [lambda swift: swift.container('c').pop('seg1'),
                                   lambda swift: swift.put('c', 'seg1', b'WORLD')])
def test_an_slo_without_a_later_segment_is_cut_off(swift, client, spoil):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    spoil(swift)
    with pytest.raises(http.IncompleteRead) as caught:
        client.storage('GET', '/c/big')
    assert caught.value.partial == b'hello '


def test_deleting_an_slo_with_its_segments(swift, client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    answer = client.storage('DELETE', '/c/big?multipart-manifest=delete', Accept='application/json')
    assert (answer.status, answer.json['Number Deleted'], swift.container('c')) == (200, 3, {})


def test_deleting_a_plain_object_as_an_slo_answers_200_and_deletes_nothing(swift, client):
    swift.put('c', 'a', b'abc')
    answer = client.storage('DELETE', '/c/a?multipart-manifest=delete', Accept='application/json')
    assert (answer.status, answer.json['Response Status']) == (200, '400 Bad Request')
    assert answer.json['Errors'] == [['/c/a', 'Not an SLO manifest']]
    assert 'a' in swift.container('c')


def test_without_slo_a_manifest_is_an_ordinary_object(make):
    _, client = make(slo=False)
    client.put_manifest([], 'a')
    assert client.storage('GET', '/c/a').body == b'[]'


# dynamic large objects

def test_a_dlo_reads_as_what_is_listed_below_its_prefix(swift, client):
    for number, body in enumerate([b'hello ', b'world']):
        swift.put('c', 'parts/%d' % number, body)
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    answer = client.storage('GET', '/c/big')
    etags = ''.join(hashlib.md5(body).hexdigest() for body in (b'hello ', b'world'))
    assert (answer.body, answer.headers['x-object-manifest']) == (b'hello world', 'c/parts/')
    assert answer.headers['etag'] == '"%s"' % hashlib.md5(etags.encode('ascii')).hexdigest()
    assert client.storage('HEAD', '/c/big').headers['content-length'] == '11'
    assert client.storage('GET', '/c/big', Range='bytes=4-7').body == b'o wo'


def test_a_dlo_behind_a_lagging_listing_is_short(swift, client):
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    swift.put('c', 'parts/0', b'hello ')
    swift.lag_listing('c')
    swift.put('c', 'parts/1', b'world')
    assert client.storage('GET', '/c/big').body == b'hello '


def test_a_dlo_beyond_one_page_of_listing_has_no_length(make):
    swift, client = make(listing_limit=2)
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    for name in '012':
        swift.put('c', 'parts/' + name, name.encode('ascii'))
    answer = client.storage('GET', '/c/big')
    assert ('content-length' in answer.headers, answer.body) == (False, b'012')


# bulk delete

def test_bulk_delete_reports_in_its_body_after_blanks(swift, client):
    swift.put('c', u'\xe9 b', b'')
    swift.put('c', 'kept', b'')
    answer = client.bulk_delete('/c/%C3%A9%20b', 'c/none', '/c')
    assert answer.status == 200 and answer.body[:1] == b' '
    assert answer.json == {'Response Status': '400 Bad Request', 'Response Body': '', 'Number Deleted': 1, 'Number Not Found': 1,
                           'Errors': [['/c', '409 Conflict']]}
    assert list(swift.container('c')) == ['kept']


def test_bulk_delete_of_nothing_is_invalid(client):
    assert client.bulk_delete('').json['Response Body'] == 'Invalid bulk delete.'


def test_bulk_delete_refuses_more_than_its_limit_and_deletes_nothing(make):
    swift, client = make(max_deletes=2)
    for name in 'abc':
        swift.put('c', name, b'')
    answer = client.bulk_delete('/c/a', '/c/b', '/c/c')
    assert (answer.status, answer.json['Response Status'][:3], len(swift.container('c'))) == (200, '413', 3)
    assert client.bulk_delete('/c/a', '/c/b').json['Number Deleted'] == 2


def test_bulk_delete_answers_in_text_unless_json_is_asked_for(client):
    answer = client.storage('POST', '?bulk-delete', '/c/none\n', Content_Type='text/plain')
    assert b'Number Not Found: 1\n' in answer.body


def test_bulk_delete_can_be_switched_off(make):
    swift, client = make(bulk=False)
    swift.put('c', 'a', b'')
    assert client.bulk_delete('/c/a').status == 204
    assert 'a' in swift.container('c')


@pytest.mark.parametrize('line', ['401 Unauthorized', '503 Service Unavailable'])
def test_bulk_delete_can_hide_a_failure_in_a_200(swift, client, line):
    swift.put('c', 'a', b'')
    swift.fault(on(query='bulk-delete'), fake_swift.bulk_status(line))
    answer = client.bulk_delete('/c/a')
    assert (answer.status, answer.json['Response Status'], answer.json['Number Deleted']) == (200, line, 0)
    assert client.bulk_delete('/c/a').json['Number Deleted'] == 1


def test_bulk_delete_can_fail_for_some_names(swift, client):
    for name in 'ab':
        swift.put('c', name, b'')
    swift.fault(on(query='bulk-delete'), fake_swift.bulk_errors(lambda name: 503 if name == '/c/a' else None))
    report = client.bulk_delete('/c/a', '/c/b').json
    assert (report['Number Deleted'], report['Errors']) == (1, [['/c/a', '503 Service Unavailable']])
    assert report['Response Status'] == '502 Bad Gateway'
    assert list(swift.container('c')) == ['a']


# temporary URLs

def signed(path, key=b'secret', digest='sha256', method='GET', expires=None, form='hex'):
    expires = int(time.time()) + 60 if expires is None else expires
    mac = hmac.new(key, ('%s\n%d\n%s' % (method, expires, path)).encode('utf-8'), getattr(hashlib, digest))
    signature = mac.hexdigest() if form == 'hex' else digest + ':' + base64.urlsafe_b64encode(mac.digest()).decode('ascii')
    return quote(path.encode('utf-8')) + '?temp_url_sig=%s&temp_url_expires=%d' % (signature, expires)


@pytest.fixture
def shared(swift, client):
    """An object at a name that needs encoding, and a container that has a key."""
    swift.create_container('c').headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    swift.put('c', u'\xe9 b', b'0123456789', headers={'X-Object-Meta-Private': 'x'})
    return client


SHARED = u'/v1/AUTH_test/c/\xe9 b'


@pytest.mark.parametrize('digest', ['sha1', 'sha256', 'sha512'])
@pytest.mark.parametrize('form', ['hex', 'base64'])
def test_a_signed_url_is_let_in(shared, digest, form):
    answer = shared.ask('GET', signed(SHARED, digest=digest, form=form))
    assert (answer.status, answer.body) == (200, b'0123456789')
    assert answer.headers['content-disposition'] == 'attachment; filename="%C3%A9 b"; filename*=UTF-8\'\'%C3%A9%20b'
    assert 'x-object-meta-private' not in answer.headers


def test_a_signature_for_get_allows_head_and_ranges(shared):
    url = signed(SHARED)
    assert shared.ask('HEAD', url).headers['content-length'] == '10'
    assert shared.ask('GET', url, headers={'Range': 'bytes=2-3'}).body == b'23'


@pytest.mark.parametrize('wrong', [{'key': b'wrong'}, {'expires': 1}, {'method': 'PUT'}, {'path': SHARED + 'x'}])
def test_a_wrong_signature_answers_401(shared, wrong):
    query = signed(**dict({'path': SHARED}, **wrong)).partition('?')[2]
    answer = shared.ask('GET', quote(SHARED.encode('utf-8')) + '?' + query)
    assert (answer.status, answer.body) == (401, b'401 Unauthorized: Temp URL invalid\n')


def test_a_digest_that_is_not_allowed_answers_401(make):
    swift, client = make(allowed_digests=('sha256',))
    swift.create_container('c').headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    swift.put('c', 'a', b'abc')
    assert client.ask('GET', signed('/v1/AUTH_test/c/a', digest='sha1')).status == 401
    assert client.ask('GET', signed('/v1/AUTH_test/c/a', digest='sha256')).status == 200


@pytest.mark.parametrize('path, header', [('', 'X-Account-Meta-Temp-URL-Key'), ('', 'X-Account-Meta-Temp-URL-Key-2'),
                                          ('/c', 'X-Container-Meta-Temp-URL-Key'), ('/c', 'X-Container-Meta-Temp-URL-Key-2')])
def test_a_key_is_set_on_account_or_container(swift, client, path, header):
    swift.put('c', 'a', b'abc')
    assert client.ask('GET', signed('/v1/AUTH_test/c/a')).status == 401
    client.storage('POST', path, headers={header: 'secret'})
    assert client.ask('GET', signed('/v1/AUTH_test/c/a')).status == 200


def test_a_signed_put_stores(shared, swift):
    assert shared.ask('PUT', signed('/v1/AUTH_test/c/new', method='PUT'), b'abc').status == 201
    assert swift.container('c')['new'].body == b'abc'


# what Ceph does otherwise

def test_ceph_has_no_account_in_its_urls_and_tells_no_digests(make):
    swift, client = make(ceph=True)
    assert swift.storage_url.endswith('/swift/v1')
    client.storage('PUT', '/c/a', b'abc')
    assert client.storage('GET', '/c/a').body == b'abc'
    assert 'allowed_digests' not in client.ask('GET', '/info').json['tempurl']


def test_ceph_knows_no_container_keys_and_signs_with_or_without_its_prefix(make):
    swift, client = make(ceph=True)
    swift.put('c', 'a', b'abc')
    swift.containers['c'].headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    urls = [signed('/swift/v1/c/a'), '/swift' + signed('/v1/c/a')]
    assert [client.ask('GET', url).status for url in urls] == [401, 401]
    swift.accounts['AUTH_test'].headers['X-Account-Meta-Temp-Url-Key'] = 'secret'
    assert [client.ask('GET', url).status for url in urls] == [200, 200]


def test_ceph_gives_an_empty_manifest(make):
    _, client = make(ceph=True)
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    assert client.storage('GET', '/c/big').body == b'hello world'
    assert client.storage('GET', '/c/big?multipart-manifest=get').body == b''


# faults

def test_a_fault_acts_so_many_times_after_so_many_requests(swift, client):
    fault = swift.fault('HEAD', fake_swift.status(503), times=2, after=1)
    assert [client.storage('HEAD', '/c').status for _ in range(5)] == [204, 503, 503, 204, 204]
    assert fault.hits == 2


def test_a_fault_for_ever_acts_until_cancelled(swift, client):
    fault = swift.fault('HEAD', fake_swift.status(500), times=None)
    assert {client.storage('HEAD', '/c').status for _ in range(5)} == {500}
    fault.cancel()
    assert client.storage('HEAD', '/c').status == 204


def test_faults_act_in_the_order_they_were_set(swift, client):
    for code in 503, 429, 401:
        swift.fault('HEAD', fake_swift.status(code))
    assert [client.storage('HEAD', '/c').status for _ in range(4)] == [503, 429, 401, 204]


def test_cleared_faults_do_not_act(swift, client):
    swift.fault('HEAD', fake_swift.status(500), times=None)
    swift.clear_faults()
    assert client.storage('HEAD', '/c').status == 204


@pytest.mark.parametrize('match', [
    on('PUT', path_contains='layer'), on(kind='object'), on(path='/v1/AUTH_test/c/layer1'), on(query='x'),
    on(where=lambda request: request.length == 3), lambda request: request.name == 'layer1', 'PUT'])
def test_a_fault_meets_only_its_match(swift, client, match):
    client.storage('HEAD', '/c')
    swift.fault(match, fake_swift.status(507), times=None)
    assert client.storage('PUT', '/c/layer1?x=1', b'abc').status == 507
    assert client.storage('HEAD', '/c').status == 204


@pytest.mark.parametrize('kind, path', [
    ('auth', '/auth/v1.0'), ('auth', '/v3'), ('info', '/info'), ('account', '/v1/AUTH_test'),
    ('container', '/v1/AUTH_test/c'), ('container', '/v1/AUTH_test/c/'), ('object', '/v1/AUTH_test/c/a/b')])
def test_a_fault_can_meet_any_kind_of_request(swift, client, kind, path):
    swift.fault(on(kind=kind), fake_swift.status(418))
    assert client.ask('GET', path).status == 418


def test_a_status_fault_answers_as_told_and_does_nothing(swift, client):
    swift.fault('PUT', fake_swift.status(498, {'Retry-After': '1'}, b'slow down'))
    answer = client.storage('PUT', '/c/a', b'abc')
    assert (answer.status, answer.headers['retry-after'], answer.body) == (498, '1', b'slow down')
    assert answer.headers['x-trans-id'].startswith('tx')
    assert not swift.container('c') and swift.requests[-1].received == 3


def test_an_early_status_answers_before_the_body_and_closes(swift, client):
    client.storage('HEAD')
    swift.fault('PUT', fake_swift.status(503, early=True))
    head = 'PUT /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\nContent-Length: 1000\r\n\r\n' % client.token
    client.connection.sock.sendall(head.encode('ascii'))
    answer = client.connection.sock.makefile('rb').read()
    assert answer.startswith(b'HTTP/1.1 503 ') and b'Connection: close' in answer
    assert swift.requests[-1].received == 0


@pytest.mark.parametrize('after', [0, 3])
def test_a_cut_response_ends_after_so_many_bytes(swift, client, after):
    swift.put('c', 'a', b'0123456789')
    swift.fault('GET', fake_swift.cut_response(after), after=1)
    with pytest.raises(http.IncompleteRead) as caught:
        client.storage('GET', '/c/a')
    assert caught.value.partial == b'0123456789'[:after]


@pytest.mark.parametrize('reset', [False, True])
def test_a_lost_answer_is_of_a_request_that_was_done(swift, client, reset):
    client.storage('HEAD')
    swift.fault('PUT', fake_swift.lost_answer(reset))
    with pytest.raises((http.BadStatusLine, socket.error)):
        client.storage('PUT', '/c/a', b'abc')
    assert swift.container('c')['a'].body == b'abc'
    assert swift.requests[-1].status is None


def test_a_cut_request_is_read_so_far_and_not_done(swift, client):
    client.storage('HEAD')
    swift.fault('PUT', fake_swift.cut_request(1000))
    with pytest.raises((http.BadStatusLine, socket.error)):
        client.storage('PUT', '/c/a', b'x' * 100000)
    assert swift.requests[-1].received == 1000
    assert not swift.container('c')


@pytest.mark.parametrize('before, seen', [('headers', b''), ('body', b'\r\n\r\n'), (4, b'\r\n\r\n0123')])
def test_a_stalled_answer_goes_on_when_released(swift, client, before, seen):
    swift.put('c', 'a', b'0123456789')
    client.storage('HEAD')
    swift.fault('GET', fake_swift.stall(before))
    client.connection.sock.settimeout(0.1)
    client.connection.sock.sendall(('GET /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\n\r\n' % client.token).encode('ascii'))
    received = []
    with pytest.raises(socket.timeout):
        while True:
            received.append(client.connection.sock.recv(1 << 16))
    assert b''.join(received).endswith(seen) and bool(received) == bool(seen)
    swift.release()
    client.connection.sock.settimeout(5)
    while not b''.join(received).endswith(b'0123456789'):
        received.append(client.connection.sock.recv(1 << 16))


def test_a_stall_before_the_request_reads_no_body(swift, client):
    client.storage('HEAD')
    client.connection.sock.settimeout(0.1)
    swift.fault('PUT', fake_swift.stall('request'))
    with pytest.raises(socket.timeout):
        client.storage('PUT', '/c/a', b'abc')
    assert swift.requests[-1].received == 0


def test_a_stall_may_come_before_the_deed(swift, client):
    client.storage('HEAD')
    client.connection.sock.settimeout(0.1)
    swift.fault('PUT', fake_swift.stall(perform=False))
    with pytest.raises(socket.timeout):
        client.storage('PUT', '/c/a', b'abc')
    assert not swift.container('c')


def test_a_stall_ends_when_the_client_has_gone(swift, client):
    client.storage('HEAD')
    client.connection.sock.settimeout(0.1)
    swift.fault('GET', fake_swift.stall())
    with pytest.raises(socket.timeout):
        client.storage('GET', '/c')
    assert swift.open_connections() == 1
    client.close()
    wait_until(lambda: swift.open_connections() == 0)


def test_a_delayed_answer_comes_later(swift, client):
    client.storage('HEAD')
    swift.fault('GET', fake_swift.delay(0.2))
    started = time.time()
    assert client.storage('GET', '/c?format=json').status == 200
    assert time.time() - started >= 0.2


def test_a_wrong_etag_is_answered_for_what_was_stored_well(swift, client):
    swift.fault('PUT', fake_swift.wrong_etag())
    assert client.storage('PUT', '/c/a', b'abc').headers['etag'] == '0' * 32
    assert swift.container('c')['a'].etag == hashlib.md5(b'abc').hexdigest()


def test_a_corrupt_body_has_the_right_length_and_etag(swift, client):
    etag = swift.put('c', 'a', b'abc').etag
    swift.fault(on(kind='object'), fake_swift.corrupt_body())
    answer = client.storage('GET', '/c/a')
    assert (answer.body, answer.headers['etag']) == (b'\x9ebc', etag)


def test_a_short_body_agrees_with_its_length(swift, client):
    swift.put('c', 'a', b'abc')
    swift.fault(on(kind='object'), fake_swift.short_body(2))
    answer = client.storage('GET', '/c/a')
    assert (answer.body, answer.headers['content-length']) == (b'a', '1')


def test_headers_can_be_left_out(swift, client):
    swift.put('c', 'a', b'abc')
    swift.fault(on(kind='object'), fake_swift.without_headers('Last-Modified', 'ETag'))
    assert not {'last-modified', 'etag'} & set(client.storage('GET', '/c/a').headers)


# listings and reads that lag

def test_a_lagging_listing_shows_ghosts_and_no_news_until_it_catches_up(swift, client):
    swift.put('c', 'deleted', b'')
    swift.lag_listing('c')
    client.storage('DELETE', '/c/deleted')
    client.storage('PUT', '/c/new', b'')
    assert client.names() == ['deleted']
    assert client.storage('HEAD', '/c/deleted').status == 404
    swift.catch_up()
    assert client.names() == ['new']


def test_a_stale_read_sees_the_version_before(swift, client):
    client.storage('PUT', '/c/a', b'old')
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a', times=2)
    assert [client.storage('GET', '/c/a').body for _ in range(3)] == [b'old', b'old', b'new']


def test_a_stale_read_may_see_nothing_yet_or_what_was_deleted(swift, client):
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a')
    assert [client.storage('HEAD', '/c/a').status for _ in range(2)] == [404, 200]
    client.storage('DELETE', '/c/a')
    swift.stale('c', 'a')
    assert [client.storage('HEAD', '/c/a').status for _ in range(2)] == [200, 404]


def test_the_newest_is_never_stale(swift, client):
    client.storage('PUT', '/c/a', b'old')
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a')
    assert client.storage('GET', '/c/a', X_Newest='true').body == b'new'
    assert client.storage('GET', '/c/a').body == b'old'


# connections, and what was seen

def test_requests_are_recorded_in_order(swift, client):
    client.storage('PUT', '/c/a%20b?x=1&y', b'abc', X_Newest='true')
    login, request = swift.requests
    assert (login.method, login.path, login.status) == ('GET', '/auth/v1.0', 200)
    assert (request.path, request.query, request.status) == ('/v1/AUTH_test/c/a b', {'x': '1', 'y': ''}, 201)
    assert (request.container, request.name, request.newest, request.body, request.received) == ('c', 'a b', True, b'abc', 3)
    swift.clear_requests()
    assert swift.requests == []


def test_a_connection_serves_many_requests(swift, client):
    for _ in range(5):
        client.storage('HEAD', '/c')
    assert (swift.connections_made, swift.open_connections()) == (1, 1)
    client.close()
    wait_until(lambda: swift.open_connections() == 0)


def test_connections_are_served_at_the_same_time(swift, client):
    client.storage('HEAD')
    client.connection.sock.settimeout(0.1)
    swift.fault('GET', fake_swift.stall())
    with pytest.raises(socket.timeout):
        client.storage('GET', '/c')
    other = Client(swift)
    assert other.storage('HEAD', '/c').status == 204
    other.close()


def test_refused_connections_are_accepted_again_on_the_same_port(swift, client):
    client.storage('PUT', '/c/a', b'abc')
    swift.refuse_connections()
    assert swift.open_connections() == 0
    client.close()
    with pytest.raises(socket.error):
        client.storage('GET', '/c/a')
    client.close()
    swift.accept_connections()
    assert client.storage('GET', '/c/a').body == b'abc'


def test_refusing_can_spare_open_connections(swift, client):
    client.storage('HEAD')
    swift.refuse_connections(drop=False)
    assert client.storage('HEAD', '/c').status == 204
    with pytest.raises(socket.error):
        socket.create_connection(('127.0.0.1', swift.port))


def test_connection_close_is_honoured(swift, client):
    assert client.storage('HEAD', '/c', Connection='close').headers['connection'] == 'close'
    wait_until(lambda: swift.open_connections() == 0)


def test_an_overlapping_start_keeps_two_fakes_apart(make):
    (first, _), (second, client) = make(), make()
    client.storage('PUT', '/c/a', b'abc')
    assert (list(first.container('c')), list(second.container('c'))) == ([], ['a'])


def test_stopping_ends_stalled_connections_and_every_thread_at_once():
    before = set(threading.enumerate())
    with FakeSwift() as swift:
        swift.fault('GET', fake_swift.stall(), times=None)
        clients = [socket.create_connection(('127.0.0.1', swift.port)) for _ in range(5)]
        for client in clients:
            client.sendall(b'GET /info HTTP/1.1\r\n\r\n')
        wait_until(lambda: len(swift.requests) == 5)
        started = time.time()
    assert time.time() - started < 1
    assert set(threading.enumerate()) <= before
    for client in clients:
        assert client.recv(1) == b''
        client.close()


def test_a_failure_of_the_fake_itself_is_not_kept_quiet():
    with pytest.raises(AssertionError):
        with FakeSwift() as swift:
            swift.containers['c'] = None
            client = Client(swift)
            assert client.storage('HEAD', '/c').status == 500
            client.close()


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_swiftclient_works_with_it(swift):
    swiftclient = pytest.importorskip('swiftclient')
    connection = swiftclient.Connection(swift.auth_url, swift.user, swift.key, retries=1, starting_backoff=0.01)
    swift.fault('PUT', fake_swift.status(503))
    connection.put_object('c', 'a', b'abc' if str is bytes else __import__('io').BytesIO(b'abc'), 3)
    headers, body = connection.get_object('c', 'a')
    connection.close()
    assert (body, headers['content-length']) == (b'abc', '3')
