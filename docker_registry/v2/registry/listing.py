"""Listings of storage, page by page."""

import itertools
from collections.abc import Iterator
from typing import TypeVar

from docker_registry.v2.registry.storage import Stat, Storage

PAGE = 1000  # names in one page, at most

Item = TypeVar('Item')


def below(storage: Storage, path: str, marker: str | None = None, limit: int = PAGE) -> Iterator[Stat]:
    """Yield the `Stat` of each object below a path, sorted by path, after the path `marker`.

    Only an empty page is the end: a page may be short although there are more names.
    """
    while page := storage.list_page(path, marker, limit, recursive=True):
        yield from page
        marker = page[-1].path


def some(items: Iterator[Item], most: float) -> list[Item]:
    """Take the next items of a long list: at most `most`, and at most as many as names fit in a page."""
    return list(itertools.islice(items, int(min(most, PAGE))))
