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
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http import app, listening, server
from docker_registry.v2.operations import check
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR')

DESCRIPTION = """\
A registry of container images (Docker Registry API v2, OCI distribution-spec 1.1) whose only state is an OpenStack Swift container.

    export OS_AUTH_URL=https://swift.example.com/auth/v1.0 OS_AUTH_VERSION=1 \\
           OS_USERNAME=account:user OS_PASSWORD=... OS_CONTAINER=docker-registry
    registry-swift check         does this Swift have all that a registry needs?
    registry-swift serve         then: docker push 127.0.0.1:5000/name
    registry-swift htpasswd      users and their passwords, for serve --htpasswd
"""

SERVE = """\
Serve the registry until SIGTERM (running requests may finish) or SIGINT (they may not).

A missing or wrong setting, or a Swift that cannot be reached, ends the start with one line that says which, and status 1.
"""

CHECK = """\
Log in, and try on a small object below _check/ in the registry's container all that a registry asks of Swift. One line for
each step; status 0 if all is well, else 1. The object is removed again.
"""

HTPASSWD = """\
Ask for a password, or read it from standard input, and print the line of a user for the file that --htpasswd (REGISTRY_HTPASSWD)
names. Apache's `htpasswd -B` makes the same.

    registry-swift htpasswd alice >> /etc/registry/htpasswd
"""


def main(arguments=None):
    """The exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options, os.environ)
    except UnspecifiedError as error:
        print('registry-swift:', ' '.join(str(error).split()), file=sys.stderr)
        return 1


def serve(options, environ):
    # Until gunicorn takes it over: the first process of a container ignores the signals that it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    level = log_level(environ)
    server_settings, access = settings(config.ServerSettings, options, environ), settings(config.Access, options, environ)
    require_sense(server_settings, access, options, environ)
    users = read_users(access)
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
    registry = app.create_app(registry_config, storage, users, access)
    listening.begin_to_listen(sock, server_settings)
    logging.info('%s may do everything%s', users or 'everybody', ', and everybody may pull' if access.anonymous_pull else '')
    return server.Server(registry, storage, server_settings, sock, certificates, log_config).run()


def warn_of_small_pool(storage, threads):
    if storage.settings.pool_size < threads:
        logging.warning(
            'swift_pool_size (SWIFT_POOL_SIZE) %d is less than the %d threads of a process: some will wait',
            storage.settings.pool_size,
            threads,
        )


def settings(kind, options, environ):
    """The settings of a class of `config`; :raises ConfigError: naming the one that is wrong"""
    try:
        return config.read(kind, environ, vars(options))
    except ValueError as error:
        raise config_error(str(error))


def require_sense(server_settings, access, options, environ):
    """:raises ConfigError: a setting has no meaning, by itself or without another one, or is that of another registry"""
    for option, name in (('htpasswd', 'REGISTRY_HTPASSWD'), ('tls_certificate', 'REGISTRY_TLS_CERTIFICATE')):
        if '' in (getattr(options, option), environ.get(name)):  # of a variable that is not set, mostly
            raise config_error(f'--{option.replace("_", "-")} ({name}) is empty: name the file, or leave it out')
    if server_settings.tls_key and not server_settings.tls_certificate:
        raise config_error('--tls-key (REGISTRY_TLS_KEY) is set, and --tls-certificate (REGISTRY_TLS_CERTIFICATE) is not')
    if access.anonymous_pull and not access.htpasswd:
        raise config_error(
            '--anonymous-pull (REGISTRY_ANONYMOUS_PULL) is set, and --htpasswd (REGISTRY_HTPASSWD) is not: '
            'without users, everybody may push as well'
        )
    foreign = sorted(name for name in environ if re.fullmatch('REGISTRY_AUTH(_(HTPASSWD|TOKEN|SILLY).*)?', name))
    if foreign:
        raise config_error(f'{foreign[0]} is a setting of CNCF distribution: here, REGISTRY_HTPASSWD names the file of users')


def read_users(access):
    """`htpasswd.Users`, or None: everybody may do everything; :raises ConfigError: the file cannot be used"""
    try:
        return htpasswd.Users(access.htpasswd) if access.htpasswd else None
    except htpasswd.Broken as error:
        raise config_error(f'--htpasswd (REGISTRY_HTPASSWD): {error}')


def log_level(environ):
    level = environ.get('LOGLEVEL', '').upper() or 'INFO'
    if level not in LOG_LEVELS:
        raise config_error(f'LOGLEVEL should be one of {", ".join(LOG_LEVELS)}, not {level!r}')
    return level


def run_check(options, environ):
    return check.main(storage_settings.read(environ), as_json=options.json)


def add_user(options, environ):
    """Print the line of a user for the file that REGISTRY_HTPASSWD names."""
    try:
        print(htpasswd.line(options.name, read_password(), options.cost))
    except UnicodeError:  # whose text would quote it
        raise config_error('the name and the password should be UTF-8')
    except ValueError as error:
        raise config_error(str(error))
    return 0


def read_password():
    """Asked for twice at a terminal, else a line of standard input; :raises ValueError:"""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip('\r\n')
    password = getpass.getpass('Password: ')
    if password != getpass.getpass('Again: '):
        raise ValueError('the passwords are not the same')
    return password


# The command line


def parser():
    program = new_parser(argparse.ArgumentParser, prog='registry-swift', description=DESCRIPTION, epilog=environment())
    program.add_argument('--version', action='version', version=f'registry-swift {__version__}')
    commands = program.add_subparsers(metavar='COMMAND', required=True)
    command = new_parser(commands.add_parser, 'serve', help='serve the registry', description=SERVE, epilog=environment())
    for setting in [setting for kind in config.OPTIONS for setting in dataclasses.fields(kind)]:
        add_option(command, setting)
    command.set_defaults(run=serve)
    command = new_parser(
        commands.add_parser,
        'check',
        help='find out what is wrong with Swift, or the settings for it',
        description=CHECK,
        epilog=environment(),
    )
    command.add_argument('--json', action='store_true', help='say it in JSON, a line for each step')
    command.set_defaults(run=run_check)
    command = new_parser(commands.add_parser, 'htpasswd', help='make the line of a user for the file of passwords', description=HTPASSWD)
    command.add_argument('name', metavar='NAME', help='of the user')
    command.add_argument(
        '--cost',
        type=int,
        default=htpasswd.COST,
        help='the work that a guess takes is doubled by each step (default '
        f'{htpasswd.COST}); 5 for a file that nginx reads, which hashes the password at each request',
    )
    command.set_defaults(run=add_user)
    return program


def add_option(command, setting):
    default = f' (default {setting.default})' if setting.default else ''
    kind = (
        {'action': 'store_const', 'const': 'true'}
        if isinstance(setting.default, bool)
        else {'metavar': setting.name.split('_')[-1].upper()}
    )
    command.add_argument(
        config.option_name(setting), **kind, help=f'{setting.metadata["meaning"]}; or {config.environment_name(setting)}{default}'
    )


def new_parser(kind, *arguments, **more):
    return kind(*arguments, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)


def environment():
    """What the environment may hold, out of the tables in which the settings are."""
    groups = [
        ('Where images are stored', [_swift_line(setting) for setting in SETTINGS]),
        ('How to serve them', _lines(config.ServerSettings) + [('LOGLEVEL', f'one of {", ".join(LOG_LEVELS)}', 'INFO')]),
        ('Who may do what', _lines(config.Access)),
        ('What the registry accepts', _lines(config.Config)),
        (
            'A configuration file of the v1 registry, instead of the first group',
            [
                ('DOCKER_REGISTRY_CONFIG', 'its path; in it, _env:NAME:default stands for a variable', ''),
                ('SETTINGS_FLAVOR', "its section to use, one with 'storage: swift'; without a file: ignored", 'swift'),
            ],
        ),
    ]
    return '\n\n'.join(f'{title} (environment):\n' + '\n'.join(map(_wrapped, lines)) for title, lines in groups)


def _swift_line(setting):
    default = storage_settings.STORAGE_PATH if setting.key == 'storage_path' else setting.default
    names = [_with_file(setting.environment[0], setting.secret), *setting.environment[1:]]
    return ', '.join(names), setting.meaning, default


def _lines(kind):
    return [
        (_with_file(config.environment_name(setting), setting.metadata['secret']), setting.metadata['meaning'], setting.default or '')
        for setting in dataclasses.fields(kind)
    ]


def _with_file(name, secret):
    return name + (f', {name}_FILE' if secret else '')


def _wrapped(line):
    names, meaning, default = line
    text = meaning + ('' if default in (None, '') else f' (default {default})')
    return f'  {names}\n' + textwrap.fill(text, 116, initial_indent=' ' * 6, subsequent_indent=' ' * 6)
