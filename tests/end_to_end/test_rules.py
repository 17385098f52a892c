"""A file of rules, with docker, skopeo, podman, buildah and containerd: who may do what, and what the clients say to those who may not."""

import contextlib
import os
import re
import time

import pytest

import clients
import conftest
import images
from clients import CommandFailed
from docker_registry.v2.access import htpasswd
from servers import wait_until

RULES = """
group owners = olga
allow  @owners        pull,push,delete  **
allow  everybody      pull              public/**
allow  alice,robot    pull,push         team/** !team/secret/**
allow  alice          pull              base/**
deny   robot          delete            **
deny   everybody      overwrite         team/release:v*
"""
PASSWORDS = {'olga': 'the owner', 'alice': 'correct horse', 'robot': 'a long password of a machine'}
OLGA, ALICE, ROBOT = ('%s:%s' % item for item in PASSWORDS.items())
PULLED, UNSEEN, OPEN = 'team/app:v1', 'team/secret/app:v1', 'public/app:v1'
REFUSED = 'denied: the rules of this registry do not let you do this'
# What each program says to those who have logged in and may not do something. An answer to HEAD has no text: some ask that first.
REFUSALS = {
    'docker': REFUSED,
    'skopeo': REFUSED + '|403 .Forbidden',
    'podman': REFUSED + '|403 .Forbidden',
    'buildah': REFUSED + '|403 .Forbidden',
    'ctr': '403 FORBIDDEN|closed pipe',
}
PROGRAMS = list(REFUSALS)
# What it says to others. ctr may close a pipe before it has read the answer.
CLOSED = 'denied|authorization failed|closed pipe'
SOON = 40  # seconds for that: docker repeats what it takes for an error that may pass, and gives up after 50


@pytest.fixture(scope='module')
def place(swift, tmp_path_factory):
    """One container and one registry for all tests."""
    with conftest.placed(str(tmp_path_factory.mktemp('rules')), swift) as place:
        yield place


@pytest.fixture(scope='module')
def registry(place):
    rules, users = os.path.join(place.folder, 'rules'), os.path.join(place.folder, 'htpasswd')
    with open(rules, 'w') as file:
        file.write(RULES)
    with open(users, 'w') as file:
        file.writelines(htpasswd.line(name, password, htpasswd.LEAST_COST) + '\n' for name, password in PASSWORDS.items())
    return place.registry(REGISTRY_RULES=rules, REGISTRY_HTPASSWD=users)


@pytest.fixture(scope='module')
def pushed(place, registry):
    """An `images.Image` that the owner has pushed to all places."""
    skopeo = clients.Skopeo(place.folder)
    image = images.make_image(os.path.join(place.folder, 'image'), (10, images.MiB))
    for name in (PULLED, UNSEEN, OPEN):
        skopeo.push(image, registry, name, '--dest-creds', OLGA)
    return image


@pytest.fixture
def person(user_of, registry, pushed):
    """A function that returns somebody with a client program, by the name of the program and the login."""
    return lambda program, credentials='': user_of(program, registry, credentials)


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_user_pulls_and_pushes_where_the_rules_say_so(person, program):
    alice = person(program, ALICE)
    alice.pull(PULLED)
    alice.push(PULLED, 'team/of-%s:v1' % program)
    alice.pull('team/of-%s:v1' % program)


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_user_is_told_at_once_that_a_pull_is_not_allowed(person, program):
    """Whether there is something or not."""
    alice = person(program, ALICE)
    with said(REFUSALS[program]):
        alice.pull(UNSEEN)
    with said(REFUSALS[program]):
        alice.pull('team/secret/nothing:v1')


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_user_is_told_at_once_that_a_push_is_not_allowed(person, program):
    """Neither where the user may pull, nor where not."""
    alice = person(program, ALICE)
    alice.pull(OPEN)
    for name in ('public/app:v2', 'team/secret/app:v2', 'elsewhere/app:v2'):
        with said(REFUSALS[program]):
            alice.push(OPEN, name)


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_client_without_a_login_pulls_what_everybody_may_pull(person, program):
    nobody = person(program)
    nobody.pull(OPEN)


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_client_without_a_login_is_told_that_nothing_else_is_allowed(person, program):
    nobody = person(program)
    nobody.pull(OPEN)
    with said(CLOSED):
        nobody.pull(PULLED)
    for name in ('public/app:v2', 'elsewhere/app:v2'):
        with said(CLOSED):
            nobody.push(OPEN, name)


@contextlib.contextmanager
def said(pattern):
    """The block raises `CommandFailed`, soon, with a text like this."""
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=pattern) as error:
        yield
    print(error.value)
    assert 'retrying' not in str(error.value)  # podman and buildah say so
    assert time.monotonic() - began < SOON


# Robots


@pytest.fixture(scope='module')
def release(place, registry):
    """An `images.Image` that the robot has pushed."""
    image = images.make_image(os.path.join(place.folder, 'release'))
    clients.Skopeo(place.folder).push(image, registry, 'team/release:v1', '--dest-creds', ROBOT)
    return image


def test_a_robot_deletes_nothing(registry, skopeo, release, new_folder):
    with said('DENIED'):
        skopeo.delete(registry, 'team/release:v1', '--creds', ROBOT)

    assert images.differences(release.folder, skopeo.pull(registry, 'team/release:v1', new_folder(), '--src-creds', ROBOT)) == []


def test_a_robot_overwrites_no_immutable_tag(registry, skopeo, release, new_image, new_folder):
    skopeo.push(release, registry, 'team/release:v1', '--dest-creds', ROBOT)  # the same image again is no change
    with said('denied: this tag exists already, and you may not overwrite it'):
        skopeo.push(new_image(), registry, 'team/release:v1', '--dest-creds', ROBOT)

    assert images.differences(release.folder, skopeo.pull(registry, 'team/release:v1', new_folder(), '--src-creds', ROBOT)) == []


# Layers that docker knows from another repository


@pytest.mark.parametrize('user, is_mounted', [(ALICE, True), (ROBOT, False)], ids=['who may pull it', 'who may not pull it'])
def test_docker_mounts_a_layer_for_those_only(registry, user_of, skopeo, new_image, new_folder, user, is_mounted):
    """docker asks for the mount of a layer that somebody else has pulled before. Without the mount, it uploads the layer."""
    base, target = 'base/of-%s:v1' % user.partition(':')[0], 'team/from-base-of-%s:v1' % user.partition(':')[0]
    image = new_image()
    skopeo.push(image, registry, base, '--dest-creds', OLGA)
    user_of('docker', registry, ALICE).pull(base)
    logged = len(registry.log)
    user_of('docker', registry, user).push(base, target)

    def uploads():
        return set(re.findall('"?POST /v2/team/from-base-of-[^ ]*/blobs/uploads/ ([0-9]+)', registry.log[logged:]))

    assert skopeo.pull(registry, target, new_folder(), '--src-creds', user)
    expected = {'201', '202'} if is_mounted else {'202'}  # the config is new anyway
    wait_until(lambda: expected <= uploads(), 'the uploads are logged')
    assert ('201' in uploads()) == is_mounted
