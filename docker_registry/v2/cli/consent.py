"""Asks before a command deletes anything."""

import sys

from docker_registry.v2.settings.storage import config_error


def add_option(command):
    command.add_argument('--yes', action='store_true', help='do not ask. Without a terminal, the command needs this')


def require_a_way(options):
    """Check, before anything is looked up, that the command may delete, or can ask.

    :raises ConfigError: neither; the text says what to do
    """
    if not options.yes and (options.json or not sys.stdin.isatty()):
        why = 'its output is JSON' if options.json else 'standard input is no terminal'
        raise config_error(f'the command cannot ask whether it may delete: {why}. Add --yes. Nothing was deleted')


def is_given(options, question):
    """Return whether the operator agrees."""
    if options.yes:
        return True
    print(f'{question} [y/N] ', end='', flush=True)
    if sys.stdin.readline().strip().lower() in ('y', 'yes'):
        return True
    print('Nothing was deleted.')
    return False
