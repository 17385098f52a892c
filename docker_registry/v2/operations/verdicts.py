"""What the rules of retention say about each tag and each untagged manifest of a repository."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from docker_registry.v2.operations import duration, inventory
from docker_registry.v2.operations.inventory import Inventory
from docker_registry.v2.operations.retention_rules import Rule
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.mentions import Mentions
from docker_registry.v2.registry.names import Digest

#: The tag under which clients keep referrers of a digest, when a registry has no list of them. cosign adds `.sig` and the like.
_FALLBACK = re.compile(r'(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64})(\..*)?')


@dataclass(frozen=True)
class Verdict:
    """What happens to a tag, or to an untagged manifest, and why.

    :param age: seconds since the tag was written, or since when the manifest has had no tag
    :param line: of the rule, or 0 if none decided
    :param subject: the tag goes only if this manifest has gone
    """

    tag: str
    digest: Digest | None
    age: float
    goes: bool
    why: str
    line: int = 0
    subject: Digest | None = None


class Verdicts:
    """The verdicts on one repository.

    :param rules: those that name the repository
    :param now: seconds since the epoch, by Swift's clock
    """

    def __init__(self, domain: Domain, found: Inventory, rules: list[Rule], now: float):
        self._domain = domain
        self._found = found
        self._rules = rules
        self._now = now
        self.mentions: Mapping[Digest, Mentions | None] = {}
        fallback = {tag for tag in found.tags if _FALLBACK.fullmatch(tag)}
        self.tags = self._on_tags(tag for tag in found.tags if tag not in fallback)
        self.manifests = self._on_manifests()
        going = {verdict.digest for verdict in self.manifests if verdict.goes}
        subjects = {layout.referrers_tag(digest): digest for digest in found.revisions} if fallback else {}
        self.fallback_tags = [self._on_fallback(tag, subjects.get(tag.partition('.')[0]), going) for tag in sorted(fallback)]

    # Tags

    def _on_tags(self, tags: Iterable[str]) -> list[Verdict]:
        """Judge tags. The first rule that names a tag decides."""
        judged: dict[int, list[str]] = {}
        verdicts = {}
        for tag in sorted(tags, key=lambda tag: (-self._found.tags[tag].written, tag)):
            number = next((i for i, rule in enumerate(self._rules) if _matching(rule.tags, tag)), None)
            if number is None:
                verdicts[tag] = self._tag(tag, False, 'no rule names it')
            else:
                judged.setdefault(number, []).append(tag)
        for number, newest_first in judged.items():
            for place, tag in enumerate(newest_first):
                verdicts[tag] = self._by(self._rules[number], tag, place)
        return list(verdicts.values())

    def _by(self, rule: Rule, tag: str, place: int) -> Verdict:
        """:param place: 0 for the newest of the tags that the rule is about"""
        if self._found.tags[tag].digest is None:
            return self._tag(tag, False, 'it is damaged. Push it again, or delete it')
        if rule.keeps_all:
            return self._tag(tag, False, 'keep: all', rule)
        pattern = _matching(rule.matching, tag)
        if pattern:
            return self._tag(tag, False, f'matches {pattern}', rule)
        if place < rule.newest:
            return self._tag(tag, False, f'one of the newest {rule.newest}', rule)
        if rule.younger_than is not None and self._age(tag) < rule.younger_than:
            return self._tag(tag, False, f'younger than {duration.text(rule.younger_than)}', rule)
        lacks = [f'not one of the newest {rule.newest}'] if rule.newest else []
        lacks += [f'not younger than {duration.text(rule.younger_than)}'] if rule.younger_than is not None else []
        lacks += ['matches no pattern'] if rule.matching else []
        return self._tag(tag, True, ', '.join(lacks) or 'keep: none', rule)

    def _age(self, tag: str) -> float:
        return self._now - self._found.tags[tag].written

    def _tag(self, tag: str, goes: bool, why: str, rule: Rule | None = None, subject: Digest | None = None) -> Verdict:
        return Verdict(tag, self._found.tags[tag].digest, self._age(tag), goes, why, rule.line if rule else 0, subject)

    # Manifests

    def _on_manifests(self) -> list[Verdict]:
        """Judge the manifests that had no tag when the repository was looked at. One that loses its last tag now is not among them."""
        rule = next((rule for rule in self._rules if rule.untagged is not None), None)
        if rule is None or rule.untagged is None:
            return []
        tagged = {pointer.digest for pointer in self._found.tags.values()}
        ages = {d: self._found.age_of_untagged(d, self._now) for d in self._found.revisions if d not in tagged}
        old = {digest for digest, age in ages.items() if age >= rule.untagged}
        kept = self._kept(old) if old else {}
        limit = duration.text(rule.untagged)
        return [
            Verdict('', digest, age, digest in old and digest not in kept, kept.get(digest) or _since(digest in old, limit), rule.line)
            for digest, age in sorted(ages.items(), key=lambda item: (item[1], item[0]))
        ]

    def _kept(self, old: set[Digest]) -> dict[Digest, str]:
        """Return which of the old untagged manifests stay, and why: what needs them, or what they refer to, stays."""
        self.mentions = inventory.mentioned(self._domain, self._found.revisions)
        unreadable = next((digest for digest, found in self.mentions.items() if found is None), None)
        if unreadable:
            return dict.fromkeys(old, f'{unreadable} cannot be read, and may name it')
        referrers: dict[Digest, list[Digest]] = {}
        for digest in old:
            found = self.mentions[digest]
            if found and found.subject:
                referrers.setdefault(found.subject, []).append(digest)
        kept: dict[Digest, str] = {}
        waiting = [digest for digest in self._found.revisions if digest not in old]
        while waiting:
            digest = waiting.pop()
            found = self.mentions[digest]
            parts = [name for name in found.sizes if name != found.subject] if found else []
            why = [(name, f'part of {digest}') for name in parts] + [(name, f'refers to {digest}') for name in referrers.get(digest, ())]
            for name, reason in why:
                if name in old and name not in kept:
                    kept[name] = reason
                    waiting.append(name)
        return kept

    # Fallback tags

    def _on_fallback(self, tag: str, subject: Digest | None, going: set[Digest | None]) -> Verdict:
        """Judge a tag that lists referrers: it stays and goes with its subject. Rules for tags are not about it."""
        if subject and subject in going:
            return self._tag(tag, True, f'goes with {subject}', subject=subject)
        if subject:
            return self._tag(tag, False, f'refers to {subject}')
        rule = next((rule for rule in self._rules if rule.orphans is not None), None)
        if rule is None or rule.orphans is None:
            return self._tag(tag, False, 'refers to a manifest that is not here, and no rule has orphans')
        if self._age(tag) < rule.orphans:
            return self._tag(tag, False, f'refers to a manifest that is not here, for less than {duration.text(rule.orphans)}', rule)
        return self._tag(tag, True, 'refers to a manifest that is not here', rule)


def _since(is_old: bool, limit: str) -> str:
    return f'without a tag for {limit} or more' if is_old else f'without a tag for less than {limit}'


def _matching(patterns, name: str):
    return next((pattern for pattern in patterns if pattern.matches(name)), None)
