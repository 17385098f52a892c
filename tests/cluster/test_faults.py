"""What a replicated Swift answers while some of its servers are down, silent or behind.  The driver and the registry rely on this."""

import concurrent.futures
import hashlib
import http.client
import json
import time
import urllib.parse

import pytest
import requests

from cluster_client import Client, make_whole, wait_until

REQUESTS = {
    'HEAD object': ('HEAD', 'o'),
    'GET object': ('GET', 'o'),
    'PUT object': ('PUT', 'p', b'content'),
    'DELETE object': ('DELETE', 'o'),
    'HEAD container': ('HEAD',),
    'GET container': ('GET',),
    'PUT container': ('PUT',),
}
ASKS = 40  # each of a random one of three servers: none of them is a certain one with a probability of 1e-7


def statuses_without(cluster, kind):
    """Statuses while all servers of a kind are silent and the proxy has forgotten what they said.

    The requests are sent at the same time, because each waits for the silent servers.
    """
    client = Client(cluster)
    client.put('o')
    cluster.stop(kind)
    cluster.forget()
    client.log_in()
    with concurrent.futures.ThreadPoolExecutor(len(REQUESTS)) as pool:
        statuses = list(pool.map(lambda request: client(*request).status_code, REQUESTS.values()))
    make_whole(cluster)
    return dict(zip(REQUESTS, statuses))


# -- silent account servers


@pytest.fixture(scope='module')
def without_accounts(cluster):
    return statuses_without(cluster, 'account')


@pytest.mark.parametrize('request_', ['HEAD object', 'GET object'])
def test_while_account_servers_are_silent_objects_can_be_read(without_accounts, request_):
    assert without_accounts[request_] == 200


@pytest.mark.parametrize('request_', ['DELETE object', 'PUT object'])
def test_while_account_servers_are_silent_a_write_says_not_found(without_accounts, request_):
    assert without_accounts[request_] == 404


@pytest.mark.parametrize('request_', ['HEAD container', 'GET container'])
def test_while_account_servers_are_silent_a_container_says_not_found(without_accounts, request_):
    assert without_accounts[request_] == 404


def test_while_account_servers_are_silent_a_container_cannot_be_made(without_accounts):
    assert without_accounts['PUT container'] == 503


def test_what_was_not_found_is_there_when_account_servers_answer_again(cluster, client):
    client.put('o')
    cluster.stop('account')
    cluster.forget()
    client.log_in()
    assert client('DELETE', 'o').status_code == 404

    make_whole(cluster)

    assert client.names() == ['o'] and client('GET', 'o').status_code == 200


def test_what_the_proxy_knows_of_the_account_hides_silent_account_servers(cluster, client):
    cluster.forget()
    client.log_in()
    client.put('o')  # it knows the account for five seconds from here on
    cluster.stop('account')

    assert client('GET').ok


# -- silent and stale container servers


@pytest.fixture(scope='module')
def without_containers(cluster):
    return statuses_without(cluster, 'container')


@pytest.mark.parametrize('request_', REQUESTS)
def test_while_container_servers_are_silent_everything_is_unavailable(without_containers, request_):
    assert without_containers[request_] == 503


def test_what_the_proxy_knows_of_a_container_lets_objects_be_read_while_container_servers_are_silent(cluster, client):
    client.put('o')
    cluster.stop('container')

    assert client('GET', 'o').status_code == 200


def put_without(cluster, client, node):
    """Store an object that a container server misses, and one before."""
    client.put('before')
    cluster.kill('container', node)
    client.put('o')
    make_whole(cluster)


def test_a_container_server_that_was_down_lists_its_old_rows_until_replication(cluster, client):
    put_without(cluster, client, client.places()[0].node)
    wait_until(lambda: client.names() == ['before'])

    cluster.replicate()

    assert all(client.names() == ['before', 'o'] for _ in range(ASKS))


def test_x_newest_lists_what_the_server_has_that_made_the_container_last_even_if_it_is_behind(cluster, client):
    nodes = [place.node for place in client.places()[:3]]
    put_without(cluster, client, max(nodes, key=lambda node: client.at(node, method='HEAD').headers['X-Backend-Timestamp']))

    assert all(client.names(X_Newest='true') == ['before'] for _ in range(ASKS))


# -- objects whose replicas are down or silent


def test_an_object_with_one_replica_is_not_found_while_its_nodes_are_silent(cluster, client):
    one, another, last, stand_in = client.nodes('o')
    cluster.kill('object', one)
    cluster.kill('object', another)
    client.put('o')
    make_whole(cluster)
    assert client('GET', 'o').status_code == 200

    cluster.stop('object', last)
    cluster.stop('object', stand_in)

    assert client('GET', 'o').status_code == 404


def delete_without(cluster, client, node):
    """Store an object and delete it while a node is down."""
    client.put('o')
    cluster.kill('object', node)
    assert client('DELETE', 'o').status_code == 204
    make_whole(cluster)


def test_a_deleted_object_is_back_while_the_nodes_that_know_of_it_are_silent(cluster, client):
    one, *others = client.nodes('o')
    delete_without(cluster, client, one)

    for node in others:
        cluster.stop('object', node)

    assert client('GET', 'o').status_code == 200


def test_a_node_that_missed_a_delete_serves_the_object_until_replication(cluster, client):
    delete_without(cluster, client, client.nodes('o')[0])
    wait_until(lambda: client('GET', 'o').status_code == 200)
    assert {client('GET', 'o', headers={'X-Newest': 'true'}).status_code for _ in range(ASKS)} == {404}

    cluster.replicate()

    assert {client('GET', 'o').status_code for _ in range(ASKS)} == {404}


def test_a_put_that_fails_may_leave_one_replica_which_a_head_finds(cluster, client):
    one, *others, _ = client.nodes('o')
    upload = Upload(client, 'o', b'content')
    upload.send_all_but_the_last_byte()
    for node in others:
        cluster.stop('object', node)
    assert upload.finish() == 503
    for node in others:
        cluster.kill('object', node)
    make_whole(cluster)

    assert client.holders('o') == [one]
    assert client('HEAD', 'o').status_code == 200


class Upload:
    """A PUT that stops before its last byte, when the servers of all replicas have taken it on."""

    def __init__(self, client, name, content):
        url = urllib.parse.urlsplit(client.url(name))
        self._content, self._connection = content, http.client.HTTPConnection(url.netloc, timeout=60)
        self._connection.putrequest('PUT', url.path)
        for header, value in (('X-Auth-Token', client.token), ('Content-Length', len(content)), ('Expect', '100-continue')):
            self._connection.putheader(header, value)

    def send_all_but_the_last_byte(self):
        self._connection.endheaders()
        assert self._connection.sock.recv(1000).startswith(b'HTTP/1.1 100')  # the proxy is connected to the servers then
        self._connection.send(self._content[:-1])

    def finish(self):
        self._connection.send(self._content[-1:])
        status = self._connection.getresponse().status
        self._connection.close()
        return status


# -- statuses that mean something else


@pytest.fixture
def manifest(client):
    """Put a manifest of the segments s and t, and return status and reasons by segment."""

    def put():
        segments = [{'path': f'/{client.container}/{name}', 'etag': hashlib.md5(name.encode()).hexdigest()} for name in 'st']
        answer = client('PUT', 'large', json.dumps(segments), {'Accept': 'application/json'}, **{'multipart-manifest': 'put'})
        return answer.status_code, {path[-1]: reason for path, reason in answer.json()['Errors']} if answer.content else {}

    return put


def test_a_manifest_whose_segments_cannot_be_asked_for_is_a_bad_request_with_503_inside(cluster, client, manifest):
    client.put('s', 't')
    cluster.stop('object')

    assert manifest() == (400, {'s': '503 Service Unavailable', 't': '503 Service Unavailable'})


def test_a_manifest_whose_segment_is_missing_is_a_bad_request_with_404_inside(client, manifest):
    client.put('s')

    assert manifest() == (400, {'t': '404 Not Found'})


@pytest.mark.parametrize('method', ['PUT', 'DELETE'])
def test_a_put_older_than_what_is_stored_is_accepted_and_stores_nothing(client, method):
    client.put('o')
    later = {'X-Timestamp': '%.5f' % (time.time() + 1000), 'Content-Type': 'text/plain'}  # of another proxy, whose clock is ahead
    for place in client.places('o')[:3]:
        requests.request(method, place.url, data=b'newer', headers=later, timeout=60).raise_for_status()
    before = client('GET', 'o')

    assert client('PUT', 'o', b'older').status_code == 202

    after = client('GET', 'o')
    assert (after.status_code, after.content) == (before.status_code, before.content) and b'older' not in after.content


# -- memcached and the proxy


def test_a_proxy_whose_memcached_was_flushed_refuses_tokens_until_the_next_login(cluster, client):
    cluster.forget()
    assert client('GET').status_code == 401

    client.log_in()

    assert client('GET').ok


def test_after_a_restart_of_memcached_logins_work_again_soon(cluster, client):
    cluster.restart('memcached')
    assert client('GET').status_code == 401

    wait_until(lambda: try_to_log_in(client))  # each failure, a 503, ends one of the proxy's old connections to memcached

    assert client('GET').ok


def try_to_log_in(client):
    try:
        client.log_in()
    except requests.HTTPError as error:
        assert error.response.status_code == 503
        return False
    return True


def test_a_restart_of_the_proxy_keeps_tokens(cluster, client):
    cluster.kill('proxy')
    with pytest.raises(requests.ConnectionError):
        client('GET')

    cluster.start('proxy')

    assert client('GET').ok
