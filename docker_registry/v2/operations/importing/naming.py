"""Gives repositories and tags of a v1 registry names that the registry v2 API allows.

The v1 registry quotes names in its paths, like forms of web pages, and allowed nearly everything. Since 0.8 it quotes the names of
repositories twice: in `parse_repository_name` (docker_registry/toolkit.py), and in `filter_args` (docker_registry/core/driver.py). Clients
pulled `library/app` as `app`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from docker_registry.v2.registry import errors, names

LIBRARY = 'library/'
_SEPARATORS = re.compile('[^a-z0-9]+')
_ALLOWED = re.compile(r'\.|_|__|-+')


def unquoted(text: str) -> str:
    """Return the name that stands in a path of a v1 registry."""
    return unquote_plus(text)


def unquoted_repository(path: str) -> str:
    """Return the name of the repository with a path below `repositories`, whichever version has written it."""
    name = unquoted(path)
    return unquoted(name) if '%' in name else name


def repository(name: str, keep_library: bool = False) -> str | None:
    """Return the name under which a repository is imported: its own, if that is allowed. None if no letter or digit is left of it."""
    if name.startswith(LIBRARY) and not keep_library:
        name = name.removeprefix(LIBRARY)
    try:
        return names.repository(name)
    except errors.NameInvalid:
        pass
    mapped = '/'.join(filter(None, map(_component, name.lower().split('/'))))[: names.LONGEST_NAME].rstrip('-._/')
    return mapped or None


def _component(text: str) -> str:
    def allowed(match: re.Match) -> str:
        return match[0] if _ALLOWED.fullmatch(match[0]) else '-'

    return _SEPARATORS.sub(allowed, text).strip('-._')


def tag(name: str) -> str | None:
    """Return the name under which a tag is imported: its own, if that is allowed. None if nothing is left of it."""
    try:
        return names.tag(name)
    except errors.TagInvalid:
        pass
    mapped = re.sub('[^a-zA-Z0-9._-]+', '-', name)[:128].lstrip('-.')
    return mapped or None


def assigned(found: Iterable[str], mapped: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the new name for each name. None for one that has no new name, or would share it with another.

    A name that stays as it is wins against those that would become it.

    :param mapped: what `repository` or `tag` says, or the operator
    """
    found = list(found)
    wanted = Counter(new for name in found if (new := mapped[name]))
    own = {new for name in found if (new := mapped[name]) and is_own(name, new)}
    return {name: new if (new := mapped[name]) and (wanted[new] == 1 or (new in own and is_own(name, new))) else None for name in found}


def is_own(name: str, new: str) -> bool:
    """Return whether clients know a repository or a tag under its new name already."""
    return new in (name, name.removeprefix(LIBRARY))
