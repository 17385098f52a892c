"""Search the model of the collection.

    python -m tests.model                         the scenes of CI
    python -m tests.model --long                  all scenes: minutes each, and some GB of memory
    python -m tests.model --only mounted
    python -m tests.model --without blobs_first=False --only uploads

Exit status: 0 if nothing was lost, 1 if something was, or if a search did not end.
"""

import argparse
import ast
import dataclasses
import sys
import time

from .losses import LONG_SPARE, SPARE
from .rules import Rules
from .scenes import LONG, SHORT
from .search import search


def main(argv):
    options = arguments(argv)
    found = {**SHORT, **LONG} if options.long or options.only else SHORT
    if options.long:
        found |= {f'without: {rule}': scene.without(**without) for rule, scene, without in SPARE + LONG_SPARE}
    failed = 0
    for name, scene in found.items():
        if options.only in name:
            began = time.process_time()
            result = search(scene.without(**options.without), options.most)
            print(f'{name}: {time.process_time() - began:.0f} s, {result}', flush=True)
            failed += bool(result.violation) or not result.complete
    return 1 if failed else 0


def arguments(argv):
    parser = argparse.ArgumentParser(prog='python -m tests.model', description=__doc__.partition('\n')[0])
    parser.add_argument('--long', action='store_true', help='all scenes, which takes long')
    parser.add_argument('--only', default='', help='scenes whose name contains this')
    parser.add_argument('--without', type=rule, action='append', default=[], help='another value of a rule, such as record=False')
    parser.add_argument('--most', type=int, default=20_000_000, help='states after which a search gives up')
    options = parser.parse_args(argv)
    options.without = dict(options.without)
    return options


def rule(text):
    name, _, value = text.partition('=')
    if name not in {field.name for field in dataclasses.fields(Rules)}:
        raise argparse.ArgumentTypeError(f'there is no rule {name}; see tests/model/rules.py')
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
