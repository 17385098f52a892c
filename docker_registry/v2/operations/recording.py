"""Keeps what a survey, a collection or a check has come to, for the metrics of all registries on the container. See `records`."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection.problems import LyingListing, Problem, Stopped
from docker_registry.v2.operations.collection.work import Report
from docker_registry.v2.operations.fsck.findings import UNKNOWN, Finding, status, unpullable
from docker_registry.v2.registry import records, sizes

LARGEST_COUNT = 1e18  # of bytes, for example; what is larger in an old record is nothing that was counted
#: The outcomes of a collection.
DONE, BRAKE, LISTING, FAILED = 'done', 'brake', 'listing', 'error'
#: Counts of a collection that add up over all runs. {name in the record: names in a report}
TOTALS = {
    'freed_bytes': ('purged_bytes', 'segment_bytes', 'v1_image_bytes'),
    'trashed_bytes': ('blob_bytes',),
    'trashed_blobs': ('blobs',),
    'restored_blobs': ('restored',),
}


def survey(found: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a survey.

    :param found: `figures.figures`
    """
    container = found['container']
    return {
        'finished': time.time(),
        'seconds': found['seconds'],
        **{name: container[name] for name in ('repositories', 'tags', 'manifests')},
        'blobs': container['blobs']['count'],
        'blob_bytes': container['blobs']['bytes'],
        'stored_bytes': container['stored']['bytes'],
        'garbage_bytes': {kind: ages['bytes'] for kind, ages in found['garbage'].items()},
        'trash_bytes': found['trash']['bytes'],
        'unread': len(found['unread']['manifests']) + len(found['unread']['objects']),
    }


def collection(last: records.Record, seconds: float, report: Report | None, problem: Exception | None = None) -> dict[str, Any]:
    """Return the record of a collection.

    :param last: the record of the one before
    :param report: what it did, or None if `problem` has stopped it
    """
    outcome = DONE if report else _outcome(problem)
    runs, totals = _numbers(last.get('runs')), _numbers(last.get('totals'))
    runs[outcome] = runs.get(outcome, 0) + 1
    counts = report.counts if report else {}
    for name, parts in TOTALS.items():
        totals[name] = totals.get(name, 0) + sum(counts.get(part, 0) for part in parts)
    now = time.time()
    found = {'finished': now, 'seconds': round(seconds, 3), 'outcome': outcome, 'runs': runs, 'totals': totals}
    found['succeeded'] = now if report else last.get('succeeded')
    found['trash_bytes'] = report.trash_bytes if report else last.get('trash_bytes')
    return found


def _outcome(problem: Exception | None) -> str:
    if isinstance(problem, Problem):
        return {Stopped: BRAKE, LyingListing: LISTING}.get(type(problem), FAILED)
    return FAILED


def _numbers(found: object) -> dict[str, float]:
    items = found.items() if isinstance(found, dict) else ()
    return {name: number for name, number in items if isinstance(number, (int, float)) and abs(number) <= LARGEST_COUNT}


def check(last: records.Record, seconds: float, findings: Sequence[Finding], deep: bool) -> dict[str, Any]:
    """Return the record of a check of all repositories."""
    bad = [finding for finding in findings if finding.is_bad]
    unknown = sum(finding.damage == UNKNOWN for finding in bad)
    now = time.time()
    return {
        'finished': now,
        'deep': now if deep else last.get('deep'),
        'seconds': round(seconds, 3),
        'status': status(findings),
        'damaged': len(bad) - unknown,
        'unknown': unknown,
        'repaired': sum(finding.repaired for finding in findings),
        'unpullable': len(unpullable(findings)),
    }


def keep(storage: Any, kind: str, make: Callable[[records.Record], records.Record]) -> None:
    """Store the record that `make` returns for the last one. If that fails, say so: the command has done its work all the same."""
    try:
        records.write(storage, kind, make(records.read(storage, kind)))
    except exceptions.UnspecifiedError as error:
        text = ' '.join(str(error).split())
        print(f'registry-swift: the metrics will not show this {kind}, because its outcome was not stored: {text}', file=sys.stderr)


def keep_sizes(storage: Any, rows: Iterable[tuple[str, int, int]], at: float) -> None:
    """Store the sizes of repositories for the page. See `sizes.write`; if it fails, say so, like `keep`."""
    try:
        sizes.write(storage, rows, at)
    except exceptions.UnspecifiedError as error:
        text = ' '.join(str(error).split())
        print(
            f'registry-swift: the page will not show the new sizes of repositories, because they were not stored: {text}', file=sys.stderr
        )
