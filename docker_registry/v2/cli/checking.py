"""The command `registry-swift check`."""

from docker_registry.v2.cli.arguments import environment, new_parser
from docker_registry.v2.operations import check
from docker_registry.v2.settings import storage as storage_settings

CHECK = """\
Log in to Swift and try everything that the registry needs from it, on small objects below _check/ in the registry's container.
Print one line for each step, and remove the objects. The exit status is 0 if all steps succeed, else 1.
"""


def add_command(commands):
    command = new_parser(
        commands.add_parser,
        'check',
        help='test whether Swift, and the settings for it, work for the registry',
        description=CHECK,
        epilog=environment(),
    )
    command.add_argument('--json', action='store_true', help='print each step as a line of JSON')
    command.set_defaults(run=run)


def run(options, environ):
    return check.main(storage_settings.read(environ), as_json=options.json)
