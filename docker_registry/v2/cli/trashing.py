"""The command `registry-swift trash`."""

import dataclasses
import json
import sys

from docker_registry.v2.cli import opening
from docker_registry.v2.cli.arguments import new_parser, option
from docker_registry.v2.operations import duration
from docker_registry.v2.operations.collection import contents, report
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.problems import Problem
from docker_registry.v2.operations.collection.run import Options, collect
from docker_registry.v2.registry import errors, names
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

DESCRIPTION = """\
Look at what registry-swift gc has moved to the trash, put it back, or delete it for good.

    registry-swift trash list
    registry-swift trash restore sha256:4bf5...       put back a blob, and its links in all repositories
    registry-swift trash restore --run RUN            put back all that one run of gc has moved
    registry-swift trash empty --older-than 3d        do not keep older things for as long as gc --keep-trash says

A push or pull that needs something from the trash puts it back by itself.
The variables that say where the container is are those of registry-swift check.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'trash', help='look at what gc has deleted, and put it back', description=DESCRIPTION)
    kinds = command.add_subparsers(metavar='ACTION', required=True)
    listing = new_parser(kinds.add_parser, 'list', help='list what is in the trash')
    listing.set_defaults(run=show)
    restoring = new_parser(kinds.add_parser, 'restore', help='put things back')
    restoring.add_argument('digests', metavar='DIGEST', nargs='*', type=option(digest), help='digest of a blob')
    restoring.add_argument('--run', dest='of_run', metavar='RUN', help='put back all that this run has moved; trash list shows the runs')
    restoring.set_defaults(run=restore)
    emptying = new_parser(kinds.add_parser, 'empty', help='delete for good what may be deleted: in two runs, a day apart')
    emptying.add_argument(
        '--older-than',
        type=option(duration.parse),
        default=0,
        metavar='TIME',
        help='only what has been in the trash for longer. At least two days, because a push may still need it: that is the default',
    )
    emptying.add_argument('--quiet-registry', action='store_true', help='nobody pushes or deletes anything now: delete all at once')
    emptying.set_defaults(run=empty)
    for action in (listing, restoring, emptying):
        action.add_argument('--json', action='store_true', help='print JSON')


def digest(text):
    try:
        return str(names.digest(text))
    except errors.DigestInvalid:
        raise ValueError('must be a digest such as sha256:4bf5...')


def show(options, environ):
    storage = storage_settings.open_existing(environ)
    found = list(contents.entries(storage))
    if options.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in found]))
    else:
        print(report.trash(found, storage.clock()))
    return 0


def restore(options, environ):
    if not options.digests and not options.of_run:
        raise config_error('name the digests to put back, or a run with --run. registry-swift trash list shows both')
    done, failed = contents.restore(storage_settings.open_existing(environ), set(options.digests), options.of_run)
    if options.json:
        print(
            json.dumps(
                {'restored': [dataclasses.asdict(entry) for entry in done], 'not_restored': [dataclasses.asdict(entry) for entry in failed]}
            )
        )
    else:
        for entry in done:
            print(f'{entry.digest} {"is back" if entry.kind == "blob" else "is linked in " + entry.repository + " again"}')
        for entry in failed:
            print(f'{entry.digest} cannot be put back: its bytes are about to be deleted, or are gone')
        if not done and not failed:
            print('nothing of that is in the trash')
    return 0 if done and not failed else 1


def empty(options, environ):
    try:
        with opening.local_database():
            outcome = collect(storage_settings.open_existing(environ), Options(bounds(options, environ), only_trash=True))
    except Problem as problem:
        print(f'registry-swift trash: {problem}', file=sys.stderr)
        return 1
    print(json.dumps(outcome.counts) if options.json else report.text(outcome))
    return 0


def bounds(options, environ):
    if options.quiet_registry:
        return Bounds.quiet()
    try:
        lifetime = config.read(config.Config, environ).upload_lifetime
    except ValueError as error:
        raise config_error(str(error))
    return Bounds(keep_trash=options.older_than, upload=max(lifetime, Bounds.upload))
