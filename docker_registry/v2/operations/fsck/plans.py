"""Repairs that are planned first, and done in their order: so no name is written before the bytes that it names."""

import enum
from collections.abc import Callable
from typing import NamedTuple

from docker_registry.v2.operations.fsck.findings import UNKNOWN, Finding
from docker_registry.v2.operations.fsck.looks import NotKnown


class Stage(enum.IntEnum):
    """The order of repairs of names. Data come before all of them."""

    REVISION, LAYER, TAG, REFERRER = range(4)


class Plan(NamedTuple):
    """A repair of a name.

    :param do: returns whether it has repaired the finding, or found it repaired; raises `NotKnown`
    """

    stage: Stage
    finding: Finding
    do: Callable[[], bool]


def carry_out(plans: list[Plan]) -> list[Finding]:
    """Do all repairs. Return what could not be found out, besides the findings of the plans."""
    unknown = []
    for plan in sorted(plans, key=lambda plan: plan.stage):
        try:
            plan.finding.repaired = plan.do()
        except NotKnown as error:
            unknown.append(Finding(UNKNOWN, f'not repaired: {plan.finding.what} ({error})', plan.finding.repository, plan.finding.tags))
    return unknown
