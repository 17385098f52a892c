"""The file of rules for `registry-swift retain`."""

import pathlib

import pytest
from hypothesis import given, strategies

from docker_registry.v2.operations import retention_rules
from docker_registry.v2.registry.patterns import Pattern

EXAMPLE = pathlib.Path(__file__).parents[3] / 'deploy' / 'retention.yaml'
DAY = 86400


def rules(text, repository='a'):
    return retention_rules.parse(text, 'rules.yaml').of(repository)


def test_the_example():
    found = retention_rules.read(str(EXAMPLE))

    (first, last) = found.of('ci/app/x')
    assert (first.younger_than, first.untagged, first.orphans, first.newest) == (14 * DAY, DAY, None, 0)
    assert first.tags == (Pattern('pr-*'), Pattern('mr-*'))
    assert (last.newest, last.younger_than, last.untagged, last.orphans) == (10, 30 * DAY, 7 * DAY, 30 * DAY)
    assert [pattern.text for pattern in last.matching] == ['latest', 'stable', 'v*']
    assert found.of('team/app') == [last]
    assert [rule.keeps_all for rule in found.of('mirror/x')] == [True]
    assert found.of('other') == found.of('team/app/x') == []


def test_one_pattern_needs_no_list():
    (rule,) = rules('rules: [{repositories: a, keep: {matching: v1}}]')

    assert (rule.repositories, rule.matching) == ((Pattern('a'),), (Pattern('v1'),))


def test_a_rule_that_keeps_nothing_says_so():
    (rule,) = rules('rules: [{repositories: a, keep: none}]')

    assert (rule.keeps_all, rule.newest, rule.younger_than, rule.matching) == (False, 0, None, ())


@pytest.mark.parametrize(
    'text, line, why',
    [
        ('', 1, 'no rules'),
        ('# nothing\n', 1, 'no rules'),
        ('rules:\n', 1, 'must be a list'),
        ('rules: []\n', 1, 'no rules'),
        ('rules: text', 1, 'must be a list'),
        ('- a', 1, 'rules'),
        ('rule:\n- a', 1, "'rule' is not known"),
        ('rules:\n- repositories: a\n', 2, 'keep is missing'),
        ('rules:\n- keep: none\n', 2, 'repositories is missing'),
        ('rules:\n- repositories: a\n  keep:\n', 3, 'keep must say what to keep'),
        ('rules:\n- repositories: a\n  keep: {}\n', 3, 'empty'),
        ('rules:\n- repositories: a\n  keep: nothing\n', 3, "not 'nothing'"),
        ('rules:\n- repositories: a\n  keep: []\n', 3, 'keys'),
        ('rules:\n- repositories: a\n  keep:\n    newest: 0\n', 4, 'at least 1'),
        ('rules:\n- repositories: a\n  keep:\n    newest: -1\n', 4, 'at least 1'),
        ('rules:\n- repositories: a\n  keep:\n    newest: ten\n', 4, 'whole number'),
        ('rules:\n- repositories: a\n  keep:\n    newest: ²\n', 4, 'whole number'),
        ('rules:\n- repositories: a\n  keep:\n    newest: [1]\n', 4, 'one value'),
        ('rules:\n- repositories: a\n  keep:\n    younger-than: 30\n', 4, '7d'),
        ('rules:\n- repositories: a\n  keep:\n    younger-than: 0\n', 4, 'keep: none'),
        ('rules:\n- repositories: a\n  keep:\n    matching: []\n', 4, 'empty list'),
        ('rules:\n- repositories: a\n  keep:\n    matching: ["v[0-9]"]\n', 4, 'no pattern'),
        ('rules:\n- repositories: a\n  keep:\n    younger_than: 30d\n', 4, 'younger-than'),
        ('rules:\n- repositories: []\n  keep: none\n', 2, 'empty list'),
        ('rules:\n- repositories:\n  keep: none\n', 2, 'no pattern'),
        ('rules:\n- repositories: a\n  keep: none\n  keep: all\n', 4, 'twice'),
        ('rules:\n- repositories: a\n  keep: none\n  untagged: soon\n', 4, '7d'),
        ('rules:\n- repositories: a\n  keep: none\n  [a]: b\n', 4, 'not known'),
        ('rules:\n- repositories: *\n  keep: none\n', 2, 'Quote'),
        ('rules:\n- repositories: a\n   keep: none\n', 3, 'not valid YAML'),
        ('rules: []\n---\nrules: []\n', 2, 'not valid YAML'),
        ('rules:\n- \0', 2, 'not valid YAML'),
        ('rules: "\\ud800"\n- a', 2, 'not valid YAML'),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, line, why):
    with pytest.raises(retention_rules.Broken) as error:
        rules(text)

    assert str(error.value).startswith(f'rules.yaml, line {line}: ') and why in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [None, b'\xff', b' ' * (1024**2 + 1), b'[' * 100000])
def test_a_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / 'rules.yaml'
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(retention_rules.Broken, match=r'rules\.yaml'):
        retention_rules.read(str(path))


@given(strategies.text('rules:repositories\n -[]{}keep,none*&a!"\'', max_size=60))
def test_no_text_makes_it_fail_otherwise(text):
    try:
        retention_rules.parse(text, 'rules.yaml')
    except retention_rules.Broken:
        pass
