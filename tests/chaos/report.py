"""The report: what was done to the registries and to Swift, what clients did, what was answered, and what was wrong."""

import collections
import dataclasses
import datetime
import itertools
import re

MiB = 1024 * 1024
SHOWN = 20  # violations in the text; the JSON has all of them
LINES = 30  # of the logs, for each violation
AFTER = 2  # seconds after an answer up to which lines of the logs are about it
BEFORE = 10  # seconds before an answer or a write in which a fault may have to do with it
TIME = re.compile(r'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})')


def collect(bench, faults, registries, check, garbage, collector=None):
    """Return the report as a dictionary that JSON can hold."""
    judge = bench.judge
    return {
        'seed': bench.seed,
        'seconds': bench.seconds,
        'clients': bench.clients,
        'registry_kills': dict(registries.kills),
        'faults': dict(faults.made) if faults else {},
        'operations': {name: dict(outcomes) for name, outcomes in sorted(judge.counts.items())},
        'failures': {str(status): count for status, count in judge.statuses.most_common()},
        'stale_listings': dict(judge.stale_listings),
        'undone': dict(judge.undone),
        'acknowledged_bytes': judge.acknowledged_bytes,
        'left': garbage,
        'longest_write': round(judge.longest, 1),
        'collections': dict(collector.runs) if collector else {},
        'collected': dict(collector.counts) if collector else {},
        'remarks': dict(collector.remarks) if collector else {},
        'missed': judge.missed,
        'restored_by_registries': restored(registry.log_path for registry in registries.all),
        'checked': check.done if check else {},
        'timeline': [(round(first - judge.began, 3), round(last - judge.began, 3), name) for first, last, name in faults.log]
        if faults
        else [],
        'violations': [dataclasses.asdict(violation) for violation in judge.violations],
    }


def as_text(report):
    """Return the report as lines of text."""
    yield f'seed {report["seed"]}, {report["seconds"]} seconds, {report["clients"]} clients'
    yield from table('registries killed with SIGKILL', report['registry_kills'])
    yield from table('faults in Swift', report['faults'])
    yield '\noperations, with what came of them:'
    for name, outcomes in report['operations'].items():
        yield f'  {name:24} ' + ', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))
    yield from table('answers that were none (status or what cut them)', report['failures'])
    yield from table('stale listings until container servers agreed again, which are no violations', report['stale_listings'])
    yield from table('answers before replication and without a node, when Swift cannot know better', report['undone'])
    yield f'\nbytes acknowledged: {report["acknowledged_bytes"] / MiB:.1f} MiB'
    for name, value in (report['left'] or {}).items():
        yield f'  {name.replace("_", " ")}: ' + (str(value) if name == 'large_objects' else f'{value / MiB:.1f} MiB')
    yield f'longest request that wrote something: {report["longest_write"]} seconds'
    yield from collections_as_text(report) if report['collections'] else ()
    yield from table('things asked for in the check at the end', report['checked'])
    yield f'\nviolations: {len(report["violations"])}'
    for violation in report['violations'][:SHOWN]:
        yield from violation_as_text(violation, report['timeline'])


def collections_as_text(report):
    yield from table('collections', report['collections'])
    yield '\nwhat the finished ones did:'
    yield from (f'  {count:6} {name.replace("_", " ")}' for name, count in sorted(report['collected'].items()))
    yield from table('their remarks', report['remarks'])
    yield from table('put back from the trash by registries', report['restored_by_registries'])
    yield f'HEADs that overlooked the trash, and the GET after which found the blob: {report["missed"]}'


def restored(paths):
    """Return {what: number} of what registries have put back from the trash, by their logs."""
    found = collections.Counter()
    for path in paths:
        with open(path, errors='replace') as log:
            for line in log:
                found['data'] += 'the data of sha256:' in line and 'are put back' in line
                found['links'] += ' is put back into ' in line
    return dict(+found)


def table(title, counts):
    yield f'\n{title}: {sum(counts.values())}'
    for name, count in sorted(counts.items()):
        yield f'  {count:6} {name}'


def violation_as_text(violation, timeline):
    yield f'\n- {violation["kind"]}: {violation["about"]}'
    yield f'  {violation["phase"]}, after {violation["started"]:.3f} to {violation["ended"]:.3f} seconds'
    yield f'  answer: {violation["answer"]}'
    yield f'  the ledger allows: {violation["allowed"]}'
    told = [(began, ended, f'write: {began:.3f} to {ended:.3f}: {text}') for began, ended, text in violation['history'] if ended]
    moments = [(violation['started'], violation['ended']), *(write[:2] for write in told)]
    for began, ended, name in timeline:
        if any(began <= last and ended >= first - BEFORE for first, last in moments):
            told.append((began, ended, f'fault: {began:.3f} to {ended:.3f}: {name}'))
    yield from ('  ' + text for _, _, text in sorted(told))
    yield from ('  log: ' + line for line in violation['log'])


def attach_logs(violations, paths, began):
    """Add to each violation the lines of the registries' logs that are about it, in the order of time.

    :param began: the time of day at which the run began, as a timestamp
    """
    for violation in violations[:SHOWN]:
        last = began + violation.ended + AFTER
        found = sorted(itertools.chain.from_iterable(lines_about(path, violation.words, last) for path in paths))
        violation.log = [line for _, line in found[-LINES:]]


def lines_about(path, words, last):
    """Yield (timestamp, line with the name of its file) of the lines with one of these words, up to a moment."""
    with open(path, errors='replace') as log:
        for line in log:
            if any(word in line for word in words):
                found = TIME.match(line)
                moment = timestamp(found) if found else None
                if moment is not None and moment <= last:
                    yield moment, f'{path.stem}: {line.rstrip()[:400]}'


def timestamp(found):
    return datetime.datetime.strptime(found[1], '%Y-%m-%d %H:%M:%S').timestamp() + int(found[2]) / 1000
