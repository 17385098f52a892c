"""What the options of `serve` about rights mean together: who can log in, and who may do what."""

import logging
import re

from docker_registry.v2.access import addresses, htpasswd, outside, swift_account
from docker_registry.v2.access.rules import Rules
from docker_registry.v2.access.watched import Broken
from docker_registry.v2.settings.storage import config_error

#: Files of which an empty name is a mistake: mostly a shell variable in the command that is not set.
FILES = (('htpasswd', 'REGISTRY_HTPASSWD'), ('rules', 'REGISTRY_RULES'), ('tls_certificate', 'REGISTRY_TLS_CERTIFICATE'))


def require_sense(server_settings, access, options, environ):
    """Check settings that must not be empty or depend on each other.

    :raises ConfigError: a file's name is empty, a setting needs another one, or a variable is meant for CNCF distribution
    """
    for option, name in FILES:
        if '' in (getattr(options, option), environ.get(name)):
            raise config_error(f'--{option.replace("_", "-")} ({name}) is empty. Set it to the name of the file, or remove it')
    if server_settings.tls_key and not server_settings.tls_certificate:
        raise config_error('--tls-key (REGISTRY_TLS_KEY) is set, but --tls-certificate (REGISTRY_TLS_CERTIFICATE) is not. Set both')
    if access.ui_delete and not access.ui:
        raise config_error('--ui-delete (REGISTRY_UI_DELETE) is set, but --no-ui (REGISTRY_UI) turns the page off. Remove one of them')
    if access.rules:
        _require_sense_with_rules(access)
    else:
        _require_sense_without_rules(access)
    if 'htpasswd' in access.logins and not access.htpasswd:
        raise config_error('--logins (REGISTRY_LOGINS) has htpasswd, but --htpasswd (REGISTRY_HTPASSWD) is not set. Set both')
    if access.htpasswd and 'htpasswd' not in (access.logins or ('htpasswd',)):
        raise config_error('--htpasswd (REGISTRY_HTPASSWD) is set, but --logins (REGISTRY_LOGINS) lacks htpasswd. Add it to them')
    if access.keystone_url and 'keystone' not in access.logins:
        raise config_error('--keystone-url (REGISTRY_KEYSTONE_URL) is set, but --logins (REGISTRY_LOGINS) lacks keystone. Add it')
    foreign = sorted(name for name in environ if re.fullmatch('REGISTRY_AUTH(_(HTPASSWD|TOKEN|SILLY).*)?', name))
    if foreign:
        raise config_error(
            f'{foreign[0]} is a setting of CNCF distribution. Remove it, and set REGISTRY_HTPASSWD to the name of the file of users'
        )


def _require_sense_with_rules(access):
    if access.anonymous_pull:
        raise config_error(
            '--anonymous-pull (REGISTRY_ANONYMOUS_PULL) and --rules (REGISTRY_RULES) are both set. '
            'Remove the first, and write into the file of rules what everybody may pull: allow everybody pull **'
        )


def _require_sense_without_rules(access):
    for setting, name in (('anonymous_pull', 'anonymous-pull'), ('bearer_tokens', 'bearer-tokens')):
        if getattr(access, setting) and not access.htpasswd:
            raise config_error(
                f'--{name} (REGISTRY_{setting.upper()}) is set, but --htpasswd (REGISTRY_HTPASSWD) is not. '
                f'Without a file of users, everybody may {"push as well" if setting == "anonymous_pull" else "do everything"}. Set both'
            )
    others = [kind for kind in access.logins if kind != htpasswd.KIND]
    if others:
        raise config_error(
            f'--logins (REGISTRY_LOGINS) has {others[0]}, but --rules (REGISTRY_RULES) is not set. '
            'Without rules, everybody who can log in there may do everything. Set both'
        )


def read_users(access, run):
    """Return `htpasswd.Users`, or None if there is no such file.

    :param run: calls what takes the processor for long
    :raises ConfigError: the file of users cannot be used
    """
    try:
        return htpasswd.Users(access.htpasswd, run) if access.htpasswd else None
    except Broken as error:
        raise config_error(f'--htpasswd (REGISTRY_HTPASSWD): {error}')


def read_rules(access):
    """Return `rules.Rules`, or None if there is no such file.

    :raises ConfigError: the file cannot be used
    """
    try:
        return Rules(access.rules) if access.rules else None
    except Broken as error:
        raise config_error(f'--rules (REGISTRY_RULES): {error}')


def read_logins(access, users, storage, within):
    """Return the places that know passwords, in the order in which they are asked. See `logins.Source`.

    :param storage: the driver. Its settings say where the login service is, unless the registry's own settings do
    :param within: ends a call that takes too long, see `outside.Server`
    :raises ConfigError: nobody can be asked there
    """
    settings = storage.settings

    def server(url, setting):
        return outside.Server.at(url, setting, settings, within)

    sources = {htpasswd.KIND: users}
    if 'keystone' in access.logins:
        from docker_registry.v2.access import keystone  # only now: it imports keystoneauth1, a tenth of the time to the start

        if not access.keystone_url and (settings.auth_version != 3 or not settings.authurl):
            raise config_error('--logins (REGISTRY_LOGINS) has keystone: set --keystone-url (REGISTRY_KEYSTONE_URL), or OS_AUTH_VERSION=3')
        named = server(access.keystone_url, 'REGISTRY_KEYSTONE_URL') if access.keystone_url else server(settings.authurl, 'OS_AUTH_URL')
        sources[keystone.KIND] = keystone.Keystone(named)
    if swift_account.KIND in access.logins:
        if settings.auth_version != 1 or not settings.authurl:
            raise config_error('--logins (REGISTRY_LOGINS) has swift, which needs OS_AUTH_URL and OS_AUTH_VERSION=1, as v1 auth has users')
        sources[swift_account.KIND] = swift_account.SwiftAccount(server(settings.authurl, 'OS_AUTH_URL'), storage.storage_url)
    return [sources[kind] for kind in access.logins or (htpasswd.KIND,) if sources[kind]]


def warn_of_open_passwords(logins, certificates, host, trusted_proxies):
    """Warn if passwords of the cloud may cross a network in the clear."""
    others = [str(source) for source in logins if source.kind != htpasswd.KIND]
    if others and not certificates and not trusted_proxies and not addresses.is_loopback(host):
        logging.warning(
            'passwords of %s reach this registry without TLS: set --tls-certificate (REGISTRY_TLS_CERTIFICATE), or name your proxy in '
            'REGISTRY_TRUSTED_PROXIES',
            others[0],
        )


def described(users, rules, access):
    """Return a line that says who may do what."""
    if rules:
        text = f'{rules} say who may do what'
        return f'{text}, but the registry is read-only: nobody may push or delete' if access.read_only else text
    pulling = 'everybody' if access.anonymous_pull or not users else str(users)
    if access.read_only:
        return f'the registry is read-only: {pulling} may pull, and nobody may push or delete'
    return f'{users or "everybody"} may do everything' + (', and everybody may pull' if access.anonymous_pull else '')
