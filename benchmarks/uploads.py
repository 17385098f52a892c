"""Part `uploads`: a push of one large layer to registry-swift, beside `curl -T` of the same bytes to the same Swift."""

import collections
import hashlib
import http.client
import os
import statistics
import tempfile
import time
import urllib.parse
import urllib.request
from typing import NamedTuple

import driver
import peers
import report
import servers
import swift_process

UPLOADS = '/v2/bench/large/blobs/uploads/'
SIZE, QUICK_SIZE = 300, 40  # MB of the layer
CHUNK = 32 * 1024  # bytes of a chunk of docker's
PATCHES = 10
CURL = 'curl -T'
GOAL = 'ratio <= 1.3'


class Measured(NamedTuple):
    """One push, or one PUT of curl."""

    seconds: float
    cpu: float  # seconds of a core that the registry used
    swift: float  # and those of Swift's servers
    requests: int  # to Swift

    def __str__(self):
        return f'{self.seconds:.2f} s {self.requests:3} requests, processor {self.cpu:.2f} + {self.swift:.2f} s'


def rows(options):
    with tempfile.TemporaryDirectory(prefix='bench-') as folder, swift_process.start() as swift:
        path = os.path.join(folder, 'layer')
        with open(path, 'wb') as file:
            for _ in range(QUICK_SIZE if options.quick else SIZE):
                file.write(os.urandom(10**6))
        registry = servers.Registry(folder, swift, 'bench', workers=1, REGISTRY_UPLOAD_SECRET=peers.SECRET)
        try:
            results = measure(options, swift, registry.wait(), path)
            peak = max(map(servers.peak_memory, registry.workers)) / 2**20
        finally:
            registry.stop()
    for what in WAYS:
        ours, curl = results[what], results[what, CURL]
        seconds = [[one.seconds for one in rounds] for rounds in (ours, curl)]
        requests = report.both(*[[one.requests for one in rounds] for rounds in (ours, curl)], '%d')
        cpu = [1000 * statistics.median(numbers) for numbers in zip(*[(one.cpu, one.swift) for one in ours])]
        remarks = f'cpu ms {cpu[0]:.0f}, of Swift {cpu[1]:.0f}'
        yield report.Row('uploads', what, *seconds, 's', CURL, requests, GOAL, remarks)
    yield report.Row('uploads', 'peak memory of the worker', [peak], unit='MiB')


def measure(options, swift, registry, path):
    """Return {what: [Measured of each round], (what, CURL): [the same of curl]}."""
    results, account = collections.defaultdict(list), driver.Account(swift)
    for turn in range(options.rounds):
        order = -1 if turn % 2 else 1
        for what in list(WAYS)[::order]:
            for who in (what, (what, CURL))[::order]:
                digest = renewed(path)  # a registry does not store the same layer twice
                if who == what:
                    results[who].append(measured(swift, registry, WAYS[what], Client(registry.url), path, digest))
                    require_stored(registry, digest, os.path.getsize(path))
                else:
                    url = account.url('bench', digest)
                    results[who].append(measured(swift, registry, account.curl, '-T', path, url))
                    account.request('DELETE', url)
                report.progress(f'{what:22} {"" if who == what else CURL:8} {results[who][-1]}')
    return results


def measured(swift, registry, call, *arguments):
    processes = registry.process.pid, swift.process.pid
    before = [processor_seconds(pid) for pid in processes]
    swift.mark()
    began = time.monotonic()
    call(*arguments)
    seconds = time.monotonic() - began
    return Measured(seconds, *[processor_seconds(pid) - old for pid, old in zip(processes, before)], len(swift.requests()))


def require_stored(registry, digest, size):
    request = urllib.request.Request(f'{registry.url}/v2/bench/large/blobs/{digest}', method='HEAD')
    with urllib.request.urlopen(request) as answer:
        assert int(answer.headers['Content-Length']) == size


def processor_seconds(root):
    """Return the seconds that a process and its descendants have used the processor."""
    parents, seconds = {}, {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as stat:
                fields = stat.read().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        parents[int(pid)], seconds[int(pid)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    family = [root]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    return sum(seconds[pid] for pid in family)


def renewed(path):
    """Change some bytes of the file, and return its digest."""
    with open(path, 'r+b') as file:
        file.write(os.urandom(16))
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return 'sha256:' + digest.hexdigest()


# The ways to send a layer


def one_put(registry, path, digest):
    """As skopeo, podman and containerd do."""
    with open(path, 'rb') as file:
        registry.ask('PUT', with_digest(registry.begin(), digest), file, length=os.path.getsize(path))


def one_post(registry, path, digest):
    with open(path, 'rb') as file:
        registry.ask('POST', UPLOADS + '?digest=' + digest, file, length=os.path.getsize(path))


def one_patch(registry, path, digest):
    """As docker does: the length is not known, and the body has chunks of 32 KiB."""
    with open(path, 'rb') as file:
        location = registry.ask('PATCH', registry.begin(), file)
    registry.ask('PUT', with_digest(location, digest), length=0)


def several_patches(registry, path, digest):
    location, size = registry.begin(), -(-os.path.getsize(path) // PATCHES)
    with open(path, 'rb') as file:
        for start in range(0, os.path.getsize(path), size):
            length = min(size, os.path.getsize(path) - start)
            location = registry.ask('PATCH', location, file, length, {'Content-Range': '%d-%d' % (start, start + length - 1)})
    registry.ask('PUT', with_digest(location, digest), length=0)


def with_digest(location, digest):
    return '%s%sdigest=%s' % (location, '&' if '?' in location else '?', digest)


WAYS = {
    'POST, then one PUT': one_put,
    'POST with the digest': one_post,
    'one PATCH in chunks': one_patch,
    '%d PATCHes' % PATCHES: several_patches,
}


class Client:
    """One connection to the registry. It sends files without reading them, where the length is known."""

    def __init__(self, url):
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)

    def begin(self):
        return self.ask('POST', UPLOADS, length=0)

    def ask(self, method, target, file=None, length=None, headers=()):
        """Send a request, with `length` bytes of the file as its body, or with all of it in chunks. Returns the Location of the answer."""
        self._connection.putrequest(method, target)
        framing = {'Transfer-Encoding': 'chunked'} if length is None else {'Content-Length': str(length)}
        for name, value in dict(headers, **framing, **{'Content-Type': 'application/octet-stream'}).items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        if length is None:
            for block in iter(lambda: file.read(CHUNK), b''):
                self._connection.sock.sendall(b'%x\r\n%s\r\n' % (len(block), block))
            self._connection.sock.sendall(b'0\r\n\r\n')
        elif length:
            self._connection.sock.sendfile(file, file.tell(), length)
        with self._connection.getresponse() as answer:
            if answer.status not in (201, 202):
                raise RuntimeError('%s: %d %s' % (method, answer.status, answer.read(500)))
            answer.read()
            return urllib.parse.urlsplit(answer.headers['Location'])._replace(scheme='', netloc='').geturl()
