"""The services in deploy/: the registry, the collection and the check work with nothing but what their units let them do."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
import requests

import bases
import clients
import conftest
import servers

sys.path.append(os.path.join(bases.CHECKOUT, 'tests', 'v2'))
from event_listener import EventListener

CONFINED = os.path.join(os.path.dirname(__file__), 'confined.py')
SERVICE, COLLECTION, CHECK = 'registry-swift.service', 'registry-swift-gc.service', 'registry-swift-fsck.service'
DEBIANS_PYTHON = '/usr/bin/python3'


def confined(*command, unit=SERVICE):
    return [DEBIANS_PYTHON, CONFINED, os.path.join(bases.CHECKOUT, 'deploy', unit), *command]


@pytest.fixture(autouse=True)
def sandbox():
    conftest.need('systemd-analyze', 'setpriv')
    if subprocess.run([DEBIANS_PYTHON, '-c', 'import seccomp'], capture_output=True).returncode:
        conftest.missing('python3-seccomp is not installed')


@pytest.fixture
def start(place, monkeypatch):
    """A function that starts a registry in the sandbox of its unit."""
    start = servers.Server.__init__

    def start_confined(server, command, *arguments):
        start(server, confined(*command), *arguments)

    monkeypatch.setattr(servers.Server, '__init__', start_confined)
    return place.registry


@pytest.mark.parametrize(
    'code, error',
    [
        ('import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)', 'PermissionError'),
        ('import socket; socket.socket(socket.AF_NETLINK)', 'PermissionError'),
        ('import os; os.chroot("/")', 'PermissionError'),
        ('import os; os.nice(-1)', 'PermissionError'),
        ('open("/etc/of-the-tests", "w")', 'Read-only file system'),
        ('open("/proc/sys/kernel/core_pattern", "w")', 'FileNotFoundError'),
        ('open("/dev/kmsg")', 'FileNotFoundError'),
        ('print("all is well")', ''),
    ],
)
def test_the_sandbox_of_the_test_forbids_what_the_unit_does(code, error):
    done = subprocess.run(confined(DEBIANS_PYTHON, '-c', code), capture_output=True, text=True, timeout=servers.PATIENCE)

    assert error in done.stderr and bool(done.returncode) == bool(error), done.stderr


def test_the_registry_does_all_that_it_can_in_the_sandbox_of_its_unit(place, start, users, tls):
    """Several workers, TLS, users, rules, metrics and notifications, with logs as JSON: each reads or writes something."""
    rules, headers = os.path.join(place.folder, 'rules'), os.path.join(place.folder, 'headers')
    pathlib.Path(rules).write_text('allow users pull,push **\n')
    pathlib.Path(headers).write_text('Authorization: Bearer x\n')
    port = servers.free_port()
    with EventListener() as listener:
        registry = start(
            workers=4,  # one of them serves metrics
            GUNICORN_WORKERS='3',
            REGISTRY_TLS_CERTIFICATE=tls.certificate,
            REGISTRY_TLS_KEY=tls.key,
            REGISTRY_HTPASSWD=users,
            REGISTRY_RULES=rules,
            REGISTRY_METRICS_PORT=str(port),
            REGISTRY_METRICS_REPOSITORIES='10',
            REGISTRY_NOTIFICATIONS_URL=listener.url,
            REGISTRY_NOTIFICATIONS_HEADERS_FILE=headers,
            REGISTRY_LOG_FORMAT='json',
        )
        session = requests.Session()
        session.trust_env, session.verify, session.auth = False, tls.ca, tuple(clients.ALICE.split(':'))
        layer = os.urandom(3 * 1024**2)
        digest = 'sha256:' + hashlib.sha256(layer).hexdigest()

        begun = session.post(registry.url + '/v2/app/blobs/uploads/', timeout=30)
        pushed = session.put(registry.url + begun.headers['Location'], params={'digest': digest}, data=layer, timeout=30)
        pulled = session.get(f'{registry.url}/v2/app/blobs/{digest}', timeout=30)

        assert (begun.status_code, pushed.status_code, pulled.content) == (202, 201, layer)
        listener.wait_for(2)

    def metrics():
        lines = requests.get('http://127.0.0.1:%d/metrics' % port, timeout=30).text.splitlines()
        return dict(line.rsplit(' ', 1) for line in lines if not line.startswith('#'))

    sent = 'registry_repository_sent_bytes_total{repository="app"}'
    servers.wait_until(lambda: float(metrics().get(sent, 0)) == len(layer), 'the metrics count the pull')
    servers.wait_until(lambda: metrics()['registry_workers'] == '3.0', 'all workers have begun')
    status = pathlib.Path('/proc/%d/status' % registry.workers[0]).read_text()
    assert 'CapBnd:\t0000000000000000' in status and 'NoNewPrivs:\t1' in status and 'Seccomp:\t2' in status
    assert not [line for line in map(json.loads, registry.log.splitlines()) if line['level'] in ('ERROR', 'WARNING')], registry.log


def test_it_replaces_a_worker_and_ends_in_the_sandbox(start):
    registry = start()
    before = registry.workers
    registry.kill_workers()
    servers.wait_until(lambda: registry.workers and not set(registry.workers) & set(before), 'there are new workers')
    registry.wait()

    registry.stop()

    assert registry.process.returncode == 0


@pytest.mark.parametrize('unit, command', [(COLLECTION, ['gc']), (CHECK, ['fsck', '--sizes'])])
def test_a_job_works_in_the_sandbox_of_its_unit(place, unit, command):
    registry = place.registry()
    layer = os.urandom(1000)
    digest = 'sha256:' + hashlib.sha256(layer).hexdigest()
    assert requests.post(registry.url + '/v2/app/blobs/uploads/', params={'digest': digest}, data=layer, timeout=30).status_code == 201

    swift = place.swift
    variables = {'OS_AUTH_URL': swift.auth_url, 'OS_AUTH_VERSION': '1', 'OS_USERNAME': swift.user, 'OS_PASSWORD': swift.key}
    done = subprocess.run(
        confined(servers.program('registry-swift'), *command, unit=unit),
        env={'PATH': '/usr/bin', 'TMPDIR': place.folder, 'OS_CONTAINER': place.container, **variables},
        capture_output=True,
        text=True,
        timeout=5 * servers.PATIENCE,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert 'PermissionError' not in done.stderr
