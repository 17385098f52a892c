"""Several nodes take commands with --stdin, one a line.  Each is answered by one line of JSON, {"result": ...} or {"error": "..."},
when it has really happened:

    kill object 2       kill -9: connections are refused.  Without a number: on every node
    stop account        SIGSTOP: connections are accepted, and nothing answers
    cont account        SIGCONT
    start node 2        let it run, whether it was killed or stopped
    heal                start everything
    replicate           one pass of the object, container and account replicators on every node whose servers run
    update              one pass of the object and container updaters, likewise
    forget              flush memcached: the proxy forgets tokens, accounts and containers
    where /c/o          where the object, container or account should be, replicas first; the path is percent-encoded
    state               which servers are running, stopped or dead

The kinds are object, container, account, proxy and memcached; `node 2` is the object, container and account server of node 2.
"""

import contextlib
import json
import urllib.parse

from swift_node import StartError
from swift_servers import DEAD, RUNNING, STOPPED, Daemon


class Commands:
    """What a cluster can be told."""

    def __init__(self, cluster):
        self._cluster, self._servers = cluster, cluster.servers

    def obey_all(self, descriptor):
        """Obey each line, and print its answer."""
        with open(descriptor, closefd=False) as lines:
            for line in lines:
                if line.split():
                    print(json.dumps(self._obey(*line.split())), flush=True)

    def _obey(self, name, *words):
        try:
            if name not in COMMANDS:
                raise ValueError('%s is no command' % name)
            return {'result': getattr(self, name)(*words)}
        except (OSError, StartError, TypeError, ValueError) as error:
            return {'error': str(error)}

    def _chosen(self, kind, node=None):
        kinds = ('object', 'container', 'account') if kind == 'node' else (kind,)
        found = [server for server in self._servers.values() if server.kind in kinds and node in (None, str(server.node))]
        if not found:
            raise ValueError('there is no %s %s' % (kind, node or ''))
        return found

    def kill(self, *chosen):
        for server in self._chosen(*chosen):
            server.kill()

    def stop(self, *chosen):
        for server in self._chosen(*chosen):
            server.stop()

    def cont(self, *chosen):
        for server in self._chosen(*chosen):
            server.cont()
        for server in self._chosen(*chosen):
            server.wait()

    def start(self, *chosen):
        self._start(self._chosen(*chosen))

    def heal(self):
        self._start(self._servers.values())

    def _start(self, servers):
        for server in servers:
            state = server.state()
            if state == DEAD:
                server.launch()
            elif state == STOPPED:
                server.cont()
        for server in servers:
            server.wait()

    def state(self):
        return {str(server): server.state() for server in self._servers.values()}

    def replicate(self):
        self._run('object-replicator', 'container-replicator', 'account-replicator')

    def update(self):
        self._run('object-updater', 'container-updater')

    def _run(self, *names):
        """Run daemons of different kinds at the same time, and those of one kind node after node: their locks exclude each other."""
        for node in self._cluster.nodes:
            with contextlib.ExitStack() as stack:
                running = [
                    stack.enter_context(Daemon(name, node, self._cluster.conf_path(kind, node), self._cluster.log))
                    for kind, name in ((name.partition('-')[0], name) for name in names)
                    if self._servers[kind, node].state() == RUNNING
                ]
                for daemon in running:
                    daemon.wait()

    def forget(self):
        self._servers['memcached', 1].ask(b'flush_all')

    def where(self, path):
        return self._cluster.places(*(name for name in urllib.parse.unquote(path).lstrip('/').split('/', 1) if name))


COMMANDS = ('kill', 'stop', 'cont', 'start', 'heal', 'replicate', 'update', 'forget', 'where', 'state')
