"""Part `scale`: what a huge registry costs that a small one does not: time, requests to Swift, and memory.

A fake Swift in another process makes up both: each page of a listing, and each object, when it is asked for. So the seconds are those of
one worker of the registry, and of a Swift that answers from memory.
"""

import contextlib
import multiprocessing
import pathlib
import tempfile
import time
from types import SimpleNamespace
from typing import NamedTuple

import large_registry
import report
import servers
from docker_registry.v2.registry.formats import OCI_IMAGE
from fake_swift import FakeSwift
from large_registry import TAGGED, repository, tag
from registry_client import as_json, digest_of, image
from registry_process import Serving, environment, until

SMALL = {'tags': 1000, 'repositories': 1000, 'objects': 10**5}
HUGE = {'tags': 10**6, 'repositories': 10**5, 'objects': 10**7}
WALKED = 10**5  # tags of the repository in which all of them are listed
NEW = 'new/one'
CONTAINER = 'made-up'


class Measured(NamedTuple):
    seconds: float
    requests: int  # to Swift
    memory: float  # MiB that the worker needed above what it had before

    def __str__(self):
        return f'{self.seconds:.3f} s {self.requests:5} requests {self.memory:4.0f} MiB'


def rows(options):
    small, huge = (measure(size, steps, options.rounds) for size in (SMALL, HUGE))
    for what in huge:
        yield row(what, huge[what], small[what], 'small registry')
    tags = WALKED // 10 if options.quick else WALKED
    for what, found in measure(dict(HUGE, tags=tags), walks, 1).items():
        yield row(f'{what}, {tags:,} tags', found)


def row(what, ours, small=(), against=''):
    seconds, requests, memory = ([[getattr(one, field) for one in rounds] for rounds in (ours, small)] for field in Measured._fields)
    remarks = f'MiB {report.both(*memory, "%.0f")}'
    return report.Row('scale', what, *seconds, against=against, requests=report.both(*requests, '%d'), remarks=remarks)


# What is measured: (what, a call without arguments) of each step


def steps(registry, size, number):
    pushed = Image(registry, number)
    yield 'tags/list?n=100', lambda: registry.get(f'/v2/{TAGGED}/tags/list?n=100')
    yield 'tags/list?n=100, in the middle', lambda: registry.get(f'/v2/{TAGGED}/tags/list?n=100&last={tag(size["tags"] // 2)}')
    yield 'catalog, n=100', lambda: registry.get('/v2/_catalog?n=100')
    middle = repository(size['repositories'] // 2)
    yield 'catalog, n=100, in the middle', lambda: registry.get(f'/v2/_catalog?n=100&last={middle}')
    yield 'push, repository of the tags', lambda: pushed.push(TAGGED)
    yield 'push, new repository', lambda: pushed.push(NEW)
    yield 'push again', lambda: pushed.push(NEW)
    yield 'pull by tag', lambda: pushed.pull(TAGGED)
    yield 'delete of a tag', lambda: registry.delete(f'/v2/{TAGGED}/manifests/{pushed.tag}')
    yield 'delete by digest, new repository', lambda: registry.delete(f'/v2/{NEW}/manifests/{digest_of(pushed.manifest)}')


def walks(registry, size, number):
    pushed = Image(registry, number)
    yield 'tags/list without n', lambda: registry.get(f'/v2/{TAGGED}/tags/list')
    pushed.push(TAGGED)
    yield 'delete by digest', lambda: registry.delete(f'/v2/{TAGGED}/manifests/{digest_of(pushed.manifest)}')


class Image:
    """An image of one layer of 1 MiB that only the round with this number has."""

    def __init__(self, registry, number):
        self._registry, self._layer, self.tag = registry, number.to_bytes(8, 'big') * 2**17, f'v{number}'
        self.manifest = as_json(image(b'{}', self._layer))

    def push(self, name):
        for content in (b'{}', self._layer):
            if self._registry.ask('HEAD', f'/v2/{name}/blobs/{digest_of(content)}')[0] == 404:
                assert self._registry.ask('POST', f'/v2/{name}/blobs/uploads/?digest={digest_of(content)}', content)[0] == 201
        put = self._registry.ask('PUT', f'/v2/{name}/manifests/{self.tag}', self.manifest)
        assert put[0] == 201, put

    def pull(self, name):
        assert self._registry.get(f'/v2/{name}/manifests/{self.tag}') == self.manifest
        for content in (b'{}', self._layer):
            assert self._registry.get(f'/v2/{name}/blobs/{digest_of(content)}') == content


# The registry and its Swift


def measure(size, steps, rounds):
    """Return {what: [Measured for each round]}."""
    found = {}
    with made_up(size) as (swift, count), tempfile.TemporaryDirectory(prefix='bench-') as folder:
        variables = environment(swift, OS_CONTAINER=CONTAINER, REGISTRY_UPLOAD_SECRET='a secret for all measurements of this benchmark')
        with Serving(pathlib.Path(folder), variables) as serving:
            registry = Registry(serving, count)
            first = Image(registry, rounds)  # to open connections
            first.push('first')
            first.pull('first')
            for number in range(rounds):
                for what, call in steps(registry, size, number):
                    found.setdefault(what, []).append(registry.measured(call))
                    report.progress(f'{size["tags"]:9,} tags  {what:34} {found[what][-1]}')
    return found


@contextlib.contextmanager
def made_up(size):
    """(A fake Swift that runs in another process, a function that returns how many requests it got since the last call)."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(size, theirs), daemon=True)
    process.start()

    def count():
        ours.send(True)
        return ours.recv()

    try:
        yield SimpleNamespace(**ours.recv()), count
    finally:
        ours.send(False)
        process.join()


def serve(size, pipe):
    with FakeSwift() as swift:
        large_registry.fill(swift, CONTAINER, **size)
        pipe.send({'auth_url': swift.auth_url, 'user': swift.user, 'key': swift.key})
        while pipe.recv():
            pipe.send(len(swift.requests))
            swift.clear_requests()


class Registry:
    """A client of the registry, with one connection."""

    def __init__(self, serving, count):
        self._serving, self._count, self._connection = serving, count, serving.connection()
        (self._worker,) = until(lambda: serving.workers)

    def ask(self, method, path, body=None):
        """Return (status, headers, body)."""
        return self._serving.request(method, path, body, self._connection, Content_Type=OCI_IMAGE)

    def get(self, path):
        status, _, body = self.ask('GET', path)
        assert status == 200, (path, status, body)
        return body

    def delete(self, path):
        status, _, body = self.ask('DELETE', path)
        assert status == 202, (path, status, body)

    def measured(self, call):
        pathlib.Path(f'/proc/{self._worker}/clear_refs').write_text('5')  # forgets the peak: see proc(5)
        self._count()
        before, began = self._memory('VmRSS'), time.monotonic()
        call()
        return Measured(time.monotonic() - began, self._count(), max(0, self._memory('VmHWM') - before))

    def _memory(self, name):
        return servers.number_in(f'/proc/{self._worker}/status', name) / 1024
