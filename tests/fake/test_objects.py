# -*- coding: utf-8 -*-
"""Objects: writing, reading, ranges, conditions and metadata."""

import hashlib
import socket
import time

import pytest

from .http_client import Answer, quote, wait_until


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


def test_a_copy_has_the_bytes_and_the_metadata_of_its_source(swift, client):
    etag = client.storage('PUT', '/c/a', b'abc', Content_Type='text/x', X_Object_Meta_Color='red', X_Object_Meta_Size='3').headers['etag']
    put = client.storage('PUT', '/c/b', b'', X_Copy_From='/c/a', X_Object_Meta_Color='blue')
    assert (put.status, put.headers['etag'], put.headers['x-copied-from']) == (201, etag, 'c/a')
    got = client.storage('GET', '/c/b')
    assert (got.body, got.headers['content-type'], got.headers['etag']) == (b'abc', 'text/x', etag)
    assert (got.headers['x-object-meta-color'], got.headers['x-object-meta-size']) == ('blue', '3')


@pytest.mark.parametrize('condition, status', [
    ({'If_None_Match': '*'}, 304), ({'If_Match': '0'}, 412), ({'Etag': '0'}, 201), ({'Content_Length': '1'}, 400)], ids=str)
def test_conditions_of_a_copy_are_those_of_its_source(swift, client, condition, status):
    swift.put('c', 'a', b'abc')
    answer = client.storage('PUT', '/c/new', b'x' if 'Content_Length' in condition else b'', X_Copy_From='/c/a', **condition)
    assert (answer.status, 'new' in swift.container('c')) == (status, status == 201)


@pytest.mark.parametrize('source, status', [('/c/none', 404), ('/none/a', 404), ('c/a', 201), ('/c/%61', 201), ('none', 412), ('//a', 412)])
def test_what_a_copy_can_be_made_of(swift, client, source, status):
    swift.put('c', 'a', b'abc')
    assert client.storage('PUT', '/c/new', b'', X_Copy_From=source).status == status


def test_a_copy_of_a_large_object_is_a_plain_one(swift, client):
    client.put_manifest(client.put_segments(b'hello ', b'world'), X_Object_Meta_Segments='cafe 2')
    client.storage('PUT', '/c/dynamic', b'', X_Object_Manifest='c/seg')
    for name in 'big', 'dynamic':
        client.storage('PUT', '/c/copy', b'', X_Copy_From='/c/' + name)
        answer = client.storage('GET', '/c/copy')
        assert (answer.body, answer.headers['etag']) == (b'hello world', hashlib.md5(b'hello world').hexdigest())
        assert not {'x-static-large-object', 'x-object-manifest'} & set(answer.headers)


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
    assert 30 < int(client.storage('HEAD', '/c/a').headers['x-delete-at']) - time.time() < 61


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
