"""Makes users, projects, roles and application credentials in the Keystone of `keystone_swift`, as the administrator of a cloud does.

https://docs.openstack.org/api-ref/identity/v3/
"""

import datetime
import uuid

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

PASSWORD = 'correct horse'


class Cloud:
    """The administrator. Projects and users are made in the domains of the Swift's own project and user, unless told otherwise."""

    def __init__(self, swift):
        self._swift = swift
        self._session = self.session(swift.admin, swift.admin_key, 'Default', swift.admin, 'Default')

    def session(self, user, password, domain, project, project_domain):
        return session.Session(
            v3.Password(
                self._swift.auth_url,
                username=user,
                password=password,
                user_domain_name=domain,
                project_name=project,
                project_domain_name=project_domain,
            )
        )

    def __call__(self, method, path, **options):
        return self._session.request(path, method, endpoint_override=self._swift.auth_url, **options)

    def make(self, kind, **values):
        """Return the id of what was made. Its name is a random one, unless given."""
        return self('POST', f'/{kind}s', json={kind: {'name': uuid.uuid4().hex, **values}}).json()[kind]['id']

    def domain(self, name):
        return self('GET', f'/domains?name={name}').json()['domains'][0]['id']

    def role(self, name):
        found = self('GET', '/roles', params={'name': name}).json()['roles']
        return found[0]['id'] if found else self.make('role', name=name)

    def project(self, name=None, domain=None):
        return self._named('project', name, domain or self._swift.project_domain)

    def user(self, name=None, domain=None, **values):
        return self._named('user', name, domain or self._swift.user_domain, password=PASSWORD, **values)

    def _named(self, kind, name, domain, **values):
        name = name or uuid.uuid4().hex
        return Made(self.make(kind, name=name, domain_id=self.domain(domain), **values), name, domain)

    def grant(self, user, project, *roles):
        for role in roles:
            self('PUT', f'/projects/{project.id}/users/{user.id}/roles/{self.role(role)}')

    def withdraw(self, user, project, role):
        self('DELETE', f'/projects/{project.id}/users/{user.id}/roles/{self.role(role)}')

    def change(self, user, **values):
        self('PATCH', f'/users/{user.id}', json={'user': values})

    def credential(self, user, project, **values):
        """Return the answer of Keystone to a user who makes an application credential."""
        own = self.session(user.name, PASSWORD, user.domain, project.name, project.domain)
        path, name = f'/users/{user.id}/application_credentials', uuid.uuid4().hex
        wanted = {'application_credential': {'name': name, **values}}
        return own.post(path, json=wanted, endpoint_override=self._swift.auth_url).json()['application_credential']

    def revoke(self, user, credential):
        self('DELETE', f'/users/{user.id}/application_credentials/{credential["id"]}')

    def lets_in(self, user, project, password=PASSWORD):
        """Return whether Keystone itself accepts a password."""
        try:
            return bool(self.session(user.name, password, user.domain, project.name, project.domain).get_token())
        except exceptions.Unauthorized:
            return False


class Made:
    """A user or a project, with its names."""

    def __init__(self, id, name, domain):
        self.id, self.name, self.domain = id, name, domain


def in_seconds(seconds):
    """Return a time from now as Keystone writes it."""
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S.%f')
