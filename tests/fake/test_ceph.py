# -*- coding: utf-8 -*-
"""What a Ceph RADOS Gateway does differently from Swift. The fake does it always, and a real one if TEST_SWIFTS names `ceph`.

So each test that uses `ceph` compares the fake with the real one, version 16.2. The other tests of this folder show what Swift does.
"""

from __future__ import absolute_import  # of conftest: this folder has another one

import hashlib
import socket
import time
import uuid

import pytest

from conftest import SWIFTS

from .http_client import Client, signed

MD5_OF_NOTHING = hashlib.md5(b'').hexdigest()
PARTS = b'hello ', b'world'


@pytest.fixture(params=['fake'] + (['ceph'] if 'ceph' in SWIFTS else []))
def client(request, make):
    """A client with a container of its own."""
    server = request.getfixturevalue('real_ceph') if request.param == 'ceph' else make(ceph=True)[0]
    client = Client(server)
    client.container = 'ceph-' + uuid.uuid4().hex[:12]
    assert client.storage('PUT', '/' + client.container).status == 201
    yield client
    client.close()


@pytest.fixture
def path(client):
    return lambda name: '/%s/%s' % (client.container, name)


@pytest.fixture
def large(client, path):
    """The path of a large object. Its two segments are seg0 and seg1."""
    assert client.put_manifest(client.put_segments(*PARTS)).status == 201
    return path('big')


def told(answer):
    """Status and body. An error is its code: the real one puts it into JSON for a client that accepts JSON."""
    return answer.status, answer.json['Code'].encode('ascii') if answer.body.startswith(b'{') else answer.body


# logins, and what the server says of itself

def test_a_login_does_not_tell_when_its_token_expires(client):
    answers = [client.login(), client.login()]
    assert [answer.status for answer in answers] == [204, 204]
    assert not any('x-auth-token-expires' in answer.headers for answer in answers)
    assert len(set(answer.headers['x-auth-token'] for answer in answers)) == 2


def test_the_storage_url_has_no_account(client):
    assert client.swift.storage_url.endswith('/swift/v1')


def test_info_is_next_to_the_version_and_tells_neither_digests_nor_the_limit_of_bulk_deletes(client):
    assert client.ask('GET', '/info').status == 404
    info = client.ask('GET', '/swift/info').json
    assert (info['tempurl'], info['bulk_delete']) == ({'methods': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']}, {})
    assert (info['slo'], info['swift']['max_file_size']) == ({'max_manifest_segments': 1000}, 5 << 30)


def test_a_container_and_its_listings_have_a_header_that_swift_does_not_know(client):
    for method in ('HEAD', 'GET'):
        answer = client.storage(method, '/%s?format=json' % client.container)
        assert answer.headers['x-container-bytes-used-actual'].isdigit()


def test_a_container_needs_a_name_of_three_characters(client):
    assert told(client.storage('PUT', '/ab')) == (400, b'InvalidBucketName')
    assert client.storage('HEAD', '/ab').status == 400


# objects

def test_if_none_match_is_ignored(client, path, large):
    entries = client.put_segments(*PARTS)
    assert client.storage('PUT', path('seg0'), PARTS[0], If_None_Match='*').status == 201
    assert client.put_manifest(entries, If_None_Match='*').status == 201


def test_a_404_says_what_is_missing(client, path):
    assert told(client.storage('GET', path('none'))) == (404, b'NoSuchKey')
    assert told(client.storage('DELETE', path('none'))) == (404, b'NoSuchKey')
    assert told(client.storage('GET', '/ceph-none/none')) == (404, b'NoSuchBucket')
    assert told(client.storage('PUT', '/ceph-none/none', b'x')) == (404, b'NoSuchBucket')


def test_if_match_knows_the_etag_of_a_plain_object(client, path):
    etag = client.storage('PUT', path('plain'), b'plain').headers['etag']
    assert [client.storage('GET', path('plain'), If_Match=given).status for given in (etag, '"%s"' % etag, '"0"', '*')] == [
        200, 200, 412, 412]


def test_no_range_of_an_empty_object_can_be_had(client, path):
    client.storage('PUT', path('empty'), b'')
    assert client.storage('GET', path('empty'), Range='bytes=0-5').status == 416


# copies

def test_a_copy_heeds_neither_conditions_nor_a_body(client, path):
    etag = client.storage('PUT', path('a'), b'abc', Content_Type='text/x', X_Object_Meta_Color='red').headers['etag']
    for more in {}, {'If_None_Match': '*'}, {'If_Match': '"0"'}:
        answer = client.storage('PUT', path('b'), b'body', X_Copy_From=path('a'), **more)
        assert (answer.status, answer.body, answer.headers['etag']) == (201, b'', etag)
        assert answer.headers['x-copied-from'] == path('a').lstrip('/')
    got = client.storage('GET', path('b'))
    assert (got.body, got.headers['content-type'], got.headers['x-object-meta-color']) == (b'abc', 'text/x', 'red')


def test_what_a_copy_cannot_find(client, path):
    assert told(client.storage('PUT', path('b'), b'', X_Copy_From=path('none'))) == (404, b'NoSuchKey')
    assert told(client.storage('PUT', path('b'), b'', X_Copy_From='/ceph-none/none')) == (404, b'NoSuchBucket')


def test_a_copy_of_a_large_object_is_a_large_object(client, path, large):
    assert client.storage('PUT', path('copy'), b'', X_Copy_From=large).headers['etag'] == MD5_OF_NOTHING
    client.storage('DELETE', path('seg1'))
    assert client.storage('HEAD', path('copy')).headers['x-static-large-object'] == 'True'
    assert client.storage('GET', path('copy'), Range='bytes=0-5').body == b'hello '


def test_a_copy_of_a_dynamic_large_object_is_one(client, path):
    client.put_segments(*PARTS)
    client.storage('PUT', path('dynamic'), b'', X_Object_Manifest='%s/seg' % client.container)
    client.storage('PUT', path('copy'), b'', X_Copy_From=path('dynamic'))
    answer = client.storage('GET', path('copy'))
    assert (answer.body, answer.headers['x-object-manifest']) == (b'hello world', '%s/seg' % client.container)


# large objects

def test_a_large_object_reads_as_its_segments(client, large):
    answer = client.storage('GET', large)
    assert (answer.body, answer.headers['x-static-large-object']) == (b'hello world', 'True')
    etags = ''.join(hashlib.md5(part).hexdigest() for part in PARTS)
    assert answer.headers['etag'] == '"%s"' % hashlib.md5(etags.encode('ascii')).hexdigest()
    assert told(client.storage('GET', large, Range='bytes=4-7')) == (206, b'o wo')


def test_if_match_never_matches_a_large_object(client, large):
    etag = client.storage('HEAD', large).headers['etag']
    assert [client.storage('GET', large, If_Match=given).status for given in (etag, etag.strip('"'), '*')] == [412] * 3


def test_a_listing_has_the_size_of_the_manifest_of_a_large_object(client, path, large):
    entry = client.storage('GET', '/%s?format=json&prefix=big' % client.container).json[0]
    assert sorted(entry) == ['bytes', 'hash', 'last_modified', 'name']
    assert entry['hash'] == MD5_OF_NOTHING and entry['bytes'] > 100


@pytest.mark.parametrize('query', ['?multipart-manifest=get', '?multipart-manifest=get&format=raw'])
def test_the_manifest_is_empty_and_only_its_metadata_tells_what_it_is(client, large, query):
    for method in ('GET', 'HEAD'):
        answer = client.storage(method, large + query)
        assert (answer.status, answer.body, answer.headers['etag']) == (200, b'', MD5_OF_NOTHING)
        assert answer.headers['x-object-meta-static-large-object'] == 'True'
        assert 'x-static-large-object' not in answer.headers


@pytest.mark.parametrize('change, answer', [
    ({'path': '/{0}/none'}, (404, b'NoSuchKey')), ({'path': '/ceph-none/none'}, (404, b'NoSuchKey')),
    ({'size_bytes': 3}, (400, b'InvalidArgument')), ({'etag': '0' * 32}, (201, b''))])
def test_a_manifest_is_compared_with_the_sizes_of_its_segments_only(client, change, answer):
    entries = client.put_segments(*PARTS)
    entries[1].update((key, value.format(client.container) if key == 'path' else value) for key, value in change.items())
    assert told(client.put_manifest(entries, 'new')) == answer


def test_a_manifest_in_a_container_that_is_missing(client):
    entries = client.put_segments(*PARTS)
    client.container = 'ceph-none'
    assert told(client.put_manifest(entries)) == (404, b'NoSuchBucket')


def test_a_manifest_that_is_none_or_too_long_is_an_invalid_argument(client, path):
    (entry,) = client.put_segments(b'x')
    assert told(client.put_manifest([entry] * 1001)) == (400, b'InvalidArgument')
    assert told(client.storage('PUT', path('big?multipart-manifest=put'), 'nonsense')) == (400, b'InvalidArgument')
    assert client.put_manifest([entry] * 1000).status == 201


def test_an_overwritten_segment_of_the_same_size_shows(client, path, large):
    client.storage('PUT', path('seg1'), b'WORLD')
    assert client.storage('GET', large).body == b'hello WORLD'


def test_a_large_object_without_its_first_segment_is_not_found_but_can_be_deleted(client, path, large):
    client.storage('DELETE', path('seg0'))
    assert [client.storage(method, large).status for method in ('GET', 'HEAD')] == [404, 404]
    assert client.storage('GET', large, Range='bytes=6-').body == b'world'
    assert client.storage('HEAD', large + '?multipart-manifest=get').status == 200
    assert client.storage('DELETE', large).status == 204


@pytest.mark.parametrize('spoil, status', [(lambda client, path: client.storage('DELETE', path), 404),
                                           (lambda client, path: client.storage('PUT', path, b'longer'), 500)])
def test_a_large_object_with_a_spoilt_later_segment_stops_and_stays_open(client, path, large, spoil, status):
    spoil(client, path('seg1'))
    assert client.storage('HEAD', large).headers['content-length'] == '11'
    assert client.storage('GET', large, Range='bytes=8-').status == status
    impatient = Client(client.swift, timeout=2)
    started = time.time()
    with pytest.raises(socket.timeout):
        impatient.storage('GET', large)
    assert time.time() - started >= 2
    impatient.close()


@pytest.mark.parametrize('parts', [[], [b'']], ids=['none', 'empty'])
def test_a_large_object_of_nothing_is_no_http(client, large, parts):
    assert client.put_manifest(client.put_segments(*parts), 'nothing').status == 201
    request = 'GET /swift/v1/%s/nothing HTTP/1.1\r\nHost: ceph\r\nX-Auth-Token: %s\r\n\r\n' % (client.container, client.token)
    client.connection.sock.sendall(request.encode('ascii'))
    assert b'HTTP' not in client.connection.sock.recv(1000)


def test_what_replaces_a_large_object_leaves_its_segments(client, path, large):
    client.storage('PUT', large, b'plain')
    assert [client.storage('GET', path(name)).body for name in ('big', 'seg0', 'seg1')] == [b'plain', b'hello ', b'world']


def test_bulk_delete_reports_as_swift_does(client, path, large):
    assert client.bulk_delete(path('seg0'), path('seg1'), path('none')).json == {
        'Number Deleted': 2, 'Number Not Found': 1, 'Response Body': '', 'Response Status': '200 OK', 'Errors': []}


# temporary URLs

@pytest.fixture
def shared(client, path):
    """The URLs of an object: with the path as it is, and without the prefix of Ceph in what is signed."""
    client.storage('PUT', path('a'), b'abc', X_Object_Meta_Told='told')
    return lambda **more: [signed('/swift/v1' + path('a'), **dict({'digest': 'sha1'}, **more)),
                           '/swift' + signed('/v1' + path('a'), **dict({'digest': 'sha1'}, **more))]


def test_the_key_of_the_account_signs_with_or_without_the_prefix(client, shared):
    client.storage('POST', '', X_Account_Meta_Temp_Url_Key='secret')
    for url in shared():
        answer = client.ask('GET', url)
        assert (answer.body, answer.headers['x-object-meta-told']) == (b'abc', 'told')
        assert client.ask('GET', url, headers={'Range': 'bytes=1-'}).body == b'bc'


def test_a_key_of_the_container_is_taken_and_does_not_sign(client, shared):
    client.storage('POST', '/' + client.container, X_Container_Meta_Temp_Url_Key='of the container')
    assert client.storage('HEAD', '/' + client.container).headers['x-container-meta-temp-url-key'] == 'of the container'
    assert [told(client.ask('GET', url)) for url in shared(key=b'of the container')] == [(403, b'AccessDenied')] * 2


@pytest.mark.parametrize('more, status', [({'key': b'wrong'}, 403), ({'digest': 'sha256'}, 403), ({'digest': 'sha512'}, 403),
                                          ({'expires': 1}, 401)])
def test_what_a_wrong_signature_returns(client, shared, more, status):
    client.storage('POST', '', X_Account_Meta_Temp_Url_Key='secret')
    assert [told(client.ask('GET', url)) for url in shared(**more)] == [(status, b'AccessDenied')] * 2
