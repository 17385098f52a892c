"""Carries out one attack, in a process of its own: `attacker.py NAME TARGET SLOWNESS`.

TARGET is the arguments of `Target` as JSON, SLOWNESS that of `slowed`.
"""

import asyncio
import json
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import catalogue
from attack import carry_out, slowed
from wire import Target


def main(name, target, slowness):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(carry_out(slowed(catalogue.ATTACKS[name], float(slowness)), Target(**json.loads(target))))


if __name__ == '__main__':
    main(*sys.argv[1:])
