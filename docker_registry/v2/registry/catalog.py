"""The catalog: the names of all repositories, or of those that somebody may see."""

import itertools
from collections.abc import Callable
from typing import Protocol

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.seal import Broken, Seal
from docker_registry.v2.registry.storage import Storage

LISTED = 200  # paths in one listing; several repositories with fewer paths share one request
MOST_LISTINGS = 100  # for one page; each may take a tenth of a second
POSITION = 1024  # bytes; a position is filled up to a multiple of this, so that its length tells nothing, either


class Visible(Protocol):
    """The repositories that belong into the list."""

    def sees(self, repository: str) -> bool: ...
    def after(self, text: str) -> str | None:
        """Return the smallest text, at least `text`, from which on there may be a repository for the list. None: there is none."""


def page(storage: Storage, count: int, marker: str | None = '', visible: Visible | None = None) -> tuple[list[str], str | None]:
    """Return (up to `count` repository names, the marker after which the list goes on, or None if that is its end).

    The order is that of storage: `a/0` comes before `a`, and `a` before `a/b`. After the first paths of a repository, the next
    listing starts after all of its paths. So a page costs at most one request per repository, however large the repositories are. After
    `MOST_LISTINGS` requests it ends with what it has, which may be nothing if few repositories are `visible`.

    :param count: at least 1
    :param marker: `layout.after_repository` of the last name that is known, or what the last page returned
    """
    names: list[str] = []
    name = layout.repository_of(marker) if marker else None
    for listings in itertools.count(1):
        marker = _next(marker or '', visible)
        paths = [] if marker is None else [stat.path for stat in storage.list_page(layout.REPOSITORIES, marker or None, LISTED, True)]
        for path in paths:
            last, name = name, layout.repository_of(path) or name
            if name and name != last and (visible is None or visible.sees(name)):
                names.append(name)
        if len(names) > count:
            return names[:count], layout.after_repository(names[count - 1])
        if not paths:  # a shorter listing need not be the last
            return names, None
        marker = max(paths[-1], layout.after_repository(name) if name else '')
        if listings >= MOST_LISTINGS:
            break
    return names, marker


def _next(marker: str, visible: Visible | None) -> str | None:
    """Return a marker, or a later one if there is nothing visible between the two."""
    if visible is None:
        return marker
    root = layout.repository('')
    found = visible.after(marker.removeprefix(root))
    return root + found if found else found


class Positions:
    """Positions in the catalog for clients: they may be those of a repository whose name the client must not learn."""

    def __init__(self, key: Callable[[], bytes]):
        self._seal = Seal(key, 'position in the catalog')

    def sign(self, marker: str) -> str:
        content = marker.encode()
        return self._seal.seal(content.ljust(-(-len(content) // POSITION) * POSITION, b'\0'))

    def read(self, text: str) -> str:
        """Return the marker that was signed.

        :raises ParameterInvalid: the text is none of this registry
        """
        try:
            return self._seal.open(text, least=POSITION).rstrip(b'\0').decode()
        except Broken:
            raise errors.ParameterInvalid('`after` is not from a Link of this registry')
