"""Where everything lies below the storage driver's root: the one place that builds paths and takes them apart.

Byte-compatible with CNCF distribution 2.8 (its registry/storage/paths.go), except for the names marked `ours`, which its
walkers skip:

    docker/registry/v2/
        blobs/<algorithm>/<first two digits>/<hex>/data         the bytes of a layer, config or manifest
        repositories/<name>/
            _layers/<algorithm>/<hex>/link                      the blob belongs to this repository
            _manifests/
                revisions/<algorithm>/<hex>/link                so does the manifest
                revisions/<algorithm>/<hex>/mediatype           ours: if the manifest does not say its media type
                tags/<tag>/current/link                         what the tag points to: the only name that is overwritten
                tags/<tag>/index/<algorithm>/<hex>/link         what it has ever pointed to
            _referrers/<algorithm>/<hex>/<algorithm>/<hex>      ours: subject, then referrer; holds its descriptor
    _segments/<upload id>-<8 hex digits>/<8 digits>             ours: parts of large blobs, named by the driver
    _segments/<upload id>-<8 hex digits>/parts                  ours: an upload's list of parts, if too long for a URL

A link's content is the digest, as text. Write order: data, link, tag; deletes go the other way.
"""

from docker_registry.v2.registry.names import Digest

ROOT = 'docker/registry/v2'
REPOSITORIES = ROOT + '/repositories'
SEGMENTS = '_segments'

# Sorts after every name that begins with an underscore, and so after all of a repository but those nested in it.
_AFTER_OWN_NAMES = '_~'


def blob(digest):
    return f'{ROOT}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/data'


def repository(name):
    return f'{REPOSITORIES}/{name}'


def layer_link(name, digest):
    return f'{REPOSITORIES}/{name}/_layers/{digest.algorithm}/{digest.hex}/link'


def revision_link(name, digest):
    return f'{REPOSITORIES}/{name}/_manifests/revisions/{digest.algorithm}/{digest.hex}/link'


def revision_media_type(name, digest):
    return f'{REPOSITORIES}/{name}/_manifests/revisions/{digest.algorithm}/{digest.hex}/mediatype'


def tags(name):
    return f'{REPOSITORIES}/{name}/_manifests/tags'


def tag(name, tag):
    return f'{tags(name)}/{tag}'


def tag_current(name, tag):
    return f'{tags(name)}/{tag}/current/link'


def tag_index(name, tag, digest):
    return f'{tags(name)}/{tag}/index/{digest.algorithm}/{digest.hex}/link'


def referrers(name, subject):
    return f'{REPOSITORIES}/{name}/_referrers/{subject.algorithm}/{subject.hex}'


def referrer(name, subject, digest):
    return f'{referrers(name, subject)}/{digest.algorithm}/{digest.hex}'


def referrers_tag(subject):
    """The tag under which clients keep referrers for registries without the API ("Referrers Tag Schema" in the spec)."""
    return f'{subject.algorithm[:32]}-{subject.hex[:64]}'


def segments(upload_id, attempt):
    """What the driver is told is the upload, for the parts that one request of an upload stores: a folder of their own."""
    return f'{upload_id}-{attempt}'


def part_list(upload_id, attempt):
    return f'{SEGMENTS}/{segments(upload_id, attempt)}/parts'


def last_of(path):
    """The last name of a path."""
    return path.rpartition('/')[2]


def own_names(name):
    """What the paths of a repository begin with, those of repositories nested in it left out."""
    return f'{repository(name)}/_'


def after_repository(name):
    """A marker between a repository's own paths and all that sorts after them."""
    return f'{repository(name)}/{_AFTER_OWN_NAMES}'


def repository_of(path):
    """The name of the repository that a path below `REPOSITORIES` belongs to, or None."""
    names = path[len(REPOSITORIES) + 1 :].split('/')
    own = next((i for i, name in enumerate(names) if name.startswith('_')), 0)
    return '/'.join(names[:own]) or None


def referrer_of(path):
    """The `Digest` that a path of a referrer ends with."""
    algorithm, digits = path.split('/')[-2:]
    return Digest(algorithm, digits)
