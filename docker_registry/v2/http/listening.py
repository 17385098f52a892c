"""Where the server listens: its socket and its TLS certificate."""

import logging
import os
import socket
import ssl
import threading

from docker_registry.v2.http.connections import PatientTLSSocket
from docker_registry.v2.settings.storage import config_error

logger = logging.getLogger(__name__)

CALLED = '--host, --port (REGISTRY_HOST, REGISTRY_PORT)'
BACKLOG = 2048  # connections that can wait to be accepted


def listening_socket(settings, called=CALLED):
    """Return a socket that is bound to the address but does not listen yet: the registry logs in to Swift first.

    :param called: the settings that say where, for an error
    :raises ConfigError: the address cannot be used
    """
    try:
        settings.host.encode('idna')  # gevent would print the error of a text that cannot be a host name
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Accepted connections inherit this option, and also TCP_NODELAY, which gunicorn sets. Without TCP_NODELAY, the body of a
        # response would be sent 40 ms after its head.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except (OSError, UnicodeError) as error:
        raise cannot_listen(settings, error, called)


def begin_to_listen(sock, settings):
    """Start to listen.

    :raises ConfigError: another registry was bound to the same address at the same time, and listens already
    """
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        raise cannot_listen(settings, error)


def cannot_listen(settings, error, called=CALLED):
    return config_error(
        f'{called}: cannot listen on {settings.host} port {settings.port}: {getattr(error, "strerror", None) or "no such host"}'
    )


class Certificates:
    """Makes the TLS context for connections. It loads the files again when they change, so a renewed certificate needs no restart."""

    def __init__(self, certificate, key):
        self._files = [certificate] + ([key] if key else [])
        self._stamp, self._context = None, None
        self._lock = threading.Lock()

    def check(self):
        """Load the files.

        :raises ConfigError: they cannot be used
        """
        try:
            self._load()
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, 'reason', None) or error.strerror or 'not usable'
            raise config_error(
                f'--tls-certificate, --tls-key (REGISTRY_TLS_CERTIFICATE, REGISTRY_TLS_KEY): {" and ".join(self._files)}: {reason}'
            )

    def context(self):
        """Return the TLS context for a new connection."""
        with self._lock:
            try:
                if self._changed():
                    self._load()
            except OSError as error:
                logger.error('the new TLS certificate cannot be used; the registry keeps using the old one: %s', error)
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
    raise OSError(0, 'the key is protected with a password. Use a key without one: nobody is there to type it')
