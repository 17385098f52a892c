"""Users log in while others guess passwords."""

import time

import probes
from bench import PASSWORD, start_attacker

USERS = 4
LIMIT = 2.0  # seconds for a first login; it takes a quarter of a second of a processor at cost 12


def test_right_passwords_get_in_while_others_guess(bench):
    server = bench.settled_server(False, True)
    with start_attacker('14 guessers of passwords', server, bench.content) as attacker:
        seconds = [log_in(server, f'user{number}', f'127.0.2.{number}') for number in range(1, USERS + 1)]
        assert attacker.poll() is None  # it has guessed all the time
        attacker.wait()
    assert max(seconds) < LIMIT, seconds


def log_in(server, name, address):
    """Log in for the first time, and return how many seconds that took."""
    began = time.monotonic()
    probes.Client(server.port, server.tls, f'{name}:{PASSWORD}', address).get('/v2/')
    return time.monotonic() - began
