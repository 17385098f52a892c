"""Reads what a v1 registry has stored: repositories, tags and images. It writes nothing there.

The paths are those of docker-registry 0.5 to 0.9 (docker_registry/core/driver.py in docker-registry-core):

    repositories/<namespace>/<name>/tag_<tag>   the id of an image
    repositories/<namespace>/<name>/_private    the repository is private
    images/<id>/json                            what the image is, by the client
    images/<id>/layer                           its files, compressed as the client did it
    images/<id>/ancestry                        JSON list of ids: the image itself first, its base last
    images/<id>/_checksum                       JSON list of checksums, or one as text
    images/<id>/_inprogress                     its upload has not ended
"""

import contextlib
import hashlib
import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing import naming
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.survey.walk import is_path
from docker_registry.v2.registry import errors
from docker_registry.v2.registry.absence import CONTRADICTION, listed
from docker_registry.v2.registry.read_only import ReadOnly
from docker_registry.v2.settings import config

LARGEST = 4 * 1024**2  # bytes of a document; most have 2 KB
MOST_ANCESTORS = 1000  # docker allows 127 layers
_ID = re.compile('[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}', re.ASCII)
MD5 = re.compile('[0-9a-f]{32}')  # the ETag of a plain object
_TAG, _PRIVATE = 'tag_', '_private'


@dataclass
class Repository:
    """A repository of a v1 registry, as a listing shows it.

    :param path: below `repositories`
    :param tags: {tag: path of the object that names its image}
    """

    path: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    may_be_private: bool = False


@dataclass(frozen=True)
class Image:
    """What the `json` of an image says.

    :param content: its bytes
    """

    id: str
    content: bytes
    document: dict[str, Any]

    @property
    def parent(self) -> str | None:
        """:raises Skipped: what it says is no id"""
        parent = self.document.get('parent')
        return require_id(parent, f'the parent of image {self.id}') if parent else None


def require_id(text: object, where: str) -> str:
    """Return the id of an image, unchanged.

    :raises Skipped: it is none
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise Skipped(f'{where} is no id of an image: {str(text)[:80]!r}')
    return text


class Tree:
    """The tree of one v1 registry.

    :param storage: a driver of its container
    :param root: its `storage_path`
    :param replication_cycle: see `Absence`
    """

    def __init__(self, storage: Any, root: str, replication_cycle: float = config.Config.replication_cycle):
        self._replication_cycle = replication_cycle
        self.root = root.strip('/')
        self.container: str = storage.settings.container
        self.storage = ReadOnly(storage.at(self.root))

    def __str__(self) -> str:
        return f'{self.container}/{self.root}'.rstrip('/')

    # Repositories

    def is_there(self) -> bool:
        return bool(self.storage.list_page('repositories', limit=1, recursive=True))

    def repositories(self) -> Iterator[Repository]:
        """Yield all repositories that have tags, sorted by their paths."""
        paths = (stat.path for stat in self.storage.walk('repositories') if is_path(stat.path) and stat.path.count('/') == 3)
        for folder, files in itertools.groupby(paths, key=lambda path: path.rpartition('/')[0]):
            found = Repository(folder.partition('/')[2], naming.unquoted_repository(folder.partition('/')[2]))
            for path in files:
                file = path.rpartition('/')[2]
                if file.startswith(_TAG) and file != _TAG:
                    found.tags[naming.unquoted(file.removeprefix(_TAG))] = path
                found.may_be_private |= file == _PRIVATE
            if found.tags:
                yield found

    def is_private(self, repository: Repository) -> bool:
        """Return whether a flag says so: the listing may be behind, or Swift may not find the flag at the moment."""
        return repository.may_be_private or self.storage.exists(f'repositories/{repository.path}/{_PRIVATE}', newest=True)

    def tagged(self, repository: Repository, tag: str) -> str | None:
        """Return the id of the image that a tag names. None if it is no tag, or is gone.

        The registry keeps what it knows of the tag `_x` in `tag_x_json`, which looks like the tag `x_json`.

        :raises Skipped: it names no image
        """
        path = repository.tags[tag]
        content = self._small(path)
        if content is None and listed(self.storage, path):
            raise Skipped(f'Swift lists {path} and does not find it: the listing is behind, or Swift has lost it')
        if content is None or (tag.endswith('_json') and content.lstrip().startswith(b'{')):
            return None
        return require_id(content.decode('utf-8', 'replace').strip().strip('"'), 'what the tag contains')

    # Images

    def chain(self, image: str) -> tuple[str, ...]:
        """Return the ids of the images of which an image consists, its base first.

        :raises Skipped: they cannot be found
        """
        listed = self._json(f'images/{image}/ancestry')
        if isinstance(listed, list) and listed[:1] == [image] and len(listed) <= MOST_ANCESTORS:
            ids = [require_id(ancestor, f'an ancestor of image {image}') for ancestor in listed]
            if len(set(ids)) == len(ids):
                return tuple(reversed(ids))
        found = [image]
        while parent := self.image(found[-1]).parent:
            if parent in found:
                raise Skipped(f'the parents of image {image} go round in a circle: {parent} comes twice')
            found.append(parent)
            if len(found) > MOST_ANCESTORS:
                raise Skipped(f'image {image} has more than {MOST_ANCESTORS} ancestors')
        return tuple(reversed(found))

    def image(self, image: str) -> Image:
        """:raises Skipped: the image is not there, or its json is none"""
        path = f'images/{image}/json'
        content = self._small(path)
        if content is None:
            raise Skipped(f'image {image} is missing: there is no {path}')
        document = _parsed(content)
        if not isinstance(document, dict):
            raise Skipped(f'{path} is not a JSON object')
        return Image(image, content, document)

    def is_in_progress(self, image: str) -> bool:
        return self.storage.exists(f'images/{image}/_inprogress', newest=True)

    def checksums(self, image: str) -> list[str]:
        """Return the checksums that the registry took when the layer was pushed. Registries before 0.6 stored one, as text."""
        content = self._small(f'images/{image}/_checksum') or b''
        found = _parsed(content)
        if isinstance(found, list):
            return [text for text in found if isinstance(text, str)]
        return [text] if (text := content.decode('utf-8', 'replace').strip(' \r\n"')) else []

    @staticmethod
    def layer(image: str) -> str:
        """Return the path of the layer of an image."""
        return f'images/{image}/layer'

    # Documents

    def _json(self, path: str) -> Any:
        content = self._small(path)
        return None if content is None else _parsed(content)

    def _small(self, path: str) -> bytes | None:
        """Return the bytes of a document, or None if there is none.

        :raises Skipped: it is too large for one
        :raises Unavailable: these are not the bytes that Swift has stored
        """
        try:
            stream: Any = self.storage.stream_read(path, newest=True)
        except exceptions.FileNotFoundError:
            self.require_absent(path)
            return None
        with contextlib.closing(stream):
            if stream.size is None or stream.size > LARGEST:
                raise Skipped(f'{path} has {stream.size} bytes. That is too much for a document')
            content = b''.join(stream)
        if MD5.fullmatch(stream.etag or '') and hashlib.md5(content, usedforsecurity=False).hexdigest() != stream.etag:
            raise errors.Unavailable(f'Swift returned other bytes of {path} than it has stored')
        return content

    def require_absent(self, path: str) -> None:
        """Return if there is no object at a path for which Swift returned 404. It costs one request.

        :raises Unavailable: a listing shows the object, and it is young: only nodes that do not answer may have it
        """
        stat = listed(self.storage, path)
        if stat and time.time() - (stat.last_modified or 0) < self._replication_cycle:
            raise errors.Unavailable(f'{CONTRADICTION}: {path}')


def _parsed(content: bytes) -> Any:
    """Return what a JSON document holds, or None if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
