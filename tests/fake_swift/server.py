# -*- coding: utf-8 -*-
"""The server, and what tests can do with it."""

import email.utils
import itertools
import socket
import threading
import time
import traceback

from .ceph import CephProxy
from .connections import Exchange
from .faults import Fault, on, serve
from .generated import GeneratedContainer
from .messages import Refusal, Response, wire
from .proxy import Proxy
from .stored import Account, Container, Object


class FakeSwift(object):
    """A running server, and a context manager that stops it. The docstring of the package says what it offers.

    :param listing_limit: the number of entries in one page of a listing
    :param bulk: whether it has bulk delete
    :param max_deletes: how many names one bulk delete may have
    :param slo: whether it has static large objects
    :param info: whether it has /info
    :param ceph: behave like a Ceph RADOS Gateway; see module `ceph`
    :param token_life: how long a token is valid, in seconds
    :param allowed_digests: the digests that it accepts in temporary URLs
    :param user: project and user name, as v1 logins have them
    :param max_file_size: the size of the largest object, in bytes

    Leaving the context raises AssertionError if the fake itself has failed; `crashes` has the tracebacks.
    """

    regions = ('RegionOne', 'RegionTwo')
    domain, domain_id, user_id, project_id, trust_id = 'Default', 'default', 'u5e1d', '0ca1f00d', '7rus7'
    app_credential_id, app_credential_name, app_credential_secret = 'c4ed', 'registry', 'hush'

    def __init__(self, listing_limit=10000, bulk=True, max_deletes=10000, slo=True, info=True, ceph=False,
                 token_life=86400, allowed_digests=('sha1', 'sha256', 'sha512'), user='test:tester', key='testing',
                 max_file_size=5368709122):
        self.user, self.key = user, key
        self.project, _, self.username = user.partition(':')
        self.bulk_enabled, self.slo_enabled, self.info_enabled = bulk, slo, info
        self.listing_limit, self.max_deletes, self.max_file_size = listing_limit, max_deletes, max_file_size
        self._proxy = (CephProxy if ceph else Proxy)(self, token_life, tuple(allowed_digests))
        self.identity, self.large = self._proxy.identity, self._proxy.large
        self.accounts = {'AUTH_' + self.project: Account(), 'AUTH_%s_two' % self.project: Account()}
        self.requests, self.connections_made, self.crashes = [], 0, []
        self.stopping, self.released = False, threading.Event()
        self._faults, self._exchanges, self._lock, self._transactions = [], [], threading.RLock(), itertools.count(1)
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        self.url = 'http://127.0.0.1:%d' % self.port
        self.auth_url = self.url + '/auth/v1.0'
        self.auth_url_v2, self.auth_url_v3 = self.url + '/v2.0', self.url + '/v3'
        self.storage_url = self.endpoint(self.regions[0])
        self.accept_connections()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if kind is None and self.crashes:
            raise AssertionError('the fake Swift itself failed:\n' + '\n'.join(self.crashes))

    def stop(self):
        """Close every connection and end every thread, including those that stall."""
        self.stopping = True
        self.released.set()
        self.refuse_connections()
        self._listener.close()

    # contents

    @property
    def containers(self):
        """The containers of the first region, by name."""
        return self.accounts['AUTH_' + self.project].containers

    def container(self, name):
        """The objects of a container by name. Changes to this dict change the container."""
        return self.containers[name].objects

    def create_container(self, name, **headers):
        """Create a container. Keywords are its headers, with underscores for hyphens."""
        given = dict((header.replace('_', '-'), value) for header, value in headers.items())
        return self.containers.setdefault(name, Container(given))

    def generate_container(self, name, *rules):
        """Create a container with objects that rules make. Each is a `Generated`."""
        self.containers[name] = GeneratedContainer(rules)
        return self.containers[name]

    def put(self, container, name, body, content_type='application/octet-stream', headers=()):
        """Store an object without a request. Creates the container if it is missing."""
        item = Object(body, content_type, headers)
        self.create_container(container).write(name, item)
        return item

    def lag_listing(self, container):
        """Freeze the listing of a container: from now on it shows the objects that are there now."""
        self.containers[container].frozen = dict(self.containers[container].objects)

    def catch_up(self, container=None):
        """Let the listing of one container, or of all, show the objects that are there."""
        for name in [container] if container else list(self.containers):
            self.containers[name].frozen = None

    def stale(self, container, name, times=1):
        """Let the next `times` reads without X-Newest return what was there before the last write."""
        self.containers[container].stale[name] = times

    # faults

    def fault(self, match, action, times=1, after=0):
        """Set a fault, and return the `Fault`."""
        fault = Fault(match if callable(match) else on(match), action, times, after)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self):
        with self._lock:
            del self._faults[:]

    def action_for(self, request):
        """The action of the first fault that is due, or `serve`."""
        with self._lock:
            request.released = self.released
            due = next((fault for fault in self._faults if fault.due(request)), None)
        return due.action if due else serve

    def expire_tokens(self):
        """Make every token that was issued so far invalid."""
        self.identity.tokens.clear()

    def release(self):
        """Let all requests that a fault has hit continue, those too that are yet to stall."""
        with self._lock:
            self.released.set()
            self.released = threading.Event()

    # connections

    @staticmethod
    def _bound(port):
        """A socket bound to the port. The system refuses connections until it listens."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, 'SO_REUSEPORT', 15), 1)  # see `refuse_connections`
        listener.bind(('127.0.0.1', port))
        return listener

    def accept_connections(self):
        self._accepting = True
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, name='fake-swift-acceptor')
        self._acceptor.daemon = True
        self._acceptor.start()

    def refuse_connections(self, drop=True):
        """Refuse new connections from now on. With `drop`, close the open ones."""
        if self._accepting:
            self._accepting = False
            socket.create_connection(('127.0.0.1', self.port)).close()  # wakes the acceptor
            self._acceptor.join()
            # The next one has the port before this one leaves it: a connection of another process could take it in between.
            listener, self._listener = self._listener, self._bound(self.port)
            listener.close()
        if drop:
            self.drop_connections()

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            if not self._accepting:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            exchange = Exchange(self, connection)
            with self._lock:
                self.connections_made += 1
                exchange.start()  # inside the lock, or it could answer requests before it is counted
                self._exchanges = [known for known in self._exchanges if known.is_alive()] + [exchange]

    def open_connections(self):
        """The number of open connections."""
        with self._lock:
            return sum(not exchange.closed for exchange in self._exchanges)

    def drop_connections(self):
        """Close every open connection, and wait until all are closed."""
        with self._lock:
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.abort()
        for exchange in exchanges:
            exchange.join()

    def clear_requests(self):
        del self.requests[:]

    # responses

    def endpoint(self, region, interface='public'):
        """The storage URL of a region. The public interface is at 127.0.0.1, the internal one at localhost."""
        host = {'public': '127.0.0.1', 'internal': 'localhost'}[interface]
        account = sorted(self.accounts)[self.regions.index(region)]
        return 'http://%s:%d%s' % (host, self.port, self._proxy.storage_path(account))

    def answer(self, request):
        """The response to a request whose body has been read. Requests are performed one at a time."""
        try:
            with self._lock:
                return self._proxy.answer(request)
        except Refusal as refusal:
            if request.method == 'HEAD':
                refusal.response.body = b''
            return refusal.response
        except Exception:
            self.crashes.append(traceback.format_exc())
            return Response(500, {'Content-Type': 'text/plain'}, wire(self.crashes[-1]))

    def stamp(self, headers, extra=''):
        """Add the headers that every response of Swift has. `extra` is the X-Trans-Id-Extra of the request."""
        transaction = 'tx%021x-%010x' % (next(self._transactions), int(time.time())) + (extra and '-' + extra[:32])
        headers.update({'X-Trans-Id': transaction, 'X-Openstack-Request-Id': transaction,
                        'Date': email.utils.formatdate(usegmt=True)})
