"""Where the paths of repositories are in a listing, by the patterns of their names.

Texts here are paths below `layout.REPOSITORIES`, or what they begin with: a repository's own paths begin with its name and `/_`. They are
compared as storage sorts them, so `a/0` comes before `a`, and `a` before `a/b`.
"""

import bisect
from collections.abc import Iterable

from docker_registry.v2.registry.patterns import Pattern

Spans = list[tuple[str, str]]  # from a text, up to and without another one, sorted and apart from each other

_END = '\x7f'  # after all names


def of(patterns: Iterable[Pattern]) -> Spans:
    """Return where the paths of all repositories are that match one of these patterns. Others may be there, too."""
    return _union([_beginning_with(f'{pattern.text}/_' if pattern.is_literal else pattern.beginning) for pattern in patterns])


def of_no_others(patterns: Iterable[Pattern]) -> Spans:
    """Return spans in which all paths belong to repositories that match one of these patterns. Not all of those are there."""
    found: Spans = []
    for pattern in patterns:
        start, end = _beginning_with(pattern.beginning)
        if pattern.is_literal:
            found.append(_beginning_with(f'{pattern.text}/_'))
        elif pattern.matches_all_beginnings and start.endswith('/'):  # the own paths of `a` are among those of `a/**`
            found += [(start, start + '_'), (_beginning_with(start + '_')[1], end)]
        elif pattern.matches_all_beginnings:
            found.append((start, end))
    return _union(found)


def difference(spans: Spans, others: Spans) -> Spans:
    """Return what is in some spans and not in others."""
    found: Spans = []
    ends = [end for _, end in others]
    for start, end in spans:
        at = bisect.bisect_right(ends, start)
        while at < len(others) and others[at][0] < end:
            if start < others[at][0]:
                found.append((start, others[at][0]))
            start = others[at][1]
            at += 1
        if start < end:
            found.append((start, end))
    return found


def union(many: Iterable[Spans]) -> Spans:
    return _union([span for spans in many for span in spans])


def _union(spans: Spans) -> Spans:
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _beginning_with(text: str) -> tuple[str, str]:
    """Return the span of all texts that begin with a text."""
    return text, text[:-1] + chr(ord(text[-1]) + 1) if text else _END
