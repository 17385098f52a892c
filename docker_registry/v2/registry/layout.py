"""Paths of all objects below the storage driver's root. Only this module builds them, and only it and `listed` parse them.

The layout is byte-compatible with CNCF distribution 2.8 (its registry/storage/paths.go). Names marked `ours` are additions,
which distribution's walkers skip:

    docker/registry/v2/
        blobs/<algorithm>/<first two digits>/<hex>/data         the bytes of a layer, config or manifest
        blobs/<algorithm>/<first two digits>/<hex>/damage       ours: the size with which the blob is damaged
        repositories/<name>/
            _layers/<algorithm>/<hex>/link                      the blob belongs to this repository
            _manifests/
                revisions/<algorithm>/<hex>/link                the manifest belongs to this repository
                revisions/<algorithm>/<hex>/mediatype           ours: the media type, if the manifest does not state it
                tags/<tag>/current/link                         what the tag points to: the only name whose content changes
                tags/<tag>/index/<algorithm>/<hex>/link         every digest that the tag has ever pointed to
            _referrers/<algorithm>/<hex>/<algorithm>/<hex>      ours: subject, then referrer; holds the referrer's descriptor
            _deleted/<algorithm>/<hex>                          ours: the manifest was deleted from this repository at its time
            _untagged/<algorithm>/<hex>                         ours: a command of an operator took a tag of it at its time
    _segments/<upload id>-<8 hex digits>/<8 digits>             ours: parts of large blobs, named by the driver
    _segments/<upload id>-<8 hex digits>/parts                  ours: an upload's list of parts, if it is too long for a URL
    _registry/secret                                            ours: 32 random bytes, of which the keys are made that sign tokens
    _trash/blobs/<algorithm>/<first two digits>/<hex>/record    ours: how to put back a blob whose data a collection deleted
    _trash/blobs/<algorithm>/<first two digits>/<hex>/copy      ours: its bytes, if it was no large object
    _trash/names/<name>/_shard/<hex digit>                      ours: the links and the like that collections deleted from a repository
    _lost/<algorithm>/<first two digits>/<hex>/record           ours: the damaged data of a blob that a repair took away
    _lost/<algorithm>/<first two digits>/<hex>/copy             ours: its bytes, if it was no large object
    _fsck/<first two digits>                                    ours: which blobs a check has read, and when
    _trash/names/<name>/_withdrawn/<algorithm>/<hex>            ours: a client deleted the blob from the repository when it was in the trash
    _gc/lock                                                    ours: the collection that runs now
    _gc/memory                                                  ours: what the last collection knew, a packed database
    _gc/last/<kind>                                             ours: the outcome of the last survey, collection or check, for metrics
    _gc/last/sizes                                              ours: where the table of the sizes of repositories is
    _gc/sizes/<16 hex digits>/<number>                          ours: a piece of that table
    _import/layers/<first two digits>/<64 hex digits>           ours: what the layer of an image of a v1 registry has become
    _import/tags/<first two digits>/<64 hex digits>             ours: the image that a tag of a v1 registry named when it was imported

A link contains a digest as text. The order of writes is data, link, tag. Deletes go in the opposite order.
"""

import hashlib
import re

from docker_registry.v2.registry.names import Digest

ROOT = 'docker/registry/v2'
BLOBS = ROOT + '/blobs'
REPOSITORIES = ROOT + '/repositories'
SEGMENTS = '_segments'
SECRET = '_registry/secret'
TRASH = '_trash'
TRASHED_BLOBS = TRASH + '/blobs'
TRASHED_NAMES = TRASH + '/names'
LOCK = '_gc/lock'
MEMORY = '_gc/memory'
SIZES = '_gc/sizes'
LOST = '_lost'
IMPORTS = '_import'

# Sorts after every name that begins with an underscore, so after a repository's own paths. Nested repositories may follow.
_AFTER_OWN_NAMES = '_~'


def blob(digest: Digest) -> str:
    return f'{ROOT}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/data'


def damage(digest: Digest) -> str:
    return f'{ROOT}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/damage'


def repository(name: str) -> str:
    return f'{REPOSITORIES}/{name}'


def layers(name: str) -> str:
    return f'{REPOSITORIES}/{name}/_layers'


def layer_link(name: str, digest: Digest) -> str:
    return f'{REPOSITORIES}/{name}/_layers/{digest.algorithm}/{digest.hex}/link'


def revisions(name: str) -> str:
    return f'{REPOSITORIES}/{name}/_manifests/revisions'


def revision_link(name: str, digest: Digest) -> str:
    return f'{REPOSITORIES}/{name}/_manifests/revisions/{digest.algorithm}/{digest.hex}/link'


def revision_media_type(name: str, digest: Digest) -> str:
    return f'{REPOSITORIES}/{name}/_manifests/revisions/{digest.algorithm}/{digest.hex}/mediatype'


def tags(name: str) -> str:
    return f'{REPOSITORIES}/{name}/_manifests/tags'


def tag(name: str, tag: str) -> str:
    return f'{tags(name)}/{tag}'


def tag_current(name: str, tag: str) -> str:
    return f'{tags(name)}/{tag}/current/link'


def tag_index(name: str, tag: str, digest: Digest) -> str:
    return f'{tags(name)}/{tag}/index/{digest.algorithm}/{digest.hex}/link'


def referrers(name: str, subject: Digest) -> str:
    return f'{REPOSITORIES}/{name}/_referrers/{subject.algorithm}/{subject.hex}'


def referrer(name: str, subject: Digest, digest: Digest) -> str:
    return f'{referrers(name, subject)}/{digest.algorithm}/{digest.hex}'


def referrers_tag(subject: Digest) -> str:
    """Return the fallback tag: clients list referrers under it when a registry has no referrers API.

    See "Referrers Tag Schema" in https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
    """
    return f'{subject.algorithm[:32]}-{subject.hex[:64]}'


def segments(upload_id: str, attempt: str) -> str:
    """Return the upload id to give to the driver. Each request has its own, so that its parts get their own folder."""
    return f'{upload_id}-{attempt}'


def part_list(upload_id: str, attempt: str) -> str:
    return f'{SEGMENTS}/{segments(upload_id, attempt)}/parts'


def deleted(name: str) -> str:
    return f'{repository(name)}/_deleted'


def deletion(name: str, digest: Digest) -> str:
    return f'{deleted(name)}/{digest.algorithm}/{digest.hex}'


def untagged(name: str) -> str:
    return f'{repository(name)}/_untagged'


def untagged_since(name: str, digest: Digest) -> str:
    return f'{untagged(name)}/{digest.algorithm}/{digest.hex}'


def trashed_blob(digest: Digest) -> str:
    return f'{TRASHED_BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/record'


def trashed_copy(digest: Digest) -> str:
    return f'{TRASHED_BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/copy'


def trashed_names(name: str, digest: Digest) -> str:
    """Return the record of the names that collections deleted from a repository: of those for digests that begin with the same digit."""
    return trashed_shard(name, digest.hex[0])


def withdrawn(name: str) -> str:
    return f'{TRASHED_NAMES}/{name}/_withdrawn'


def withdrawal(name: str, digest: Digest) -> str:
    return f'{withdrawn(name)}/{digest.algorithm}/{digest.hex}'


def trashed_shard(name: str, shard: str) -> str:
    return f'{TRASHED_NAMES}/{name}/_shard/{shard}'


def lost_record(digest: Digest) -> str:
    return f'{LOST}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/record'


def lost_copy(digest: Digest) -> str:
    return f'{LOST}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/copy'


def read_blobs(digits: str) -> str:
    """Return the note of the blobs that a check has read, of those whose digest begins with two digits."""
    return f'_fsck/{digits}'


def last(kind: str) -> str:
    """Return the record of the last command of a kind, see `records`."""
    return f'_gc/last/{kind}'


def sizes(run: str, number: int) -> str:
    """Return a piece of a table of sizes, see `sizes`."""
    return f'{SIZES}/{run}/{number}'


def imported(kind: str, source: str, name: str) -> str:
    """Return the memo about something of a v1 registry.

    :param kind: `layers` or `tags`
    :param source: container and root of that registry
    :param name: the id of an image, or the path of a tag
    """
    digits = hashlib.sha256(f'{source}\0{name}'.encode('utf-8', 'surrogateescape')).hexdigest()
    return f'{IMPORTS}/{kind}/{digits[:2]}/{digits}'


def folder_of(path: str) -> str:
    return path.rpartition('/')[0]


def within_tags(name: str, path: str) -> tuple[str, str]:
    """Return (tag, the rest) of a path below a repository's tags."""
    tag, _, rest = path[len(tags(name)) + 1 :].partition('/')
    return tag, rest


def digest_in_index(path: str) -> Digest | None:
    """Return the digest that the path of a tag's index names, or None if it is no such path."""
    match = re.search('/index/([^/]+)/([^/]+)/link$', path)
    return Digest(*match.groups()) if match else None


def digest_of_link(path: str) -> Digest | None:
    """Return the digest whose link a path is, be it of a layer, of a revision or in the index of a tag. None if it is no such path."""
    match = re.search('/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})/link$', path)
    return Digest(*match[1].split('/')) if match else None


def digest_beside(path: str) -> Digest:
    """Return the digest that a path of a revision, its media type or a referrer is about."""
    folders = path.split('/')
    return Digest(*(folders[-3:-1] if folders[-1] in ('link', 'mediatype') else folders[-2:]))


def after_tag(name: str, tag: str) -> str:
    """Return a listing marker that sorts after everything below a tag."""
    return f'{tags(name)}/{tag}/~'


def own_names(name: str) -> str:
    """Return the prefix of a repository's own paths, without those of repositories nested in it."""
    return f'{repository(name)}/_'


def after_repository(name: str) -> str:
    """Return a listing marker that sorts just after a repository's own paths."""
    return f'{repository(name)}/{_AFTER_OWN_NAMES}'


def repository_of(path: str) -> str | None:
    """Return the name of the repository that a path below `REPOSITORIES` belongs to, or None."""
    names = path[len(REPOSITORIES) + 1 :].split('/')
    own = next((i for i, name in enumerate(names) if name.startswith('_')), 0)
    return '/'.join(names[:own]) or None


def digest_of(path: str) -> Digest:
    """Return the `Digest` at the end of the path of a referrer or a deletion."""
    algorithm, digits = path.split('/')[-2:]
    return Digest(algorithm, digits)
