"""Runs the registry in gunicorn, with one log for all its processes."""

import contextlib
import logging
import os
import re
import resource
import threading

from gunicorn.app.base import BaseApplication

from docker_registry.core.exceptions import UnspecifiedError
from docker_registry.drivers.swift import __version__
from docker_registry.v2.http import logs, memory, tracing
from docker_registry.v2.http.connections import KEEP_ALIVE, Invited
from docker_registry.v2.http.crowd import Crowd
from docker_registry.v2.http.listening import BACKLOG
from docker_registry.v2.http.worker import Master, Worker

logger = logging.getLogger(__name__)

WORKER_TIMEOUT = 120  # seconds without a heartbeat after which gunicorn replaces a worker; long requests do not stop the heartbeat
LOGIN_SECONDS = 3  # seconds that a worker waits for its login to Swift before it serves
LONGEST_REQUEST_LINE = 8190  # bytes, the most that gunicorn allows; the URL of an upload has up to 3,500
LONGEST_FIELD = 24 * 1024  # bytes of a header field; podman's Range of 1024 ranges has up to 22 KiB
MOST_FIELDS = 64  # header fields of a request
OTHER_FILES = 200  # files that a worker may open besides the connections of its clients
MEMORY_FOLDER = '/dev/shm'  # for the heartbeat files of workers; it is writable even if the root file system is read-only


# Logging


class Terse(logging.Filter):
    """Makes gunicorn log clients' errors in one line, with level INFO: clients that are too slow, or speak TLS to a port without it.

    gunicorn quotes what is wrong in a request. That may be a password or the URL of an upload, so it is left out.
    """

    def filter(self, record):
        if record.exc_info and isinstance(record.exc_info[1], TimeoutError):
            record.msg, record.args, record.exc_info = 'a client was silent for too long' + _id(), (), None
        elif record.exc_info and record.getMessage().startswith('Socket error'):
            record.msg, record.args, record.exc_info = 'a connection broke: %s', (record.exc_info[1],), None
        elif not record.getMessage().startswith('Invalid request from'):
            return True
        else:
            record.msg, record.args = re.split('[\'"]', record.getMessage(), maxsplit=1)[0].removesuffix('b').rstrip(' :') + _id(), ()
        record.levelno, record.levelname = logging.INFO, 'INFO'
        return True


def _id():
    return f' (id {tracing.current_id()})' if tracing.current_id() else ''


def logging_config(level, log_format='text'):
    """Return a configuration for `logging.config.dictConfig`: everything goes to standard output.

    The application logs requests itself, so gunicorn's access log is off.

    :param log_format: text or json
    """
    quieter = {'level': 'DEBUG' if level == 'DEBUG' else 'WARNING'}
    return {
        'version': 1,
        'disable_existing_loggers': False,
        'formatters': {'line': logs.formatter(log_format)},
        'filters': {'terse': {'()': Terse}},
        'handlers': {'stdout': {'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'line'}},
        'root': {'level': level, 'handlers': ['stdout']},
        'loggers': {
            'gunicorn.error': dict(quieter, handlers=[], propagate=True, filters=['terse']),
            'gunicorn.access': {'handlers': [], 'propagate': False},
            'urllib3': {'level': 'WARNING'},
            'urllib3.connection': {'level': 'ERROR'},  # its warnings quote URLs, and that of a listener may be secret
        },
    }


# The server


class Server(BaseApplication):
    """gunicorn for one application, which is made before gunicorn forks the workers.

    :param sock: a socket from `listening_socket`; gunicorn takes it over
    :param storage: the driver, not logged in; each worker logs in before it serves
    :param certificates: `listening.Certificates`, or None to serve HTTP
    :param proxies: networks of trusted proxies
    """

    def __init__(self, app, storage, settings, sock, certificates, log_config, proxies=()):
        self._app, self._storage, self.metrics = app, storage, app.metrics
        self._settings, self._certificates, self._log_config, self._proxies = settings, certificates, log_config, proxies
        self.tls_context = certificates.context if certificates else None
        self._bound = f'fd://{sock.fileno()}'
        sock.detach()
        super().__init__()

    def run(self):
        """Serve until a signal ends the process. Like gunicorn's `run`, but with `Master`."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        memory.give_back()
        Master(self).run()

    def crowd(self):
        """Return what a worker knows of its connections."""
        most = max(OTHER_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_FILES)
        return Crowd(most, self._settings.connections, self._proxies)

    def load(self):
        return self._serve

    def _serve(self, environ, start_response):
        sock = environ['gunicorn.socket']
        environ['registry.connection'] = sock
        environ['registry.within'] = sock.within
        environ['registry.client_is_there'] = lambda: sock.is_open
        environ['wsgi.input'] = Invited(environ['wsgi.input'], sock)
        if self._certificates:
            environ['wsgi.url_scheme'] = 'https'
        return self._app(environ, start_response)

    def load_config(self):
        settings = self._settings
        options = {
            'bind': self._bound,
            'backlog': BACKLOG,
            'worker_class': Worker,
            'preload_app': True,
            'workers': settings.workers,
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
            'pre_fork': self.metrics.before_fork,
            'post_fork': self.metrics.after_fork,
            'child_exit': self.metrics.after_death,
            'post_worker_init': self._begin_worker,
            'worker_exit': self._end_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _when_ready(self, server):
        address = server.LISTENERS[0].getsockname()
        logger.info(
            'registry-swift %s is listening on %s port %d (%s), with %d worker processes',
            __version__,
            address[0],
            address[1],
            'https' if self._settings.tls_certificate else 'http',
            self._settings.workers,
        )

    def _begin_worker(self, worker):
        """Log in, so that the first client need not wait for that. If Swift is down, serve anyway."""
        self.metrics.begin_worker(self._storage)
        login = threading.Thread(target=self._log_in, daemon=True)
        login.start()
        login.join(LOGIN_SECONDS)

    def _end_worker(self, arbiter, worker):
        """Send the events that wait. gunicorn also calls this in the first process, about a worker that it finds dead."""
        if self._app.events and worker.pid == os.getpid():
            self._app.events.drain()

    def _log_in(self):
        try:
            self._storage.connect()
        except UnspecifiedError as error:
            logger.error('%s', error)
