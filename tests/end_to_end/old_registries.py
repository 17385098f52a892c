"""The docker-registries of 2014, with this driver and with the one that they had then, and what an old docker pushes to them."""

import json
import os
import shutil
import subprocess

import requests
from swiftclient.client import Connection

import bases
from servers import PATIENCE, Server, account, free_port

OURS, RELEASED = '', '0.2.1'  # versions of the driver
RELEASED_PINS = ['docker-registry-driver-swift==' + RELEASED, 'python-swiftclient==2.2.0']  # of the same month
PUSH = os.path.join(bases.CHECKOUT, 'tests', 'registry', 'push_images.py')


def release(version, driver, folder):
    """Return the folder of a virtualenv with a docker-registry.

    :param driver: OURS, or RELEASED: then it is a copy in which pip replaces our driver
    :param folder: for the copy
    """
    made = os.path.join(os.path.dirname(bases.V1_RELEASE), 'registry-' + version)
    if driver == OURS:
        return made
    copy = shutil.copytree(made, os.path.join(folder, 'registry-%s-%s' % (version, driver)), symlinks=True)
    pip = [os.path.join(copy, 'bin', 'python'), '-m', 'pip', '--quiet', '--disable-pip-version-check']
    for words in (['uninstall', '--yes', 'docker-registry-driver-swift'], ['install', '--no-deps', *RELEASED_PINS]):
        subprocess.run(pip + words, check=True, timeout=5 * PATIENCE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return copy


class OldRegistry(Server):
    """A docker-registry under gunicorn, with the variables and the sample configuration of the walk-through of 2014."""

    ready_path = '/v1/_ping'

    def __init__(self, folder, virtualenv, swift, container):
        connection = Connection(swift.auth_url, swift.user, swift.key)
        connection.put_container(container)  # as the walk-through says: drivers of that time did not
        connection.close()
        port = free_port()
        self._python = os.path.join(virtualenv, 'bin', 'python')
        configuration = _configuration(folder, virtualenv)
        words = ['-k', 'gevent', '-b', '127.0.0.1:%d' % port, '-w', '2', '--graceful-timeout', '3', 'docker_registry.wsgi:application']
        super().__init__(
            [self._python, os.path.join(virtualenv, 'bin', 'gunicorn'), *words],
            folder,
            {
                'DOCKER_REGISTRY_CONFIG': configuration,
                'SETTINGS_FLAVOR': 'swift',
                **account(swift, container),
                'HOME': folder,
                'GEVENT_NOWAITPID': '1',  # see tests/registry/processes.py
            },
            port,
        )

    def push(self, pushes):
        """Push images. See push_images.py."""
        done = subprocess.run(
            [self._python, PUSH, str(self.port)], input=json.dumps(pushes), capture_output=True, text=True, timeout=5 * PATIENCE
        )
        assert done.returncode == 0, done.stderr

    def pulled(self, pushes):
        """Return whether the registry has all layers of images that were pushed, byte for byte."""
        for layer in (layer for each in pushes for layer in each['layers']):
            answer = requests.get('%s/v1/images/%s/layer' % (self.url, layer['id']), timeout=PATIENCE)
            with open(layer['path'], 'rb') as file:
                if answer.status_code != 200 or answer.content != file.read():
                    return False
        return True


def _configuration(folder, virtualenv):
    """Write the sample configuration with the line that the walk-through adds to it, and return its path."""
    with open(os.path.join(virtualenv, 'lib', 'python2.7', 'site-packages', 'config', 'config_sample.yml')) as file:
        text = file.read()
    if 'swift_auth_version' not in text:
        text = text.replace('    storage: swift\n', '    storage: swift\n    swift_auth_version: _env:OS_AUTH_VERSION\n', 1)
    path = os.path.join(folder, 'config_sample.yml')
    with open(path, 'w') as file:
        file.write(text)
    return path
