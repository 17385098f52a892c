"""The protocol of the collection loses nothing, and without any of its rules it does. docs/model.rst says what the model leaves out."""

import pytest

from . import losses, scenes
from .search import search


@pytest.mark.parametrize('name', scenes.SHORT)
def test_nothing_is_lost_and_everything_settles(name):
    result = search(scenes.SHORT[name])
    assert result.complete and not result.violation, str(result)


@pytest.mark.parametrize('rule, scene, without, violation', losses.LOSSES, ids=[loss[0] for loss in losses.LOSSES])
def test_a_rule_prevents_a_violation(rule, scene, without, violation):
    result = search(scene.without(**without))
    assert result.violation == violation, str(result)


@pytest.mark.parametrize('rule, scene, without', losses.SPARE, ids=[spare[0] for spare in losses.SPARE])
def test_a_spare_rule_prevents_nothing(rule, scene, without):
    result = search(scene.without(**without))
    assert result.complete and not result.violation, str(result)


def test_a_search_that_ends_early_says_so():
    assert not search(scenes.SHORT['two collectors'], most=100).complete
