"""registry-swift with seconds in place of hours and days, so that a blob goes through all that a collection does within two minutes.

    python hurried.py serve ...
    BOUNDS='{"listing_lag": 12}' python hurried.py gc ...       # the other bounds are those below

What waits in hours for a Swift and for clients of which nobody knows how slow they are, may wait in seconds here: the chaos decides how
long its faults last, and gives up pushes that take longer.
"""

import json
import logging
import os
import sys

FRESH, VERIFIED, LOOK = 1, 3, 1  # seconds, in place of those of registry/linked.py and registry/trash.py
UPLOAD = 20  # seconds in which clients end a push, from the first look for a blob
#: Seconds. A request ends within a few faults; what it sent before it was killed may wait in a stopped proxy, and then in a server.
REQUEST = 20
OLDER_THAN = 24
BOUNDS = {'older_than': OLDER_THAN, 'keep_trash': 5, 'request': REQUEST, 'skew': 1, 'upload': UPLOAD, 'commit': REQUEST}
#: Seconds between two writes of the lock, and after a failed one; for which it is trusted; after which another run takes it, if its process
#: runs, and if not.
RENEWED, RETRIED, TRUSTED, STALE, ENDED = 3, 1, 20, 90, 30


def hurry():
    from docker_registry.v2.cli import collecting
    from docker_registry.v2.operations.collection import brakes, lock
    from docker_registry.v2.registry import linked, trash

    linked.FRESH_SECONDS, linked.VERIFIED_SECONDS, trash.LOOK_SECONDS = FRESH, VERIFIED, LOOK
    lock.RENEWED, lock.RETRIED, lock.TRUSTED, lock.STALE, lock.ENDED = RENEWED, RETRIED, TRUSTED, STALE, ENDED
    brakes.MOST_SHARE = 1  # here, most of the bytes are garbage
    collecting.bounds = bounds


def bounds(options, environ):
    from docker_registry.v2.operations.collection.bounds import Bounds

    if options.quiet_registry:
        return Bounds.quiet()
    found = Bounds(**{**BOUNDS, **json.loads(environ['BOUNDS'])})
    found.require_sense()
    return found


if __name__ == '__main__':
    sys.path[0] = os.getcwd()  # as with python -m, not the folder of this file: the names of its modules are not ours
    if 'serve' in sys.argv:
        from gevent import monkey

        monkey.patch_all()
    else:
        logging.basicConfig(format='%(asctime)s %(name)s %(message)s')
        logging.getLogger('docker_registry').setLevel(logging.DEBUG)
    hurry()
    from docker_registry.v2 import cli

    sys.exit(cli.main(sys.argv[1:]))
