"""The command `registry-swift`: a module for each of its commands, and nothing but words and wiring."""

import argparse
import importlib
import os
import signal
import sys

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import __version__
from docker_registry.v2.cli.arguments import environment, new_parser, one_line
from docker_registry.v2.registry.errors import RegistryError

#: The commands, and the module of each. Only what the command of the moment needs is imported: everything would take twice as long.
COMMANDS = {
    'serve': 'serving',
    'check': 'checking',
    'config': 'configuring',
    'survey': 'surveying',
    'gc': 'collecting',
    'trash': 'trashing',
    'fsck': 'fsck',
    'rm': 'deleting',
    'undelete': 'deleting',
    'retain': 'retaining',
    'import-v1': 'importing',
    'htpasswd': 'passwords',
    'rules': 'ruling',
}


DESCRIPTION = """\
A registry of container images (Docker Registry API v2, OCI distribution-spec 1.1) whose only state is an OpenStack Swift container.

    export OS_AUTH_URL=https://swift.example.com/auth/v1.0 OS_AUTH_VERSION=1 \\
           OS_USERNAME=account:user OS_PASSWORD=... OS_CONTAINER=docker-registry
    registry-swift check         test whether this Swift has everything that the registry needs
    registry-swift serve         run the registry; then try: docker push 127.0.0.1:5000/name
    registry-swift config        show all settings in force, and where each comes from
    registry-swift survey        say what the container holds, and what is garbage
    registry-swift gc            free the space of what nothing needs any more; registry-swift trash puts it back
    registry-swift fsck          find damaged images, and repair them
    registry-swift rm            delete tags, manifests and repositories
    registry-swift undelete      get an image back that was deleted
    registry-swift retain        delete old tags and untagged manifests, by rules in a file
    registry-swift import-v1     import the images of a v1 registry, which today's clients cannot pull
    registry-swift htpasswd      make a line with a user and a password, for serve --htpasswd
    registry-swift rules         say who may do what, by the file of serve --rules, and which line says so
"""


def main(arguments=None):
    """Run the command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(arguments[:1]).parse_args(arguments)
    try:
        status = options.run(options, os.environ)
        sys.stdout.flush()
        return status
    except (UnspecifiedError, RegistryError) as error:
        print('registry-swift:', one_line(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('registry-swift: interrupted', file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has ended, such as `head`. Python must not write the rest at its end, either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def parser(words=()):
    """Return the parser of the command that one of the words names, or of all commands."""
    program = new_parser(argparse.ArgumentParser, prog='registry-swift', description=DESCRIPTION, epilog=environment())
    program.add_argument('--version', action='version', version=f'registry-swift {__version__}')
    commands = program.add_subparsers(metavar='COMMAND', required=True)
    names = [word for word in words if word in COMMANDS] or COMMANDS
    for module in dict.fromkeys(COMMANDS[name] for name in names):
        importlib.import_module(f'{__name__}.{module}').add_command(commands)
    return program
