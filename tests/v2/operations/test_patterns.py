"""Patterns of repositories and tags."""

import time

import pytest
from hypothesis import example, given, strategies

from docker_registry.v2.operations.patterns import Pattern


@pytest.mark.parametrize(
    'pattern, matching, others',
    [
        ('team/*', ['team/a', 'team/a-b.c'], ['team', 'team/a/b', 'steam/a', 'team/a/']),
        ('team/**', ['team/a', 'team/a/b/c'], ['team', 'steam/a']),
        ('**', ['a', 'a/b', 'a/b/c'], []),
        ('*', ['a', 'latest'], ['a/b']),
        ('**/cache', ['a/cache', 'a/b/cache'], ['cache', 'a/cached']),
        ('v?.*', ['v1.0', 'v2.', 'v3.4.5'], ['v10.0', 'v1', 'v/.0']),
        ('a', ['a'], ['A', 'aa', 'b', '']),
        ('***', ['a/b'], []),
        ('a*/**/b', ['ax/y/b', 'a//b', 'a/x/y/b'], ['a/b', 'ab']),
    ],
)
def test_what_a_pattern_matches(pattern, matching, others):
    assert all(Pattern(pattern).matches(name) for name in matching)
    assert not any(Pattern(pattern).matches(name) for name in others)


@pytest.mark.parametrize('text', ['', '[a-z]', 'a b', '{a,b}', 'a\n', '!a', 'ä', 'a' * 256, '^a$', '\\*'])
def test_other_characters_are_refused(text):
    with pytest.raises(ValueError, match='pattern'):
        Pattern(text)


def naive(pattern, name):
    """The same by trying everything."""
    if not pattern:
        return not name
    if pattern.startswith('**'):
        rest = pattern.lstrip('*')
        return any(naive(rest, name[at:]) for at in range(len(name) + 1))
    if pattern.startswith('*'):
        end = name.find('/') if '/' in name else len(name)
        return any(naive(pattern[1:], name[at:]) for at in range(end + 1))
    return bool(name) and (pattern[0] == name[0] or pattern[0] == '?' and name[0] != '/') and naive(pattern[1:], name[1:])


@given(strategies.text('ab/*?', min_size=1, max_size=7), strategies.text('ab/', max_size=8))
@example('*/**a', 'b/a/a')
def test_it_matches_as_the_naive_way_does(pattern, name):
    assert Pattern(pattern).matches(name) == naive(pattern, name)


def test_no_pattern_takes_long():
    started = time.process_time()
    assert not Pattern('*a' * 100 + 'b').matches('a' * 255)
    assert not Pattern('**a' * 80 + 'b').matches('a' * 255)

    assert time.process_time() - started < 1
