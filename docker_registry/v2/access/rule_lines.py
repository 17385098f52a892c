"""The statements of the file of rules. docs/rules.rst explains the format.

A statement is a line: `allow` or `deny` with who, what and where, `group` with its members, or `expires` with a user and a day.
"""

import datetime
from dataclasses import dataclass, field

from docker_registry.v2.access import rule_words
from docker_registry.v2.access.rule_words import Place
from docker_registry.v2.access.watched import Broken, Unreadable

LARGEST_FILE = 1024**2  # bytes
LONGEST_LINE = 10_000  # characters
FORMS = {
    'allow': 'allow WHO WHAT WHERE...',
    'deny': 'deny WHO WHAT WHERE...',
    'group': 'group NAME = MEMBER...',
    'expires': 'expires USER YYYY-MM-DD',
}


@dataclass(frozen=True)
class Line:
    """An allow or a deny.

    :param number: of the line, from 1
    :param text: of the line, with one blank between words and without its comment
    :param actions: as they stand there, without those that they imply
    """

    number: int
    text: str
    allows: bool
    who: frozenset[str]
    actions: frozenset[str]
    places: tuple[Place, ...]

    @property
    def is_personal(self) -> bool:
        """True if the line says something else to each user."""
        return any(rule_words.USER in place.repositories for place in self.places)

    @property
    def decides(self) -> frozenset[str]:
        """All actions that the line gives or takes."""
        implied = rule_words.GIVES if self.allows else rule_words.TAKES
        return frozenset().union(*(implied[action] for action in self.actions))


@dataclass(frozen=True)
class Group:
    number: int
    members: frozenset[str]


@dataclass(frozen=True)
class Expiry:
    number: int
    day: datetime.date


@dataclass
class Statements:
    """What a file says, with what is wrong with it: (number of the line, text)."""

    lines: list[Line] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    expiries: dict[str, Expiry] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)


def load(path: str) -> Statements:
    """Return the statements of a file.

    :raises Broken: the file cannot be read, or is no text. What else is wrong is among the `errors` of the statements.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unreadable(f'{path} cannot be read: {error.strerror}')
    if len(content) > LARGEST_FILE:
        raise Broken(f'{path} has more than {LARGEST_FILE} bytes')
    if content.startswith((b'\xef\xbb\xbf', b'\xff\xfe', b'\xfe\xff')):
        raise Broken(f'{path}, line 1: the file begins with a byte order mark. Save it as UTF-8 without one')
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        raise Broken(f'{path}, line {content.count(10, 0, error.start) + 1}: this is not UTF-8. Save the file as UTF-8')


def parse(text: str) -> Statements:
    """Return the statements of a text. What is wrong is among their `errors`, in the order of the lines."""
    reader = _Reader()
    for number, line in enumerate(text.split('\n'), 1):
        try:
            reader.read(number, line.removesuffix('\r'))
        except ValueError as error:
            reader.found.errors.append((number, str(error)))
    reader.finish()
    return reader.found


class _Reader:
    def __init__(self):
        self.found = Statements()

    def read(self, number: int, line: str) -> None:
        words = _words(line)
        if not words:
            return
        kind, *rest = words
        if kind not in FORMS:
            raise ValueError(f'{kind[:60]!r} cannot begin a line. A line begins with {", ".join(FORMS)} or #')
        statement = {'allow': self._line, 'deny': self._line, 'group': self._group, 'expires': self._expiry}[kind]
        statement(number, words, *rest)

    def finish(self) -> None:
        """Look for what only the whole file shows."""
        for line in self.found.lines:
            for word in sorted(line.who):
                if word.startswith('@') and word[1:] not in self.found.groups:
                    self.found.errors.append((line.number, f'there is no group {word[1:]!r}. Add a line: group {word[1:]} = MEMBER...'))
        if not self.found.errors and not any(line.allows for line in self.found.lines):
            self.found.errors.append((1, 'no line begins with allow, so nobody could do anything'))
        self.found.errors.sort(key=lambda error: error[0])

    def _line(self, number: int, words: list[str], who: str = '', what: str = '', *where: str) -> None:
        if not where:
            raise ValueError(f'something is missing. Write {FORMS[words[0]]}')
        allows = words[0] == 'allow'
        line = Line(
            number, ' '.join(words), allows, rule_words.who(who), rule_words.actions(what, allows), tuple(Place(place) for place in where)
        )
        if all(place.is_exception for place in line.places):
            raise ValueError('there are only exceptions. Add a pattern without !, for example **')
        if rule_words.PULL in line.actions and any(place.tags for place in line.places):
            raise ValueError('pull is for whole repositories: what has a tag can be pulled by its digest, too. Leave out pull or the tags')
        self.found.lines.append(line)

    def _group(self, number: int, words: list[str], name: str = '', equals: str = '', *members: str) -> None:
        if equals != '=':
            raise ValueError(f'blanks must separate the name, = and the members. Write {FORMS["group"]}')
        rule_words.group(name)
        if any(',' in member for member in members):
            raise ValueError(f'blanks separate the members of a group, without commas. Write {FORMS["group"]}')
        if name in self.found.groups:
            raise ValueError(f'line {self.found.groups[name].number} has the same group {name!r}. Remove one of them')
        self.found.groups[name] = Group(number, frozenset())  # there is a group, even if a member is wrong
        self.found.groups[name] = Group(number, frozenset(map(rule_words.member, members)))

    def _expiry(self, number: int, words: list[str], user: str = '', day: str = '', *more: str) -> None:
        if not day or more:
            raise ValueError(f'there must be a user and a day. Write {FORMS["expires"]}')
        if ':' in rule_words.member(user):
            raise ValueError('only logins of the htpasswd file expire here')
        if user in self.found.expiries:
            raise ValueError(f'line {self.found.expiries[user].number} is for the same user. Remove one of them')
        self.found.expiries[user] = Expiry(number, _day(day))


def _words(line: str) -> list[str]:
    """Return the words of a line, without its comment."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f'the line has more than {LONGEST_LINE} characters')
    words: list[str] = []
    for word in line.replace('\t', ' ').split(' '):
        if word.startswith('#'):
            break
        if not word.isprintable():
            strange = next(character for character in word if not character.isprintable())
            raise ValueError(f'there is a character that cannot be seen, U+{ord(strange):04X}. Remove it, or write a blank')
        if word:
            words.append(word)
    return words


def _day(text: str) -> datetime.date:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        day = None
    if not day or day.isoformat() != text:  # newer Pythons read other formats, too
        raise ValueError(f'{text[:60]!r} is not a day. Write YYYY-MM-DD, for example 2027-01-31')
    return day
