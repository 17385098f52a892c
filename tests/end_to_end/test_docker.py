"""Pushes and pulls with a docker engine and with podman."""

import pytest

ULIMITS = ('--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096')  # podman's own limits may be higher than root's


@pytest.fixture
def pushed(docker, hello):
    """A function that pushes the image to a server, removes it from docker, and returns its reference."""

    def push(server, tag='latest'):
        reference = '%s/team/hello:%s' % (server.address, tag)
        docker('tag', hello[0], reference)
        docker('push', reference)
        docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', '--no-trunc', reference).strip())
        assert docker.run('image', 'inspect', hello[0]).returncode != 0
        return reference

    return push


@pytest.fixture
def pulled(docker):
    """A function that pulls an image, runs it, removes it, and returns what it printed."""

    def pull(reference):
        docker('pull', reference)
        printed = docker('run', '--rm', '--network', 'none', reference)
        docker('image', 'rm', '--force', reference)
        return printed.strip()

    return pull


def test_an_image_that_was_built_pushed_and_removed_is_pulled_and_runs(registry, hello, pushed, pulled):
    assert pulled(pushed(registry)) == hello[1]


def test_an_image_is_pulled_by_its_digest(docker, registry, hello, pulled):
    reference = '%s/team/hello' % registry.address
    docker('tag', hello[0], reference)
    docker('push', reference)
    by_digest = docker('image', 'inspect', '--format', '{{index .RepoDigests 0}}', hello[0]).strip()
    docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', reference).strip())
    assert '@sha256:' in by_digest and pulled(by_digest) == hello[1]


def test_an_image_is_pulled_from_a_registry_that_was_stopped_and_started(place, hello, pushed, pulled):
    registry = place.registry()
    reference = pushed(registry)
    registry.stop()
    place.registry(port=registry.port)
    assert pulled(reference) == hello[1]


def test_an_image_is_pulled_from_a_second_instance(place, hello, pushed, pulled):
    first, second = place.registry(), place.registry()
    reference = pushed(first)
    assert pulled(reference.replace(first.address, second.address)) == hello[1]


def test_podman_pulls_and_runs_what_docker_pushed(registry, hello, pushed, podman):
    reference = pushed(registry)
    podman('pull', '--quiet', '--tls-verify=false', reference)
    assert podman('run', '--rm', '--network', 'none', *ULIMITS, reference).strip() == hello[1]


def test_docker_pulls_what_podman_pushed(docker, registry, hello, pushed, pulled, podman):
    reference = pushed(registry)
    podman('pull', '--quiet', '--tls-verify=false', reference)
    podman('push', '--quiet', '--tls-verify=false', '--format', 'oci', reference, reference + '-of-podman')
    assert pulled(reference + '-of-podman') == hello[1]
