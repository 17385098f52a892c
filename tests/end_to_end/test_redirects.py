"""Clients that get the bytes of a large layer from Swift itself: from its own address, or past nginx in front of the registry."""

import collections
import contextlib
import http.client
import http.server
import os
import re
import shutil
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

import clients
import conftest
import images
from clients import ALICE, BASIC
from images import MiB
from servers import PATIENCE, wait_until

NAME = 'team/image:v1'
SECRET = 'a secret of the tests, at least 32 characters'  # a new one in the container would be read again for some seconds
LOGINS = {'basic': {}, 'tokens': {'REGISTRY_BEARER_TOKENS': 'yes'}}

#: A request that came to Swift past the registry. `login` is its Authorization, or None.
Asked = collections.namedtuple('Asked', 'method path range login')


class Front:
    """The address at which clients find Swift. `asked` has their requests.

    :param host: name of this machine in the URL
    """

    def __init__(self, swift, host):
        self.asked, front, target = [], self, urlsplit(swift.storage_url)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                fields = {name: value for name, value in self.headers.items() if name in ('Range', 'Authorization')}
                front.asked.append(Asked(self.command, self.path.partition('?')[0], fields.get('Range'), fields.get('Authorization')))
                with contextlib.closing(http.client.HTTPConnection(target.netloc, timeout=PATIENCE)) as inside:
                    inside.request(self.command, self.path, headers=fields)
                    answer = inside.getresponse()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        self.send_header(name, value)
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)

            do_HEAD = do_PUT = do_DELETE = do_GET

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://{host}:{self._server.server_address[1]}{target.path}'
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def front(swift):
    """A function that starts a `Front`."""
    started = []

    def start(host='localhost'):
        started.append(Front(swift, host))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Redirecting:
    """A registry that redirects everybody, an image with a large layer in it, and what the registry has done for a pull of it.

    :param writer: another registry that the image is pushed to
    """

    def __init__(self, place, users, front, skopeo, image, writer=None, **variables):
        self.front, self.image, self.layer = front, image, image.blobs[0]
        self.size = os.path.getsize(os.path.join(image.folder, self.layer[7:]))
        self.registry = place.registry(
            workers=1,
            REGISTRY_HTPASSWD=users,
            REGISTRY_REDIRECT='yes',
            REGISTRY_UPLOAD_SECRET=SECRET,
            REGISTRY_TRUSTED_PROXIES='127.0.0.1',
            SWIFT_TEMP_URL_KEY='a key that signs',
            SWIFT_TEMP_URL_SET_KEY='container',
            SWIFT_PUBLIC_URL=front.url,
            **variables,
        )
        skopeo.push(image, writer or self.registry, NAME, *([] if writer else ['--dest-creds', ALICE]))
        self._login = BASIC
        if 'REGISTRY_BEARER_TOKENS' in variables:
            url = self.registry.url + '/v2/token?scope=repository:team/image:pull'
            self._login = {'Authorization': 'Bearer ' + requests.get(url, headers=BASIC, timeout=PATIENCE).json()['token']}
        self.url_of_layer()  # the first one sets the key
        self._tried = time.monotonic()

    @property
    def login(self):
        return self._login

    def url_of_layer(self):
        path = f'{self.registry.url}/v2/team/image/blobs/{self.layer}'
        answer = requests.get(path, headers=self._login, allow_redirects=False, timeout=PATIENCE)
        assert answer.status_code == 307
        return answer.headers['Location']

    def answers(self):
        """Return (status, bytes sent, requests to Swift) of each GET of the layer, except for that of `__init__`."""
        lines = re.findall(rf' GET /v2/team/image/blobs/{self.layer} (\d+) (\d+) [\d.]+ swift=(\d+) ', self.registry.log)
        return [tuple(map(int, line)) for line in lines][1:]

    def assert_it_sent_nothing(self, times=1):
        wait_until(lambda: len(self.answers()) >= times, 'the registry logs the request')
        assert [answer[:2] for answer in self.answers()] == [(307, 0)] * times
        most = 2 if time.monotonic() - self._tried < 50 else 3  # once a minute, the driver tries whether Swift accepts its key
        assert all(count <= most for _, _, count in self.answers())
        assert [asked.method for asked in self.front.asked if self.layer[7:] in asked.path] == ['GET'] * times


@pytest.fixture
def redirecting(place, users, front, skopeo, new_image):
    """A function that returns a `Redirecting`."""
    image = new_image(45 * MiB, types=images.DOCKER)  # three segments, ours as well as those of distribution
    return lambda host='localhost', **variables: Redirecting(place, users, front(host), skopeo, image, **variables)


def hosts_of(server, folder):
    """Return a folder that tells containerd to use TLS for a server on 127.0.0.1."""
    os.makedirs(os.path.join(folder, server.address))
    with open(os.path.join(folder, server.address, 'hosts.toml'), 'w') as file:
        file.write(f'server = "{server.url}"\n[host."{server.url}"]\nskip_verify = true\n')
    return folder


@pytest.fixture
def pull(user_of, ctr, new_folder):
    """A function that pulls the image from a server with a program. Each program compares the digests of all it gets."""

    def pull(program, server, started):
        if program == 'ctr':
            way = ['--hosts-dir', hosts_of(server, new_folder())] if server.url.startswith('https') else ['--plain-http']
            done = ctr('content', 'fetch', *way, '--user', ALICE, server.address + '/' + NAME)
            assert done.returncode == 0, done.stderr
        elif program == 'curl':
            path = new_folder()
            login = 'Authorization: ' + started.login['Authorization']
            clients.run(['curl', '-ksSfL', '-H', login, '-o', path, f'{server.url}/v2/team/image/blobs/{started.layer}'], {})
            with open(path, 'rb') as file:
                assert images.digest_of(file.read()) == started.layer
        else:
            user_of(program, server, ALICE).pull(NAME)
            if program == 'docker':
                clients.forget(user_of(program, server)._docker, server.address + '/team/image')

    conftest.need('curl')
    return pull


@pytest.mark.parametrize('login', sorted(LOGINS))
@pytest.mark.parametrize('program', ['docker', 'podman', 'skopeo', 'ctr', 'curl'])
def test_a_pull_takes_no_bytes_of_the_registry_and_two_requests(redirecting, pull, program, login):
    started = redirecting(**LOGINS[login])
    pull(program, started.registry, started)

    started.assert_it_sent_nothing()
    assert [asked.login for asked in started.front.asked] == [None]


@pytest.mark.parametrize('program', ['docker', 'podman', 'skopeo', 'ctr', 'curl'])
def test_a_pull_past_nginx_does_so_too(redirecting, place, tls, pull, program):
    started = redirecting(**LOGINS['tokens'])
    nginx = place.nginx([started.registry] * 2, tls)
    pull(program, nginx, started)

    started.assert_it_sent_nothing()
    assert 'temp_url_sig' not in nginx.log


@pytest.mark.parametrize('program', ['docker', 'podman', 'skopeo', 'ctr', 'curl'])
def test_swift_at_another_port_of_the_registry_gets_no_login(redirecting, pull, program):
    started = redirecting(host='127.0.0.1')
    pull(program, started.registry, started)

    started.assert_it_sent_nothing()
    assert [asked.login for asked in started.front.asked] == [None]


def test_swift_ignores_a_login_that_a_client_sends_on(redirecting):
    started = redirecting()

    assert len(requests.get(started.url_of_layer(), headers=started.login, timeout=PATIENCE).content) == started.size
    assert started.front.asked[-1].login == BASIC['Authorization']


@pytest.mark.parametrize('program', ['skopeo', 'curl'])
def test_a_layer_that_distribution_wrote_comes_from_swift_too(redirecting, place, pull, program):
    started = redirecting(writer=place.distribution())
    pull(program, started.registry, started)

    started.assert_it_sent_nothing()


def test_curl_gets_ranges_and_goes_on_with_a_download(redirecting, new_folder):
    started = redirecting()
    with open(os.path.join(started.image.folder, started.layer[7:]), 'rb') as file:
        content = file.read()
    path, url = new_folder(), f'{started.registry.url}/v2/team/image/blobs/{started.layer}'
    curl = ['curl', '-sSfL', '-u', ALICE, '-o', path]
    for words, part in ((['-r', '5-9'], content[5:10]), (['-r', '-7'], content[-7:]), (['-r', f'{17 * MiB}-'], content[17 * MiB :])):
        clients.run([*curl, *words, url], {})
        with open(path, 'rb') as file:
            assert file.read() == part
    with open(path, 'wb') as file:
        file.write(content[: 18 * MiB])
    clients.run([*curl, '-C', '-', url], {})
    with open(path, 'rb') as file:
        assert file.read() == content

    assert [asked.range for asked in started.front.asked] == ['bytes=5-9', 'bytes=-7', f'bytes={17 * MiB}-', f'bytes={18 * MiB}-']
    started.assert_it_sent_nothing(4)


def test_the_url_is_for_one_object_and_for_get(redirecting):
    started = redirecting()
    url = started.url_of_layer()

    assert requests.put(url, data=b'x', timeout=PATIENCE).status_code == 401
    assert requests.delete(url, timeout=PATIENCE).status_code == 401
    assert requests.get(url.replace(started.layer[7:], started.image.blobs[-1][7:]), timeout=PATIENCE).status_code == 401
    assert len(requests.get(url, timeout=PATIENCE).content) == started.size
