"""Starts a Swift of several nodes (tools/swift_cluster.py) in a new process, and makes its servers fail.

    with swift_cluster.start() as cluster:            # 4 nodes, 3 replicas
        cluster.stop('account')                       # all account servers fall silent
        cluster.kill('object', 2)
        ...                                           # use cluster.storage_url
        cluster.heal()
        cluster.replicate()

`close` ends it, as the end of the `with` does.
Each method returns when it has really happened: a killed server refuses connections, a started one answers.  Methods may be called
by several threads; the cluster does one thing at a time.
"""

import collections
import json
import os
import threading
import urllib.parse

import swift_process

PROGRAMS = ('memcached', 'rsync')  # which it needs

#: Where a node keeps an object, container or account, or would: the URL at its server, its folder there, and whether the ring names it.
Place = collections.namedtuple('Place', 'node url folder primary')


def start(python=None, nodes=4, replicas=3, **options):
    """Start a cluster.  Returns it when all servers answer.

    :param python: a Python with OpenStack Swift (default: SWIFT_PYTHON)
    :param options: options of swift_node.py, such as set=['DEFAULT:node_timeout=1', 'DEFAULT:recheck_account_existence=0']
    """
    return Cluster(swift_process.command(python or os.environ['SWIFT_PYTHON'], dict(options, nodes=nodes, replicas=replicas)))


class Error(Exception):
    """The cluster could not do it."""


class Cluster(swift_process.RunningSwift):
    """A running cluster.  `nodes` and `replicas` are numbers; `ports` has lists of ports by kind, node 1 first.

    A kind is object, container, account, proxy or memcached; `node` means the first three.  Nodes are numbered from 1.  Without a
    number, all servers of the kind are meant.
    """

    def __init__(self, command):
        self._lock = threading.Lock()
        super().__init__(command)

    def kill(self, kind, node=None):
        """kill -9: connections are refused."""
        self._command('kill', kind, node)

    def stop(self, kind, node=None):
        """SIGSTOP: connections are accepted, and nothing answers."""
        self._command('stop', kind, node)

    def cont(self, kind, node=None):
        """SIGCONT"""
        self._command('cont', kind, node)

    def start(self, kind, node=None):
        """Let servers run, whether they were killed or stopped."""
        self._command('start', kind, node)

    def restart(self, kind, node=None):
        """Kill servers and start them: they forget what they had in memory, such as errors of others."""
        self.kill(kind, node)
        self.start(kind, node)

    def kill_node(self, node):
        self.kill('node', node)

    def stop_node(self, node):
        self.stop('node', node)

    def start_node(self, node):
        self.start('node', node)

    def heal(self):
        """Let all servers run.  What they missed is still missing: see `replicate`."""
        self._command('heal')

    def replicate(self):
        """One pass of all replicators on each node whose servers run."""
        self._command('replicate')

    def update(self):
        """One pass of the updaters, which complete listings and the numbers of containers and accounts, likewise."""
        self._command('update')

    def forget(self):
        """Flush memcached: tokens are no longer valid, and the proxy has to ask for the account and the container."""
        self._command('forget')

    def state(self):
        """{'object 1': 'running', 'proxy 1': 'stopped', 'memcached 1': 'dead', ...}"""
        return self._command('state')

    def places(self, container='', name=''):
        """The places of an object, a container or the account: first those of its replicas, then those that stand in for them."""
        path = urllib.parse.quote('/'.join(part for part in (container, name) if part))
        return [Place(**place) for place in self._command('where', '/' + path)]

    def _command(self, *words):
        line = ' '.join(str(word) for word in words if word is not None) + '\n'
        with self._lock:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or '{"error": "the cluster has ended"}')
        if 'error' in answer:
            raise Error(answer['error'])
        return answer['result']
