"""Plain requests to a Swift of several nodes, and to the servers of its nodes."""

import time
import uuid

import requests


def make_whole(cluster):
    """Let all servers run, with a proxy that holds nothing against any of them."""
    cluster.heal()
    cluster.restart('proxy')


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'still not so after %d seconds' % seconds
        time.sleep(0.01)


class Client:
    """Plain requests to Swift, for objects of a container of its own.  Each is sent once, on a connection of its own."""

    def __init__(self, cluster):
        self._cluster, self.container = cluster, 'c-' + uuid.uuid4().hex[:12]
        self.log_in()
        assert self('PUT').status_code == 201

    def log_in(self):
        headers = {'X-Auth-User': self._cluster.user, 'X-Auth-Key': self._cluster.key}
        answer = requests.get(self._cluster.auth_url, headers=headers, timeout=60)
        answer.raise_for_status()
        self.token = answer.headers['X-Auth-Token']

    def url(self, name=''):
        return '/'.join([self._cluster.storage_url, self.container] + ([name] if name else []))

    def __call__(self, method, name='', data=None, headers=(), **params):
        """Send a request for an object, or without a name for the container."""
        headers = dict(headers, **{'X-Auth-Token': self.token})
        return requests.request(method, self.url(name), data=data, headers=headers, params=params, timeout=60)

    def account(self, method='GET', **params):
        return requests.request(method, self._cluster.storage_url, headers={'X-Auth-Token': self.token}, params=params, timeout=60)

    def put(self, *names):
        for name in names:
            assert self('PUT', name, name.encode()).status_code == 201

    def names(self, **headers):
        answer = self('GET', headers={name.replace('_', '-'): value for name, value in headers.items()})
        answer.raise_for_status()
        return answer.text.split()

    def places(self, name=''):
        return self._cluster.places(self.container, name)

    def nodes(self, name):
        """The nodes for an object: those of its three replicas, and the one that stands in for them."""
        return [place.node for place in self.places(name)]

    def at(self, node, name='', method='GET', **headers):
        """Send a request for the object or the container to a node's own server."""
        (place,) = [place for place in self.places(name) if place.node == node]
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        return requests.request(method, place.url, headers=headers, timeout=60)

    def holders(self, name):
        """The nodes that have the object."""
        return [node for node in self.nodes(name) if self.at(node, name).status_code == 200]
