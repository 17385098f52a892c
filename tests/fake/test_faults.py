# -*- coding: utf-8 -*-
"""Faults: which requests they match, and what they do to them."""

import hashlib
import os
import resource
import socket
import threading
import time

import pytest

import fake_swift
from fake_swift import on

from .http_client import BadStatusLine, Client, IncompleteRead, wait_until


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
    with pytest.raises(IncompleteRead) as caught:
        client.storage('GET', '/c/a')
    assert caught.value.partial == b'0123456789'[:after]


@pytest.mark.parametrize('reset', [False, True])
def test_a_lost_answer_is_of_a_request_that_was_done(swift, client, reset):
    client.storage('HEAD')
    swift.fault('PUT', fake_swift.lost_answer(reset))
    with pytest.raises((BadStatusLine, socket.error)):
        client.storage('PUT', '/c/a', b'abc')
    assert swift.container('c')['a'].body == b'abc'
    assert swift.requests[-1].status is None


def test_a_cut_request_is_read_so_far_and_not_done(swift, client):
    client.storage('HEAD')
    swift.fault('PUT', fake_swift.cut_request(1000))
    with pytest.raises((BadStatusLine, socket.error)):
        client.storage('PUT', '/c/a', b'x' * 100000)
    assert swift.requests[-1].received == 1000
    assert not swift.container('c')


@pytest.mark.parametrize('before, seen', [('headers', b''), ('body', b'\r\n\r\n'), (4, b'\r\n\r\n0123')])
def test_a_stalled_answer_goes_on_when_released(swift, client, before, seen):
    swift.put('c', 'a', b'0123456789')
    client.storage('HEAD')
    fault = swift.fault('GET', fake_swift.stall(before))
    client.connection.sock.sendall(('GET /v1/AUTH_test/c/a HTTP/1.1\r\nX-Auth-Token: %s\r\n\r\n' % client.token).encode('ascii'))
    wait_until(lambda: fault.hits)
    received = []
    while not b''.join(received).endswith(seen):
        received.append(client.connection.sock.recv(1 << 16))
    client.connection.sock.settimeout(0.1)
    with pytest.raises(socket.timeout):
        client.connection.sock.recv(1 << 16)
    swift.release()
    client.connection.sock.settimeout(30)
    while not b''.join(received).endswith(b'0123456789'):
        received.append(client.connection.sock.recv(1 << 16))


def test_a_stall_works_when_a_thousand_files_are_open(swift, client):
    swift.put('c', 'a', b'x')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    many, other = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)], Client(swift)
    try:
        other.storage('HEAD')  # takes the number that a waiting accept has reserved; the next connection has a high one
        fault = swift.fault('GET', fake_swift.stall())

        def release_in_the_middle():
            wait_until(lambda: fault.hits)  # no sooner: what has not come yet would stall for ever
            time.sleep(0.2)
            swift.release()
        releasing = threading.Thread(target=release_in_the_middle)
        releasing.start()
        assert client.storage('GET', '/c/a').body == b'x'
        releasing.join()
    finally:
        for one in many:
            os.close(one)
        other.close()


def test_a_release_just_before_the_stall_counts(swift, client):
    client.storage('HEAD')
    released = threading.Event()

    def stall_after_release(exchange):
        released.wait(10)
        fake_swift.stall()(exchange)

    fault = swift.fault('HEAD', stall_after_release)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.storage('HEAD', '/c').status))
    thread.start()
    wait_until(lambda: fault.hits)
    swift.release()
    released.set()
    thread.join(10)
    assert answers == [204]


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


def test_a_short_page_has_fewer_names_although_there_are_more(swift, client):
    for name in 'abcd':
        swift.put('c', name, b'')
    swift.fault(on('GET', kind='container'), fake_swift.short_page(), times=None)
    answers = [client.storage('GET', '/c?format=json&limit=4&marker=' + marker) for marker in ('', 'b', 'd')]
    pages = [[entry['name'] for entry in answer.json] for answer in answers]
    assert pages == [['a', 'b'], ['c', 'd'], []]


def test_manifest_problems_refuse_a_manifest_for_each_segment(swift, client):
    swift.fault(on('PUT', query='multipart-manifest'), fake_swift.manifest_problems())
    answer = client.storage('PUT', '/c/large?multipart-manifest=put', b'[{"path": "/c/part"}]', {'Accept': 'application/json'})
    assert (answer.status, answer.json['Errors']) == (400, [['/c/part', '503 Service Unavailable']])
    assert 'large' not in swift.container('c')
