"""The outcome of a collection, and what is in the trash, as text for people."""

import dataclasses
import itertools
import json
from collections.abc import Iterable

from docker_registry.v2.operations import duration
from docker_registry.v2.operations.collection.contents import Entry
from docker_registry.v2.operations.collection.work import Report

SHOWN = 20  # repositories, and remarks
NOTHING = 'Nothing to do: what is garbage is too young, or in the trash already. registry-swift survey shows both'
#: Counts of a report, with what they mean. A verb in braces is that of a dry run.
LINES = {
    'links': 'links of layers that no manifest of their repository names {went} to the trash',
    'names': 'other names of what is gone {went}',
    'blobs': 'blobs that nothing links, with {blob_bytes}, {went} to the trash',
    'restored': 'blobs and',
    'restored_links': 'links that are needed again were put back',
    'purged': 'blobs, with {purged_bytes}, left the trash for good',
    'aside': 'objects that registry-swift fsck had put aside {went}',
    'uploads': 'abandoned uploads of CNCF distribution {went}',
    'segments': 'segments that nothing names {went}',
    'v1_images': 'images of the v1 registry that no tag reaches {went}',
    'v1_segments': 'segments of the v1 registry that nothing names {went}',
    'foreign_segments': 'segments of CNCF distribution that nothing names {went}',
}


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value, units = float(count), ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f'{value:.0f} {units[0]}' if units[0] == 'bytes' else f'{value:.1f} {units[0]}'


def as_json(report: Report) -> str:
    return json.dumps({**dataclasses.asdict(report), 'remarks': list(report.remarks)})


def text(report: Report) -> str:
    """Return the lines about a collection."""
    words = {'went': 'would go' if report.dry_run else 'went'}
    words |= {name: size(report.counts.get(name, 0)) for name in ('blob_bytes', 'purged_bytes', 'segment_bytes')}
    lines = [f'{report.counts[name]:>10} {line.format(**words)}' for name, line in LINES.items() if report.counts.get(name)]
    if report.counts.get('segment_bytes'):
        lines.append(f'{"":>10} these segments {"have" if report.dry_run else "had"} {words["segment_bytes"]}')
    if report.dry_run:
        lines += _repositories(report)
    head = 'This is a dry run: nothing was changed' if report.dry_run else f'Run {report.run}'
    more = len(report.remarks) - SHOWN
    lines += [*list(report.remarks)[:SHOWN], *([f'and {more} more remarks; --json shows all'] if more > 0 else [])]
    return '\n'.join([head, *(lines or [NOTHING])])


def _repositories(report: Report) -> list[str]:
    counts = sorted(report.repositories.items(), key=lambda item: -sum(item[1].values()))
    lines = [f'{own.get("links", 0):>10} links {own.get("names", 0):>6} names  {name}' for name, own in counts[:SHOWN]]
    more = len(counts) - SHOWN
    return ['', *lines, *([f'           and {more} more repositories; --json shows all'] if more > 0 else [])] if lines else []


def trash(found: Iterable[Entry], now: float) -> str:
    """Return a table of what is in the trash, by the run that has moved it there."""
    ordered = sorted(found, key=lambda entry: (entry.run, entry.digest))
    lines = []
    for run, entries in itertools.groupby(ordered, key=lambda entry: entry.run):
        lines.append(f'run {run}')
        for entry in entries:
            what = size(entry.size or 0) if entry.kind == 'blob' else f'link in {entry.repository}'
            state = '' if entry.state == 'trash' else ', about to be deleted for good'
            lines.append(f'    {entry.digest}  {what}, {duration.roughly(now - entry.at)} ago{state}')
    return '\n'.join(lines or ['The trash is empty'])
