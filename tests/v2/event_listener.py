"""A listener for notifications: a real HTTP server that can fail, hang, go away and come back."""

import collections
import http.server
import json
import socket
import ssl
import threading

from registry_process import until


class Post:
    """A POST that arrived. `events` are those in its envelope."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.events = json.loads(body)['events']


class EventListener:
    """Accepts all events at first. `posts` are those that it got, and `accepted` the events that it accepted, in their order.

    :param certificate: path of a certificate, with `key.pem` beside it, to listen for https
    """

    def __init__(self, certificate=None):
        self._certificate = certificate
        self.posts, self.accepted = [], []
        self._answers = collections.deque()
        self._released = threading.Event()
        self._server = None
        self._kept = socket.socket()  # it never listens: while the listener is away, nobody else gets its port
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            self._kept.setsockopt(socket.SOL_SOCKET, option, 1)
        self._kept.bind(('127.0.0.1', 0))
        self.port = self._kept.getsockname()[1]
        self.come_back()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._released.set()
        self.go_away()
        self._kept.close()

    @property
    def url(self):
        return f'http{"s" if self._certificate else ""}://127.0.0.1:{self.port}/callback'

    # What it does

    def go_away(self):
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def come_back(self):
        """Listen, on the same port as ever."""
        self._server = Server(('127.0.0.1', self.port), Handler)
        self._server.listener = self
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate, self._certificate.with_name('key.pem'))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()

    def answer(self, *statuses, **headers):
        """Return these statuses for the next POSTs.

        'hang' means no answer, 'drip' a head that never ends, 'drip body' a 200 whose body never ends, 'wrong head' a 200 with a line that
        is no header field, and 'cut' that the connection ends within the first line.
        """
        self._answers.extend((status, headers) for status in statuses)

    def healthy(self):
        """Accept events again."""
        self._answers.clear()
        self._released.set()

    # What it got

    def wait_for(self, count):
        """Return the events that were accepted, as soon as there are so many."""
        until(lambda: len(self.accepted) >= count, 30)
        return self.accepted

    def actions(self):
        return [event['action'] for event in self.accepted]

    def take(self, post):
        """Return (status, headers) for a POST."""
        status, headers = self._answers.popleft() if self._answers else (200, {})
        self.posts.append(post)  # when a test sees it, its answer is settled
        if status in (200, 'drip body', 'wrong head'):
            self.accepted.extend(post.events)
        return status, headers


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address, allow_reuse_port, daemon_threads = True, True, True

    def handle_error(self, *_):
        """Say nothing: clients break connections on purpose."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        listener = self.server.listener
        body = self.rfile.read(int(self.headers['Content-Length']))
        status, headers = listener.take(Post(self.path, self.headers, body))
        if status == 'hang':
            listener._released.wait(60)
            self.close_connection = True
        elif status == 'drip':
            self.drip(b'HTTP/1.1 200 ', b'O')
        elif status == 'drip body':
            self.drip(b'HTTP/1.1 200 OK\r\n\r\n', b'o')
        elif status in ('wrong head', 'cut'):
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno field\r\n\r\n' if status == 'wrong head' else b'HTTP/1.1 2')
            self.close_connection = True
        else:
            self.send_response(status)
            for name, value in {'Content-Length': '2', **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'ok')

    def drip(self, first, rest):
        """Send a byte ten times a second, until the client closes the connection."""
        self.close_connection = True
        self.wfile.write(first)
        while not self.server.listener._released.wait(0.1):
            self.wfile.write(rest)

    def log_message(self, *_):
        pass
