"""Finds what is no error in a file of rules, but may not be meant."""

import datetime
from collections.abc import Container, Iterator

from docker_registry.v2.access.rule_lines import Group, Line, Statements
from docker_registry.v2.access.rule_words import EVERYBODY, USER, USERS, Place
from docker_registry.v2.registry.patterns import Pattern

Warnings = Iterator[tuple[int, str]]  # number of a line, and what may be wrong with it


def of(statements: Statements, today: datetime.date, users: Container[str] | None = None) -> list[tuple[int, str]]:
    """Return (number of the line, text) of all that may not be meant, in the order of the lines.

    :param today: in UTC
    :param users: the names in the htpasswd file, or None if they are not known
    """
    found = [*_groups(statements), *_expiries(statements, today), *_taken(statements), *_impossible(statements)]
    if users is not None:
        found += _unknown(statements, users)
    return sorted(found)


def _groups(statements: Statements) -> Warnings:
    used = {word for line in statements.lines for word in line.who}
    for name, group in statements.groups.items():
        if f'@{name}' not in used and not statements.errors:  # a line that is wrong may name it
            yield group.number, f'no line names the group. To use it, write @{name}'
        if not group.members:
            yield group.number, f'the group {name} has no members'


def _expiries(statements: Statements, today: datetime.date) -> Warnings:
    for name, expiry in statements.expiries.items():
        if expiry.day <= today:
            yield expiry.number, f'the login of {name} has ended'


def _unknown(statements: Statements, users: Container[str]) -> Warnings:
    named = [(line.number, line.who) for line in statements.lines]
    named += [(group.number, group.members) for group in statements.groups.values()]
    named += [(expiry.number, frozenset([name])) for name, expiry in statements.expiries.items()]
    for number, words in named:
        for word in sorted(words):
            if word not in (EVERYBODY, USERS) and not word.startswith('@') and ':' not in word and word not in users:
                yield number, f'the htpasswd file has no user {word}'


def _impossible(statements: Statements) -> Warnings:
    for line in statements.lines:
        places, exceptions = _places(line)
        if all(any(_covers(exception, place) for exception in exceptions) for place in places):
            yield line.number, 'the line says nothing: its exceptions take all of it'
        if all(USER in place.repositories for place in places) and all(':' in word or word == EVERYBODY for word in line.who):
            yield line.number, f'{USER} stands for users of the htpasswd file only. Name them, or write {USERS}'


def _taken(statements: Statements) -> Warnings:
    denies = [line for line in statements.lines if not line.allows]
    for line in statements.lines:
        for deny in denies if line.allows else ():
            actions = sorted(line.actions & deny.decides)
            if actions and _means_all(deny.who, line.who, statements.groups) and _is_for_all(deny, line):
                yield line.number, f'line {deny.number} denies all of this: {", ".join(actions)}'


def _means_all(who: frozenset[str], others: frozenset[str], groups: dict[str, Group]) -> bool:
    """Return whether some words mean all clients whom other words mean."""

    def members(word: str) -> frozenset[str]:
        return groups[word[1:]].members if word.startswith('@') and word[1:] in groups else frozenset([word])

    meant = who.union(*map(members, who))
    return EVERYBODY in who or all(
        word in meant or word != EVERYBODY and USERS in who or word.startswith('@') and members(word) <= meant for word in others
    )


def _is_for_all(deny: Line, line: Line) -> bool:
    """Return whether a deny is plainly about all places that another line is about."""
    places, exceptions = _places(deny)
    return not exceptions and all(any(_covers(mine, place) for mine in places) for place in _places(line)[0])


def _places(line: Line) -> tuple[list[Place], list[Place]]:
    return [place for place in line.places if not place.is_exception], [place for place in line.places if place.is_exception]


def _covers(place: Place, other: Place) -> bool:
    """Return whether a place plainly has all that another one has."""
    if place.tags and place.tags != other.tags:
        return False
    if USER in place.repositories:
        return place.repositories == other.repositories
    all_of_it, its = Pattern(place.repositories), other.repositories
    if all_of_it.matches_all_beginnings:
        return its.startswith(all_of_it.beginning)
    return all_of_it.text == its
