"""What an attack did to the other clients of a server, and tables of that."""

import contextlib
import dataclasses
import json
import os
import time

from bench import forget_peak, peak_memory, start_attacker
from probes import HEALTH_EVERY, PULL_EVERY, Probe

BASELINE = 'no attack'
BASELINE_SECONDS = 2
MB = 10**6


@dataclasses.dataclass
class Outcome:
    """:param probes: by name, `Probe` objects that have ended"""

    name: str
    tls: bool
    probes: dict
    counts: dict
    restarts: int
    memory: int  # bytes, of the worker that used most
    processor: float  # seconds of a core that the attacker used
    slowness: float = 1.0  # of the machine, see `processor.slowness`

    def slow(self, limit):
        """Return a list of what was slower than `limit` seconds of a machine that is not slow, or failed."""
        found = [f'{name}: p99 {probe.at(0.99):.3f} s' for name, probe in self.probes.items() if probe.at(0.99) > limit * self.slowness]
        return found + [f'{name}: {error}' for name, probe in self.probes.items() for error in probe.errors[:3]]


def measure(bench, one, tls, slowness=1.0):
    """Attack a server, or do nothing if `one` is None, and return the `Outcome`.

    :param slowness: of the machine: so much less often do attackers begin something
    """
    server = bench.settled_server(tls, bool(one and one.users))
    client, content = server.client(), dataclasses.asdict(bench.content)
    stops = bool(one and one.stops_storage)
    workers = server.workers
    for pid in workers:
        forget_peak(pid)
    found = {'healthz': Probe(lambda: client.get(server.health), HEALTH_EVERY)}
    if not stops:
        found['pull'] = Probe(lambda: client.pull(content), PULL_EVERY)
    counts, processor = {}, 0.0
    with bench.stopped_storage() if stops else contextlib.nullcontext():
        attacker = start_attacker(one.name, server, bench.content, slowness) if one else None
        for probe in found.values():
            probe.start()
        if attacker:
            with attacker.stdout:
                counts = json.loads(attacker.stdout.read() or '{}')
            _, status, used = os.wait4(attacker.pid, 0)
            attacker.returncode, processor = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
            assert attacker.returncode == 0, f'the attacker failed with status {attacker.returncode}'
        else:
            time.sleep(BASELINE_SECONDS)
        for probe in found.values():
            probe.stop()
    left = server.workers
    memory = max(peak_memory(pid) for pid in left)
    return Outcome(one.name if one else BASELINE, tls, found, counts, len(set(workers) - set(left)), memory, processor, slowness)


COLUMNS = (
    'attack',
    'TLS',
    'healthz p50',
    'p99',
    'max',
    'pull p50',
    'p99',
    'max',
    'failed',
    'requests',
    'restarts',
    'peak MB',
    'attacker CPU',
)


def rows(outcomes):
    for one in outcomes:
        times = []
        for name in ('healthz', 'pull'):
            probe = one.probes.get(name)
            times += [f'{probe.at(share):.3f}' for share in (0.5, 0.99, 1)] if probe else ['', '', '']
        failed = sum(len(probe.errors) for probe in one.probes.values())
        requests = f'{one.counts.get("connections", 0)} / {one.counts.get("requests", 0)}'
        yield (
            one.name,
            'yes' if one.tls else 'no',
            *times,
            str(failed),
            requests,
            str(one.restarts),
            str(round(one.memory / MB)),
            f'{one.processor:.1f}',
        )


def table(outcomes):
    """Return a table in reStructuredText, which is also text to read. Times are in seconds, requests are connections / requests."""
    cells = [COLUMNS, *rows(outcomes)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])
