"""Rules that hypothesis makes up, and what they are about."""

from hypothesis import strategies

from docker_registry.v2.access import rule_lines
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.access.rulebook import Rulebook

ACTIONS = ('pull', 'push', 'delete', 'overwrite')


def user(name):
    return Identity(name, frozenset([name]), 'htpasswd', b'hash')


def book(text):
    statements = rule_lines.parse(text)
    assert not statements.errors
    return Rulebook(statements)


def joined(words, most=3):
    return strategies.lists(strategies.sampled_from(words), min_size=1, max_size=most, unique=True).map(','.join)


@strategies.composite
def lines(draw):
    kind = draw(strategies.sampled_from(['allow', 'allow', 'deny']))
    what = draw(joined(ACTIONS if kind == 'deny' else ['pull', 'push', 'delete'], 2))
    words = ['a', 'b', '**', '*', 'a/**', 'a/*', '**/b', '{user}/**', '**{user}', 'a/?', '*a*', 'b/a/a']
    place = strategies.sampled_from(words)
    if 'pull' not in what:
        place = strategies.tuples(place, strategies.sampled_from(['', '', ':v', ':v*', ':*w', ':**'])).map(''.join)
    where = draw(strategies.lists(place, min_size=1, max_size=3)) + [f'!{one}' for one in draw(strategies.lists(place, max_size=2))]
    return f'{kind} {draw(joined(["everybody", "users", "a", "b", "@g"]))} {what} {" ".join(draw(strategies.permutations(where)))}'


some_rules = strategies.lists(lines(), min_size=1, max_size=6).filter(lambda found: any(line.startswith('allow') for line in found))
some_repository = strategies.sampled_from(['a', 'b', 'ab', 'a/a', 'a/b', 'b/a', 'b/a/a', 'a/b/a', 'a/ab'])
some_identity = strategies.sampled_from([ANONYMOUS, user('a'), user('b'), user('c')])
