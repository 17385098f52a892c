"""The rows of a benchmark run, and their table in reStructuredText."""

import operator
import statistics
import sys
from dataclasses import dataclass, field

LESS_OR_MORE = {'<=': operator.le, '>=': operator.ge}
TITLES = ('part', 'what', 'ours', 'peer', 'unit', 'against', 'ratio', 'spread', 'requests', 'goal', 'remarks')
RIGHT = ('ours', 'peer', 'ratio', 'spread')  # the columns of numbers

KEY = """\
ratio     ours / peer: the median of all rounds, and its spread. Of s, ms and MiB less is better, of a rate (/s, MB/s) more
requests  HTTP requests to Swift's proxy, ours : peer
goal      what this project promises itself, and whether this run has met it
remarks   cpu ms: processor time of a call. bad: calls that failed, hung or gave a wrong answer; rates count only right ones
"""


@dataclass
class Row:
    """One line of the table.

    :param ours: what was measured, one number for each round
    :param peer: the same of the peer that `against` names, or nothing if there is no peer
    :param goal: such as `ratio <= 1.3` or `ours >= 1000`; '' for none
    """

    part: str
    what: str
    ours: list[float]
    peer: list[float] = field(default_factory=list)
    unit: str = 's'
    against: str = ''
    requests: str = ''
    goal: str = ''
    remarks: str = ''

    @property
    def ratios(self):
        return [ours / peer if peer else float('inf') for ours, peer in zip(self.ours, self.peer)]

    @property
    def has_met_goal(self):
        which, comparison, number = self.goal.split()
        value = statistics.median(self.ratios if which == 'ratio' else self.ours)
        return LESS_OR_MORE[comparison](value, float(number))

    def cells(self):
        ratios = self.ratios
        return (
            self.part,
            self.what,
            number(statistics.median(self.ours)),
            number(statistics.median(self.peer)) if self.peer else '',
            self.unit,
            self.against,
            f'{statistics.median(ratios):.2f}' if ratios else '',
            f'{min(ratios):.2f}-{max(ratios):.2f}' if ratios else '',
            self.requests,
            f'{self.goal}: {"met" if self.has_met_goal else "MISSED"}' if self.goal else '',
            self.remarks,
        )


def number(value):
    return f'{value:.3g}' if value < 1000 else f'{value:.0f}'


def both(ours, peer, form='%.3g'):
    """Return the medians of two lists as `ours : peer`. An empty list has none."""
    return ' : '.join(form % statistics.median(values) if values else '-' for values in (ours, peer))


def table(rows):
    lines = [TITLES, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = '  '.join('=' * width for width in widths)
    shown = [
        '  '.join(cell.rjust(width) if title in RIGHT else cell.ljust(width) for cell, width, title in zip(line, widths, TITLES)).rstrip()
        for line in lines
    ]
    return '\n'.join([rule, shown[0], rule, *shown[1:], rule])


def progress(text):
    print(text, file=sys.stderr, flush=True)
