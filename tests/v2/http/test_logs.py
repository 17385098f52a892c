"""The log in JSON, the ids of requests in Swift, and what both have of a request."""

import io
import json
import logging
import logging.config
import os
import re
import sys

import pytest
from werkzeug import Response
from werkzeug.test import create_environ

import fake_swift
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.identity import Identity
from docker_registry.v2.http import app, logs, tracing
from docker_registry.v2.settings.config import Access
from fake_swift import on, status

BLOB = os.urandom(3 * 1024**2)


@pytest.fixture
def lines():
    """A function that returns the objects of the log since the last call."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel('INFO')

    def lines():
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        return found

    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


def requests_in(found):
    return [line for line in found if line.get('event') == 'request']


class TestFormat:
    def test_a_line_has_time_level_process_and_message(self, lines):
        logging.getLogger('any').warning('some %s', 'thing')
        (line,) = lines()

        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', line.pop('time'))
        assert line == {'level': 'WARNING', 'process': os.getpid(), 'message': 'some thing'}

    @pytest.mark.parametrize('text', ['a\nb', '\x1b[31m', '", "level": "x', '\u2028', '\ud800', '\x00', 'a' * 10000])
    def test_hostile_text_stays_within_its_value(self, text):
        record = logging.makeLogRecord({'msg': '%s', 'args': (text,), 'levelname': 'INFO', 'facts': {'user': text}})
        line = logs.JsonLines().format(record)

        assert line.isascii() and line.isprintable()
        assert (json.loads(line)['message'], json.loads(line)['user'], json.loads(line)['level']) == (text, text, 'INFO')

    def test_an_exception_is_in_its_line(self, lines):
        try:
            raise ValueError('why')
        except ValueError:
            logging.getLogger('any').exception('it failed')
        (line,) = lines()

        assert line['exception'].startswith('Traceback') and line['exception'].endswith('ValueError: why')

    def test_what_the_driver_says_within_a_request_has_its_id(self, lines):
        with tracing.Trace('abc').current():
            logging.getLogger('docker_registry.drivers.swift').warning('retry')
        logging.getLogger('docker_registry.drivers.swift').warning('retry')

        assert [line.get('id') for line in lines()] == ['abc', None]

    @pytest.mark.parametrize('text', ['a\nb', '\x1b[31m', '\r', '\u2028', '\u202e', '\ud800', '\x00', 'a' * 65536])
    def test_hostile_text_stays_in_its_line(self, text):
        record = logging.makeLogRecord({'msg': '%s', 'args': (text,), 'levelname': 'INFO'})
        line = logs.TextLines().format(record)

        assert line.isprintable() and re.fullmatch(rf'[0-9-]+ [0-9:,]+ INFO \[{record.process}\] \S+', line)

    def test_no_line_of_a_traceback_looks_like_a_record(self):
        try:
            raise ValueError('why\n2026-11-26 00:00:00,000 INFO [1] forged \x1b[31m')
        except ValueError:
            record = logging.LogRecord('any', logging.ERROR, '', 1, 'it failed', (), sys.exc_info())
        first, *others = logs.TextLines().format(record).split('\n')

        assert first.endswith('it failed') and all(line.startswith('    ') and line.isprintable() for line in others)
        assert others[-1] == r'    2026-11-26 00:00:00,000 INFO [1] forged \x1b[31m'

    @pytest.mark.parametrize('log_format, last', [('text', 'INFO [7] a'), ('json', '"message": "a"}')])
    def test_the_form_of_a_line(self, log_format, last):
        formatter = logging.config.DictConfigurator({}).configure_formatter(logs.formatter(log_format))

        assert formatter.format(logging.makeLogRecord({'msg': 'a', 'levelname': 'INFO', 'process': 7})).endswith(last)


class TestRequests:
    def test_a_push_of_a_blob(self, registry, lines):
        digest = registry.push_blob('a/b', b'content')
        (line,) = requests_in(lines())

        assert (line['method'], line['status'], line['repository'], line['digest']) == ('POST', 201, 'a/b', digest)
        assert (line['bytes_in'], line['bytes_out']) == (7, 0)
        assert line['swift']['requests'] == len(registry.swift_requests) and line['swift']['seconds'] > 0 and 'tag' not in line

    def test_a_pull_of_a_tag_has_tag_and_digest(self, registry, lines):
        digest = registry.push_image('a', 'v1', b'layer')
        lines()
        answer = registry('GET', '/v2/a/manifests/v1', headers={'User-Agent': 'docker/28', 'X-Request-Id': 'abc'})
        (line,) = requests_in(lines())

        assert (line['repository'], line['tag'], line['digest'], line['id']) == ('a', 'v1', digest, 'abc')
        assert (line['message'], line['user_agent']) == ('GET /v2/a/manifests/v1 200', 'docker/28')
        assert line['bytes_out'] == len(answer.data) and line['seconds'] >= 0

    def test_user_and_address_are_in_it(self, fake_place, tmp_path, lines):
        (tmp_path / 'users').write_text(htpasswd.line('alice', 'correct horse', 4) + '\n')
        registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'users')))
        registry('GET', '/v2/', auth=('alice', 'correct horse'), environ_base={'REMOTE_ADDR': '192.0.2.7'})
        (line,) = requests_in(lines())

        assert (line['user'], line['from']) == ('alice', '192.0.2.7')

    def test_a_user_is_one_word_in_text(self, caplog):
        request = app.Request(create_environ('/v2/'))
        request.identity = Identity('a id=b')  # Keystone allows that
        with caplog.at_level('INFO', logs.requests.name):
            logs.request(request, Response(), 0, 0, tracing.Trace('c'))

        assert caplog.messages[-1].endswith(rf'user=a\x20id=b id={request.id}')

    def test_the_token_of_an_upload_is_in_no_value(self, registry, lines):
        token = registry.upload('a').rpartition('/')[2]
        registry('PATCH', f'/v2/a/blobs/uploads/{token}', b'bytes')

        assert token not in json.dumps(lines())

    def test_a_password_is_in_no_value(self, fake_place, tmp_path, lines):
        (tmp_path / 'users').write_text(htpasswd.line('alice', 's3cr3t-password', 4) + '\n')
        registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'users')))
        registry('GET', '/v2/', auth=('alice', 's3cr3t-password'))
        registry('GET', '/v2/', auth=('alice', 'another-s3cr3t'))
        found = lines()

        assert 's3cr3t' not in json.dumps(found)
        assert [(line['event'], line['user']) for line in found if line.get('event') in ('login', 'wrong password')] == [
            ('login', 'alice'),
            ('wrong password', 'alice'),
        ]

    def test_a_push_has_a_line_with_its_facts(self, registry, lines):
        digest = registry.push_image('a', 'v1', b'layer')
        line = [line for line in lines() if line.get('event') == 'push'][-1]

        assert (line['repository'], line['tag'], line['digest'], line['message']) == ('a', 'v1', digest, 'push')

    def test_hostile_names_are_short(self, fake_registry, lines):
        fake_registry('GET', f'/v2/{"%0A%22" * 2000}/manifests/{"b" * 3000}', headers={'User-Agent': 'c' * 5000})
        (line,) = requests_in(lines())

        assert all(len(str(value)) <= 650 for value in line.values())


class TestFailuresOfSwift:
    def test_a_request_that_was_repeated_is_named(self, fake, fake_registry, lines):
        digest = fake_registry.push_blob('a', b'content')
        fake.fault(on('GET'), status(503))
        lines()
        assert fake_registry('GET', f'/v2/a/blobs/{digest}').status_code == 200
        (line,) = requests_in(lines())

        (failure,) = line['swift']['failures']
        assert (failure['status'], failure['error']) == (503, 'BrokenError') and failure['trans_id'].endswith('-' + line['id'])

    def test_a_download_that_broke_is_named_and_counted(self, fake, fake_registry, lines):
        digest = fake_registry.push_blob('a', BLOB)
        fake.fault(on('GET', path_contains='_segments'), fake_swift.cut_response(300000))
        fake.fault(on('GET', path_contains=digest[7:] + '/data'), fake_swift.cut_response(300000))
        lines()
        assert fake_registry('GET', f'/v2/a/blobs/{digest}').data == BLOB
        (line,) = requests_in(lines())

        assert line['swift']['requests'] == 3 and len(line['swift']['failures']) == 1

    def test_an_error_tells_the_client_the_id_and_the_log_the_transaction(self, fake, fake_registry, lines):
        fake.fault(on(), status(503), times=None)
        answer = fake_registry('GET', '/v2/a/manifests/v1', headers={'X-Request-Id': 'abc'})
        found = lines()

        assert (answer.status_code, answer.json['errors'][0]['detail']) == (503, {'request': 'abc'})
        (error,) = [line for line in found if line.get('event') == 'storage error']
        assert error['level'] == 'ERROR' and error['id'] == 'abc' and error['trans_id'].endswith('-abc')
        assert 0 < len(requests_in(found)[0]['swift']['failures']) <= tracing.MOST_FAILURES

    def test_each_request_to_swift_has_the_id(self, fake, fake_registry):
        fake_registry.push_image('a', 'v1', b'layer')
        fake.clear_requests()
        fake_registry('GET', '/v2/a/manifests/v1', headers={'X-Request-Id': 'abc'})

        assert fake.requests and {request.headers.get('X-Trans-Id-Extra') for request in fake.requests} == {'abc'}
