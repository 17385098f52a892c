"""What is no error in a file of rules, but may not be meant."""

import datetime

import pytest
from hypothesis import given, settings, strategies

from docker_registry.v2.access import rule_lines, rule_warnings
from random_rules import book, some_identity, some_repository, some_rules

TODAY = datetime.date(2027, 1, 31)


def warnings(text, users=None):
    return rule_warnings.of(rule_lines.parse(text), TODAY, users)


@pytest.mark.parametrize(
    'text, number, warning',
    [
        ('allow users pull **\ngroup a = alice', 2, 'no line names the group. To use it, write @a'),
        ('group a =\nallow @a pull **', 1, 'the group a has no members'),
        ('allow users pull **\nexpires bob 2027-01-31', 2, 'the login of bob has ended'),
        ('allow users pull a/** !a/**', 1, 'the line says nothing: its exceptions take all of it'),
        ('allow users pull a/b a/c !a/**', 1, 'the line says nothing: its exceptions take all of it'),
        ('allow keystone:p@d push {user}/**', 1, '{user} stands for users of the htpasswd file only. Name them, or write users'),
        ('allow everybody pull {user}/**', 1, '{user} stands for users of the htpasswd file only. Name them, or write users'),
        ('allow alice pull **\ndeny alice pull **', 1, 'line 2 denies all of this: pull'),
        ('deny users delete **\nallow alice pull,delete a', 2, 'line 1 denies all of this: delete'),
        ('deny users pull a/**\nallow alice push,delete a/{user}', 2, 'line 1 denies all of this: delete, push'),
        ('deny alice,@g push a\nallow @g,alice push a:v*\ngroup g = bob', 2, 'line 1 denies all of this: push'),
        ('deny @g push a:v*\nallow bob push a:v*\ngroup g = bob', 2, 'line 1 denies all of this: push'),
        ('deny alice,bob push {user}/**\nallow @g push {user}/**\ngroup g = bob', 2, 'line 1 denies all of this: push'),
    ],
)
def test_what_may_not_be_meant(text, number, warning):
    assert warnings(text) == [(number, warning)]


@pytest.mark.parametrize(
    'text',
    [
        'allow users pull **\nexpires bob 2027-02-01',
        'allow users pull ** !a/**\nallow @g pull a/**\ngroup g = bob',
        'allow users push a !a:v*',
        'allow alice,keystone:p@d push {user}/** b',
        'allow alice push **\ndeny users overwrite **:v*\ndeny users overwrite prod/**',
        'allow users pull **\ndeny alice pull **',
        'allow everybody pull **\ndeny users pull **',
        'allow @g pull a\ndeny bob pull **\ngroup g = alice bob',
        'allow alice push a\ndeny alice push a:v*',
        'allow alice push a/**\ndeny alice push ** !a/b',
        'allow alice push a/**\ndeny alice push a/*',
        'allow alice push a\ndeny alice push a/**',
    ],
)
def test_what_may_well_be_meant(text):
    assert warnings(text) == []


def test_users_that_are_not_in_the_htpasswd_file():
    text = 'allow alice,bobb,users,everybody,keystone:p@d pull **\ngroup g = alice carol\nallow @g pull a\nexpires dave 2028-01-01'

    assert warnings(text, users={'alice', 'bob'}) == [
        (1, 'the htpasswd file has no user bobb'),
        (2, 'the htpasswd file has no user carol'),
        (4, 'the htpasswd file has no user dave'),
    ]


def test_a_line_that_is_wrong_may_name_the_group():
    assert warnings('group g = alice\nallow @g pul **') == []


@given(some_rules, some_identity, some_repository, strategies.sampled_from(['v', 'vw', 'x']))
@settings(max_examples=300)
def test_what_a_line_is_said_to_deny_it_denies(found, identity, repository, tag):
    """A line with such a warning, and the line that denies, allow nothing of it together."""
    group = 'group g = a c'
    for number, text in warnings('\n'.join([*found, group])):
        if 'denies' in text:
            deny, _, actions = text.removeprefix('line ').partition(' denies all of this: ')
            rights = book('\n'.join([found[number - 1], found[int(deny) - 1], group])).rights(identity, repository)
            assert not any(rights.may(action, tag) for action in actions.split(', '))
        elif 'says nothing' in text:
            assert not book('\n'.join([found[number - 1], 'allow a pull x', group])).rights(identity, repository).may('push', tag)
