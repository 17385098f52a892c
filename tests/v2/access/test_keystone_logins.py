"""Logins with the users and application credentials of a real Keystone: who gets in, and what rules can call them."""

import contextlib
from types import SimpleNamespace

import pytest
from keystoneauth1 import exceptions

from docker_registry.v2.access import failures, outside
from docker_registry.v2.access.keystone import Keystone
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.registry import errors
from keystone_cloud import PASSWORD, Cloud, in_seconds
from registry_process import until

KEY = PASSWORD.encode()


@pytest.fixture(scope='module')
def cloud(keystone_swift):
    return Cloud(keystone_swift)


@pytest.fixture
def keystone(keystone_swift):
    return Keystone(outside.Server(keystone_swift.auth_url, 'OS_AUTH_URL'))


@pytest.fixture
def project(cloud):
    return cloud.project()


@pytest.fixture
def user(cloud, project):
    made = cloud.user()
    cloud.grant(made, project, 'member')
    return made


def typed(user, project):
    return f'{user.name}@{user.domain}/{project.name}@{project.domain}'.encode()


def typed_credential(made):
    return b'applicationcredential-' + made['id'].encode(), made['secret'].encode()


# What is typed


@pytest.mark.parametrize(
    'name, known',
    [
        (b'alice@people/images', True),
        (b'alice@people/images@cloud', True),
        (b'alice@example.com@people/images', True),
        (b'alice@people/a/b', True),
        (b'al%20ice@people/a%2fb%40c', True),
        ('ålice@людей/образы'.encode(), True),
        (b'alice@people/100%', True),
        (b'applicationcredential-21dced0fd20347869b93710d2b98aae0', True),
        (b'alice', False),
        (b'alice@people', False),
        (b'alice/images', False),
        (b'@people/images', False),
        (b'alice@/images', False),
        (b'alice@people/', False),
        (b'alice@people/@cloud', False),
        (b'alice@people/images@', False),
        (b'alice%00@people/images', False),
        (b'alice@people/ima%0Ages', False),
        (b'alice@peo\nple/images', False),
        (b'alice@people/\xff', False),
        (b'alice@people/%ff', False),
        (b'alice@people/%ed%a0%80', False),
        (b'alice@people/\xc3%a9', False),
        ('alice\u202e@people/images'.encode(), False),
        (b'a' * 255 + b'@people/images', True),
        (b'a' * 256 + b'@people/images', False),
        (b'applicationcredential-', False),
        (b'applicationcredential-' + b'a' * 65, False),
        (b'applicationcredential-a/../b', False),
        (b'applicationcredential-a\n', False),
        (b'', False),
    ],
)
def test_which_names_are_asked_about(name, known):
    assert Keystone(outside.Server('http://127.0.0.1:1', 'OS_AUTH_URL')).knows(name) is known


# Passwords


def test_a_right_password_says_who_it_is(keystone, user, project):
    identity = keystone.check(typed(user, project), KEY)

    assert (identity.name, identity.source) == (f'{user.name}@people', 'keystone')
    place = f'keystone:{project.name}@cloud'  # in Keystone, a member is a reader, too
    assert identity.principals == {f'keystone-user:{user.name}@people', place, f'{place}/member', f'{place}/reader'}


@pytest.mark.parametrize('password', [b'wrong', b'', KEY + b' ', KEY.upper(), b'\xff', KEY + b'\0', b'x' * 5000])
def test_a_wrong_password(keystone, user, project, password):
    assert keystone.check(typed(user, project), password) is None


@pytest.mark.parametrize('part', ['name', 'domain'])
@pytest.mark.parametrize('whose', ['user', 'project'])
def test_nobody_gets_in_with_another_name(keystone, user, project, whose, part):
    setattr(user if whose == 'user' else project, part, 'another')

    assert keystone.check(typed(user, project), KEY) is None


def test_the_domain_of_the_project_is_that_of_the_user_unless_typed(cloud, keystone, user):
    near = cloud.project(domain='people')
    cloud.grant(user, near, 'member')

    assert f'keystone:{near.name}@people' in keystone.check(f'{user.name}@people/{near.name}'.encode(), KEY).principals


def test_a_user_without_a_role_in_the_project(cloud, keystone, user):
    assert keystone.check(typed(user, cloud.project()), KEY) is None


def test_a_disabled_user(cloud, keystone, user, project):
    cloud.change(user, enabled=False)

    assert keystone.check(typed(user, project), KEY) is None


def test_a_name_may_have_any_characters(cloud, keystone):
    user, project = cloud.user('Zoë@example.com'), cloud.project('images / of @people: 100% €')
    cloud.grant(user, project, 'a b/c@d')
    place = 'keystone:images%20%2F%20of%20%40people%3A%20100%25%20%E2%82%AC@cloud'

    name = 'Zoë@example.com@people/images / of %40people: 100%25 €@cloud'
    identity = keystone.check(name.encode(), KEY)

    assert identity.principals == {'keystone-user:Zo%C3%AB%40example.com@people', place, f'{place}/a%20b%2Fc%40d'}
    assert identity.name == 'Zo%C3%AB%40example.com@people'
    assert keystone.check('Zo%C3%AB%40example.com@people/images%20%2f of %40people%3A 100%25 €@cloud'.encode(), KEY) == identity


def test_no_name_of_a_project_reads_like_another_one(cloud, keystone, user, project):
    other = cloud.project(f'{project.name}@cloud/admin')
    cloud.grant(user, other, 'member')

    principals = keystone.check(f'{user.name}@people/{project.name}%40cloud%2Fadmin@cloud'.encode(), KEY).principals

    assert not {name for name in principals if name.startswith(f'keystone:{project.name}@')}


def test_a_user_who_needs_a_second_factor_is_told_of_in_the_log(cloud, keystone, project, caplog):
    user = cloud.user(options={'multi_factor_auth_enabled': True, 'multi_factor_auth_rules': [['password', 'totp']]})
    cloud.grant(user, project, 'member')

    assert keystone.check(typed(user, project), KEY) is None
    assert 'second factor' in caplog.text


# Application credentials


def test_an_application_credential_says_whose_it_is(cloud, keystone, user, project):
    identity = keystone.check(*typed_credential(cloud.credential(user, project)))

    assert identity == keystone.check(typed(user, project), KEY)


def test_a_restricted_application_credential_has_only_its_roles(cloud, keystone, user, project):
    cloud.grant(user, project, 'auditor')
    made = cloud.credential(user, project, roles=[{'name': 'auditor'}])

    place = f'keystone:{project.name}@cloud'
    principals = keystone.check(*typed_credential(made)).principals
    assert principals == {f'keystone-user:{user.name}@people', place, f'{place}/auditor'}


@pytest.mark.parametrize('secret', [b'wrong', b''])
def test_a_wrong_secret(cloud, keystone, user, project, secret):
    name, _ = typed_credential(cloud.credential(user, project))

    assert keystone.check(name, secret) is None


def test_an_unknown_application_credential(keystone):
    assert keystone.check(b'applicationcredential-21dced0fd20347869b93710d2b98aae0', b'secret') is None


def expiring(cloud, user, project):
    """Make an application credential that expires soon. Keystone makes none that has expired when it comes to that."""
    for seconds in (1, 5, 30):
        with contextlib.suppress(exceptions.BadRequest):
            return cloud.credential(user, project, expires_at=in_seconds(seconds))
    raise AssertionError('Keystone has taken half a minute')


def test_an_expired_application_credential(cloud, keystone, user, project):
    name, secret = typed_credential(expiring(cloud, user, project))

    until(lambda: keystone.check(name, secret) is None)


def test_a_revoked_application_credential(cloud, keystone, user, project):
    made = cloud.credential(user, project)
    cloud.revoke(user, made)

    assert keystone.check(*typed_credential(made)) is None


# Memory


def test_a_right_password_is_remembered(keystone, user, project):
    identity = keystone.check(typed(user, project), KEY)

    assert keystone.recall(typed(user, project), KEY) == identity
    assert keystone.recall(typed(user, project), b'wrong') is None
    assert keystone.recall(typed(project, user), KEY) is None


def test_a_wrong_password_is_not_remembered(keystone, user, project):
    keystone.check(typed(user, project), b'wrong')

    assert keystone.recall(typed(user, project), b'wrong') is None


def test_nobody_is_known_without_a_password(keystone, user, project):
    keystone.check(typed(user, project), KEY)

    assert keystone.identity(typed(user, project)) is None


def test_a_role_that_was_withdrawn_is_not_found_again(cloud, keystone, user, project):
    cloud.grant(user, project, 'auditor')
    keystone.check(typed(user, project), KEY)
    cloud.withdraw(user, project, 'auditor')

    assert f'keystone:{project.name}@cloud/auditor' not in keystone.check(typed(user, project), KEY).principals


# Wrong passwords


def attempts(logins, name, passwords, client='192.0.2.1'):
    """Return how each attempt ends."""
    ends = []
    for password in passwords:
        try:
            ends.append(bool(logins.check(name, password, client)))
        except errors.TooManyRequests as error:
            ends.append(error.status)
    return ends


def test_wrong_passwords_beyond_the_limit_do_not_lock_the_user_out_of_the_cloud(
    keystone_swift, cloud, keystone, user, project, monkeypatch
):
    monkeypatch.setattr(failures, 'time', SimpleNamespace(monotonic=lambda: 1000.0))  # another guess is allowed after 27 seconds
    most = keystone_swift.lockout_failures - 1
    guesses = [b'guess %d' % number for number in range(3 * most)]

    assert attempts(Logins([keystone], most), typed(user, project), guesses) == most * [False] + 2 * most * [429]
    assert cloud.lets_in(user, project)


def test_keystone_locks_out_a_user_after_too_many_wrong_passwords(keystone_swift, cloud, keystone, user, project):
    """This is what the limit is for."""
    guesses = [b'guess %d' % number for number in range(keystone_swift.lockout_failures)]

    attempts(Logins([keystone], 100), typed(user, project), guesses)

    assert not cloud.lets_in(user, project)


def test_the_same_wrong_password_reaches_keystone_once(keystone_swift, cloud, keystone, user, project):
    logins = Logins([keystone], 10)

    assert attempts(logins, typed(user, project), 3 * keystone_swift.lockout_failures * [b'old']) == 36 * [False]
    assert cloud.lets_in(user, project) and attempts(logins, typed(user, project), [KEY]) == [True]
