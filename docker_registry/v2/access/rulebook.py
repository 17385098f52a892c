"""What the rules of a file say about clients and repositories. Order does not matter: a deny takes what any allow gives."""

import datetime
import functools
from collections import defaultdict
from collections.abc import Iterable, Set

from docker_registry.v2.access import rule_words, spans
from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.policies import Decision
from docker_registry.v2.access.rule_lines import Line, Statements
from docker_registry.v2.access.rule_words import DELETE, PULL
from docker_registry.v2.access.visible import Visible
from docker_registry.v2.registry.patterns import Pattern, Patterns

MOST_CLIENTS = 256  # whose lines are remembered
MOST_NAMES = 1000  # of repositories, for which the patterns that match are remembered
MOST_RIGHTS = 10_000  # of one client in one repository, which are remembered


class Rulebook:
    """The rules of one version of a file."""

    def __init__(self, statements: Statements):
        self._groups, self._expiries = statements.groups, statements.expiries
        self._lines = [(line, None if line.is_personal else _Applied(line, None)) for line in statements.lines]
        # One pattern after the other would take a tenth of a second, if there are a thousand and the name is long.
        shared = Patterns(pattern for _, line in self._lines if line for pattern in line.all_patterns())
        self._shared = functools.lru_cache(MOST_NAMES)(shared.matching)
        self._lines_of = functools.lru_cache(MOST_CLIENTS)(self._find_lines)
        self._rights_of = functools.lru_cache(MOST_RIGHTS)(self._find_rights)

    def __len__(self) -> int:
        return len(self._lines)

    def text_of(self, number: int | None) -> str | None:
        """Return the text of a line that allows or denies something, or None if the number is that of no such line."""
        return next((line.text for line, _ in self._lines if line.number == number), None)

    def rights(self, identity: Identity, repository: str) -> 'Rights':
        """Return what a client may do in a repository, which need not be there."""
        return self._rights_of(identity, repository)

    def expires(self, name: str) -> datetime.date | None:
        """Return the day at whose beginning, in UTC, the login of a user of the htpasswd file ends, or None if it does not end."""
        expiry = self._expiries.get(name)
        return expiry.day if expiry else None

    def pulls_everything(self, identity: Identity) -> bool:
        """Return whether one line lets a client pull everything, and none takes any pull from the client."""
        lines = [line for line in self._lines_of(identity).lines if PULL in line.decides]
        return all(line.allows for line in lines) and any(line.is_everywhere for line in lines)

    def pulls_something(self, identity: Identity) -> bool:
        """Return whether there may be a repository from which a client may pull."""
        return any(line.allows for line in self._lines_of(identity).lines)

    def visible(self, identity: Identity) -> Visible:
        """Return the repositories from which a client may pull."""
        lines = [line for line in self._lines_of(identity).lines if PULL in line.decides]
        allowed = spans.union(line.spans_of_all() for line in lines if line.allows)
        denied = spans.union(line.spans_of_no_others() for line in lines if not line.allows)
        return Visible(lambda repository: self._find_rights(identity, repository).may(PULL), spans.difference(allowed, denied))

    def _find_rights(self, identity: Identity, repository: str) -> 'Rights':
        found = self._lines_of(identity)
        matching = self._shared(repository) | found.own.matching(repository)
        return Rights(found.with_one_of(matching), matching)

    def _find_lines(self, identity: Identity) -> '_Lines':
        """Return the lines that are about a client, unless no repository can match them."""
        known = rule_words.known_as(identity)
        known.update([f'@{name}' for name, group in self._groups.items() if not group.members.isdisjoint(known)])
        component = rule_words.component(identity)
        about = [(line, applied) for line, applied in self._lines if not line.who.isdisjoint(known)]
        own = {line.number: _Applied(line, component) for line, applied in about if not applied}
        lines = [applied or own[line.number] for line, applied in about]
        return _Lines(
            [line for line in lines if line.patterns], Patterns(pattern for line in own.values() for pattern in line.all_patterns())
        )


class _Lines:
    """The `lines` about a client, and the patterns of those that are about no other: its `own`."""

    def __init__(self, lines: list['_Applied'], own: Patterns):
        self.lines, self.own = lines, own
        self._with: dict[str, list[_Applied]] = defaultdict(list)
        for line in lines:
            for pattern, _ in line.patterns:
                self._with[pattern.text].append(line)

    def with_one_of(self, matching: Set[str]) -> list['_Applied']:
        """Return the lines with one of these patterns, in their order."""
        found = {line.number: line for text in matching for line in self._with.get(text, ())}
        return [found[number] for number in sorted(found)]


class Rights:
    """What a client may do in a repository.

    A question may name the tag. Without a tag, it is about blobs, uploads, and manifests by digest: a push of these is allowed if the
    client may push some tag, and a delete if the client may delete what has no tag.

    :param lines: what may be about the client
    :param matching: texts of all patterns that match the repository
    """

    def __init__(self, lines: Iterable['_Applied'], matching: Set[str]):
        self._matches = [match for match in (line.match(matching) for line in lines) if match]

    def decide(self, action: str, tag: str | None = None) -> Decision:
        return self._decided([match for match in self._matches if match.covers(action, tag)], action)

    def possible(self, action: str) -> Decision:
        """Return whether there may be a tag, or something without a tag, for which `decide` allows it.

        It is for requests whose tags are not known yet, and for tokens.
        """
        return self._decided([match for match in self._matches if match.may_cover], action)

    @staticmethod
    def _decided(matches: 'list[_Match]', action: str) -> Decision:
        lines = [match.line for match in matches if action in match.line.decides]
        line = next((line for line in lines if not line.allows), lines[0] if lines else None)
        return Decision(line.allows, line.number) if line else Decision(False, None)

    def may(self, action: str, tag: str | None = None) -> bool:
        return self.decide(action, tag).allowed

    def has_tag_rules(self, action: str) -> bool:
        """Return whether the answer may depend on the tag."""
        return action != PULL and any(action in match.line.decides and match.depends_on_the_tag for match in self._matches)


class _Applied:
    """A line as it applies to a client. Each pattern of repositories comes with its pattern of tags, or None for all tags."""

    def __init__(self, line: Line, component: str | None):
        self.number, self.allows, self.decides = line.number, line.allows, line.decides
        places = [(place.pattern(component), place) for place in line.places]
        self.patterns = [(pattern, place.tags) for pattern, place in places if pattern and not place.is_exception]
        self._exceptions = [(pattern, place.tags) for pattern, place in places if pattern and place.is_exception]
        self.is_everywhere = any(str(pattern) == '**' for pattern, _ in self.patterns) and not self._exceptions
        self._whole = _Match(self, [None], [])

    def all_patterns(self) -> list[Pattern]:
        return [pattern for pattern, _ in self.patterns + self._exceptions]

    def match(self, matching: Set[str]) -> '_Match | None':
        """Return what the line says about a repository that these patterns match, or None if it says nothing."""
        tags = [tags for pattern, tags in self.patterns if pattern.text in matching]
        if not tags:
            return None
        exceptions = [tags for pattern, tags in self._exceptions if pattern.text in matching]
        if None in tags and not exceptions:
            return self._whole
        return None if None in exceptions else _Match(self, tags, exceptions)

    def spans_of_all(self) -> spans.Spans:
        """Return where the paths of all repositories are about which an allow says something."""
        exceptions = [pattern for pattern, tags in self._exceptions if tags is None]
        return spans.difference(spans.of(pattern for pattern, _ in self.patterns), spans.of_no_others(exceptions))

    def spans_of_no_others(self) -> spans.Spans:
        """Return spans in which all paths belong to repositories that a deny of pull takes."""
        exceptions = [pattern for pattern, _ in self._exceptions]
        return spans.difference(spans.of_no_others(pattern for pattern, _ in self.patterns), spans.of(exceptions))


class _Match:
    """What a line says about a repository.

    :param tags: patterns of the tags that it is about; None is for all tags, and for what has no tag
    :param exceptions: patterns of tags that it is not about
    """

    def __init__(self, line: _Applied, tags: list[Pattern | None], exceptions: list[Pattern | None]):
        self.line, self._tags = line, tags
        self._exceptions = [pattern for pattern in exceptions if pattern]

    @property
    def depends_on_the_tag(self) -> bool:
        return bool(self._exceptions) or None not in self._tags

    @property
    def may_cover(self) -> bool:
        """True if the line decides, or may decide, whether there is a tag for which something is allowed."""
        return self.line.allows or not self.depends_on_the_tag

    def covers(self, action: str, tag: str | None) -> bool:
        """Return whether the line is about an action on a tag, or on something without a tag."""
        if action == PULL or tag is None and action != DELETE:
            return self.may_cover
        if tag is None:
            return None in self._tags
        return any(tags is None or tags.matches(tag) for tags in self._tags) and not any(tags.matches(tag) for tags in self._exceptions)
