"""The command `registry-swift import-v1`."""

import signal
import sys
import time

from docker_registry.core import exceptions
from docker_registry.v2.cli.arguments import add_pace, add_threads, count, new_parser, one_line, option, settings
from docker_registry.v2.operations.importing import report
from docker_registry.v2.operations.importing.planning import Choice
from docker_registry.v2.operations.importing.run import Import, Options
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.operations.importing.unlinking import Unlinking
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.registry import errors, formats, names
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.patterns import Pattern
from docker_registry.v2.registry.read_only import ReadOnly
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

DESCRIPTION = """\
Import the images of a v1 registry (docker-registry 0.5 to 0.9), so that today's clients can pull them. No docker engine is needed. The v1
registry may run meanwhile, and so may this one. Nothing that the v1 registry has stored is changed.

    registry-swift import-v1 --dry-run                      say what would be imported, and how much must be read
    registry-swift import-v1                                import every tag of every repository
    registry-swift import-v1                                once more: only what was pushed since, or what has failed
    registry-swift import-v1 --repository 'team/**'         these repositories only
    registry-swift import-v1 --from-container old-registry  the v1 registry is in another container of the account

The repository library/app becomes app, as clients named it. A name that the registry v2 API does not allow is changed as little as
possible, and the report says so. Each layer is read once, and compared with its checksum. Swift copies large layers by itself.

    registry-swift import-v1 --link                         copy nothing: the new images use the objects of the v1 registry
    registry-swift import-v1 --unlink                       copy what was linked

With --link these objects must never be deleted: the v1 registry's tree must stay until --unlink has copied them. docs/switching.rst says
more.

If the command is interrupted, repeat it: it goes on where it was. The exit status is 0 if every tag is imported, 1 if some cannot be (the
report says why), and 2 if something could not be found out. The variables that say where the container is are those of
registry-swift check.
"""

FROM_PATH = '/registry'


def add_command(commands):
    command = new_parser(commands.add_parser, 'import-v1', help='import the images of a v1 registry', description=DESCRIPTION)
    command.add_argument(
        '--from-path', metavar='PATH', default=FROM_PATH, help=f'storage_path of the v1 registry; / if it had none (default {FROM_PATH})'
    )
    command.add_argument('--from-container', metavar='NAME', help='container of the v1 registry (default: that of this registry)')
    command.add_argument(
        '--repository', metavar='PATTERN', type=option(Pattern), help='import these repositories only, such as team/* or library/**'
    )
    command.add_argument(
        '--name',
        metavar='OLD=NEW',
        type=option(_renamed),
        action='append',
        default=[],
        help='import the repository OLD as NEW; may be repeated',
    )
    command.add_argument('--keep-library', action='store_true', help='import library/app as library/app, and not as app')
    how = command.add_mutually_exclusive_group()
    how.add_argument('--copy', dest='link', action='store_false', help='copy layers (default)')
    how.add_argument('--link', dest='link', action='store_true', help='make large layers of the objects of the v1 registry; moves no bytes')
    how.add_argument('--unlink', action='store_true', help='import nothing, but copy the layers that --link has linked')
    command.add_argument('--oci', action='store_true', help='write OCI manifests, instead of those of docker 1.10')
    command.add_argument('--replace', action='store_true', help='overwrite tags that are there already with another image')
    command.add_argument('--again', action='store_true', help='import also tags that were imported before, such as those deleted since')
    command.add_argument(
        '--ignore-checksums', action='store_true', help='import also layers that are not those of their checksums; the report names them'
    )
    command.add_argument('--dry-run', action='store_true', help='only say what would be imported; write nothing')
    command.add_argument(
        '--workers', type=option(count), default=2, metavar='N', help='layers to convert at a time; one takes a core (default 2)'
    )
    add_pace(command)
    add_threads(command)
    command.add_argument('--json', action='store_true', help='print the outcome as one JSON object')
    command.set_defaults(run=run, link=False)


def run(options, environ):
    """Return 2 for whatever keeps the import from its end: 0 says that everything is imported."""
    # Without a handler, the first process of a container ignores SIGTERM.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return unlinked(options, environ) if options.unlink else imported(options, environ)
    except (exceptions.UnspecifiedError, errors.RegistryError) as error:
        print('registry-swift: the import could not be finished:', one_line(error), file=sys.stderr)
        return 2


def imported(options, environ):
    registry, started = settings(config.Config, options, environ), time.monotonic()
    storage = _opened(environ, options)
    is_here = options.from_container in (None, storage.settings.container)
    there = storage if is_here else _opened(environ, options, swift_container=options.from_container)
    tree = _tree(there, options.from_path, registry)
    if options.link and not is_here:
        raise config_error('--link needs the v1 registry in the container of this one. Without --link, layers are copied')
    if options.link and storage.is_ceph():
        raise config_error('--link needs OpenStack Swift: Ceph does not tell of which objects a large one consists')
    pace = Pace(options.max_requests_per_second)
    storage.on_request = there.on_request = pace
    how = Options(
        choice=Choice(options.repository, dict(options.name), options.keep_library, options.again),
        is_here=is_here,
        link=options.link,
        media_type=formats.OCI_IMAGE if options.oci else formats.DOCKER_IMAGE,
        dry_run=options.dry_run,
        replace=options.replace,
        ignore_checksums=options.ignore_checksums,
        workers=options.workers,
        threads=options.threads,
    )
    domain = Domain(ReadOnly(storage) if options.dry_run else storage, registry)
    found = Import(domain, tree, how, Progress()).run()
    found.requests, found.seconds = pace.requests, round(time.monotonic() - started, 3)
    print(report.as_json(found) if options.json else report.as_text(found))
    return found.status()


def unlinked(options, environ):
    others = ('from_container', 'repository', 'name', 'keep_library', 'oci', 'replace', 'again', 'ignore_checksums', 'dry_run')
    if wrong := [f'--{name.replace("_", "-")}' for name in others if getattr(options, name)]:
        raise config_error(f'--unlink copies all layers that are linked. It does not go with {", ".join(wrong)}')
    registry, storage = settings(config.Config, options, environ), _opened(environ, options)
    storage.on_request = Pace(options.max_requests_per_second)
    tree = Tree(storage, options.from_path, registry.replication_cycle)
    unlinking, found = Unlinking(Domain(storage, registry), tree), []
    images = unlinking.held()
    with Progress().stage('Copying layers', 'layers', len(images)) as advance:
        for layer in unlinking.run(images):
            found.append(layer)
            advance(1)
    if not found:
        _tree(storage, options.from_path, registry)  # a wrong path must not look as if nobody needed what is below it
    print(report.unlinked_as_json(found) if options.json else report.unlinked_as_text(found, str(tree)))
    return 1 if any(layer.why for layer in found) else 0


def _opened(environ, options, **changes):
    return storage_settings.open_existing(environ, options.threads + options.workers, **changes)


def _tree(storage, path, registry):
    """Return the tree of the v1 registry.

    :raises ConfigError: there is none
    """
    tree = Tree(storage, path, registry.replication_cycle)
    if not tree.is_there():
        others = [other for other in (Tree(storage, root) for root in ('/', FROM_PATH, storage_settings.STORAGE_PATH)) if other.is_there()]
        hint = f'There is one at --from-path /{others[0].root}' if others else 'Look at its setting storage_path, and give --from-path'
        raise config_error(f'there is no v1 registry at {tree}: nothing is below {tree}/repositories. {hint}')
    return tree


def _renamed(text):
    old, equals, new = text.partition('=')
    if not old or not equals:
        raise ValueError(f'must be OLD=NEW, not {text[:60]!r}')
    try:
        return old, names.repository(new)
    except errors.NameInvalid:
        raise ValueError(f'{new[:60]!r} is no name of a repository')
