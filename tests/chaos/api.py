"""A client of one registry's raw API. It sends each request once, and tells what came back, even if that was nothing."""

import dataclasses
import http.client
import itertools
import json
import time

#: Seconds for one request. A registry asks Swift again and again before it gives up, but not as long as this.
TIMEOUT = 90
UNSENT, CUT = 'not sent', 'cut'


@dataclasses.dataclass
class Answer:
    """The answer to a request. `status` is None if there was none or it was cut, and then `failure` says why."""

    method: str
    path: str
    request: str  # its id, which stands in the registry's log
    port: int
    started: float
    ended: float = 0.0
    status: int | None = None
    headers: http.client.HTTPMessage | None = None
    body: bytes = b''
    failure: str = ''

    @property
    def unsent(self):
        """Whether no registry can have seen the request."""
        return self.failure.startswith(UNSENT)

    @property
    def outcome_text(self):
        return str(self.status) if self.status else self.failure

    def header(self, name):
        return (self.headers and self.headers.get(name)) or ''

    def json(self):
        """Return the body as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self):
        said = '' if not self.status or self.status < 400 else ' ' + self.body[:300].decode(errors='replace')
        return f'{self.method} {self.path[:200]} -> {self.outcome_text}{said} (id {self.request}, port {self.port})'


class Api:
    """Sends each request to some registry that accepts a connection. `name` begins the ids of its requests."""

    def __init__(self, name, ports, rng):
        self._name, self._ports, self._rng, self._numbers = name, ports, rng, itertools.count(1)
        self.all_refused = False  # whether no registry accepted the last request

    def send(self, method, path, body=None, headers=(), chunked=False):
        """Send a request once, and return its `Answer`.

        :param chunked: send the body without its length
        """
        answer = Answer(method, path, f'{self._name}-{next(self._numbers)}', 0, time.monotonic())
        connection = self._connect(answer)
        self.all_refused = connection is None
        if connection is None:
            answer.ended = time.monotonic()
            return answer
        fields = dict(headers, **{'X-Request-Id': answer.request})
        try:
            connection.request(method, path, iter([body]) if chunked else body, fields, encode_chunked=chunked)
            self._receive(connection, answer)
        except (OSError, http.client.HTTPException) as error:
            answer.failure = f'{CUT}: {type(error).__name__}: {error}'[:200]
        finally:
            connection.close()
            answer.ended = time.monotonic()
        return answer

    def _connect(self, answer):
        """Return a connection to one of the registries, or None if all refuse one."""
        for port in self._rng.sample(self._ports, len(self._ports)):
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=TIMEOUT)
            try:
                connection.connect()
            except OSError as error:
                answer.failure = f'{UNSENT}: {error}'
            else:
                answer.port, answer.failure = port, ''
                return connection
        return None

    @staticmethod
    def _receive(connection, answer):
        """:raises IncompleteRead: the body is shorter than its Content-Length"""
        response = connection.getresponse()
        body = response.read()
        answer.status, answer.headers, answer.body = response.status, response.headers, body
