"""Connections of `registry-swift serve` whose clients do unusual things."""

import contextlib
import http.client
import time

import pytest
from test_server import IMPATIENT, head

from registry_process import Serving, changed, environment


def answer_of(file):
    """Return the status of the next response, and read it to its end."""
    status = int(file.readline().split()[1])
    file.read(int(http.client.parse_headers(file)['Content-Length']))
    return status


# Bodies that nobody wants, and bodies that come byte by byte


def test_a_connection_stays_open_after_a_body_that_nobody_wanted(fake, tmp_path):
    """The body comes after the answer. It is not the beginning of another request, whose rest would have to come soon."""
    with Serving(tmp_path, environment(fake), command=IMPATIENT) as server:
        client = server.raw(head('PATCH', '/v2/a/blobs/uploads/unknown', 'Content-Length: 1000'))
        with client.makefile('rb') as file:
            assert answer_of(file) == 404
            client.sendall(b'x' * 1000)
            client.settimeout(1)  # longer than the rest of a head may take
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_a_body_that_nobody_wanted_does_not_count_as_the_head_of_the_next_request(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        client = server.raw(head('PATCH', '/v2/a/blobs/uploads/unknown', 'Content-Length: 60000'))
        with client.makefile('rb') as file:
            assert answer_of(file) == 404
            client.sendall(b'x' * 60000 + head('GET', '/v2/', 'Authorization: Bearer ' + 'y' * 8000).encode())
            assert answer_of(file) == 200


def test_a_form_that_comes_byte_by_byte_must_arrive_in_time(fake, tmp_path):
    command = changed('token_endpoint.FORM_SECONDS = 0.5', 'connections.READ_PATIENCE = 30')
    with Serving(tmp_path, environment(fake), command=command) as server:
        client = server.raw(head('POST', '/v2/token', 'Content-Length: 60000'))
        client.settimeout(0.02)
        started = time.monotonic()
        while time.monotonic() - started < 20:
            client.sendall(b'a')
            with contextlib.suppress(TimeoutError):
                assert b' 408 ' in client.recv(1000)
                return
        pytest.fail('the registry still waits')
