"""The catalog: the names of all repositories."""

import itertools

from docker_registry.v2.registry import layout
from docker_registry.v2.registry.storage import Storage

LISTED = 200  # paths in one listing; several repositories with fewer paths share one request
MOST_LISTINGS = 100  # for one page; each may take a tenth of a second


def page(storage: Storage, count: int, last: str = '') -> tuple[list[str], bool]:
    """Return (up to `count` repository names after `last`, whether there may be more).

    The order is that of storage: `a/0` comes before `a`, and `a` before `a/b`. After the first paths of a repository, the next
    listing starts after all of its paths. So a page costs at most one request per repository, however large the repositories are. After
    `MOST_LISTINGS` requests it ends with what it has.
    """
    names: list[str] = []
    marker = last and layout.after_repository(last)
    for listings in itertools.count(1):
        paths = [stat.path for stat in storage.list_page(layout.REPOSITORIES, marker or None, LISTED, recursive=True)]
        for name in filter(None, map(layout.repository_of, paths)):
            if name not in names[-1:] and name != last:
                names.append(name)
        if not paths or len(names) > count:  # a shorter listing need not be the last
            break
        if names and listings >= MOST_LISTINGS:
            return names, True
        marker = max(paths[-1], layout.after_repository(names[-1]) if names else '')
    return names[:count], len(names) > count
