"""Runs the registry in gunicorn: worker processes with threads, and one log."""

import contextlib
import logging
import os
import re
import signal
import threading
from http import HTTPStatus

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import __version__
from docker_registry.v2.http.connections import MOST_UNREAD, Invited, Patient, PatientSocket, SlowHead, end, much_is_left
from docker_registry.v2.http.listening import BACKLOG
from docker_registry.v2.http.responses import last_words
from docker_registry.v2.registry import errors

logger = logging.getLogger(__name__)

KEEP_ALIVE = 75  # seconds for which a connection stays open between requests
WORKER_TIMEOUT = 120  # seconds without a heartbeat after which gunicorn replaces a worker; long requests do not stop the heartbeat
LOGIN_SECONDS = 3  # seconds that a worker waits for its login to Swift before it serves
LONGEST_REQUEST_LINE = 8190  # bytes, the most that gunicorn allows; the URL of an upload has up to 3,500
LONGEST_FIELD = 24 * 1024  # bytes of a header field; podman's Range of 1024 ranges has up to 22 KiB
MOST_FIELDS = 64  # header fields of a request; gunicorn copies a large head many times while it arrives, before any password is checked
END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # they end a worker
MEMORY_FOLDER = '/dev/shm'  # for the heartbeat files of workers; it is writable even if the root file system is read-only


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


class Worker(ThreadWorker):
    """gunicorn's worker process with threads. The main thread sends the heartbeat, so a request may take any time."""

    def init_signals(self):
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)

    def handle(self, conn):
        if not conn.initialized and not isinstance(conn.sock, Patient):
            conn.sock = PatientSocket(fileno=conn.sock.detach())
        result = super().handle(conn)
        if result is False:
            end(conn.sock)
        return result

    def handle_request(self, req, conn):
        """Send `Connection: close` if much of the request's body may be unread. gunicorn would close the connection without it.

        If the client was not invited to send its body, nobody knows whether what comes next is the body or another request.
        """
        ends = req.should_close
        req.should_close = lambda: ends() or req.body.failed or much_is_left(req.body.reader, 0 if conn.sock.keeps_waiting else MOST_UNREAD)
        return super().handle_request(req, conn)

    def handle_error(self, req, client, addr, exc):
        """Answer a request that does not reach the application, or on which it failed, in the form of the API's other errors.

        gunicorn logs the error and decides on the status. The page that it would send is HTML.
        """
        if isinstance(exc, SlowHead):
            logger.info('a client was silent for too long')
            error = errors.RequestInvalid('the head of the request did not arrive in time', status=408)
        else:
            page = Page()
            super().handle_error(None, page, addr, exc)  # without the request: gunicorn would log its URL, which may be that of an upload
            error = errors.RequestInvalid(HTTPStatus(page.status).phrase, str(exc)[:200], status=page.status)
            if page.status == 500:
                error = errors.Internal()
        with contextlib.suppress(OSError):  # the client has gone, or speaks no TLS
            client.sendall(last_words(error))

    def set_accept_enabled(self, enabled):
        """Refuse new connections once the worker is shutting down, so that clients try elsewhere. gunicorn would let them wait."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def handle_quit(self, sig, frame):
        """End at once. gunicorn would wait for the threads, and for ever if the signal arrives while it starts one."""
        os._exit(0)


class Page:
    """Takes the place of a socket that gunicorn writes an error page to, and remembers its `status`."""

    status = 500

    def gettimeout(self):
        return 0.0

    def sendall(self, content):
        self.status = int(content.split(b' ', 2)[1])


# Logging


class Terse(logging.Filter):
    """Makes gunicorn log clients' errors in one line, with level INFO: clients that are too slow, or speak TLS to a port without it.

    gunicorn quotes what is wrong in a request. That may be a password or the URL of an upload, so it is left out.
    """

    def filter(self, record):
        if record.exc_info and isinstance(record.exc_info[1], TimeoutError):
            record.msg, record.args, record.exc_info = 'a client was silent for too long', (), None
        elif not record.getMessage().startswith('Invalid request from'):
            return True
        else:
            record.msg, record.args = re.sub(r""":?\s*b?['"].*""", '', record.getMessage(), flags=re.DOTALL), ()
        record.levelno, record.levelname = logging.INFO, 'INFO'
        return True


def logging_config(level):
    """Return a configuration for `logging.config.dictConfig`: everything goes to standard output.

    The application logs requests itself, so gunicorn's access log is off.
    """
    quieter = {'level': 'DEBUG' if level == 'DEBUG' else 'WARNING'}
    return {
        'version': 1,
        'disable_existing_loggers': False,
        'formatters': {'line': {'format': '%(asctime)s %(levelname)s [%(process)d] %(message)s'}},
        'filters': {'terse': {'()': Terse}},
        'handlers': {'stdout': {'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'line'}},
        'root': {'level': level, 'handlers': ['stdout']},
        'loggers': {
            'gunicorn.error': dict(quieter, handlers=[], propagate=True, filters=['terse']),
            'gunicorn.access': {'handlers': [], 'propagate': False},
            'urllib3': {'level': 'WARNING'},
        },
    }


# The server


class Server(BaseApplication):
    """gunicorn for one application, which is made before gunicorn forks the workers.

    :param sock: a socket from `listening_socket`; gunicorn takes it over
    :param storage: the driver, not logged in; each worker logs in before it serves
    """

    def __init__(self, app, storage, settings, sock, certificates, log_config):
        self._app, self._storage = app, storage
        self._settings, self._certificates, self._log_config = settings, certificates, log_config
        self._bound = f'fd://{sock.fileno()}'
        sock.detach()
        super().__init__()

    def run(self):
        """Serve until a signal ends the process. Like gunicorn's `run`, but with `Master`."""
        Master(self).run()

    def load(self):
        return self._serve

    def _serve(self, environ, start_response):
        environ['gunicorn.socket'].be_patient()
        environ['registry.within'] = environ['gunicorn.socket'].within
        environ['wsgi.input'] = Invited(environ['wsgi.input'], environ['gunicorn.socket'])
        return self._app(environ, start_response)

    def load_config(self):
        settings = self._settings
        options = {
            'bind': self._bound,
            'backlog': BACKLOG,
            'worker_class': Worker,
            'preload_app': True,
            'workers': settings.workers,
            'threads': settings.threads,
            'timeout': WORKER_TIMEOUT,
            'graceful_timeout': settings.graceful_timeout,
            'keepalive': KEEP_ALIVE,
            'limit_request_line': LONGEST_REQUEST_LINE,
            'limit_request_fields': MOST_FIELDS,
            'limit_request_field_size': LONGEST_FIELD,
            'worker_tmp_dir': MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None,
            'control_socket_disable': True,
            # gunicorn believes no forwarded headers: the application decides which proxies to trust, see `proxies`.
            'forwarded_allow_ips': '',
            'secure_scheme_headers': {},
            'forwarder_headers': '',
            'logconfig_dict': self._log_config,
            'when_ready': self._when_ready,
            'post_worker_init': self._begin_worker,
        }
        if settings.tls_certificate:
            options.update(
                certfile=settings.tls_certificate,
                keyfile=settings.tls_key or settings.tls_certificate,
                ssl_context=self._certificates.context,
            )
        for name, value in options.items():
            self.cfg.set(name, value)

    def _when_ready(self, server):
        address = server.LISTENERS[0].getsockname()
        logger.info(
            'registry-swift %s is listening on %s port %d (%s), with %d worker processes of %d threads each',
            __version__,
            address[0],
            address[1],
            'https' if self._settings.tls_certificate else 'http',
            self._settings.workers,
            self._settings.threads,
        )

    def _begin_worker(self, worker):
        """Log in, so that the first client need not wait for that. If Swift is down, serve anyway."""
        login = threading.Thread(target=self._log_in, daemon=True)
        login.start()
        login.join(LOGIN_SECONDS)

    def _log_in(self):
        try:
            self._storage.connect()
        except UnspecifiedError as error:
            logger.error('%s', error)
