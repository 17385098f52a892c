"""The format of the file of rules: what is wrong is said with its line, and with what to write instead."""

import datetime

import pytest
from hypothesis import given, strategies

from docker_registry.v2.access import rule_lines
from docker_registry.v2.access.rule_lines import LARGEST_FILE, LONGEST_LINE, load, parse
from docker_registry.v2.access.rules import Broken, read

GOOD = 'allow everybody pull **\n'
NOT_FOR_TAGS = 'pull is for whole repositories: what has a tag can be pulled by its digest, too. Leave out pull or the tags'


def test_the_statements_of_a_file():
    found = parse(
        'group a =  alice keystone:p%20q@d/r\nallow users,@a  pull,push\tx/** !x/y # why\r\n'
        'deny everybody delete **:v*\nexpires bob 2027-01-31'
    )

    (allow, deny) = found.lines
    assert (allow.number, allow.text, allow.allows) == (2, 'allow users,@a pull,push x/** !x/y', True)
    assert (allow.who, allow.actions, allow.decides) == ({'users', '@a'}, {'pull', 'push'}, {'pull', 'push', 'overwrite'})
    assert [(str(place), place.is_exception, place.tags) for place in allow.places] == [('x/**', False, None), ('!x/y', True, None)]
    assert (deny.number, deny.allows, deny.decides, str(deny.places[0].tags)) == (3, False, {'delete'}, 'v*')
    assert found.groups['a'].members == {'alice', 'keystone:p%20q@d/r'}
    assert found.expiries['bob'].day == datetime.date(2027, 1, 31)
    assert not found.errors


@pytest.mark.parametrize(
    'word',
    [
        'alice@example.com',
        'robot$ci',
        'müller',
        'a#b',
        'keystone:p@d',
        'keystone:p@d/r',
        'keystone:a.b_c-D9%2F%40@d%20e/r%3A',
        'keystone-user:u@d',
        'swift:AUTH_test',
        'swift-user:u@AUTH_test',
    ],
)
def test_a_name_that_is_accepted(word):
    assert not parse(f'{GOOD}allow {word} pull a\ngroup g = {word}\n').errors


@pytest.mark.parametrize(
    'line, why',
    [
        # Lines
        ('allows alice pull a', "'allows' cannot begin a line. A line begins with allow, deny, group, expires or #"),
        ('Allow alice pull a', "'Allow' cannot begin a line. A line begins with allow, deny, group, expires or #"),
        ('allow', 'something is missing. Write allow WHO WHAT WHERE...'),
        ('allow alice pull', 'something is missing. Write allow WHO WHAT WHERE...'),
        ('deny alice pull # a', 'something is missing. Write deny WHO WHAT WHERE...'),
        ('allow alice\xa0pull a', 'there is a character that cannot be seen, U+00A0. Remove it, or write a blank'),
        ('allow al\u200bice pull a', 'there is a character that cannot be seen, U+200B. Remove it, or write a blank'),
        ('allow alice pull a\rallow bob pull a', 'there is a character that cannot be seen, U+000D. Remove it, or write a blank'),
        ('allow alice pull ' + 'a ' * 5000, 'the line has more than 10000 characters'),
        # Who
        ('allow alice, bob pull a', 'a name is missing. Join names with commas, without blanks'),
        ('allow ,alice pull a', 'a name is missing. Join names with commas, without blanks'),
        ('allow * pull a', "'*' is not the name of a user. For all, write everybody, or users for those who have logged in"),
        ('allow @ pull a', "'' is not a name for a group. Use letters, digits and ._-"),
        ('allow @a/b pull a', "'a/b' is not a name for a group. Use letters, digits and ._-"),
        ('allow @nobody pull a', "there is no group 'nobody'. Add a line: group nobody = MEMBER..."),
        ('allow ldap:x pull a', "'ldap:' is not a kind of login. Known are keystone:, keystone-user:, swift:, swift-user:"),
        (
            'allow keystone:images pull a',
            "'keystone:images' is not complete, or has too many parts. Write keystone:PROJECT@DOMAIN or keystone:PROJECT@DOMAIN/ROLE,"
            ' with %40 for @ and %2F for / in a name',
        ),
        (
            'allow keystone:@d pull a',
            "'keystone:@d' is not complete, or has too many parts. Write keystone:PROJECT@DOMAIN or keystone:PROJECT@DOMAIN/ROLE,"
            ' with %40 for @ and %2F for / in a name',
        ),
        (
            'allow keystone-user:u@d/r pull a',
            "'keystone-user:u@d/r' is not complete, or has too many parts. Write keystone-user:USER@DOMAIN,"
            ' with %40 for @ and %2F for / in a name',
        ),
        (
            'allow swift:a@b pull a',
            "'swift:a@b' is not complete, or has too many parts. Write swift:ACCOUNT, with %40 for @ and %2F for / in a name",
        ),
        ('allow keystone:füße@d pull a', "'füße' must be percent-encoded. Write f%C3%BC%C3%9Fe"),
        ('allow keystone:p@d/a:b pull a', "'a:b' must be percent-encoded. Write a%3Ab"),
        ('allow keystone:p%2fq@d pull a', "'p%2fq' must be percent-encoded. Write p%2Fq"),
        ('allow keystone:%61@d pull a', "'%61' must be percent-encoded. Write a"),
        ('allow keystone:50%@d pull a', "'50%' must be percent-encoded. Write 50%25"),
        ('allow keystone:%FF@d pull a', "'%FF' must be percent-encoded. Write %25FF"),
        # What
        ('allow alice read a', "'read' is not an action. Write pull, push, delete, overwrite, joined by commas without blanks"),
        ('allow alice pull, push a', "'' is not an action. Write pull, push, delete, overwrite, joined by commas without blanks"),
        ('allow alice * a', "'*' is not an action. Write pull, push, delete, overwrite, joined by commas without blanks"),
        ('allow alice overwrite a', 'overwrite needs push. Write push: it allows both'),
        # Where
        ('allow alice pull !a', 'there are only exceptions. Add a pattern without !, for example **'),
        ('allow alice pull a [bc]', "'[bc]' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice pull a,b', "'a,b' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice pull !', "'!' names no repository. For all, write **"),
        ('allow alice push :v*', "':v*' names no repository. For all, write **"),
        ('allow alice pull {users}/a', "'{users}/a' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice pull Team/**', "'Team/**' matches no repository: their names have no capital letters"),
        ('allow alice pull /a', "'/a' matches no repository: a name has no / at its beginning or end, and not two together"),
        ('allow alice pull a/', "'a/' matches no repository: a name has no / at its beginning or end, and not two together"),
        ('allow alice pull a//b', "'a//b' matches no repository: a name has no / at its beginning or end, and not two together"),
        ('allow alice push a:', "'' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice push a:b:c', "'b:c' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice push a:b/c', "'b/c' is not a pattern of tags: no tag has a slash"),
        ('allow alice push a:{user}', "'{user}' is no pattern: it may have letters, digits and ._/-*? only, at most 255"),
        ('allow alice pull,push a:v*', NOT_FOR_TAGS),
        ('deny alice pull a !a:v*', NOT_FOR_TAGS),
        # Groups
        ('group', 'blanks must separate the name, = and the members. Write group NAME = MEMBER...'),
        ('group a', 'blanks must separate the name, = and the members. Write group NAME = MEMBER...'),
        ('group a=alice', 'blanks must separate the name, = and the members. Write group NAME = MEMBER...'),
        ('group a b = alice', 'blanks must separate the name, = and the members. Write group NAME = MEMBER...'),
        ('group @a = alice', "'@a' is not a name for a group. Use letters, digits and ._-"),
        ('group a = users', "'users' cannot be here: write the names of users"),
        ('group a = everybody', "'everybody' cannot be here: write the names of users"),
        ('group a = @b', "'@b' cannot be here: write the names of users"),
        ('group a = alice,bob', 'blanks separate the members of a group, without commas. Write group NAME = MEMBER...'),
        ('group a = alice, bob', 'blanks separate the members of a group, without commas. Write group NAME = MEMBER...'),
        ('group a = x:y', "'x:' is not a kind of login. Known are keystone:, keystone-user:, swift:, swift-user:"),
        # Expiries
        ('expires alice', 'there must be a user and a day. Write expires USER YYYY-MM-DD'),
        ('expires alice 2027-01-31 12:00', 'there must be a user and a day. Write expires USER YYYY-MM-DD'),
        ('expires alice 31.1.2027', "'31.1.2027' is not a day. Write YYYY-MM-DD, for example 2027-01-31"),
        ('expires alice 20270131', "'20270131' is not a day. Write YYYY-MM-DD, for example 2027-01-31"),
        ('expires alice 2027-W05-1', "'2027-W05-1' is not a day. Write YYYY-MM-DD, for example 2027-01-31"),
        ('expires alice 2027-02-30', "'2027-02-30' is not a day. Write YYYY-MM-DD, for example 2027-01-31"),
        ('expires @a 2027-01-31', "'@a' cannot be here: write the names of users"),
        ('expires keystone:p@d 2027-01-31', 'only logins of the htpasswd file expire here'),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write_instead(line, why):
    assert parse(f'{GOOD}{line}\n').errors == [(2, why)]


def test_what_two_lines_say_is_said():
    text = 'group a = alice\nexpires bob 2027-01-31\ngroup a = bob\nexpires bob 2027-01-31\n' + GOOD

    assert parse(text).errors == [
        (3, "line 1 has the same group 'a'. Remove one of them"),
        (4, 'line 2 is for the same user. Remove one of them'),
    ]


def test_all_that_is_wrong_is_said_in_the_order_of_the_lines():
    errors = parse('allow @a pull x\nallow\n\ngroup b = @c\nallow @b,@d pull y').errors

    assert [number for number, _ in errors] == [1, 2, 4, 5]


@pytest.mark.parametrize('text', ['', '# nothing\n', 'group a = alice\n', 'deny everybody delete **\n'])
def test_rules_that_allow_nothing_are_an_error(text):
    assert parse(text).errors == [(1, 'no line begins with allow, so nobody could do anything')]


@pytest.mark.parametrize(
    'content, says',
    [
        (None, ' cannot be read: No such file or directory'),
        (b'a' * (LARGEST_FILE + 1), ' has more than 1048576 bytes'),
        (b'\xef\xbb\xbfallow everybody pull **', ', line 1: the file begins with a byte order mark. Save it as UTF-8 without one'),
        ('allow'.encode('utf-16'), ', line 1: the file begins with a byte order mark. Save it as UTF-8 without one'),
        (b'# a\n\nallow m\xfcller pull **', ', line 3: this is not UTF-8. Save the file as UTF-8'),
        (b'# \xe4', ', line 1: this is not UTF-8. Save the file as UTF-8'),
        (b'allow a pull', ', line 1: something is missing. Write allow WHO WHAT WHERE...'),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, says):
    path = tmp_path / 'rules'
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Broken) as error:
        read(str(path))
    assert str(error.value) == f'{path}{says}'


def test_a_folder_is_no_file_of_rules(tmp_path):
    with pytest.raises(Broken, match='Is a directory'):
        load(str(tmp_path))


def test_a_line_may_be_long():
    text = 'allow everybody pull ' + 'a ' * ((LONGEST_LINE - 22) // 2)

    assert not parse(text).errors and len(parse(text).lines[0].places) > 4900


@given(
    strategies.lists(
        strategies.lists(
            strategies.sampled_from(
                ['allow', 'deny', 'group', 'expires', '=', 'users', '@a', 'a', 'x:y', 'keystone:', 'pull', '**', '!a', 'a:b']
            )
            | strategies.text('ab:@/%*!{}#,.=\t\r\x00é', max_size=8),
            max_size=6,
        ).map(' '.join),
        max_size=6,
    )
)
def test_no_text_makes_it_fail_otherwise(lines):
    found = parse('\n'.join(lines))

    assert all(1 <= number <= max(1, len(lines)) and '\n' not in why and len(why) < 300 for number, why in found.errors)
    assert found.lines or found.errors
    assert rule_lines.parse('\n'.join(lines) + '\n').errors == found.errors
