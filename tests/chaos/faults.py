"""What goes wrong in Swift meanwhile: its servers are killed, stopped and started, one node at a time.

A write that Swift acknowledged is on two of the three nodes that should have it, or on one of them and on a stand-in. So everything that
was acknowledged can be read as long as only one node is faulty. If two were, Swift itself would say 404 for what it has, and no client
could know. Therefore:

- At most one node is faulty at a time. A node is faulty from the moment when a server of it is killed or stopped until `SETTLE` seconds
  after the last of them runs again. By then, the proxy has forgotten its errors and asks it again.
- The account servers, the container servers, the proxy and memcached keep no object. So all of a kind may be faulty, also while a node is.
  These are the faults of services.
"""

import collections
import time

SETTLE = 2.0  # seconds; longer than the proxy's error_suppression_interval
SHORTEST, LONGEST = 1.5, 6.0  # seconds of a fault
#: Seconds for which a proxy is stopped, at most: less than `registries.SETTINGS` waits for Swift, so that no request is sent again while
#: the first one still waits in the proxy.
PROXY_STOPPED = 5.0
KINDS = ('object', 'container', 'account')
AGREE = 0.15  # how often updaters and replicators run after a fault
AGREE_SECONDS = 12  # how long they do not run at most, if a collector runs: it has to know how late listings are

NODE_FAULTS = {  # name: (weight, server, how)
    'object server killed': (3, 'object', 'kill'),
    'object server stopped': (3, 'object', 'stop'),
    'container server killed': (2, 'container', 'kill'),
    'container server stopped': (2, 'container', 'stop'),
    'account server killed': (1, 'account', 'kill'),
    'account server stopped': (1, 'account', 'stop'),
    'node killed': (3, 'node', 'kill'),
    'node stopped': (3, 'node', 'stop'),
}
SERVICE_FAULTS = {
    'all account servers stopped': 2,
    'all account servers killed': 4,
    'all container servers stopped': 1,
    'proxy killed': 2,
    'proxy stopped': 2,
    'memcached flushed': 3,
    'memcached killed': 1,
}


class Faults:
    """Makes faults in a cluster, of `swift_cluster.start()`.

    :param only: make no faults but those whose names contain this
    :param agreed: is called with the moment since when all container servers agree, after each pass of updaters and replicators
    :param often: whether updaters and replicators run once in `AGREE_SECONDS`
    """

    def __init__(self, cluster, rng, stopping, agreed, only='', often=False):
        self._often, self._last_agreed = often, time.monotonic()
        self._cluster, self._rng, self._stopping, self._agreed = cluster, rng, stopping, agreed
        self._of_nodes = {name: weight for name, (weight, _, _) in NODE_FAULTS.items() if only in name}
        self._of_services = {name: weight for name, weight in SERVICE_FAULTS.items() if only in name}
        if not (self._of_nodes or self._of_services):
            raise ValueError(f'there is no fault {only!r}')
        self.made = collections.Counter()
        self.log = []  # (began, ended, name), by time.monotonic

    def run(self):
        """Make faults until `stopping` is set, and leave all servers running."""
        try:
            while not self._stopping.wait(self._rng.uniform(0, 1)):
                if not self._of_services or self._of_nodes and self._rng.random() < 0.7:
                    self._node_fault()
                else:
                    self._service_fault()
                self._stopping.wait(SETTLE)
                late = self._often and time.monotonic() - self._last_agreed > AGREE_SECONDS
                if self._rng.random() < AGREE or late:
                    self.agree()
        finally:
            self._cluster.heal()

    def agree(self):
        """Let the updaters and replicators run once."""
        began = time.monotonic()
        self._cluster.update()
        self._cluster.replicate()
        self._note(began, 'updaters and replicators ran')
        self._last_agreed = began
        self._agreed(began)

    def _node_fault(self):
        """Make one node faulty for a while, and sometimes a service too."""
        name = self._rng.choices(list(self._of_nodes), list(self._of_nodes.values()))[0]
        _, kind, how = NODE_FAULTS[name]
        node = self._rng.randint(1, self._cluster.nodes)
        began = time.monotonic()
        getattr(self._cluster, how)(kind, node)
        if self._rng.random() < 0.3:
            self._service_fault(besides=kind)
        self._last()
        self._cluster.start(kind, node)
        self._note(began, name, f' ({node})')

    def _service_fault(self, besides=''):
        """Make a service faulty for a while.

        :param besides: the kind of the server that is faulty already, and has to stay so
        """
        names = [name for name in self._of_services if besides not in KINDS or besides not in name]
        if besides == 'node':
            names = [name for name in names if name.startswith(('proxy', 'memcached'))]
        if not names:
            return
        name = self._rng.choices(names, [self._of_services[each] for each in names])[0]
        began = time.monotonic()
        if name.startswith('all'):
            self._all_of_a_kind(*name.split()[1::2])
        elif name == 'memcached flushed':
            self._cluster.forget()
        else:
            service, how = name.split()
            getattr(self._cluster, {'killed': 'kill', 'stopped': 'stop'}[how])(service)
            self._last(PROXY_STOPPED)
            self._cluster.start(service)
        self._note(began, name)

    def _all_of_a_kind(self, kind, how):
        """Let the proxy forget what it knows of accounts or containers, while their servers are silent."""
        getattr(self._cluster, {'killed': 'kill', 'stopped': 'stop'}[how])(kind)
        self._cluster.forget()
        self._last()
        self._cluster.start(kind)

    def _last(self, longest=LONGEST):
        self._stopping.wait(self._rng.uniform(SHORTEST, longest))

    def _note(self, began, name, where=''):
        self.made[name] += 1
        self.log.append((began, time.monotonic(), name + where))
