"""Clients try TLS first, unless told otherwise: they go on without as soon as they are refused, or after 10 seconds."""

import socket
import ssl

import pytest

PROMPTLY = 5  # seconds, on a machine that is busy


def test_a_client_that_begins_with_tls_is_refused_promptly(registry):
    with socket.create_connection(('127.0.0.1', registry.port), PROMPTLY) as connection:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ssl.create_default_context().wrap_socket(connection, server_hostname='registry.example')
