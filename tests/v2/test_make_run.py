"""`make run`: one command starts Swift and the registry, and leaves no process of either behind."""

import hashlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from ports import free_port
from registry_process import DEADLINE, environment, until

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent.parent
BLOB = b'a layer that outlives its registry'
DIGEST = 'sha256:' + hashlib.sha256(BLOB).hexdigest()
INSTALLING = 600  # seconds that the installation may take


@pytest.fixture
def programs(tmp_path, real_swift):
    """A folder in place of an installation. Its python runs the Swift or the registry that is installed here, to save time."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    (folder / 'python').write_text(
        '#!/bin/sh\ncase $1 in\n-m) exec %s "$@" ;;\n*) exec %s "$@" ;;\nesac\n' % (sys.executable, os.environ['SWIFT_PYTHON'])
    )
    (folder / 'python').chmod(0o755)
    return folder


@pytest.fixture
def port():
    return free_port()


class Run:
    """A command in a process session of its own, as in a terminal."""

    def __init__(self, folder, command, **variables):
        self.log_path, self._environ = folder / 'run-log', clean_environment(**variables)
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(list(map(str, command)), env=self._environ, stdout=log, stderr=log, start_new_session=True)

    @property
    def log(self):
        return self.log_path.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.process.poll() is None:
            self.stop()

    def wait_until_ready(self, seconds=DEADLINE):
        until(lambda: 'docker push' in self.log or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.log

    def stop(self, number=signal.SIGINT):
        """Send a signal to all processes of the session, as Ctrl-C does, and return the exit status of the command."""
        os.killpg(self.process.pid, number)
        return self.process.wait(DEADLINE)


def clean_environment(**variables):
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'REGISTRY_', 'GUNICORN_', 'MAKE', 'MFLAGS'))
    }
    return {**environ, **variables}


def script(programs, port, data):
    return [sys.executable, CHECKOUT / 'tools' / 'run_registry.py', '--bin', programs, '--port', port, '--data', data]


def request(port, method, path, body=None):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=DEADLINE)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_starts_says_how_to_push_and_stops_all(programs, port, tmp_path):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        assert f'docker push 127.0.0.1:{port}/busybox' in run.log
        assert request(port, 'POST', f'/v2/a/blobs/uploads/?digest={DIGEST}', BLOB)[0] == 201
        children = descendants(run.process.pid)
        assert len(children) > 3

        assert run.stop() == 0
        assert [pid for pid in children if is_running(pid)] == []
        assert 'Traceback' not in run.log


def children_of(pid):
    return [int(word) for word in pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def descendants(pid):
    return [each for child in children_of(pid) for each in [child, *descendants(child)]]


def is_running(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_the_next_start_has_the_images(programs, port, tmp_path):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        request(port, 'POST', f'/v2/a/blobs/uploads/?digest={DIGEST}', BLOB)
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()

        assert request(port, 'GET', f'/v2/a/blobs/{DIGEST}') == (200, BLOB)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_it_stops_all_when_it_is_ended_otherwise(programs, port, tmp_path, number):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        children = descendants(run.process.pid)

        assert run.stop(number) == 0
        assert [pid for pid in children if is_running(pid)] == []


def test_a_second_ctrl_c_does_not_wait_for_running_requests(programs, port, tmp_path):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        with socket.create_connection(('127.0.0.1', port)) as client:
            client.sendall(
                f'POST /v2/a/blobs/uploads/?digest={DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n'
                'Expect: 100-continue\r\n\r\n'.encode()
            )
            assert client.recv(100).startswith(b'HTTP/1.1 100')
            os.killpg(run.process.pid, signal.SIGINT)
            until(lambda: 'Ctrl-C again' in run.log)

            assert run.stop() == 0


def test_with_os_auth_url_it_starts_no_swift(programs, port, tmp_path, real_swift):
    variables = environment(real_swift)
    with Run(tmp_path, script(programs, port, tmp_path / 'data'), **variables) as run:
        run.wait_until_ready()

        assert real_swift.auth_url in run.log
        assert request(port, 'GET', '/readyz')[0] == 200
        assert not (tmp_path / 'data').exists()


def failure(programs, port, tmp_path, **variables):
    done = subprocess.run(
        list(map(str, script(programs, port, tmp_path / 'data'))),
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_said_in_one_line(programs, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = failure(programs, port, tmp_path).splitlines()

    assert f'port {port}' in line and f'REGISTRY_PORT={port + 1}' in line
    assert not (tmp_path / 'data').exists()


def test_a_setting_that_is_missing_is_said(programs, port, tmp_path):
    said = failure(programs, port, tmp_path, OS_AUTH_URL='http://127.0.0.1:1/v1.0')

    assert 'OS_CONTAINER' in said


def test_a_second_run_on_the_same_data_is_refused(programs, port, tmp_path):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        assert 'another node runs' in failure(programs, free_port(), tmp_path)


def test_a_swift_that_ends_by_itself_ends_all(programs, port, tmp_path):
    with Run(tmp_path, script(programs, port, tmp_path / 'data')) as run:
        run.wait_until_ready()
        (node,) = [pid for pid in children_of(run.process.pid) if 'swift_node' in command_of(pid)]
        os.kill(node, signal.SIGKILL)

        assert run.process.wait(DEADLINE) == 1
        assert 'Swift ended by itself' in run.log


def command_of(pid):
    return pathlib.Path(f'/proc/{pid}/cmdline').read_text()


@pytest.mark.timeout(2 * INSTALLING)
def test_a_fresh_clone_needs_only_python_and_make(port, tmp_path, real_swift):
    clone = tmp_path / 'a clone'
    shutil.copytree(
        CHECKOUT, clone, ignore=shutil.ignore_patterns('.*', 'tests', 'benchmarks', '*.egg-info', 'build', '__pycache__', 'swift-data')
    )
    before = {path.name for path in clone.iterdir()}
    command = ['make', '-C', clone, 'run', f'PYTHON={sys.executable}', f'REGISTRY_PORT={port}']
    with Run(tmp_path, command, PYTHONPATH='') as run:
        run.wait_until_ready(INSTALLING)
        assert request(port, 'POST', f'/v2/a/blobs/uploads/?digest={DIGEST}', BLOB)[0] == 201
    with Run(tmp_path, command, PYTHONPATH='') as run:
        run.wait_until_ready()
        assert 'Installing' not in run.log
        assert request(port, 'GET', f'/v2/a/blobs/{DIGEST}') == (200, BLOB)

    assert {path.name for path in clone.iterdir()} - before == {'.venv-run', 'swift-data'}
    assert re.search('in +./swift-data', run.log)
