"""What metrics cost: the processor time that a worker takes for a manifest by its tag, without metrics and with them, side by side.

Both registries have one worker and the fake Swift of the tests, and get the same requests in turn. Below that is what the calls take alone.

Run it where the registry is installed: `.tox/v2/bin/python benchmarks/metrics.py`
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from types import SimpleNamespace  # noqa: E402

TESTS = pathlib.Path(__file__).resolve().parents[1] / 'tests'
sys.path[:0] = [str(TESTS), str(TESTS / 'v2')]

import fake_swift  # noqa: E402
from docker_registry.v2.http.metrics.counting import Metrics  # noqa: E402
from docker_registry.v2.registry import tally  # noqa: E402
from registry_process import Serving, environment  # noqa: E402

MANIFEST = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': []})
PATH = '/v2/a/manifests/v1'
TICK = 1e6 / os.sysconf('SC_CLK_TCK')  # microseconds


# A request as a whole


def processor_time(registry):
    """Return the microseconds that the worker of a registry has run."""
    (worker,) = registry.workers
    user, system = pathlib.Path(f'/proc/{worker}/stat').read_text().rpartition(')')[2].split()[11:13]
    return (int(user) + int(system)) * TICK


def side_by_side(requests, rounds):
    """Return the microseconds for a request in each round: [those without metrics, those with them]."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        swift = stack.enter_context(fake_swift.FakeSwift())
        environments = [environment(swift), environment(swift, REGISTRY_METRICS='yes')]
        both = [stack.enter_context(Serving(folder, environ)) for environ in environments]
        times = [[], []]
        connections = [registry.connection() for registry in both]
        for registry, connection in zip(both, connections):
            assert registry.request('PUT', PATH, MANIFEST)[0] == 201
            ask(registry, connection, requests)  # to warm up
        for _ in range(rounds):
            for registry, connection, found in zip(both, connections, times):
                before = processor_time(registry)
                ask(registry, connection, requests)
                found.append((processor_time(registry) - before) / requests)
        return times


def ask(registry, connection, requests):
    for _ in range(requests):
        assert registry.request('GET', PATH, connection=connection)[0] == 200


# The calls alone


def cost(call, calls, rounds):
    """Return the microseconds of a call in the fastest of some rounds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        times.append(time.perf_counter() - started)
    return min(times) / calls * 1e6


def calls_alone(calls, rounds):
    """Yield (what is called, microseconds), with greenlets as in a worker."""
    metrics, storage = Metrics(100, {}), SimpleNamespace(on_request=lambda method, status, seconds: None)
    metrics.of(storage)
    route, body = '/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)', SimpleNamespace(count=0)
    request = SimpleNamespace(route=route, method='GET', parts={'repository': 'a'}, body=body)

    def client():
        metrics.begin()
        metrics.end(request, 200, 1234, 0.03)

    try:
        yield 'a request of a client', cost(client, calls, rounds)
        yield 'a request to Swift', cost(lambda: storage.on_request('GET', 200, 0.02), calls, rounds)
        yield 'an occurrence', cost(lambda: tally.count(tally.CACHE_HIT), calls, rounds)
    finally:
        metrics.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--requests', type=int, default=500, help='in each round (default: 500)')
    parser.add_argument('--rounds', type=int, default=15, help='default: 15')
    options = parser.parse_args()
    print('microseconds of processor time for a manifest by its tag: median (fastest to slowest round)')
    for name, found in zip(('without metrics', 'with metrics'), side_by_side(options.requests, options.rounds)):
        print(f'  {name:22}{statistics.median(found):8.0f}  ({min(found):.0f} to {max(found):.0f})')
    print('microseconds of the calls alone')
    for name, found in calls_alone(options.requests * 40, 5):
        print(f'  {name:22}{found:8.1f}')


if __name__ == '__main__':
    main()
