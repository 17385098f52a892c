"""A Swift of several nodes with several replicas, for `swift_node.py --nodes 4 --replicas 3`.

It shows what one node never does: replicas that are down, silent, or disagree.  Each node has its own object, container and account
server, its own device folder and its own zone.  All share one proxy and one memcached.  Replicators and updaters run when they are
asked to (swift_commands.py), and only then.  It needs memcached, and rsync for the replicators.
"""

import grp
import os
import pwd
import shutil
import signal
import urllib.parse
import warnings

from swift_commands import Commands
from swift_node import PART_POWER, StartError, SwiftNode, tail
from swift_servers import DAEMONS, Memcached, Server

KINDS = ('object', 'container', 'account')  # the servers of each node

#: Servers fail here, and there are others to ask.  So what takes a minute in production takes seconds: the proxy waits two seconds
#: for a silent server instead of ten, and a server with more than two errors (ten) rests for five seconds (a minute).  The proxy
#: believes for five seconds (a minute) what it knows of an account or a container.
DEFAULTS = {
    'conn_timeout': '2',
    'node_timeout': '2',
    'container_update_timeout': '1',
    'error_suppression_interval': '5',
    'error_suppression_limit': '2',
    'recheck_account_existence': '5',
    'recheck_container_existence': '5',
}
EVERY_DAEMON = {
    'http_timeout': '2',
    'rsync_module': '{replication_ip}::{device}',
    'databases_per_second': '10000',
    'objects_per_second': '10000',
    'containers_per_second': '10000',
}


class SwiftCluster(SwiftNode):
    """A Swift of several nodes.  It takes the options of SwiftNode, except `data` and `keystone`.

    nodes     number of nodes.  They are numbered from 1
    replicas  number of nodes that store each object, container and account

    Attribute after the start: servers, {(kind, node): Server}; proxy and memcached are on node 1.
    """

    def __init__(self, nodes, replicas, data=None, keystone=False, **options):
        if not 1 <= replicas <= nodes:
            raise ValueError('%d replicas need at least as many nodes, not %d' % (replicas, nodes))
        if data is not None or keystone:
            raise ValueError('several nodes keep no data and run no Keystone')
        for program in ('memcached', 'rsync'):
            if not shutil.which(program):
                raise StartError('several nodes need %s, which is not installed' % program)
        super().__init__(**options)
        self.nodes, self.replicas, self.servers = range(1, nodes + 1), replicas, {}

    def facts(self):
        ports = {kind: [self.servers[kind, node].port for node in self.nodes] for kind in KINDS}
        return {
            'nodes': len(self.nodes),
            'replicas': self.replicas,
            'ports': dict(ports, proxy=self.port, memcached=self.servers['memcached', 1].port),
            'pids': sorted(server.process for server in self.servers.values()),
        }

    def wait(self, descriptor=None):
        """Obey the commands that come from `descriptor` until it ends; without one, wait for ever."""
        if descriptor is not None:
            Commands(self).obey_all(descriptor)
        while descriptor is None:
            signal.pause()

    def stop(self):
        """Kill everything and remove the folder: it is not used again."""
        for server in self.servers.values():
            server.kill()
        super().stop()

    def places(self, *names):
        """Where an account, container or object should be, replicas first; then the nodes that stand in for them."""
        from swift.common.ring import Ring
        from swift.common.utils import hash_path, storage_directory

        names = (urllib.parse.urlsplit(self.storage_url).path.split('/')[-1],) + names
        kind = ('account', 'container', 'object')[len(names) - 1]
        ring = Ring(self._etc, ring_name=kind)
        part, primary = ring.get_nodes(*names)
        folder = storage_directory(kind + 's', part, hash_path(*names))
        path = urllib.parse.quote('/'.join(names))
        return [
            {
                'node': device['id'] + 1,
                'primary': device in primary,
                'url': 'http://127.0.0.1:%d/%s/%d/%s' % (device['port'], device['device'], part, path),
                'folder': os.path.join(self._devices_of(device['id'] + 1), device['device'], folder),
            }
            for device in primary + list(ring.get_more_nodes(part))
        ]

    # -- folders and configuration

    def _make_folders(self):
        super()._make_folders()
        self._devices = os.path.realpath(self._devices)  # rsync refuses symbolic links in a path
        self.log = open(self.swift_log, 'a')
        for kind in KINDS:
            for node in self.nodes:
                self.servers[kind, node] = Server(kind, node, self.conf_path(kind, node), self.log)
        self.servers['memcached', 1] = Memcached('memcached', 1, None, self.log)
        self.servers['proxy', 1] = Server('proxy', 1, os.path.join(self._etc, 'proxy-server.conf'), self.log, self.port)
        self.port = self.servers['proxy', 1].port

    def _device_names(self):
        return ['node%d/d%d' % (node, node) for node in self.nodes]

    def _devices_of(self, node):
        return os.path.join(self._devices, 'node%d' % node)

    def conf_path(self, kind, node):
        return os.path.join(self._etc, '%s-server-%d.conf' % (kind, node))

    def _defaults(self):
        return dict(super()._defaults(), **DEFAULTS)

    def _proxy_conf(self):
        conf = super()._proxy_conf()
        conf['filter:cache'] = {
            'use': 'egg:swift#memcache',
            'memcache_servers': '127.0.0.1:%d' % self.servers['memcached', 1].port,
            'set error_suppression_interval': '1',  # `set`: PasteDeploy skips what DEFAULT has, too
            'set error_suppression_limit': '10',
        }
        return conf

    def _write_servers(self):
        for node in self.nodes:
            os.makedirs(self._recon(node))
            for kind in KINDS:
                self._write(os.path.basename(self.conf_path(kind, node)), self._server_conf(kind, node))
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        log = os.path.join(os.path.dirname(self.swift_log), 'rsync.log')
        module = {'read only': 'no', 'use chroot': 'no', 'uid': user, 'gid': group, 'log file': log}
        self._write('rsyncd.conf', {'d%d' % node: dict(module, path=self._devices_of(node)) for node in self.nodes})

    def _server_conf(self, kind, node):
        """The configuration of a server and of the daemons of its kind."""
        here = {
            'devices': self._devices_of(node),
            'recon_cache_path': self._recon(node),
            'bind_ip': '127.0.0.1',
            'bind_port': str(self.servers[kind, node].port),
        }
        conf = {
            'DEFAULT': dict(self._defaults(), **here),
            'pipeline:main': {'pipeline': 'healthcheck %s-server' % kind},
            'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
            'app:%s-server' % kind: {'use': 'egg:swift#' + kind},
        }
        return dict(conf, **{name: EVERY_DAEMON for name in DAEMONS if name.startswith(kind)})

    def _recon(self, node):
        return os.path.join(self._etc, 'recon%d' % node)

    # -- processes

    def _launch(self):
        warnings.simplefilter('ignore')
        from swift.common.utils import set_swift_dir

        set_swift_dir(self._etc)  # before servers import what reads its limits from swift.conf at once
        for kind in KINDS:
            write_ring(self._etc, kind, [self.servers[kind, node].port for node in self.nodes], self.replicas)
        # An rsync that wants to connect starts this daemon instead, which ends with the connection.
        os.environ['RSYNC_CONNECT_PROG'] = "rsync --daemon --config='%s'" % os.path.join(self._etc, 'rsyncd.conf')
        for server in self.servers.values():
            server.launch()

    def _wait_for_servers(self):
        for server in self.servers.values():
            server.wait(self._start_timeout)

    def _error(self, what, said=b''):
        return StartError('Swift %s; the last lines of its log:\n%s' % (what, tail(self.swift_log)))


def write_ring(etc, kind, ports, replicas):
    """Write a ring: partition p is on as many nodes as there are replicas, from the one at index p on."""
    from swift.common.ring import RingData

    devices = [
        {
            'id': index,
            'region': 1,
            'zone': index + 1,
            'weight': 1.0,
            'device': 'd%d' % (index + 1),
            'meta': '',
            'ip': '127.0.0.1',
            'port': port,
            'replication_ip': '127.0.0.1',
            'replication_port': port,
        }
        for index, port in enumerate(ports)
    ]
    table = [[(part + replica) % len(ports) for part in range(2**PART_POWER)] for replica in range(replicas)]
    RingData(table, devices, 32 - PART_POWER).save(os.path.join(etc, kind + '.ring.gz'))
