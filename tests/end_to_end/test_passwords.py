"""Passwords in the registry itself, with docker, containerd, skopeo and podman as clients."""

import base64
import json
import os
import re
import threading
import time

import pytest
import requests

import clients
import images
from balancer import Balancer
from clients import ALICE
from docker_registry.v2.access import htpasswd
from servers import PATIENCE, wait_until

WRONG = 'alice:wrong'


@pytest.fixture
def closed(place, users):
    return place.registry(REGISTRY_HTPASSWD=users)


@pytest.fixture
def public(place, users):
    return place.registry(REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='yes')


@pytest.fixture
def bearing(place, users):
    """A registry that asks for tokens, and which only users may use."""
    return place.registry(REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='yes')


@pytest.fixture(params=['closed', 'bearing', 'public'])
def either(request):
    return request.getfixturevalue(request.param)


def test_docker_pushes_and_pulls_after_a_login(docker, either, hello, tagged, login):
    reference = tagged(either.address)
    assert login(either.address).returncode == 0
    docker('push', reference)
    clients.forget(docker, reference)

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]


def test_docker_keeps_a_refresh_token_and_no_password(docker, bearing, login):
    login(bearing.address)
    with open(os.path.join(docker.environment['HOME'], '.docker', 'config.json')) as file:
        kept = json.load(file)['auths'][bearing.address]

    assert kept['identitytoken'] and ALICE.partition(':')[2] not in base64.b64decode(kept.get('auth', '')).decode()


def test_docker_has_to_log_in_again_when_the_password_changes(docker, bearing, tagged, login, users):
    reference = tagged(bearing.address)
    login(bearing.address)
    docker('push', reference)
    with open(users, 'w') as file:
        file.write(htpasswd.line('alice', 'another', htpasswd.LEAST_COST) + '\n')
    old = clients.BASIC
    wait_until(lambda: requests.get(bearing.url + '/v2/', headers=old, timeout=PATIENCE).status_code == 401, 'the old password ends')

    done = docker.run('push', reference)
    assert done.returncode != 0 and 'log in again' in done.stderr
    assert login(bearing.address, 'alice:another').returncode == 0
    docker('push', reference)


def test_docker_is_told_that_a_password_is_wrong(docker, either, login):
    done = login(either.address, WRONG)

    assert done.returncode != 0 and 'unauthorized' in done.stderr.lower()


def test_docker_pushes_nothing_without_a_login(docker, either, place, tagged):
    done = docker.run('push', tagged(either.address))

    assert done.returncode != 0 and re.search('no basic auth credentials|denied', done.stderr), done.stderr
    assert clients.repositories(place.registry()) == []


def test_docker_pulls_without_a_login_what_everybody_may_pull(docker, public, hello, tagged, login):
    reference = tagged(public.address)
    login(public.address)
    docker('push', reference)
    docker('logout', public.address)
    clients.forget(docker, reference)

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]


def test_docker_pulls_nothing_without_a_login_unless_everybody_may(docker, closed, tagged, login):
    reference = tagged(closed.address)
    login(closed.address)
    docker('push', reference)
    docker('logout', closed.address)
    clients.forget(docker, reference)

    done = docker.run('pull', reference)
    assert done.returncode != 0 and 'no basic auth credentials' in done.stderr


def test_skopeo_pushes_and_pulls_with_a_password(skopeo, either, new_image, new_folder):
    image = new_image(10, images.MiB)
    skopeo.push(image, either, 'team/image:v1', '--dest-creds', ALICE)

    assert images.differences(image.folder, skopeo.pull(either, 'team/image:v1', new_folder(), '--src-creds', ALICE)) == []


def test_skopeo_is_told_that_a_password_is_wrong(skopeo, either, new_image):
    for options in ((), ('--dest-creds', WRONG)):
        with pytest.raises(clients.CommandFailed, match='unauthorized|authentication required|wrong user name|denied'):
            skopeo.push(new_image(), either, 'team/image:v1', *options)


def test_skopeo_pulls_without_a_password_what_everybody_may_pull(skopeo, public, new_image, new_folder):
    image = new_image()
    skopeo.push(image, public, 'team/image:v1', '--dest-creds', ALICE)

    assert images.differences(image.folder, skopeo.pull(public, 'team/image:v1', new_folder())) == []


def test_podman_pushes_and_pulls_after_a_login(podman, either, new_image, skopeo):
    image = new_image()
    skopeo.push(image, either, 'team/image:v1', '--dest-creds', ALICE)
    podman('login', '--tls-verify=false', '--username', 'alice', '--password', 'correct horse', either.address)
    podman('pull', '--quiet', '--tls-verify=false', either.address + '/team/image:v1')
    podman('push', '--quiet', '--tls-verify=false', either.address + '/team/image:v1', either.address + '/team/copy:v1')

    assert podman('login', '--get-login', either.address).strip() == 'alice'


def test_skopeo_deletes_with_a_password(skopeo, either, new_image):
    skopeo.push(new_image(), either, 'team/image:v1', '--dest-creds', ALICE)
    skopeo.delete(either, 'team/image:v1', '--creds', ALICE)

    answer = requests.get(either.url + '/v2/team/image/manifests/v1', headers=clients.BASIC, timeout=PATIENCE)
    assert answer.status_code == 404


def test_skopeo_with_an_old_password_locks_nobody_out(place, users, skopeo, new_image):
    registry = place.registry(REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='yes', REGISTRY_LOGIN_FAILURES='2')
    for _ in range(3):
        with pytest.raises(clients.CommandFailed, match='wrong user name'):
            skopeo.push(new_image(), registry, 'team/image:v1', '--dest-creds', WRONG)

    skopeo.push(new_image(), registry, 'team/image:v1', '--dest-creds', ALICE)


def test_containerd_with_an_old_password_locks_nobody_out(ctr, place, users, skopeo, new_image, new_folder):
    """One push of containerd sends the password once for each layer, and twice to get a token."""
    registry = place.registry(REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='yes', REGISTRY_LOGIN_FAILURES='2')
    image = new_image(10, 11, 12, 13)
    skopeo.push(image, registry, 'team/image:v1', '--dest-creds', ALICE)
    pulled, pushed = registry.address + '/team/image:v1', registry.address + '/team/copy:v1'
    options = ('--plain-http', '--user', ALICE)
    assert ctr('content', 'fetch', *options, pulled).returncode == 0
    done = ctr('images', 'push', '--plain-http', '--user', WRONG, pushed, pulled)
    assert done.returncode != 0 and '401' in done.stderr
    done = ctr('images', 'push', *options, pushed, pulled)
    assert done.returncode == 0, done.stderr

    assert images.differences(image.folder, skopeo.pull(registry, 'team/copy:v1', new_folder(), '--src-creds', ALICE)) == []


def test_a_push_may_take_longer_than_its_token_lasts(place, users, skopeo, new_image, new_folder):
    registry = place.registry(REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='yes', REGISTRY_TOKEN_LIFETIME='60')
    image = new_image(10 * images.MiB, images.MiB)
    with Balancer([registry.port]) as balancer:
        balancer.hold_after(5 * images.MiB)
        push = threading.Thread(target=skopeo.push, args=(image, balancer, 'team/image:v1', '--dest-creds', ALICE))
        push.start()
        assert balancer.held.wait(PATIENCE)
        end = time.monotonic() + 62
        wait_until(lambda: time.monotonic() > end, 'the token has ended', 2 * PATIENCE)
        balancer.release()
        push.join(PATIENCE)

    assert registry.log.count('GET /v2/token 200') >= 2
    assert images.differences(image.folder, skopeo.pull(registry, 'team/image:v1', new_folder(), '--src-creds', ALICE)) == []


def test_a_second_instance_takes_the_tokens_of_the_first(place, users, skopeo, new_image, new_folder):
    ports = [place.registry(workers=1, REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='yes').port for _ in range(2)]
    image = new_image(10, 40 * images.MiB)
    with Balancer(ports, per_request=True) as balancer:
        skopeo.push(image, balancer, 'team/image:v1', '--dest-creds', ALICE)

        assert images.differences(image.folder, skopeo.pull(balancer, 'team/image:v1', new_folder())) == []
