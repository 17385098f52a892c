# -*- coding: utf-8 -*-
"""The server: /info, connections, and the requests that it records."""

import socket
import threading
import time

import pytest

import fake_swift
from fake_swift import FakeSwift

from .http_client import Client, wait_until

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


# connections and recorded requests

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
    fault = swift.fault('GET', fake_swift.stall())
    with pytest.raises(socket.timeout):
        client.storage('GET', '/c')
    wait_until(lambda: fault.hits)  # or it would meet the login of the other
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
    assert time.time() - started < 10
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
