"""The files in deploy/ that run commands beside the registry: other tools accept them, and so does the command."""

import pathlib
import shlex
import shutil
import subprocess

import pytest
import yaml

from docker_registry.v2 import cli

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
