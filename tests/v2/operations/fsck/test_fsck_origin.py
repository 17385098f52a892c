"""`registry-swift fsck --repair --from URL`: fetches what is missing from another registry, and believes only hashes."""

import http.server
import os
import threading

import pytest
from werkzeug.serving import make_server

from docker_registry.v2.access import htpasswd
from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.operations.fsck.origin import Origin
from docker_registry.v2.settings.config import Access
from registry_client import Place, digest_of

MiB = 1024**2
LARGE = os.urandom(3 * MiB)


@pytest.fixture
def serve():
    """A function that serves a WSGI application on loopback and returns its URL."""
    servers = []

    def serve(app):
        server = make_server('127.0.0.1', 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f'http://127.0.0.1:{server.server_port}'

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def other(fake):
    """The container of another registry."""
    return Place(fake)


@pytest.fixture
def users(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'correct horse', 4))
    return str(tmp_path / 'htpasswd')


@pytest.fixture
def damaged(registry, other, container):
    """An image in both registries, of which this one has lost the manifest and a layer."""
    digest = other.registry().push_image('team/app', 'v1', LARGE, b'small')
    registry.push_image('team/app', 'v1', LARGE, b'small')
    for name in container.segments_of(digest_of(LARGE)):
        container.root.discard(name)
    for lost in (digest, digest_of(LARGE), digest_of(b'small')):
        container.lose(container.data(lost))
    return digest


def assert_whole(registry, fsck, found):
    assert {(finding.damage, finding.repaired) for finding in found.findings} == {(findings.MANIFEST, True), (findings.MISSING, True)}
    assert (found.status, found.unpullable) == (1, [])
    assert registry('GET', f'/v2/team/app/blobs/{digest_of(LARGE)}').data == LARGE
    assert fsck(deep=True, read_again=0).status == 0


def test_a_manifest_and_its_layers(registry, other, damaged, fsck, serve):
    found = fsck(repair=True, origin=Origin(serve(other.registry().app)))

    assert_whole(registry, fsck, found)


@pytest.mark.parametrize('access', [{}, {'bearer_tokens': True}], ids=['Basic', 'Bearer'])
def test_with_a_login(registry, other, damaged, fsck, serve, users, access):
    url = serve(other.registry(Access(htpasswd=users, **access)).app)

    assert_whole(registry, fsck, fsck(repair=True, origin=Origin(url, 'alice', 'correct horse')))


def test_with_a_login_in_the_url(registry, other, damaged, fsck, serve, users):
    url = serve(other.registry(Access(htpasswd=users)).app).replace('http://', 'http://alice:correct%20horse@')

    assert_whole(registry, fsck, fsck(repair=True, origin=Origin(url)))


def test_with_an_anonymous_token(registry, other, damaged, fsck, serve, users):
    url = serve(other.registry(Access(htpasswd=users, anonymous_pull=True)).app)

    assert_whole(registry, fsck, fsck(repair=True, origin=Origin(url)))


def test_a_refused_login_is_no_evidence(registry, other, damaged, fsck, serve, users):
    url = serve(other.registry(Access(htpasswd=users)).app)

    found = fsck(repair=True, origin=Origin(url, 'alice', 'wrong'))

    assert (found.status, {finding.damage for finding in found.findings}) == (2, {findings.UNKNOWN})
    assert not [finding for finding in found.findings if 'wrong' in finding.what or 'alice' in finding.what]


def test_wrong_bytes_of_the_other_registry_are_not_stored(registry, other, damaged, fsck, serve, container):
    storage = other.storage()
    content = storage.get_content(container.data(damaged))
    storage.replace(container.data(damaged), content[:-1] + b' ')
    storage.replace(container.data(digest_of(b'small')), b'wrong')

    found = fsck(repair=True, origin=Origin(serve(other.registry().app)))

    assert (found.damages, found.unpullable) == ([(findings.MANIFEST, False)], ['team/app:v1'])
    assert not container.has(container.data(damaged))


def test_what_the_other_registry_does_not_have_either(registry, container, other, fsck, serve):
    registry.push_image('a', 'v1', b'layer')
    container.lose(container.data(digest_of(b'layer')))

    found = fsck(repair=True, origin=Origin(serve(other.registry().app)))

    assert (found.damages, found.unpullable) == ([(findings.MISSING, False)], ['a:v1'])


def test_an_image_of_a_tag_that_has_no_link_either(registry, other, damaged, fsck, serve, container):
    container.lose(container.revision('team/app', damaged))

    found = fsck(repair=True, origin=Origin(serve(other.registry().app)))

    assert found.status == 1
    assert registry('GET', '/v2/team/app/manifests/v1').headers['Docker-Content-Digest'] == damaged
    assert fsck(deep=True, read_again=0).status == 0


def test_damaged_data_are_replaced(registry, other, fsck, serve, container):
    other.registry().push_image('a', 'v1', LARGE)
    registry.push_image('a', 'v1', LARGE)
    container.root.discard(container.segments_of(digest_of(LARGE))[1])

    found = fsck(sizes=True, repair=True, origin=Origin(serve(other.registry().app)))

    assert (found.damages, found.status) == ([(findings.SEGMENTS, True)], 1)
    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Remembers the credentials that it gets. With a `target` it asks for some, and redirects there: another port is another host."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        authorization = self.headers.get('Authorization')
        self.server.seen.append(authorization)
        self.send_response(401 if self.server.target and not authorization else 307 if self.server.target else 404)
        self.send_header('WWW-Authenticate', 'Basic realm="here"')
        self.send_header('Location', self.server.target + self.path)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_credentials_do_not_follow_a_redirect(registry, container, fsck):
    registry.push_image('a', 'v1', b'layer')
    container.lose(container.data(digest_of(b'layer')))
    servers = [http.server.ThreadingHTTPServer(('127.0.0.1', 0), Redirecting) for _ in range(2)]
    for server in servers:
        server.seen, server.target = [], ''
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        servers[0].target = f'http://127.0.0.1:{servers[1].server_port}'
        origin = Origin(f'http://127.0.0.1:{servers[0].server_port}', 'alice', 'secret')
        found = fsck(repair=True, origin=origin)
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()

    assert found.status == 2
    assert [value for value in servers[0].seen if value]
    assert servers[1].seen and set(servers[1].seen) == {None}


@pytest.mark.parametrize('url', ['', 'registry.example.com', 'ftp://registry.example.com', 'https://'])
def test_a_url_that_is_none(url):
    with pytest.raises(ValueError, match='https://registry.example.com'):
        Origin(url)
