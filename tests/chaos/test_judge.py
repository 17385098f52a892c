"""What the checker excuses while replicas differ and a node is down, and what it does not."""

import pytest

import judge as judge_module
from test_ledger import DIGEST, OTHER, PLACE, Story


@pytest.fixture
def story():
    story = Story()
    story.judge.phase = f'{judge_module.DIFFERING} node 1'
    return story


def test_a_delete_that_one_node_has_not_noted_may_be_undone(story):
    story.write(1, 2, blob=judge_module.THERE)
    story.write(3, 4, blob=None)
    story.pull(PLACE, 50, 51)
    assert (story.kinds, dict(story.judge.undone)) == ([], {judge_module.BACK: 1})


def test_an_old_tag_may_be_seen(story):
    story.write(1, 2, tag=DIGEST)
    story.write(3, 4, tag=OTHER)
    story.pull_tag(DIGEST, 50, 51)
    assert (story.kinds, dict(story.judge.undone)) == ([], {judge_module.OLD: 1})


def test_nothing_that_was_stored_may_be_missing(story):
    story.write(1, 2, blob=judge_module.THERE)
    story.pull(PLACE, 50, 51, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_with_all_nodes_nothing_is_excused(story):
    story.judge.phase = 'with all nodes'
    story.write(1, 2, blob=judge_module.THERE)
    story.write(3, 4, blob=None)
    story.pull(PLACE, 50, 51)
    assert story.kinds == [judge_module.BACK]
