"""TLS in the registry itself, with clients that verify its certificate."""

import http.client
import os
import ssl

import pytest

import clients
import images
from clients import ALICE, BASIC
from servers import DockerEngine


@pytest.fixture
def registry(place, tls):
    """A registry on an address for which docker requires TLS."""
    return place.registry(host=DockerEngine.ADDRESS, REGISTRY_TLS_CERTIFICATE=tls.certificate, REGISTRY_TLS_KEY=tls.key)


def test_docker_pushes_and_pulls_if_it_knows_the_ca(docker, registry, trust, hello, tagged):
    reference = tagged(trust(registry))
    docker('push', reference)
    clients.forget(docker, reference)

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]


def test_docker_logs_in_over_tls(docker, place, tls, trust, users, hello, tagged, login):
    registry = place.registry(
        host=DockerEngine.ADDRESS,
        REGISTRY_TLS_CERTIFICATE=tls.certificate,
        REGISTRY_TLS_KEY=tls.key,
        REGISTRY_HTPASSWD=users,
        REGISTRY_ANONYMOUS_PULL='yes',
    )
    address = trust(registry)
    reference = tagged(address)
    assert docker.run('push', reference).returncode != 0
    assert login(address).returncode == 0
    docker('push', reference)
    docker('logout', address)
    clients.forget(docker, reference)

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]


def test_docker_does_not_push_to_somebody_it_does_not_know(docker, place, registry, tagged):
    done = docker.run('push', tagged('%s:%d' % (DockerEngine.NAME, registry.port)))

    assert done.returncode != 0 and 'x509' in done.stderr
    assert clients.repositories(place.registry()) == []


def test_skopeo_pushes_and_pulls_if_it_knows_the_ca(skopeo, place, tls, users, new_image, new_folder):
    registry = place.registry(REGISTRY_TLS_CERTIFICATE=tls.certificate, REGISTRY_TLS_KEY=tls.key, REGISTRY_HTPASSWD=users)
    image = new_image(10, 40 * images.MiB)
    skopeo.copy('dir:' + image.folder, 'docker://%s/team/image:v1' % registry.address, '--dest-cert-dir', tls.folder, '--dest-creds', ALICE)
    pulled = new_folder()
    skopeo.copy('docker://%s/team/image:v1' % registry.address, 'dir:' + pulled, '--src-cert-dir', tls.folder, '--src-creds', ALICE)

    assert images.differences(image.folder, pulled) == []


def test_skopeo_does_not_push_to_somebody_it_does_not_know(skopeo, place, tls, new_image):
    registry = place.registry(REGISTRY_TLS_CERTIFICATE=tls.certificate, REGISTRY_TLS_KEY=tls.key)
    with pytest.raises(clients.CommandFailed, match='x509'):
        skopeo.copy('dir:' + new_image().folder, 'docker://%s/team/image:v1' % registry.address)

    assert clients.repositories(place.registry()) == []


def test_a_connection_is_kept_for_the_next_requests_whatever_the_answer(place, tls, users):
    """It is kept even if the registry responds without reading the body: 401 and 404. (With a large body, it announces the close.)"""
    registry = place.registry(REGISTRY_TLS_CERTIFICATE=tls.certificate, REGISTRY_TLS_KEY=tls.key, REGISTRY_HTPASSWD=users)
    connection = http.client.HTTPSConnection('127.0.0.1', registry.port, timeout=30, context=ssl.create_default_context(cafile=tls.ca))
    blob, statuses = os.urandom(50000), []
    digest = images.digest_of(blob)
    connection.connect()
    sock = connection.sock
    for headers, method, path, body in (
        (BASIC, 'GET', '/v2/', None),
        (BASIC, 'GET', '/v2/a/manifests/v1', None),
        (BASIC, 'HEAD', '/v2/a/blobs/' + digest, None),
        ({}, 'POST', '/v2/a/blobs/uploads/?digest=' + digest, blob),
        (BASIC, 'PATCH', '/v2/a/blobs/uploads/unknown', blob),
        (BASIC, 'POST', '/v2/a/blobs/uploads/?digest=' + digest, blob),
        (BASIC, 'GET', '/v2/a/blobs/' + digest, None),
        (BASIC, 'PUT', '/v2/a/manifests/v1', b'no manifest'),
        (BASIC, 'GET', '/v2/_catalog', None),
    ):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()
        assert connection.sock is sock, 'it was closed after %s %s' % (method, path)
    connection.close()

    assert statuses == [200, 404, 404, 401, 404, 201, 200, 400, 200]
