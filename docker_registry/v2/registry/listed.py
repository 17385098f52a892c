"""What the names in listings say: the inverse of `layout`, for names of which anybody may have written any."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from docker_registry.v2.registry import errors, names
from docker_registry.v2.registry.layout import BLOBS, LOST, REPOSITORIES, TRASHED_BLOBS, TRASHED_NAMES


class Name(NamedTuple):
    """What the name of an object says.

    `kind` is the name of a table of a survey: blob, layer, tag, and so on. It is 'other' if nobody understands the name. `values` are
    what stands in the name, in the order in which it stands there: digests as `sha256:<hex>`, a tag, the id of an upload, a hex digit.
    Those of 'other' are the digest that it links, if it looks like a link.
    """

    kind: str
    repository: str | None = None
    values: tuple[str, ...] = ()


def _alternatives(**patterns: str) -> re.Pattern:
    """Return one pattern for all. The last group of a match is an empty one, whose name says which of them it was."""
    return re.compile('|'.join(f'{pattern}(?P<{kind}>)' for kind, pattern in patterns.items()), re.DOTALL)


_DIGEST = '(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})'
_OWN_NAMES = _alternatives(
    layer=f'_layers/{_DIGEST}/link',
    revision=f'_manifests/revisions/{_DIGEST}/link',
    media_type=f'_manifests/revisions/{_DIGEST}/mediatype',
    tag='_manifests/tags/([^/]+)/current/link',
    tag_index=f'_manifests/tags/([^/]+)/index/{_DIGEST}/link',
    referrer=f'_referrers/{_DIGEST}/{_DIGEST}',
    deletion=f'_deleted/{_DIGEST}',
    foreign_upload='_uploads/([^/]+)/.+',
)
_FILES = {
    BLOBS: {'data': 'blob', 'damage': 'damage'},
    TRASHED_BLOBS: {'record': 'trash_record', 'copy': 'trash_copy'},
    LOST: {'record': 'lost_record', 'copy': 'lost_copy'},
}
#: Algorithms and digits of any kind: https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
_LINK = re.compile(r'/([a-z0-9]+(?:[+._-][a-z0-9]+)*)/([a-zA-Z0-9=_-]+)/link\Z')


def parsed(path: str) -> Name:
    """Return what the name of an object says, from its path below our root. It may be any text."""
    link = _LINK.search(path)
    return _understood(path) or Name('other', None, (':'.join(link.groups()),) if link else ())


def _understood(path: str) -> Name | None:
    if path.startswith(REPOSITORIES + '/'):
        return _of_repository(path)
    if path.startswith(TRASHED_NAMES + '/'):
        return _of_trashed_names(path)
    for folder, files in _FILES.items():
        if path.startswith(folder + '/'):
            return _of_bytes(path[len(folder) + 1 :], files)
    return None


def _of_repository(path: str) -> Name | None:
    # Ends before the first component with an underscore at its beginning: no name of a repository has such a component.
    end = path.find('/_', len(REPOSITORIES))
    match = _OWN_NAMES.fullmatch(path, end + 1) if end > len(REPOSITORIES) else None
    if not match or not _is_repository(path[len(REPOSITORIES) + 1 : end]):
        return None
    kind = match.lastgroup or ''
    values = tuple(value.replace('/', ':') for value in match.groups() if value)
    if kind in ('tag', 'tag_index') and not _is_tag(values[0]):
        return None
    return Name(kind, path[len(REPOSITORIES) + 1 : end], values)


def _of_trashed_names(path: str) -> Name | None:
    name, _, shard = path[len(TRASHED_NAMES) + 1 :].partition('/_shard/')
    return Name('trash_names', name, (shard,)) if shard and '/' not in shard and _is_repository(name) else None


def _of_bytes(path: str, files: dict[str, str]) -> Name | None:
    """Return what a path such as <algorithm>/<first two digits>/<hex>/data says."""
    algorithm, *rest = path.split('/')
    if len(rest) != 3 or rest[2] not in files or rest[1][:2] != rest[0]:
        return None
    digest = f'{algorithm}:{rest[1]}'
    return Name(files[rest[2]], None, (digest,)) if _is_valid(names.digest, digest) else None


@functools.lru_cache(1000)
def _is_repository(text: str) -> bool:
    return _is_valid(names.repository, text)


@functools.lru_cache(1000)
def _is_tag(text: str) -> bool:
    return _is_valid(names.tag, text)


def _is_valid(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except errors.RegistryError:
        return False
    return True


def upload_of(segment: str) -> str:
    """Return the id that all attempts of an upload share, from the path of a segment below `SEGMENTS`."""
    return re.sub(r'-[0-9a-f]{8}\Z', '', segment.partition('/')[0])


def etag_of(digest: str) -> str:
    """Return the ETag of an object that holds a digest as text."""
    return names.digest(digest).etag


# The v1 registry


_V1 = _alternatives(v1_file='images/([^/]+)/(.+)', v1_tag='repositories/([^/]+/[^/]+)/tag_([^/]+)')


def parsed_v1(path: str) -> Name:
    """Return what the name of an object of a v1 registry says: `v1_file` with the image's id, `v1_tag` with the repository, or 'other'."""
    match = _V1.fullmatch(path)
    if not match:
        return Name('other')
    first, second = (value for value in match.groups() if value)
    return Name('v1_file', None, (first, second)) if match.lastgroup == 'v1_file' else Name('v1_tag', first, (second,))
