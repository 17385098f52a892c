#!/usr/bin/env python3
"""Compare registry-swift with CNCF distribution 2.8 (Debian's docker-registry), with skopeo and plain HTTP, on one real Swift.

Both take turns. Prints one table, for Swift as it is and for a Swift that delays each request by 20 ms; README.rst in this
folder explains it. The first run creates the virtualenv. Needs Debian's docker-registry and skopeo.
"""

import argparse
import collections
import concurrent.futures
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(HERE), 'tests')
sys.path[:0] = [HERE, TESTS, os.path.join(TESTS, 'end_to_end')]
import environments  # noqa: E402

MiB = 1024**2
OURS, PEER = 'registry-swift', 'distribution'
CALLERS, CALLS = 16, 160

#: One measurement: the seconds, and the number of requests to Swift's proxy.
Measured = collections.namedtuple('Measured', 'seconds requests')


def main():
    options = arguments()
    if os.environ.get('BENCH_REGISTRY') != sys.prefix:  # run again, with a Python that has registry-swift and requests
        python = environments.registry()
        environment = dict(os.environ, BENCH_REGISTRY=os.path.dirname(os.path.dirname(python)), SWIFT_PYTHON=environments.swift())
        os.execve(python, [python, os.path.abspath(__file__)] + sys.argv[1:], environment)
    load, began = os.getloadavg()[0], time.monotonic()
    folder = tempfile.mkdtemp(prefix='bench-')
    try:
        results = measure(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f'Medians of {options.rounds} rounds in {time.monotonic() - began:.0f} seconds; {os.cpu_count()} cores; '
        f'load average at the start: {load:.1f}.\n'
    )
    print(table(results))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3, help='number of rounds; each measures everything once (default %(default)s)')
    parser.add_argument('--size', type=int, default=200, metavar='MB', help='size of the large layer (default %(default)s)')
    parser.add_argument(
        '--delays',
        type=int,
        nargs='+',
        default=[0, 20],
        metavar='MS',
        help='milliseconds by which Swift delays each request, one or more values (default 0 20)',
    )
    return parser.parse_args()


def measure(options, folder):
    """{(delay, what, who): [Measured, ...]}, with one `Measured` per round."""
    import images
    import swift_process

    large = images.make_image(os.path.join(folder, 'large'), (options.size * MiB,), images.DOCKER)
    small = images.make_image(os.path.join(folder, 'small'), (64 * 1024,) * 20, images.DOCKER)
    results = collections.defaultdict(list)
    for delay in options.delays:
        with swift_process.start(delay_ms=delay) as swift:
            for turn in range(options.rounds):
                for who in (OURS, PEER) if turn % 2 == 0 else (PEER, OURS):
                    place = os.path.join(folder, '%d-%d-%s' % (delay, turn, who))
                    for what, measured in Contest(who, swift, place).run(large, small):
                        results[delay, what, who].append(measured)
                        print('.', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


class Contest:
    """One of the two registries, on a new container, with a skopeo that has an empty cache."""

    def __init__(self, who, swift, folder):
        import clients
        import servers

        os.makedirs(folder)
        self._who, self._swift, self._folder = who, swift, folder
        self._container = os.path.basename(folder)
        # Both have a secret. Otherwise the first push would wait a second until that of a new container has settled.
        ours = functools.partial(servers.Registry, REGISTRY_UPLOAD_SECRET='a secret for all measurements of this benchmark')
        start = ours if who == OURS else servers.Distribution
        self._server = start(folder, swift, self._container)
        self._skopeo = clients.Skopeo(folder)

    def run(self, large, small):
        self._server.wait()
        try:
            yield from self._contests(large, small)
        finally:
            self._server.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _contests(self, large, small):
        skopeo, server = self._skopeo, self._server
        yield 'push, 20 small layers', self._timed(lambda: skopeo.push(small, server, 'bench/small:1'))
        yield 'push again, unchanged', self._timed(lambda: skopeo.push(small, server, 'bench/small:1'))
        yield 'pull, 20 small layers', self._timed(lambda: skopeo.pull(server, 'bench/small:1', self._folder + '/small'))
        yield '%d manifests, %d clients' % (CALLS, CALLERS), self._timed(self._manifests)
        yield 'push, one large layer', self._timed(lambda: skopeo.push(large, server, 'bench/large:1'))
        yield 'pull, one large layer', self._timed(lambda: skopeo.pull(server, 'bench/large:1', self._folder + '/large'))
        digest = large.blobs[0]
        yield 'GET of the large blob', self._timed(lambda: curl('%s/v2/bench/large/blobs/%s' % (server.url, digest)))
        yield 'the same from Swift', self._timed(lambda: self._straight(digest))

    def _timed(self, call):
        self._swift.mark()
        began = time.monotonic()
        call()
        return Measured(time.monotonic() - began, len(self._swift.requests()))

    def _manifests(self):
        import clients

        def pull(_):
            clients.get_manifest(self._server, 'bench/small', '1').raise_for_status()

        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(pull, range(CALLS)))

    def _straight(self, digest):
        login = urllib.request.Request(self._swift.auth_url, headers={'X-Auth-User': self._swift.user, 'X-Auth-Key': self._swift.key})
        with urllib.request.urlopen(login) as answer:
            token = answer.headers['X-Auth-Token']
        digits = digest.partition(':')[2]
        curl(
            '%s/%s/files/docker/registry/v2/blobs/sha256/%s/%s/data' % (self._swift.storage_url, self._container, digits[:2], digits),
            '-H',
            'X-Auth-Token: ' + token,
        )


def curl(url, *options):
    subprocess.run(['curl', '-sSf', '-o', os.devnull, *options, url], check=True)


def table(results):
    lines = [('Swift', 'what', 'ratio', 'spread', 'ours, s', 'theirs, s', 'Swift requests')]
    for delay, what in dict.fromkeys((delay, what) for delay, what, _ in results):
        ours, theirs = results[delay, what, OURS], results[delay, what, PEER]
        ratios = [mine.seconds / other.seconds for mine, other in zip(ours, theirs)]
        lines.append(
            (
                '+%d ms' % delay,
                what,
                '%.2f' % statistics.median(ratios),
                '%.2f-%.2f' % (min(ratios), max(ratios)),
                '%.2f' % statistics.median(one.seconds for one in ours),
                '%.2f' % statistics.median(one.seconds for one in theirs),
                '%d : %d' % tuple(statistics.median_low([one.requests for one in rounds]) for rounds in (ours, theirs)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = '  '.join('=' * width for width in widths)
    shown = ['  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    return '\n'.join([rule, shown[0], rule] + shown[1:] + [rule])


if __name__ == '__main__':
    main()
