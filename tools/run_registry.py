#!/usr/bin/env python3
"""The registry of this checkout with a Swift of its own, in one command: what `make run` calls.

The first start makes a virtualenv in .venv-run and installs into it this checkout and OpenStack Swift, from PyPI. Swift keeps its
objects in ./swift-data: the next start finds the images. Ctrl-C stops everything.

With OS_AUTH_URL set, the registry uses the Swift that the OS_* variables name, and none is started.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = 'docker-registry-driver-swift'
SWIFT_REQUIREMENT = 'swift>=2.38,<3'  # as in requirements-swift.txt, which has what tests need, too
START_SECONDS = 60
PACKAGED = ('setup.py', 'README.rst', 'docker_registry')  # what an installation is made of

READY = """
The registry runs on     {address}
Its images are kept in   {storage}

With docker, and any image that it has, here busybox:

    docker tag busybox {address}/busybox
    docker push {address}/busybox

Without:

    skopeo copy --dest-tls-verify=false docker://docker.io/library/busybox docker://{address}/busybox

Ctrl-C stops {everything}.
"""


class CannotRun(Exception):
    """Why not, in a line."""


def main():
    options = parse_arguments()
    stop, running = Stop(), []
    try:
        address = free_address(options.host, options.port)
        start(options, running)
        wait_until_ready(options, running[-1], stop)
        if not stop.asked:
            print(ready_text(address, options, running), flush=True)
        wait_for_end(running, stop)
    except CannotRun as error:
        if not stop.asked:
            print(f'make run: {error}', file=sys.stderr)
            return 1
    finally:
        if stop.asked:
            print('Stopping: what is running may finish. Ctrl-C again does not wait for it.', flush=True)
        for process in reversed(running):
            process.stop(stop)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--host', default=os.environ.get('REGISTRY_HOST') or '127.0.0.1', help='default: REGISTRY_HOST, or 127.0.0.1')
    add('--port', type=int, default=os.environ.get('REGISTRY_PORT') or 5000, help='default: REGISTRY_PORT, or 5000')
    add('--data', default=CHECKOUT / 'swift-data', help='where Swift keeps its objects (default: swift-data in the checkout)')
    add('--venv', default=CHECKOUT / '.venv-run', help='the virtualenv (default: .venv-run in the checkout)')
    add('--bin', help='a folder with a python that has swift and the registry: install nothing')
    return parser.parse_args()


def free_address(host, port):
    """`host:port`, which nobody listens on; said before anything is installed or started."""
    try:
        with socket.create_server((host, port)):
            return f'{host}:{port}'
    except (OSError, OverflowError) as error:
        raise CannotRun(
            f'cannot listen on {host} port {port}: {getattr(error, "strerror", None) or error}; '
            f'stop what runs there, or choose another port: make run REGISTRY_PORT={port % 65535 + 1}'
        )


# Installing


def environment(venv):
    """The virtualenv's folder of programs; installs what is missing there, or was changed since."""
    stamp = venv / 'installed'
    wanted = fingerprints()
    found = stamp.read_text().split() if stamp.exists() else []
    if found != wanted:
        if sys.version_info < (3, 10):  # noqa: UP036 (whoever calls it with an older one is told)
            raise CannotRun('Python 3.10 or newer is needed: make run PYTHON=python3.11')
        if found[:1] == wanted[:1]:
            install(venv, ['--no-deps', PACKAGE])
        else:
            print(f'Installing the registry and OpenStack Swift into {shown(venv)}: it takes a minute, once.', flush=True)
            quietly([sys.executable, '-m', 'venv', '--clear', venv], 'the virtualenv cannot be made (Debian: apt-get install python3-venv)')
            install(venv, [f'{PACKAGE}[registry]', SWIFT_REQUIREMENT])
        stamp.write_text('\n'.join(wanted))
    return venv / 'bin'


def fingerprints():
    """[that of what the checkout depends on, that of the checkout]: another one, and it has to be installed again."""
    setup = (CHECKOUT / 'setup.py').read_bytes()
    dependencies = hashlib.sha256(f'{sys.executable} {sys.version} {SWIFT_REQUIREMENT} {CHECKOUT}'.encode() + setup)
    sources = hashlib.sha256(setup)
    for path in sorted((CHECKOUT / 'docker_registry').rglob('*.py')):
        sources.update(str(path).encode() + b'\0' + path.read_bytes())
    return [dependencies.hexdigest(), sources.hexdigest()]


def install(venv, wanted):
    """Install requirements with pip; that of the package itself is met by this checkout."""
    with tempfile.TemporaryDirectory() as folder:  # a build would leave its own folders in the checkout
        for name in PACKAGED:
            copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
            copy(CHECKOUT / name, os.path.join(folder, name))
        wanted = [f'{each} @ file://{folder}' if each.startswith(PACKAGE) else each for each in wanted]
        quietly([venv / 'bin' / 'python', '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet', *wanted], 'pip cannot install')


def quietly(command, failure):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotRun(f'{failure}; the end of what it said:\n' + '\n'.join(done.stdout.splitlines()[-15:]))


def shown(path):
    """A path as whoever stands in the checkout would type it."""
    path = pathlib.Path(path).resolve()
    return f'./{path.relative_to(CHECKOUT)}' if path.is_relative_to(CHECKOUT) else str(path)


# Processes


class Process:
    """A program in a session of its own, which Ctrl-C in the terminal does not reach: it is stopped in its turn."""

    def __init__(self, name, command, **more):
        self.name = name
        self.popen = subprocess.Popen(list(map(str, command)), start_new_session=True, **more)

    def stop(self, stop):
        """And let it finish what it does, unless `stop` is asked for again."""
        if self.popen.stdin:
            self.popen.stdin.close()
        self.popen.terminate()
        hurry = time.monotonic() + 0.5
        while self.popen.poll() is None:
            if stop.asked > 1 and time.monotonic() > hurry:  # again and again: gunicorn loses one that comes with the first
                self.popen.send_signal(signal.SIGINT)
                hurry += 0.5
            time.sleep(0.05)


class Stop:
    """Whether, and how often, Ctrl-C or a signal of its kind asked for the end."""

    def __init__(self):
        self.asked = 0
        self._woken = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number, frame):
        self.asked += 1
        self._woken.set()

    def pause(self, seconds):
        self._woken.wait(seconds)


def start(options, running):
    """Start what is to run, in order; each is in `running` as soon as it has to be stopped."""
    programs = pathlib.Path(options.bin) if options.bin else environment(pathlib.Path(options.venv))
    variables = dict(os.environ, REGISTRY_HOST=options.host, REGISTRY_PORT=str(options.port))
    variables.setdefault('GUNICORN_WORKERS', '2')
    if not os.environ.get('OS_AUTH_URL'):
        variables.setdefault('OS_CONTAINER', 'docker-registry')
        variables.update(start_swift(programs, options.data, running))
    # not as `registry-swift`: old pips make that a script which cannot stand in a folder with a space in its name
    running.append(Process('the registry', [programs / 'python', '-m', 'docker_registry.v2', 'serve'], env=variables))


def start_swift(programs, data, running):
    """The variables that tell where it is, once it answers."""
    node = Process(
        'Swift',
        [programs / 'python', CHECKOUT / 'tools' / 'swift_node.py', '--stdin', '--data', data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running.append(node)
    ready = node.popen.stdout.readline()
    if not ready:
        said = node.popen.stderr.read().decode(errors='replace').strip()
        raise CannotRun(f'Swift does not start: {said}')
    node.facts = json.loads(ready)
    return {
        'OS_AUTH_URL': node.facts['auth_url'],
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': node.facts['user'],
        'OS_PASSWORD': node.facts['key'],
    }


def wait_until_ready(options, registry, stop):
    """The registry listens once it has logged in."""
    deadline = time.monotonic() + START_SECONDS
    while not stop.asked:
        if registry.popen.poll() is not None:
            raise CannotRun('the registry did not start: see the line above')
        try:
            with socket.create_connection((options.host, options.port), 5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotRun(f'the registry does not listen after {START_SECONDS} seconds: {error}')
        stop.pause(0.05)


def wait_for_end(running, stop):
    """Until it is asked for; :raises CannotRun: a process ended by itself"""
    while not stop.asked:
        for process in running:
            if process.popen.poll() is not None:
                raise CannotRun(f'{process.name} ended by itself, with status {process.popen.returncode}')
        stop.pause(0.5)


def ready_text(address, options, running):
    if len(running) > 1:
        swift = running[0].facts
        storage = f'{shown(options.data)}, in a Swift of its own: {swift["auth_url"]}, user {swift["user"]}, key {swift["key"]}'
    else:
        storage = f'the Swift at {os.environ["OS_AUTH_URL"]}'
    return READY.format(address=address, storage=storage, everything='both' if len(running) > 1 else 'it')


if __name__ == '__main__':
    sys.exit(main())
