"""The log of a process: each line is one record, whatever clients send and whoever writes it."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from fake_swift import on, status
from registry_client import digest_of
from registry_process import Serving, changed, environment, run, until

BLOB = os.urandom(3 * 1024**2)


def test_every_line_of_a_process_is_an_object(fake, tmp_path):
    (tmp_path / 'registry.yml').write_text('swift:\n    storage: swift\n    swift_unknown: 1\n')
    more = {'REGISTRY_LOG_FORMAT': 'json', 'DOCKER_REGISTRY_CONFIG': str(tmp_path / 'registry.yml')}
    with Serving(tmp_path, environment(fake, **more)) as serving:
        digest = digest_of(BLOB)
        assert serving.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', BLOB)[0] == 201
        fake.fault(on('GET'), status(503))
        assert serving.request('GET', f'/v2/a/blobs/{digest}')[2] == BLOB
        serving.raw('nonsense\r\n\r\n').recv(1000)
        until(lambda: 'Invalid request' in serving.log)
        serving.end(signal.SIGTERM)
        found = [json.loads(line) for line in serving.log.splitlines()]

    said = ' '.join(line['message'] for line in found)
    assert 'unknown setting swift_unknown is ignored' in said
    assert 'listening on' in said and 'retry 1 of' in said and 'Invalid request' in said
    assert [line['bytes_in'] for line in found if line.get('event') == 'request'] == [len(BLOB), 0]


class TestForgeries:
    """What a client sends, in text and in JSON."""

    SPACED = '/v2/x%20200%200%200.001%20swift=0%20from=192.0.2.1%20user=admin'

    @pytest.fixture(params=['text', 'json'])
    def serving(self, request, fake, tmp_path):
        with Serving(tmp_path, environment(fake, REGISTRY_LOG_FORMAT=request.param)) as serving:
            yield serving

    def test_header_fields_forge_nothing(self, serving):
        texts = [b'\x1b[31m', b'\xff\xfe', b'"\\', b'\xe2\x80\xa8', b'a' * 8000]
        for text in texts:
            head = b'GET /v2/ HTTP/1.1\r\nUser-Agent: %s\r\nX-Request-Id: %s\r\nAuthorization: Basic %s\r\nConnection: close\r\n\r\n'
            serving.raw(head % (text, text, text)).recv(1000)
        until(lambda: serving.log.count('GET /v2/ ') + serving.log.count('Invalid request') == len(texts))

        assert all(is_line(line) for line in serving.log.splitlines())

    def test_a_path_with_blanks_is_one_word(self, serving):
        answer = serving.request('GET', self.SPACED)
        line = until(lambda: [line for line in serving.log.splitlines() if 'swift=0' in line])[0]

        assert answer[0] == 404 and is_line(line)
        assert r'GET /v2/x\x20200\x200\x200.001\x20swift=0\x20from=192.0.2.1\x20user=admin 404' in line.replace('\\\\', '\\')

    def test_what_never_reaches_the_application_has_an_id_in_response_and_log(self, serving):
        for head, expected in HEADS:
            with contextlib.closing(http.client.HTTPResponse(serving.raw(head))) as answer:
                answer.begin()
                assert answer.status == expected and answer.headers['X-Request-Id'], head[:60]
                until(lambda: answer.headers['X-Request-Id'] in serving.log)

        assert all(is_line(line) for line in serving.log.splitlines())


HEADS = [
    (b'nonsense\r\n\r\n', 400),
    (b'GET\x1b[31m / HTTP/1.1\r\n\r\n', 400),
    (b'GET /' + b'a' * 9000 + b' HTTP/1.1\r\n\r\n', 414),
    (b'GET / HTTP/1.1\r\n' + b'a: b\r\n' * 100 + b'\r\n', 431),
    (b'GET / HTTP/1.1\r\na: ' + b'b' * 70000, 431),
    (b'GET / HTTP/1.1\r\nX-Request-Id: a\r\nX-A: ' + b'b' * 9000 + b'\r\n\r\n', 431),
    (b'GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n', 501),
]


def is_line(text):
    """Whether a text is a record of the log in one of its formats."""
    if text.startswith('{'):
        return text.isascii() and isinstance(json.loads(text), dict)
    return text.isprintable() and re.match(r'20\d\d-\d\d-\d\d [0-9:,]{12} [A-Z]+ \[\d+\] \S', text) is not None


def test_a_refused_connection_has_an_id_in_response_and_log(fake, tmp_path):
    command = changed('connections.REFUSAL = connections.HEAD_TIMEOUT = 60')  # a client may take long to ask, and still gets its answer
    with Serving(tmp_path, environment(fake), '--connections', '1', command=command) as serving:
        serving.raw('G')
        until(lambda: status_of(serving) == 429)
        status, headers, _ = serving.request('GET', '/healthz')

        assert (status, f'(id {headers["X-Request-Id"]})' in serving.log) == (429, True)


def status_of(serving):
    return serving.request('GET', '/healthz')[0]


@pytest.mark.parametrize('name, value', [('OS_PASSWORD', 'wrong'), ('REGISTRY_PORT', 'x'), ('LOGLEVEL', 'x'), ('OS_USERNAME', 'a\nb')])
def test_an_error_that_ends_the_start_is_an_object_too(fake, name, value):
    code, output, errors = run('serve', environ=environment(fake, REGISTRY_LOG_FORMAT='json', **{name: value}))
    last = [json.loads(line) for line in output.splitlines()][-1]

    assert (code, errors, last['level']) == (1, '', 'CRITICAL') and last['message']


def test_what_libraries_say_is_an_object_too(fake, tmp_path):
    words = ['warning', 'thread', 'greenlet', 'ignored']
    statements = """import gc, gevent, threading, warnings
def fail(word):
    raise ValueError('in a ' + word)
warnings.warn('in a\\nwarning')
threading.Thread(target=fail, args=('thread',)).start()
gevent.spawn(fail, 'greenlet')
type('A', (), {'__del__': lambda self: fail('ignored')})()
"""
    begin = f'lambda self, worker: (exec({statements!r}, {{}}), before(self, worker))'
    command = changed('before = server.Server._begin_worker', f'server.Server._begin_worker = {begin}')
    with Serving(tmp_path, environment(fake, REGISTRY_LOG_FORMAT='json'), command=command) as serving:
        until(lambda: all(f'in a {word}' in serving.log.replace(r'\n', ' ') for word in words))
        found = [json.loads(line) for line in serving.log.splitlines()]

    said = [line['message'] + line.get('exception', '') for line in found]
    assert all(any(f'in a {word}' in text.replace('\n', ' ') for text in said) for word in words)


def test_an_error_that_nobody_handles_is_an_object_too(fake):
    command = [sys.executable, *changed('server.Server.run = lambda self: 1 / 0'), 'serve', '--port', '0']
    done = subprocess.run(command, env=environment(fake, REGISTRY_LOG_FORMAT='json'), capture_output=True, text=True, timeout=60)
    last = json.loads(done.stdout.splitlines()[-1])

    assert (done.returncode, done.stderr, last['level']) == (1, '', 'CRITICAL') and 'ZeroDivisionError' in last['exception']


def test_another_format_ends_the_start(fake, tmp_path):
    code, _, errors = run('serve', '--log-format', 'xml', environ=environment(fake))
    assert (code, errors) == (1, "registry-swift: --log-format (REGISTRY_LOG_FORMAT) must be text or json, not 'xml'\n")
