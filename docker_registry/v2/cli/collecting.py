"""The command `registry-swift gc`."""

import signal
import sqlite3
import sys
import time

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.v2.cli import opening
from docker_registry.v2.cli.arguments import add_pace, add_threads, new_parser, option
from docker_registry.v2.operations import duration, recording
from docker_registry.v2.operations.collection import report
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.problems import Locked, Problem
from docker_registry.v2.operations.collection.run import Options, collect, every
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.registry import records
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

DESCRIPTION = """\
Free the space of what nothing needs any more, while registries go on serving and everybody pushes.

What goes: links of layers that no manifest of the repository names, blobs that nothing links, and segments of uploads that never ended.
Links and blobs go to the trash first, and a push or pull that needs one puts it back. A later run deletes for good what has been in the
trash for --keep-trash. So run this every day. It never deletes tags or manifests: see registry-swift retain and rm.

    registry-swift gc --dry-run              show what would go
    registry-swift gc                        one run, for cron
    registry-swift gc --every 24h            run until SIGTERM
    registry-swift gc --quiet-registry       free everything at once, while nobody pushes; --keep-trash 7d lets you change your mind

The exit status is 0 if the run is done. It is 1 if a brake or an error has stopped it; one line says why.
The variables that say where the container is are those of registry-swift check.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'gc', help='free the space of what nothing needs any more', description=DESCRIPTION)
    command.add_argument('--dry-run', action='store_true', help='only show what would go; write nothing')
    age = {'type': option(duration.parse), 'metavar': 'TIME'}
    command.add_argument('--older-than', **age, help='touch only what is older (default 7d)')
    command.add_argument('--keep-trash', **age, help='keep things in the trash for at least this long (default 7d)')
    command.add_argument('--listing-lag', **age, help='how late a listing of this Swift may be (default 24h)')
    command.add_argument('--every', **age, help='go on running, once in this time')
    command.add_argument(
        '--quiet-registry',
        action='store_true',
        help='nobody pushes or deletes anything now, and nobody will before this command has ended: all times are 0, unless you give them',
    )
    command.add_argument('--force', action='store_true', help='go on where a brake would stop')
    command.add_argument(
        '--take-lock', action='store_true', help='go on although another run has the lock. Use it only if that run has ended for certain'
    )
    command.add_argument(
        '--v1-path', metavar='PATH', help='storage_path of a v1 registry in the same container (/registry): free its segments, too'
    )
    command.add_argument(
        '--v1-images',
        action='store_true',
        help='with --v1-path and --quiet-registry: free the images of the v1 registry that no tag reaches. They cannot be put back',
    )
    add_pace(command)
    add_threads(command)
    command.add_argument('--json', action='store_true', help='print the outcome as one JSON object')
    command.set_defaults(run=run)


def run(options, environ):
    # Without a handler, the first process of a container ignores SIGTERM.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.v1_images and (options.v1_path is None or not (options.quiet_registry or options.dry_run)):
        raise config_error('--v1-images needs --v1-path and --quiet-registry: the v1 registry cannot put back what a push still needs')
    how = Options(
        bounds=bounds(options, environ),
        dry_run=options.dry_run,
        force=options.force,
        take_lock=options.take_lock,
        threads=options.threads,
        v1_path=options.v1_path,
        v1_images=options.v1_images,
    )
    storage = storage_settings.open_existing(environ, options.threads)

    def once():
        pace, started = Pace(options.max_requests_per_second), time.monotonic()

        def keep(report, problem=None):
            if not options.dry_run and not isinstance(problem, Locked):
                seconds = time.monotonic() - started
                recording.keep(storage, records.COLLECTION, lambda last: recording.collection(last, seconds, report, problem))

        try:
            with opening.local_database():
                outcome = collect(storage, how, pace, Progress())
        except (Problem, UnspecifiedError, OSError, sqlite3.Error) as error:  # the last three: of Swift, or of the disk with the database
            print('registry-swift gc:', error if isinstance(error, Problem) else ' '.join(str(error).split()), file=sys.stderr, flush=True)
            keep(None, error)
            return 1
        keep(outcome)
        outcome.counts['requests'] = pace.requests
        print(report.as_json(outcome) if options.json else report.text(outcome), flush=True)
        return 0

    return every(options.every, once) if options.every else once()


def bounds(options, environ):
    """Return the `Bounds` of the options.

    :raises ConfigError: they would let a push lose what it relies on
    """
    given = {'older_than': options.older_than, 'keep_trash': options.keep_trash, 'listing_lag': options.listing_lag}
    given = {name: seconds for name, seconds in given.items() if seconds is not None}
    if options.quiet_registry:
        return Bounds.quiet(**given)
    try:
        lifetime = config.read(config.Config, environ).upload_lifetime
        found = Bounds(**given, upload=max(lifetime, Bounds.upload))
        found.require_sense()
        return found
    except ValueError as error:
        raise config_error(str(error))
