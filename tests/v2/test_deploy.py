"""The files in deploy/ that run commands beside the registry: other tools accept them, and so does the command."""

import datetime
import json
import pathlib
import shlex
import shutil
import subprocess

import pytest
import yaml

from docker_registry.v2 import cli
from docker_registry.v2.access import rule_lines, rule_warnings

DEPLOY = pathlib.Path(__file__).parents[2] / 'deploy'


def arguments_of_service(path):
    (line,) = [line for line in path.read_text().splitlines() if line.startswith('ExecStart=')]
    program, *arguments = shlex.split(line.partition('=')[2])
    assert program.endswith('/registry-swift')
    return arguments


def containers(path):
    jobs = list(yaml.safe_load_all(path.read_text()))
    return [container for job in jobs for container in job['spec']['jobTemplate']['spec']['template']['spec']['containers']]


@pytest.mark.parametrize('path', sorted(DEPLOY.glob('*.service')), ids=lambda path: path.name)
def test_the_command_of_a_service_is_understood(path):
    assert cli.parser().parse_args(arguments_of_service(path)).run


@pytest.mark.parametrize('path', sorted(DEPLOY.glob('kubernetes-*.yaml')), ids=lambda path: path.name)
def test_the_command_of_a_cron_job_is_understood(path):
    for container in containers(path):
        assert cli.parser().parse_args(container['args']).run
        assert container['securityContext']['readOnlyRootFilesystem'] and {'mountPath': '/tmp', 'name': 'tmp'} in container['volumeMounts']


@pytest.mark.skipif(not shutil.which('systemd-analyze'), reason='systemd-analyze is not installed')
def test_systemd_understands_its_files(tmp_path):
    for path in [*DEPLOY.glob('*.service'), *DEPLOY.glob('*.timer')]:
        # This machine need not have the command where the file says.
        (tmp_path / path.name).write_text(path.read_text().replace('/usr/local/bin/registry-swift', '/bin/true'))
    units = sorted(map(str, tmp_path.iterdir()))

    checked = subprocess.run(['systemd-analyze', 'verify', '--man=no', *units], capture_output=True, text=True)

    assert units and not [line for line in checked.stderr.splitlines() if any(unit in line for unit in units)], checked.stderr


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
