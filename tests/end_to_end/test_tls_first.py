"""Clients try TLS first, unless told otherwise. They go on without TLS as soon as the server refuses it, or after 10 seconds."""

import socket
import ssl

import pytest

PROMPTLY = 9  # seconds, on a busy machine


def test_a_client_that_begins_with_tls_is_refused_promptly(registry):
    with socket.create_connection(('127.0.0.1', registry.port), PROMPTLY) as connection:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ssl.create_default_context().wrap_socket(connection, server_hostname='registry.example')
