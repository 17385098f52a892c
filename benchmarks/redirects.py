"""Part `redirects`: curl gets a large blob from a registry that leads it to Swift, from one that does not, and from Swift itself."""

import collections
import hashlib
import os
import re
import statistics
import subprocess
import tempfile
import urllib.request
from typing import NamedTuple

import peers
import report
import servers
import swift_process

MiB = 1024**2
SIZE, QUICK_SIZE = 300, 50  # MiB
REDIRECTED, THROUGH, STRAIGHT = WAYS = 'GET, redirected', 'GET, through the registry', 'curl from Swift'
SIGNING = {'SWIFT_TEMP_URL_KEY': 'a key that signs', 'SWIFT_TEMP_URL_SET_KEY': 'container', 'REGISTRY_REDIRECT': 'yes'}
GOALS = {REDIRECTED: 'ratio <= 1.05'}


class Measured(NamedTuple):
    """One GET."""

    seconds: float  # with both requests of curl, if it is redirected
    requests: int = 0  # of the registry to Swift; once a minute it sends one more
    sent: int = 0  # bytes that the registry sent
    cpu: float = 0  # seconds of a core that the registry used

    def __str__(self):
        return f'{self.seconds:.2f} s {self.requests} requests {self.sent / MiB:4.0f} MiB {1000 * self.cpu:4.0f} ms'


def rows(options):
    with tempfile.TemporaryDirectory(prefix='bench-') as folder:
        results = measure(options, folder)
    straight = [one.seconds for one in results[STRAIGHT]]
    for way in (REDIRECTED, THROUGH):
        requests, sent, cpu = (statistics.median_low(numbers) for numbers in zip(*[one[1:] for one in results[way]]))
        remarks = f'cpu ms {1000 * cpu:.0f}; {sent / MiB:.0f} MiB through the registry'
        ours = [one.seconds for one in results[way]]
        yield report.Row('redirects', way, ours, straight, 's', STRAIGHT, requests=str(requests), goal=GOALS.get(way, ''), remarks=remarks)


def measure(options, folder):
    """Return {way: [Measured for each round]}."""
    results, started = collections.defaultdict(list), []
    with swift_process.start() as swift:
        try:
            for settings in (SIGNING, {}):
                started.append(servers.Registry(folder, swift, 'bench', workers=1, REGISTRY_UPLOAD_SECRET=peers.SECRET, **settings))
                started[-1].wait()
            digest = push(started[0], os.urandom(MiB), QUICK_SIZE if options.quick else SIZE)
            gets = dict(zip(WAYS, [Get(started[0], digest), Get(started[1], digest), Straight(swift, 'bench', digest)]))
            for get in gets.values():
                get()  # logs in, sets the key, and fills caches
            for turn in range(options.rounds):
                for way in (*WAYS[turn % 3 :], *WAYS[: turn % 3]):
                    results[way].append(gets[way]())
                    report.progress(f'{way:28} {results[way][-1]}')
        finally:
            for registry in started:
                registry.stop()
    return results


def push(registry, block, count):
    """Push a blob that consists of a block so many times, and return its digest."""
    hasher = hashlib.sha256()
    for _ in range(count):
        hasher.update(block)
    digest = 'sha256:' + hasher.hexdigest()
    url = f'{registry.url}/v2/bench/blobs/uploads/?digest={digest}'
    body = urllib.request.Request(url, (block for _ in range(count)), {'Content-Length': str(count * len(block))}, method='POST')
    with urllib.request.urlopen(body) as answer:
        assert answer.status == 201
    return digest


class Get:
    """Gets a blob from a registry, wherever that leads."""

    def __init__(self, registry, digest):
        self._registry, self._url = registry, f'{registry.url}/v2/bench/blobs/{digest}'
        self._line = rf' GET /v2/bench/blobs/{digest} \d+ (\d+) [\d.]+ swift=(\d+) '

    def __call__(self):
        count, before = len(re.findall(self._line, self._registry.log)), processor_time(self._registry)
        seconds = curl(self._url)
        sent, requests = servers.wait_until(lambda: re.findall(self._line, self._registry.log)[count:], 'the registry logs the request')[0]
        return Measured(seconds, int(requests), int(sent), processor_time(self._registry) - before)


class Straight:
    """Gets the same bytes from Swift, with a token."""

    def __init__(self, swift, container, digest):
        login = urllib.request.Request(swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': swift.key})
        with urllib.request.urlopen(login) as answer:
            self._token = 'X-Auth-Token: ' + answer.headers['X-Auth-Token']
        digits = digest.partition(':')[2]
        self._url = f'{swift.storage_url}/{container}/files/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data'

    def __call__(self):
        return Measured(curl(self._url, '-H', self._token))


def processor_time(registry):
    """Return the seconds of a core that the workers of a registry have used."""
    ticks = 0
    for pid in registry.workers:
        with open(f'/proc/{pid}/stat') as stat:
            ticks += sum(map(int, stat.read().rpartition(')')[2].split()[11:13]))  # utime and stime, proc(5)
    return ticks / os.sysconf('SC_CLK_TCK')


def curl(url, *options):
    """Get a URL, follow redirects, and return the seconds that it took."""
    command = ['curl', '-sSfL', '-o', os.devnull, '-w', '%{time_total}', *options, url]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
