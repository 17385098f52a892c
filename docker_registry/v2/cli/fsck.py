"""The command `registry-swift fsck`."""

import contextlib
import sys
import tempfile
import time

from docker_registry.core import exceptions
from docker_registry.v2.cli import opening
from docker_registry.v2.cli.arguments import add_pace, add_threads, new_parser, option, rate, settings
from docker_registry.v2.operations import duration, recording
from docker_registry.v2.operations.collection.lock import Lock
from docker_registry.v2.operations.collection.problems import Problem
from docker_registry.v2.operations.fsck import reading, report, run
from docker_registry.v2.operations.fsck.origin import Origin
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import survey
from docker_registry.v2.registry import records
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.names import repository
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings

FSCK = """\
Find out which images are damaged, and name the tags that cannot be pulled. The registry may run meanwhile.

    registry-swift fsck                      names, links and manifests; one request for each manifest and tag
    registry-swift fsck --sizes              also the size of every blob, and the segments of large ones
    registry-swift fsck --deep               also read every blob that was not read in the last 7 days, and hash it
    registry-swift fsck --sizes --repair     repair what can be proved; what has wrong bytes goes aside to _lost/
    registry-swift fsck --repair --from https://registry.example.com      fetch what is missing from a registry that has it

The exit status is 0 if all is whole, 1 if all damage is repaired, and 2 if something is damaged or could not be found out. The variables
that say where the container is are those of registry-swift check.
"""

USER, PASSWORD = 'REGISTRY_FSCK_FROM_USER', 'REGISTRY_FSCK_FROM_PASSWORD'


def add_command(commands):
    command = new_parser(commands.add_parser, 'fsck', help='find damaged images, and repair them', description=FSCK)
    command.add_argument('--sizes', action='store_true', help='compare sizes and segments, too')
    command.add_argument('--deep', action='store_true', help='read and hash all blobs, too; an interrupted check goes on where it was')
    command.add_argument(
        '--read-again',
        metavar='AGE',
        type=option(duration.parse),
        default=run.READ_AGAIN,
        help='with --deep: read what was last read so long ago (default 7d; 0 reads all)',
    )
    command.add_argument('--repair', action='store_true', help='repair what can be repaired')
    command.add_argument('--repository', metavar='NAME', help='check this repository only')
    command.add_argument(
        '--from',
        dest='origin',
        metavar='URL',
        help=f'with --repair: a registry that has the same images. {USER} and {PASSWORD} are the login, if it needs one',
    )
    add_pace(command)
    add_threads(command)
    command.add_argument('--max-bytes-per-second', type=option(rate), metavar='N', help='read at most so many bytes (default: no limit)')
    command.add_argument('--json', action='store_true', help='print one JSON object')
    command.set_defaults(run=execute)


def execute(options, environ):
    """Return 2 for whatever keeps the check from its end: 0 and 1 say that all is whole."""
    try:
        with opening.local_database():
            findings = check(options, environ)
    except (exceptions.UnspecifiedError, Problem, ValueError) as error:
        print('registry-swift: the check could not be finished:', ' '.join(str(error).split()), file=sys.stderr)
        return 2
    print(report.as_json(findings) if options.json else report.as_text(findings))
    return report.status(findings)


def check(options, environ):
    if options.origin and not options.repair:
        raise ValueError('--from needs --repair')
    registry, started = settings(config.Config, options, environ), time.monotonic()
    pace = reading.Pace(options.max_bytes_per_second)
    origin = Origin(options.origin, environ.get(USER, ''), environ.get(PASSWORD, ''), pace) if options.origin else None
    storage = storage_settings.open_existing(environ)
    progress = Progress()
    # A collection could delete the segments of which a repair makes a blob again.
    lock = Lock(storage, stays=False) if options.repair else contextlib.nullcontext()
    with lock, tempfile.TemporaryDirectory(prefix='registry-swift-') as folder:
        surveyed = survey.take(storage, folder, Pace(options.max_requests_per_second), progress, threads=options.threads)
        if options.repository and not surveyed.one('SELECT id FROM repository WHERE name = ?', options.repository):
            raise ValueError(f'there is no repository {options.repository}')
        chosen = run.Options(
            sizes=options.sizes,
            deep=options.deep,
            repair=options.repair,
            repository=options.repository and repository(options.repository),
            read_again=options.read_again,
            pace=pace,
            sparse=registry.sparse_manifests,
            replication_cycle=registry.replication_cycle,
        )
        findings = run.Check(storage, surveyed.db, chosen, Together(2 * options.threads), origin, progress).run()
    if not options.repository:
        seconds = time.monotonic() - started
        recording.keep(storage, records.CHECK, lambda last: recording.check(last, seconds, findings, options.deep))
    return findings
