"""deploy/Dockerfile.v1: the v1 registry's image with the driver added, run with the options of the walk-through."""

import os
import subprocess

import pytest

import bases
import conftest
import containers
from docker_registry.drivers.swift import __version__

TESTS = os.path.join(bases.CHECKOUT, 'tests', 'registry')

# The client for the v1 API runs on Python 2.7 only, as the v1 registry does.
CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from v1_client import V1Client, expected_of
from v1_image import real_image
image = real_image(sys.argv[2])
V1Client(('127.0.0.1', int(sys.argv[3]))).push('parente/registry-swift', image, '0.9.1')
print('pushed')
sys.stdout.flush()
other = int(sys.stdin.readline())
assert V1Client(('127.0.0.1', other)).pull('parente/registry-swift', '0.9.1') == expected_of(image)
print('pulled')
"""


@pytest.fixture(scope='module')
def v1_image(docker, v1_base):
    """The name of the image that is built from deploy/Dockerfile.v1."""
    with open(os.path.join(bases.CHECKOUT, 'deploy', 'Dockerfile.v1')) as dockerfile:
        done = docker.run(
            'build', '--network', 'host', '--build-arg', 'BASE=' + v1_base, '--tag', 'registry-swift-v1', '-', stdin=dockerfile.read()
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return 'registry-swift-v1'


@pytest.fixture
def run_v1(docker, v1_image, place):
    """A function that starts the image by `docker run` with the walk-through's variables."""
    started = []

    def run():
        started.append(
            containers.RegistryContainer(
                docker, v1_image, containers.walkthrough(place.swift, place.container), options=(), ready_path='/v1/_ping'
            )
        )
        return started[-1].wait()

    yield run
    for registry in started:
        print('--- %s' % registry.name, *registry.log.splitlines()[-conftest.LOG_LINES :], sep='\n')
        registry.remove()


def test_pip_has_added_this_driver_and_moved_none_of_the_registrys_pins(docker, v1_image):
    installed = docker('run', '--rm', '--network', 'none', v1_image, 'pip', 'list', '--format=freeze').split()
    with open(os.path.join(TESTS, 'requirements-0.9.1.txt')) as file:
        pins = {line.strip() for line in file if '==' in line}

    assert 'docker-registry-driver-swift==%s' % __version__ in installed
    assert len(pins) > 10 and pins <= set(installed)


def test_what_is_pushed_to_one_is_pulled_from_another(run_v1, folder):
    registry = run_v1()
    client = subprocess.Popen(
        [os.path.join(bases.V1_RELEASE, 'bin', 'python'), '-c', CLIENT, TESTS, folder, str(registry.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdout.readline() == 'pushed\n'
        registry.kill()
        said, _ = client.communicate('%d\n' % run_v1().port)

    assert (client.returncode, said) == (0, 'pulled\n')
