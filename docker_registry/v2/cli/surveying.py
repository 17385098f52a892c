"""The command `registry-swift survey`."""

import contextlib
import json
import os
import sys
import tempfile
import time

from docker_registry.v2.cli import opening
from docker_registry.v2.cli.arguments import add_pace, add_threads, new_parser
from docker_registry.v2.operations import recording
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import figures, report
from docker_registry.v2.operations.survey.survey import take
from docker_registry.v2.registry import records
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

SURVEY = """\
Say what the container holds: for each repository its tags, its manifests, the bytes that it has alone and those that it shares with
others; and for the whole container, what is garbage, how much and how old. It changes nothing, apart from notes in the container: its
outcome for the metrics, and the sizes of repositories for the page.

    registry-swift survey                         the largest repositories, and the garbage
    registry-swift survey --all                   every repository
    registry-swift survey --repository team/app   one repository
    registry-swift survey --json                  all numbers, for programs

How to read it:

    ALONE     bytes that no other repository has: about what you gain if you delete the repository and collect the garbage
    SHARED    bytes of layers that other repositories have as well
    GARBAGE   what nothing needs any more. Layers of images that were deleted are among it, and pushes that ended half-way. Pushes that
              are under way look the same, so look at the ages

It lists every name once, 10,000 in a request, and reads each manifest. So the first look at a large registry takes minutes. Registries
can go on serving meanwhile. What they write after the survey began may be missing in it. The variables that say where the container
is are those of registry-swift check.
"""

STATE = """keep the survey's database in this folder. If the survey is interrupted, and you repeat the command within an hour, it goes on
where it was. A later one reads only the manifests that are new. Without it, the database is in a temporary folder, which needs about 400
bytes for each name"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'survey', help='say what the container holds, and what is garbage', description=SURVEY)
    command.add_argument('--json', action='store_true', help='print one document of JSON')
    command.add_argument('--all', action='store_true', help='show all rows of all tables, and not only the first ones')
    command.add_argument('--repository', metavar='NAME', help='show this repository only')
    command.add_argument('--state', metavar='FOLDER', help=STATE)
    command.add_argument(
        '--v1-path', metavar='PATH', help='also look at a v1 registry in the same container. PATH is its storage_path, such as /registry'
    )
    add_pace(command)
    add_threads(command)
    command.set_defaults(run=run)


def run(options, environ):
    storage = storage_settings.open_existing(environ, options.threads)
    pace, started = Pace(options.max_requests_per_second), time.monotonic()
    with opening.local_database(), _folder(options.state) as folder:
        survey = take(storage, folder, pace, Progress(sys.stderr), threads=options.threads, v1_path=options.v1_path)
        with contextlib.closing(survey.db):
            found = figures.figures(survey)
    found['requests'], found['seconds'] = dict(sorted(pace.methods.items())), round(time.monotonic() - started, 3)
    recording.keep(storage, records.SURVEY, lambda last: recording.survey(found))
    recording.keep_sizes(storage, figures.sizes(found), found['started'])
    if options.repository is not None:
        found = _only(found, options.repository)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(report.text(found, options.all))
        print(f'\nThe survey took {found["seconds"]:.0f} seconds and {pace.requests} requests.')
    return 0


def _only(found, name):
    repositories = [row for row in found['repositories'] if row['name'] == name]
    v1 = found['v1'] and {**found['v1'], 'repositories': [row for row in found['v1']['repositories'] if row['name'] == name]}
    if not repositories and not (v1 and v1['repositories']):
        raise config_error(f'there is no repository {name} in the container')
    return {**found, 'repositories': repositories, 'v1': v1}


@contextlib.contextmanager
def _folder(state):
    if state is None:
        with tempfile.TemporaryDirectory(prefix='registry-swift-survey-') as folder:
            yield folder
        return
    try:
        os.makedirs(state, exist_ok=True)
    except OSError as error:
        raise config_error(f'--state {state}: {error.strerror}')
    yield state
