"""The words of the file of rules: who, what and where. Each is parsed strictly: what it does not understand raises `ValueError`.

The text of an error says what is wrong, and what to write instead.
"""

from docker_registry.v2.access.identity import Identity, quoted
from docker_registry.v2.registry import names
from docker_registry.v2.registry.errors import NameInvalid
from docker_registry.v2.registry.patterns import LONGEST, Pattern

EVERYBODY, USERS = 'everybody', 'users'
PULL, PUSH, DELETE, OVERWRITE = 'pull', 'push', 'delete', 'overwrite'
#: {action: the actions that an allow gives}
GIVES = {PULL: {PULL}, PUSH: {PULL, PUSH, OVERWRITE}, DELETE: {PULL, DELETE}, OVERWRITE: {OVERWRITE}}
#: {action: the actions that a deny takes}. What one may not pull, one may not push or delete either.
TAKES = {PULL: {PULL, PUSH, DELETE, OVERWRITE}, PUSH: {PUSH, OVERWRITE}, DELETE: {DELETE}, OVERWRITE: {OVERWRITE}}
ACTIONS = tuple(GIVES)
USER = '{user}'

#: {kind of login: how its principals are written}
KINDS = {
    'keystone': ('PROJECT@DOMAIN', 'PROJECT@DOMAIN/ROLE'),
    'keystone-user': ('USER@DOMAIN',),
    'swift': ('ACCOUNT',),
    'swift-user': ('USER@ACCOUNT',),
}
_PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-')


# Who


def who(text: str) -> frozenset[str]:
    """Return the words of `everybody`, `alice,@ci` and the like."""
    words = text.split(',')
    for word in words:
        if word.startswith('@'):
            group(word[1:])
        elif word not in (EVERYBODY, USERS):
            member(word)
    return frozenset(words)


def group(name: str) -> str:
    """Return the name of a group, unchanged."""
    if not name or not _PLAIN.issuperset(name):
        raise ValueError(f'{name[:60]!r} is not a name for a group. Use letters, digits and ._-')
    return name


def member(word: str) -> str:
    """Return a word that stands for one user, or for those whom a login says to be of one project or account, unchanged."""
    if not word:
        raise ValueError('a name is missing. Join names with commas, without blanks')
    if ':' in word:
        return _principal(word)
    if word in (EVERYBODY, USERS) or word.startswith('@'):
        raise ValueError(f'{word[:60]!r} cannot be here: write the names of users')
    if not is_name(word):
        raise ValueError(f'{word[:60]!r} is not the name of a user. For all, write {EVERYBODY}, or {USERS} for those who have logged in')
    return word


def is_name(word: str) -> bool:
    """Return whether rules can name a user of the htpasswd file with this name."""
    return word not in (EVERYBODY, USERS) and not word.startswith('@') and not set(':,*') & set(word)


def known_as(identity: Identity) -> set[str]:
    """Return all words but groups that stand for a client."""
    if not identity:
        return {EVERYBODY}
    # The file of users may have a user `@admins`, who is no group.
    return {EVERYBODY, USERS, *(word for word in identity.principals if ':' in word or is_name(word))}


def _principal(word: str) -> str:
    kind, _, rest = word.partition(':')
    if kind not in KINDS:
        raise ValueError(f'{kind[:60] + ":"!r} is not a kind of login. Known are {", ".join(f"{known}:" for known in KINDS)}')
    parts = rest.replace('/', '@').split('@')
    if _separators(rest) not in map(_separators, KINDS[kind]) or not all(parts):
        forms = ' or '.join(f'{kind}:{form}' for form in KINDS[kind])
        raise ValueError(f'{word[:60]!r} is not complete, or has too many parts. Write {forms}, with %40 for @ and %2F for / in a name')
    for part in parts:
        right = _encoded(part)
        if part != right:
            raise ValueError(f'{part[:60]!r} must be percent-encoded. Write {right}')
    return word


def _separators(text: str) -> str:
    return ''.join(character for character in text if character in '@/')


def _encoded(part: str) -> str:
    """Return how a part of a principal must be written."""
    first, *rest = part.split('%')
    try:
        decoded = b''.join([first.encode(), *(bytes([int(piece[:2], 16)]) + piece[2:].encode() for piece in rest)]).decode()
    except ValueError:  # a percent sign that begins no encoded byte, or bytes that are no text
        return quoted(part)
    return quoted(decoded)


# What


def actions(text: str, allows: bool) -> frozenset[str]:
    """Return the actions of `pull,push`, as they stand there."""
    found = text.split(',')
    for action in found:
        if action not in ACTIONS:
            raise ValueError(f'{action[:60]!r} is not an action. Write {", ".join(ACTIONS)}, joined by commas without blanks')
    if allows and OVERWRITE in found and PUSH not in found:
        raise ValueError('overwrite needs push. Write push: it allows both')
    return frozenset(found)


# Where


class Place:
    """A word that says where: `team/**`, `!team/release/**`, `home/{user}/**`, `prod/**:v*`."""

    def __init__(self, text: str):
        self.text = text
        self.is_exception = text.startswith('!')
        self.repositories, colon, tags = text.removeprefix('!').partition(':')
        if not self.repositories:
            raise ValueError(f'{text[:60]!r} names no repository. For all, write **')
        # {user} never stands for more than one component of a name.
        self._pattern = Pattern(self.repositories.replace(USER, 'user'), LONGEST)
        _require_possible(self._pattern.text)
        #: The pattern of tags, or None if the word is about all tags.
        self.tags = Pattern(tags) if colon else None
        if '/' in tags:
            raise ValueError(f'{tags[:60]!r} is not a pattern of tags: no tag has a slash')

    def __str__(self) -> str:
        return self.text

    def pattern(self, component: str | None) -> Pattern | None:
        """Return the pattern of repositories for a user, or None if it matches nothing.

        :param component: what {user} stands for, or None if it stands for nothing
        """
        if USER not in self.repositories:
            return self._pattern
        text = component and self.repositories.replace(USER, component)
        return Pattern(text, len(text)) if text else None


def component(identity: Identity) -> str | None:
    """Return what {user} stands for: the name of a user of the htpasswd file, if it can be a component of a name of a repository.

    Users of other logins have none: two projects may have a user of the same name.
    """
    try:
        return names.repository(identity.name) if identity.name in identity.principals and '/' not in identity.name else None
    except NameInvalid:
        return None


def _require_possible(text: str) -> None:
    if text != text.lower():
        raise ValueError(f'{text[:60]!r} matches no repository: their names have no capital letters')
    if text.startswith('/') or text.endswith('/') or '//' in text:
        raise ValueError(f'{text[:60]!r} matches no repository: a name has no / at its beginning or end, and not two together')
