"""Ports for servers that cannot choose one themselves. Runs on Python 2.7, too."""
import fcntl
import os
import random
import socket
import tempfile

#: Below the ports that Linux gives to connections and to whoever binds port 0 (net.ipv4.ip_local_port_range): between the choice and the
#: server's own bind, thousands of these are given to other tests.
CHOICE = range(10000, 32768)

#: A file in which each process locks the byte of each port that it was given, so that the tests of no other process get the port, although
#: its server may bind it much later. The kernel unlocks all of them when the process ends.
GIVEN = os.open(os.path.join(tempfile.gettempdir(), 'registry-swift-ports-%d' % os.getuid()), os.O_RDWR | os.O_CREAT, 0o600)
OURS = set()  # what this process was given: its own locks do not stop it


def free_port():
    """A port of 127.0.0.1 on which nothing listens, and which nobody else among the tests gets while this process runs."""
    while True:
        port = random.SystemRandom().choice([port for port in CHOICE if port not in OURS])
        attempt = socket.socket()
        try:
            fcntl.lockf(GIVEN, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            attempt.bind(('127.0.0.1', port))
            OURS.add(port)
            return port
        except (IOError, OSError):  # socket.error is one of them
            pass
        finally:
            attempt.close()
