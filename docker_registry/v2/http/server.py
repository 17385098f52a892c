"""The registry behind gunicorn: listening socket, TLS, worker processes with threads, one log."""

import contextlib
import logging
import os
import socket
import ssl
import threading
import time

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import __version__
from docker_registry.v2.http.bodies import READ_SIZE
from docker_registry.v2.settings.storage import config_error
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

logger = logging.getLogger(__name__)

BACKLOG = 2048  # connections that wait to be accepted
CLIENT_TIMEOUT = 120  # seconds in which a client has to send or take something, or it loses its connection
HEAD_TIMEOUT = 10  # seconds in which the head of a request has to be there: a thread waits for it, of clients nobody knows
KEEP_ALIVE = 75  # seconds for which an idle connection stays open
WORKER_TIMEOUT = 120  # seconds without a sign of life after which a worker is replaced; running requests are no obstacle
LOGIN_SECONDS = 3  # for which a worker waits for Swift before it serves
LONGEST_REQUEST_LINE = 8190  # bytes, gunicorn's highest; the URL of an upload has up to 3,500
LINGER = 2  # seconds for which a connection that has ended is read from
MOST_UNREAD = 60 * 1024  # bytes left of a body; gunicorn reads up to 64 KiB to keep the connection for the next request
MEMORY_FOLDER = '/dev/shm'  # where a worker's sign of life is kept: there also if the root file system is read-only


# Listening


def listening_socket(settings):
    """A socket bound to the address, which does not listen before we have logged in; :raises ConfigError: it cannot be had"""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Accepted connections inherit it, as they do TCP_NODELAY, which gunicorn sets: an answer goes out as head and body,
        # and the one would wait 40 ms for the other.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except (OSError, UnicodeError) as error:  # the latter of what no host can be called
        raise cannot_listen(settings, error)


def begin_to_listen(sock, settings):
    """Of two that were bound at the same time the second one finds out here; :raises ConfigError:"""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        raise cannot_listen(settings, error)


def cannot_listen(settings, error):
    return config_error(f'--host, --port (REGISTRY_HOST, REGISTRY_PORT): cannot listen on {settings.host} port '
                        f'{settings.port}: {getattr(error, "strerror", None) or "no such host"}')


class Certificates:
    """The TLS context for connections, made anew when the certificate's file changes: who renews it need not restart."""

    def __init__(self, certificate, key):
        self._files = [certificate] + ([key] if key else [])
        self._stamp, self._context = None, None
        self._lock = threading.Lock()

    def check(self):
        """:raises ConfigError: there is something wrong with the files"""
        try:
            self._load()
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, 'reason', None) or error.strerror or 'not usable'
            raise config_error(f'--tls-certificate, --tls-key (REGISTRY_TLS_CERTIFICATE, REGISTRY_TLS_KEY): '
                               f'{" and ".join(self._files)}: {reason}')

    def context(self, gunicorn_config, default):
        """gunicorn's hook `ssl_context`, asked for each connection."""
        with self._lock:
            try:
                if self._changed():
                    self._load()
            except OSError as error:
                logger.error('the new TLS certificate cannot be used, the old one stays: %s', error)
            return self._context

    def _changed(self):
        return self._stamp != self._stamp_of_files()

    def _stamp_of_files(self):
        return [(os.stat(path).st_mtime_ns, os.stat(path).st_ino) for path in self._files]

    def _load(self):
        self._stamp = self._stamp_of_files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = PatientTLSSocket
        context.load_cert_chain(*self._files, password=_no_password)
        self._context = context


def _no_password():
    raise OSError(0, 'the key is protected with a password, which nobody is there to type')


# Connections


class Patient:
    """A socket that waits for its client, and not for ever: a thread would be lost to each that went silent."""

    _deadline = None  # for the head of a request to be there, however it comes

    def setblocking(self, flag):
        """Called before each request."""
        self._deadline = time.monotonic() + HEAD_TIMEOUT if flag else None
        self.settimeout(HEAD_TIMEOUT if flag else 0)

    def be_patient(self):
        """The head is there, and its body may take any time, as long as it comes."""
        self._deadline = None
        self.settimeout(CLIENT_TIMEOUT)

    def recv(self, *arguments):
        if self._deadline is not None:
            self.settimeout(max(0.001, self._deadline - time.monotonic()))
        return super().recv(*arguments)


class PatientSocket(Patient, socket.socket):
    pass


class PatientTLSSocket(Patient, ssl.SSLSocket):
    pass


class Worker(ThreadWorker):
    """gunicorn's worker process with threads. Its heartbeat is the main thread's: a request may take any time."""

    def handle(self, conn):
        if not conn.initialized and not isinstance(conn.sock, Patient):
            conn.sock = PatientSocket(fileno=conn.sock.detach())
        result = super().handle(conn)
        if result is False:
            end(conn.sock)
        return result

    def handle_request(self, req, conn):
        """With the end of the connection announced where gunicorn would not: it keeps none of which much of a body is left."""
        ends = req.should_close
        req.should_close = lambda: ends() or much_is_left(req.body.reader)
        return super().handle_request(req, conn)

    def set_accept_enabled(self, enabled):
        """Once it is to end, who comes is refused, and so tries elsewhere: gunicorn's own would let them wait in line."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def handle_quit(self, sig, frame):
        """At once: gunicorn's own would wait for the threads, and for ever if the signal comes while it starts one."""
        os._exit(0)


def much_is_left(reader):
    """Whether of a body that nobody wanted there is more than gunicorn reads, or may be: of one in chunks nobody knows."""
    return getattr(reader, 'length', 0) > MOST_UNREAD or bool(getattr(reader, 'parser', None))


def end(sock):
    """End a connection from our side, and read on for a while: were it closed with something unread, the client, or the proxy
    before it, would be told that it broke, and not see the answer. gunicorn does so after us, and finds nothing left to do: it
    would read less, and let all connections of the process wait meanwhile.
    """
    with contextlib.suppress(OSError):  # the client has closed it, or is silent
        sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(READ_SIZE):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


# Logging


class Terse(logging.Filter):
    """Has gunicorn say in a line, and as no warning, what clients do wrong: to be too slow, or to speak TLS to plain HTTP."""

    def filter(self, record):
        if record.exc_info and isinstance(record.exc_info[1], TimeoutError):
            record.msg, record.args, record.exc_info = 'a client was silent for too long', (), None
        elif not record.getMessage().startswith('Invalid request from'):
            return True
        record.levelno, record.levelname = logging.INFO, 'INFO'
        return True


def logging_config(level):
    """All goes to standard output, a line each, for `logging.config.dictConfig`; requests are logged by the application."""
    quieter = {'level': 'DEBUG' if level == 'DEBUG' else 'WARNING'}
    return {
        'version': 1, 'disable_existing_loggers': False,
        'formatters': {'line': {'format': '%(asctime)s %(levelname)s [%(process)d] %(message)s'}},
        'filters': {'terse': {'()': Terse}},
        'handlers': {'stdout': {'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'line'}},
        'root': {'level': level, 'handlers': ['stdout']},
        'loggers': {'gunicorn.error': dict(quieter, handlers=[], propagate=True, filters=['terse']),
                    'gunicorn.access': {'handlers': [], 'propagate': False}, 'urllib3': {'level': 'WARNING'}}}


# The server


class Server(BaseApplication):
    """gunicorn around one application, which was made before the workers are forked.

    :param sock: from `listening_socket`; becomes gunicorn's
    :param storage: the driver, which has not logged in: each worker does before it serves
    """

    def __init__(self, app, storage, settings, sock, certificates, log_config):
        self._app, self._storage = app, storage
        self._settings, self._certificates, self._log_config = settings, certificates, log_config
        self._bound = f'fd://{sock.fileno()}'
        sock.detach()
        super().__init__()

    def load(self):
        return self._serve

    def _serve(self, environ, start_response):
        environ['gunicorn.socket'].be_patient()
        return self._app(environ, start_response)

    def load_config(self):
        settings = self._settings
        options = {
            'bind': self._bound, 'backlog': BACKLOG, 'worker_class': Worker, 'preload_app': True,
            'workers': settings.workers, 'threads': settings.threads,
            'timeout': WORKER_TIMEOUT, 'graceful_timeout': settings.graceful_timeout, 'keepalive': KEEP_ALIVE,
            'limit_request_line': LONGEST_REQUEST_LINE,
            'worker_tmp_dir': MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None,
            'control_socket_disable': True,
            # Whose word is taken for who or where the client is, the application decides: see `proxies`.
            'forwarded_allow_ips': '', 'secure_scheme_headers': {}, 'forwarder_headers': '',
            'logconfig_dict': self._log_config,
            'when_ready': self._when_ready, 'post_worker_init': self._begin_worker}
        if settings.tls_certificate:
            options.update(certfile=settings.tls_certificate, keyfile=settings.tls_key or settings.tls_certificate,
                           ssl_context=self._certificates.context)
        for name, value in options.items():
            self.cfg.set(name, value)

    def _when_ready(self, server):
        address = server.LISTENERS[0].getsockname()
        logger.info('registry-swift %s is listening on %s port %d (%s), with %d processes of %d threads', __version__,
                    address[0], address[1], 'https' if self._settings.tls_certificate else 'http',
                    self._settings.workers, self._settings.threads)

    def _begin_worker(self, worker):
        """Log in, so that the first client need not wait for it; but serve also while Swift is down."""
        login = threading.Thread(target=self._log_in, daemon=True)
        login.start()
        login.join(LOGIN_SECONDS)

    def _log_in(self):
        try:
            self._storage.connect()
        except UnspecifiedError as error:
            logger.error('%s', error)
