"""Users log in for the first time while others make the logins slow."""

import time

import pytest

import probes
import processor
from bench import PASSWORD, start_attacker

LIMIT = 2.0  # seconds for a first login; it takes a quarter of a second of a processor at cost 12, if that is not slow


@pytest.mark.parametrize(
    'attack, users', [('14 guessers of passwords', range(1, 5)), ('40 logins of the cloud, Keystone hangs', range(5, 9))]
)
def test_right_passwords_get_in_during(bench, attack, users):
    server, slowness = bench.settled_server(False, True), processor.slowness()
    with start_attacker(attack, server, bench.content, slowness) as attacker:
        seconds = [log_in(server, f'user{number}', f'127.0.2.{number}') for number in users]
        assert attacker.poll() is None  # it has gone on all the time
        attacker.wait()
    assert max(seconds) < LIMIT * slowness, seconds


def log_in(server, name, address):
    """Log in for the first time, and return how many seconds that took."""
    began = time.monotonic()
    probes.Client(server.port, server.tls, f'{name}:{PASSWORD}', address).get('/v2/')
    return time.monotonic() - began
