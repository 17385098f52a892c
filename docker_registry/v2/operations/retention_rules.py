"""The file of rules for `registry-swift retain`. deploy/retention.yaml is an example, and explains the format."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from docker_registry.v2.operations import duration
from docker_registry.v2.registry.patterns import Pattern

LARGEST_FILE = 1024**2  # bytes


class Broken(ValueError):
    """The file is wrong. The text names the line."""


@dataclass(frozen=True)
class Rule:
    """What to keep in some repositories.

    :param line: where the rule begins in the file
    :param tags: the tags that the rule is about
    :param keeps_all: keep all of them; else keep a tag for which one of `newest`, `younger_than` and `matching` holds, and no other
    :param untagged: seconds after which manifests without a tag go, or None for never
    :param orphans: seconds after which fallback tags go whose subject is not in the repository, or None for never
    """

    line: int
    repositories: tuple[Pattern, ...]
    tags: tuple[Pattern, ...] = (Pattern('*'),)
    keeps_all: bool = False
    newest: int = 0
    younger_than: int | None = None
    matching: tuple[Pattern, ...] = ()
    untagged: int | None = None
    orphans: int | None = None


class Rules:
    """The rules, in the order of the file. The first one that names something decides about it."""

    def __init__(self, rules: list[Rule]):
        self._rules = rules

    def of(self, repository: str) -> list[Rule]:
        """Return the rules that name a repository. A repository without any is left alone."""
        return [rule for rule in self._rules if any(pattern.matches(repository) for pattern in rule.repositories)]


def read(path: str) -> Rules:
    """Return the rules of a file.

    :raises Broken: it cannot be read, or is wrong
    """
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read(LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f'{path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
    if len(text) > LARGEST_FILE:
        raise Broken(f'{path} has more than {LARGEST_FILE} bytes')
    return parse(text, path)


def parse(text: str, path: str) -> Rules:
    """Return the rules in a text.

    :param path: names the file in errors
    :raises Broken: the text is wrong
    """
    try:
        document = yaml.compose(text, yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count('\n', 0, error.position) + 1
        raise Broken(f'{path}, line {line}: this is not valid YAML: there is a character that no text has: U+{error.character:04X}')
    except yaml.YAMLError as error:
        line = error.problem_mark.line + 1 if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark else 1
        problem = ' '.join(str(getattr(error, 'problem', None) or error).split())
        raise Broken(f'{path}, line {line}: this is not valid YAML: {problem}. Quote a pattern that begins with *')
    except (ValueError, RecursionError):
        raise Broken(f'{path}: this is not valid YAML')
    if document is None:
        raise Broken(f'{path}, line 1: there are no rules. The file must begin with `rules:`')
    return Reader(path).rules(document)


class Reader:
    """Turns the nodes of a YAML document into rules. Everything that it does not understand is an error."""

    def __init__(self, path: str):
        self._path = path

    def rules(self, document: Any) -> Rules:
        fields = self._fields(document, ('rules',), ('rules',))
        node = fields['rules']
        rules = [self._rule(entry) for entry in self._entries(node, 'rules')]
        if not rules:
            self._refuse(node, 'there are no rules')
        return Rules(rules)

    def _rule(self, node: Any) -> Rule:
        known = ('repositories', 'tags', 'keep', 'untagged', 'orphans')
        fields = self._fields(node, known, ('repositories', 'keep'))
        found: dict[str, Any] = {'repositories': self._patterns(fields['repositories'], 'repositories'), **self._keep(fields['keep'])}
        if 'tags' in fields:
            found['tags'] = self._patterns(fields['tags'], 'tags')
        for key in ('untagged', 'orphans'):
            if key in fields:
                found[key] = self._value(fields[key], key, duration.parse)
        return Rule(_line(node), **found)

    def _keep(self, node: Any) -> dict[str, Any]:
        advice = 'keep must say what to keep (newest, younger-than, matching), or be `all` or `none`'
        if isinstance(node, yaml.ScalarNode):
            if node.value not in ('all', 'none'):
                self._refuse(node, f'{advice}, not {node.value[:40]!r}')
            return {'keeps_all': node.value == 'all'}
        fields = self._fields(node, ('newest', 'younger-than', 'matching'))
        if not fields:
            self._refuse(node, f'{advice}. It is empty')
        found: dict[str, Any] = {}
        if 'newest' in fields:
            found['newest'] = self._value(fields['newest'], 'newest', _count)
        if 'younger-than' in fields:
            found['younger_than'] = self._value(fields['younger-than'], 'younger-than', _some_time)
        if 'matching' in fields:
            found['matching'] = self._patterns(fields['matching'], 'matching')
        return found

    def _fields(self, node: Any, known: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the values of a mapping by key. Each key is known, and stands there once."""
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f'there must be keys here: {", ".join(known)}')
        fields: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name not in known:
                self._refuse(key, f'{str(name)[:40]!r} is not known here. Known are {", ".join(known)}')
            if name in fields:
                self._refuse(key, f'{name} stands here twice')
            fields[name] = value
        for name in needed:
            if name not in fields:
                self._refuse(node, f'{name} is missing')
        return fields

    def _entries(self, node: Any, name: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, f'{name} must be a list')
        return node.value

    def _patterns(self, node: Any, name: str) -> tuple[Pattern, ...]:
        nodes = [node] if isinstance(node, yaml.ScalarNode) else self._entries(node, name)
        if not nodes:
            self._refuse(node, f'{name} is an empty list')
        return tuple(self._value(entry, name, Pattern) for entry in nodes)

    def _value(self, node: Any, name: str, parsed: Callable[[str], Any]) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, f'{name} must be one value')
        try:
            return parsed(node.value)
        except ValueError as error:
            self._refuse(node, f'{name}: {error}')

    def _refuse(self, node: Any, why: str) -> NoReturn:
        raise Broken(f'{self._path}, line {_line(node)}: {why}')


def _line(node: Any) -> int:
    return node.start_mark.line + 1


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise ValueError(f'must be a whole number of at least 1, not {text[:40]!r}')
    return int(text)


def _some_time(text: str) -> int:
    seconds = duration.parse(text)
    if not seconds:
        raise ValueError('must be longer than 0. To keep nothing, write `keep: none`')
    return seconds
