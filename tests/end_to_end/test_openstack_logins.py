"""Logins with what an OpenStack cloud has given to people, with docker, skopeo and podman, and OpenStack's own Keystone and TempAuth."""

import os
from urllib.parse import quote

import pytest

import clients
import conftest
import images
from clients import CommandFailed

PROGRAMS = ['docker', 'skopeo', 'podman']
PULLED, OTHER = 'team/app:v1', 'other/app:v1'
KEYSTONE_RULES = """
allow  keystone:{project}@{domain}/swiftoperator  pull,push  team/**
allow  keystone-user:admin@Default                pull,push  team/**
"""
SWIFT_RULES = """
allow  swift:{account}  pull,push  team/**
"""


@pytest.fixture(scope='module')
def cloud_registry(cloud, tmp_path_factory):
    """A registry on a cloud, where people log in with Keystone."""
    variables = {
        'OS_AUTH_VERSION': '3',
        'OS_PROJECT_NAME': cloud.project,
        'OS_USER_DOMAIN_NAME': cloud.user_domain,
        'OS_PROJECT_DOMAIN_NAME': cloud.project_domain,
    }
    with conftest.placed(str(tmp_path_factory.mktemp('cloud')), cloud) as place:
        rules = KEYSTONE_RULES.format(project=quote(cloud.project, ''), domain=quote(cloud.project_domain, ''))
        yield filled(place, rules, REGISTRY_LOGINS='keystone', **variables)


@pytest.fixture(scope='module')
def swift_registry(swift, tmp_path_factory):
    """A registry on a Swift with v1 auth, where people log in with their account."""
    with conftest.placed(str(tmp_path_factory.mktemp('swift')), swift) as place:
        yield filled(place, SWIFT_RULES.format(account=quote(swift.user.partition(':')[0], '')), REGISTRY_LOGINS='swift')


def filled(place, rules, REGISTRY_LOGINS, **variables):
    """Push an image to two places, and return a registry that has these rules and logins."""
    image = images.make_image(os.path.join(place.folder, 'image'), (10, images.MiB))
    everybodys = place.registry(**variables)
    for name in (PULLED, OTHER):
        clients.Skopeo(place.folder).push(image, everybodys, name)
    path = os.path.join(place.folder, 'rules')
    with open(path, 'w') as file:
        file.write(rules)
    return place.registry(REGISTRY_RULES=path, REGISTRY_LOGINS=REGISTRY_LOGINS, **variables)


def credentials_of(cloud):
    """Return {description: name and password as people type them}."""
    return {
        'user': '%s@%s/%s@%s:%s' % (cloud.user, cloud.user_domain, cloud.project, cloud.project_domain, cloud.key),
        'user of the default domain': '%s@Default/%s:%s' % (cloud.admin, cloud.admin, cloud.admin_key),
        'application credential': 'applicationcredential-%s:%s' % (cloud.application_credential_id, cloud.application_credential_secret),
    }


@pytest.fixture(params=['user', 'user of the default domain', 'application credential', 'user of the Swift account'])
def login(request):
    """(a registry, what somebody types to log in)."""
    if 'Swift' in request.param:
        server = request.getfixturevalue('swift_registry')
        account, _, user = request.getfixturevalue('swift').user.partition(':')
        return server, '%s@%s:%s' % (user, account, request.getfixturevalue('swift').key)
    return request.getfixturevalue('cloud_registry'), credentials_of(request.getfixturevalue('cloud'))[request.param]


@pytest.mark.parametrize('program', PROGRAMS)
def test_somebody_does_what_the_rules_allow_and_nothing_else(login, user_of, program):
    person = user_of(program, *login)
    person.pull(PULLED)
    person.push(PULLED, 'team/of-%s:v1' % program)
    person.pull('team/of-%s:v1' % program)

    for refused in (lambda: person.pull(OTHER), lambda: person.push(PULLED, 'other/app:v2')):
        with pytest.raises(CommandFailed, match='denied: the rules|403 .Forbidden'):
            refused()


@pytest.mark.parametrize('program', PROGRAMS)
def test_a_wrong_password_is_wrong(login, user_of, program):
    server, name = login[0], login[1].partition(':')[0]
    with pytest.raises(CommandFailed, match='wrong user name or password|unauthorized|invalid username/password'):
        user_of(program, server, name + ':wrong').pull(PULLED)
