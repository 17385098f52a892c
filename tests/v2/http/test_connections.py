"""Connections of `registry-swift serve` whose clients do unusual things."""

import concurrent.futures
import contextlib
import http.client
import os
import signal
import socket
import ssl
import struct
import time

import pytest
from test_server import IMPATIENT, PATIENT_REFUSAL, begun, head, status_of, tls_connection

from docker_registry.v2.http import connections
from registry_process import Serving, changed, environment, until
from tls import make_certificate, tls_options


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tls')
    make_certificate(folder)
    return folder


def answer_of(file):
    """Return the status of the next response, and read it to its end."""
    status = int(file.readline().split()[1])
    file.read(int(http.client.parse_headers(file)['Content-Length']))
    return status


# Many connections


def test_many_uploads_of_one_address_may_pause(fake, tmp_path):
    """What an upload has sent is not in memory, or the driver counts it."""
    command = changed('from docker_registry.v2.http import crowd', 'crowd.MOST_HELD = 3 * 1024**2')
    with Serving(tmp_path, environment(fake), command=command) as server:
        content = os.urandom(3 * 1024**2)
        clients = [server.raw(head('PATCH', server.begin_upload(), 'Content-Length: 3145729'), content) for _ in range(6)]
        until(lambda: server.request('GET', '/v2/')[0] == 200)
        for client in clients:
            client.sendall(b'x')
            assert status_of(client) == 202


def test_a_client_is_refused_if_there_are_no_more_files_and_all_connections_are_busy(fake, tmp_path):
    command = changed('server.Server.crowd = lambda registry: server.Crowd(2, 100)', PATIENT_REFUSAL)
    with Serving(tmp_path, environment(fake), command=command) as server:
        busy = [begun(server, 'PATCH', server.begin_upload(), 5) for _ in range(2)]
        assert status_of(server.raw(head('GET', '/healthz'))) == 429
        for client in busy:
            client.sendall(b'bytes')
            assert status_of(client) == 202


def test_records_of_tls_that_have_arrived_are_read_at_once(certificate):
    """An upload in blocks of 16 KiB would cost much memory and processor time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = connections.PatientTLSSocket
    context.load_cert_chain(certificate / 'certificate.pem', certificate / 'key.pem')
    ours, theirs = socket.socketpair()
    with ours, theirs, concurrent.futures.ThreadPoolExecutor(1) as pool:
        unverified = ssl._create_unverified_context()
        client = pool.submit(unverified.wrap_socket, theirs)
        with context.wrap_socket(ours, server_side=True) as server, client.result(timeout=30) as client:
            server.expect_body()
            client.sendall(b'x' * 100000)
            assert [len(server.recv(size)) for size in (10, 60000, 256 * 1024)] == [10, 60000, 39990]
            client.sendall(b'y')
            assert server.recv(256 * 1024) == b'y'


# Bodies that nobody wants, and bodies that come byte by byte


def test_a_connection_stays_open_after_a_body_that_nobody_wanted(fake, tmp_path):
    """The body comes after the answer. It is not the beginning of another request, whose rest would have to come soon."""
    patient = ('within = connections.Patient.within', 'connections.Patient.within = lambda sock, seconds: within(sock, 60)')  # the body's
    with Serving(tmp_path, environment(fake), command=changed('connections.HEAD_TIMEOUT = 0.5', *patient)) as server:
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


# TLS


def test_a_refused_client_costs_no_tls_handshake(fake, tmp_path, certificate):
    with Serving(tmp_path, environment(fake), '--connections', '1', *tls_options(certificate)) as server:
        with tls_connection(server, certificate), pytest.raises(OSError):
            tls_connection(server, certificate)


def test_a_tls_handshake_that_comes_byte_by_byte_must_end_in_time(fake, tmp_path, certificate):
    with Serving(tmp_path, environment(fake), *tls_options(certificate), command=IMPATIENT) as server:
        client = server.raw()
        client.settimeout(0.1)
        started = time.monotonic()
        with pytest.raises(OSError) as raised:
            for byte in b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'x' * 200:
                client.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if not client.recv(1):
                        raise ConnectionResetError()
        assert isinstance(raised.value, ConnectionError)
        assert time.monotonic() - started < 15
        assert 'Traceback' not in server.log


# What the log says


def test_a_client_that_goes_before_it_is_served_leaves_no_traceback(fake, tmp_path, certificate):
    with Serving(tmp_path, environment(fake), *tls_options(certificate)) as server:
        tls_connection(server, certificate).close()  # now the worker serves
        os.kill(server.workers[0], signal.SIGSTOP)
        for _ in range(20):
            with socket.create_connection(('127.0.0.1', server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # it resets the connection
        os.kill(server.workers[0], signal.SIGCONT)
        with tls_connection(server, certificate) as client:
            client.sendall(head('GET', '/healthz').encode())
            assert status_of(client) == 200

        assert 'Traceback' not in server.log


def test_a_tls_handshake_that_the_end_cuts_leaves_no_traceback(fake, tmp_path, certificate):
    with Serving(tmp_path, environment(fake), *tls_options(certificate)) as server:
        server.raw()
        tls_connection(server, certificate).close()

        assert server.end(signal.SIGTERM) == 0
        assert 'a connection broke' in server.log
        assert 'Traceback' not in server.log


def test_a_request_that_the_end_cuts_leaves_no_traceback(fake, tmp_path):
    with Serving(tmp_path, environment(fake), '--graceful-timeout', '1') as server:
        server.raw('GET /v2/')
        until(lambda: server.request('GET', '/v2/')[0] == 200)

        assert server.end(signal.SIGTERM) == 0
        assert 'Traceback' not in server.log
