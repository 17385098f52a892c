"""Measures what other clients of a server see: how long /healthz and a small pull take, each request on a connection of its own."""

import http.client
import math
import threading
import time

from wire import HOST, basic, context

ADDRESS = '127.0.0.2'  # of the client that is not an attacker
TIMEOUT = 10  # seconds
HEALTH_EVERY, PULL_EVERY = 0.05, 0.1  # seconds


class Wrong(Exception):
    """The server did not answer as it should."""


class Client:
    """A client that gives up after `TIMEOUT`.

    :param credentials: `name:password`, or None
    """

    def __init__(self, port, tls, credentials=None, address=ADDRESS):
        self._port, self._address, self._context = port, address, context() if tls else None
        self._headers = basic(credentials) if credentials else {}

    def get(self, path, headers=()):
        """Return the body of a response, on a connection of its own.

        :raises Wrong: the status is not 200
        """
        options = dict(timeout=TIMEOUT, source_address=(self._address, 0))
        if self._context:
            connection = http.client.HTTPSConnection(HOST, self._port, context=self._context, **options)
        else:
            connection = http.client.HTTPConnection(HOST, self._port, **options)
        try:
            connection.request('GET', path, headers={**self._headers, **dict(headers)})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise Wrong(f'{path}: {answer.status} {body[:200]}')
        return body

    def pull(self, content):
        """Get a manifest by its tag, and its config."""
        accepted = 'application/vnd.oci.image.manifest.v1+json'
        self.get('/v2/{repository}/manifests/v1'.format(**content), {'Accept': accepted})
        self.get('/v2/{repository}/blobs/{config}'.format(**content))


class Probe(threading.Thread):
    """Asks again and again, until it is stopped.

    It counts the seconds from the moment at which a request was due. So a server that makes one request wait for two seconds has also
    made those wait that were due in these two seconds.

    :param ask: function that raises an exception if the server does not answer as it should
    :param every: seconds between two requests
    """

    def __init__(self, ask, every):
        super().__init__(daemon=True)
        self._ask, self._every, self._stopping = ask, every, threading.Event()
        self.seconds, self.errors = [], []

    def run(self):
        due = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._ask()
            except (OSError, http.client.HTTPException, Wrong) as error:
                self.errors.append(f'{type(error).__name__}: {error}')
            now = time.monotonic()
            self.seconds.append(now - due)
            due += self._every
            self._stopping.wait(max(0.0, due - now))

    def stop(self):
        self._stopping.set()
        self.join()

    def at(self, share):
        """Return the seconds that this share of the requests took at most, such as 0.99: the nearest rank. Infinite if none was made."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.inf
