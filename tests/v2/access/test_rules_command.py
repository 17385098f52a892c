"""The command `registry-swift rules`."""

import json
import re
import textwrap

import pytest

from docker_registry.v2 import cli
from docker_registry.v2.access import htpasswd
from docker_registry.v2.cli import ruling

RULES = """\
group ci = robot-ci keystone:images@Default/member
allow everybody pull public/**
allow users pull **
allow @ci pull,push team-a/**   # builds
allow @ci push prod/**
deny  @ci delete **
deny  everybody overwrite prod/**:v*
allow swift:AUTH_a push,delete swift/**
expires robot-ci 2999-01-31
expires robot-old 2020-01-31
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'rules').write_text(RULES)
    return str(tmp_path / 'rules')


def said(capsys, *arguments, status=0):
    assert cli.main(['rules', *arguments]) == status
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments):
    assert cli.main(['rules', *arguments]) == 1
    output = capsys.readouterr()
    assert output.out == '' and output.err.count('\n') == 1
    return output.err.removeprefix('registry-swift: ').strip()


def test_it_says_what_a_user_may_do_and_which_line_says_so(capsys, path):
    assert said(capsys, path, 'robot-ci', 'team-a/app:v1') == [
        'robot-ci, team-a/app:v1',
        'pull       yes  line 3: allow users pull **',
        'push       yes  line 4: allow @ci pull,push team-a/**',
        'delete     no   line 6: deny @ci delete **',
        'overwrite  yes  line 4: allow @ci pull,push team-a/**',
        'The login of robot-ci ends at the beginning of 2999-01-31 (UTC).',
    ]


def test_it_says_what_everybody_may_do(capsys, path):
    assert said(capsys, path, 'everybody', 'public/app')[1:] == [
        'pull       yes  line 2: allow everybody pull public/**',
        'push       no   no line allows it',
        'delete     no   no line allows it',
        'overwrite  no   no line allows it',
    ]


def test_it_says_if_the_answer_depends_on_the_tag(capsys, path):
    assert said(capsys, path, 'robot-ci', 'prod/app')[-2] == (
        'Some lines are about tags. Ask again with a tag: overwrite may be different.'
    )
    assert said(capsys, path, 'robot-ci', 'prod/app:v1')[-2] == 'overwrite  no   line 7: deny everybody overwrite prod/**:v*'


def test_it_says_if_a_login_has_ended(capsys, path):
    assert said(capsys, path, 'robot-old', 'a')[-1] == 'The login of robot-old ended at the beginning of 2020-01-31 (UTC).'


@pytest.mark.parametrize(
    'who, repository, allowed',
    [
        ('keystone:images@Default/member', 'team-a/app', ['pull', 'push', 'overwrite']),
        ('keystone:images@Default', 'team-a/app', ['pull']),
        ('keystone-user:a@b,keystone:images@Default/member', 'team-a/app', ['pull', 'push', 'overwrite']),
        ('swift:AUTH_a', 'swift/app', ['pull', 'push', 'delete', 'overwrite']),
        ('swift-user:me@AUTH_a', 'swift/app', ['pull', 'push', 'delete', 'overwrite']),
    ],
)
def test_it_knows_the_principals_of_other_logins(capsys, path, who, repository, allowed):
    answers = [json.loads(line) for line in said(capsys, '--json', path, who, repository)]

    assert [answer['action'] for answer in answers if answer['allowed']] == allowed


def test_json_has_the_same(capsys, path):
    pull, push, delete, overwrite = [json.loads(line) for line in said(capsys, '--json', path, 'robot-ci', 'team-b/app')]

    assert pull == {'action': 'pull', 'allowed': True, 'line': 3, 'text': 'allow users pull **', 'login_ends': '2999-01-31'}
    assert push == {'action': 'push', 'allowed': False, 'line': None, 'text': None, 'login_ends': '2999-01-31'}
    assert (delete['line'], overwrite['allowed']) == (6, False)


@pytest.mark.parametrize(
    'arguments, why',
    [
        ([], 'name a user and a repository, or use --check with nothing but the file'),
        (['alice'], 'name a user and a repository, or use --check with nothing but the file'),
        (['--check', 'alice'], 'name a user and a repository, or use --check with nothing but the file'),
        (['--check', 'alice', 'a'], 'name a user and a repository, or use --check with nothing but the file'),
        (['users', 'a'], "'users' is not one user. Write the name of one of them, or everybody"),
        (['@ci', 'a'], "'@ci' is not one user. Write the name of one of them, or everybody"),
        (['keystone:a@b,alice', 'a'], "'keystone:a@b,alice' has a name and a principal. Write principals only"),
        (['x:y', 'a'], "'x:' is not a kind of login. Known are keystone:, keystone-user:, swift:, swift-user:"),
        (['alice', 'A'], 'invalid repository name'),
        (['alice', 'a:'], 'invalid tag'),
    ],
)
def test_a_question_that_cannot_be_answered(capsys, path, arguments, why):
    options = [word for word in arguments if word.startswith('--')]
    assert refused(capsys, *options, path, *arguments[len(options) :]) == why


def test_a_file_that_is_wrong_answers_nothing(capsys, tmp_path):
    (tmp_path / 'rules').write_text('allow users pull **\nallow users\nallow\n')

    assert refused(capsys, str(tmp_path / 'rules'), 'alice', 'a') == (
        f'{tmp_path}/rules, line 2: something is missing. Write allow WHO WHAT WHERE... (and 1 more: registry-swift rules --check)'
    )
    assert 'cannot be read' in refused(capsys, str(tmp_path / 'nothing'), '--check')


def test_a_check_says_all_mistakes_and_warnings_at_once(capsys, tmp_path):
    path = str(tmp_path / 'rules')
    (tmp_path / 'rules').write_text('expires bob 2020-01-31\nallow alice pull\nallow @a pull **\nallow bobb pull **\n')
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\nbob:%b\n' % (htpasswd.make(b'a', 4), htpasswd.make(b'b', 4)))
    arguments = ['--check', '--htpasswd', str(tmp_path / 'htpasswd'), path]

    assert said(capsys, *arguments, status=1) == [
        f'{path}, line 1: warning: the login of bob has ended',
        f'{path}, line 2: something is missing. Write allow WHO WHAT WHERE...',
        f"{path}, line 3: there is no group 'a'. Add a line: group a = MEMBER...",
        f'{path}, line 4: warning: the htpasswd file has no user bobb',
        '2 lines allow or deny something, 2 mistakes, 2 warnings',
    ]
    assert json.loads(said(capsys, '--json', *arguments, status=1)[1]) == {
        'line': 2,
        'kind': 'mistake',
        'text': 'something is missing. Write allow WHO WHAT WHERE...',
    }


def test_a_file_with_nothing_but_warnings_is_right(capsys, path):
    assert said(capsys, '--check', path)[-1] == '7 lines allow or deny something, 0 mistakes, 1 warnings'


def test_the_help_shows_what_the_command_prints(capsys, tmp_path):
    file = re.search(r'\n\n((?:    (?:#|group|allow|deny) .*\n)+)', ruling.RULES)[1]
    output = re.search(r'\n((?:        .*\n)+)', ruling.RULES)[1]
    (tmp_path / 'rules').write_text(textwrap.dedent(file))

    assert said(capsys, str(tmp_path / 'rules'), 'robot-ci', 'team-a/app:v1') == textwrap.dedent(output).splitlines()
    assert said(capsys, '--check', str(tmp_path / 'rules'))[-1].endswith('0 mistakes, 0 warnings')
