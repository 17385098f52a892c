"""The health check of the image, run as a separate process, as docker runs it."""

import os
import socket
import subprocess
import sys

import pytest

from registry_process import DEADLINE, Serving, environment
from tls import make_certificate, tls_options


def health(**environ):
    """Run the health check and return (exit status, output)."""
    done = subprocess.run(
        [sys.executable, '-m', 'docker_registry.v2.http.health'],
        env={**environment_of_the_shell(), **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return done.returncode, done.stdout + done.stderr


def environment_of_the_shell():
    return {name: value for name, value in os.environ.items() if not name.startswith('REGISTRY_')}


@pytest.mark.parametrize('host', ['0.0.0.0', '127.0.0.1', '::', None])
def test_a_registry_that_answers_is_healthy_wherever_it_listens(fake, tmp_path, host):
    with Serving(tmp_path, environment(fake), *(['--host', host] if host else [])) as server:
        status, said = health(REGISTRY_PORT=str(server.port), **({'REGISTRY_HOST': host} if host else {}))

    assert (status, said.split()[-2:]) == (0, ['returns', '200'])


def test_a_registry_with_tls_is_healthy_whoever_signed_its_certificate(fake, tmp_path):
    make_certificate(tmp_path)
    with Serving(tmp_path, environment(fake), *tls_options(tmp_path)) as server:
        assert health(REGISTRY_PORT=str(server.port), REGISTRY_TLS_CERTIFICATE='/there')[0] == 0
        assert health(REGISTRY_PORT=str(server.port))[0] == 1


def test_nobody_there_is_not_healthy():
    with socket.socket() as held:  # it does not listen, and nobody else gets its port
        held.bind(('127.0.0.1', 0))
        status, said = health(REGISTRY_PORT=str(held.getsockname()[1]))

    assert status == 1 and 'no response from the registry' in said and said.count('\n') == 1


def test_a_setting_that_is_wrong_is_said():
    status, said = health(REGISTRY_PORT='many')

    assert status == 1 and 'REGISTRY_PORT' in said and said.count('\n') == 1


def test_it_starts_without_what_takes_time():
    code = (
        'import docker_registry.v2.http.health, sys; print([name for name in ("gunicorn", "werkzeug", "swiftclient", "requests", "yaml") '
        'if name in sys.modules])'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'
