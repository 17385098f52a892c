"""Patterns of repositories and tags."""

import pytest
from hypothesis import example, given, strategies

import processor
from docker_registry.v2.registry.patterns import LONGEST, Pattern, Patterns


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
        ('a**', ['a', 'ab', 'a/b'], ['b', 'ba']),
        ('team/?', ['team/a'], ['team/', 'team//', 'team/ab', 'team']),
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


@pytest.mark.parametrize(
    'pattern', ['*a' * 127, '**a' * 85, '**?*a' * 51, 'a*' * 127, '?*' * 127, '**' + 'a' * 253, 'a' * 254 + '*', '*' * 255, '**b*a/?' * 36]
)
@pytest.mark.parametrize('name', ['a' * 255, 'a' * 254 + 'b', 'a/' * 127, '/' * 255, 'ab' * 127])
def test_no_pattern_takes_long(pattern, name):
    """A name of 255 characters takes a tenth of a millisecond. With a search that goes back, some of these would take years."""
    compiled = Pattern(pattern)

    assert processor.seconds(lambda: compiled.matches(name), 0.002) < 0.002


def test_a_pattern_knows_what_its_names_begin_with():
    assert [Pattern(text).beginning for text in ('team/**', 'team/a?', '*', 'team/a')] == ['team/', 'team/a', '', 'team/a']
    assert Pattern('team/a').is_literal and not Pattern('team/a*').is_literal
    assert Pattern('team/**').matches_all_beginnings and not Pattern('team/*').matches_all_beginnings


# Many patterns at the same time


@given(strategies.lists(strategies.text('ab/*?', min_size=1, max_size=7), max_size=6), strategies.text('ab/', max_size=8))
@example(['a', '*', 'a*', '**', 'b'], 'a')
@example(['**'], '')
def test_together_they_match_as_each_alone_does(texts, name):
    patterns = [Pattern(text) for text in texts]
    assert Patterns(patterns).matching(name) == {pattern.text for pattern in patterns if pattern.matches(name)}


@pytest.mark.parametrize('form', ['**a**a**a{}', '*a' * 100 + '{}', '**/*/**/{}', '**' + '?' * 200 + '{}', '**'])
@pytest.mark.parametrize('name', ['a' * LONGEST, 'a/' * 127 + 'a'])
def test_a_thousand_take_a_few_milliseconds(form, name):
    """One after the other, they would take 60."""
    patterns = Patterns(Pattern(form.format(number)) for number in range(1000))

    assert processor.seconds(lambda: patterns.matching(name), 0.03) < 0.03
