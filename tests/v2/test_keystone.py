"""`registry-swift` on a Swift as in an OpenStack cloud, with logins through OpenStack's own Keystone, v3."""

import contextlib
import os
import urllib.request
import uuid

import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from registry_client import digest_of
from registry_process import Serving, environment, run, until

SECRET = 'no-one-may-see-this'
BLOB = os.urandom(3 * 2**20)  # three segments


def openrc(swift, **changes):
    """Return the variables of an openrc file, which the dashboard of a cloud offers for download."""
    return environment(
        swift,
        **dict(
            dict(
                OS_AUTH_VERSION=None,
                OS_PROJECT_NAME=swift.project,
                OS_USER_DOMAIN_NAME=swift.user_domain,
                OS_PROJECT_DOMAIN_NAME=swift.project_domain,
                OS_REGION_NAME=swift.region,
            ),
            **changes,
        ),
    )


def credential(swift, **changes):
    """Return the variables for an application credential, without a user, a project or a domain."""
    return environment(
        swift,
        **dict(
            dict(
                OS_AUTH_VERSION=None,
                OS_USERNAME=None,
                OS_PASSWORD=None,
                OS_REGION_NAME=swift.region,
                OS_APPLICATION_CREDENTIAL_ID=swift.application_credential_id,
                OS_APPLICATION_CREDENTIAL_SECRET=swift.application_credential_secret,
            ),
            **changes,
        ),
    )


class Person:
    """A user who is logged in to Keystone and can send requests to it."""

    def __init__(self, swift, user, key, user_domain, project, project_domain):
        self._url = swift.auth_url
        self.session = session.Session(
            v3.Password(
                swift.auth_url,
                username=user,
                password=key,
                user_domain_name=user_domain,
                project_name=project,
                project_domain_name=project_domain,
            )
        )

    def __call__(self, method, path, **options):
        return self.session.request(path, method, endpoint_override=self._url, **options)

    @property
    def path(self):
        return '/users/' + self.session.get_user_id()


def owner(swift):
    return Person(swift, swift.user, swift.key, swift.user_domain, swift.project, swift.project_domain)


def admin(swift):
    return Person(swift, swift.admin, swift.admin_key, 'Default', swift.admin, 'Default')


@contextlib.contextmanager
def application_credential(swift):
    """Make an application credential. Yields its variables and a function that revokes it."""
    person = owner(swift)
    path = person.path + '/application_credentials'
    made = person('POST', path, json={'application_credential': {'name': uuid.uuid4().hex}}).json()['application_credential']
    yield (
        credential(swift, OS_APPLICATION_CREDENTIAL_ID=made['id'], OS_APPLICATION_CREDENTIAL_SECRET=made['secret']),
        lambda: person('DELETE', '%s/%s' % (path, made['id'])),
    )


def revoke_tokens(swift):
    """Revoke all tokens of the user. Keystone counts in seconds, so it also refuses new tokens until this second has passed."""
    administrator, path = admin(swift), owner(swift).path
    for enabled in (False, True):
        administrator('PATCH', path, json={'user': {'enabled': enabled}})
    until(lambda: accepted(swift))


def accepted(swift):
    """Return whether Swift accepts a token that is issued now."""
    try:
        return owner(swift).session.get(swift.storage_url, raise_exc=False).status_code < 300
    except exceptions.Unauthorized:
        return False


def push_and_pull(server, blob):
    digest = digest_of(blob)
    assert server.request('PUT', '%s?digest=%s' % (server.begin_upload(), digest), blob)[0] == 201
    status, _, body = server.request('GET', '/v2/a/blobs/' + digest)
    assert (status, body == blob) == (200, True)


def failed_start(environ):
    """Start a registry that must fail, and return the one line that it prints."""
    status, output, errors = run('serve', '--port', '0', environ=environ)
    assert (status, output) == (1, ''), errors
    (line,) = errors.splitlines()
    assert SECRET not in line
    return line


@pytest.mark.parametrize('login', [openrc, credential])
def test_a_push_and_a_pull(keystone_swift, tmp_path, login):
    keystone_swift.mark()
    with Serving(tmp_path, login(keystone_swift)) as server:
        push_and_pull(server, BLOB)

    account = keystone_swift.storage_url.rpartition('/')[2]
    assert {request.path.split('/')[2] for request in keystone_swift.requests() if request.method == 'PUT'} == {account}


@pytest.mark.parametrize('login', [openrc, credential])
def test_a_check(keystone_swift, login):
    status, output, errors = run('check', environ=login(keystone_swift))

    assert (status, errors) == (0, ''), output
    assert all(' ok ' in line for line in output.splitlines())


@pytest.mark.parametrize('scope', ['container', 'account'])
def test_a_client_is_led_to_swift(keystone_swift, tmp_path, scope):
    signing = {'SWIFT_TEMP_URL_KEY': f'a key of the {scope}', 'SWIFT_TEMP_URL_SET_KEY': scope, 'REGISTRY_REDIRECT': 'yes'}
    environ = openrc(keystone_swift, **signing)
    with Serving(tmp_path, environ) as server:
        digest = digest_of(BLOB)
        assert server.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', BLOB)[0] == 201
        status, fields, _ = server.request('GET', '/v2/a/blobs/' + digest)
        with urllib.request.urlopen(fields['Location'], timeout=60) as answer:
            assert (status, answer.read() == BLOB) == (307, True)
    checked, output, _ = run('check', environ=environ)
    assert checked == 0 and 'clients get layers at' in output, output


def test_the_url_may_lack_its_version(keystone_swift, tmp_path):
    url, version = keystone_swift.auth_url.rsplit('/', 1)
    with Serving(tmp_path, openrc(keystone_swift, OS_AUTH_URL=url, OS_IDENTITY_API_VERSION=version[1:])) as server:
        assert server.request('GET', '/readyz')[0] == 200


@pytest.mark.parametrize(
    'login, changes, named',
    [
        (openrc, {'OS_PASSWORD': SECRET}, 'OS_PASSWORD'),
        (openrc, {'OS_USERNAME': 'nobody'}, 'OS_USERNAME'),
        (openrc, {'OS_PROJECT_NAME': 'nothing'}, 'OS_PROJECT_NAME'),
        (openrc, {'OS_USER_DOMAIN_NAME': 'cloud'}, 'OS_USER_DOMAIN_NAME'),
        (openrc, {'OS_PROJECT_DOMAIN_NAME': 'people'}, 'OS_PROJECT_DOMAIN_NAME'),
        (openrc, {'OS_PROJECT_DOMAIN_NAME': None}, 'OS_PROJECT_DOMAIN_NAME'),
        (openrc, {'OS_REGION_NAME': 'RegionTwo'}, 'OS_REGION_NAME'),
        (openrc, {'OS_ENDPOINT_TYPE': 'admin'}, 'OS_ENDPOINT_TYPE'),
        (credential, {'OS_APPLICATION_CREDENTIAL_ID': 'none'}, 'OS_APPLICATION_CREDENTIAL_ID'),
        (credential, {'OS_APPLICATION_CREDENTIAL_SECRET': SECRET}, 'OS_APPLICATION_CREDENTIAL_SECRET'),
        (credential, {'OS_REGION_NAME': 'RegionTwo'}, 'OS_REGION_NAME'),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(keystone_swift, login, changes, named):
    assert named in failed_start(login(keystone_swift, **changes))


def test_a_revoked_application_credential_stops_the_start(keystone_swift, tmp_path):
    with application_credential(keystone_swift) as (environ, revoke):
        with Serving(tmp_path, environ) as server:
            assert server.request('GET', '/readyz')[0] == 200
        revoke()

        assert 'OS_APPLICATION_CREDENTIAL_ID' in failed_start(environ)


def test_a_credential_revoked_while_the_registry_runs_is_an_error_and_not_an_empty_registry(keystone_swift, tmp_path):
    with application_credential(keystone_swift) as (environ, revoke):
        with Serving(tmp_path, environ) as server:
            push_and_pull(server, b'blob')
            revoke()

            assert server.request('GET', '/v2/a/blobs/' + digest_of(b'blob'))[0] >= 500


def test_a_token_revoked_while_the_registry_runs_is_renewed(keystone_swift, tmp_path):
    with Serving(tmp_path, openrc(keystone_swift)) as server:
        push_and_pull(server, BLOB)
        revoke_tokens(keystone_swift)
        keystone_swift.mark()

        push_and_pull(server, BLOB[: 2**20] + b'other')

    assert 401 in {request.status for request in keystone_swift.requests()}
