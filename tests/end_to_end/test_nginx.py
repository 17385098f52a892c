"""nginx in front of two registries. nginx does TLS, and the registries ask for passwords."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl

import pytest
import requests

import clients
import images
import servers
from balancer import Balancer
from clients import ALICE, BASIC
from images import MiB
from servers import DockerEngine
from test_kills import in_background


@pytest.fixture
def registries(place, users):
    return [place.registry(workers=1, REGISTRY_HTPASSWD=users, REGISTRY_TRUSTED_PROXIES='127.0.0.1') for _ in range(2)]


@pytest.fixture
def nginx(place, registries, tls):
    return place.nginx(registries, tls)


@pytest.fixture
def trusted(docker, nginx, tls):
    address = '%s:%d' % (DockerEngine.NAME, nginx.port)
    shutil.copytree(tls.folder, os.path.join(docker.certificates, address))
    yield address
    shutil.rmtree(os.path.join(docker.certificates, address))


@pytest.fixture
def loaded(docker, skopeo, new_image, folder):
    """A function that loads an image with one layer into docker, and returns its name at an address."""

    def load(size, address):
        skopeo.copy('dir:' + new_image(size).folder, 'docker-archive:%s/archive:%s/team/large:latest' % (folder, address))
        docker('load', '--quiet', '--input', folder + '/archive')
        return address + '/team/large'

    return load


@pytest.fixture
def session(tls):
    session = requests.Session()
    session.trust_env = False  # ignore a CA bundle that the environment names
    session.verify, session.auth = tls.ca, tuple(ALICE.split(':'))
    yield session
    session.close()


def test_docker_logs_in_pushes_and_pulls(docker, trusted, hello, tagged, login):
    reference = tagged(trusted)
    assert docker.run('push', reference).returncode != 0
    assert login(trusted).returncode == 0
    docker('push', reference)
    clients.forget(docker, reference)

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]


def test_docker_pushes_and_pulls_a_layer_of_more_than_100_mb(docker, trusted, loaded, login):
    reference = loaded(110 * MiB, trusted)
    assert login(trusted).returncode == 0
    docker('push', '--quiet', reference)
    clients.forget(docker, reference)
    docker('pull', '--quiet', reference)
    clients.forget(docker, reference)


def test_docker_is_told_that_a_password_is_wrong(trusted, login):
    done = login(trusted, 'alice:wrong')

    assert done.returncode != 0 and 'unauthorized' in done.stderr.lower()


def test_skopeo_pushes_and_pulls(skopeo, nginx, tls, new_image, new_folder):
    image, target = new_image(10, MiB, 120 * MiB), 'docker://%s/team/image:v1' % nginx.address
    skopeo.copy('dir:' + image.folder, target, '--dest-cert-dir', tls.folder, '--dest-creds', ALICE)
    pulled = new_folder()
    skopeo.copy(target, 'dir:' + pulled, '--src-cert-dir', tls.folder, '--src-creds', ALICE)

    assert images.differences(image.folder, pulled) == []
    assert nginx.written() < MiB


@pytest.mark.parametrize('auth', [None, ('alice', 'wrong'), ('nobody', 'correct horse')])
def test_without_the_password_nothing_is_to_be_had(nginx, session, auth):
    session.auth = auth
    answer = session.get(nginx.url + '/v2/team/image/tags/list')

    assert (answer.status_code, answer.headers['WWW-Authenticate']) == (401, 'Basic realm="registry"')
    assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'


def test_an_address_that_guesses_has_to_wait_alone(nginx, session):
    """nginx passes on who the client is, and the registries count wrong passwords."""
    url = nginx.url.replace('127.0.0.1', '[::1]') + '/v2/'
    statuses = []
    while 429 not in statuses:
        assert len(statuses) <= 2 * 10 + 1
        statuses.append(session.get(url, auth=('alice', 'wrong-%d' % len(statuses))).status_code)

    assert session.get(nginx.url + '/v2/').status_code == 200


def test_health_needs_no_password_and_nothing_else_is_passed_on(nginx, session):
    assert session.get(nginx.url + '/v2/').headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
    session.auth = None
    assert session.get(nginx.url + '/healthz').status_code == 200
    assert session.get(nginx.url + '/readyz').status_code == 404


def test_a_path_that_nginx_reads_as_that_of_health_does_not_get_past_it(nginx, registries, tls):
    client = http.client.HTTPSConnection(
        '127.0.0.1', nginx.port, timeout=servers.PATIENCE, context=ssl.create_default_context(cafile=tls.ca)
    )
    client.request('GET', '/v2/team/image/manifests/..%2f..%2f../%2e%2e/healthz?secret')
    answer = client.getresponse()
    client.close()

    logged = 'GET /healthz 200 3 [^\n]* id=' + answer.headers['X-Request-Id']
    servers.wait_until(lambda: any(re.search(logged, registry.log) for registry in registries), 'a registry was asked for its health')


def test_the_location_of_an_upload_leads_back_through_nginx(nginx, session):
    answer = session.post(nginx.url + '/v2/team/image/blobs/uploads/')
    assert requests.compat.urljoin(answer.url, answer.headers['Location']).startswith(nginx.url + '/v2/team/image/blobs/uploads/')
    content = b'x' * 1000
    answer = session.put(
        requests.compat.urljoin(answer.url, answer.headers['Location']), data=content, params={'digest': images.digest_of(content)}
    )

    assert answer.status_code == 201
    assert session.get(requests.compat.urljoin(answer.url, answer.headers['Location'])).content == content
    assert '"PUT /v2/team/image/blobs/uploads/..." 201' in servers.wait_until(lambda: 'PUT' in nginx.log and nginx.log, 'it is logged')


def test_a_large_upload_reaches_swift_while_the_client_still_sends(place, nginx, tls, session):
    """The client sends 200 MiB and holds back the last byte. By then Swift has most of them, and nginx has stored nothing."""
    size, block = 200 * MiB, os.urandom(MiB)
    digest = hashlib.sha256(block * 200).hexdigest()
    location = session.post(nginx.url + '/v2/team/image/blobs/uploads/').headers['Location']
    place.swift.mark()
    client = http.client.HTTPSConnection(
        '127.0.0.1', nginx.port, timeout=servers.PATIENCE, context=ssl.create_default_context(cafile=tls.ca)
    )
    client.putrequest('PATCH', location)
    for name, value in dict(BASIC, **{'Content-Length': str(size), 'Content-Type': 'application/octet-stream'}).items():
        client.putheader(name, value)
    client.endheaders()
    for _ in range(199):
        client.send(block)
    client.send(block[:-1])
    servers.wait_until(lambda: sum(request.bytes_in for request in place.swift.requests()) > 150 * MiB, 'Swift has most of it')
    assert nginx.written() < MiB
    client.send(block[-1:])
    answer = client.getresponse()
    answer.read()
    client.close()

    assert answer.status == 202
    answer = session.put(requests.compat.urljoin(nginx.url, answer.headers['Location']), params={'digest': 'sha256:' + digest})
    assert answer.status_code == 201


def test_a_download_is_not_stored_on_its_way_to_a_slow_client(nginx, session):
    content = os.urandom(40 * MiB)
    path = '%s/v2/team/image/blobs/' % nginx.url
    assert session.post(path + 'uploads/', params={'digest': images.digest_of(content)}, data=content).status_code == 201
    with session.get(path + images.digest_of(content), stream=True) as answer:
        received = answer.raw.read(MiB)
        assert session.get(path + images.digest_of(content)).content == content  # a second, fast client
        received += answer.raw.read()

    assert received == content
    assert nginx.written() < MiB


def test_pushes_go_on_when_a_registry_dies(nginx, registries, skopeo, tls, new_image, new_folder):
    options = ('--dest-cert-dir', tls.folder, '--dest-creds', ALICE)
    before, after = new_image(MiB), new_image(MiB, 10)
    skopeo.copy('dir:' + before.folder, 'docker://%s/team/image:before' % nginx.address, *options)
    registries[0].kill()
    skopeo.copy('dir:' + after.folder, 'docker://%s/team/image:after' % nginx.address, *options)

    for image, tag in ((before, 'before'), (after, 'after')):
        pulled = new_folder()
        skopeo.copy('docker://%s/team/image:%s' % (nginx.address, tag), 'dir:' + pulled, '--src-cert-dir', tls.folder, '--src-creds', ALICE)
        assert images.differences(image.folder, pulled) == []


def test_the_next_chunk_of_an_upload_goes_to_the_registry_that_is_left(nginx, registries, session):
    content = os.urandom(2 * MiB)
    location = session.post(nginx.url + '/v2/team/image/blobs/uploads/').headers['Location']
    answer = session.patch(nginx.url + location, data=content[:MiB])
    assert answer.status_code == 202
    registries[1].kill()
    for _ in range(2):  # nginx takes turns, so one of these would go to the dead registry
        assert session.get(nginx.url + answer.headers['Location']).headers['Range'] == '0-%d' % (MiB - 1)
    answer = session.put(nginx.url + answer.headers['Location'], params={'digest': images.digest_of(content)}, data=content[MiB:])

    assert answer.status_code == 201


def test_a_request_is_repeated_at_the_other_registry_if_the_first_dies_over_it(nginx, registries, tls):
    """This includes POST, which nginx does not repeat by default. A POST that begins an upload stores nothing, so it is safe."""
    dying = registries[0]
    for pid in dying.workers:
        os.kill(pid, signal.SIGSTOP)

    def post(_):
        return requests.post(nginx.url + '/v2/team/image/blobs/uploads/', verify=tls.ca, headers=BASIC, timeout=servers.PATIENCE)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = pool.map(post, range(4))
        servers.wait_until(lambda: servers.has_unread(dying.port), 'a request came to the registry that does nothing any more')
        dying.kill()
        assert [answer.status_code for answer in answers] == [202] * 4


def test_a_registry_that_answers_again_is_asked_at_once(place, nginx, registries, users, session):
    """Both have failed within the last second. nginx must not return 502 without asking them."""
    for registry in registries:
        registry.kill()
    assert session.get(nginx.url + '/healthz').status_code == 502
    again = servers.Registry(
        place.folder,
        place.swift,
        place.container,
        workers=1,
        port=registries[1].port,
        REGISTRY_HTPASSWD=users,
        REGISTRY_TRUSTED_PROXIES='127.0.0.1',
    )
    place.servers.append(again)

    def answers():
        session.get(nginx.url + '/healthz')
        assert again.process.poll() is None, again.log
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(again.url + '/healthz', timeout=servers.PATIENCE).status_code == 200

    servers.wait_until(answers, 'the registry answers again')
    assert [session.get(nginx.url + '/healthz').status_code for _ in range(4)] == [200] * 4


def test_nginx_writes_the_token_of_an_upload_nowhere(place, nginx, registries, tls, session):
    """With the token, anybody could continue the upload. nginx would write it into its log of errors."""
    location = session.post(nginx.url + '/v2/team/image/blobs/uploads/').headers['Location']
    token = location.rpartition('/')[2].partition('?')[0]
    client = http.client.HTTPSConnection(
        '127.0.0.1', nginx.port, timeout=servers.PATIENCE, context=ssl.create_default_context(cafile=tls.ca)
    )
    client.putrequest('PATCH', location)
    for name, value in dict(BASIC, **{'Content-Length': str(40 * MiB)}).items():
        client.putheader(name, value)
    place.swift.mark()
    client.endheaders(bytes(30 * MiB))
    servers.wait_until(lambda: any(request.bytes_in for request in place.swift.requests()), 'a registry has stored the beginning')
    for registry in registries:
        registry.kill()
    assert client.getresponse().status == 502  # the registry died over the body
    client.close()
    session.headers['Connection'] = 'close'  # nginx may answer before it reads the body, and then it ends the connection
    for method in ('GET', 'PATCH', 'DELETE'):  # no registry can be reached
        assert session.request(method, nginx.url + location, data=b'x').status_code == 502

    log = servers.wait_until(lambda: nginx.log.count(' 502 ') == 4 and nginx.log, 'it is logged')
    assert '"PATCH /v2/team/image/blobs/uploads/..." 502' in log
    assert 'answered="502, 502' in log  # both were tried
    assert token[:40] not in log and token[-40:] not in log


def test_an_address_has_only_so_many_requests_at_a_time(place, registries, tls):
    nginx = place.nginx(registries, tls, changes={'limit_conn clients 256;': 'limit_conn clients 3;'})
    context, open_ones = ssl.create_default_context(cafile=tls.ca), []

    def connection(source='127.0.0.1'):
        open_ones.append(
            http.client.HTTPSConnection('127.0.0.1', nginx.port, timeout=servers.PATIENCE, context=context, source_address=(source, 0))
        )
        return open_ones[-1]

    def asked(client):
        client.request('GET', '/v2/', headers=BASIC)
        return client.getresponse()

    for _ in range(3):
        client = connection()
        client.putrequest('POST', '/v2/team/image/blobs/uploads/?digest=sha256:' + '0' * 64)
        for name, value in dict(BASIC, **{'Content-Length': '100'}).items():
            client.putheader(name, value)
        client.endheaders(b'x')
    answer = servers.wait_until(lambda: found if (found := asked(connection())).status == 429 else None, 'there are too many')
    assert json.load(answer)['errors'][0]['code'] == 'TOOMANYREQUESTS' and answer.headers['Retry-After'] == '1'
    assert asked(connection('127.0.0.2')).status == 200
    for client in open_ones:
        client.close()


def test_docker_sends_a_layer_again_whose_registry_died_in_the_middle(docker, nginx, registries, loaded, login):
    with Balancer([nginx.port]) as balancer:
        reference = loaded(80 * MiB, balancer.address)
        assert login(balancer.address).returncode == 0
        balancer.hold_after(70 * MiB)
        with in_background(docker, 'push', '--quiet', reference):
            assert balancer.held.wait(servers.PATIENCE)
            max(registries, key=lambda registry: servers.peak_memory(registry.workers[0])).kill()  # the one that has the bytes
            balancer.release()
        clients.forget(docker, reference)
        docker('pull', '--quiet', reference)
        clients.forget(docker, reference)
    assert '" 502 ' in nginx.log


@pytest.mark.parametrize('in_chunks', [False, True])
def test_a_large_body_that_the_registry_refuses_is_no_failure_of_its(nginx, session, in_chunks):
    block = bytes(MiB)
    # nginx says that it keeps the connection, and then closes it, because it did not read the whole body. Do not send on it again.
    session.headers['Connection'] = 'close'
    for _ in range(4):  # if nginx counted these as failures, it would now consider both registries dead
        answer = session.patch(nginx.url + '/v2/team/image/blobs/uploads/unknown', data=iter([block] * 8) if in_chunks else block * 8)
        assert answer.json()['errors'][0]['code'] == 'BLOB_UPLOAD_UNKNOWN'


def test_the_longest_url_of_an_upload_comes_through(nginx, session):
    content, repository = os.urandom(1300), '/'.join(['r' * 63] * 4)  # as long as the URL of an upload can get
    answer = session.post('%s/v2/%s/blobs/uploads/' % (nginx.url, repository))
    location = session.patch(nginx.url + answer.headers['Location'], data=content).headers['Location']
    assert len(location) > 2000
    assert session.put(nginx.url + location, params={'digest': images.digest_of(content)}).status_code == 201
    assert session.get('%s/v2/a/blobs/uploads/%s' % (nginx.url, 'x' * 3500)).json()['errors'][0]['code'] == 'BLOB_UPLOAD_UNKNOWN'


def test_without_tls_nothing_is_served(nginx, registries, session):
    session.cert = session.verify = None
    answer = session.get('http://127.0.0.1:%d/v2/team/image/tags/list' % nginx.port, allow_redirects=False)

    assert answer.status_code == 400 and 'Location' not in answer.headers
    assert not any('tags/list' in registry.log for registry in registries)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_tls_is_1_2_or_newer(nginx, tls):
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_ciphers('DEFAULT:@SECLEVEL=0')  # otherwise OpenSSL itself refuses old TLS versions

    def spoken(version):
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(('127.0.0.1', nginx.port), servers.PATIENCE) as connection:
            with context.wrap_socket(connection, server_hostname='127.0.0.1') as client:
                return client.version()

    with pytest.raises((ssl.SSLError, ConnectionError)):
        spoken(ssl.TLSVersion.TLSv1_1)
    assert [spoken(ssl.TLSVersion.TLSv1_2), spoken(ssl.TLSVersion.TLSv1_3)] == ['TLSv1.2', 'TLSv1.3']


# What the registries believe of nginx's headers


def test_registries_may_ask_for_tokens(place, skopeo, tls, users, session, new_image, new_folder):
    """They know the address that clients use: the token URL in their challenge is an address of nginx."""
    registry = place.registry(workers=1, REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='yes', REGISTRY_TRUSTED_PROXIES='127.0.0.1')
    nginx = place.nginx([registry] * 2, tls)
    session.auth = None
    assert session.get(nginx.url + '/v2/').headers['WWW-Authenticate'].startswith('Bearer realm="%s/v2/token"' % nginx.url)

    image, target, pulled = new_image(), 'docker://%s/team/image:v1' % nginx.address, new_folder()
    skopeo.copy('dir:' + image.folder, target, '--dest-cert-dir', tls.folder, '--dest-creds', ALICE)
    skopeo.copy(target, 'dir:' + pulled, '--src-cert-dir', tls.folder)
    assert images.differences(image.folder, pulled) == []


@pytest.mark.parametrize('client', ['::1', '127.0.0.1'])  # 127.0.0.1 is also the address of a trusted proxy
def test_a_registry_knows_the_client_behind_nginx(nginx, registries, session, client):
    host = '[%s]' % client if ':' in client else client
    session.get('https://%s:%d/v2/' % (host, nginx.port), headers={'X-Forwarded-For': '192.0.2.1'})
    log = servers.wait_until(lambda: ''.join(each.log for each in registries if 'GET /v2/ ' in each.log), 'it is logged')

    assert 'from=%s' % client in log and 'from=192.0.2.1' not in log  # the registry does not believe the client's own header


def test_nginx_sends_nobody_to_its_own_port(nginx, session):
    """The port may be published under another number."""
    answer = session.get(nginx.url + '/v2', allow_redirects=False)

    assert (answer.status_code, answer.headers['Location']) == (301, '/v2/')


@pytest.mark.parametrize(
    'source, scheme, challenge, address',
    [
        ('127.0.0.1', 'https', 'Bearer realm="https://elsewhere/', '192.0.2.1'),
        ('127.0.0.2', '', 'Bearer realm="{url}/', '127.0.0.2'),
        ('127.0.0.2', 'https', 'Basic ', '127.0.0.2'),
    ],
)  # a client that may use TLS is not sent to a token URL without TLS
def test_a_registry_believes_nobody_but_whom_it_trusts(place, users, source, scheme, challenge, address):
    registry = place.registry(workers=1, REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='yes', REGISTRY_TRUSTED_PROXIES='127.0.0.1')
    client = http.client.HTTPConnection('127.0.0.1', registry.port, timeout=servers.PATIENCE, source_address=(source, 0))
    client.request(
        'GET',
        '/v2/',
        headers={'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Proto': scheme, 'X-Forwarded-Host': 'elsewhere', 'X-Request-Id': 'mine'},
    )
    answer = client.getresponse()
    client.close()

    assert answer.headers['WWW-Authenticate'].startswith(challenge.format(url=registry.url))
    servers.wait_until(lambda: 'from=%s user=- id=mine' % address in registry.log, 'it is logged')
