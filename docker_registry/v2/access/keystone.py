"""Logins with the users and application credentials of an OpenStack cloud. Its Keystone checks them.

https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
"""

import logging
import re

from keystoneauth1 import exceptions, session
from keystoneauth1.access import AccessInfoV3
from keystoneauth1.identity import v3

from docker_registry.v2.access import outside
from docker_registry.v2.access.identity import Identity, quoted
from docker_registry.v2.access.remembered import Remembered

logger = logging.getLogger(__name__)

KIND = 'keystone'  # the name of this login

_CREDENTIAL = re.compile(rb'applicationcredential-([A-Za-z0-9_-]{1,64})')


class Keystone:
    """The users of a Keystone, v3.

    A user types `user@domain/project`, or `user@domain/project@domain` if the project is in another domain than the user. An application
    credential is typed as `applicationcredential-<id>`, and its secret is the password. In a name, `%40` stands for `@` and so on.

    :param server: the URL may end with /v3 or not
    """

    kind = KIND
    at_a_time = outside.AT_A_TIME

    def __init__(self, server: outside.Server):
        self._server, self._remembered = server, Remembered()

    def __str__(self) -> str:
        return f'the users of the Keystone at {self._server.url}'

    def knows(self, name: bytes) -> bool:
        return bool(_CREDENTIAL.fullmatch(name) or _parsed(name))

    def user_of(self, name: bytes) -> bytes:
        parts = _parsed(name)
        return outside.likeness(*parts[:2]) if parts else name

    def identity(self, name: bytes) -> None:
        return None

    def recall(self, name: bytes, password: bytes) -> Identity | None:
        return self._remembered.get(name, password)

    def check(self, name: bytes, password: bytes) -> Identity | None:
        """Return who the user is, as Keystone says it, if the password is right, else None.

        :raises Unavailable: Keystone does not say whether it is right
        :raises TooManyRequests: Keystone wants to be asked later
        """
        plugin = self._plugin(name, outside.password(password))
        identity = plugin and self._server.ask(self._ask, plugin)
        if identity:
            self._remembered.add(identity, name, password)
        return identity

    def _plugin(self, name: bytes, password: str) -> v3.AuthConstructor | None:
        """Return what sends a login to Keystone, or None if no login is like that."""
        once = {'reauthenticate': False, 'include_catalog': False}
        credential, parts = _CREDENTIAL.fullmatch(name), _parsed(name)
        if password and credential:
            return v3.ApplicationCredential(
                self._server.url, application_credential_secret=password, application_credential_id=credential[1].decode(), **once
            )
        if not password or not parts:
            return None
        user, domain, project, project_domain = parts
        return v3.Password(
            self._server.url,
            username=user,
            password=password,
            user_domain_name=domain,
            project_name=project,
            project_domain_name=project_domain,
            **once,
        )

    def _ask(self, http: outside.Session, plugin: v3.AuthConstructor) -> Identity | None:
        try:
            return _identity(plugin.get_access(session.Session(session=http, redirect=False)))
        except exceptions.MissingAuthMethods:
            logger.warning(
                'Keystone asks a user for a second factor, which docker cannot send: such a user needs an application credential'
            )
            return None
        except exceptions.HttpError as error:
            if error.http_status in (401, 403) or error.http_status in (400, 404) and _is_keystones(error, plugin):
                return None
            raise self._server.failed(f'it does not answer like Keystone v3 (status {error.http_status}). Check the URL')


def _parsed(name: bytes) -> list[str] | None:
    """Return the user, its domain, the project and its domain; None if this is no such name. The name of a user may have an `@`."""
    login, slash, scope = name.partition(b'/')
    user, at, domain = login.rpartition(b'@')
    project, inside, project_domain = scope.rpartition(b'@') if b'@' in scope else (scope, b'@', domain)
    parts = [outside.part(each) for each in (user, domain, project, project_domain)]
    return parts if slash and at and all(parts) else None


def _is_keystones(error: exceptions.HttpError, plugin: object) -> bool:
    """Return whether Keystone itself refuses a login with status 400 or 404.

    It finds an unknown application credential, or a name that is too long. A wrong URL leads to one that nobody has.
    """
    content = error.response.json() if error.response is not None and 'json' in error.response.headers.get('Content-Type', '') else None
    known = isinstance(content, dict) and isinstance(content.get('error'), dict)
    return known and (error.http_status == 400 or isinstance(plugin, v3.ApplicationCredential))


def _identity(access: AccessInfoV3) -> Identity | None:
    """Return who has a token of Keystone; None if the token is for no project."""
    if not access.project_id or access.project_is_domain:
        logger.warning(
            'Keystone lets user %s in, but for no project: this registry needs a project, whose roles say what somebody may do',
            _at(access.username, access.user_domain_name),
        )
        return None
    user, project = _at(access.username, access.user_domain_name), _at(access.project_name, access.project_domain_name)
    roles = {f'{KIND}:{project}/{quoted(role)}' for role in access.role_names}
    return Identity(user, frozenset({f'{KIND}-user:{user}', f'{KIND}:{project}', *roles}), KIND)


def _at(name: str, domain: str) -> str:
    """Return a name and its domain, as they stand in a principal."""
    if not name or not domain:
        raise ValueError('a name is missing')
    return f'{quoted(name)}@{quoted(domain)}'
