"""Part `driver`: our Swift driver beside the released 0.2.1. Both run on Python 2.7 and take turns on one real Swift."""

import collections
import contextlib
import hashlib
import json
import os
import select
import shutil
import subprocess
import urllib.request

import environments
import report
import swift_process

HERE = os.path.dirname(os.path.abspath(__file__))
OURS, RELEASED = DRIVERS = 'ours', '0.2.1'
SIZE, SECONDS = 300, 0.8  # MB of the large object, and the time for which each small operation is repeated
QUICK_SIZE, QUICK_SECONDS = 80, 0.1
OPERATIONS = {
    'get': 'get',
    'put new': 'put, new name',
    'put over': 'put, over another',
    'exists': 'exists, there',
    'exists not': 'exists, not there',
    'list': 'list 100 names',
    'stream': 'stream_read of 1 MiB',
}
GOALS = {('stream_write', RELEASED): 'ratio >= 0.9', ('stream_write', 'curl'): 'ratio >= 0.9'}
CALLERS = (1, 16)
LAYER = 'images/ffffffffffffffffffffffffffffffffffffffffffffffffffffffff%08x/layer'
PATIENCE = 300  # seconds to wait for an answer of a worker

#: One measurement of one driver, or of curl.  rate: calls or MB per second; requests: requests to Swift's proxy per call;
#: bad: number of calls that failed, hung or gave a wrong answer; peak: bytes of memory; cpu: seconds of processor time per call.
Measured = collections.namedtuple('Measured', 'rate requests bad peak cpu error', defaults=(None, 0, None, None, None))


class Account:
    """The Swift account of the run.  It is used without either driver."""

    def __init__(self, swift):
        self.swift = swift
        login = urllib.request.Request(swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': swift.key})
        with urllib.request.urlopen(login) as answer:
            self._token = answer.headers['X-Auth-Token']

    def url(self, container, name=''):
        return '%s/%s/%s' % (self.swift.storage_url, container, name)

    def request(self, method, url):
        request = urllib.request.Request(url.rstrip('/'), method=method, headers={'X-Auth-Token': self._token})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def md5s(self, container):
        """The MD5 of each object, from the container's listing."""
        found, marker = {}, ''
        while True:
            page = json.loads(self.request('GET', self.url(container) + '?format=json&marker=' + marker))
            if not page:
                return found
            found.update((entry['name'], entry['hash']) for entry in page)
            marker = page[-1]['name']

    def curl(self, *arguments):
        """Run curl.  Returns the seconds that it reports."""
        done = subprocess.run(
            ['curl', '-sSf', '-o', os.devnull, '-w', '%{time_total}', '-H', 'X-Auth-Token: ' + self._token] + list(arguments),
            stdout=subprocess.PIPE,
            check=True,
        )
        return float(done.stdout)

    def md5_of(self, url):
        digest = hashlib.md5()
        with urllib.request.urlopen(urllib.request.Request(url, headers={'X-Auth-Token': self._token})) as answer:
            for block in iter(lambda: answer.read(1 << 20), b''):
                digest.update(block)
        return digest.hexdigest()


class Peer:
    """One of the drivers: where it is installed, its container, and its worker process, which starts when needed."""

    def __init__(self, name, python, account):
        self.name, self._python, self.account = name, python, account
        self.container = 'bench-' + name
        account.request('PUT', account.url(self.container))
        self._worker = None

    def ask(self, do, **arguments):
        if self._worker is None:
            self._start()
        self._worker.stdin.write(json.dumps(dict(arguments, do=do)).encode() + b'\n')
        self._worker.stdin.flush()
        if not select.select([self._worker.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError('%s does not answer %s %s' % (self.name, do, arguments))
        answer = self._worker.stdout.readline()
        if not answer:
            raise RuntimeError('%s ended during %s %s: see %s' % (self.name, do, arguments, self._log()))
        return json.loads(answer)

    def _start(self):
        swift = self.account.swift
        config = {
            'swift_authurl': swift.auth_url,
            'swift_auth_version': 1,
            'swift_user': swift.user,
            'swift_password': swift.key,
            'swift_container': self.container,
            'storage_path': '/registry',
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'ST_', 'SWIFT', 'STORAGE', 'PYTHON'))}
        with open(self._log(), 'ab') as log:
            self._worker = subprocess.Popen(
                [self._python, os.path.join(HERE, 'driver_worker.py'), json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own,
            )

    def _log(self):
        return os.path.join(environments.FOLDER, self.name + '.log')

    def stop(self):
        if self._worker is not None:
            self._worker.kill()
            self._worker.stdin.close()
            self._worker.stdout.close()
            self._worker.wait()
            self._worker = None

    # Measurements

    def small(self, operation, callers, seconds):
        """Measure a small operation.  Only right answers count for the rate; all other outcomes count as bad."""
        self.ask('open')
        swift = self.account.swift
        swift.mark()
        counts = self.ask('small', name=operation, callers=callers, seconds=seconds)
        requests = len(swift.requests())
        calls = counts['right'] + counts['wrong'] + counts['failed']
        lost = self._lost(counts['wrote']) if counts['wrote'] else 0
        if counts['stuck']:  # its threads would go on calling
            self.stop()
        return Measured(
            (counts['right'] - lost) / counts['seconds'],
            requests / calls if calls and callers == 1 else None,
            counts['wrong'] + counts['failed'] + counts['stuck'] + lost,
            cpu=counts['cpu'] / calls if calls else None,
            error=counts['error'],
        )

    def _lost(self, wrote):
        """The number of paths that do not hold what was put there."""
        md5s = self.account.md5s(self.container)
        return sum(md5s.get('registry/' + path) != md5 for path, md5 in wrote.items())

    def write(self, path, file):
        return self._stream(os.path.getsize(file), 'write', path=path, file=file)

    def read(self, path, size):
        return self._stream(size, 'read', path=path)

    def _stream(self, size, do, **arguments):
        """Measure a large read or write, in a new process so that its peak memory is its own."""
        self.stop()
        self.ask('open')
        self.account.swift.mark()
        answer = self.ask(do, **arguments)
        requests = len(self.account.swift.requests())
        self.stop()
        bad = int(do == 'read' and answer['bytes'] != size)
        return Measured(size / 1e6 / answer['seconds'], requests, bad, answer['peak'], answer['cpu'])

    def object_url(self, path):
        return self.account.url(self.container, 'registry/' + path)


class Bench:
    """All measurements of a run: `results[what, callers, who]` is a list with one `Measured` per round."""

    def __init__(self, ours, released, seconds):
        self.ours, self.released, self._seconds = ours, released, seconds
        self.results = collections.defaultdict(list)
        self.has_curl = shutil.which('curl') is not None

    def run(self, file, md5, rounds):
        for peer in (self.ours, self.released):
            peer.ask('open')
            peer.ask('prepare')
        for number in range(rounds):
            peers = [self.ours, self.released][:: -1 if number % 2 else 1]  # take turns at being first
            for callers in CALLERS:
                for operation in OPERATIONS:
                    for peer in peers:
                        self._add(operation, callers, peer.name, peer.small(operation, callers, self._seconds))
            self._streams(number, peers, file, md5)

    def _add(self, what, callers, who, measured):
        self.results[what, callers, who].append(measured)
        report.progress('%-14s %2d  %-12s %9.1f/s  %d bad' % (what, callers, who, measured.rate, measured.bad))

    def _streams(self, number, peers, file, md5):
        path, size = LAYER % number, os.path.getsize(file)
        for peer in peers:
            self._add('stream_write', 1, peer.name, peer.write(path, file))
        plain = self.ours.account.url(self.ours.container, 'curl')
        self._curl('stream_write', 'curl', size, '-T', file, plain)
        for peer in peers:
            self._add('stream_read', 1, peer.name, peer.read(path, size))
            self._curl('stream_read', 'curl of ' + peer.name, size, peer.object_url(path))
        for peer in peers:
            if number == 0 and peer.account.md5_of(peer.object_url(path)) != md5:
                self.results['stream_write', 1, peer.name][-1] = self.results['stream_write', 1, peer.name][-1]._replace(bad=1)
            peer.ask('open')
            peer.ask('remove', path=path)

    def _curl(self, what, who, size, *arguments):
        if self.has_curl:
            self._add(what, 1, who, Measured(size / 1e6 / self.ours.account.curl(*arguments)))


def make_object(size):
    """(path, MD5) of a file of random bytes, which cannot be compressed, like a layer."""
    path, digest = os.path.join(environments.FOLDER, 'object'), hashlib.md5()
    with open(path, 'wb') as file:
        while size:
            block = os.urandom(min(size, 1 << 20))
            file.write(block)
            digest.update(block)
            size -= len(block)
    return path, digest.hexdigest()


@contextlib.contextmanager
def running(seconds):
    """A `Bench` with both drivers and their Swift. Stops them afterwards."""
    pythons = environments.swift(), environments.ours(), environments.released()
    peers = []
    with swift_process.start(pythons[0]) as swift:
        try:
            account = Account(swift)
            peers += [Peer(name, python, account) for name, python in zip(DRIVERS, pythons[1:])]
            yield Bench(*peers, seconds)
        finally:
            for peer in peers:
                peer.stop()


def rows(options):
    with running(QUICK_SECONDS if options.quick else SECONDS) as bench:
        file, md5 = make_object((QUICK_SIZE if options.quick else SIZE) * 10**6)
        bench.run(file, md5, options.rounds)
    for callers in CALLERS:
        for name in OPERATIONS:
            yield compared(bench.results, name, callers)
    for name in ('stream_write', 'stream_read'):
        yield compared(bench.results, name)
        for curl in ('curl', 'curl of ours'):
            if (name, 1, curl) in bench.results:
                yield compared(bench.results, name, against=curl)
        peaks = [[one.peak / 2**20 for one in bench.results[name, 1, who]] for who in DRIVERS]
        yield report.Row('driver', 'peak memory of ' + name, *peaks, 'MiB', RELEASED)
    bad = [one for (_, _, who), rounds in bench.results.items() if who == OURS for one in rounds if one.bad]
    if bad:
        raise AssertionError('%d measurements of our driver have wrong answers: %s' % (len(bad), bad[0].error))


def compared(results, name, callers=1, against=RELEASED):
    ours, theirs = results[name, callers, OURS], results[name, callers, against]
    requests = cpu = bad = ''
    if against == RELEASED:
        requests = both(ours, theirs, 'requests') if callers == 1 else ''
        cpu = 'cpu ms ' + both(ours, theirs, 'cpu', 1000)
        bad = ', bad %d : %d' % tuple(sum(one.bad for one in rounds) for rounds in (ours, theirs))
    what = OPERATIONS.get(name, name) + (', %d callers' % callers if callers > 1 else '')
    rates = [[one.rate for one in rounds] for rounds in (ours, theirs)]
    against = against.split()[0]
    goal = GOALS.get((name, against), '')
    return report.Row('driver', what, *rates, '/s' if name in OPERATIONS else 'MB/s', against, requests, goal, cpu + bad)


def both(ours, theirs, field, scale=1):
    return report.both(*[[scale * (getattr(one, field) or 0) for one in rounds] for rounds in (ours, theirs)])
