"""The command `registry-swift htpasswd`."""

import getpass
import sys

from docker_registry.v2.access import htpasswd
from docker_registry.v2.cli.arguments import new_parser
from docker_registry.v2.settings.storage import config_error

HTPASSWD = """\
Print a line with a user and a password hash, for the file that --htpasswd (REGISTRY_HTPASSWD) names. The command asks for the
password, or reads it from standard input. Apache's `htpasswd -B` makes the same kind of line.

    registry-swift htpasswd alice >> /etc/registry/htpasswd
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'htpasswd', help='make a line for the file of users and passwords', description=HTPASSWD)
    command.add_argument('name', metavar='NAME', help='name of the user')
    command.add_argument(
        '--cost',
        type=int,
        default=htpasswd.COST,
        help=f'cost of the bcrypt hash: each step doubles the work of a guess (default {htpasswd.COST})',
    )
    command.set_defaults(run=add_user)


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
