"""`registry-swift serve`: real processes and real sockets."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time

import pytest

import fake_swift
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http import connections, readiness
from registry_client import digest_of
from registry_process import DEADLINE, Serving, changed, environment, until
from tls import make_certificate, tls_options

BLOB = os.urandom(3 * 1024**2 + 17)


@pytest.fixture
def serving(real_swift, tmp_path):
    with Serving(tmp_path, environment(real_swift)) as server:
        yield server


def chunks(content, size=300000):
    return iter([content[at : at + size] for at in range(0, len(content), size)])


def head(method, path, *fields):
    return '\r\n'.join([f'{method} {path} HTTP/1.1', 'Host: localhost', *fields, '', ''])


def status_of(client):
    """Return the status of the next response. Reads only the head of the response."""
    with client.makefile('rb', 0) as file:
        line = file.readline()
        assert line, 'the connection was closed without an answer'
        while file.readline() not in (b'\r\n', b''):
            pass
    return int(line.split()[1])


# Requests


def test_the_api_is_served(serving):
    status, headers, body = serving.request('GET', '/v2/')

    assert (status, body) == (200, b'{}')
    assert headers['Docker-Distribution-Api-Version'] == 'registry/2.0'


def test_a_chunked_upload_with_a_chunked_empty_end(serving):
    connection, digest = serving.connection(), digest_of(BLOB)
    _, headers, _ = serving.request('POST', '/v2/a/blobs/uploads/', connection=connection)
    status, headers, _ = serving.request('PATCH', headers['Location'], chunks(BLOB), connection)
    assert (status, headers['Range']) == (202, f'0-{len(BLOB) - 1}')

    status, _, _ = serving.request('PUT', f'{headers["Location"]}?digest={digest}', iter([]), connection)

    assert status == 201
    assert serving.request('GET', f'/v2/a/blobs/{digest}', connection=connection)[2] == BLOB


def test_a_chunked_upload_in_one_put(serving):
    digest = digest_of(BLOB)
    status, _, _ = serving.request('PUT', f'{serving.begin_upload()}?digest={digest}', chunks(BLOB))

    assert status == 201
    assert serving.request('GET', f'/v2/a/blobs/{digest}')[2] == BLOB


@pytest.mark.parametrize('framing', ['Transfer-Encoding: chunked', 'Content-Length: 3000000'])
def test_a_body_cut_in_the_middle_adds_nothing(serving, framing):
    upload = serving.begin_upload()
    half = b'x' * 1500000
    client = serving.raw(head('PATCH', upload, framing), b'%x\r\n' % 3000000 if 'chunked' in framing else b'', half)
    client.close()
    until(lambda: 'PATCH /v2/a/blobs/uploads/... 400' in serving.log)

    assert serving.request('GET', upload)[1]['Range'] == '0-0'
    status, headers, _ = serving.request('PATCH', upload, BLOB)  # the upload goes on as if nothing had happened
    assert serving.request('PUT', f'{headers["Location"]}?digest={digest_of(BLOB)}')[0] == 201


def test_a_client_that_waits_for_100_continue_gets_it(serving):
    client = serving.raw(head('PATCH', serving.begin_upload(), 'Content-Length: 5', 'Expect: 100-continue'))
    assert status_of(client) == 100
    client.sendall(b'bytes')

    assert status_of(client) == 202


def answer_to(client):
    """Return (status, headers, body) of the only response that a connection gets. It must end with it."""
    with client.makefile('rb') as file:
        status = int(file.readline().split()[1])
        headers = http.client.parse_headers(file)
        return status, headers, file.read()


#: What gunicorn refuses before the application sees it.
MALFORMED = [
    ('nonsense\r\n\r\n', 400),
    ('GET  /v2/ HTTP/1.1\r\n\r\n', 400),
    ('get /v2/ HTTP/1.1\r\n\r\n', 400),
    ('GET /v2/ HTTP/7.0\r\n\r\n', 400),
    ('GET /v2/\xe9 HTTP/1.1\r\n\r\n', 400),
    ('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400),
    ('GET /v2/ HTTP/1.1\r\nno field\r\n\r\n', 400),
    ('GET /v2/ HTTP/1.1\r\nA b: c\r\n\r\n', 400),
    ('GET /v2/ HTTP/1.1\nHost: a\n\n', 400),
    ('GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400),
    ('PUT /v2/ HTTP/1.1\r\nContent-Length: x\r\n\r\n', 400),
    ('PUT /v2/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400),
    ('PUT /v2/ HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\n', 501),
    ('PUT /v2/ HTTP/1.1\r\nExpect: miracles\r\n\r\n', 417),
    (f'GET /v2/{"x" * 9000} HTTP/1.1\r\n\r\n', 414),
    (f'GET /v2/ HTTP/1.1\r\nX-A: {"x" * 30000}\r\n\r\n', 431),
    ('GET /v2/ HTTP/1.1\r\n' + 'X-A: b\r\n' * 200 + '\r\n', 431),
    ('GET /v2/ HTTP/1.1\r\n' + f'X-A: {"x" * 20000}\r\n' * 100, 431),
]


#: A client may take long to send what the server does not want, and gets its answer all the same.
LINGERING = changed('connections.LINGER = 120')


def test_what_is_no_valid_http_is_answered_with_an_error_of_the_api(fake, tmp_path):
    with Serving(tmp_path, environment(fake), command=LINGERING) as server:
        for request, expected in MALFORMED:
            with server.raw(request.encode('latin-1')) as client:
                status, headers, body = answer_to(client)
            assert (status, headers['Content-Type']) == (expected, 'application/json'), request[:60]
            assert headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
            assert (headers['Connection'], int(headers['Content-Length'])) == ('close', len(body))
            (error,) = json.loads(body)['errors']
            assert error['code'] == 'UNSUPPORTED' and error['message']
        assert 'Traceback' not in server.log
        assert server.request('GET', '/v2/')[0] == 200


def test_a_request_that_is_no_valid_http_leaves_no_secret_in_the_log(fake, tmp_path):
    requests = [
        'PUT /v2/a/blobs/uploads/secret?digest=\xe9 HTTP/1.1\r\n\r\n',
        'GET /v2/ HTTP/1.1\r\nAuthorization Basic secret\r\n\r\n',
        'GET /v2/ HTTP/1.1\r\nAuthorization Basic "secret\'\r\n\r\n',
        'GET /v2/ HTTP/1.1\r\nTransfer-Encoding: secret\r\n\r\n',
        'GET /v2/ HTTP/1.1\r\nExpect: secret\r\n\r\n',
        'POST /v2/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n',
        'secret\r\n\r\n',
    ]
    with Serving(tmp_path, environment(fake)) as server:
        for request in requests:
            with server.raw(request.encode('latin-1')) as client:
                answer_to(client)
        until(lambda: server.log.count('Invalid request from ip=127.0.0.1: ') == len(requests) - 1)
        assert 'secret' not in server.log


def test_an_error_between_the_application_and_the_client_is_one_of_the_api(fake, tmp_path):
    with Serving(tmp_path, environment(fake), command=changed('bodies.Counted.__next__ = lambda body: 1 / 0')) as server:
        status, headers, body = server.request('GET', '/v2/a/blobs/uploads/' + 'secret' * 10)
        assert (status, headers['Content-Type']) == (500, 'application/json')
        assert json.loads(body)['errors'][0]['code'] == 'UNKNOWN'
        assert 'ZeroDivisionError' in server.log and 'secret' not in server.log


def test_fields_of_16_kib_and_the_range_of_a_thousand_chunks_are_accepted(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        wanted = 'bytes=' + ','.join(f'{at}-{at + 9}' for at in range(5_000_000_000, 5_000_102_400, 100))
        digest = digest_of(b'small')
        server.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', b'small')

        assert server.request('GET', '/v2/', Authorization='Bearer ' + 'x' * 16 * 1024)[0] == 200
        assert server.request('GET', f'/v2/a/blobs/{digest}', Range=wanted)[0] == 416


def test_a_head_that_stops_is_answered_408(fake, tmp_path):
    with Serving(tmp_path, environment(fake), command=IMPATIENT) as server:
        status, headers, body = answer_to(server.raw('GET /v2/ HTTP/1.1\r\nHost:'))

        assert (status, json.loads(body)['errors'][0]['code']) == (408, 'UNSUPPORTED')
        assert headers['Connection'] == 'close'
        assert 'a client was silent' in server.log and 'Traceback' not in server.log


def test_http_on_a_port_with_tls_does_no_harm(fake, tmp_path, certificate):
    with Serving(tmp_path, environment(fake), *tls_options(certificate)) as server:
        client = server.raw(head('GET', '/v2/'))
        with contextlib.suppress(ConnectionError):
            while client.recv(1000):
                pass
        with tls_connection(server, certificate) as client:
            client.sendall(head('GET', '/v2/').encode())
            assert status_of(client) == 200
        with tls_connection(server, certificate) as client:
            client.sendall(b'nonsense\r\n\r\n')
            assert answer_to(client)[0] == 400
        assert 'Traceback' not in server.log


# Expect: 100-continue


def waiting(method, path, *fields):
    return head(method, path, 'Expect: 100-continue', *fields)


#: Requests that are refused whatever their body is, with the status.
REFUSED = [
    ('PATCH', '/v2/a/blobs/uploads/unknown', 1000, 404),
    ('PUT', '/v2/a/blobs/uploads/unknown?digest=x', 1000, 404),
    ('PUT', '/v2/A/manifests/v1', 1000, 400),
    ('PUT', '/v2/a/manifests/.v1', 1000, 400),
    ('PUT', '/v2/a/manifests/v1', 5 * 1024**2, 413),
    ('POST', '/v2/a/blobs/uploads/?digest=x', 1000, 400),
    ('POST', '/v2/a/tags/list', 1000, 405),
    ('POST', '/nothing', 1000, 404),
]


@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_a_client_whose_request_is_refused_is_not_invited_to_send_the_body(fake, tmp_path, framing):
    with Serving(tmp_path, environment(fake)) as server:
        for method, path, length, expected in REFUSED:
            if framing == 'chunked' and expected == 413:
                continue  # only the body tells that it is too large
            fields = f'Content-Length: {length}' if framing == 'length' else 'Transfer-Encoding: chunked'
            status, headers, _ = answer_to(server.raw(waiting(method, path, fields)))
            assert (status, headers['Connection']) == (expected, 'close'), path


def test_a_client_without_a_password_is_not_invited_to_send_the_body(fake, tmp_path):
    (tmp_path / 'users').write_text(htpasswd.line('user', 'password') + '\n')
    with Serving(tmp_path, environment(fake), '--htpasswd', str(tmp_path / 'users')) as server:
        client = server.raw(waiting('PUT', '/v2/a/manifests/v1', 'Content-Length: 1000'))
        assert answer_to(client)[0] == 401


def test_a_client_that_does_not_wait_for_its_invitation_is_served(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        client = server.raw(waiting('PATCH', server.begin_upload(), 'Content-Length: 5') + 'bytes')
        assert [status_of(client), status_of(client)] == [100, 202]


def test_a_connection_on_which_a_client_was_invited_is_kept(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        upload = server.begin_upload()
        client = server.raw()
        for _ in range(2):
            client.sendall(waiting('PATCH', upload, 'Content-Length: 5').encode())
            assert status_of(client) == 100
            client.sendall(b'bytes')
            assert status_of(client) == 202
        client.sendall(waiting('PATCH', upload, 'Content-Length: 0').encode())
        assert status_of(client) == 202
        client.sendall(head('GET', '/v2/').encode())
        assert status_of(client) == 200


def test_a_blob_that_looks_like_an_invitation_comes_through_tls(fake, tmp_path, certificate):
    content = connections.CONTINUE
    with Serving(tmp_path, environment(fake), *tls_options(certificate)) as server:
        with tls_connection(server, certificate) as client:
            client.sendall(
                head('POST', f'/v2/a/blobs/uploads/?digest={digest_of(content)}', f'Content-Length: {len(content)}').encode() + content
            )
            assert status_of(client) == 201
            client.sendall(head('GET', f'/v2/a/blobs/{digest_of(content)}', 'Connection: close').encode())
            assert answer_to(client)[2] == content


def test_the_longest_url_of_an_upload_is_accepted(serving):
    assert serving.request('GET', '/v2/a/blobs/uploads/' + 'x' * 8000)[0] == 404


def test_answers_of_a_kept_connection_do_not_wait_for_acknowledgements(serving):
    """Nagle's algorithm would delay the body until the client acknowledges the head, which takes 40 ms."""
    digest = digest_of(b'small')
    serving.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', b'small')
    connection, seconds = serving.connection(), []
    while len(seconds) < 50 or min(seconds) >= 0.03 and len(seconds) < 500:  # on a busy machine, each may take long for another reason
        started = time.monotonic()
        assert serving.request('GET', '/v2/', connection=connection)[2] == b'{}'
        seconds.append(time.monotonic() - started)

    assert min(seconds) < 0.03


def test_connections_are_kept(serving):
    connection = serving.connection()
    serving.request('GET', '/v2/', connection=connection)
    before = connection.sock.getsockname()
    time.sleep(2.5)  # longer than gunicorn keeps connections by default
    serving.request('GET', '/v2/', connection=connection)

    assert connection.sock.getsockname() == before


@pytest.mark.parametrize('size', [1000, 60000])
def test_a_connection_is_kept_after_a_small_body_that_nobody_wanted(serving, size):
    connection = serving.connection()
    status, headers, _ = serving.request('PATCH', '/v2/a/blobs/uploads/unknown', b'x' * size, connection)
    before = connection.sock
    assert (status, headers['Connection']) == (404, 'keep-alive')
    assert serving.request('GET', '/v2/', connection=connection)[0] == 200 and connection.sock is before


@pytest.mark.parametrize('body', [b'x' * 100000, b'x' * 3000000, iter([b'x' * 100000]), iter([b'x'])])
def test_the_end_of_a_connection_is_announced_if_too_much_of_a_body_is_left(fake, tmp_path, body):
    with Serving(tmp_path, environment(fake), command=LINGERING) as server:
        status, headers, _ = server.request('PATCH', '/v2/a/blobs/uploads/unknown', body)
        assert (status, headers['Connection']) == (404, 'close')


def test_who_does_not_close_a_connection_that_has_ended_keeps_nobody_waiting(fake, tmp_path):
    with Serving(tmp_path, environment(fake), command=LINGERING) as server:
        clients = [server.raw(head('GET', '/healthz', 'Connection: close')) for _ in range(3)]
        assert [status_of(client) for client in clients] == [200] * 3
        started = time.monotonic()
        assert server.request('GET', '/healthz')[0] == 200

        assert time.monotonic() - started < 30


def test_each_request_is_logged_once(serving):
    serving.request('GET', '/v2/', X_Request_Id='once')

    until(lambda: 'id=once' in serving.log)
    assert serving.log.count('GET /v2/') == 1


def test_what_is_no_http_is_answered_400_and_logged_without_a_traceback(serving):
    client = serving.raw(b'\x16\x03\x01\x02\x00 no\n\n')

    assert status_of(client) == 400
    assert 'INFO' in until(lambda: [line for line in serving.log.splitlines() if 'Invalid request' in line])[0]
    assert 'Traceback' not in serving.log


#: A busy machine may take longer for an answer of Swift than load balancers wait.
PATIENT_READYZ = changed('from docker_registry.v2.http import readiness', 'readiness.PATIENCE = 60')


def test_more_requests_than_threads_are_all_answered(real_swift, tmp_path):
    with Serving(tmp_path, environment(real_swift), '--threads', '2', command=PATIENT_READYZ) as server:
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(server.request('GET', '/readyz')[0])) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert statuses == [200] * 12


def test_idle_connections_take_no_threads(real_swift, tmp_path):
    with Serving(tmp_path, environment(real_swift), '--threads', '2') as server:
        idle = [server.connection() for _ in range(8)]
        for connection in idle:
            server.request('GET', '/v2/', connection=connection)

        assert server.request('GET', '/v2/')[0] == 200


# Processes


#: A client that is refused may take long to ask, and still gets its answer.
PATIENT_REFUSAL = 'connections.REFUSAL = 60'


def begun(server, method, path, length):
    """Return a connection with a request in progress: a thread of the registry waits for its body."""
    client = server.raw(head(method, path, f'Content-Length: {length}', 'Expect: 100-continue'))
    assert status_of(client) == 100
    return client


def test_workers_have_logged_in_before_the_first_request(fake, tmp_path):
    with Serving(tmp_path, environment(fake, GUNICORN_WORKERS=2)) as server:
        until(lambda: len([request for request in fake.requests if request.path.endswith('/auth/v1.0')]) >= 3)
        until(
            lambda: len([request for request in fake.requests if request.method == 'HEAD']) >= 4
        )  # whoever creates the container looks twice
        fake.clear_requests()
        server.request('POST', f'/v2/a/blobs/uploads/?digest={digest_of(b"small")}', b'small')

        assert {request.method for request in fake.requests} == {'PUT'}


def test_sigterm_lets_a_running_upload_finish(serving):
    digest = digest_of(BLOB)
    upload = serving.begin_upload()
    client = begun(serving, 'PUT', f'{upload}?digest={digest}', len(BLOB))
    client.sendall(BLOB[:2000000])
    serving.process.send_signal(signal.SIGTERM)
    until(lambda: refused(serving))
    client.sendall(BLOB[2000000:])

    assert status_of(client) == 201
    assert serving.process.wait(DEADLINE) == 0


def refused(server):
    try:
        socket.create_connection(('127.0.0.1', server.port), 1).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # the connection arrived while the socket was being closed


def test_sigterm_cuts_what_takes_too_long(real_swift, tmp_path):
    with Serving(tmp_path, environment(real_swift), '--graceful-timeout', '1') as server:
        begun(server, 'PATCH', server.begin_upload(), 100)

        assert server.end(signal.SIGTERM) == 0


def test_sigint_ends_all_at_once(serving):
    workers = serving.workers
    begun(serving, 'PATCH', serving.begin_upload(), 100)

    assert serving.end(signal.SIGINT) == 0
    assert not [pid for pid in workers if os.path.exists('/proc/%d' % pid)]


#: Workers take a second from their fork to their first own signal handler, as on a busy machine.
SLOW_WORKERS = changed('begin = worker.Worker.init_process', 'worker.Worker.init_process = lambda process: (time.sleep(1), begin(process))')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_reaches_a_worker_at_its_start_is_not_lost(fake, tmp_path, number):
    """Otherwise the first process would wait for this worker until the graceful timeout, ten minutes by default."""
    with Serving(tmp_path, environment(fake, GUNICORN_WORKERS=2), command=SLOW_WORKERS) as server:
        until(lambda: server.workers)

        assert server.end(number) == 0


def test_another_worker_takes_the_place_of_a_killed_one(serving):
    upload = serving.begin_upload()
    status, headers, _ = serving.request('PATCH', upload, BLOB[:2000000])
    killed = until(lambda: serving.workers)
    os.kill(killed[0], signal.SIGKILL)
    until(lambda: serving.workers and serving.workers != killed)

    status, headers, _ = serving.request('PATCH', headers['Location'], BLOB[2000000:])
    assert status == 202
    assert serving.request('PUT', f'{headers["Location"]}?digest={digest_of(BLOB)}')[0] == 201


def test_a_worker_starts_while_swift_is_down(fake, tmp_path):
    with Serving(tmp_path, environment(fake, SWIFT_RETRIES=0)) as server:
        until(lambda: server.request('GET', '/readyz')[0] == 200)
        fake.refuse_connections()
        killed = server.workers
        os.kill(killed[0], signal.SIGKILL)

        assert until(lambda: answer_of(server, '/readyz')) == 503
        assert answer_of(server, '/healthz') == 200
        fake.accept_connections()
        until(lambda: server.request('GET', '/readyz')[0] == 200)


def answer_of(server, path):
    try:
        return server.request('GET', path)[0]
    except OSError:
        return None  # the connection was to the worker that is being killed


def test_it_runs_without_any_folder_to_write_to(real_swift, tmp_path):
    environ = environment(real_swift, TMPDIR='/nowhere', HOME='/nowhere', PYTHONDONTWRITEBYTECODE=1)
    with Serving(tmp_path, environ, command=PATIENT_READYZ) as server:
        assert server.request('GET', '/readyz')[0] == 200


def test_a_silent_client_loses_its_connection(real_swift, tmp_path):
    command = changed('connections.CLIENT_TIMEOUT = connections.HEAD_TIMEOUT = 1')
    with Serving(tmp_path, environment(real_swift), command=command) as server:
        upload = server.begin_upload()
        for start in ('GET /v2/ HTTP/1.1\r\nHost:', head('PATCH', upload, 'Content-Length: 100') + 'a few bytes'):
            client = server.raw(start)
            while client.recv(1000):
                pass
            client.close()

        assert 'a client was silent' in server.log
        assert 'Traceback' not in server.log


def is_ended(client):
    """Send one more byte of a request's head, and return whether the server has closed the connection."""
    client.settimeout(0.2)
    try:
        client.sendall(b'x')
        return not client.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


IMPATIENT = changed('connections.HEAD_TIMEOUT = 0.5')


def test_a_client_that_is_slow_to_ask_loses_its_connection_before_one_that_is_slow_to_send(real_swift, tmp_path):
    with Serving(tmp_path, environment(real_swift), command=IMPATIENT) as server:
        uploading = server.raw(head('PATCH', server.begin_upload(), 'Content-Length: 100') + 'a few bytes')
        asking = server.raw('GET /v2/ HTTP/1.1\r\nX-Slow: ')
        until(lambda: is_ended(asking))  # even though it keeps sending bytes
        uploading.sendall(b'x' * 89)

        assert status_of(uploading) == 202


@pytest.mark.parametrize('framing', ['Content-Length: 1000', 'Transfer-Encoding: chunked'])
def test_a_form_for_a_token_must_arrive_in_time_because_everybody_may_send_one(fake, tmp_path, framing):
    command = changed('token_endpoint.FORM_SECONDS = 0.5')
    with Serving(tmp_path, environment(fake, GUNICORN_THREADS=2), command=command) as server:
        started = time.monotonic()
        slow = [server.raw(head('POST', '/v2/token', framing) + 'a') for _ in range(3)]
        assert server.request('GET', '/healthz')[0] == 200
        for client in slow:
            status, headers, _ = answer_to(client)
            assert (status, headers['Connection']) == (408, 'close')
        assert 'Traceback' not in server.log

    assert time.monotonic() - started < 30  # much less than CLIENT_TIMEOUT, 120 seconds


def test_connections_that_say_nothing_after_their_tls_greeting_do_not_keep_others_waiting(real_swift, tmp_path, certificate):
    environ = environment(real_swift, GUNICORN_THREADS=2)
    with Serving(tmp_path, environ, *tls_options(certificate), command=IMPATIENT) as server:
        silent = [tls_connection(server, certificate) for _ in range(3)]
        started = time.monotonic()
        with tls_connection(server, certificate) as client:
            client.sendall(head('GET', '/healthz').encode())
            assert status_of(client) == 200
        for connection in silent:
            connection.close()

    assert time.monotonic() - started < 30  # much less than CLIENT_TIMEOUT, 120 seconds


# TLS


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tls')
    make_certificate(folder)
    return folder


def tls_connection(server, folder, **limits):
    context = ssl.create_default_context(cafile=folder / 'certificate.pem')
    for name, version in limits.items():
        setattr(context, name, version)
    context.set_ciphers('DEFAULT:@SECLEVEL=0')  # otherwise OpenSSL itself refuses old TLS versions
    return context.wrap_socket(server.raw(), server_hostname='127.0.0.1')


def test_tls(real_swift, tmp_path, certificate):
    with Serving(tmp_path, environment(real_swift), *tls_options(certificate)) as server:
        with tls_connection(server, certificate) as client:
            for _ in range(2):  # two requests on one connection
                client.sendall(head('POST', f'/v2/a/blobs/uploads/?digest={digest_of(BLOB)}', f'Content-Length: {len(BLOB)}').encode())
                client.sendall(BLOB)
                assert status_of(client) == 201
        with tls_connection(server, certificate) as client:
            client.sendall(head('GET', f'/v2/a/blobs/{digest_of(BLOB)}', 'Connection: close').encode())
            answer = b''.join(iter(lambda: client.recv(1 << 20), b''))

    assert answer.partition(b'\r\n\r\n')[2] == BLOB


@pytest.mark.parametrize('version, accepted', [('TLSv1_1', False), ('TLSv1_2', True), ('TLSv1_3', True)])
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_tls_is_1_2_or_newer(real_swift, tmp_path, certificate, version, accepted):
    version = ssl.TLSVersion[version]
    with Serving(tmp_path, environment(real_swift), *tls_options(certificate)) as server:
        if accepted:
            tls_connection(server, certificate, maximum_version=version, minimum_version=version).close()
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                tls_connection(server, certificate, minimum_version=version, maximum_version=version)
        with tls_connection(server, certificate) as client:
            client.sendall(head('GET', '/v2/').encode())
            assert status_of(client) == 200


def test_a_renewed_certificate_is_used_without_a_restart(real_swift, tmp_path):
    make_certificate(tmp_path)
    with Serving(tmp_path, environment(real_swift), *tls_options(tmp_path)) as server:
        with tls_connection(server, tmp_path) as client:
            before = client.getpeercert(True)
        make_certificate(tmp_path)
        with tls_connection(server, tmp_path) as client:
            assert client.getpeercert(True) != before


def test_a_renewed_certificate_that_is_broken_is_not_used(real_swift, tmp_path):
    make_certificate(tmp_path)
    with Serving(tmp_path, environment(real_swift), *tls_options(tmp_path)) as server:
        trusted = (tmp_path / 'certificate.pem').read_text()
        (tmp_path / 'certificate.pem').write_text('half a certif')
        context = ssl.create_default_context(cadata=trusted)
        with context.wrap_socket(server.raw(), server_hostname='127.0.0.1') as client:
            client.sendall(head('GET', '/v2/').encode())
            assert status_of(client) == 200
        assert 'certificate cannot be used' in server.log


def test_memory_does_not_grow_with_the_upload(real_swift, tmp_path):
    """A worker needs less than 130 MiB of memory during an upload of 200 MiB."""
    with Serving(tmp_path, environment(real_swift, SWIFT_SEGMENT_SIZE='32MiB')) as server:
        block, hasher = os.urandom(1024**2), hashlib.sha256()
        for _ in range(200):
            hasher.update(block)
        upload = server.begin_upload()
        status, headers, _ = server.request('PATCH', upload, iter([block] * 200))
        assert server.request('PUT', f'{headers["Location"]}?digest=sha256:{hasher.hexdigest()}')[0] == 201
        with open('/proc/%d/status' % server.workers[0]) as facts:
            peak = next(int(line.split()[1]) for line in facts if line.startswith('VmHWM'))

    assert peak < 130 * 1024


# Clients that are slow, and many of them


def slow_reader(server, path):
    """Return a connection whose client asks for something large and reads one byte of the answer."""
    client = server.raw(head('GET', path), receive_buffer=4096)
    assert client.recv(1) == b'H'
    return client


@pytest.fixture(scope='module')
def large():
    return os.urandom(8 * 1024**2)  # more than the buffers of two sockets take


def test_who_waits_for_a_client_leaves_the_place_to_others(fake, tmp_path):
    with Serving(tmp_path, environment(fake), '--threads', '1') as server:
        clients = [begun(server, 'PATCH', server.begin_upload(), 5) for _ in range(3)]
        assert server.request('GET', '/v2/')[0] == 200
        for client in clients:
            client.sendall(b'bytes')
            assert status_of(client) == 202


def test_readyz_waits_for_no_place(fake, tmp_path):
    """While Swift is silent, requests of the same address hold all places until they give up."""
    with Serving(tmp_path, environment(fake), '--threads', '1') as server:
        stalled = fake.fault(lambda request: True, fake_swift.stall(), times=None)
        server.raw(head('GET', '/v2/a/tags/list'))
        until(lambda: stalled.hits)
        started = time.monotonic()

        assert server.request('GET', '/readyz')[0] == 503
        assert time.monotonic() - started < 3 * readiness.PATIENCE
        fake.release()


def test_slow_readers_hold_neither_places_nor_connections_to_swift(fake, tmp_path, large):
    environ = environment(fake, SWIFT_POOL_SIZE=2, SWIFT_POOL_TIMEOUT=30)
    with Serving(tmp_path, environ, '--threads', '1', command=changed('connections.SEND_PATIENCE = 0.1')) as server:
        digest = digest_of(large)
        server.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', large)
        readers = [slow_reader(server, f'/v2/a/blobs/{digest}') for _ in range(6)]
        assert server.request('GET', f'/v2/a/blobs/{digest}')[2] == large
        for client in readers[:2]:
            with client.makefile('rb') as file:
                assert b'200' in file.readline()
                length = int(http.client.parse_headers(file)['Content-Length'])
                assert file.read(length) == large


def test_an_address_has_only_so_many_connections(fake, tmp_path):
    with Serving(tmp_path, environment(fake), '--connections', '3', command=changed(PATIENT_REFUSAL)) as server:
        held = [server.raw() for _ in range(3)]
        status, headers, _ = answer_to(server.raw(head('GET', '/healthz')))
        assert (status, headers['Retry-After']) == (429, '5')
        assert status_of(server.raw(head('GET', '/healthz'), source='127.0.0.2')) == 200
        held[0].close()
        until(lambda: answer_of(server, '/healthz') == 200)


def test_trusted_proxies_have_any_number_of_connections(fake, tmp_path):
    with Serving(tmp_path, environment(fake), '--connections', '1', '--trusted-proxies', '127.0.0.1') as server:
        held = [server.raw() for _ in range(3)]
        assert server.request('GET', '/healthz')[0] == 200
        assert len(held) == 3


def test_if_there_are_no_more_files_the_connection_that_is_idle_longest_ends(fake, tmp_path):
    command = changed('server.Server.crowd = lambda registry: server.Crowd(3, 100)', 'connections.HEAD_TIMEOUT = 60')
    with Serving(tmp_path, environment(fake), command=command) as server:
        held = [server.raw('GET')]  # this one has begun
        assert server.request('GET', '/healthz')[0] == 200  # now the server knows
        held += [server.raw() for _ in range(2)]
        until(lambda: server.request('GET', '/healthz')[0] == 200)
        assert held[1].recv(1) == b''
        held[0].sendall(b' /healthz HTTP/1.1\r\n\r\n')
        assert status_of(held[0]) == 200


def test_idle_connections_do_not_delay_the_end(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        idle = [server.connection() for _ in range(3)]
        for connection in idle:
            server.request('GET', '/v2/', connection=connection)
        started = time.monotonic()

        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < connections.KEEP_ALIVE / 3


def test_a_head_that_comes_byte_by_byte_is_read(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as server:
        client = server.raw()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head('GET', '/healthz'):
            client.sendall(byte.encode())
        assert status_of(client) == 200


def test_what_waits_for_slow_clients_has_a_bound(fake, tmp_path, large):
    """The address that holds most memory loses its oldest connection. Others keep theirs."""
    command = changed('from docker_registry.v2.http import crowd', 'crowd.MOST_HELD = 3 * 1024**2')
    with Serving(tmp_path, environment(fake), command=command) as server:

        def pushing(length):
            return head('PUT', '/v2/a/manifests/v1', f'Content-Length: {length}', 'Connection: close')

        other = server.raw(pushing(2000000), large[:1000000], source='127.0.0.2')
        clients = [server.raw(pushing(4000000), large[:1500000]) for _ in range(3)]
        until(lambda: server.log.count('PUT /v2/a/manifests/v1 400') == 2)
        for client in clients:
            client.close()  # the rest of the other one has room now, even if it has to wait for it
        until(lambda: server.log.count('PUT /v2/a/manifests/v1 400') == 3)
        other.sendall(large[:1000000])
        assert json.loads(answer_to(other)[2])['errors'][0]['code'] == 'MANIFEST_INVALID'  # so it was read to its end
