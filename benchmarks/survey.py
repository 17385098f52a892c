"""Measures a survey of a container with a million names: its time, its requests and its memory.

The container is made up: a fake Swift in another process makes each page of a listing, and each object, when it is asked for. So the
time is that of the survey, beside a Swift that answers from memory. See docs/operations.rst.

    python benchmarks/survey.py [--names 1000000] [--manifests 20000] [--threads 16]
"""

import argparse
import bisect
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [CHECKOUT, os.path.join(CHECKOUT, 'tests')]

from fake_swift import FakeSwift  # noqa: E402
from fake_swift.stored import Container, Object  # noqa: E402

CONTAINER = 'million'
LAYERS = 8  # that a manifest names
LARGE_EVERY = 8  # one blob of so many is a large object
PARTS = 9  # segments of one of them
V2 = 'files/docker/registry/v2'


class Names(Sequence):
    """The sorted names of the container. They are made when they are asked for.

    :param total: names in all, about
    :param manifests: how many of them are manifests
    """

    def __init__(self, total, manifests):
        # A manifest has its data, a revision, a tag and its index, and a layer its data and a link for each manifest that has it.
        large = (total - 4 * manifests - LAYERS * manifests) // (LARGE_EVERY + PARTS)
        self.layers = sorted(hashlib.sha256(b'layer %d' % number).hexdigest() for number in range(large * LARGE_EVERY))
        self.bodies = {}
        for number in range(manifests):
            body = self._manifest(number)
            self.bodies[hashlib.sha256(body).hexdigest()] = body, number
        self._blobs = sorted([*self.layers, *self.bodies])
        self._manifests = sorted(self.bodies, key=lambda digits: self.bodies[digits][1])
        self._sections = [
            (large * PARTS, lambda i: f'files/_segments/{self.upload(i // PARTS)}-00112233/{i % PARTS:08}'),
            (len(self._blobs), lambda i: f'{V2}/blobs/sha256/{self._blobs[i][:2]}/{self._blobs[i]}/data'),
            ((LAYERS + 3) * manifests, self._of_repository),
        ]
        self._length = sum(count for count, _ in self._sections)

    @staticmethod
    def upload(number):
        return f'{number:08x}-0000-4000-8000-000000000000'

    def _named(self, number):
        return sorted(self.layers[(number * LAYERS + i) % len(self.layers)] for i in range(LAYERS))

    def _manifest(self, number):
        layers = [{'mediaType': 'application/x', 'digest': f'sha256:{digits}', 'size': 5} for digits in self._named(number)]
        return json.dumps({'schemaVersion': 2, 'layers': layers, 'annotations': {'number': number}}).encode()

    def _of_repository(self, i):
        number, i = divmod(i, LAYERS + 3)
        digest = 'sha256/' + self._manifests[number]
        path = f'{V2}/repositories/team/r{number:08}'
        if i < LAYERS:
            return f'{path}/_layers/sha256/{self._named(number)[i]}/link'
        revision, tag = f'{path}/_manifests/revisions/{digest}/link', f'{path}/_manifests/tags/latest'
        return [revision, f'{tag}/current/link', f'{tag}/index/{digest}/link'][i - LAYERS]

    def digest_of_tag(self, name):
        return self._manifests[int(name.partition('/team/r')[2].partition('/')[0])]

    def __len__(self):
        return self._length

    def __getitem__(self, i):
        for count, name in self._sections:
            if i < count:
                return name(i)
            i -= count
        raise IndexError


class Made(Container):
    """A container whose objects are made when they are asked for."""

    listed = {}

    def __init__(self, names):
        Container.__init__(self)
        self._names = names
        self._large = {digits: number for number, digits in enumerate(names.layers[::LARGE_EVERY])}

    def page(self, limit, prefix='', delimiter='', marker='', end_marker=''):
        first = max(bisect.bisect_left(self._names, prefix), bisect.bisect_right(self._names, marker) if marker else 0)
        records = []
        for i in range(first, min(first + limit, len(self._names))):
            name = self._names[i]
            if not name.startswith(prefix):
                break
            size = 9 * 2**20 if self._digits(name) in self._large else 2**20 if '_segments' in name else 71
            stamp = '2026-01-31T12:00:00.123456'
            # A tag holds its digest, and a listing shows the MD5 of that.
            etag = hashlib.md5(b'sha256:' + self._names.digest_of_tag(name).encode()).hexdigest() if '/current/' in name else '0' * 32
            records.append({'name': name, 'hash': etag, 'bytes': size, 'content_type': 'application/octet-stream', 'last_modified': stamp})
        return records

    @staticmethod
    def _digits(name):
        return name.split('/')[-2]

    def read(self, name, newest=True):
        digits = self._digits(name)
        if digits in self._large:
            upload = self._names.upload(self._large[digits])
            return Object(b'', headers={'X-Object-Meta-Segments': f'{upload}-00112233 {PARTS}'}, segments=[])
        return Object(self._names.bodies[digits][0]) if digits in self._names.bodies else None


def serve(total, manifests, pipe):
    with FakeSwift() as server:
        names = Names(total, manifests)
        server.containers[CONTAINER] = Made(names)
        pipe.send((server.auth_url, len(names)))
        pipe.recv()


def survey(auth_url, threads, pipe):
    from docker_registry.core import driver
    from docker_registry.v2.operations.pace import Pace
    from docker_registry.v2.operations.progress import Progress
    from docker_registry.v2.operations.survey import figures, report
    from docker_registry.v2.operations.survey import survey as survey_module

    logged_in = {'swift_authurl': auth_url, 'swift_auth_version': 1, 'swift_user': 'test:tester', 'swift_password': 'testing'}
    storage = driver.fetch('swift')(path='files', config=dict(logged_in, swift_container=CONTAINER))
    storage.connect()
    pace, before, started = Pace(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    stages = []

    class Stages(Progress):
        def stage(self, title, unit, total=None):
            stages.append((title, time.monotonic() - started, pace.requests))
            return super().stage(title, unit, total)

    with tempfile.TemporaryDirectory() as folder:
        found = survey_module.take(storage, folder, pace, Stages(None), threads=threads)
        stages.append(('The report', time.monotonic() - started, pace.requests))
        report.text(figures.figures(found))
        stages.append(('end', time.monotonic() - started, pace.requests))
        size = os.path.getsize(os.path.join(folder, 'survey.sqlite'))
        unowned = found.one('SELECT count(*) FROM segment WHERE name NOT IN (SELECT name FROM composed)')
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((stages, dict(pace.methods), before / 1024, after / 1024, size / 2**20, unowned))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--names', type=int, default=1000000)
    parser.add_argument('--manifests', type=int, default=20000)
    parser.add_argument('--threads', type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(options.names, options.manifests, theirs))
    server.start()
    auth_url, names = ours.recv()
    mine, other = context.Pipe()
    child = context.Process(target=survey, args=(auth_url, options.threads, other))
    child.start()
    stages, methods, before, after, size, unowned = mine.recv()
    child.join()
    ours.send(None)
    server.join()
    print(f'{names} names, {options.manifests} manifests: {stages[-1][1]:.0f} s, requests: {methods}')
    for (title, begun, requests), (_, ended, later) in zip(stages, stages[1:]):
        print(f'  {title:28} {ended - begun:6.1f} s {later - requests:8} requests')
    print(f'memory: {before:.0f} MiB before, {after:.0f} MiB at most; database {size:.0f} MiB; segments without an owner: {unowned}')


if __name__ == '__main__':
    main()
