"""Environments like those of users, and the sdist to install there.

This module imports neither the driver nor its requirements: the environment that runs these tests has neither.
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
NO_CONSTRAINTS = {'PIP_CONSTRAINT': os.devnull}  # `pip download` of pip 20.3 fails on a machine's constraints
FETCH = """
import sys
from docker_registry.core import driver
print(sys.modules[driver.fetch('swift').__module__].__file__)
"""


def make_sdist(folder):
    """Path of an sdist of the checkout. It is built from a copy, because setup.py writes into its own folder."""
    copy = folder / 'checkout'
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns('.[!d]*', '*.egg-info', 'build', 'dist'))
    run(sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(folder), cwd=copy)
    return str(next(folder.glob('*.tar.gz')))


def run(*command, **options):
    """Run a command and return its output. If the command fails, the failure shows all output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, '%s\n%s' % (' '.join(command), done.stdout)
    return done.stdout


@functools.cache
def find_python(version):
    """The first interpreter of this version in PATH that runs, or None. pyenv also puts commands there that do not run."""
    for folder in os.environ['PATH'].split(os.pathsep):
        path = os.path.join(folder, 'python' + version)
        if os.access(path, os.X_OK) and subprocess.run([path, '-c', ''], capture_output=True).returncode == 0:
            return path
    return None


def python(version):
    """Path of an interpreter. Without it, skip the test, or fail it if REGISTRY_TEST_REQUIRE has `packaging` or `all`."""
    found = find_python(version)
    if not found:
        required = {'packaging', 'all'} & set(os.environ.get('REGISTRY_TEST_REQUIRE', '').split(','))
        (pytest.fail if required else pytest.skip)('no python' + version)
    return found


class Environment:
    """A new virtualenv. On Python 3, the standard library creates it, with the pip that comes with that Python.

    :param pip: the version of pip to install, on 2.7
    """

    def __init__(self, folder, version, pip=None):
        self._folder = folder
        if version == '2.7':
            run(sys.executable, '-m', 'virtualenv', '--quiet', '--python', python(version), str(folder))
            self.pip('install', '--quiet', 'pip==' + pip)
        else:
            run(python(version), '-m', 'venv', str(folder))

    def python(self, *arguments, **environ):
        """The output of Python, run in a folder without modules to import. Warnings come first."""
        return run(
            str(self._folder / 'bin' / 'python'), *arguments, cwd=self._folder / 'bin', env=dict(os.environ, **NO_CONSTRAINTS, **environ)
        )

    def pip(self, *arguments, **environ):
        return self.python('-m', 'pip', *arguments, **environ)

    def fetched(self):
        """The file of the module whose class core's `fetch('swift')` returns."""
        return self.python('-c', FETCH).splitlines()[-1]

    def installed(self):
        """Names and versions of the installed packages."""
        return dict(re.findall(r'^(\S+)==(\S+)$', self.pip('list', '--format=freeze'), re.M))
