"""The files in deploy/ that run commands beside the registry: other tools accept them, and so does the command."""

import datetime
import json
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import uuid

import pytest

from docker_registry.v2 import cli
from docker_registry.v2.access import rule_lines, rule_warnings
from docker_registry.v2.settings import config
from registry_process import DEADLINE, Serving, environment

needs_systemd = pytest.mark.skipif(not shutil.which('systemd-analyze'), reason='systemd-analyze is not installed')
DEPLOY = pathlib.Path(__file__).parents[2] / 'deploy'


def arguments_of_service(path):
    (line,) = [line for line in path.read_text().splitlines() if line.startswith('ExecStart=')]
    program, *arguments = shlex.split(line.partition('=')[2])
    assert program.endswith('/registry-swift')
    return arguments


@pytest.mark.parametrize('path', sorted(DEPLOY.glob('*.service')), ids=lambda path: path.name)
def test_the_command_of_a_service_is_understood(path):
    assert cli.parser().parse_args(arguments_of_service(path)).run


@needs_systemd
def test_systemd_understands_its_files(tmp_path):
    for path in [*DEPLOY.glob('*.service'), *DEPLOY.glob('*.timer')]:
        # This machine need not have the command where the file says.
        (tmp_path / path.name).write_text(path.read_text().replace('/usr/local/bin/registry-swift', '/bin/true'))
    units = sorted(map(str, tmp_path.iterdir()))

    checked = subprocess.run(['systemd-analyze', 'verify', '--man=no', *units], capture_output=True, text=True)

    assert units and not [line for line in checked.stderr.splitlines() if any(unit in line for unit in units)], checked.stderr


@needs_systemd
@pytest.mark.parametrize('path', sorted(DEPLOY.glob('*.service')), ids=lambda path: path.name)
def test_systemd_finds_a_service_safe(path):
    """1.5 of 10 is good: systemd calls it OK, and what is left is that the service may use the network."""
    done = subprocess.run(
        ['systemd-analyze', 'security', '--no-pager', '--offline=yes', '--threshold=15', path], capture_output=True, text=True
    )

    assert done.returncode == 0 and 'Overall exposure level' in done.stdout, done.stdout + done.stderr


def test_a_collection_sees_on_which_boot_of_the_machine_it_runs():
    """Else the lock of one that was killed would stay for 12 hours. See `collection.lock`."""
    assert 'ProcSubset=pid' not in (DEPLOY / 'registry-swift-gc.service').read_text().splitlines()


def test_a_service_waits_as_long_as_running_requests_may_take():
    (seconds,) = re.findall('^TimeoutStopSec=([0-9]+)$', (DEPLOY / 'registry-swift.service').read_text(), re.MULTILINE)

    assert int(seconds) > config.ServerSettings.graceful_timeout


def test_systemd_is_told_when_the_registry_listens(fake, tmp_path):
    """Type=notify: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html"""
    name = f'registry-swift-{uuid.uuid4().hex}'  # begins with @ in the variable: it is the name of no file
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(DEADLINE)
        systemd.bind('\0' + name)
        with Serving(tmp_path, environment(fake, NOTIFY_SOCKET='@' + name)):
            assert systemd.recv(1000).startswith(b'READY=1')


# Rules


@pytest.mark.parametrize(
    'who, target, allowed',
    [
        ('everybody', 'open/tool:v1', 'pull'),
        ('everybody', 'web/shop:v1', ''),
        ('ada', 'web/shop:v1', 'pull push delete overwrite'),
        ('ada', 'web/release/shop:v1', 'pull'),
        ('ada', 'data/etl:v1', 'pull'),
        ('ada', 'home/ada/x:v1', 'pull push delete overwrite'),
        ('ada', 'home/alan/x:v1', 'pull'),
        ('alan', 'data/etl:v1', 'pull push delete overwrite'),
        ('barbara', 'base/python:v3', 'pull push'),
        ('barbara', 'base/python:latest', 'pull push delete overwrite'),
        ('barbara', 'open/tool:v1', 'pull push delete overwrite'),
        ('barbara', 'web/shop:v1', 'pull'),
        ('web-ci', 'web/shop:main', 'pull push overwrite'),
        ('web-ci', 'web/shop:mr-12', 'pull push delete overwrite'),
        ('web-ci', 'web/shop', 'pull push overwrite'),
        ('web-ci', 'web/release/shop:v1', 'pull push'),
        ('web-ci', 'web/release/shop:latest', 'pull push overwrite'),
        ('web-ci', 'data/etl:v1', 'pull'),
        ('data-ci', 'data/etl:mr-12', 'pull push delete overwrite'),
        ('keystone:warehouse@Default/member', 'data/notebooks/x:v1', 'pull push overwrite'),
        ('keystone:warehouse@Default/member', 'data/etl:v1', 'pull'),
        ('keystone:warehouse@Other/member', 'data/notebooks/x:v1', 'pull'),
        ('keystone:other@Default', 'home/ada/x', 'pull'),
        ('carol', 'web/shop:v1', 'pull'),
        ('carol', 'data/etl:v1', ''),
        ('carol', 'home/carol/x:v1', 'pull push delete overwrite'),
        ('carol', 'home/ada/x:v1', ''),
        ('cluster-test', 'web/shop:main', 'pull'),
        ('cluster-test', 'home/cluster-test/x', 'pull'),
        ('cluster-prod', 'web/shop:main', ''),
        ('cluster-prod', 'web/release/shop:v1', 'pull'),
        ('cluster-prod', 'mirror/postgres:17', 'pull'),
    ],
)
def test_who_may_do_what_by_the_example_of_rules(capsys, who, target, allowed):
    assert cli.main(['rules', '--json', str(DEPLOY / 'rules'), who, target]) == 0

    answers = map(json.loads, capsys.readouterr().out.splitlines())
    assert ' '.join(answer['action'] for answer in answers if answer['allowed']) == allowed


def test_the_example_of_rules_says_nothing_that_may_not_be_meant():
    statements = rule_lines.load(str(DEPLOY / 'rules'))

    assert statements.errors == rule_warnings.of(statements, datetime.date(2026, 1, 1)) == []
