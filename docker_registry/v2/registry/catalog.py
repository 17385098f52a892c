"""The catalog: the names of all repositories."""

from docker_registry.v2.registry import layout
from docker_registry.v2.registry.storage import Storage

LISTED = 200  # paths in one listing; several repositories with fewer paths share one request


def page(storage: Storage, count: int, last: str = '') -> tuple[list[str], bool]:
    """Return (up to `count` repository names after `last`, whether there are more).

    The order is that of storage: `a/0` comes before `a`, and `a` before `a/b`. After the first paths of a repository, the next
    listing starts after all of its paths. So a page costs at most one request per repository, however large the repositories are.
    """
    names: list[str] = []
    marker = last and layout.after_repository(last)
    while len(names) <= count:
        paths = [stat.path for stat in storage.list_page(layout.REPOSITORIES, marker or None, LISTED, recursive=True)]
        for name in filter(None, map(layout.repository_of, paths)):
            if name not in names[-1:] and name != last:
                names.append(name)
        if not paths:  # a shorter page need not be the last
            break
        marker = max(paths[-1], layout.after_repository(names[-1]) if names else '')
    return names[:count], len(names) > count
