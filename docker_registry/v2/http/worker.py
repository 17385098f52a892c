"""gunicorn's processes: the first one, and the workers, which serve each connection in a greenlet of gevent.

A greenlet costs little, so a client may be slow or silent. What is scarce belongs to a request only while the registry works on it: see
`connections` and `work`. `docker_registry.v2.__main__` makes the standard library wait in greenlets before anything else is imported.
"""

import contextlib
import functools
import logging
import os
import signal
import time
from http import HTTPStatus

from gevent import GreenletExit, Timeout, get_hub
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from docker_registry.v2.http import incoming, logs, memory, tracing
from docker_registry.v2.http.connections import MOST_UNREAD, LargeHead, PatientSocket, SlowHead, much_is_left
from docker_registry.v2.http.responses import last_words
from docker_registry.v2.registry import errors, tally

logger = logging.getLogger(__name__)

HEARTBEAT = 1  # seconds between two heartbeats
TRIM_EVERY = 5  # seconds after which a worker gives back the memory that it no longer uses
END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # they end a worker


class Master(Arbiter):
    """gunicorn's first process, which starts the workers and ends them.

    It holds back signals from a new worker until the worker handles them. gunicorn would lose a signal that arrives earlier, and then wait
    for the worker until the graceful timeout.
    """

    def spawn_worker(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        try:
            return super().spawn_worker()  # does not return in the worker
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def manage_workers(self):
        super().manage_workers()  # every second
        self.app.metrics.keep()


class Worker(GeventWorker):
    """gunicorn's worker process with greenlets. A greenlet of its own sends the heartbeat, so a request may take any time."""

    _trimmed = 0.0  # when that was

    def init_process(self):
        get_hub().print_exception = logs.greenlet_failed
        super().init_process()  # returns when the worker ends

    def init_signals(self):
        self._ends = Event()
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)

    def run(self):
        """Serve until a signal comes. Then take no more connections, and wait for the requests that are being answered."""
        self._greenlets = Pool()
        self._crowd, self._tls = self.app.crowd(), self.app.tls_context
        servers = [StreamServer(sock, handle=functools.partial(self.handle, sock), spawn=self._greenlets) for sock in self.sockets]
        for server in servers:
            server.max_accept = 1  # then all workers get connections
            server.start()
        while self.alive:
            self.notify()
            self._ends.wait(HEARTBEAT)
            self._trim()
        for server in servers:
            server.close()  # other clients try elsewhere
        self._wait_for_requests(time.monotonic() + self.cfg.graceful_timeout)

    def _trim(self):
        if time.monotonic() - self._trimmed > TRIM_EVERY:
            memory.trim()
            self._trimmed = time.monotonic()

    def _wait_for_requests(self, deadline):
        while len(self._greenlets) and time.monotonic() < deadline:
            self.notify()
            self._crowd.wake_idle()
            self._greenlets.join(min(HEARTBEAT, deadline - time.monotonic()))
        self._greenlets.kill(timeout=HEARTBEAT)

    def handle_exit(self, sig, frame):
        super().handle_exit(sig, frame)
        self._ends.set()

    def handle(self, listener, client, addr):
        """Serve one connection."""
        try:
            sock = self._patient(client)
        except OSError:  # the client has gone already
            return
        try:
            with self._crowd.joined(sock, addr[0]):
                sock.crowd = self._crowd
                sock.expect_head()
                AsyncWorker.handle(self, listener, sock, addr)  # closes the socket
        except errors.TooManyRequests as error:
            request_id = tracing.new_id()
            logger.info('refused a connection from=%s: %s (id %s)', addr[0], error.message, request_id)
            sock.refuse(b'' if self._tls else last_words(error, request_id))  # TLS would cost its handshake

    def _patient(self, client):
        if self._tls:
            return self._tls().wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return PatientSocket(fileno=client.detach())

    def timeout_ctx(self):
        return contextlib.nullcontext()  # the socket has its own timeouts

    def handle_request(self, listener_name, req, sock, addr):
        """Send `Connection: close` if much of the request's body may be unread. gunicorn would close the connection without it.

        If the client was not invited to send its body, nobody knows whether what comes next is the body or another request.
        """
        ends = req.should_close
        req.should_close = lambda: ends() or req.body.failed or much_is_left(req.body.reader, 0 if sock.keeps_waiting else MOST_UNREAD)
        req.body.reader = incoming.reader(req)
        sock.expect_body()
        super().handle_request(listener_name, req, sock, addr)
        sock.skip(req.body)
        sock.expect_head()

    def handle_error(self, req, client, addr, exc):
        """Answer a request that does not reach the application, or on which it failed, in the form of the API's other errors.

        gunicorn logs the error and decides on the status. The page that it would send is HTML.
        """
        if isinstance(exc, GreenletExit):
            return  # the server ends
        tally.count(tally.UNREADABLE_REQUEST)
        trace = tracing.Trace(tracing.new_id())
        with trace.current():
            error = self._error_of(addr, exc)
        with contextlib.suppress(OSError):  # the client has gone, or speaks no TLS
            client.sendall(last_words(error, trace.id))

    def _error_of(self, addr, exc):
        """Log what is wrong, with the id of the request, and return the error for the client."""
        if isinstance(exc, SlowHead):
            logger.info('a client was silent for too long (id %s)', tracing.current_id())
            return errors.RequestInvalid('the head of the request did not arrive in time', status=408)
        if isinstance(exc, LargeHead):
            logger.info('Invalid request from ip=%s: its head is too large (id %s)', addr[0], tracing.current_id())
            return errors.RequestInvalid('the head of the request is too large', status=431)
        page = Page()
        super().handle_error(None, page, addr, exc)  # without the request: gunicorn would log its URL, which may be that of an upload
        if page.status == 500:
            return errors.Internal(detail={'request': tracing.current_id()})
        return errors.RequestInvalid(HTTPStatus(page.status).phrase, str(exc)[:200], status=page.status)

    def handle_quit(self, sig, frame):
        """End at once. gunicorn would wait for the greenlets."""
        os._exit(0)


def in_thread(call, *arguments):
    """Return what a call returns that takes the processor for long. It runs in another thread, while greenlets run in this one.

    The thread is not one of those in which gevent looks up hosts: a name server may be silent for half a minute.
    """
    return _threads().apply(call, arguments)


@functools.cache
def _threads():
    return ThreadPool(2)


def within(seconds, call, *arguments):
    """Return what a call returns that waits for another server. After these seconds, it ends wherever it waits.

    :raises TimeoutError: it has not returned in time
    """
    timeout = Timeout(seconds)  # not an Exception: a library could take it for an error of the network, and try again
    try:
        with timeout:
            return call(*arguments)
    except Timeout as error:
        if error is not timeout:
            raise
        raise TimeoutError()


class Page:
    """Takes the place of a socket that gunicorn writes an error page to, and remembers its `status`."""

    status = 500

    def gettimeout(self):
        return 0.0

    def sendall(self, content):
        self.status = int(content.split(b' ', 2)[1])
