"""Listings of storage, page by page."""

from collections.abc import Iterator

from docker_registry.v2.registry.storage import Stat, Storage

PAGE = 1000  # names in one page, at most


def below(storage: Storage, path: str, marker: str | None = None, limit: int = PAGE) -> Iterator[Stat]:
    """Yield the `Stat` of each object below a path, sorted by path, after the path `marker`.

    Only an empty page is the end: a page may be short although there are more names.
    """
    while page := storage.list_page(path, marker, limit, recursive=True):
        yield from page
        marker = page[-1].path
