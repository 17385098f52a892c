"""What rules say: who may do what, for every kind of line, and when a changed file counts."""

import datetime
import errno
import os
import re

import pytest
from hypothesis import example, given, settings, strategies

import processor
from docker_registry.v2.access import rule_lines, watched
from docker_registry.v2.access.identity import ANONYMOUS, Identity, quoted
from docker_registry.v2.access.rulebook import Decision
from docker_registry.v2.access.rules import Broken, Rules
from docker_registry.v2.registry import layout
from random_rules import ACTIONS, book, some_identity, some_repository, some_rules, user
from registry_process import until

EXAMPLE = """\
# who          what             where
group admins = alice
group ci     = robot-ci robot-nightly keystone:images@Default/member
allow  everybody   pull             public/** library/*
allow  users       pull             **
allow  @ci         pull,push        team-a/** !team-a/release/**
allow  users       pull,push,delete home/{user}/**
allow  @admins     pull,push,delete **
deny   @ci         delete           **
deny   everybody   overwrite        prod/**:v*
expires robot-ci 2027-01-31
"""


def of_keystone(project, domain, *roles, name='alice'):
    scope = f'keystone:{quoted(project)}@{quoted(domain)}'
    return Identity(f'{name}@{domain}/{project}', frozenset([scope, *(f'{scope}/{role}' for role in roles)]), 'keystone')


def may(text, identity, repository, tag=None):
    """Return the actions that rules allow, as text."""
    rights = book(text).rights(identity, repository)
    return ','.join(action for action in ACTIONS if rights.may(action, tag))


ALL = 'pull,push,delete,overwrite'


@pytest.mark.parametrize(
    'identity, repository, tag, allowed',
    [
        (ANONYMOUS, 'public/a/b', 'v1', 'pull'),
        (ANONYMOUS, 'library/a', 'v1', 'pull'),
        (ANONYMOUS, 'library/a/b', 'v1', ''),
        (ANONYMOUS, 'public', 'v1', ''),
        (ANONYMOUS, 'team-a/app', 'v1', ''),
        (user('bob'), 'team-a/app', 'v1', 'pull'),
        (user('bob'), 'home/bob/app', 'v1', ALL),
        (user('bob'), 'home/bobby/app', 'v1', 'pull'),
        (user('bob'), 'home/alice/app', 'v1', 'pull'),
        (user('alice'), 'team-a/app', 'v1', ALL),
        (user('alice'), 'prod/app', 'v1', 'pull,push,delete'),
        (user('alice'), 'prod/app', 'latest', ALL),
        (user('alice'), 'prod/app', None, ALL),
        (user('robot-ci'), 'team-a/app', 'v1', 'pull,push,overwrite'),
        (user('robot-ci'), 'team-a/release/app', 'v1', 'pull'),
        (user('robot-ci'), 'team-b/app', 'v1', 'pull'),
        (user('robot-ci'), 'home/robot-ci/app', 'v1', 'pull,push,overwrite'),
        (of_keystone('images', 'Default', 'member'), 'team-a/app', 'v1', 'pull,push,overwrite'),
        (of_keystone('images', 'Default', 'reader'), 'team-a/app', 'v1', 'pull'),
        (of_keystone('images', 'Other', 'member'), 'team-a/app', 'v1', 'pull'),
    ],
)
def test_the_example(identity, repository, tag, allowed):
    assert may(EXAMPLE, identity, repository, tag) == allowed


@pytest.mark.parametrize(
    'line, allowed',
    [
        ('allow alice pull a', 'pull'),
        ('allow alice push a', 'pull,push,overwrite'),
        ('allow alice delete a', 'pull,delete'),
        ('allow alice push,overwrite a', 'pull,push,overwrite'),
        ('allow alice push,delete a', ALL),
        ('allow alice push,delete **\ndeny alice pull a', ''),
        ('deny users pull a\nallow alice push,delete **', ''),
        ('allow alice push,delete **\ndeny alice push a', 'pull,delete'),
        ('allow alice push,delete **\ndeny alice delete a', 'pull,push,overwrite'),
        ('allow alice push,delete **\ndeny alice overwrite a', 'pull,push,delete'),
        ('allow alice push,delete **\ndeny alice pull b', ALL),
        ('allow alice push,delete **\ndeny bob pull a', ALL),
        ('allow alice push,delete ** !a', ''),
        ('allow alice push,delete ** !a\nallow alice pull a', 'pull'),
        ('allow alice push,delete **\ndeny alice pull ** !a', ALL),
        ('allow alice push !a ** !b', ''),
        ('allow bob,alice push a', 'pull,push,overwrite'),
        ('allow bob,@g push a\ngroup g = carol alice', 'pull,push,overwrite'),
        ('allow everybody push a', 'pull,push,overwrite'),
        ('allow users push a', 'pull,push,overwrite'),
        ('allow bob push a', ''),
        ('\tallow\t alice  pull\ta # for now\r\n# allow alice push a\n\n', 'pull'),
    ],
)
def test_what_a_line_gives_and_takes(line, allowed):
    assert may(line, user('alice'), 'a') == may(line, user('alice'), 'a', 'v1') == allowed


@pytest.mark.parametrize(
    'lines, tag, allowed',
    [
        # An allow
        ('allow alice push,delete a:v*', 'v1', ALL),
        ('allow alice push,delete a:v*', 'x', 'pull'),
        ('allow alice push,delete a:v*', None, 'pull,push,overwrite'),
        ('allow alice push,delete a !a:v*', 'v1', 'pull'),
        ('allow alice push,delete a !a:v*', 'x', ALL),
        ('allow alice push,delete a !a:v*', None, ALL),
        ('allow alice push,delete a:v* !a:*-rc', 'v1-rc', 'pull'),
        ('allow alice push,delete a:v* !a:*-rc', 'v1', ALL),
        ('allow alice push,delete a:v* b', 'x', 'pull'),
        ('allow alice push,delete a:v* a:x', 'x', ALL),
        ('allow alice push,delete a:v* a', 'x', ALL),
        ('allow alice push,delete a:v* a', None, ALL),
        # A deny
        ('allow alice push,delete a\ndeny alice push,delete a:v*', 'v1', 'pull'),
        ('allow alice push,delete a\ndeny alice push,delete a:v*', 'x', ALL),
        ('allow alice push,delete a\ndeny alice push,delete a:v*', None, ALL),
        ('allow alice push,delete a\ndeny alice overwrite a:v*', 'v1', 'pull,push,delete'),
        ('allow alice push,delete a\ndeny alice push a !a:v*', 'v1', ALL),
        ('allow alice push,delete a\ndeny alice push a !a:v*', 'x', 'pull,delete'),
        ('allow alice push,delete a\ndeny alice push a !a:v*', None, ALL),
        ('allow alice push,delete a\ndeny alice delete a !a:v*', 'v1', ALL),
        ('allow alice push,delete a\ndeny alice delete a !a:v*', None, 'pull,push,overwrite'),
        ('allow alice push,delete a\ndeny alice push a:v* a', None, 'pull,delete'),
    ],
)
def test_tags(lines, tag, allowed):
    assert may(lines, user('alice'), 'a', tag) == allowed


@pytest.mark.parametrize(
    'lines, action, depends',
    [
        ('allow alice push a', 'push', False),
        ('allow alice push a:v*', 'push', True),
        ('allow alice push a:v*', 'overwrite', True),
        ('allow alice push a:v*', 'pull', False),
        ('allow alice push a:v*', 'delete', False),
        ('allow alice push a:v* a', 'push', False),
        ('allow alice push a !a:v*', 'push', True),
        ('allow alice push b:v* a', 'push', False),
        ('allow bob push a:v*\nallow alice push a', 'push', False),
        ('allow alice push,delete a\ndeny alice delete a:v*', 'delete', True),
        ('allow alice push,delete a\ndeny alice delete a:v*', 'push', False),
        ('allow alice push,delete a\ndeny alice push a:v*', 'overwrite', True),
    ],
)
def test_whether_the_answer_may_depend_on_the_tag(lines, action, depends):
    assert book(lines).rights(user('alice'), 'a').has_tag_rules(action) is depends


@pytest.mark.parametrize(
    'lines, action, possible',
    [
        ('allow alice delete a:v*', 'delete', Decision(True, 1)),
        ('allow alice push a:v*', 'delete', Decision(False, None)),
        ('allow alice delete a !a:v*', 'delete', Decision(True, 1)),
        ('deny alice delete a:v*\nallow alice delete a', 'delete', Decision(True, 2)),
        ('deny alice delete a !a:v*\nallow alice delete a', 'delete', Decision(True, 2)),
        ('deny alice delete a\nallow alice delete a:v*', 'delete', Decision(False, 1)),
        ('allow alice push a:v*', 'push', Decision(True, 1)),
        ('allow alice push a:v*', 'pull', Decision(True, 1)),
    ],
)
def test_whether_there_may_be_a_tag_for_which_it_is_allowed(lines, action, possible):
    assert book(lines).rights(user('alice'), 'a').possible(action) == possible


def test_a_decision_names_the_deny_that_decides_or_the_first_allow():
    rights = book('deny alice delete **\nallow alice push **\nallow alice pull,delete a\ndeny alice push a:v*').rights(user('alice'), 'a')

    assert rights.decide('pull') == Decision(True, 2) and rights.decide('pull').text == 'allow, line 2'
    assert rights.decide('delete') == Decision(False, 1) and rights.decide('delete').text == 'deny, line 1'
    assert rights.decide('push', 'v1') == Decision(False, 4) and rights.decide('push', 'x') == Decision(True, 2)
    nothing = book('allow alice pull a').rights(user('bob'), 'a').decide('pull')
    assert nothing == Decision(False, None) and nothing.text == 'no line allows it'


# Who


@pytest.mark.parametrize(
    'who, identity, is_meant',
    [
        ('everybody', ANONYMOUS, True),
        ('users', ANONYMOUS, False),
        ('users', user('alice'), True),
        ('users', of_keystone('p', 'd'), True),
        ('alice', of_keystone('alice', 'alice', name='alice'), False),
        ('keystone:p@d', of_keystone('p', 'd', 'member'), True),
        ('keystone:p@d/member', of_keystone('p', 'd', 'member'), True),
        ('keystone:p@d/member', of_keystone('p', 'd', 'reader'), False),
        ('keystone:p@d/member', of_keystone('p', 'd/member'), False),
        ('keystone:p%40d@e', of_keystone('p@d', 'e'), True),
        ('keystone:p@d', of_keystone('p@d', 'd'), False),
        ('alice', user('Alice'), False),
        ('müller', user('müller'), True),
        ('alice@example.com', user('alice@example.com'), True),
    ],
)
def test_who_is_meant(who, identity, is_meant):
    assert may(f'allow {who} pull a', identity, 'a') == ('pull' if is_meant else '')
    if who not in ('everybody', 'users'):
        assert may(f'allow @g pull a\ngroup g = bob {who}', identity, 'a') == ('pull' if is_meant else '')


def test_a_user_whose_name_looks_like_a_group_is_not_in_the_group():
    rules = book('group admins = alice\nallow @admins push,delete **\nallow everybody pull public')

    assert not rules.rights(user('@admins'), 'a').may('pull')
    assert not rules.rights(user('alice,@admins'), 'a').may('pull')


@pytest.mark.parametrize(
    'identity, repository, matches',
    [
        (user('alice'), 'home/alice/app', True),
        (user('alice'), 'home/alice', False),
        (user('a.b-c_d'), 'home/a.b-c_d/app', True),
        (user('Alice'), 'home/alice/app', False),
        (user('*'), 'home/alice/app', False),
        (user('a/b'), 'home/a/b/app', False),
        (user('a-'), 'home/a-/app', False),
        (ANONYMOUS, 'home/app', False),
        (Identity('alice', frozenset(['keystone:p@d']), 'keystone'), 'home/alice/app', False),
    ],
)
def test_a_user_has_a_place_if_the_name_can_be_one(identity, repository, matches):
    assert may('allow everybody pull home/{user}/**', identity, repository) == ('pull' if matches else '')


def test_a_long_name_of_a_user_has_a_place_too():
    name = 'a' * 250

    assert may('allow users pull **?**/{user}**', user(name), f'xy/{name}') == 'pull'
    assert may('allow users pull {user}/{user}/**', user('a' * 120), f'{"a" * 120}/{"a" * 120}/x') == 'pull'


# The catalog


@pytest.mark.parametrize(
    'lines, everything, something',
    [
        ('allow users pull **', True, True),
        ('allow users push **', True, True),
        ('allow users pull ** !a', False, True),
        ('allow users pull a/** b', False, True),
        ('allow users pull **\ndeny alice pull a', False, True),
        ('allow users pull **\ndeny bob pull a', True, True),
        ('allow users pull **\ndeny alice push,delete **', True, True),
        ('allow users pull a\nallow users pull **', True, True),
        ('allow bob pull **', False, False),
        ('allow users pull {user}\ndeny alice pull **', False, True),
        ('deny alice push **\nallow bob pull **', False, False),
    ],
)
def test_who_pulls_everything_and_something(lines, everything, something):
    rules = book(lines)

    assert (rules.pulls_everything(user('alice')), rules.pulls_something(user('alice'))) == (everything, something)


def test_nobody_pulls_something_from_the_places_of_users_but_users():
    assert not book('allow everybody pull home/{user}/**').pulls_something(ANONYMOUS)


@pytest.mark.parametrize(
    'lines, text, after',
    [
        ('allow users pull b/** d/*', '', 'b/'),
        ('allow users pull b/** d/*', 'a/x', 'b/'),
        ('allow users pull b/** d/*', 'b/x/_layers', 'b/x/_layers'),
        ('allow users pull b/** d/*', 'b0', 'd/'),
        ('allow users pull b/** d/*', 'd0', None),
        ('allow users pull b', '', 'b/_'),
        ('allow users pull b', 'b/_layers', 'b/_layers'),
        ('allow users pull b', 'b/_~', 'b/_~'),
        ('allow users pull b', 'b/a', None),
        ('allow users pull b', 'b/x', None),
        ('allow users pull b*', 'a', 'b'),
        ('allow users pull home/{user}/*', 'home/a', 'home/alice/'),
        ('allow users pull ** !b/**', 'b/0', 'b/_'),
        ('allow users pull ** !b/**', 'b/_~', 'b/_~'),
        ('allow users pull ** !b/**', 'b/c', 'b0'),
        ('allow users pull **\ndeny users pull b**', 'b/x', 'c'),
        ('allow users pull **\ndeny users pull b** !b/x', 'b/x', 'b/x/_'),
        ('allow users pull **\ndeny users push b**', 'b/x', 'b/x'),
        ('allow users pull **\ndeny bob pull **', 'b/x', 'b/x'),
        ('allow users pull **\ndeny alice pull **', '', None),
        ('allow users pull **', '', ''),
    ],
)
def test_a_listing_goes_on_where_there_may_be_more_to_see(lines, text, after):
    assert book(lines).visible(user('alice')).after(text) == after


# The same by a naive way


def naive_regex(pattern, name):
    parts = re.findall(r'\*\*+|.', pattern.replace('{user}', name if name and re.fullmatch('[a-z0-9]+', name) else '\0'))
    return ''.join('.*' if part.startswith('**') else {'*': '[^/]*', '?': '[^/]'}.get(part, re.escape(part)) for part in parts)


def naive_may(text, name, groups, action, repository, tag):
    """Return whether a user may do something, straight from the words of the specification."""

    def names(where):
        repositories, colon, tags = where.partition(':')
        if not re.fullmatch(naive_regex(repositories, name), repository, re.DOTALL):
            return False
        return tag is not None and bool(re.fullmatch(naive_regex(tags, ''), tag)) if colon else True

    def could_name(where):
        """For a question without a tag: whether it names the repository, whatever tags it says."""
        return bool(re.fullmatch(naive_regex(where.partition(':')[0], name), repository, re.DOTALL))

    allowed = denied = False
    for line in text.splitlines():
        kind, who, what, *where = line.split()
        meant = {'everybody', *(['users', name] if name else []), *(f'@{group}' for group in groups)}
        does = set(what.split(','))
        if kind == 'allow':
            does |= {'pull'} | ({'overwrite'} if 'push' in does else set())
        elif 'pull' in does:
            does = set(ACTIONS)
        elif 'push' in does:
            does |= {'overwrite'}
        if not meant & set(who.split(',')) or action not in does:
            continue
        ours, others = [one for one in where if one[0] != '!'], [one[1:] for one in where if one[0] == '!']
        if action == 'pull' or tag is None and action != 'delete':
            if kind == 'allow':
                is_about = any(map(could_name, ours)) and not any(could_name(one) for one in others if ':' not in one)
            else:
                is_about = any(could_name(one) for one in ours if ':' not in one) and not any(map(could_name, others))
        else:
            is_about = any(map(names, ours)) and not any(map(names, others))
        allowed, denied = allowed or is_about and kind == 'allow', denied or is_about and kind == 'deny'
    return allowed and not denied


@given(some_rules, some_identity, some_repository, strategies.sampled_from([None, 'v', 'vw', 'w', 'x']))
@settings(max_examples=400)
def test_rights_are_those_of_the_naive_way(found, identity, repository, tag):
    text, groups = '\n'.join(found), ['g'] if identity.name in ('a', 'c') else []
    rights = book(f'{text}\ngroup g = a c').rights(identity, repository)

    for action in ACTIONS:
        assert rights.may(action, tag) == naive_may(text, identity.name, groups, action, repository, tag), action
        assert rights.possible(action).allowed or not rights.may(action, tag)
        if not rights.has_tag_rules(action):
            assert rights.possible(action) == rights.decide(action, tag)
            assert rights.may(action, tag) == rights.may(action, 'other')
    assert not rights.may('push', tag) or rights.may('pull', tag)


@given(some_rules, some_identity, strategies.lists(some_repository, unique=True), some_repository, strategies.sampled_from('_~0a'))
@settings(max_examples=200)
@example(['allow a pull **', 'deny a pull a/**'], user('a'), ['a', 'a/b'], 'a', '0')
def test_a_listing_passes_by_no_repository_that_one_may_see(found, identity, repositories, start, after):
    rules = book('\n'.join(found) + '\ngroup g = a c')
    visible = rules.visible(identity)
    text = f'{start}/{after}'
    reached = visible.after(text)

    assert reached is None or reached >= text and visible.after(reached) == reached
    for repository in repositories:
        path = layout.revisions(repository)[len(layout.REPOSITORIES) + 1 :]
        assert visible.sees(repository) == rules.rights(identity, repository).may('pull')
        if visible.sees(repository):
            assert rules.pulls_something(identity) and visible.after(path) == path
            assert path < text or reached is not None and reached <= path
        else:
            assert not rules.pulls_everything(identity)


# The time


def test_a_question_about_a_known_repository_costs_microseconds_with_many_rules():
    rules = book('\n'.join(f'allow user-{number},users push team-{number}/** !team-{number}/**/x:v*' for number in range(1000)))
    alice = user('alice')

    def ask(repository):
        assert rules.rights(alice, repository).may('push', 'v1')

    new = (f'team-{number}/app' for number in range(1000))
    assert processor.seconds(lambda: ask(next(new)), 0.02) < 0.02
    assert processor.seconds(lambda: ask('team-7/app'), 0.0002, 100) < 0.0002


def test_the_worst_patterns_take_no_time_that_a_client_could_use():
    """A line of 10,000 characters with the worst patterns, for the longest name."""
    rules = book('allow users push ' + ' '.join(['**a*b/?' * 36] * 30 + ['x:' + '*a' * 127]))
    rights = rules.rights(user('alice'), 'a' * 255)

    def ask():
        assert not rules.visible(user('alice')).sees('a' * 255) and not rights.may('push', 'a' * 128)

    assert processor.seconds(ask, 0.01) < 0.01


# The file


def rewrite(path, content):
    """Replace the file with one that was written long ago, so that it counts at once."""
    new = path.with_name('new')
    new.write_text(content)
    os.utime(new, (1000, 1000))
    new.rename(path)


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'rules').write_text(EXAMPLE)
    return tmp_path / 'rules'


def test_a_changed_file_counts_at_once(path, caplog):
    caplog.set_level('INFO')
    rules = Rules(str(path))
    assert rules.rights(user('alice'), 'a').may('delete') and rules.visible(user('alice')).sees('a')
    rewrite(path, 'allow bob pull **\n')

    assert not rules.rights(user('alice'), 'a').may('pull') and rules.rights(user('bob'), 'a').may('pull')
    assert not rules.visible(user('alice')).sees('a') and not rules.pulls_something(user('alice')) and rules.pulls_everything(user('bob'))
    assert rules.expires('robot-ci') is None
    assert f'{path} has changed and was read again: 1 rules' in caplog.text


def test_a_file_that_is_half_written_does_not_count_yet(path, monkeypatch):
    rules = Rules(str(path))
    with monkeypatch.context() as patch:
        patch.setattr(watched, 'SETTLED_SECONDS', 3600)  # for as long as it takes to ask
        path.write_text('allow')
        assert rules.rights(user('alice'), 'a').may('delete')
        path.write_text('allow bob pull **')
        assert rules.rights(user('alice'), 'a').may('delete')

    until(lambda: rules.rights(user('bob'), 'a').may('pull') and not rules.rights(user('alice'), 'a').may('delete'))


@pytest.mark.parametrize('content', ['allow alice pull\n', 'allow alice pull **\nallow\n', '', None])
def test_while_the_file_cannot_be_used_every_question_fails(path, caplog, content):
    rules = Rules(str(path))
    rules.rights(user('alice'), 'a')
    if content is None:
        path.unlink()
    else:
        rewrite(path, content)

    questions = (rules.pulls_everything, rules.pulls_something, rules.visible, lambda identity: rules.rights(identity, 'a'))
    for ask in (*questions, lambda identity: rules.expires('robot-ci')):
        with pytest.raises(Broken, match='cannot be used'):
            ask(user('alice'))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f'nobody gets in until you correct the file of rules: {path}')
    rewrite(path, EXAMPLE)
    assert rules.rights(user('alice'), 'a').may('delete')


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again(path, caplog, monkeypatch):
    """It has not changed, so nobody would have to touch it: perhaps the process had too many files open."""
    rules = Rules(str(path))
    rewrite(path, 'allow bob pull **\n')

    def refused(*arguments, **named):
        raise OSError(errno.EMFILE, 'Too many open files')

    with monkeypatch.context() as patched:
        patched.setattr(rule_lines, 'open', refused, raising=False)
        for _ in range(3):
            with pytest.raises(Broken):
                rules.rights(user('bob'), 'a')
    assert len(caplog.records) == 1
    assert rules.rights(user('bob'), 'a').may('pull')


def test_a_broken_file_is_an_error_from_the_start(path):
    path.write_text('allow alice pull **\nallow alice pull\nallow\nx\n')

    with pytest.raises(Broken) as error:
        Rules(str(path))
    assert str(error.value) == (
        f'{path}, line 2: something is missing. Write allow WHO WHAT WHERE... (and 2 more: registry-swift rules --check)'
    )


def test_a_login_may_have_a_last_day(path):
    rules = Rules(str(path))

    assert rules.expires('robot-ci') == datetime.date(2027, 1, 31) and rules.expires('alice') is None
    assert str(rules) == f'the rules of {path}'
