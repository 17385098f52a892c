"""Environments such as users have, and the sdist that goes into them.

Nothing here imports the driver or what it needs: the environment that runs these tests has neither.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NO_COMPILER = {'CC': 'false', 'CXX': 'false'}
NO_CONSTRAINTS = {'PIP_CONSTRAINT': os.devnull}  # a machine may have some, over which `pip download` of 20.3 fails
FETCH = """
import sys
from docker_registry.core import driver
print(sys.modules[driver.fetch('swift').__module__].__file__)
"""


def make_sdist(folder):
    """Path of an sdist of a copy of the checkout, for setup.py writes into the folder it is in."""
    copy = folder / 'checkout'
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns('.[!d]*', '*.egg-info', 'build', 'dist'))
    run(sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(folder), cwd=copy)
    return str(next(folder.glob('*.tar.gz')))


def run(*command, **options):
    """What a command prints; fails with all of it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, '%s\n%s' % (' '.join(command), done.stdout)
    return done.stdout


@functools.cache
def find_python(version):
    """The first such interpreter in PATH that runs, or None: pyenv puts commands there for Pythons that are switched off."""
    for folder in os.environ['PATH'].split(os.pathsep):
        path = os.path.join(folder, 'python' + version)
        if os.access(path, os.X_OK) and subprocess.run([path, '-c', ''], capture_output=True).returncode == 0:
            return path
    return None


def python(version):
    """Path of an interpreter; skips the test without it, or fails where REGISTRY_TEST_REQUIRE says `packaging` or `all`."""
    found = find_python(version)
    if not found:
        required = {'packaging', 'all'} & set(os.environ.get('REGISTRY_TEST_REQUIRE', '').split(','))
        (pytest.fail if required else pytest.skip)('no python' + version)
    return found


class Environment:
    """A virtualenv that was just made: on Python 3 by the standard library, with the pip that came with that Python.

    :param pip: the version of pip to have, for 2.7
    """

    def __init__(self, folder, version, pip=None):
        self._folder = folder
        if version == '2.7':
            run(sys.executable, '-m', 'virtualenv', '--quiet', '--python', python(version), str(folder))
            self.pip('install', '--quiet', 'pip==' + pip)
        else:
            run(python(version), '-m', 'venv', str(folder))

    def python(self, *arguments, **environ):
        """What Python prints, in a folder where it finds nothing to import; warnings come first."""
        return run(
            str(self._folder / 'bin' / 'python'), *arguments, cwd=self._folder / 'bin', env=dict(os.environ, **NO_CONSTRAINTS, **environ)
        )

    def pip(self, *arguments, **environ):
        return self.python('-m', 'pip', *arguments, **environ)

    def fetched(self):
        """File of the module that core's `fetch('swift')` returns a class of."""
        return self.python('-c', FETCH).splitlines()[-1]

    def installed(self):
        """Names and versions of what is installed."""
        return dict(re.findall(r'^(\S+)==(\S+)$', self.pip('list', '--format=freeze'), re.M))
