"""Passwords in a running registry, whose worker processes share the counts of failed logins."""

import base64
import concurrent.futures
import itertools
import os
import signal
import threading
import time

import pytest

from docker_registry.drivers.swift import __version__
from docker_registry.v2.access import htpasswd
from registry_process import Serving, environment, until


def basic(password, user='alice'):
    return {'Authorization': 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()}


RIGHT = basic('correct horse')


@pytest.fixture
def users(tmp_path):
    (tmp_path / 'htpasswd').write_text(htpasswd.line('alice', 'correct horse') + '\n')
    return tmp_path / 'htpasswd'


def test_processes_count_wrong_passwords_together(fake, tmp_path, users):
    environ = environment(fake, GUNICORN_WORKERS=4, REGISTRY_HTPASSWD=users, REGISTRY_LOGIN_FAILURES=5)
    with Serving(tmp_path, environ) as server:
        until(lambda: len(server.workers) == 4)
        statuses = [server.request('GET', '/v2/', **basic(f'wrong-{number}'))[0] for number in range(20)]

    assert statuses == [401] * 5 + [429] * 15


def test_processes_count_an_old_password_once_together(fake, tmp_path, users):
    environ = environment(fake, GUNICORN_WORKERS=4, REGISTRY_HTPASSWD=users, REGISTRY_LOGIN_FAILURES=2)
    with Serving(tmp_path, environ) as server:
        until(lambda: len(server.workers) == 4)

        assert [server.request('GET', '/v2/', **basic('old'))[0] for _ in range(40)] == [401] * 40
        assert server.request('GET', '/v2/', **RIGHT)[0] == 200


def test_who_stands_behind_a_proxy_that_is_trusted_waits_alone(fake, tmp_path, users):
    environ = environment(fake, REGISTRY_HTPASSWD=users, REGISTRY_LOGIN_FAILURES=2, REGISTRY_TRUSTED_PROXIES='127.0.0.0/8')
    with Serving(tmp_path, environ) as server:
        for number in range(3):
            status = server.request('GET', '/v2/', X_Forwarded_For='192.0.2.7', **basic(f'wrong-{number}'))[0]
        assert status == 429
        assert server.request('GET', '/v2/', X_Forwarded_For='192.0.2.8', **RIGHT)[0] == 200
        until(lambda: 'from=192.0.2.8 user=alice' in server.log)


def test_attackers_with_many_addresses_keep_nobody_out(fake, tmp_path):
    """30 of them send wrong passwords as fast as they can, each from an address of its own."""
    users, end = tmp_path / 'users', threading.Event()
    users.write_text(''.join(htpasswd.line(f'user-{number}', 'correct horse', 12) + '\n' for number in range(3)))
    environ = environment(fake, GUNICORN_WORKERS=2, REGISTRY_HTPASSWD=users, REGISTRY_TRUSTED_PROXIES='127.0.0.0/8')

    def log_in(server, network, user, password):
        return server.request('GET', '/v2/', X_Forwarded_For=f'{network}.1', **basic(password, user))[0]

    def attack(server, number):
        guesses = itertools.count()
        statuses = []
        while not end.is_set():
            statuses.append(log_in(server, f'198.51.{number}', f'user-{number % 3}', f'wrong-{next(guesses)}'))
            end.wait(0.1 if statuses[-1] == 429 else 0)
        return statuses

    with Serving(tmp_path, environ) as server, concurrent.futures.ThreadPoolExecutor(30) as pool:
        attackers = [pool.submit(attack, server, number) for number in range(30)]
        try:
            until(lambda: server.log.count('a wrong password') >= 4)
            started = time.monotonic()
            statuses = [log_in(server, f'192.0.{number}', f'user-{number}', 'correct horse') for number in range(3)]
        finally:
            end.set()

        assert statuses == [200] * 3
        assert time.monotonic() - started < 3 * 10
        # A machine that hashes fast enough refuses none of them: then nobody waits for 10 seconds.
        assert {401} <= set(itertools.chain(*(attacker.result() for attacker in attackers))) <= {401, 429}


def test_a_user_is_added_while_the_registry_runs(fake, tmp_path, users):
    bob = {'Authorization': 'Basic ' + base64.b64encode(b'bob:battery').decode()}
    with Serving(tmp_path, environment(fake, GUNICORN_WORKERS=2, REGISTRY_LOGIN_FAILURES=1000), '--htpasswd', str(users)) as server:
        assert server.request('GET', '/v2/', **bob)[0] == 401
        with open(users, 'a') as file:
            file.write(htpasswd.line('bob', 'battery') + '\n')

        until(lambda: server.request('GET', '/v2/', **bob)[0] == 200)
        assert server.request('GET', '/v2/', **RIGHT)[0] == 200


@pytest.mark.parametrize(
    'options, who',
    [
        ((), 'everybody may do everything'),
        (('--htpasswd', '{users}'), 'the users of {users} may do everything'),
        (('--htpasswd', '{users}', '--anonymous-pull'), 'the users of {users} may do everything, and everybody may pull'),
    ],
)
def test_the_start_says_who_may_do_what(fake, tmp_path, users, options, who):
    with Serving(tmp_path, environment(fake), *[word.format(users=users) for word in options]) as server:
        assert who.format(users=users) + '\n' in server.log


def test_a_process_that_is_replaced_knows_no_more_than_the_others(fake, tmp_path, users):
    """A new worker does not bring back the users that were in the file when the registry started."""
    with Serving(tmp_path, environment(fake, REGISTRY_HTPASSWD=users)) as server:
        assert server.request('GET', '/v2/', **RIGHT)[0] == 200
        users.unlink()
        assert server.request('GET', '/v2/', **RIGHT)[0] == 503
        before = server.workers
        os.kill(before[0], signal.SIGKILL)
        until(lambda: server.workers and server.workers != before)

        assert until(lambda: status(server)) == 503


def status(server):
    try:
        return server.request('GET', '/v2/', **RIGHT)[0]
    except OSError:
        return None


def test_the_start_says_the_version(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        assert f'registry-swift {__version__} is listening' in server.log
