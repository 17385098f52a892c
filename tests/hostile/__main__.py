"""Attacks this registry, and CNCF distribution with the same, and prints what other clients saw. CONTRIBUTING.rst says how to read it.

It starts a Swift of one node and the registry on it, and Debian's docker-registry on a file system.
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / 'v2'), str(HERE.parent.parent)]

from attack import PLAIN, TLS  # noqa: E402
from bench import Bench, Distribution, Registry  # noqa: E402
from catalogue import ATTACKS  # noqa: E402
from outcome import measure, table  # noqa: E402

SERVERS = {'registry-swift on Swift': Registry, 'CNCF distribution on a file system': Distribution}


def main(argv):
    parser = argparse.ArgumentParser(prog='hostile', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--peer', action='store_true', help='attack CNCF distribution, too')
    parser.add_argument('--only', metavar='WORDS', default='', help='carry out only those attacks whose names contain this')
    options = parser.parse_args(argv)
    for name, make in list(SERVERS.items())[: 2 if options.peer else 1]:
        print(f'\n{name}\n\n{table(list(attacked(make, options.only)))}', flush=True)


def attacked(make, only):
    """Yield the outcome of each attack on a server. Attacks on what only this registry has are left out for the other."""
    bench = Bench(make)
    try:
        for tls in (PLAIN, TLS):
            yield measure(bench, None, tls)
        for one in ATTACKS.values():
            for tls in one.over if only in one.name and (bench.swift or not one.stops_storage and not one.ours) else ():
                print(one.name, file=sys.stderr)
                yield measure(bench, one, tls)
    finally:
        bench.close()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
