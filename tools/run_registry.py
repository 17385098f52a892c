#!/usr/bin/env python3
"""Start the registry of this checkout and a Swift for it, in one command. `make run` calls this.

The first start creates a virtualenv in .venv-run and installs this checkout and OpenStack Swift into it, from PyPI. Swift stores
its objects in ./swift-data, so the next start finds the images. Ctrl-C stops everything.

If OS_AUTH_URL is set, the registry uses the Swift that the OS_* variables name. This command then starts no Swift.
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
SWIFT_REQUIREMENT = 'swift>=2.38,<3'  # as in requirements-swift.txt, which also has what the tests need
START_SECONDS = 60
PACKAGED = ('setup.py', 'README.rst', 'docker_registry')  # what pip needs to install the checkout

READY = """
The registry listens on   {address}
It stores its images in   {storage}

Push an image that docker has, for example busybox:

    docker tag busybox {address}/busybox
    docker push {address}/busybox

Or copy one with skopeo, without docker:

    skopeo copy --dest-tls-verify=false docker://docker.io/library/busybox docker://{address}/busybox

Ctrl-C stops {everything}.
"""


class CannotRun(Exception):
    """The registry cannot run. The text is one line that says why."""


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
            print('Stopping. Running requests may finish; press Ctrl-C again to stop without waiting.', flush=True)
        for process in reversed(running):
            process.stop(stop)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--host', default=os.environ.get('REGISTRY_HOST') or '127.0.0.1', help='default: REGISTRY_HOST, or 127.0.0.1')
    add('--port', type=int, default=os.environ.get('REGISTRY_PORT') or 5000, help='default: REGISTRY_PORT, or 5000')
    add('--data', default=CHECKOUT / 'swift-data', help='folder for the objects of Swift (default: swift-data in the checkout)')
    add('--venv', default=CHECKOUT / '.venv-run', help='folder of the virtualenv (default: .venv-run in the checkout)')
    add('--bin', help='folder of a python that already has swift and the registry; nothing is installed then')
    return parser.parse_args()


def free_address(host, port):
    """Return `host:port` if it is free. This runs first, so that nothing is installed or started in vain."""
    try:
        with socket.create_server((host, port)):
            return f'{host}:{port}'
    except (OSError, OverflowError) as error:
        raise CannotRun(
            f'cannot listen on {host} port {port}: {getattr(error, "strerror", None) or error}; '
            f'stop the program that uses it, or choose another port: make run REGISTRY_PORT={port % 65535 + 1}'
        )


# Installing


def environment(venv):
    """The folder of the virtualenv's programs. Installs what is missing or has changed since the last run."""
    stamp = venv / 'installed'
    wanted = fingerprints()
    found = stamp.read_text().split() if stamp.exists() else []
    if found != wanted:
        if sys.version_info < (3, 10):  # noqa: UP036 (tells users of an older Python what to do)
            raise CannotRun('Python 3.10 or newer is needed: make run PYTHON=python3.11')
        if found[:1] == wanted[:1]:
            install(venv, ['--no-deps', PACKAGE])
        else:
            print(f'Installing the registry and OpenStack Swift into {shown(venv)}. This takes a minute, only the first time.', flush=True)
            quietly([sys.executable, '-m', 'venv', '--clear', venv], 'cannot create the virtualenv (Debian: apt-get install python3-venv)')
            install(venv, [f'{PACKAGE}[registry]', SWIFT_REQUIREMENT])
        stamp.write_text('\n'.join(wanted))
    return venv / 'bin'


def fingerprints():
    """[hash of the dependencies, hash of the checkout]. If one changes, that part must be installed again."""
    setup = (CHECKOUT / 'setup.py').read_bytes()
    dependencies = hashlib.sha256(f'{sys.executable} {sys.version} {SWIFT_REQUIREMENT} {CHECKOUT}'.encode() + setup)
    sources = hashlib.sha256(setup)
    for path in sorted(path for path in (CHECKOUT / 'docker_registry').rglob('*') if path.is_file() and path.suffix != '.pyc'):
        sources.update(str(path).encode() + b'\0' + path.read_bytes())
    return [dependencies.hexdigest(), sources.hexdigest()]


def install(venv, wanted):
    """Install requirements with pip. The package itself is installed from this checkout."""
    with tempfile.TemporaryDirectory() as folder:  # build a copy, because a build leaves folders behind
        for name in PACKAGED:
            copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
            copy(CHECKOUT / name, os.path.join(folder, name))
        wanted = [f'{each} @ file://{folder}' if each.startswith(PACKAGE) else each for each in wanted]
        quietly([venv / 'bin' / 'python', '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet', *wanted], 'pip cannot install')


def quietly(command, failure):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotRun(f'{failure}; the last lines of its output:\n' + '\n'.join(done.stdout.splitlines()[-15:]))


def shown(path):
    """A path as you would type it in the checkout's folder."""
    path = pathlib.Path(path).resolve()
    return f'./{path.relative_to(CHECKOUT)}' if path.is_relative_to(CHECKOUT) else str(path)


# Processes


class Process:
    """A program in its own session. Ctrl-C in the terminal does not reach it, so `stop` can stop programs in order."""

    def __init__(self, name, command, **more):
        self.name = name
        self.popen = subprocess.Popen(list(map(str, command)), start_new_session=True, **more)

    def stop(self, stop):
        """Stop it and wait until it has finished its work, unless the user asks to stop a second time."""
        if self.popen.stdin:
            self.popen.stdin.close()
        self.popen.terminate()
        hurry = time.monotonic() + 0.5
        while self.popen.poll() is None:
            if stop.asked > 1 and time.monotonic() > hurry:  # repeated: gunicorn can lose one that comes right after SIGTERM
                self.popen.send_signal(signal.SIGINT)
                hurry += 0.5
            time.sleep(0.05)


class Stop:
    """Counts how often Ctrl-C or a similar signal has asked to stop."""

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
    """Start all programs in order. Each is added to `running` at once, so that it is stopped even after an error."""
    programs = pathlib.Path(options.bin) if options.bin else environment(pathlib.Path(options.venv))
    variables = dict(os.environ, REGISTRY_HOST=options.host, REGISTRY_PORT=str(options.port))
    variables.setdefault('GUNICORN_WORKERS', '2')
    if not os.environ.get('OS_AUTH_URL'):
        variables.setdefault('OS_CONTAINER', 'docker-registry')
        variables.update(start_swift(programs, options.data, running))
    # Not as `registry-swift`: the script that old pips make for it fails in a folder with a space in its name.
    running.append(Process('the registry', [programs / 'python', '-m', 'docker_registry.v2', 'serve'], env=variables))


def start_swift(programs, data, running):
    """Start Swift and wait until it responds. Returns the variables that tell the registry how to log in."""
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
        raise CannotRun(f'Swift did not start: {said}')
    node.facts = json.loads(ready)
    return {
        'OS_AUTH_URL': node.facts['auth_url'],
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': node.facts['user'],
        'OS_PASSWORD': node.facts['key'],
    }


def wait_until_ready(options, registry, stop):
    """Wait until the registry listens, which it does after it has logged in to Swift."""
    deadline = time.monotonic() + START_SECONDS
    while not stop.asked:
        if registry.popen.poll() is not None:
            raise CannotRun('the registry did not start; the line above says why')
        try:
            with socket.create_connection((options.host, options.port), 5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotRun(f'the registry does not listen on its port after {START_SECONDS} seconds: {error}')
        stop.pause(0.05)


def wait_for_end(running, stop):
    """Wait until the user asks to stop. :raises CannotRun: a process ended by itself"""
    while not stop.asked:
        for process in running:
            if process.popen.poll() is not None:
                raise CannotRun(f'{process.name} ended by itself, with status {process.popen.returncode}')
        stop.pause(0.5)


def ready_text(address, options, running):
    if len(running) > 1:
        swift = running[0].facts
        storage = f'{shown(options.data)}, through its own Swift: {swift["auth_url"]}, user {swift["user"]}, key {swift["key"]}'
    else:
        storage = f'the Swift at {os.environ["OS_AUTH_URL"]}'
    return READY.format(address=address, storage=storage, everything='both' if len(running) > 1 else 'it')


if __name__ == '__main__':
    sys.exit(main())
