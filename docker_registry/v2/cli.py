"""The command `registry-swift`."""

import argparse
import dataclasses
import getpass
import logging
import os
import re
import signal
import sys
import textwrap
from logging.config import dictConfig

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import SETTINGS, __version__
from docker_registry.v2.access import addresses, htpasswd
from docker_registry.v2.http import app, listening, server, worker
from docker_registry.v2.operations import check
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

DESCRIPTION = """\
A registry of container images (Docker Registry API v2, OCI distribution-spec 1.1) whose only state is an OpenStack Swift container.

    export OS_AUTH_URL=https://swift.example.com/auth/v1.0 OS_AUTH_VERSION=1 \\
           OS_USERNAME=account:user OS_PASSWORD=... OS_CONTAINER=docker-registry
    registry-swift check         test whether this Swift has everything that the registry needs
    registry-swift serve         run the registry; then try: docker push 127.0.0.1:5000/name
    registry-swift htpasswd      make a line with a user and a password, for serve --htpasswd
"""

SERVE = """\
Run the registry until SIGTERM or SIGINT. After SIGTERM, running requests may finish; after SIGINT, they may not.

If a setting is missing or wrong, or Swift cannot be reached, the registry does not start. It prints one line that says what is wrong,
and exits with status 1.
"""

CHECK = """\
Log in to Swift and try everything that the registry needs from it, on small objects below _check/ in the registry's container.
Print one line for each step, and remove the objects. The exit status is 0 if all steps succeed, else 1.
"""

HTPASSWD = """\
Print a line with a user and a password hash, for the file that --htpasswd (REGISTRY_HTPASSWD) names. The command asks for the
password, or reads it from standard input. Apache's `htpasswd -B` makes the same kind of line.

    registry-swift htpasswd alice >> /etc/registry/htpasswd
"""


def main(arguments=None):
    """Run the command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options, os.environ)
    except UnspecifiedError as error:
        print('registry-swift:', ' '.join(str(error).split()), file=sys.stderr)
        return 1


def serve(options, environ):
    # gunicorn sets its own handler later. Until then, the first process of a container would ignore SIGTERM without a handler.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    level = log_level(environ)
    server_settings, access = settings(config.ServerSettings, options, environ), settings(config.Access, options, environ)
    require_sense(server_settings, access, options, environ)
    users = read_users(access, worker.in_thread)
    registry_config = settings(config.Config, options, environ)
    storage_config = storage_settings.read(environ)
    certificates = server_settings.tls_certificate and listening.Certificates(server_settings.tls_certificate, server_settings.tls_key)
    if certificates:
        certificates.check()
    sock = listening.listening_socket(server_settings)
    storage_settings.log_in(storage_config)
    log_config = server.logging_config(level)
    dictConfig(log_config)
    storage = storage_settings.open_storage(storage_config)
    warn_of_small_pool(storage, server_settings.threads + registry_config.storage_threads)
    loopback_only = is_open_to_this_machine_only(sock, users, certificates)
    registry = app.create_app(registry_config, storage, users, access, server_settings.threads, loopback_only)
    listening.begin_to_listen(sock, server_settings)
    logging.info('%s may do everything%s', users or 'everybody', ', and everybody may pull' if access.anonymous_pull else '')
    return server.Server(registry, storage, server_settings, sock, certificates, log_config, access.trusted_proxies).run()


def is_open_to_this_machine_only(sock, users, certificates):
    """Return whether the registry has no passwords and can be reached from this machine only.

    With TLS, it does not matter which names lead here: a browser compares the name with the certificate.
    """
    return users is None and not certificates and addresses.is_loopback(sock.getsockname()[0])


def warn_of_small_pool(storage, threads):
    if storage.settings.pool_size < threads:
        logging.warning(
            'swift_pool_size (SWIFT_POOL_SIZE) is %d, less than GUNICORN_THREADS and REGISTRY_STORAGE_THREADS together (%d): '
            'the requests of one client may wait for each other',
            storage.settings.pool_size,
            threads,
        )


def settings(kind, options, environ):
    """Return the settings of a class of `config`.

    :raises ConfigError: a setting is wrong; the text names it
    """
    try:
        return config.read(kind, environ, vars(options))
    except ValueError as error:
        raise config_error(str(error))


def require_sense(server_settings, access, options, environ):
    """Check settings that must not be empty or depend on each other.

    :raises ConfigError: a file's name is empty, a setting needs another one, or a variable is meant for CNCF distribution
    """
    for option, name in (('htpasswd', 'REGISTRY_HTPASSWD'), ('tls_certificate', 'REGISTRY_TLS_CERTIFICATE')):
        if '' in (getattr(options, option), environ.get(name)):  # mostly because a shell variable in the command is not set
            raise config_error(f'--{option.replace("_", "-")} ({name}) is empty. Set it to the name of the file, or remove it')
    if server_settings.tls_key and not server_settings.tls_certificate:
        raise config_error('--tls-key (REGISTRY_TLS_KEY) is set, but --tls-certificate (REGISTRY_TLS_CERTIFICATE) is not. Set both')
    if access.anonymous_pull and not access.htpasswd:
        raise config_error(
            '--anonymous-pull (REGISTRY_ANONYMOUS_PULL) is set, but --htpasswd (REGISTRY_HTPASSWD) is not. '
            'Without a file of users, everybody may push as well. Set both'
        )
    if access.bearer_tokens and not access.htpasswd:
        raise config_error(
            '--bearer-tokens (REGISTRY_BEARER_TOKENS) is set, but --htpasswd (REGISTRY_HTPASSWD) is not. '
            'Without a file of users, everybody may do everything. Set both'
        )
    foreign = sorted(name for name in environ if re.fullmatch('REGISTRY_AUTH(_(HTPASSWD|TOKEN|SILLY).*)?', name))
    if foreign:
        raise config_error(
            f'{foreign[0]} is a setting of CNCF distribution. Remove it, and set REGISTRY_HTPASSWD to the name of the file of users'
        )


def read_users(access, run):
    """Return `htpasswd.Users`, or None if everybody may do everything.

    :param run: calls what takes the processor for long
    :raises ConfigError: the file of users cannot be used
    """
    try:
        return htpasswd.Users(access.htpasswd, run) if access.htpasswd else None
    except htpasswd.Broken as error:
        raise config_error(f'--htpasswd (REGISTRY_HTPASSWD): {error}')


def log_level(environ):
    level = environ.get('LOGLEVEL', '').upper() or 'INFO'
    if level not in config.LOG_LEVELS:
        raise config_error(f'LOGLEVEL must be one of {", ".join(config.LOG_LEVELS)}, not {level!r}')
    return level


def run_check(options, environ):
    return check.main(storage_settings.read(environ), as_json=options.json)


def add_user(options, environ):
    """Print the line of a user for the file that REGISTRY_HTPASSWD names."""
    try:
        print(htpasswd.line(options.name, read_password(), options.cost))
    except UnicodeError:  # do not show its text: it would quote the password
        raise config_error('the user name and the password must be UTF-8')
    except ValueError as error:
        raise config_error(str(error))
    return 0


def read_password():
    """Return a password. At a terminal the command asks for it twice; otherwise it is the first line of standard input.

    :raises ValueError: the two passwords differ
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip('\r\n')
    password = getpass.getpass('Password: ')
    if password != getpass.getpass('Again: '):
        raise ValueError('the two passwords differ')
    return password


# The command line


def parser():
    program = new_parser(argparse.ArgumentParser, prog='registry-swift', description=DESCRIPTION, epilog=environment())
    program.add_argument('--version', action='version', version=f'registry-swift {__version__}')
    commands = program.add_subparsers(metavar='COMMAND', required=True)
    command = new_parser(commands.add_parser, 'serve', help='run the registry', description=SERVE, epilog=environment())
    for setting in [setting for kind in config.OPTIONS for setting in dataclasses.fields(kind)]:
        add_option(command, setting)
    command.set_defaults(run=serve)
    command = new_parser(
        commands.add_parser,
        'check',
        help='test whether Swift, and the settings for it, work for the registry',
        description=CHECK,
        epilog=environment(),
    )
    command.add_argument('--json', action='store_true', help='print each step as a line of JSON')
    command.set_defaults(run=run_check)
    command = new_parser(commands.add_parser, 'htpasswd', help='make a line for the file of users and passwords', description=HTPASSWD)
    command.add_argument('name', metavar='NAME', help='name of the user')
    command.add_argument(
        '--cost',
        type=int,
        default=htpasswd.COST,
        help=f'cost of the bcrypt hash: each step doubles the work of a guess (default {htpasswd.COST})',
    )
    command.set_defaults(run=add_user)
    return program


def add_option(command, setting):
    default = f' (default {config.default_text(setting)})' if setting.default else ''
    kind = (
        {'action': 'store_const', 'const': 'true'}
        if isinstance(setting.default, bool)
        else {'metavar': setting.name.split('_')[-1].upper()}
    )
    command.add_argument(
        config.option_name(setting), **kind, help=f'{setting.metadata["meaning"]}{default}. Variable: {config.environment_name(setting)}'
    )


def new_parser(kind, *arguments, **more):
    return kind(*arguments, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)


def environment():
    """Return the part of --help that lists all environment variables. It is made from the tables of settings."""
    groups = [
        ('Where images are stored', [_swift_line(setting) for setting in SETTINGS]),
        ('How to serve them', _lines(config.ServerSettings) + _variables('LOGLEVEL')),
        ('Who may do what', _lines(config.Access)),
        ('What the registry accepts', _lines(config.Config)),
        ('A configuration file of the v1 registry, instead of the first group', _variables('DOCKER_REGISTRY_CONFIG', 'SETTINGS_FLAVOR')),
    ]
    return '\n\n'.join(f'{title} (environment):\n' + '\n'.join(map(_wrapped, lines)) for title, lines in groups)


def _variables(*names):
    return [(name, *config.VARIABLES[name]) for name in names]


def _swift_line(setting):
    default = storage_settings.STORAGE_PATH if setting.key == 'storage_path' else setting.default
    names = [_with_file(setting.environment[0], setting.secret), *setting.environment[1:]]
    return ', '.join(names), setting.meaning, config.shown(default, setting.unit)


def _lines(kind):
    return [
        (
            _with_file(config.environment_name(setting), setting.metadata['secret']),
            setting.metadata['meaning'],
            config.default_text(setting),
        )
        for setting in dataclasses.fields(kind)
    ]


def _with_file(name, secret):
    return name + (f', {name}_FILE' if secret else '')


def _wrapped(line):
    names, meaning, default = line
    text = meaning + ('' if default in (None, '') else f' (default {default})')
    return f'  {names}\n' + textwrap.fill(text, 116, initial_indent=' ' * 6, subsequent_indent=' ' * 6)
