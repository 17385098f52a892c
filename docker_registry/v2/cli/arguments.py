"""Parts of command lines and their --help, which the commands share."""

import argparse
import dataclasses
import textwrap

from docker_registry.drivers.swift import SETTINGS
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings


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
