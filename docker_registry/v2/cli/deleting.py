"""The commands `registry-swift rm` and `registry-swift undelete`."""

import json

from docker_registry.v2.cli import consent, opening
from docker_registry.v2.cli.arguments import new_parser
from docker_registry.v2.operations import deletion, space, targets, undeletion
from docker_registry.v2.settings.storage import config_error

RM = """\
Delete tags, manifests and whole repositories, beside running registries.

    registry-swift rm team/app:v1                   the tag; its manifest and its other tags stay
    registry-swift rm team/app@sha256:...           the manifest with all its tags
    registry-swift rm --repository team/app         the repository; repositories below team/app/ stay

The command looks everything up first. If something does not exist, it deletes nothing. At a terminal it shows what would go, and asks.
What somebody pushes meanwhile stays. A collection frees the space later. The exit status is 0 if everything is gone, else 1.
The variables that say where the container is are those of registry-swift check.
"""

UNDELETE = """\
Get back an image that was deleted, as long as no collection has freed its bytes.

    registry-swift undelete team/app:v1 sha256:...  the image with this digest, under this tag
    registry-swift undelete team/app sha256:...     the image, without a tag

The command finds the image's manifest, all layers, and for a multi-platform image all its images. It reads the manifests and compares
their digests, and compares the sizes of layers. If anything is missing, it names that and changes nothing.
The variables that say where the container is are those of registry-swift check.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'rm', help='delete tags, manifests and repositories', description=RM)
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
    command = new_parser(commands.add_parser, 'undelete', help='get an image back that was deleted', description=UNDELETE)
    command.add_argument('image', metavar='NAME[:TAG]', help='the repository, and the tag that the image gets')
    command.add_argument('digest', metavar='DIGEST', help='the digest of the manifest, as clients and the output of rm show it')
    command.add_argument('--replace', action='store_true', help='if the tag points to another image now, let it point to this one')
    command.set_defaults(run=undelete)


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


def undelete(options, environ):
    target, digest = parsed(undeletion.parse, options.image, options.digest)
    try:
        done = undeletion.Undeletion(opening.domain(options, environ)).run(target, digest, options.replace)
    except undeletion.Impossible as error:
        raise config_error(str(error))
    print(f'{target} has {digest} again: {done.manifests} manifests, {done.blobs} blobs')
    return 0


def parsed(parse, *texts):
    """Return what `parse` makes of texts from the command line.

    :raises ConfigError: they are wrong
    """
    try:
        return parse(*texts)
    except ValueError as error:
        raise config_error(str(error))
