"""Writes what a check has found: for people, with what to do, or as one JSON object."""

import json
import textwrap
from collections.abc import Sequence

from docker_registry.v2.operations.fsck.findings import NOTES, UNKNOWN, Finding, status, unpullable

WIDTH = 120


def as_json(findings: Sequence[Finding]) -> str:
    document = {'status': status(findings), 'unpullable': unpullable(findings), 'findings': [finding.as_json() for finding in findings]}
    return json.dumps(document, indent=1)


def as_text(findings: Sequence[Finding]) -> str:
    """Return the tags that cannot be pulled, then all findings, then a summary in one line."""
    tags = unpullable(findings)
    lines = ['These tags cannot be pulled:', *(f'  {tag}' for tag in tags), ''] if tags else []
    for finding in findings:
        state = (
            'repaired' if finding.repaired else 'note' if finding.damage in NOTES else 'unknown' if finding.damage == UNKNOWN else 'DAMAGED'
        )
        where = f'{finding.repository}: ' if finding.repository else ''
        lines.append(textwrap.fill(f'{state:8} {where}{finding.what}', WIDTH, subsequent_indent=' ' * 9, break_on_hyphens=False))
        if finding.tags:
            lines.append(textwrap.fill('tags: ' + ', '.join(finding.tags), WIDTH, initial_indent=' ' * 9, subsequent_indent=' ' * 11))
        if finding.advice and not finding.repaired:
            lines.append(textwrap.fill(finding.advice, WIDTH, initial_indent=' ' * 9, subsequent_indent=' ' * 9, break_on_hyphens=False))
    return '\n'.join([*lines, summary(findings)])


def summary(findings: Sequence[Finding]) -> str:
    bad = [finding for finding in findings if finding.is_bad]
    unknown = sum(finding.damage == UNKNOWN for finding in bad)
    repaired = sum(finding.repaired for finding in findings)
    if not bad and not repaired:
        return 'All images are whole.'
    counts = f'Damaged: {len(bad) - unknown}. Repaired: {repaired}. Not known: {unknown}.'
    return f'{counts} Tags that cannot be pulled: {len(unpullable(findings))}.'
