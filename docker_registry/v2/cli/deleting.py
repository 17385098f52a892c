"""The command `registry-swift rm`."""

import json

from docker_registry.v2.cli import consent, opening
from docker_registry.v2.cli.arguments import environment, new_parser
from docker_registry.v2.operations import deletion, space, targets
from docker_registry.v2.settings.storage import config_error

RM = """\
Delete tags, manifests and whole repositories, beside running registries.

    registry-swift rm team/app:v1                   the tag; its manifest and its other tags stay
    registry-swift rm team/app@sha256:...           the manifest with all its tags
    registry-swift rm --repository team/app         the repository; repositories below team/app/ stay

The command looks everything up first. If something does not exist, it deletes nothing. At a terminal it shows what would go, and asks.
What somebody pushes meanwhile stays. A collection frees the space later. The exit status is 0 if everything is gone, else 1.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'rm', help='delete tags, manifests and repositories', description=RM, epilog=environment())
    command.add_argument('images', metavar='NAME:TAG|NAME@DIGEST', nargs='*', help='a tag, or a manifest with all its tags')
    command.add_argument(
        '--repository', metavar='NAME', nargs='+', action='extend', default=[], help='delete these repositories completely'
    )
    command.add_argument(
        '--space', action='store_true', help='look into all repositories, to say exactly how much space a collection will free'
    )
    consent.add_option(command)
    command.add_argument('--json', action='store_true', help='print a line of JSON for each tag, manifest or repository')
    command.set_defaults(run=remove)


def remove(options, environ):
    if not options.images and not options.repository:
        raise config_error('name at least one tag (NAME:TAG), manifest (NAME@DIGEST) or repository (--repository NAME)')
    wanted = parsed(targets.parse, options.images, options.repository)
    consent.require_a_way(options)
    try:
        found = deletion.Deletion(opening.domain(options, environ), wanted)
    except deletion.NotThere as error:
        raise config_error(f'{"; ".join(str(error).splitlines())}. Nothing was deleted')
    freed = found.freed(options.space)
    if not options.json:
        print(deletion.plan_text(found.steps))
        print(freed_text(freed, options.space), flush=True)
    if not consent.is_given(options, 'Delete this?'):
        return 1
    done = found.run((lambda line: None) if options.json else (lambda line: print(line, flush=True)))
    if options.json:
        for step, is_done in zip(found.steps, done):
            print(deletion.as_json(step, is_done))
        print(json.dumps({'bytes' if options.space else 'bytes_at_most': freed}))
    return 0 if all(done) else 1


def freed_text(freed, exactly):
    if exactly or not freed:
        return f'A collection will free {space.text(freed)}.'
    return f'A collection will free up to {space.text(freed)}: less if other repositories have the same layers. --space looks.'


def parsed(parse, *texts):
    """Return what `parse` makes of texts from the command line.

    :raises ConfigError: they are wrong
    """
    try:
        return parse(*texts)
    except ValueError as error:
        raise config_error(str(error))
