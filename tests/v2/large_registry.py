"""Registries of any size on the fake Swift: what is in them follows from rules, and costs no memory."""

import hashlib

from docker_registry.v2.registry import layout, names
from fake_swift import Generated

LAYERS = 8  # that each repository links, beside a revision, a tag and its index
NAMES_OF_A_TAG = 2
TAGGED = 'large/one'  # the repository that has many tags
SIZE = 71  # bytes of a link


def digest(number, count):
    """Return the digest with a number, of `count` that are spread evenly. They ascend with their numbers."""
    return names.Digest('sha256', f'{(2 * number + 1) * (2**255 // count):064x}')


def tag(number):
    return f't{number:08}'


def repository(number):
    return f'team/r{number:08}'


def fill(swift, container, tags, repositories, objects):
    """Fill a container of the fake Swift.

    :param tags: of the repository `TAGGED`
    :param repositories: further ones, each with an image of 8 layers and a tag
    :param objects: in all; those that are left over are the data of blobs. There are as many more links as there are tags.
    """
    blobs = objects - NAMES_OF_A_TAG * tags - (LAYERS + 3) * repositories
    swift.generate_container(
        container,
        Generated(blobs, lambda i: 'files/' + layout.blob(digest(i, blobs)), lambda i: b''),
        Generated(NAMES_OF_A_TAG * tags, lambda i: 'files/' + _of_tag(i, tags), lambda i: _link(digest(i // NAMES_OF_A_TAG, tags))),
        Generated((LAYERS + 3) * repositories, lambda i: 'files/' + _of_repository(i), lambda i: _link(_digest_in_repository(i))),
    )


def _link(digest):
    return str(digest).encode()


def _of_tag(i, tags):
    number, is_index = divmod(i, NAMES_OF_A_TAG)
    if is_index:
        return layout.tag_index(TAGGED, tag(number), digest(number, tags))
    return layout.tag_current(TAGGED, tag(number))


def _digest_in_repository(i):
    number, i = divmod(i, LAYERS + 3)
    return digest(i, LAYERS) if i < LAYERS else names.Digest('sha256', hashlib.sha256(b'%d' % number).hexdigest())


def _of_repository(i):
    name, which, found = repository(i // (LAYERS + 3)), i % (LAYERS + 3), _digest_in_repository(i)
    if which < LAYERS:
        return layout.layer_link(name, found)
    paths = layout.revision_link(name, found), layout.tag_current(name, 'latest'), layout.tag_index(name, 'latest', found)
    return paths[which - LAYERS]
