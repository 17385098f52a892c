"""Pushes, overwrites, deletes and pulls while registries are killed and servers of Swift fail, and checks that every promise is kept.

It starts a replicated Swift of four nodes (tools/swift_node.py) and two registries on it, which all end with it. Exit status: 0 if no
answer broke a promise, 1 if one did, 2 if it could not run. CONTRIBUTING.rst says how to read the report.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import garbage  # noqa: E402
import leftovers  # noqa: E402
import report  # noqa: E402
import swift_process  # noqa: E402
from check import Check  # noqa: E402
from collector import Collector  # noqa: E402
from faults import SETTLE, Faults  # noqa: E402
from judge import Judge  # noqa: E402
from ledger import LATE, Ledger  # noqa: E402
from registries import PAUSE, Registries  # noqa: E402
from workload import Client  # noqa: E402

CONTAINER = 'chaos'
REGISTRIES, CLIENTS = 2, 10
PASSES = 2  # of updaters and replicators before the check: what the first moves, the second completes
JOIN_SECONDS = 120  # for clients and injectors to end; longer than a request can take


class CannotRun(Exception):
    """The run broke off for a reason that says nothing about the registry."""


@dataclasses.dataclass
class Bench:
    """What all clients share."""

    seed: str
    seconds: float
    clients: int
    ports: list
    ledger: Ledger
    judge: Judge
    contents: dict
    stopping: threading.Event


def main(argv):
    options = arguments(argv)
    folder = pathlib.Path(tempfile.mkdtemp(prefix='chaos-'))
    try:
        result, violations = run(options, folder)
    except Exception as error:
        traceback.print_exc()
        print(f'could not run: {error}. The logs are in {folder}', file=sys.stderr)
        return 2
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1))
    print('\n'.join(report.as_text(result)))
    if not violations:
        shutil.rmtree(folder)
        return 0
    (folder / 'report.json').write_text(json.dumps(result, indent=1))
    print(f'\nThe logs and the whole report are in {folder}\nAgain: {command(options)}')
    return 1


def command(options):
    """Return the command that repeats a run."""
    more = ['--one-node'] if options.one_node else []
    more += [f'--only "{options.only}"'] if options.only else []
    more += ['--pause {:g} {:g}'.format(*options.pause)] if tuple(options.pause) != PAUSE else []
    more += ['--no-collector'] if not options.collector else []
    more += [f'--clients {options.clients}'] if options.clients != CLIENTS else []
    return f'make chaos SECONDS={options.seconds:g} SEED={options.seed}' + (f" ARGS='{' '.join(more)}'" if more else '')


def arguments(argv):
    parser = argparse.ArgumentParser(prog='chaos', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--seconds', type=float, default=120, help='how long clients push and pull; the check comes on top (default %(default)s)')
    add('--seed', default=None, help='seed of all random choices (default: a random one)')
    add('--clients', type=int, default=CLIENTS, help='number of clients (default %(default)s)')
    add('--json', metavar='FILE', help='also write the report to a file, as JSON')
    add(
        '--pause',
        type=float,
        nargs=2,
        default=PAUSE,
        metavar=('LEAST', 'MOST'),
        help='seconds between two kills of registries (default %d %d)' % PAUSE,
    )
    add('--only', metavar='WORDS', default='', help='make no faults in Swift but those whose names contain this, such as "account servers"')
    add('--one-node', action='store_true', help='use a Swift of one node, in which nothing fails; only registries are killed')
    add('--no-collector', dest='collector', action='store_false', help='collect no garbage')
    options = parser.parse_args(argv)
    options.seed = options.seed or str(random.SystemRandom().randrange(10**6))
    return options


def run(options, folder):
    """Return (the report, whether there are violations)."""
    if not os.path.exists(os.environ.get('SWIFT_PYTHON', '')):
        raise CannotRun('SWIFT_PYTHON names no Python with OpenStack Swift (make test ENVS=swift makes one)')
    with start_swift(options) as swift:
        registries = Registries(REGISTRIES, swift, CONTAINER, folder, options.collector)
        try:
            registries.start()
            return chaos(options, swift, registries, folder)
        finally:
            registries.stop()
            for path in (swift.log_path, swift.swift_log):
                shutil.copy(path, folder)


def start_swift(options):
    if options.one_node:
        return swift_process.start()
    import swift_cluster

    return swift_cluster.start()


def chaos(options, swift, registries, folder):
    ledger, contents = Ledger(options.collector), {}
    collector = Collector(registries.all[0].environment, folder) if options.collector else None
    judge = Judge(ledger, contents)
    bench = Bench(options.seed, options.seconds, options.clients, registries.ports, ledger, judge, contents, threading.Event())
    began = time.time()
    faults = None

    def agreed(moment):
        ledger.set_agreed(moment)
        if collector:
            collector.set_agreed(moment)

    if options.one_node:
        agreed(math.inf)
    else:
        faults = Faults(swift, random.Random(f'{options.seed}-faults'), bench.stopping, agreed, options.only, options.collector)
    check = Check(bench)
    with collecting(bench, collector):
        load(bench, faults, registries, options.pause)
        examine(bench, check, swift, faults, registries)
    if collector:
        collect_the_rest(bench, check, swift, faults, collector)
    left = garbage.measure(swift, CONTAINER)
    logs = [registry.log_path for registry in registries.all]
    report.attach_logs(judge.violations, logs + ([collector.log_path] if collector else []), began)
    return report.collect(bench, faults, registries, check, left, collector), bool(judge.violations)


@contextlib.contextmanager
def collecting(bench, collector):
    """Run the collector inside the block, in a thread."""
    stopping, errors = threading.Event(), []

    def work():
        try:
            collector.keep_running(random.Random(f'{bench.seed}-collector'), stopping)
        except BaseException:
            errors.append(traceback.format_exc())

    thread = threading.Thread(target=work, daemon=True)
    if collector:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        if collector:
            thread.join()
    if errors:
        raise CannotRun(errors[0])


def collect_the_rest(bench, check, swift, faults, collector):
    """Run the collector until nothing is left that nothing needs. Then look for such things, and at everything else once more."""
    if faults:
        for _ in range(PASSES):
            faults.agree()
    collector.empty()
    bench.ledger.collected()
    if faults:
        faults.agree()
    found = leftovers.find(swift, CONTAINER, bench.ledger, bench.contents, bench.judge.now())
    check.run('after the last collection')
    bench.judge.left(found)


def load(bench, faults, registries, pause):
    """Let clients work and everything fail, for as long as the options say."""
    clients = [Client(bench, number) for number in range(bench.clients)]
    jobs = [client.run for client in clients]
    jobs.append(lambda: registries.keep_killing(random.Random(f'{bench.seed}-kills'), bench.stopping, pause))
    jobs += [faults.run] if faults else []
    errors = []

    def guarded(job):
        try:
            job()
        except BaseException:
            errors.append(traceback.format_exc())
            bench.stopping.set()

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    bench.stopping.wait(bench.seconds)
    bench.stopping.set()
    for thread in threads:
        thread.join(JOIN_SECONDS)
    if errors or any(thread.is_alive() for thread in threads):
        raise CannotRun('\n'.join(errors) or 'a client or an injector of faults does not end')


def examine(bench, check, swift, faults, registries):
    """Check everything: without each node before and after all nodes have replicated, and with all nodes."""
    registries.start()
    settled = bench.ledger.last_uncertain_end()
    time.sleep(max(0.0, min(settled - time.monotonic(), LATE)))
    if faults:
        swift.heal()
        without_each_node(swift, lambda node: check.look(f'before replication, without node {node}'))
        for _ in range(PASSES):
            faults.agree()
    bench.ledger.set_agreed(math.inf)
    check.run('with all nodes')
    if faults:
        without_each_node(swift, lambda node: check.run(f'without node {node}'))


def without_each_node(swift, look):
    """Kill each node in turn, and look meanwhile. Swift's proxy remembers nothing of it."""
    for node in range(1, swift.nodes + 1):
        swift.kill_node(node)
        swift.forget()
        look(node)
        swift.start_node(node)
        time.sleep(SETTLE)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
