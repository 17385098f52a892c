"""The command `registry-swift htpasswd`."""

import datetime
import getpass
import re
import secrets
import sys

from docker_registry.v2.access import htpasswd
from docker_registry.v2.cli.arguments import new_parser, option
from docker_registry.v2.settings.storage import config_error

HTPASSWD = """\
Print a line with a user and a password hash, for the file that --htpasswd (REGISTRY_HTPASSWD) names. The command asks for the
password, or reads it from standard input. Apache's `htpasswd -B` makes the same kind of line.

    registry-swift htpasswd alice >> /etc/registry/htpasswd

With --random, nobody chooses the password: the command makes a long one, for a robot. It prints the password to standard error, and
nothing keeps it. With --expires, another line follows there. Add it to the file that --rules (REGISTRY_RULES) names: the login then ends on
that day, at 00:00 UTC.

    registry-swift htpasswd --random robot-ci --expires 2027-01-31 >> /etc/registry/htpasswd
"""

RANDOM_BYTES = 32  # 43 characters


def add_command(commands):
    command = new_parser(commands.add_parser, 'htpasswd', help='make a line for the file of users and passwords', description=HTPASSWD)
    command.add_argument('name', metavar='NAME', help='name of the user')
    command.add_argument(
        '--cost',
        type=int,
        default=htpasswd.COST,
        help=f'cost of the bcrypt hash: each step doubles the work of a guess (default {htpasswd.COST})',
    )
    command.add_argument('--random', action='store_true', help='make a password and print it to standard error')
    command.add_argument(
        '--expires', metavar='YYYY-MM-DD', type=option(day), help='also print the line of the rules that ends the login on that day'
    )
    command.set_defaults(run=add_user)


def add_user(options, environ):
    """Print the line of a user for the file that REGISTRY_HTPASSWD names. What else there is to say goes to standard error."""
    password = secrets.token_urlsafe(RANDOM_BYTES) if options.random else None
    try:
        print(htpasswd.line(options.name, password or read_password(), options.cost), flush=True)
    except UnicodeError:  # do not show its text: it would quote the password
        raise config_error('the user name and the password must be UTF-8')
    except ValueError as error:
        raise config_error(str(error))
    if password:
        print(password, file=sys.stderr)
    if options.expires:
        print(f'expires {options.name} {options.expires}', file=sys.stderr)
    return 0


def day(text):
    """Return a day to come.

    :raises ValueError: the text is no such day
    """
    try:
        found = datetime.date.fromisoformat(text) if re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', text) else None
    except ValueError:
        found = None
    if not found or found <= datetime.datetime.now(datetime.timezone.utc).date():
        raise ValueError(f'must be a day to come, such as 2027-01-31, not {text[:40]!r}')
    return found


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
