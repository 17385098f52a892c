"""While somebody attacks the registry, other clients get their answers in time, and the processes of the registry live on."""

import pytest

import processor
from catalogue import ATTACKS
from outcome import measure

LIMIT = 0.5  # seconds that 99 of 100 requests for /healthz and small pulls take at most, on a machine that is not slow
MOST_MEMORY = 400 * 10**6  # bytes of a worker
EACH = [(one, tls) for one in ATTACKS.values() for tls in one.over]


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'TLS'])
def test_a_registry_in_peace_is_quick(bench, outcomes, tls):
    outcome = measure(bench, None, tls, processor.slowness())
    outcomes.append(outcome)
    assert outcome.slow(LIMIT) == []


@pytest.mark.parametrize('one, tls', EACH, ids=[f'{one.name}{" (TLS)" if tls else ""}' for one, tls in EACH])
def test_others_are_served_during(bench, outcomes, one, tls):
    outcome = measure(bench, one, tls, processor.slowness())
    outcomes.append(outcome)
    assert outcome.counts.get('connections'), outcome.counts
    assert outcome.slow(LIMIT) == []
    assert outcome.restarts == 0
    assert outcome.memory < MOST_MEMORY
