"""The table of a benchmark run, in reStructuredText."""

import collections
import statistics

OURS, RELEASED = DRIVERS = 'ours', '0.2.1'

NAMES = {
    'get': 'get',
    'put new': 'put, new name',
    'put over': 'put, over another',
    'exists': 'exists, there',
    'exists not': 'exists, not there',
    'list': 'list 100 names',
    'stream': 'stream_read of 1 MiB',
}

#: One line: `ours` compared with `theirs`; `against` names theirs.  requests, cpu and bad have the form "ours : theirs".
Row = collections.namedtuple('Row', 'what callers against ratio spread ours theirs unit requests cpu bad')

TITLES = Row('what', 'callers', 'against', 'ratio', 'spread', 'ours', 'theirs', 'unit', 'requests', 'cpu ms', 'bad')
LEFT = ('what', 'against', 'unit')

KEY = """\
ratio     ours / theirs: the median of all rounds, and its spread; for rates more is better, for peak memory less
requests  HTTP requests to Swift's proxy for each call, ours : theirs
cpu ms    processor time of the calling process for each call, ours : theirs
bad       calls in all rounds that failed, hung or gave a wrong answer, ours : theirs; rates count only right answers
"""


def show(results, options, seconds, load):
    print(
        'Medians of %d rounds in %d seconds; small objects have 1 KiB, the large one %d MB; load average at the start: %.1f.\n'
        % (options.rounds, seconds, options.size, load)
    )
    print(table([TITLES] + rows(results)))
    print('\n' + KEY)
    for (what, callers, who), rounds in results.items():
        error = next((one.error for one in rounds if one.error), None)
        if error:
            print('A failure of %s, %s with %d callers: %s' % (who, NAMES.get(what, what), callers, error[:120]))


def rows(results):
    made = [compared(results, name, callers, RELEASED, '/s') for callers in (1, 16) for name in NAMES]
    for name in ('stream_write', 'stream_read'):
        made.append(compared(results, name, 1, RELEASED, 'MB/s'))
        for curl in ('curl', 'curl of ours'):
            if (name, 1, curl) in results:
                made.append(compared(results, name, 1, curl, 'MB/s'))
        made.append(compared(results, name, 1, RELEASED, 'MiB', 'peak')._replace(what='peak memory of ' + name))
    return made


def compared(results, name, callers, against, unit, field='rate'):
    ours, theirs = results[name, callers, OURS], results[name, callers, against]
    scale = 2**20 if field == 'peak' else 1
    mine, others = [[getattr(one, field) / scale for one in rounds] for rounds in (ours, theirs)]
    ratios = [a / b if b else float('inf') for a, b in zip(mine, others)]
    row = Row(
        NAMES.get(name, name),
        str(callers),
        against.split()[0],
        number(statistics.median(ratios)),
        '%s-%s' % (number(min(ratios)), number(max(ratios))),
        '%.0f' % statistics.median(mine),
        '%.0f' % statistics.median(others),
        unit,
        '',
        '',
        '',
    )
    if field == 'peak' or against != RELEASED:
        return row
    return row._replace(
        requests=both(ours, theirs, 'requests', 1, '%.3g') if callers == 1 else '',
        cpu=both(ours, theirs, 'cpu', 1000, '%.3g'),
        bad='%d : %d' % tuple(sum(one.bad for one in rounds) for rounds in (ours, theirs)),
    )


def both(ours, theirs, field, scale, form):
    return ' : '.join(form % (scale * statistics.median([getattr(one, field) or 0 for one in rounds])) for rounds in (ours, theirs))


def number(value):
    return 'inf' if value == float('inf') else '%.2f' % value


def table(lines):
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = '  '.join('=' * width for width in widths)
    shown = [
        '  '.join(cell.ljust(width) if name in LEFT else cell.rjust(width) for cell, width, name in zip(line, widths, Row._fields)).rstrip()
        for line in lines
    ]
    return '\n'.join([rule, shown[0], rule] + shown[1:] + [rule])
