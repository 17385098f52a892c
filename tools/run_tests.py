#!/usr/bin/env python3
"""Run the environments of tox.ini, several at a time, and say plainly which were left out and why.

`make test` runs this with the Python of .venv, where tox and uv are. Arguments are environments of tox.ini; without any, all of
`ENVIRONMENTS` run. REGISTRY_TEST_REQUIRE names those that must not be left out (`all`: every one but `OPTIONAL`).
"""

import concurrent.futures
import contextlib
import dataclasses
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
import swift_process  # noqa: E402

TOX = ROOT / '.tox'
PROGRAMS = pathlib.Path(sys.executable).parent  # tox, uv
#: The slowest comes first, so that none runs alone at the end.
ENVIRONMENTS = """
    v2 e2e chaos ceph images py310 packaging registry py27 cluster fuzz py311 py313 py312 swift model py314 py315 lint docs softlayer core
    core3 hostile
""".split()
OPTIONAL = ['py314', 'py315']  # tested where there is such an interpreter
PYTHON_OF = {'core': '2.7', 'registry': '2.7', 'v2': '3.13'}  # the others have theirs in their name, or take 3.11
#: Programs without which an environment has nothing to test with.
NEEDED_PROGRAMS = {
    'py27': ['redis-server'],
    'registry': ['redis-server', 'swig'],
    'v2': ['htpasswd', 'systemd-analyze'],
    'ceph': 'ceph ceph-mon ceph-osd radosgw'.split(),
    'cluster': ['memcached', 'rsync'],
    'e2e': (
        'dockerd docker containerd ctr skopeo podman buildah docker-registry nginx htpasswd busybox openssl curl chromium chromedriver'
        ' systemd-analyze'
    ).split(),
    'chaos': ['memcached', 'rsync', 'setpriv'],
    'hostile': ['openssl', 'setpriv'],
    'images': 'dockerd docker docker-compose skopeo podman nginx htpasswd mmdebstrap busybox openssl curl make'.split(),
}
LARGE = ['py311', 'e2e']  # have tests that take gigabytes: they run where LARGE is 1, or names the environment
ALONE = ['hostile']  # measure times: each runs when all others have ended
#: How many environments run at a time: enough to keep all processors busy. With more, each test waits longer, and nothing ends sooner.
WORKERS = (3 * (os.cpu_count() or 1) + 1) // 2


def main(wanted):
    os.environ['PATH'] = os.pathsep.join([os.environ['PATH'], *interpreter_folders(), '/usr/sbin'])
    wanted = wanted or ENVIRONMENTS
    unknown = [name for name in wanted if name not in ENVIRONMENTS]
    if unknown:
        sys.exit(f'There is no environment {", ".join(unknown)}. ENVS can name these: {" ".join(sorted(ENVIRONMENTS))}')
    left_out = {name: why for name, why in ((name, why_not(name)) for name in wanted) if why}
    runnable = [name for name in wanted if name not in left_out]
    environ = dict(os.environ, DRIVER=build_sdist(), UV=str(PROGRAMS / 'uv'))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        ready = {name: pool.submit(prepare, environ) for name, prepare in PREPARATIONS.items() if needs(name) & set(runnable)}
        futures = [
            pool.submit(run, name, environ, [ready[need] for need in ready if name in needs(need)])
            for name in sorted(runnable, key=ENVIRONMENTS.index)
            if name not in ALONE
        ]
        results = {future.result().name: future.result() for future in concurrent.futures.as_completed(futures)}
    for name in ALONE:
        if name in runnable:
            results[name] = run(name, environ, [])
    return report(wanted, results, left_out)


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
    absent = [program for program in NEEDED_PROGRAMS.get(name, ()) if not shutil.which(program)]
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
    """Build the package as users get it, and return its path. Every environment installs it. The path is new, so that no cache knows it."""
    shutil.rmtree(TOX / 'dist', ignore_errors=True)
    folder = TOX / 'dist' / uuid.uuid4().hex[:8]
    subprocess.run([sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(folder)], cwd=ROOT, check=True)
    return str(next(folder.glob('*.tar.gz')))


def tox(*arguments):
    return [sys.executable, '-m', 'tox', 'run', '--colored', 'no', *arguments]


# Preparations: what several environments need is made once, before them. If one fails, the environments themselves say why.


def make_swift(environ):
    """Install the Python with OpenStack Swift, which tests start."""
    quietly(environ, *tox('-e', 'swift', '--notest'))


def make_v1_registries(environ):
    """Install both docker-registry releases: `registry` tests them, and `images` makes an image from one."""
    quietly(environ, *tox('-e', 'registry', '--notest'))
    quietly(dict(environ, REGISTRY_DRIVER=environ['DRIVER']), TOX / 'registry/bin/python', 'tests/registry/release.py')


def quietly(environ, *command):
    with contextlib.suppress(OSError):
        subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)


PREPARATIONS = {'swift': make_swift, 'v1': make_v1_registries}


def needs(preparation):
    """Return the environments that wait for a preparation."""
    real = {'swift', 'e2e', 'images', 'registry', 'v2', 'cluster', 'chaos', 'hostile', 'py27', 'py311', 'softlayer'}
    return {'swift': real, 'v1': {'images', 'registry'}}[preparation]


@contextlib.contextmanager
def somebodys_swift(name, environment):
    """Start a Swift for `softlayer` if OS_* name none. That at least proves that the environment works."""
    if name != 'softlayer' or os.environ.get('OS_AUTH_URL'):
        yield
        return
    with swift_process.start(str(TOX / 'swift' / 'bin' / 'python')) as node:
        environment.update(
            OS_AUTH_URL=node.auth_url, OS_AUTH_VERSION='1', OS_USERNAME=node.user, OS_PASSWORD=node.key, OS_CONTAINER='softlayer'
        )
        yield


@dataclasses.dataclass
class Result:
    name: str
    status: int
    seconds: float
    processor: float  # seconds of a core
    summary: str


def run(name, environ, preparations):
    """:param preparations: futures to wait for"""
    environ = dict(environ, REGISTRY_DRIVER=environ['DRIVER'])
    large = environ.pop('LARGE', '')
    if large == name or large == '1' and name in LARGE:
        environ['LARGE'] = '1'
    concurrent.futures.wait(preparations)
    began = time.monotonic()
    log = TOX / (name + '.log')
    with open(log, 'w') as output, somebodys_swift(name, environ):
        process = subprocess.Popen(
            tox('-e', name), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
        )
        _, ended, used = os.wait4(process.pid, 0)
        process.returncode = status = os.waitstatus_to_exitcode(ended)
    text = log.read_text(errors='replace')
    seconds = time.monotonic() - began
    print(f'----- {name}: {"passed" if status == 0 else "FAILED"} after {seconds:.0f} seconds', flush=True)
    print(text if status else '\n'.join(text.splitlines()[-12:]), flush=True)
    return Result(name, status, seconds, used.ru_utime + used.ru_stime, summary_of(text))


def summary_of(text):
    """What the test runners say they did, in their own words."""
    lines = re.findall(r'^(?:=+ )?(.*\b(?:passed|failed|error)\b.* in [\d.]+.*?)(?: =+)?$|^(Ran \d+ tests in .*)$', text, re.M)
    return ', '.join(''.join(line) for line in lines)


def report(wanted, results, left_out):
    print('\n===== environments: how long they took, what they used of the processor, and what they did')
    for name in wanted:
        if name in results:
            result = results[name]
            outcome = 'passed' if result.status == 0 else 'FAILED'
            print(f'{name:10} {outcome:8} {result.seconds:5.0f} s {result.processor:8.0f} s  {result.summary}')
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
    return name in required or 'all' in required and name not in OPTIONAL


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
