#!/usr/bin/env python3
"""Run tox over its environments, as many at a time as there are cores, and say plainly what was left out and why.

Run by `make test` with the Python of .venv, where tox is. Arguments are environments of tox.ini; without any, all of
env_list. What must not be left out is named by REGISTRY_TEST_REQUIRE (`all`: nothing may be).
"""

import concurrent.futures
import contextlib
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
import swift_process  # noqa: E402

TOX = ROOT / '.tox'
ENVIRONMENTS = 'swift py27 py310 py311 py312 py313 core core3 registry packaging v2 softlayer e2e'.split()
PYTHON_OF = {'core': '2.7', 'registry': '2.7'}  # the others have theirs in their name, or take 3.11
# Programs without which an environment has nothing to test with.
PROGRAMS = {
    'py27': ['redis-server'],
    'registry': ['redis-server', 'swig'],
    'v2': ['htpasswd'],
    'e2e': [
        'dockerd',
        'docker',
        'docker-compose',
        'skopeo',
        'podman',
        'docker-registry',
        'nginx',
        'htpasswd',
        'mmdebstrap',
        'busybox',
        'openssl',
        'curl',
    ],
}
SWIFT = 'swift'  # whose environment has the Swift that others start
# Those that take long, so that no core is left with one at the end.
EARLY = ['registry', 'v2', 'e2e', 'packaging', 'py27', 'swift']
V1_IS_THERE = threading.Event()  # e2e makes an image of the v1 registry that `registry` has installed
LARGE = ['py311', 'e2e']  # have tests that take gigabytes: run where LARGE is 1, or names the environment


def main(wanted):
    os.environ['PATH'] = os.pathsep.join([os.environ['PATH']] + interpreter_folders() + ['/usr/sbin'])
    wanted = wanted or [name for name in ENVIRONMENTS if (ROOT / 'tests' / folder_of(name)).exists()]
    left_out = {name: why for name, why in ((name, why_not(name)) for name in wanted) if why}
    runnable = [name for name in wanted if name not in left_out]
    sdist = build_sdist()
    make_swift()
    if 'registry' not in runnable:
        V1_IS_THERE.set()
    results = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for result in pool.map(lambda name: run(name, sdist), sorted(runnable, key=by_turn)):
            results[result.name] = result
    return report(wanted, results, left_out)


def folder_of(name):
    return {'v2': 'v2', 'e2e': 'end_to_end', 'registry': 'registry', 'packaging': 'packaging'}.get(name, 'drivers')


def by_turn(name):
    return EARLY.index(name) if name in EARLY else len(EARLY)


def interpreter_folders():
    """Folders of the Pythons that pyenv has and PATH does not; the oldest patch releases last."""
    root = os.environ.get('PYENV_ROOT', os.path.expanduser('~/.pyenv'))
    versions = glob.glob(os.path.join(root, 'versions', '*', 'bin'))
    return sorted(versions, key=lambda path: [int(n) for n in re.findall(r'\d+', path.split(os.sep)[-2])], reverse=True)


def python_for(name):
    digits = re.fullmatch(r'py(\d)(\d+)', name)
    return 'python' + ('.'.join(digits.groups()) if digits else PYTHON_OF.get(name, '3.11'))


def why_not(name):
    """Why an environment cannot run here, or None."""
    python = python_for(name)
    if not works(python):
        return f'no {python}'
    absent = [program for program in PROGRAMS.get(name, ()) if not shutil.which(program)]
    if absent:
        return 'no ' + ', '.join(absent)
    return None


def works(python):
    """Whether there is such an interpreter; pyenv's shims stand in PATH for Pythons that are not switched on."""
    for folder in os.environ['PATH'].split(os.pathsep):
        path = os.path.join(folder, python)
        if os.access(path, os.X_OK) and subprocess.run([path, '-c', ''], capture_output=True).returncode == 0:
            return True
    return False


def build_sdist():
    """The package as users get it: what every environment installs and tests."""
    folder = TOX / 'dist'
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(folder)], cwd=ROOT, check=True)
    return str(next(folder.glob('*.tar.gz')))


def make_swift():
    """The environment that has it; what is wrong with it, its own turn will tell."""
    if works(python_for(SWIFT)):
        subprocess.run(
            [sys.executable, '-m', 'tox', 'run', '-e', SWIFT, '--notest', '--quiet'],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def somebodys_swift(name, environment):
    """For `softlayer`, if OS_* name no Swift: one of our own in its place, which proves the environment at least."""
    if name != 'softlayer' or os.environ.get('OS_AUTH_URL'):
        yield
        return
    with swift_process.start(str(TOX / 'swift' / 'bin' / 'python')) as node:
        environment.update(
            OS_AUTH_URL=node.auth_url, OS_AUTH_VERSION='1', OS_USERNAME=node.user, OS_PASSWORD=node.key, OS_CONTAINER='softlayer'
        )
        yield


class Result:
    def __init__(self, name, status, seconds, summary):
        self.name, self.status, self.seconds, self.summary = name, status, seconds, summary


def run(name, sdist):
    command = [sys.executable, '-m', 'tox', 'run', '-e', name, '--installpkg', sdist, '--colored', 'no']
    environment = dict(os.environ, REGISTRY_DRIVER=sdist)
    large = environment.pop('LARGE', '')
    if large == name or large == '1' and name in LARGE:
        environment['LARGE'] = '1'
    if name == 'e2e':
        V1_IS_THERE.wait()
    began = time.monotonic()
    log = TOX / (name + '.log')
    with open(log, 'w') as output, somebodys_swift(name, environment):
        status = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if name == 'registry':
        V1_IS_THERE.set()
    text = log.read_text(errors='replace')
    seconds = time.monotonic() - began
    print(f'----- {name}: {"passed" if status == 0 else "FAILED"} after {seconds:.0f} seconds', flush=True)
    print(text if status else '\n'.join(text.splitlines()[-12:]), flush=True)
    return Result(name, status, seconds, summary_of(text))


def summary_of(text):
    """What the test runner says it did, in its own words."""
    lines = re.findall(r'^(?:=+ )?(.*\b(?:passed|failed|error)\b.* in [\d.]+.*?)(?: =+)?$|^(Ran \d+ tests in .*)$', text, re.M)
    return ''.join(lines[-1]) if lines else 'no tests ran'


def report(wanted, results, left_out):
    print('\n===== environments')
    for name in wanted:
        if name in results:
            result = results[name]
            print(f'{name:10} {"passed" if result.status == 0 else "FAILED":8} {result.seconds:5.0f} s  {result.summary}')
        else:
            print(f'{name:10} left out: {left_out[name]}')
    failed = [name for name, result in results.items() if result.status]
    failed += [name for name in left_out if is_required(name)]
    if failed:
        print('failed: ' + ' '.join(failed))
    passed = [name for name in results if name not in failed]
    print(f'{len(passed)} passed, {len(failed)} failed, {len([name for name in left_out if name not in failed])} skipped')
    return 1 if failed or not results else 0


def is_required(name):
    required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
    return 'all' in required or name in required


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
