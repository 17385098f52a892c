"""Ports for servers that cannot choose one themselves. Runs on Python 2.7, too."""
import random
import socket

#: Below the ports that Linux gives to connections and to whoever binds port 0 (net.ipv4.ip_local_port_range): between the choice and the
#: server's own bind, thousands of these are given to other tests.
CHOICE = range(10000, 32768)


def free_port():
    """A port of 127.0.0.1 on which nothing listens."""
    while True:
        port = random.SystemRandom().choice(CHOICE)
        attempt = socket.socket()
        try:
            attempt.bind(('127.0.0.1', port))
            return port
        except socket.error:
            pass
        finally:
            attempt.close()
