"""A Swift of several nodes with several replicas, for `swift_node.py --nodes 4 --replicas 3`.  It shows what one node never does.

Each node has its own object, container and account server, its own device folder and its own zone.  All share one proxy and one
memcached.  Replicators and updaters run only when they are asked to.  Any server can be killed, stopped and started again.
Needs memcached, and rsync for the replicators.

With --stdin, standard input takes one command a line.  Each is answered by one line of JSON, {"result": ...} or {"error": "..."}, when
it has really happened:

    kill object 2       kill -9: connections are refused.  Kinds: object, container, account, proxy, memcached, node (all of a node)
    stop account        SIGSTOP: connections are accepted and nothing answers.  Without a number: on every node
    cont account        SIGCONT
    start node 2        let it run again, whether it was killed or stopped
    heal                start everything
    replicate           one pass of the object, container and account replicators on every node whose servers run
    update              one pass of the object and container updaters, likewise
    forget              flush memcached: the proxy forgets tokens, accounts and containers
    where /c/o          the nodes that should have the object, container or account, and where they have it; percent-encoded
    state               which servers run, are stopped or dead
"""

import contextlib
import ctypes
import grp
import http.client
import importlib
import json
import os
import pwd
import shutil
import signal
import socket
import sys
import time
import urllib.parse
import warnings

from swift_node import PART_POWER, START_AGENT, StartError, SwiftNode, answer_requests, fork, listen, signals_held

KINDS = ('object', 'container', 'account')  # the servers of each node
DAEMONS = {
    'object-replicator': ('swift.obj.replicator', 'ObjectReplicator'),
    'container-replicator': ('swift.container.replicator', 'ContainerReplicator'),
    'account-replicator': ('swift.account.replicator', 'AccountReplicator'),
    'object-updater': ('swift.obj.updater', 'ObjectUpdater'),
    'container-updater': ('swift.container.updater', 'ContainerUpdater'),
}
REPLICATORS = ('object-replicator', 'container-replicator', 'account-replicator')
UPDATERS = ('object-updater', 'container-updater')

#: Unlike on one node, servers fail here, and there are others to ask.  What takes a minute in production takes a second or two.
DEFAULTS = {
    'conn_timeout': '1',
    'node_timeout': '2',
    'recoverable_node_timeout': '1',  # of GET and HEAD, which ask the next node then
    'container_update_timeout': '1',
    'error_suppression_interval': '1',
    'recheck_account_existence': '5',
    'recheck_container_existence': '5',
    'databases_per_second': '10000',
    'objects_per_second': '10000',
    'containers_per_second': '10000',
}
RUNNING, STOPPED, DEAD = 'running', 'stopped', 'dead'


class SwiftCluster(SwiftNode):
    """A Swift of several nodes.  Options are those of SwiftNode, without `data` and `keystone`.

    nodes     number of nodes, which are numbered from 1
    replicas  number of nodes that store each object, container and account
    """

    def __init__(self, nodes, replicas, data=None, keystone=False, **options):
        if not 1 <= replicas <= nodes:
            raise ValueError('%d replicas need at least as many nodes, not %d' % (replicas, nodes))
        if data is not None or keystone:
            raise ValueError('several nodes neither keep their data nor run a Keystone')
        for program in ('memcached', 'rsync'):
            if not shutil.which(program):
                raise StartError('several nodes need %s, which is not installed' % program)
        super().__init__(**options)
        self._nodes, self._replicas = range(1, nodes + 1), replicas
        self._servers = {}

    # -- the start

    def _make_folders(self):
        super()._make_folders()
        self._devices = os.path.realpath(self._devices)  # rsync refuses symbolic links in its paths
        for kind in KINDS:
            for node in self._nodes:
                self._servers[kind, node] = StorageServer(kind, node, self._conf_path(kind, node))
        self._servers['memcached', 1] = Memcached()
        self._servers['proxy', 1] = Proxy(self.port, os.path.join(self._etc, 'proxy-server.conf'))
        self.port = self._servers['proxy', 1].port

    def _device_names(self):
        return ['node%d/d%d' % (node, node) for node in self._nodes]

    def _devices_of(self, node):
        return os.path.join(self._devices, 'node%d' % node)

    def _conf_path(self, kind, node):
        return os.path.join(self._etc, '%s-server-%d.conf' % (kind, node))

    def _defaults(self):
        return dict(super()._defaults(), **DEFAULTS)

    def _proxy_conf(self):
        conf = super()._proxy_conf()
        conf['filter:cache'] = {
            'use': 'egg:swift#memcache',
            'memcache_servers': '127.0.0.1:%d' % self._servers['memcached', 1].port,
            'error_suppression_interval': '1',
        }
        return conf

    def _write_servers(self):
        for kind in KINDS:
            for node in self._nodes:
                conf = {
                    'DEFAULT': dict(
                        self._defaults(),
                        devices=self._devices_of(node),
                        recon_cache_path=os.path.join(self._etc, 'node%d' % node),
                        bind_ip='127.0.0.1',
                        bind_port=str(self._servers[kind, node].port),
                    ),
                    'pipeline:main': {'pipeline': 'healthcheck %s-server' % kind},
                    'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
                    'app:%s-server' % kind: {'use': 'egg:swift#' + kind},
                }
                for daemon in DAEMONS:
                    if daemon.startswith(kind):
                        conf[daemon] = {'rsync_module': '{replication_ip}::{device}'}
                self._write(os.path.basename(self._conf_path(kind, node)), conf)
        for node in self._nodes:
            os.makedirs(os.path.join(self._etc, 'node%d' % node))
        self._write('rsyncd.conf', self._rsync_conf())

    def _rsync_conf(self):
        """One module for each node's devices.  An rsync that connects starts this daemon, which ends with the connection."""
        modules = {'d%d' % node: {'path': self._devices_of(node), 'read only': 'no'} for node in self._nodes}
        for module in modules.values():
            module.update(
                {
                    'use chroot': 'no',
                    'uid': pwd.getpwuid(os.getuid()).pw_name,
                    'gid': grp.getgrgid(os.getgid()).gr_name,
                    'log file': os.path.join(os.path.dirname(self.swift_log), 'rsync.log'),
                }
            )
        return modules

    def _launch(self):
        """Import Swift once, write the rings and fork the servers."""
        warnings.simplefilter('ignore')
        from swift.common.utils import set_swift_dir

        set_swift_dir(self._etc)  # before other imports, which read their limits from swift.conf at once
        for kind in KINDS:
            write_ring(self._etc, kind, {node: self._servers[kind, node].port for node in self._nodes}, self._replicas)
        program = "rsync --daemon --config='%s'" % os.path.join(self._etc, 'rsyncd.conf')
        os.environ['RSYNC_CONNECT_PROG'] = program
        self._log = open(self.swift_log, 'a')
        for server in self._servers.values():
            server.launch(self._log)

    def _wait_for_servers(self):
        for server in self._servers.values():
            self._wait(server, self._start_timeout)

    def _wait(self, server, seconds=30):
        deadline = time.monotonic() + seconds
        while not server.answers():
            if server.state() == DEAD:
                raise self._failure(server, 'ended while starting')
            if time.monotonic() > deadline:
                raise self._failure(server, 'does not answer after %d seconds' % seconds)
            time.sleep(0.01)

    def _failure(self, server, what):
        with open(self.swift_log, errors='replace') as log:
            return StartError('Swift (%s) %s; the last lines of its log:\n%s' % (server, what, ''.join(log.readlines()[-40:])))

    def _error(self, what, said=b''):
        return self._failure('proxy', what)

    def stop(self):
        """Kill everything and remove the folder.  Nothing of it is used again."""
        for server in self._servers.values():
            server.kill()
        super().stop()

    # -- commands

    def facts(self):
        """What the line of JSON says about the servers."""
        ports = {kind: [self._servers[kind, node].port for node in self._nodes] for kind in KINDS}
        return {
            'nodes': len(self._nodes),
            'replicas': self._replicas,
            'ports': dict(ports, proxy=self.port, memcached=self._servers['memcached', 1].port),
            'devices': [self._devices_of(node) for node in self._nodes],
            'pids': sorted(server.process for server in self._servers.values()),
        }

    def wait(self, descriptor=None):
        """Carry out the commands that come from the descriptor until it ends; without one, wait for a signal."""
        if descriptor is None:
            while True:
                signal.pause()
        with open(descriptor, closefd=False) as commands:
            for line in commands:
                if line.strip():
                    print(json.dumps(self.obey(*line.split())), flush=True)

    def obey(self, command, *words):
        try:
            return {'result': COMMANDS[command](self, *words)}
        except (KeyError, TypeError, ValueError):
            return {'error': 'no such command or server: %s' % ' '.join((command,) + words)}
        except StartError as error:
            return {'error': str(error)}

    def _chosen(self, kind, node=None):
        found = {
            key: server
            for key, server in self._servers.items()
            if (key[0] == kind or kind == 'node' and key[0] in KINDS) and (node is None or key[1] == int(node))
        }
        if not found:
            raise ValueError(kind)
        return found.values()

    def kill_servers(self, *chosen):
        for server in self._chosen(*chosen):
            server.kill()

    def stop_servers(self, *chosen):
        for server in self._chosen(*chosen):
            server.stop()

    def continue_servers(self, *chosen):
        for server in self._chosen(*chosen):
            server.cont()
        for server in self._chosen(*chosen):
            self._wait(server)

    def start_servers(self, *chosen):
        self._start(self._chosen(*chosen))

    def heal(self):
        self._start(self._servers.values())

    def _start(self, servers):
        for server in servers:
            if server.state() == DEAD:
                server.launch(self._log)
            elif server.state() == STOPPED:
                server.cont()
        for server in servers:
            self._wait(server)

    def state(self):
        return {str(server): server.state() for server in self._servers.values()}

    def replicate(self):
        self._run_daemons(REPLICATORS)

    def update(self):
        self._run_daemons(UPDATERS)

    def _run_daemons(self, names):
        """Run daemons of different kinds side by side, and those of one kind node after node: they would wait for each other's locks."""
        for node in self._nodes:
            running = {}
            try:
                for name in names:
                    kind = name.partition('-')[0]
                    if self._servers[kind, node].state() == RUNNING:
                        child = fork(run_daemon, self._log, self._conf_path(kind, node), name, node)
                        running[child] = name
                while running:
                    child = next(iter(running))
                    _, status = os.waitpid(child, 0)
                    name = running.pop(child)
                    if status:
                        raise self._failure('%s %d' % (name, node), 'failed')
            finally:
                for child in running:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)

    def forget(self):
        self._servers['memcached', 1].ask(b'flush_all', b'OK')

    def where(self, path):
        """Where the object, container or account at this path of the storage URL should be: the nodes that the ring names, then others."""
        from swift.common.ring import Ring
        from swift.common.utils import hash_path, storage_directory

        account = urllib.parse.urlsplit(self.storage_url).path.split('/')[-1]
        names = [account] + [name for name in urllib.parse.unquote(path).lstrip('/').split('/', 1) if name]
        kind = ('account', 'container', 'object')[len(names) - 1]
        ring = Ring(self._etc, ring_name=kind)
        part, primary = ring.get_nodes(*names)
        folder = storage_directory(kind + 's', part, hash_path(*names))
        return [
            {
                'node': device['id'] + 1,
                'primary': device in primary,
                'url': 'http://127.0.0.1:%d/%s/%d/%s' % (device['port'], device['device'], part, urllib.parse.quote('/'.join(names))),
                'folder': os.path.join(self._devices_of(device['id'] + 1), device['device'], folder),
            }
            for device in primary + list(ring.get_more_nodes(part))
        ]


COMMANDS = {
    'kill': SwiftCluster.kill_servers,
    'stop': SwiftCluster.stop_servers,
    'cont': SwiftCluster.continue_servers,
    'start': SwiftCluster.start_servers,
    'heal': SwiftCluster.heal,
    'state': SwiftCluster.state,
    'replicate': SwiftCluster.replicate,
    'update': SwiftCluster.update,
    'forget': SwiftCluster.forget,
    'where': SwiftCluster.where,
}


class Server:
    """A server on a port of its own.  It keeps the port while it is dead, by a socket that does not listen: connections are refused."""

    def __init__(self, kind, node=1, port=0):
        self.kind, self.node, self.process = kind, node, None
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._kept.bind(('127.0.0.1', port))
        except (OSError, OverflowError) as error:
            raise StartError('cannot listen on 127.0.0.1:%d: %s' % (port, getattr(error, 'strerror', error)))
        self.port = self._kept.getsockname()[1]

    def __str__(self):
        return '%s %d' % (self.kind, self.node)

    def launch(self, log):
        with signals_held():
            self.process = fork(self._run, log)

    def _run(self, log):
        become_child(log)
        self.serve()

    def state(self):
        if self.process is None:
            return DEAD
        if os.waitpid(self.process, os.WNOHANG)[0]:
            self.process = None
            return DEAD
        with open('/proc/%d/stat' % self.process) as stat:
            return STOPPED if stat.read().rpartition(')')[2].split()[0] == 'T' else RUNNING

    def kill(self):
        if self.state() != DEAD:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.process = None

    def stop(self):
        if self.state() == RUNNING:
            os.kill(self.process, signal.SIGSTOP)
            os.waitpid(self.process, os.WUNTRACED)

    def cont(self):
        if self.state() == STOPPED:
            os.kill(self.process, signal.SIGCONT)
            os.waitpid(self.process, os.WCONTINUED)

    def answers(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=5)
        try:
            connection.request('GET', '/healthcheck', headers={'User-Agent': START_AGENT})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class StorageServer(Server):
    def __init__(self, kind, node, conf_path):
        super().__init__(kind, node)
        self._conf_path = conf_path

    def serve(self):
        answer_requests(self._conf_path, self.kind, listen(self.port), log_name=str(self))


class Proxy(StorageServer):
    def __init__(self, port, conf_path):
        Server.__init__(self, 'proxy', port=port)
        self._conf_path = conf_path


class Memcached(Server):
    def __init__(self):
        super().__init__('memcached')

    def serve(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        os.execlp('memcached', 'memcached', '-l', '127.0.0.1', '-p', str(self.port), '-U', '0', '-u', user)

    def answers(self):
        with contextlib.suppress(OSError):
            return self.ask(b'version', b'VERSION')
        return False

    def ask(self, command, expected):
        with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
            connection.sendall(command + b'\r\n')
            return connection.recv(100).startswith(expected)


def become_child(log):
    """Let this process die with the one that forked it, even if it is stopped then.  Standard output goes to the log."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)


def run_daemon(log, conf_path, name, node):
    """One pass of a replicator or updater."""
    become_child(log)
    from swift.common import utils

    utils.monkey_patch()
    conf = utils.readconf(conf_path, name, log_name='%s %d' % (name, node))
    module, daemon = DAEMONS[name]
    getattr(importlib.import_module(module), daemon)(conf).run_once()
    sys.stderr.flush()
    os._exit(0)


def write_ring(etc, kind, ports, replicas):
    """Write a ring in which partition p is on the nodes after p, one replica in each zone."""
    from swift.common.ring import RingData

    devices = [
        {
            'id': node - 1,
            'region': 1,
            'zone': node,
            'weight': 1.0,
            'device': 'd%d' % node,
            'meta': '',
            'ip': '127.0.0.1',
            'port': port,
            'replication_ip': '127.0.0.1',
            'replication_port': port,
        }
        for node, port in ports.items()
    ]
    table = [[(part + replica) % len(devices) for part in range(2**PART_POWER)] for replica in range(replicas)]
    RingData(table, devices, 32 - PART_POWER).save(os.path.join(etc, kind + '.ring.gz'))
