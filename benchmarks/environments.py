"""The virtualenvs that the benchmarks need.  The first use creates them in the checkout's folder .bench; later runs reuse them."""

import filecmp
import glob
import os
import shutil
import subprocess
import sys
import venv

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(CHECKOUT, '.bench')

# Of the versions that docker-registry 0.9.1 pins, those that matter to a driver.  They are installed without dependencies: some
# pins of 2014 (setuptools, keystoneclient) no longer install, and v1 auth does not need them.
REGISTRY = ['docker-registry-core==2.0.3', 'requests==2.3.0', 'redis==2.10.3', 'simplejson==3.6.2', 'six==1.17.0', 'futures==3.4.0']
OURS = REGISTRY + ['python-swiftclient==3.13.1']
RELEASED = REGISTRY + ['python-swiftclient==2.2.0', 'docker-registry-driver-swift==0.2.1']


class Missing(Exception):
    """A virtualenv cannot be created.  The message says what to install."""


def swift():
    """A Python with OpenStack Swift: SWIFT_PYTHON, or one created here."""
    return os.environ.get('SWIFT_PYTHON') or _python3('swift', ['swift'])


def registry():
    """A Python with this checkout's registry-swift."""
    python = _python3('registry', [CHECKOUT + '[registry]'])
    _pip(python, ['--no-deps', '--force-reinstall', CHECKOUT])  # always current; its dependencies change less often
    return python


def ours():
    """A Python 2.7 with this checkout's driver, installed from an sdist."""
    python = _python27('ours', OURS)
    installed = glob.glob(os.path.join(FOLDER, 'ours/lib/python2.7/site-packages/docker_registry/drivers/swift.py'))
    if not installed or not filecmp.cmp(installed[0], os.path.join(CHECKOUT, 'docker_registry/drivers/swift.py'), shallow=False):
        _pip(python, ['--no-deps', '--force-reinstall', _sdist(python)])  # the pinned dependencies are installed already
    return python


def released():
    """A Python 2.7 with the driver 0.2.1 from PyPI."""
    return _python27('released', RELEASED)


def _sdist(python):
    """Path of an sdist of the checkout.  Building it leaves no files in the checkout."""
    folder = os.path.join(FOLDER, 'sdist')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    _run([python, 'setup.py', '-q', 'egg_info', '--egg-base', folder, 'sdist', '--dist-dir', folder])
    return glob.glob(os.path.join(folder, '*.tar.gz'))[0]


def _python27(name, requirements):
    return _made(
        name,
        requirements,
        lambda path: _run([_python3('virtualenv', ['virtualenv<20.22']), '-m', 'virtualenv', '-q', '-p', find_python27(), path]),
        ['--no-deps'],
    )


def _python3(name, requirements):
    return _made(name, requirements, lambda path: venv.create(path, with_pip=True), [])


def _made(name, requirements, make, options):
    """The Python of a virtualenv.  Its requirements.txt is written last, so an unfinished virtualenv is created again."""
    path = os.path.join(FOLDER, name)
    python, made = os.path.join(path, 'bin', 'python'), os.path.join(path, 'requirements.txt')
    wanted = '\n'.join(requirements) + '\n'
    if not (os.path.exists(made) and open(made).read() == wanted):
        print('creating %s' % path, file=sys.stderr)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(FOLDER, exist_ok=True)
        make(path)
        _pip(python, options + requirements)
        with open(made, 'w') as file:
            file.write(wanted)
    return python


def _pip(python, arguments):
    _run([python, '-W', 'ignore', '-m', 'pip', 'install', '-q', '--disable-pip-version-check'] + arguments)


def _run(command):
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Missing('%s failed:\n%s' % (' '.join(command), done.stdout))


def find_python27():
    """A python2.7 that runs, from PATH or from pyenv's versions.  On PATH it may be a pyenv shim that refuses to run."""
    root = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
    candidates = [shutil.which('python2.7')] + sorted(glob.glob(os.path.join(root, 'versions', '2.7*', 'bin', 'python2.7')))
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, '-c', ''], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return candidate
    raise Missing('no python2.7 on PATH or in %s/versions; both drivers are measured on it because the v1 registry needs it' % root)
