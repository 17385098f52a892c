"""Parts of command lines and their --help, which the commands share."""

import argparse
import dataclasses
import re
import textwrap

from docker_registry.drivers.swift import SETTINGS
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.notifications import Notifications
from docker_registry.v2.settings.storage import config_error


def add_serve_options(command):
    for setting in [setting for kind in config.OPTIONS for setting in dataclasses.fields(kind)]:
        add_option(command, setting)


def add_option(command, setting):
    default = f' (default {config.default_text(setting)})' if setting.default and setting.default is not True else ''
    kind = (
        {'action': 'store_const', 'const': str(not setting.default).lower()}
        if isinstance(setting.default, bool)
        else {'metavar': setting.name.split('_')[-1].upper()}
    )
    meaning = f'{"do not " if setting.default is True else ""}{setting.metadata["meaning"]}{default}'
    command.add_argument(
        config.option_name(setting), **kind, dest=setting.name, help=f'{meaning}. Variable: {config.environment_name(setting)}'
    )


def settings(kind, options, environ):
    """Return the settings of a class of `config`.

    :raises ConfigError: a setting is wrong; the text names it
    """
    try:
        return config.read(kind, environ, vars(options))
    except ValueError as error:
        raise config_error(str(error))


def one_line(text):
    """Return a message as one line that moves no cursor and changes no colour: it may quote a file's name."""
    return ''.join(
        character if character.isprintable() else character.encode('unicode_escape').decode() for character in ' '.join(str(text).split())
    )


def new_parser(kind, *arguments, **more):
    return kind(*arguments, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)


def option(parse):
    """Return a `type` for argparse from a function that raises ValueError with a text for the user."""

    def parsed(text):
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error))

    return parsed


def add_pace(command):
    command.add_argument(
        '--max-requests-per-second', type=option(rate), metavar='N', help='send at most so many requests to Swift (default: no limit)'
    )


def add_threads(command):
    command.add_argument('--threads', type=option(count), default=16, metavar='N', help='requests to Swift at a time (default 16)')


def rate(text):
    number = float(text) if re.fullmatch(r'[0-9]{1,9}(\.[0-9]{1,9})?', text) else 0
    if not number:
        raise ValueError(f'must be a number above 0, not {text[:40]!r}')
    return number


def count(text):
    if not re.fullmatch('[1-9][0-9]{0,3}', text):
        raise ValueError(f'must be a whole number from 1 to 9999, not {text[:40]!r}')
    return int(text)


def environment():
    """Return the part of --help that lists all environment variables. It is made from the tables of settings."""
    groups = [
        ('Where images are stored', [_swift_line(setting) for setting in SETTINGS]),
        ('How to serve them', _lines(config.ServerSettings) + _variables('LOGLEVEL')),
        ('Who may do what', _lines(config.Access)),
        ('What the registry accepts', _lines(config.Config)),
        ('Whom it notifies', _lines(Notifications)),
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
