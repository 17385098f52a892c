# -*- coding: utf-8 -*-
"""The process that benchmarks/driver.py measures: it calls one storage driver, on Python 2.7.

It reads one JSON object per line, runs that command, and prints one JSON object per line.  The commands: `open` a new
Storage, `prepare` the objects, call a `small` operation from several threads for some seconds, `write` or `read` a large
object, `remove` one.  The code is the same for every driver.
"""

from __future__ import print_function

import hashlib
import itertools
import json
import os
import re
import sys
import threading
import time

from docker_registry.core import driver

IMAGES = 64  # number of objects to read; callers take turns on them
TAGS = 100  # number of tags in the folder that is listed
LAYERS = 8  # number of layers to stream, of 1 MiB each
PATIENCE = 3  # seconds that a call may go on after the end of its measurement
FOLDER = 'repositories/library/bench'


class Config(object):
    """The registry's configuration in the form that both drivers accept: attributes, None if unset."""

    def __init__(self, values):
        self.__dict__.update((str(name), str(value)) for name, value in values.items())

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)


# --- Small operations: each is called as operation(storage, caller, number) and returns whether the answer was right ---


def content(path, version=0):
    """1 KiB that is unique for this path and version."""
    return hashlib.md5('%s %d' % (path, version)).hexdigest() * 32


def image(number):
    return 'images/%064x/json' % number


def tag(number):
    return '%s/tag_%03d' % (FOLDER, number)


def get(storage, caller, number):
    path = image((caller + number) % IMAGES)
    return storage.get_content(path) == content(path)


def exists(storage, caller, number):
    return storage.exists(image((caller + number) % IMAGES)) is True


def exists_not(storage, caller, number):
    return storage.exists('images/%064x/_inprogress' % ((caller + number) % IMAGES)) is False


def layer(number):
    return 'images/%064x/layer' % number


def stream(storage, caller, number):
    path = layer((caller + number) % LAYERS)
    return b''.join(storage.stream_read(path)) == content(path) * 1024


def list_folder(storage, caller, number):
    return sorted(storage.list_directory(FOLDER)) == [tag(n) for n in range(TAGS)]


class Put(object):
    """Stores objects.  `wrote` has the MD5 that each path should have; comparing it later shows whether a put was right."""

    def __init__(self, path, versions):
        self._path, self._versions = path, versions
        self.wrote = {}

    def __call__(self, storage, caller, number):
        path = self._path(caller, number)
        text = content(path, number if self._versions else 0)
        storage.put_content(path, text)
        self.wrote[path] = hashlib.md5(text).hexdigest()
        return True


def operation(name):
    if name == 'put new':
        run = os.urandom(8).encode('hex')
        return Put(lambda caller, number: 'images/%s%040x%08x/json' % (run, caller, number), versions=False)
    if name == 'put over':
        return Put(lambda caller, number: 'repositories/library/over/tag_%d' % caller, versions=True)
    return {'get': get, 'exists': exists, 'exists not': exists_not, 'list': list_folder, 'stream': stream}[name]


class Callers(object):
    """Threads that repeat an operation for some seconds."""

    def __init__(self, storage, call, count, seconds):
        self._storage, self._call, self._seconds = storage, call, seconds
        self._start = threading.Event()
        self._lock = threading.Lock()
        self.counts = {'right': 0, 'wrong': 0, 'failed': 0}
        self.error = None
        self._threads = [threading.Thread(target=self._repeat, args=(caller,)) for caller in range(count)]

    def _repeat(self, caller):
        self._start.wait()
        for number in itertools.count():
            if time.time() > self._deadline:
                return
            try:
                outcome = 'right' if self._call(self._storage, caller, number) else 'wrong'
            except Exception as error:
                outcome, self.error = 'failed', '%s: %s' % (type(error).__name__, error)
            with self._lock:
                self.counts[outcome] += 1
                self._last = time.time()

    def run(self):
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        begun = self._last = time.time()
        self._deadline = begun + self._seconds
        cpu = sum(os.times()[:2])
        self._start.set()
        for thread in self._threads:
            thread.join(max(0.001, self._deadline + PATIENCE - time.time()))
        with self._lock:
            return dict(self.counts, error=self.error, seconds=max(self._last - begun, self._seconds),
                        cpu=sum(os.times()[:2]) - cpu, stuck=sum(thread.is_alive() for thread in self._threads))


# --- Commands -----------------------------------------------------------------------------------------------------


class Worker(object):

    def __init__(self, config):
        self._config = config
        self._storage = None

    def open(self):
        """Make a new Storage that has logged in and has an open connection."""
        self._storage = driver.fetch('swift')(path=self._config.storage_path, config=self._config)
        self._storage.exists(image(0))
        return {}

    def prepare(self):
        """Store the objects that the small operations read, list and overwrite."""
        for path in [image(n) for n in range(IMAGES)] + [tag(n) for n in range(TAGS)]:
            self._storage.put_content(path, content(path))
        for caller in range(64):
            self._storage.put_content('repositories/library/over/tag_%d' % caller, 'old')
        for path in map(layer, range(LAYERS)):
            self._storage.put_content(path, content(path) * 1024)
        return {}

    def small(self, name, callers, seconds):
        call = operation(name)
        return dict(Callers(self._storage, call, callers, seconds).run(), wrote=getattr(call, 'wrote', {}))

    def write(self, path, file):
        with open(file, 'rb') as fp:
            return self._streamed(lambda: self._storage.stream_write(path, fp))

    def read(self, path):
        return self._streamed(lambda: sum(len(block) for block in self._storage.stream_read(path)))

    @staticmethod
    def _streamed(call):
        begun, cpu = time.time(), sum(os.times()[:2])
        result = call()
        return {'seconds': time.time() - begun, 'cpu': sum(os.times()[:2]) - cpu, 'bytes': result, 'peak': peak_memory()}

    def remove(self, path):
        self._storage.remove(path)
        return {}


def peak_memory():
    """Peak memory in bytes.  Not from getrusage: on Linux, that begins with the memory of the parent process."""
    with open('/proc/self/status') as status:
        return int(re.search(r'VmHWM:\s+(\d+) kB', status.read()).group(1)) * 1024


def main():
    worker = Worker(Config(json.loads(sys.argv[1])))
    for line in iter(sys.stdin.readline, ''):
        command = json.loads(line)
        answer = getattr(worker, command.pop('do'))(**dict((str(key), value) for key, value in command.items()))
        print(json.dumps(answer))
        sys.stdout.flush()


if __name__ == '__main__':
    main()
    os._exit(0)  # ends threads that are stuck in a call, too
