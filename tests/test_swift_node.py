"""The real Swift that other tests run on: tools/swift_node.py, as a program, and as a module where it must be one."""

import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

pytest.importorskip('swift.common', reason='runs in an environment of its own: make test ENVS=swift')
swiftclient = pytest.importorskip('swiftclient')

sys.path[:0] = [
    os.path.dirname(os.path.abspath(__file__)),
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tools'),
]

import swift_node  # noqa: E402
import swift_process  # noqa: E402
from ports import free_port  # noqa: E402

MIB = 2**20


class Client:
    """Plain requests to a Swift, each on a connection of its own, with a token."""

    def __init__(self, swift):
        self.swift, self.storage_url = swift, swift.storage_url
        self.token = self.log_in(swift.user, swift.key)

    def log_in(self, user, key):
        status, headers, _ = fetch('GET', self.swift.auth_url, headers={'X-Auth-User': user, 'X-Auth-Key': key})
        assert status == 200
        assert headers['X-Storage-Url'] == self.swift.storage_url
        return headers['X-Auth-Token']

    def __call__(self, method, path, body=None, **headers):
        named = {name.replace('_', '-'): value for name, value in headers.items()}
        return fetch(method, self.storage_url + path, body, dict(named, **{'X-Auth-Token': self.token}))

    def names(self, container):
        return self('GET', '/' + container)[2].decode().split()

    def put_large(self, path, segments):
        """A static large object of the given contents, its segments beside it."""
        manifest = []
        for number, content in enumerate(segments):
            name = '%s_segments/%d' % (path, number)
            assert self('PUT', name, content)[0] == 201
            manifest.append({'path': name, 'etag': hashlib.md5(content).hexdigest(), 'size_bytes': len(content)})
        assert self('PUT', path + '?multipart-manifest=put', json.dumps(manifest).encode())[0] == 201


def fetch(method, url, body=None, headers=()):
    """Status, headers and body of the answer, whatever the status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers), method=method), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'still not so after %d seconds' % seconds
        time.sleep(0.005)


def processes(word):
    """The ids of the processes that have the word in their command line, this one aside."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open('/proc/%s/cmdline' % name, 'rb') as command:
                    found += [int(name)] if word.encode() in command.read() else []
            except OSError:
                pass
    return found


def children(pid):
    """The ids of the processes that this one has started, the oldest first.  Their numbers need not rise: the kernel begins again at 1."""
    with open('/proc/%d/task/%d/children' % (pid, pid)) as ids:
        return [int(word) for word in ids.read().split()]


def start(**options):
    return swift_process.start(sys.executable, **options)


@pytest.fixture(scope='module')
def swift():
    with start() as running:
        yield running


@pytest.fixture
def client(swift):
    return Client(swift)


@pytest.fixture
def container(client, request):
    name = 'c-%s' % hashlib.md5(request.node.name.encode()).hexdigest()[:10]
    assert client('PUT', '/' + name)[0] == 201
    return name


# -- as a Swift


def test_a_wrong_key_is_refused(swift):
    assert fetch('GET', swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': 'wrong'})[0] == 401


def test_swiftclient_logs_in_and_reads_what_it_wrote(swift):
    connection = swiftclient.Connection(swift.auth_url, swift.user, swift.key)
    connection.put_container('by-swiftclient')
    connection.put_object('by-swiftclient', 'a/b', b'content')
    assert connection.get_object('by-swiftclient', 'a/b')[1] == b'content'
    connection.close()


def test_a_range_is_answered_with_just_that(client, container):
    client('PUT', '/%s/o' % container, b'0123456789')
    status, headers, body = client('GET', '/%s/o' % container, Range='bytes=2-5')
    assert (status, headers['Content-Range'], body) == (206, 'bytes 2-5/10', b'2345')


def test_an_object_is_in_the_listing_when_its_put_returns(client, container):
    for number in range(30):
        client('PUT', '/%s/%02d' % (container, number), b'')
        assert client.names(container)[-1] == '%02d' % number


def test_a_static_large_object_reads_as_one(client, container):
    client.put_large('/%s/large' % container, [b'a' * MIB, b'b' * 10])
    status, headers, body = client('GET', '/%s/large' % container)
    assert (status, headers['X-Static-Large-Object'], body) == (200, 'True', b'a' * MIB + b'b' * 10)


def test_a_dynamic_large_object_reads_as_one(client, container):
    for part in ('1', '2'):
        client('PUT', '/%s/parts/%s' % (container, part), part.encode())
    client('PUT', '/%s/large' % container, b'', X_Object_Manifest='%s/parts/' % container)
    assert client('GET', '/%s/large' % container)[2] == b'12'


def test_an_object_can_be_copied(client, container):
    client('PUT', '/%s/from' % container, b'content')
    client('PUT', '/%s/to' % container, b'', X_Copy_From='/%s/from' % container)
    assert client('GET', '/%s/to' % container)[2] == b'content'


def test_if_none_match_keeps_what_is_there(client, container):
    client('PUT', '/%s/o' % container, b'first')
    assert client('PUT', '/%s/o' % container, b'second', If_None_Match='*')[0] == 412
    assert client('GET', '/%s/o' % container)[2] == b'first'


def test_bulk_delete_deletes_all_that_it_is_told(client, container):
    for name in 'abc':
        client('PUT', '/%s/%s' % (container, name), b'')
    body = '\n'.join('/%s/%s' % (container, name) for name in 'abx').encode()
    answer = json.loads(client('POST', '?bulk-delete', body, Content_Type='text/plain', Accept='application/json')[2])
    assert (answer['Number Deleted'], answer['Number Not Found'], answer['Errors']) == (2, 1, [])
    assert client.names(container) == ['c']


@pytest.mark.parametrize('digest', ['sha1', 'sha256', 'sha512'])
def test_a_temporary_url_needs_no_token(client, container, digest):
    client('PUT', '/%s/o' % container, b'content')
    client('POST', '/' + container, X_Container_Meta_Temp_URL_Key='secret')
    url = '%s/%s/o' % (client.storage_url, container)
    expires = int(time.time()) + 60
    text = 'GET\n%d\n%s' % (expires, urllib.parse.urlsplit(url).path)
    signature = hmac.new(b'secret', text.encode(), digest).hexdigest()
    assert fetch('GET', '%s?temp_url_sig=%s&temp_url_expires=%d' % (url, signature, expires))[2] == b'content'
    assert fetch('GET', '%s?temp_url_sig=%s&temp_url_expires=%d' % (url, signature, expires + 1))[0] == 401


def test_info_names_features_with_their_default_limits(client):
    info = json.loads(fetch('GET', urllib.parse.urljoin(client.storage_url, '/info'))[2])
    assert (info['swift']['container_listing_limit'], info['swift']['max_file_size']) == (10000, 5 * 2**30 + 2)
    assert (info['bulk_delete']['max_deletes_per_request'], info['slo']['max_manifest_segments']) == (10000, 1000)
    assert {'tempurl', 'tempauth', 'symlink', 'container_quotas', 'account_quotas', 'ratelimit'} <= set(info)


def test_an_object_that_its_container_server_missed_gets_into_the_listing(tmp_path, monkeypatch):
    monkeypatch.setitem(swift_node.EVERY_SERVER, 'container_update_timeout', '0.1')
    monkeypatch.setitem(swift_node.EVERY_SERVER, 'node_timeout', '2')
    waiting = tmp_path / 'devices' / 'd1' / 'async_pending'
    patient_proxy = {('DEFAULT', 'node_timeout'): '60'}
    with swift_node.SwiftNode(data=str(tmp_path), settings=patient_proxy) as node:
        client = Client(node)
        client('PUT', '/c')
        client('PUT', '/c/first', b'')
        container_server = children(node._process.pid)[swift_node.SERVERS.index('container')]
        os.kill(container_server, signal.SIGSTOP)
        client('PUT', '/c/second', b'')
        wait_until(lambda: any(path.is_file() for path in waiting.rglob('*')))
        os.kill(container_server, signal.SIGKILL)
    with swift_node.SwiftNode(data=str(tmp_path)) as node:
        client = Client(node)
        wait_until(lambda: client.names('c') == ['first', 'second'])


def test_the_account_learns_what_its_containers_hold():
    with start() as swift:
        client = Client(swift)
        client('PUT', '/c')
        client('PUT', '/c/o', b'12345')
        wait_until(lambda: client('HEAD', '')[1]['X-Account-Bytes-Used'] == '5')


# -- its options


def test_options_change_the_limits_that_clients_see():
    with start(listing_limit=2, max_deletes=3, set='swift-constraints:max_file_size=1000') as swift:
        client = Client(swift)
        client('PUT', '/c')
        for name in 'abc':
            client('PUT', '/c/' + name, b'')
        info = json.loads(fetch('GET', urllib.parse.urljoin(swift.storage_url, '/info'))[2])
        assert client.names('c') == ['a', 'b']
        assert info['bulk_delete']['max_deletes_per_request'] == 3
        assert client('PUT', '/c/big', b'x' * 1001)[0] == 413


def test_filters_can_be_left_out():
    with start(no_bulk=True, without=['slo', 'tempurl']) as swift:
        info = json.loads(fetch('GET', urllib.parse.urljoin(swift.storage_url, '/info'))[2])
        assert not {'bulk_delete', 'bulk_upload', 'slo', 'tempurl'} & set(info)


def test_user_and_key_can_be_chosen():
    with start(user='an_account:some.one', key='s3cr%t;#') as swift:
        assert swift.storage_url.endswith('/v1/AUTH_an_account')
        assert Client(swift)('HEAD', '')[0] == 204


def test_a_token_expires():
    with start(token_life=1) as swift:
        client = Client(swift)
        wait_until(lambda: client('HEAD', '')[0] == 401)
        wait_until(lambda: Client(swift)('HEAD', '')[0] == 204)  # unless this takes a second, too


def test_a_delay_holds_up_every_request_and_none_of_the_others():
    with start(delay_ms=200) as swift:
        client = Client(swift)
        begun = time.monotonic()
        client('HEAD', '')
        assert time.monotonic() - begun >= 0.2
        assert all(request.seconds >= 0.2 for request in swift.requests())


def test_encryption_keeps_content_off_the_disk(tmp_path):
    with start(data=tmp_path, encryption=True) as swift:
        client = Client(swift)
        client('PUT', '/c')
        client('PUT', '/c/o', b'plain to see')
        assert client('GET', '/c/o')[2] == b'plain to see'
        files = [path.read_bytes() for path in (tmp_path / 'devices').rglob('*.data')]
        assert [b'plain to see' in content for content in files] == [False]


# -- the request log


def test_each_request_of_a_client_is_one_line_and_none_of_swifts_own(swift, client, container):
    client.put_large('/%s/large' % container, [b'a' * MIB, b'b' * 10])
    swift.mark()
    client('GET', '/%s/large' % container)
    client('PUT', '/%s/o' % container, b'12345')
    client('HEAD', '/%s/o' % container)
    client('GET', '/%s?prefix=a%%20b&limit=1' % container)
    client('GET', '/%s/missing%%0Aname' % container)
    client('DELETE', '/%s/large?multipart-manifest=delete' % container)
    at = '/v1/AUTH_test/' + container
    requests = swift.requests()
    assert [request[:5] for request in requests][:5] == [
        ('GET', at + '/large', 200, 0, MIB + 10),
        ('PUT', at + '/o', 201, 5, 0),
        ('HEAD', at + '/o', 200, 0, 0),
        ('GET', at + '?prefix=a%20b&limit=1', 204, 0, 0),
        ('GET', at + '/missing%0Aname', 404, 0, 70),
    ]
    assert requests[5][:3] == ('DELETE', at + '/large?multipart-manifest=delete', 200) and len(requests) == 6


def test_the_start_leaves_no_line_in_the_log():
    with start() as swift:
        assert swift.requests() == []


def test_the_line_is_there_as_soon_as_the_answer_is(swift, client, container):
    client('PUT', '/%s/o' % container, b'12345')
    for _ in range(50):
        swift.mark()
        client('GET', '/%s/o' % container)
        assert len(swift.requests()) == 1


def test_an_answer_is_framed_as_without_the_log(swift, client):
    _, headers, _ = fetch('GET', swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': swift.key})
    assert (headers['Content-Length'], headers['Transfer-Encoding']) == ('0', None)


# -- its life


def test_data_outlives_a_stop_whatever_the_ports(tmp_path):
    small, segments = os.urandom(100), [os.urandom(MIB), os.urandom(1000)]
    with start(data=tmp_path, port=free_port()) as swift:  # a port that no connection of another test takes meanwhile
        client, first_url = Client(swift), swift.storage_url
        client('PUT', '/c')
        client.put_large('/c/large', segments)
        client('PUT', '/c/small', small, X_Object_Meta_Colour='green')
        listing = client.names('c')
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # a server of another test took it first, which is as good
            taken.bind(('127.0.0.1', urllib.parse.urlsplit(first_url).port))
        with start(data=tmp_path) as swift:
            client = Client(swift)
            assert swift.storage_url != first_url
            assert client.names('c') == listing == ['large', 'large_segments/0', 'large_segments/1', 'small']
            assert client('GET', '/c/large')[2] == b''.join(segments)
            status, headers, body = client('GET', '/c/small')
            assert (headers['X-Object-Meta-Colour'], body) == ('green', small)


def test_a_chosen_port_can_be_used_again_at_once(tmp_path):
    port = free_port()
    with start(data=tmp_path, port=port) as swift:
        Client(swift)('PUT', '/c')
        url = swift.storage_url
    for _ in range(2):
        with start(data=tmp_path, port=port) as swift:
            assert swift.storage_url == url
            assert Client(swift)('HEAD', '/c')[0] == 204


def test_two_at_once_know_nothing_of_each_other():
    with start() as one, start() as other:
        Client(one)('PUT', '/c')
        assert Client(other)('HEAD', '/c')[0] == 404


def test_a_folder_in_use_is_refused(tmp_path):
    with start(data=tmp_path):
        with pytest.raises(RuntimeError, match='another node runs in %s' % tmp_path):
            start(data=tmp_path)


def test_a_port_in_use_is_refused(swift):
    with pytest.raises(RuntimeError, match='cannot listen on 127.0.0.1:.*in use'):
        start(port=urllib.parse.urlsplit(swift.storage_url).port)


def test_a_file_system_without_xattrs_is_refused(tmp_path, monkeypatch):
    def unsupported(*args):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(os, 'setxattr', unsupported)
    with pytest.raises(swift_node.StartError, match='has no user xattrs'):
        swift_node.SwiftNode(data=str(tmp_path)).start()


def test_a_server_that_does_not_come_up_is_named_with_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r'(?s)Swift \(.*proxy.*\) ended while starting.*ValueError.*nonsense'):
        start(data=tmp_path, set='DEFAULT:client_chunk_size=nonsense')


@pytest.mark.parametrize(
    'options',
    [
        {'user': 'nobody'},
        {'key': 'two words'},
        {'without': 'nonsense'},
        {'set': 'filter:nonsense:a=b'},
        {'set': 'nonsense'},
        {'keystone': True, 'data': 'folder'},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(RuntimeError, match='swift_node'):
        start(**options)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Starts the program, without --stdin, temporary folder and all below tmp_path; gives the process once ready."""
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    started = []

    def run(*options):
        command = [sys.executable, swift_process.NODE] + list(options)
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert json.loads(started[-1].stdout.readline())['pid'] == started[-1].pid
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_process_and_no_folder(program, tmp_path, number):
    process = program()
    assert len(processes(str(tmp_path))) == 1 + len(swift_node.SERVERS)
    process.send_signal(number)
    assert process.communicate(timeout=60) == (b'', b'')
    assert process.returncode == 0
    assert processes(str(tmp_path)) == [] and os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    'seconds, options', [(0, []), (0.01, []), (0.1, []), (0.2, []), (0.4, []), (0, ['--keystone']), (2, ['--keystone'])]
)
def test_a_signal_during_the_start_leaves_no_process_and_no_folder(tmp_path, monkeypatch, seconds, options):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    process = subprocess.Popen([sys.executable, swift_process.NODE] + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: os.listdir(str(tmp_path)))
    time.sleep(seconds)  # the moment is what is tried here
    process.terminate()
    assert process.communicate(timeout=60)[1] == b''
    assert processes(str(tmp_path)) == [] and os.listdir(str(tmp_path)) == []


def test_a_killed_program_takes_the_servers_with_it(program, tmp_path):
    process = program()
    process.kill()
    wait_until(lambda: processes(str(tmp_path)) == [])


def test_a_folder_can_be_used_again_after_a_kill(program, tmp_path):
    process = program('--data', str(tmp_path / 'data'))
    process.kill()
    process.wait()
    program('--data', str(tmp_path / 'data'))


def test_the_end_of_its_input_leaves_no_process_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    parent = subprocess.Popen(
        [sys.executable, '-c', 'import swift_process, sys; swift_process.start(sys.executable); print(1); sys.stdout.flush(); input()'],
        cwd=os.path.dirname(swift_process.__file__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout.readline() == b'1\n'
    assert processes(str(tmp_path))
    parent.kill()
    parent.communicate()
    wait_until(lambda: processes(str(tmp_path)) == [] and os.listdir(tmp_path) == [])


@pytest.mark.parametrize('server', range(5))
def test_a_server_that_dies_ends_the_program_and_the_other_servers(program, tmp_path, server):
    process = program()
    os.kill(sorted(processes(str(tmp_path)))[server], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and b'ended' in errors
    assert processes(str(tmp_path)) == [] and os.listdir(tmp_path) == []


def test_as_a_module_it_runs_for_the_length_of_a_with(tmp_path):
    with swift_node.SwiftNode(data=str(tmp_path)) as node:
        assert Client(node)('HEAD', '')[0] == 204
        assert processes(str(tmp_path))
    assert processes(str(tmp_path)) == []


def test_as_a_module_an_exception_stops_it_too(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with swift_node.SwiftNode(data=str(tmp_path)):
            raise ZeroDivisionError
    assert processes(str(tmp_path)) == []


# -- with Keystone


@pytest.fixture(scope='module')
def cloud():
    """One that clients log in to as on an OpenStack cloud.  Without Keystone it fails: tox installs what it needs."""
    with start(keystone=True) as running:
        yield running


def by_password(cloud, key=None, project=None, user_domain=None, project_domain=None):
    """What Keystone is told by who has the user's name and password; https://docs.openstack.org/api-ref/identity/v3/"""
    user = {'name': cloud.user, 'password': key or cloud.key, 'domain': {'name': user_domain or cloud.user_domain}}
    scope = {'name': project or cloud.project, 'domain': {'name': project_domain or cloud.project_domain}}
    return {'identity': {'methods': ['password'], 'password': {'user': user}}, 'scope': {'project': scope}}


def by_credential(cloud):
    credential = {'id': cloud.application_credential_id, 'secret': cloud.application_credential_secret}
    return {'identity': {'methods': ['application_credential'], 'application_credential': credential}}


def log_in(cloud, auth):
    """(status, token, catalog)"""
    status, headers, body = fetch(
        'POST', cloud.auth_url + '/auth/tokens', json.dumps({'auth': auth}).encode(), {'Content-Type': 'application/json'}
    )
    return status, headers.get('X-Subject-Token'), json.loads(body).get('token', {}).get('catalog')


@pytest.mark.parametrize('auth', [by_password, by_credential])
def test_keystone_lets_in_the_user_and_the_application_credential(cloud, auth):
    status, token, _ = log_in(cloud, auth(cloud))
    assert status == 201
    named = {'X-Auth-Token': token}
    assert fetch('PUT', cloud.storage_url + '/by-keystone', headers=named)[0] in (201, 202)
    assert fetch('PUT', cloud.storage_url + '/by-keystone/o', b'content', named)[0] == 201
    assert fetch('GET', cloud.storage_url + '/by-keystone/o', headers=named)[2] == b'content'


@pytest.mark.parametrize('wrong', [{'key': 'wrong'}, {'project': 'other'}, {'user_domain': 'Default'}, {'project_domain': 'Default'}])
def test_keystone_refuses_what_is_not_the_users(cloud, wrong):
    assert log_in(cloud, by_password(cloud, **wrong))[:2] == (401, None)


def test_the_catalog_has_swift_in_one_region_only(cloud):
    (swift,) = [service for service in log_in(cloud, by_password(cloud))[2] if service['type'] == 'object-store']
    assert sorted((each['interface'], each['region'], each['url']) for each in swift['endpoints']) == [
        ('internal', cloud.region, cloud.storage_url),
        ('public', cloud.region, cloud.storage_url),
    ]


def test_swift_refuses_a_token_once_it_is_revoked(cloud):
    token = log_in(cloud, by_password(cloud))[1]
    assert fetch('HEAD', cloud.storage_url, headers={'X-Auth-Token': token})[0] == 204
    both = {'X-Auth-Token': token, 'X-Subject-Token': token}
    assert fetch('DELETE', cloud.auth_url + '/auth/tokens', headers=both)[0] == 204
    assert fetch('HEAD', cloud.storage_url, headers={'X-Auth-Token': token})[0] == 401


@pytest.mark.parametrize('token', [{}, {'X-Auth-Token': 'made-up'}])
def test_swift_refuses_who_has_no_token_of_keystone(cloud, token):
    assert fetch('HEAD', cloud.storage_url, headers=token)[0] == 401


def test_v1_auth_is_not_there_with_keystone(cloud):
    url = cloud.storage_url.partition('/v1/')[0] + '/auth/v1.0'
    assert fetch('GET', url, headers={'X-Auth-User': 'test:tester', 'X-Auth-Key': cloud.key})[0] == 400


def test_a_signal_leaves_nothing_of_keystone(program, tmp_path):
    process = program('--keystone')
    assert len(processes(str(tmp_path))) == 2 + len(swift_node.SERVERS)
    process.terminate()
    assert process.communicate(timeout=60) == (b'', b'')
    assert processes(str(tmp_path)) == [] and os.listdir(tmp_path) == []


def test_a_killed_program_takes_keystone_with_it(program, tmp_path):
    program('--keystone').kill()
    wait_until(lambda: processes(str(tmp_path)) == [])


def test_a_keystone_that_dies_ends_the_program(program, tmp_path):
    process = program('--keystone')
    (keystone,) = set(processes('keystone_node.py')) & set(processes(str(tmp_path)))
    os.kill(keystone, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and b'Keystone ended' in errors
    assert processes(str(tmp_path)) == [] and os.listdir(tmp_path) == []
