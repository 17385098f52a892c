"""The catalog: the names of all repositories."""

from docker_registry.v2.registry import layout

LISTED = 200  # paths in one request: a repository of no more than these costs less than one


def page(storage, count, last=''):
    """(up to `count` repository names after `last`, whether there are more)

    In the order of storage, where `a/0` comes before `a`, and that before `a/b`. Jumps from a repository's first paths
    over all of its own to the next, and so never costs more than one request a repository, whatever those hold.
    """
    names, marker = [], last and layout.after_repository(last)
    while len(names) <= count:
        paths = [stat.path for stat in storage.list_page(layout.REPOSITORIES, marker or None, LISTED, recursive=True)]
        for name in filter(None, map(layout.repository_of, paths)):
            if name not in names[-1:] and name != last:
                names.append(name)
        if len(paths) < LISTED:
            break
        marker = max(paths[-1], layout.after_repository(names[-1]) if names else '')
    return names[:count], len(names) > count
