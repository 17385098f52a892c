"""The command `registry-swift`."""

import argparse
import dataclasses
import logging
import os
import sys
import textwrap
from logging.config import dictConfig

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import SETTINGS, __version__
from docker_registry.v2 import app, check, config, server, storage_settings
from docker_registry.v2.server import ServerSettings
from docker_registry.v2.storage_settings import config_error

LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR')

DESCRIPTION = """\
A registry of container images (Docker Registry API v2, OCI distribution-spec 1.1) whose only state is an OpenStack Swift container.

    export OS_AUTH_URL=https://swift.example.com/auth/v1.0 OS_AUTH_VERSION=1 \\
           OS_USERNAME=account:user OS_PASSWORD=... OS_CONTAINER=docker-registry
    registry-swift check         does this Swift have all that a registry needs?
    registry-swift serve         then: docker push 127.0.0.1:5000/name
"""

SERVE = """\
Serve the registry until SIGTERM (running requests may finish) or SIGINT (they may not).

A missing or wrong setting, or a Swift that cannot be reached, ends the start with one line that says which, and status 1.
"""

CHECK = """\
Log in, and try on a small object below _check/ in the registry's container all that a registry asks of Swift. One line for
each step; status 0 if all is well, else 1. The object is removed again.
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
    level = log_level(environ)
    settings = server_settings(options, environ)
    registry_config = registry_settings(environ)
    storage_config = storage_settings.read(environ)
    certificates = settings.tls_certificate and server.Certificates(settings.tls_certificate, settings.tls_key)
    if certificates:
        certificates.check()
    sock = server.listening_socket(settings)
    storage_settings.log_in(storage_config)
    log_config = server.logging_config(level)
    dictConfig(log_config)
    storage = storage_settings.open_storage(storage_config)
    need = settings.threads + registry_config.storage_threads
    if storage.settings.pool_size < need:
        logging.warning('swift_pool_size (SWIFT_POOL_SIZE) %d is less than the %d threads of a process: some will wait',
                        storage.settings.pool_size, need)
    registry = app.create_app(registry_config, storage)
    return server.Server(registry, storage, settings, sock, certificates, log_config).run()


def server_settings(options, environ):
    """`ServerSettings` out of the command line, then the environment; :raises ConfigError: naming the one that is wrong"""
    values = {}
    for setting in dataclasses.fields(ServerSettings):
        option, name = '--' + setting.name.replace('_', '-'), setting.metadata['environment']
        text = getattr(options, setting.name)
        if text is None:
            # Docker and Kubernetes put an address there if another container, or service, is named `registry`.
            text = '' if environ.get(name, '').startswith('tcp://') else environ.get(name, '')
        if text:
            try:
                values[setting.name] = setting.metadata['parse'](text)
            except ValueError as error:
                raise config_error(f'{option} ({name}) {error}, not {text!r}')
    if values.get('tls_key') and not values.get('tls_certificate'):
        raise config_error('--tls-key (REGISTRY_TLS_KEY) is set, and --tls-certificate (REGISTRY_TLS_CERTIFICATE) is not')
    return ServerSettings(**values)


def registry_settings(environ):
    try:
        return config.from_environment(environ)
    except ValueError as error:
        raise config_error(str(error))


def log_level(environ):
    level = environ.get('LOGLEVEL', '').upper() or 'INFO'
    if level not in LOG_LEVELS:
        raise config_error(f'LOGLEVEL should be one of {", ".join(LOG_LEVELS)}, not {level!r}')
    return level


def run_check(options, environ):
    return check.main(storage_settings.read(environ), as_json=options.json)


# The command line


def parser():
    program = new_parser(argparse.ArgumentParser, prog='registry-swift', description=DESCRIPTION, epilog=environment())
    program.add_argument('--version', action='version', version=f'registry-swift {__version__}')
    commands = program.add_subparsers(metavar='COMMAND', required=True)
    command = new_parser(commands.add_parser, 'serve', help='serve the registry', description=SERVE, epilog=environment())
    for setting in dataclasses.fields(ServerSettings):
        default = f' (default {setting.default})' if setting.default else ''
        command.add_argument('--' + setting.name.replace('_', '-'), metavar=setting.name.split('_')[-1].upper(),
                             help=f'{setting.metadata["meaning"]}; or {setting.metadata["environment"]}{default}')
    command.set_defaults(run=serve)
    command = new_parser(commands.add_parser, 'check', help='find out what is wrong with Swift, or the settings for it',
                         description=CHECK, epilog=environment())
    command.add_argument('--json', action='store_true', help='say it in JSON, a line for each step')
    command.set_defaults(run=run_check)
    return program


def new_parser(kind, *arguments, **more):
    return kind(*arguments, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)


def environment():
    """What the environment may hold, out of the tables in which the settings are."""
    groups = [
        ('Where images are stored', [_swift_line(setting) for setting in SETTINGS]),
        ('How to serve them', [(setting.metadata['environment'], setting.metadata['meaning'], setting.default)
                               for setting in dataclasses.fields(ServerSettings)]
         + [('LOGLEVEL', f'one of {", ".join(LOG_LEVELS)}', 'INFO')]),
        ('What the registry accepts', [('REGISTRY_' + setting.name.upper(), setting.metadata['meaning'], setting.default)
                                       for setting in dataclasses.fields(config.Config)]),
        ('A configuration file of the v1 registry, instead of the first group', [
            ('DOCKER_REGISTRY_CONFIG', 'its path; in it, _env:NAME:default stands for a variable', ''),
            ('SETTINGS_FLAVOR', "its section to use, one with 'storage: swift'; without a file: ignored", 'swift')])]
    return '\n\n'.join(f'{title} (environment):\n' + '\n'.join(map(_wrapped, lines)) for title, lines in groups)


def _swift_line(setting):
    default = storage_settings.STORAGE_PATH if setting.key == 'storage_path' else setting.default
    names = ', '.join(setting.environment)
    return names + (f', {setting.environment[0]}_FILE' if setting.secret else ''), setting.meaning, default


def _wrapped(line):
    names, meaning, default = line
    text = meaning + ('' if default in (None, '') else f' (default {default})')
    return f'  {names}\n' + textwrap.fill(text, 116, initial_indent=' ' * 6, subsequent_indent=' ' * 6)
