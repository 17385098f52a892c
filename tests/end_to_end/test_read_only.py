"""A registry that is read-only: clients pull from it, and say why they cannot push."""

import pytest

import clients
import images
from clients import CommandFailed

MESSAGE = 'this registry is read-only'


@pytest.fixture
def read_only(place, registry):
    """A registry that is read-only, on the container of another one."""
    return place.registry(REGISTRY_READ_ONLY='true')


def test_docker_pulls_and_says_at_once_why_it_cannot_push(docker, registry, read_only, hello, tagged):
    pushed, refused = tagged(registry.address), tagged(read_only.address)
    docker('push', pushed)
    clients.forget(docker, pushed)
    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', refused).strip() == hello[1]

    done = docker.run('push', refused)
    assert done.returncode != 0 and MESSAGE in done.stderr


def test_docker_neither_sends_a_new_layer_first_nor_tries_again(docker, read_only, tagged):
    done = docker.run('push', tagged(read_only.address))

    assert done.returncode != 0 and MESSAGE in done.stderr
    assert read_only.log.count('POST ') == 1 and 'PATCH ' not in read_only.log


def test_skopeo_pulls_and_says_why_it_can_neither_push_nor_delete(skopeo, registry, read_only, new_image, new_folder):
    image = new_image()
    skopeo.push(image, registry, 'a:v1')
    assert images.differences(image.folder, skopeo.pull(read_only, 'a:v1', new_folder())) == []

    for refused in (lambda: skopeo.push(new_image(), read_only, 'a:v2'), lambda: skopeo.delete(read_only, 'a:v1')):
        with pytest.raises(CommandFailed, match=MESSAGE):
            refused()
    assert clients.tags(registry, 'a') == ['v1']


def test_podman_says_why_it_cannot_push(podman, registry, read_only, skopeo, new_image):
    skopeo.push(new_image(), registry, 'a:v1')
    podman('pull', '--tls-verify=false', '%s/a:v1' % read_only.address)

    with pytest.raises(CommandFailed, match=MESSAGE):
        podman('push', '--tls-verify=false', '%s/a:v1' % read_only.address, '%s/other:v1' % read_only.address)
