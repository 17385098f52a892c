# -*- coding: utf-8 -*-
"""One release of docker-registry in its own virtualenv, with the driver installed as users install it.

The walk-through's Dockerfile has `FROM registry:0.7.3` and `RUN pip install docker-registry-driver-swift`. Here, the
first line becomes `pip install --no-deps -r requirements-0.7.3.txt`. The second becomes `pip install` of an sdist of this
checkout, with dependencies and without force. If that changed a version that the registry pins, test_v1_installation.py
would fail.

REGISTRY_ENVS       folder of the virtualenvs; a virtualenv made from the same requirements is used again
REGISTRY_DRIVER     what pip installs as the driver instead of that sdist: the name of another release, a file, ...
"""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
RELEASES = ('0.9.1', '0.7.3')


class CannotInstall(Exception):
    """A command of the installation failed; the text has its output."""


class Release(object):
    """:param driver: the argument of `pip install`"""

    def __init__(self, version, driver):
        self.version = version
        self.folder = os.path.join(os.environ.get('REGISTRY_ENVS') or os.path.join(CHECKOUT, '.tox'),
                                   'registry-' + version)
        self._requirements = os.path.join(HERE, 'requirements-%s.txt' % version)
        if not self._is_made():
            self._make()
        self._add(driver)

    def program(self, name):
        return os.path.join(self.folder, 'bin', name)

    @property
    def stock_config(self):
        """The `config_sample.yml` that came with the release."""
        return os.path.join(self.folder, 'lib', 'python2.7', 'site-packages', 'config', 'config_sample.yml')

    def run(self, *command):
        """Run a program of the virtualenv and return its output. :raises CannotInstall: it failed"""
        return run(self.program(command[0]), *command[1:])

    def pins(self):
        """Names and versions of the packages that the release was installed with."""
        with open(self._requirements) as lines:
            return dict(line.strip().split('==') for line in lines if '==' in line)

    def installed(self):
        """Names and versions of the packages that are installed now."""
        lines = self.run('pip', 'list', '--format=freeze').splitlines()
        return dict(line.split('==') for line in lines if '==' in line)

    @property
    def _stamp(self):
        return os.path.join(self.folder, 'made-from.txt')

    def _is_made(self):
        if not os.path.exists(self._stamp):
            return False
        with open(self._stamp) as made, open(self._requirements) as wanted:
            return made.read() == wanted.read()

    def _make(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        run(sys.executable, '-m', 'virtualenv', '-q', '--no-download', '-p', sys.executable, self.folder)
        self.run('pip', 'install', '-q', '--no-deps', '-r', self._requirements)
        shutil.copy(self._requirements, self._stamp)  # last, so that an unfinished virtualenv is made again

    def _add(self, driver):
        """Add the driver, unless this very file was added before: `images` may be copying the folder at this moment."""
        stamp = os.path.join(self.folder, 'driver.txt')
        if os.path.exists(stamp):
            with open(stamp) as added:
                if added.read() == driver:
                    return
            os.remove(stamp)
        if 'docker-registry-driver-swift' in self.installed():
            self.run('pip', 'uninstall', '-q', '-y', 'docker-registry-driver-swift')
        self.run('pip', 'install', '-q', '--no-cache-dir', driver)  # the cache may have a wheel of an older checkout
        with open(stamp, 'w') as added:
            added.write(driver)


def source_distribution(folder):
    """Path of an sdist of this checkout. It is made in `folder` and leaves no files in the checkout."""
    copy = os.path.join(folder, 'checkout')
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns('.[!d]*', 'tests', 'benchmarks', '*.egg-info', 'build'))
    run(sys.executable, 'setup.py', '-q', 'sdist', cwd=copy)
    return glob.glob(os.path.join(copy, 'dist', '*'))[0]


def run(*command, **more):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    output = process.communicate()[0]
    if process.returncode:
        raise CannotInstall('%s failed:\n%s' % (' '.join(command), output[-4000:]))
    return output


if __name__ == '__main__':
    for each in RELEASES:
        Release(each, os.environ['REGISTRY_DRIVER'])
