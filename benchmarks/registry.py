"""Part `registry`: images are pushed and pulled with skopeo, beside CNCF distribution, on one real Swift."""

import concurrent.futures
import os
import subprocess
import tempfile
import time
import urllib.request
from typing import NamedTuple

import clients
import images
import peers
import report
import swift_process

MiB = 1024**2
SIZE = 200  # MiB of the large layer
DELAYS = 0, 20  # milliseconds by which Swift delays each request
CALLERS, CALLS = 16, 160
GET = 'GET of the large blob'


class Measured(NamedTuple):
    seconds: float
    requests: int = 0  # to Swift's proxy

    def __str__(self):
        return f'{self.seconds:.2f} s {self.requests:4} requests'


def rows(options):
    with tempfile.TemporaryDirectory(prefix='bench-') as folder:
        large = images.make_image(os.path.join(folder, 'large'), ((SIZE // 10 if options.quick else SIZE) * MiB,), images.DOCKER)
        small = images.make_image(os.path.join(folder, 'small'), (64 * 1024,) * 20, images.DOCKER)
        for delay in DELAYS[:1] if options.quick else DELAYS:
            with swift_process.start(delay_ms=delay) as swift:
                contest = Contest(swift, large, small)
                yield from compared(options, peers.in_turns(options, swift, contest.run), f', +{delay} ms' if delay else '')


def compared(options, results, more):
    def row(what, ours, theirs, against):
        requests = report.both([one.requests for one in ours], [one.requests for one in theirs], '%d')
        seconds = [[one.seconds for one in rounds] for rounds in (ours, theirs)]
        goal = 'ratio <= 1' if against == peers.DISTRIBUTION else ''
        return report.Row('registry', what + more, *seconds, against=against, requests=requests, goal=goal)

    for what, who in list(results):
        if who == peers.OURS and what != 'curl':
            for peer in peers.peers(options):
                yield row(what, results[what, who], results[what, peer], peer)
    yield row(GET, results[GET, peers.OURS], results['curl', peers.OURS], 'curl from Swift')


class Contest:
    """What is measured of each registry, with a skopeo that has an empty cache."""

    def __init__(self, swift, large, small):
        self._swift, self._large, self._small = swift, large, small

    def run(self, server, folder):
        skopeo, small, large = clients.Skopeo(folder), self._small, self._large
        blob = f'{server.url}/v2/bench/large/blobs/{large.blobs[0]}'
        yield 'push, 20 small layers', self._timed(lambda: skopeo.push(small, server, 'bench/small:1'))
        yield 'push again, unchanged', self._timed(lambda: skopeo.push(small, server, 'bench/small:1'))
        yield 'pull, 20 small layers', self._timed(lambda: skopeo.pull(server, 'bench/small:1', folder + '/small'))
        yield f'{CALLS} manifests, {CALLERS} clients', self._timed(lambda: manifests(server))
        yield 'push, one large layer', self._timed(lambda: skopeo.push(large, server, 'bench/large:1'))
        yield 'pull, one large layer', self._timed(lambda: skopeo.pull(server, 'bench/large:1', folder + '/large'))
        yield GET, self._timed(lambda: curl(blob))
        if isinstance(server, peers.servers.Registry):
            yield 'curl', self._timed(lambda: self._straight(os.path.basename(folder)))

    def _timed(self, call):
        self._swift.mark()
        began = time.monotonic()
        call()
        return Measured(time.monotonic() - began, len(self._swift.requests()))

    def _straight(self, container):
        """Get the large blob from Swift itself, as the registry does: a login, and a GET."""
        swift, digits = self._swift, self._large.blobs[0].partition(':')[2]
        login = urllib.request.Request(swift.auth_url, headers={'X-Auth-User': swift.user, 'X-Auth-Key': swift.key})
        with urllib.request.urlopen(login) as answer:
            token = answer.headers['X-Auth-Token']
        path = f'{container}/files/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data'
        curl(f'{swift.storage_url}/{path}', '-H', 'X-Auth-Token: ' + token)


def manifests(server):
    def pull(_):
        clients.get_manifest(server, 'bench/small', '1').raise_for_status()

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(pull, range(CALLS)))


def curl(url, *options):
    subprocess.run(['curl', '-sSf', '-o', os.devnull, *options, url], check=True)
