"""Measures collections of a container with a million names: time, requests and memory of the first run and of the next ones.

The container is made up, as in survey.py; some of its manifests have been deleted. Time passes between the runs: each begins with a
container that is 8 days older. See docs/collection.rst.

    python benchmarks/collection.py [--names 1000000] [--manifests 40000] [--deleted 400] [--threads 16]
"""

import argparse
import bisect
import json
import multiprocessing
import resource
import time
from datetime import datetime, timezone

import survey as survey_benchmark
from fake_swift import FakeSwift
from fake_swift.stored import Container, Object
from survey import CONTAINER, LAYERS, PARTS, V2, Made, Names

BEGINNING = datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp()
DAYS = 8 * 86400
RUNS = 4


class Changing(Made):
    """A container of made objects that can be overwritten and deleted. The first `deleted` repositories have lost their manifests."""

    def __init__(self, names, deleted):
        super().__init__(names)
        self._gone = {f'{V2}/repositories/team/r{number:08}/_manifests/' for number in range(deleted)}
        self._deleted = set()

    @property
    def listed(self):
        return self.objects

    def read(self, name, newest=True):
        if name in self.objects:
            return self.objects[name]
        i = bisect.bisect_left(self._names, name)
        if i == len(self._names) or self._names[i] != name or not self._is_there(name):
            return None
        item = self._made(name)
        item.timestamp = BEGINNING
        return item

    def _is_there(self, name):
        repository, is_of_manifest, _ = name.partition('_manifests/')
        return name not in self._deleted and not (is_of_manifest and repository + is_of_manifest in self._gone)

    def _made(self, name):
        digits = self._digits(name)
        if digits in self._large and name.endswith('/data'):
            upload = self._names.upload(self._large[digits]) + '-00112233'
            paths = [f'/{CONTAINER}/files/_segments/{upload}/{number:08}' for number in range(PARTS)]
            records = [{'name': path, 'bytes': 2**20, 'hash': '0' * 32, 'content_type': 'a/b'} for path in paths]
            return Object(json.dumps(records).encode(), headers={'X-Object-Meta-Segments': f'{upload} {PARTS}'}, segments=records)
        return Object(self._names.bodies[digits][0]) if digits in self._names.bodies and name.endswith('/data') else Object(b'x' * 71)

    def write(self, name, item):
        self.objects.pop(name, None)
        if item is not None:
            self.objects[name] = item
        self._deleted.add(name)  # what was made

    def page(self, limit, prefix='', delimiter='', marker='', end_marker=''):
        made, start = [], marker
        while len(made) < limit:
            page = super().page(limit, prefix, delimiter, start, end_marker)
            if not page:
                break
            start = page[-1]['name']
            made += [record for record in page if self._is_there(record['name'])]
        written = Container.page(self, limit, prefix, '', marker, end_marker)
        page = sorted(made[:limit] + written, key=lambda record: record['name'])[:limit]
        return page if not delimiter else [{'subdir': name} for name in self._children(prefix) if name > marker]

    def _children(self, prefix):
        own = {name[len(prefix) :].partition('/')[0] for name in self.objects if name.startswith(prefix)}
        return sorted(f'{prefix}{name}/' for name in {'_segments', 'docker', *own})

    def age(self, seconds):
        for item in self.objects.values():
            item.timestamp -= seconds


def serve(options, pipe):
    with FakeSwift() as server:
        names = Names(options.names, options.manifests)
        container = server.containers[CONTAINER] = Changing(names, options.deleted)
        pipe.send((server.auth_url, len(names)))
        while pipe.recv():
            container.age(DAYS)
            pipe.send(len(container.objects))


def collect(auth_url, threads, pipe):
    from docker_registry.core import driver
    from docker_registry.v2.operations.collection import run
    from docker_registry.v2.operations.pace import Pace
    from docker_registry.v2.operations.progress import Progress

    logged_in = {'swift_authurl': auth_url, 'swift_auth_version': 1, 'swift_user': 'test:tester', 'swift_password': 'testing'}
    storage = driver.fetch('swift')(path='files', config=dict(logged_in, swift_container=CONTAINER))
    storage.connect()
    while pipe.recv():
        pace, started = Pace(), time.monotonic()
        report = run.collect(storage, run.Options(threads=threads, force=True), pace, Progress(None))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        pipe.send((time.monotonic() - started, dict(pace.methods), memory, report.counts, list(report.remarks)[:3]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--names', type=int, default=1000000)
    parser.add_argument('--manifests', type=int, default=40000)
    parser.add_argument('--deleted', type=int, default=400)
    parser.add_argument('--threads', type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    swift, theirs = context.Pipe()
    server = context.Process(target=serve, args=(options, theirs))
    server.start()
    auth_url, names = swift.recv()
    collector, other = context.Pipe()
    child = context.Process(target=collect, args=(auth_url, options.threads, other))
    child.start()
    print(f'{names} names, {options.manifests} manifests with {LAYERS} layers each, {options.deleted} of them deleted')
    for number in range(RUNS):
        collector.send(True)
        seconds, methods, memory, counts, remarks = collector.recv()
        print(f'run {number + 1}: {seconds:.0f} s, {sum(methods.values())} requests {methods}, {memory:.0f} MiB at most')
        print(f'    {counts} {remarks}')
        swift.send(True)
        swift.recv()
    collector.send(False)
    swift.send(False)
    child.join()
    server.join()


if __name__ == '__main__':
    assert survey_benchmark
    main()
