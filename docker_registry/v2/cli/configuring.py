"""The command `registry-swift config`."""

import difflib
import json
import sys

from docker_registry.core.exceptions import ConfigError
from docker_registry.v2.cli import measuring, notifying, rights
from docker_registry.v2.cli.arguments import add_serve_options, environment, new_parser, one_line, settings
from docker_registry.v2.settings import config, in_force

CONFIG = """\
Show all settings that are in force, and where each comes from: an option, the environment, a file, a configuration file of the v1 registry,
other settings, or its default. Secrets are hidden. The command takes the options of serve, and needs no Swift.

    registry-swift config --changed --port 5001

        OS_AUTH_URL       https://swift.example.com/auth/v1.0  environment
        OS_PASSWORD       ***                                  file /run/secrets/password (OS_PASSWORD_FILE)
        REGISTRY_PORT     5001                                 option --port

If a setting is missing or wrong, the command names it on standard error, and the exit status is 1. It warns of variables that look like
settings but are none.
"""


def add_command(commands):
    command = new_parser(
        commands.add_parser,
        'config',
        help='show all settings in force, and where each comes from',
        description=CONFIG,
        epilog=environment(),
    )
    command.add_argument('--changed', action='store_true', help='show only those that do not have their default')
    command.add_argument('--json', action='store_true', help='print a line of JSON for each setting')
    add_serve_options(command)
    command.set_defaults(run=run)


def run(options, environ):
    rows = in_force.read(environ, vars(options))
    shown = [row for row in rows if not options.changed or row.problem or row.source.kind != in_force.DEFAULT]
    for line in map(as_json, shown) if options.json else as_table(shown):
        print(line)
    problems = [row.problem for row in rows if row.problem] or contradictions(options, environ)
    for text in [f'{name} is no setting{meant(name, rows)}' for name in in_force.unknown(environ)] + problems:
        print('registry-swift:', one_line(text), file=sys.stderr)
    return 1 if problems else 0


def contradictions(options, environ):
    """Return in a list why the registry does not start although each setting is right by itself."""
    try:
        server_settings = settings(config.ServerSettings, options, environ)
        rights.require_sense(server_settings, settings(config.Access, options, environ), options, environ)
        measuring.require_sense(server_settings)
        notifying.require_sense(environ)
    except ConfigError as error:
        return [str(error)]
    return []


def meant(name, rows):
    close = difflib.get_close_matches(name, [row.name for row in rows], 1, 0.8)
    return f'; did you mean {close[0]}?' if close else ''


# Output


def as_json(row):
    source = row.source
    return json.dumps(
        {
            'setting': row.name,
            'value': row.shown,
            'source': source.kind,
            'name': source.name or None,
            'path': source.path or None,
            'secret': row.secret,
            'problem': row.problem or None,
        }
    )


def as_table(rows):
    """Yield lines with the name, the value and the source of each row."""
    cells = [
        (row.name, as_text(row.shown) if not row.problem else 'wrong' if row.source.name else 'missing', as_words(row)) for row in rows
    ]
    widths = [max((len(cell[column]) for cell in cells), default=0) for column in (0, 1)]
    return (f'{name:{widths[0]}}  {value:{min(widths[1], 48)}}  {source}' for name, value, source in cells)


def as_text(value):
    if isinstance(value, list):
        value = ','.join(value)
    elif isinstance(value, bool):
        value = str(value).lower()
    text = '' if value is None else f'{value:g}' if isinstance(value, float) else str(value)
    return text.encode('unicode_escape').decode()  # in one line


def as_words(row):
    source = row.source
    if source.kind == in_force.FILE:
        return f'file {as_text(source.path)} ({source.name})'
    if source.kind == in_force.CONFIGURATION:
        return f'{as_text(source.path)} ({as_text(source.name)})'
    if source.kind == in_force.DERIVED:
        return f'follows from {source.name or "other settings"}'
    return source.kind if source.name in ('', row.name) else f'{source.kind} {source.name}'
