#!/usr/bin/env python3
"""Compare the driver and the registry with their peers, side by side on this machine, and print one table.

README.rst in this folder says what each part measures. The first run makes virtualenvs in the folder .bench.
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from dataclasses import asdict

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(HERE), 'tests')
sys.path[:0] = [HERE, TESTS, os.path.join(TESTS, 'end_to_end'), os.path.join(TESTS, 'v2')]
import environments  # noqa: E402
import report  # noqa: E402

PARTS = ('driver', 'registry', 'storms', 'uploads', 'redirects', 'scale')


def main():
    options = arguments()
    if os.environ.get('BENCH') != sys.prefix:
        run_again()
    load, began, rows, failed = os.getloadavg()[0], time.monotonic(), [], []
    for name in options.parts or PARTS:
        started = time.monotonic()
        try:
            for row in importlib.import_module(name).rows(options):
                rows.append(row)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        report.progress(f'{name}: {time.monotonic() - started:.0f} seconds')
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        about = f'{os.cpu_count()} cores; load average at the start: {load:.1f}'
        print(f'Medians of {options.rounds} rounds in {time.monotonic() - began:.0f} seconds; {about}.\n')
        print(f'{report.table(rows)}\n\n{report.KEY}')
    return f'failed: {", ".join(failed)}' if failed else 0


def run_again():
    """Run this program with a Python that has registry-swift."""
    try:
        python, swift = environments.registry(), environments.swift()
    except environments.Missing as error:
        sys.exit(f'benchmarks: {error}')
    os.execve(python, [python, HERE, *sys.argv[1:]], dict(os.environ, BENCH=os.path.dirname(os.path.dirname(python)), SWIFT_PYTHON=swift))


def arguments():
    parser = argparse.ArgumentParser(prog='benchmarks', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'default: {", ".join(PARTS)}')
    parser.add_argument('--rounds', type=int, default=3, help='each measures everything once (default %(default)s)')
    parser.add_argument('--quick', action='store_true', help='one short round, in a minute: shows that everything works')
    parser.add_argument('--distribution3', metavar='PROGRAM', help='also compare with this program, registry of CNCF distribution 3')
    parser.add_argument('--json', action='store_true', help='print what each round measured, instead of the table')
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f'there is no part {part!r}')
    if options.quick:
        options.rounds = 1
    return options


if __name__ == '__main__':
    sys.exit(main())
