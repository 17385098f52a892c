"""Logins that ask a server of the cloud, when that server is down, slow, overloaded, or not what it should be."""

import concurrent.futures
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import zlib

import pytest

from access_client import basic
from docker_registry.v2.access import htpasswd, logins, outside
from docker_registry.v2.access.keystone import Keystone
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.swift_account import SwiftAccount
from docker_registry.v2.registry import errors
from peer import Peer, answer
from registry_process import Serving, environment, until
from tls import make_certificate

SECRET = b'no-one-may-see-this'
TOKEN = {
    'user': {'id': '1', 'name': 'alice', 'domain': {'id': '2', 'name': 'people'}},
    'project': {'id': '3', 'name': 'images', 'domain': {'id': '4', 'name': 'cloud'}},
    'roles': [{'id': '5', 'name': 'member'}],
    'is_domain': False,
}
OWN = 'http://swift.test/v1/AUTH_images'


class Kind:
    """One of the logins, with what its server answers to a right password."""

    def __init__(self, source, name, right):
        self.source, self.name, self.right = source, name, right

    def __call__(self, peer, **more):
        return self.source(outside.Server(peer if isinstance(peer, str) else peer.url, 'OS_AUTH_URL', **more))

    def check(self, peer, **more):
        return self(peer, **more).check(self.name, SECRET)


def token(**changes):
    return answer(201, json.dumps({'token': {**TOKEN, **changes}}).encode(), X_Subject_Token='token')


KINDS = {
    'keystone': Kind(Keystone, b'alice@people/images@cloud', token()),
    'swift': Kind(lambda server: SwiftAccount(server, lambda: OWN), b'alice@images', answer(X_Storage_Url=OWN, X_Auth_Token='token')),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def discreet(caplog):
    """Nothing that is logged has the password, whatever the level."""
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET.decode() not in caplog.text


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(outside, 'SECONDS', 0.3)


def unavailable(kind, peer, **more):
    """Return what the log says about a login that can be neither right nor wrong."""
    with pytest.raises(errors.Unavailable) as raised:
        kind.check(peer, **more)
    assert int(raised.value.headers['Retry-After']) > 0 and 'storage' not in raised.value.message


def test_a_right_password(kind):
    with Peer(kind.right) as peer:
        assert kind.check(peer)
    assert len(peer.requests) == 1


@pytest.mark.parametrize('status', [401, 403])
@pytest.mark.parametrize('body', [b'', b'{"error": {"code": 401}}', b'<html>', b'["'])
def test_a_wrong_password(kind, status, body):
    with Peer(answer(status, body)) as peer:
        assert kind.check(peer) is None
    assert len(peer.requests) == 1


# No answer


@pytest.mark.parametrize('status', [100, 300, 404, 405, 408, 409, 410, 500, 502, 503, 504, 599])
def test_any_other_status_does_not_make_a_password_wrong(kind, status, caplog):
    with Peer(answer(status)) as peer:
        unavailable(kind, peer)
    assert f'OS_AUTH_URL {peer.url}: ' in caplog.text


def test_nobody_listens(kind, caplog):
    with socket.socket() as bound:  # so nobody else gets the port, and without a listener
        bound.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{bound.getsockname()[1]}'
        unavailable(kind, url)
    assert f'OS_AUTH_URL {url}: it cannot be reached' in caplog.text


def test_a_host_without_an_address(kind, caplog):
    unavailable(kind, 'http://keystone.invalid:5000/v3')
    assert 'it cannot be reached' in caplog.text


def test_silence(kind, hasty):
    with Peer(lambda client: client.hang()) as peer:
        unavailable(kind, peer)


def test_silence_in_the_middle(kind, hasty):
    def begin(client):
        client.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{')
        client.hang()

    with Peer(begin) as peer:
        unavailable(kind, peer)


def test_a_connection_that_is_cut(kind):
    with Peer(lambda client: client.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{')) as peer:
        unavailable(kind, peer)


HEAD = b'HTTP/1.1 200 OK\r\nX-Storage-Url: %b\r\n' % OWN.encode()
DRIPS = {
    'head': lambda client: client.drip(HEAD + b'X-Long: ' + b'x' * 10000),
    'body': lambda client: (client.send(HEAD + b'Content-Length: 10000\r\n\r\n'), client.drip(b' ' * 10000)),
}
IN_GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys, time
sys.path[:0] = {path}
from docker_registry.v2.access import outside
from docker_registry.v2.http import worker
from test_outside import KINDS, errors
outside.SECONDS = 1
began = time.monotonic()
try:
    KINDS[{kind!r}].check({url!r}, within=worker.within)
except errors.Unavailable:
    print(time.monotonic() - began)
"""


@pytest.mark.parametrize('drip', DRIPS.values(), ids=DRIPS)
@pytest.mark.parametrize('kind', KINDS)
def test_a_server_that_is_never_silent_for_long_has_as_little_time_as_any_other(kind, drip):
    with Peer(drip) as peer:
        code = IN_GREENLETS.format(path=sys.path, kind=kind, url=peer.url)
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)

    assert 1 <= float(done.stdout) < 30, done.stderr  # to its end, the answer would take minutes


# Answers that make no sense


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'<html>',
        b'{}',
        b'[]',
        b'null',
        b'{"token": null}',
        b'{"token": []}',
        b'{"token": {}}',
        b'[' * 100000,
        b'\xff\xfe',
        b'{"token": {"user": {"id": "1", "name": "alice"}, "project": {"id": "3"}}}',
    ],
)
def test_a_body_that_is_not_from_keystone(body, caplog):
    with Peer(answer(201, body, X_Subject_Token='token')) as peer:
        unavailable(KINDS['keystone'], peer)
    assert 'makes no sense' in caplog.text


@pytest.mark.parametrize(
    'changes',
    [
        {'user': 'alice'},
        {'user': {'id': '1', 'name': None, 'domain': {'id': '2', 'name': 'people'}}},
        {'user': {'id': '1', 'name': '', 'domain': {'id': '2', 'name': 'people'}}},
        {'user': {'id': '1', 'name': 'alice', 'domain': {'id': '2'}}},
        {'project': {'id': '3', 'name': 'images'}},
        {'project': {'id': '3', 'name': 7, 'domain': {'id': '4', 'name': 'cloud'}}},
        {'project': ['images']},
        {'roles': None},
        {'roles': 'member'},
        {'roles': [{'id': '5'}]},
        {'roles': [{'id': '5', 'name': ['member']}]},
    ],
)
def test_a_token_that_does_not_say_whose_it_is(changes):
    with Peer(token(**changes)) as peer:
        unavailable(KINDS['keystone'], peer)


def test_an_answer_without_a_token():
    with Peer(answer(201, json.dumps({'token': TOKEN}).encode())) as peer:
        unavailable(KINDS['keystone'], peer)


@pytest.mark.parametrize(
    'changes',
    [
        {'project': None},
        {'project': None, 'domain': {'id': '2', 'name': 'people'}},
        {'project': None, 'system': {'all': True}},
        {'is_domain': True},
    ],
)
def test_a_token_that_is_for_no_project_lets_nobody_in(changes, caplog):
    with Peer(token(**changes)) as peer:
        assert KINDS['keystone'].check(peer) is None
    assert 'alice@people in, but for no project' in caplog.text


@pytest.mark.parametrize('url', [None, '', 'nonsense', 'ftp://swift.test/v1/AUTH_images', 'http://swift.test/v1'])
def test_an_answer_without_the_url_of_an_account_lets_nobody_in(url):
    with Peer(answer(200, X_Storage_Url=url, X_Auth_Token='token')) as peer:
        try:
            assert KINDS['swift'].check(peer) is None
        except errors.Unavailable:
            pass


@pytest.mark.parametrize(
    'content', [b'', b'\0' * 100, b'SSH-2.0-OpenSSH\r\n', b'HTTP/1.1 OK\r\n\r\n', b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 10**6]
)
def test_a_server_that_does_not_speak_http(kind, content):
    with Peer(lambda client: client.send(content)) as peer:
        unavailable(kind, peer)


@pytest.mark.parametrize('length', [None, 2**40])
def test_a_huge_answer_is_not_read_to_its_end(length, caplog):
    def flood(client):
        answer(201, Content_Length=length, X_Subject_Token='token')(client)
        client.flood()

    with Peer(flood) as peer:
        unavailable(KINDS['keystone'], peer)
    assert peer.sent < 2**25 and 'has more than' in caplog.text


def test_a_compressed_answer_does_not_become_huge(caplog):
    with Peer(answer(201, zlib.compress(b' ' * 2**26), Content_Encoding='deflate', X_Subject_Token='token')) as peer:
        unavailable(KINDS['keystone'], peer)
    assert 'has more than' in caplog.text


def test_a_login_that_keystone_calls_malformed_is_wrong():
    with Peer(answer(400, b'{"error": {"code": 400, "message": "...", "title": "Bad Request"}}')) as peer:
        assert KINDS['keystone'].check(peer) is None


def test_a_user_whom_keystone_does_not_know_is_no_404():
    with Peer(answer(404, b'{"error": {"code": 404, "message": "...", "title": "Not Found"}}')) as peer:
        unavailable(KINDS['keystone'], peer)


def test_a_wrong_url_of_keystone_is_no_unknown_credential():
    credential = b'applicationcredential-21dced0fd20347869b93710d2b98aae0'
    for content in (b'<html>', b'{}', b'[]', b'"error"', b'{"error": "not found"}'):
        with Peer(answer(404, content)) as peer, pytest.raises(errors.Unavailable):
            KINDS['keystone'](peer).check(credential, SECRET)


# Where a password goes


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_password_elsewhere(kind, status, caplog):
    with Peer(kind.right) as elsewhere, Peer(answer(status, Location=elsewhere.url)) as peer:
        unavailable(kind, peer)
    assert (len(peer.requests), elsewhere.requests) == (1, [])
    assert f"it redirects to '{elsewhere.url}'" in caplog.text


def test_the_environment_leads_to_no_proxy(kind, monkeypatch):
    with Peer(kind.right) as peer, Peer(answer(500)) as proxy:
        for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv('no_proxy', '')
        assert kind.check(peer)
    assert proxy.requests == []


def test_the_environment_adds_no_password(kind, monkeypatch, tmp_path):
    (tmp_path / 'netrc').write_text('default login somebody password else\n')
    monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))
    with Peer(kind.right) as peer:
        kind.check(peer)
    assert b'authorization:' not in peer.requests[0].lower()


@pytest.fixture
def tls(tmp_path):
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / 'certificate.pem', tmp_path / 'key.pem')
    return context


class Settings:
    """Those of the driver for TLS."""

    cacert, insecure, cert, cert_key = None, False, None, None

    def __init__(self, **changes):
        vars(self).update(changes)


def over_tls(kind, peer, **changes):
    return kind.source(outside.Server.at(peer.url, 'OS_AUTH_URL', Settings(**changes), outside.unbounded)).check(kind.name, SECRET)


def test_a_certificate_that_is_not_trusted(kind, tls, caplog):
    with Peer(kind.right, tls) as peer, pytest.raises(errors.Unavailable):
        over_tls(kind, peer)
    assert peer.requests == []
    assert 'OS_CACERT' in caplog.text


def test_the_drivers_settings_for_tls(kind, tls, tmp_path, recwarn):
    with Peer(kind.right, tls) as peer:
        assert over_tls(kind, peer, cacert=str(tmp_path / 'certificate.pem'))
        with pytest.warns(Warning, match='Unverified'):
            assert over_tls(kind, peer, insecure=True)


def test_a_server_without_tls(kind, caplog):
    with Peer(kind.right) as peer:
        unavailable(kind, peer.url.replace('http', 'https'))
    assert 'TLS fails' in caplog.text


# Too many


@pytest.mark.parametrize(
    'wait, seconds',
    [('7', 7), ('0', 1), ('86400', 300), (None, 5), ('Fri, 31 Dec 2027 23:59:59 GMT', 5), ('-1', 5), ('1e9', 5), ('9' * 100, 5)],
)
def test_a_server_that_wants_to_be_asked_later(kind, wait, seconds):
    with Peer(answer(429, Retry_After=wait)) as peer, pytest.raises(errors.TooManyRequests) as raised:
        kind.check(peer)
    assert raised.value.headers == {'Retry-After': str(seconds)}


def test_a_server_that_is_down_does_not_use_up_the_attempts_of_a_user(kind):
    with Peer(answer(503)) as peer:
        sources = Logins([kind(peer)], 1)
        for _ in range(3):
            with pytest.raises(errors.Unavailable):
                sources.check(kind.name, SECRET, '192.0.2.1')
        peer.answer = kind.right
        assert sources.check(kind.name, SECRET, '192.0.2.1')


def test_wrong_passwords_are_counted_before_the_server_is_asked(kind):
    with Peer(answer(401)) as peer:
        sources = Logins([kind(peer)], 3)
        for number in range(3):
            assert sources.check(kind.name, b'%d' % number, '192.0.2.1') is None
        for number in range(3, 10):
            with pytest.raises(errors.TooManyRequests):
                sources.check(kind.name, b'%d' % number, '192.0.2.1')
    assert len(peer.requests) == 3


@pytest.mark.parametrize('change', [(b'alice', b'%61lice'), (b'alice', b'ALICE'), (b'alice', 'älice'.encode()), (b'alice', b'alice%20%20')])
def test_a_user_who_is_typed_in_many_ways_has_no_more_attempts(kind, change):
    """Some databases of Keystone find a user in each of these ways, and it locks the user out after a few wrong passwords."""
    other = kind.name.replace(*change)
    if not kind('http://127.0.0.1:1').knows(other):
        pytest.skip('no name of this login')
    with Peer(answer(401)) as peer:
        sources = Logins([kind(peer)], 2)
        assert sources.check(kind.name, b'1', '192.0.2.1') is sources.check(other, b'2', '192.0.2.1') is None
        for name in (kind.name, other):
            with pytest.raises(errors.TooManyRequests):
                sources.check(name, b'3', '192.0.2.1')


def test_a_user_has_no_more_attempts_for_having_many_projects():
    with Peer(answer(401)) as peer:
        sources = Logins([KINDS['keystone'](peer)], 2)
        for number in range(2):
            assert sources.check(b'alice@people/%d' % number, b'%d' % number, '192.0.2.1') is None
        with pytest.raises(errors.TooManyRequests):
            sources.check(b'alice@people/images', SECRET, '192.0.2.1')


@pytest.mark.parametrize('name', [b'bob@people/images', b'alice@cloud/images', b'applicationcredential-alice'])
def test_another_user_has_attempts_of_its_own(name):
    with Peer(answer(401)) as peer:
        sources = Logins([KINDS['keystone'](peer)], 1)
        for each in (b'alice@people/images', name):
            assert sources.check(each, b'wrong', '192.0.2.1') is None


def test_a_right_password_is_asked_about_once(kind):
    with Peer(kind.right) as peer:
        sources = Logins([kind(peer)], 3)
        assert sources.check(kind.name, SECRET, '192.0.2.1') == sources.check(kind.name, SECRET, '192.0.2.2')
    assert len(peer.requests) == 1


class Crowd:
    """Logins from many addresses, each in a thread of its own."""

    def __init__(self, sources):
        self._sources, self._threads, self.ends = sources, [], []

    def log_in(self, name, client):
        self._threads.append(threading.Thread(target=self._log_in, args=(name, client)))
        self._threads[-1].start()

    def _log_in(self, name, client):
        try:
            self.ends.append(self._sources.check(name, SECRET, client))
        except errors.RegistryError as error:
            self.ends.append(error.status)

    def join(self):
        for thread in self._threads:
            thread.join()


def test_logins_with_the_file_do_not_wait_for_a_silent_server(kind, tmp_path, monkeypatch):
    for module, name in ((outside, 'SECONDS'), (logins, 'WAIT_SECONDS')):
        monkeypatch.setattr(module, name, 60)  # so that no login ends before it is looked at
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(SECRET, 4))
    with Peer(lambda client: client.hang()) as peer:
        sources = Logins([htpasswd.Users(str(tmp_path / 'htpasswd')), kind(peer)], 3)
        crowd = Crowd(sources)
        for number in range(40):
            crowd.log_in(kind.name, f'192.0.2.{number}')
        until(lambda: len(peer.requests) == outside.AT_A_TIME)
        assert sources.check(b'alice', SECRET, '192.0.2.200').source == 'htpasswd'
        assert not crowd.ends
        peer.answer = answer(401)
        peer.released.set()
        crowd.join()


def test_a_user_who_has_logged_in_before_comes_first(kind, monkeypatch):
    """Otherwise attackers with many addresses could keep everybody out, if they make the server think for long."""
    assert outside.SECONDS < logins.WAIT_SECONDS
    for module, name in ((outside, 'SECONDS'), (logins, 'WAIT_SECONDS')):
        monkeypatch.setattr(module, name, 60)

    def think(client):
        if b'alice' not in client.request:
            client.hang()
            answer(401)(client)
        else:
            kind.right(client)

    with Peer(think) as peer:
        source = kind(peer)
        sources = Logins([source], 3)
        queues = sources._turns[source.kind]

        def waiting(turns):
            """Return the names of the logins that wait for one of the questions."""
            with turns._lock:
                return [name for _, name, *_ in turns._waiting]

        assert sources.check(kind.name, SECRET, '192.0.2.200')
        crowd = Crowd(sources)
        for number in range(64):
            crowd.log_in(kind.name.replace(b'alice', b'carol%02d' % number), f'192.0.2.{number}')
        until(lambda: len(peer.requests) == 1 + outside.AT_A_TIME and sum(map(len, map(waiting, queues))) == 64 - outside.AT_A_TIME)
        monkeypatch.setattr(source, 'recall', lambda name, password: None)  # as if it had been long ago
        crowd.log_in(kind.name, '192.0.2.200')
        (queue,) = until(lambda: [names for names in map(waiting, queues) if kind.name in names])
        assert not crowd.ends
        peer.released.set()
        crowd.join()

    def place(name):
        """Return when the server was asked about a user for the last time."""
        return max(number for number, request in enumerate(peer.requests) if name.partition(b'@')[0] in request)

    assert len(crowd.ends) == 65 and len([end for end in crowd.ends if end]) == 1
    assert len(queue) > 2 and min(queue, key=place) == kind.name


def test_a_registry_serves_others_while_keystone_is_silent(fake, tmp_path):
    """Each of 40 attackers has an address of its own, and asks for as much as one address may."""
    (tmp_path / 'users').write_text(htpasswd.line('alice', SECRET.decode(), 4) + '\n')
    (tmp_path / 'rules').write_text('allow users pull **\n')
    with Peer(lambda client: client.hang()) as peer:
        environ = environment(
            fake,
            REGISTRY_LOGINS='htpasswd,keystone',
            REGISTRY_KEYSTONE_URL=peer.url,
            REGISTRY_HTPASSWD=tmp_path / 'users',
            REGISTRY_RULES=tmp_path / 'rules',
            REGISTRY_TRUSTED_PROXIES='127.0.0.0/8',
        )
        with Serving(tmp_path, environ) as server, concurrent.futures.ThreadPoolExecutor(160) as pool:

            def log_in(name, client):
                return server.request('GET', '/v2/', X_Forwarded_For=client, **basic(name, SECRET.decode()))[0]

            attacks = [pool.submit(log_in, f'x{time}@y/z', f'198.51.{number}.1') for number in range(40) for time in range(4)]
            until(lambda: len(peer.requests) >= outside.AT_A_TIME)  # more if it has given up the first ones already
            for number in range(10):
                assert log_in('alice', f'192.0.2.{number}') == 200
            assert not peer.released.is_set() and not all(attack.done() for attack in attacks)
            peer.answer = answer(401)
            peer.released.set()
            assert {attack.result() for attack in attacks} <= {401, 429, 503}


HASHING = """
import os
from gevent import get_hub, idle, monkey, spawn
monkey.patch_all()
from docker_registry.v2.http import worker
ended = monkey.get_original('threading', 'Event')()
hub = get_hub()
for _ in range(hub.threadpool.maxsize + 1):
    spawn(hub.threadpool.apply, ended.wait)
idle()
print(worker.in_thread(sum, (1, 2)), flush=True)
os._exit(0)  # at its end, Python would wait for threads that wait for ever
"""


def test_passwords_are_hashed_while_the_name_server_is_silent():
    done = subprocess.run([sys.executable, '-c', HASHING], capture_output=True, text=True, timeout=60)

    assert done.stdout == '3\n', done.stderr
