"""nginx, which does TLS and asks for passwords, in front of two registries that do neither."""
import base64
import hashlib
import http.client
import os
import shutil
import ssl

import pytest
import requests

import clients
import images
import servers
from clients import ALICE
from images import MiB
from servers import DockerEngine

BASIC = {'Authorization': 'Basic ' + base64.b64encode(ALICE.encode()).decode()}


@pytest.fixture
def registries(place):
    return [place.registry(REGISTRY_TRUSTED_PROXIES='127.0.0.1') for _ in range(2)]


@pytest.fixture
def nginx(place, registries, tls, users):
    return place.nginx(registries, tls, users)


@pytest.fixture
def trusted(docker, nginx, tls):
    address = '%s:%d' % (DockerEngine.NAME, nginx.port)
    shutil.copytree(tls.folder, os.path.join(docker.certificates, address))
    yield address
    shutil.rmtree(os.path.join(docker.certificates, address))


@pytest.fixture
def session(tls):
    session = requests.Session()
    session.trust_env = False  # a bundle of CAs that the environment names
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


def test_docker_is_told_that_a_password_is_wrong(trusted, login):
    done = login(trusted, 'alice:wrong')

    assert done.returncode != 0 and 'unauthorized' in done.stderr.lower()


def test_skopeo_pushes_and_pulls(skopeo, nginx, tls, new_image, new_folder):
    image, target = new_image(10, MiB, 120 * MiB), 'docker://%s/team/image:v1' % nginx.address
    skopeo.copy('dir:' + image.folder, target, '--dest-cert-dir', tls.folder, '--dest-creds', ALICE)
    pulled = new_folder()
    skopeo.copy(target, 'dir:' + pulled, '--src-cert-dir', tls.folder, '--src-creds', ALICE)

    assert images.differences(image.folder, pulled) == []
    assert nginx.stored() == []


@pytest.mark.parametrize('auth', [None, ('alice', 'wrong'), ('nobody', 'correct horse')])
def test_without_the_password_nothing_reaches_a_registry(nginx, registries, session, auth):
    session.auth = auth
    answer = session.get(nginx.url + '/v2/team/image/tags/list')

    assert (answer.status_code, answer.headers['WWW-Authenticate']) == (401, 'Basic realm="registry"')
    assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
    assert not any('tags/list' in registry.log for registry in registries)


def test_health_needs_no_password_and_nothing_else_is_passed_on(nginx, session):
    assert session.get(nginx.url + '/v2/').headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
    session.auth = None
    assert session.get(nginx.url + '/healthz').status_code == 200
    assert session.get(nginx.url + '/readyz').status_code == 404


def test_the_location_of_an_upload_leads_back_through_nginx(nginx, session):
    answer = session.post(nginx.url + '/v2/team/image/blobs/uploads/')
    assert requests.compat.urljoin(answer.url, answer.headers['Location']).startswith(nginx.url + '/v2/team/image/blobs/uploads/')
    content = b'x' * 1000
    answer = session.put(requests.compat.urljoin(answer.url, answer.headers['Location']), data=content,
                         params={'digest': images.digest_of(content)})

    assert answer.status_code == 201
    assert session.get(requests.compat.urljoin(answer.url, answer.headers['Location'])).content == content
    assert '"PUT /v2/team/image/blobs/uploads/..." 201' in servers.wait_until(lambda: 'PUT' in nginx.log and nginx.log, 'it is logged')


def test_a_large_upload_reaches_swift_while_the_client_still_sends(place, nginx, tls, session):
    """200 MiB, of which the client holds the last byte back until Swift has most of it, and nginx has stored nothing."""
    size, block = 200 * MiB, os.urandom(MiB)
    digest = hashlib.sha256(block * 200).hexdigest()
    location = session.post(nginx.url + '/v2/team/image/blobs/uploads/').headers['Location']
    place.swift.mark()
    client = http.client.HTTPSConnection('127.0.0.1', nginx.port, timeout=servers.PATIENCE, context=ssl.create_default_context(cafile=tls.ca))
    client.putrequest('PATCH', location)
    for name, value in dict(BASIC, **{'Content-Length': str(size), 'Content-Type': 'application/octet-stream'}).items():
        client.putheader(name, value)
    client.endheaders()
    for _ in range(199):
        client.send(block)
    client.send(block[:-1])
    servers.wait_until(lambda: sum(request.bytes_in for request in place.swift.requests()) > 150 * MiB, 'Swift has most of it')
    assert nginx.stored() == []
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
        assert nginx.stored() == []
        received += answer.raw.read()

    assert received == content


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
    for _ in range(2):  # whichever is next
        assert session.get(nginx.url + answer.headers['Location']).headers['Range'] == '0-%d' % (MiB - 1)
    answer = session.put(nginx.url + answer.headers['Location'], params={'digest': images.digest_of(content)}, data=content[MiB:])

    assert answer.status_code == 201


def test_a_registry_knows_the_client_behind_nginx_and_believes_nobody_else(place, nginx, registries, session):
    session.get('https://[::1]:%d/v2/' % nginx.port, headers={'X-Forwarded-For': '192.0.2.1'})
    logs = servers.wait_until(lambda: [registry.log for registry in registries if 'GET /v2/' in registry.log], 'it is logged')
    assert 'from=::1' in logs[0] and 'from=192.0.2.1' not in logs[0]  # what a client says of itself is no more than that

    apart = place.registry()
    requests.get(apart.url + '/v2/', headers={'X-Forwarded-For': '192.0.2.1', 'X-Request-Id': 'mine'}, timeout=servers.PATIENCE)
    assert 'from=127.0.0.1 user=- id=mine' in servers.wait_until(lambda: 'id=mine' in apart.log and apart.log, 'it is logged')
