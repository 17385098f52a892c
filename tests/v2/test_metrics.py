"""Metrics of a registry as a process with several workers: what they count, who may see them, and what trouble does to them."""

import contextlib
import errno
import glob
import http.client
import inspect
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest, values
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

import fake_swift
from access_client import basic, bearer
from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers.swift import Storage
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.rules import Rules
from docker_registry.v2.cli import measuring
from docker_registry.v2.http.app import create_app
from docker_registry.v2.http.events import Events
from docker_registry.v2.http.listeners import OUTCOMES
from docker_registry.v2.http.metrics import counting, exporter, folder, notes, series
from docker_registry.v2.http.metrics.nothing import Nothing
from docker_registry.v2.http.routes import ROUTES
from docker_registry.v2.registry import layout, records, tally
from docker_registry.v2.settings.config import Access, Config, ServerSettings
from docker_registry.v2.settings.notifications import Notifications
from event_listener import EventListener
from fake_swift import cut_response, on, status
from ports import free_port
from registry_client import digest_of
from registry_process import Serving, changed, environment, run, until

BLOB = b'x' * 5000
MANIFEST = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': []})


def numbers(text):
    """Return {(name, labels as a frozenset): number}."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class Measured(Serving):
    """A registry whose metrics can be looked at."""

    before = {}  # the numbers when the test began

    def __init__(self, path, server, *arguments, **more):
        more = {'GUNICORN_WORKERS': '3', 'REGISTRY_METRICS': 'yes'} | more
        self.metrics_port = more.get('REGISTRY_METRICS_PORT')
        super().__init__(path, environment(server, **more), *arguments)

    def metrics(self, **headers):
        code, _, text = self.request('GET', '/metrics', **headers)
        assert code == 200
        return numbers(text)

    def number(self, name, **labels):
        """Return the sum of the numbers of a metric that have these labels; of a counter, how much it has grown in this test."""
        now = total(self.exported() if self.metrics_port else self.metrics(), name, **labels)
        return now - total(self.before, name, **labels) if name.endswith(('_total', '_count')) else now

    def settle(self):
        """Wait until all numbers of each request that has its response are there."""
        until(lambda: self.number('registry_http_requests_in_progress') == 0)

    def exported(self):
        return numbers(self.fetch('/metrics')[1])

    def fetch(self, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.metrics_port, timeout=30)
        try:
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def exporter(self):
        """The process id of the process that serves metrics. It is the child that is another program."""
        return next((pid for pid in self.workers if 'metrics.exporter' in command_of(pid)), None)

    @property
    def serving(self):
        return [pid for pid in self.workers if 'metrics.exporter' not in command_of(pid)]


def command_of(pid):
    try:
        with open(f'/proc/{pid}/cmdline') as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def total(found, name, **labels):
    return sum(value for (sample, own), value in found.items() if sample == name and set(labels.items()) <= own)


@pytest.fixture(scope='module')
def swift():
    with fake_swift.FakeSwift() as server:
        yield server


@pytest.fixture(scope='module')
def running(swift, tmp_path_factory):
    with Measured(tmp_path_factory.mktemp('measured'), swift, REGISTRY_METRICS_PORT=free_port(), SWIFT_RETRY_MAX_WAIT='0') as registry:
        yield registry


@pytest.fixture
def measured(running):
    """A registry that other tests have used, too."""
    running.settle()
    running.before = running.exported()
    return running


def push(registry, repository='a', tag='v1'):
    assert registry.request('POST', f'/v2/{repository}/blobs/uploads/?digest={digest_of(BLOB)}', BLOB)[0] == 201
    assert registry.request('PUT', f'/v2/{repository}/manifests/{tag}', MANIFEST)[0] == 201


# What is counted


def test_requests_of_all_workers_are_counted(measured):
    for number in range(40):
        measured.request('GET', f'/v2/a{number}/manifests/v1')

    measured.settle()
    route = '/v2/<repository>/manifests/<reference>'
    assert measured.number('registry_http_requests_total', route=route, method='GET', status='404') == 40
    assert measured.number('registry_http_request_duration_seconds_count', route=route, method='GET') == 40
    assert measured.number('registry_swift_requests_total', method='GET', status='404') >= 40
    assert measured.number('registry_workers') == measured.number('registry_workers_configured') == 3


def test_both_ports_show_the_same(measured):
    push(measured)
    measured.settle()

    assert measured.number('registry_uploads_total', outcome='finished') == 1
    assert total(measured.metrics(), 'registry_uploads_total') == total(measured.exported(), 'registry_uploads_total')


def test_bytes_uploads_and_the_cache_are_counted(measured):
    push(measured)
    measured.request('GET', measured.begin_upload())
    measured.request('DELETE', measured.begin_upload())
    measured.request('PUT', measured.begin_upload() + '?digest=' + digest_of(b'other'), b'body')
    for _ in range(30):
        assert measured.request('GET', '/v2/a/manifests/v1')[0] == 200

    measured.settle()
    assert measured.number('registry_http_requests_total', route='/v2/<repository>/manifests/<reference>', method='GET') == 30
    assert measured.number('registry_http_received_bytes_total', route='/v2/<repository>/blobs/uploads/') == len(BLOB)
    assert measured.number('registry_http_sent_bytes_total', route='/v2/<repository>/manifests/<reference>') == 30 * len(MANIFEST)
    outcomes = ('begun', 'finished', 'mounted', 'cancelled', 'refused', 'failed')
    assert [measured.number('registry_uploads_total', outcome=name) for name in outcomes] == [3, 1, 0, 1, 1, 0]
    assert measured.number('registry_manifest_cache_requests_total', outcome='hit') >= 27
    assert measured.number('registry_manifest_cache_requests_total') == 30


BLOB_ROUTE, UPLOAD_ROUTE = '/v2/<repository>/blobs/<digest>', '/v2/<repository>/blobs/uploads/<token>'


def test_a_chunked_push_counts_each_byte_once(measured):
    path = measured.begin_upload('chunks')
    for block in (b'a' * 1000, b'b' * 2000):
        path = measured.request('PATCH', path, iter([block[:700], block[700:]]))[1]['Location']
    last = b'c' * 300
    assert (
        measured.request('PUT', f'{path}&digest={digest_of(b"a" * 1000 + b"b" * 2000 + last)}'.replace('&', '?', '?' not in path), last)[0]
        == 201
    )

    measured.settle()
    assert measured.number('registry_http_requests_total', route=UPLOAD_ROUTE, method='PUT', status='201') == 1
    assert measured.number('registry_http_received_bytes_total') == 3300
    assert measured.number('registry_http_requests_total', method='PATCH', status='202') == 2
    assert [measured.number('registry_uploads_total', outcome=name) for name in ('begun', 'finished', 'refused')] == [1, 1, 0]


def test_of_a_range_only_its_bytes_count(measured):
    push(measured)
    measured.settle()
    measured.before = measured.exported()
    for value, length in (('bytes=0-99', 100), ('bytes=-7', 7), ('bytes=4990-', 10)):
        assert len(measured.request('GET', f'/v2/a/blobs/{digest_of(BLOB)}', Range=value)[2]) == length
    assert measured.request('HEAD', f'/v2/a/blobs/{digest_of(BLOB)}')[0] == 200

    measured.settle()
    assert measured.number('registry_http_requests_total', route=BLOB_ROUTE) == 4
    assert measured.number('registry_http_requests_total', route=BLOB_ROUTE, status='206') == 3
    assert measured.number('registry_http_sent_bytes_total', route=BLOB_ROUTE) == 117


def test_of_an_aborted_pull_only_what_was_sent_counts(measured):
    blob = os.urandom(1 << 20) * 24
    assert measured.request('POST', f'/v2/a/blobs/uploads/?digest={digest_of(blob)}', blob)[0] == 201
    client = measured.raw(f'GET /v2/a/blobs/{digest_of(blob)} HTTP/1.1\r\nHost: localhost\r\n\r\n', receive_buffer=65536)
    taken = len(client.recv(10000))
    client.close()
    measured.settle()

    assert measured.number('registry_http_requests_total', route=BLOB_ROUTE, status='200') == 1
    assert taken <= measured.number('registry_http_sent_bytes_total', route=BLOB_ROUTE) < len(blob) / 2


def test_a_download_that_goes_on_counts_once(swift, measured):
    blob = os.urandom(300000)
    assert measured.request('POST', f'/v2/a/blobs/uploads/?digest={digest_of(blob)}', blob)[0] == 201
    swift.fault(on('GET', path_contains=digest_of(blob)[7:]), cut_response(100000))
    assert measured.request('GET', f'/v2/a/blobs/{digest_of(blob)}')[2] == blob

    measured.settle()
    assert measured.number('registry_http_sent_bytes_total', route=BLOB_ROUTE) == len(blob)
    assert measured.number('registry_swift_resumed_downloads_total') == 1


def test_seven_pushes_count_seven_times(measured):
    for number in range(7):
        push(measured, f'seven{number}')
    measured.settle()

    assert measured.number('registry_http_requests_total', method='PUT', status='201') == 7
    assert measured.number('registry_uploads_total', outcome='finished') == 7
    assert measured.number('registry_http_received_bytes_total') == 7 * (len(BLOB) + len(MANIFEST))
    assert measured.number('registry_swift_retries_total') == 0
    assert measured.number('registry_http_request_duration_seconds_count', method='PUT') == 7


def test_repositories_are_counted_up_to_a_number(fake, tmp_path):
    with Measured(tmp_path, fake, GUNICORN_WORKERS='1', REGISTRY_METRICS_REPOSITORIES='2') as registry:
        for repository in ('a', 'b/c', 'd', 'e'):
            push(registry, repository)
        registry.request('GET', '/v2/nowhere/manifests/v1')
        found = registry.metrics()

    name = 'registry_repository_manifest_requests_total'
    assert {dict(labels)['repository'] for sample, labels in found if sample == name} == {'a', 'b/c', '_other'}
    assert total(found, name, repository='_other', action='push') == 2


def test_the_page_counts_deletes_and_no_pulls(fake, tmp_path):
    own = {'Sec_Fetch_Site': 'same-origin'}
    with Measured(tmp_path, fake, GUNICORN_WORKERS='1', REGISTRY_METRICS_REPOSITORIES='2', REGISTRY_UI_DELETE='true') as registry:
        push(registry, 'a')
        assert registry.request('GET', '/ui/a/manifests/v1')[0] == 200
        assert registry.request('POST', '/ui/a/delete/?tag=v1', **own)[0] == 303
        found = registry.metrics()

    name = 'registry_repository_manifest_requests_total'
    assert [total(found, name, action=action) for action in ('push', 'pull', 'delete')] == [1, 0, 1]


def test_no_repository_is_named_unless_that_is_asked_for(measured):
    push(measured, 'secret/project')

    assert b'secret' not in measured.fetch('/metrics')[1]


def test_clients_cannot_make_more_series(measured):
    known = r'/|/[\w/<>]*'
    connection = measured.connection()
    for number in range(60):
        connection.request('JUNK%d' % number, f'/v2/a/blobs/{number}')
        connection.getresponse().read()
        measured.request('GET', f'/v2/{number}/x/y?{number}', X_Request_Id=f'r{number}', User_Agent=f'u{number}')
    measured.settle()

    assert measured.number('registry_http_requests_total', route='none') == 60
    new = set(measured.exported()) - set(measured.before)
    labels = [dict(labels) for name, labels in new if name == 'registry_http_requests_total']
    assert {own['method'] for own in labels} <= {*series.METHODS, series.OTHER}
    assert all(own['route'] == 'none' or re.fullmatch(known, own['route']) for own in labels)
    assert len(labels) < 6


def test_what_is_no_request_is_counted(measured):
    assert measured.raw('NONSENSE\r\n\r\n').recv(100).startswith(b'HTTP/1.1 400')

    until(lambda: measured.number('registry_http_unreadable_requests_total') == 1)


def test_a_request_is_in_progress_until_its_response_has_gone(measured):
    length = 100000
    head = f'POST /v2/a/blobs/uploads/?digest={digest_of(b"y" * length)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n'
    client = measured.raw(head, b'y' * 1000)
    until(lambda: measured.number('registry_http_requests_in_progress') == 1)
    client.sendall(b'y' * (length - 1000))

    assert b' 201 ' in client.recv(100)
    until(lambda: measured.number('registry_http_requests_in_progress') == 0)


def test_trouble_with_swift_is_counted(swift, measured):
    push(measured, 'trouble')
    swift.fault(on('GET', path_contains='trouble'), status(503), times=2)
    measured.request('GET', '/v2/trouble/manifests/v1')
    swift.expire_tokens()
    measured.request('GET', '/v2/trouble/manifests/v1')

    until(lambda: measured.number('registry_swift_retries_total') == 2)
    assert measured.number('registry_swift_requests_total', status='503') == 2
    assert measured.number('registry_swift_refused_tokens_total') >= 1
    assert measured.number('registry_swift_logins_total', outcome='right') >= 1


def test_everything_that_the_code_counts_is_a_metric():
    occurrences = [what for what in vars(tally).values() if isinstance(what, tally.Occurrence)]

    for kind, outcome in occurrences:
        assert f'registry_{kind}_total' in series.TABLE
        assert outcome in series.FIRST_VALUES.get(f'registry_{kind}_total', ('',))
    assert len(occurrences) == 7


def test_everything_that_the_driver_tells_is_a_metric():
    """The docstring of the driver's hook has a line for each event."""
    events = set(re.findall(r"(?m)^ +'([a-z ]+)'  ", Storage.on_event.__doc__))

    assert events == set(re.findall(r"(?m)^            '([a-z ]+)': series", inspect.getsource(counting)))


# Notifications


@pytest.fixture
def listener():
    with EventListener() as listener:
        yield listener


def test_what_becomes_of_notifications_is_counted(fake, tmp_path, listener):
    place = f'127.0.0.1:{listener.port}'
    listener.answer(415)
    environ = {'REGISTRY_NOTIFICATIONS_URL': listener.url + '?token=secret', 'REGISTRY_NOTIFICATIONS_QUEUE': '2'}
    with Measured(tmp_path, fake, GUNICORN_WORKERS='1', REGISTRY_METRICS_PORT=free_port(), **environ) as registry:
        assert registry.number('registry_notifications_total', listener=place) == 0  # and not missing: the first one would look like none
        assert ('registry_notification_failures_total', frozenset({('listener', place)})) in registry.exported()
        push(registry)
        listener.wait_for(1)
        until(lambda: registry.number('registry_notifications_pending') == 0)
        listener.answer(*50 * [503])
        for _ in range(5):
            registry.request('GET', '/v2/a/manifests/v1')
        until(lambda: registry.number('registry_notification_failures_total', listener=place))
        until(lambda: registry.number('registry_notifications_total', outcome='dropped') == 3)
        assert registry.number('registry_notifications_pending', listener=place) == 2
        listener.healthy()
        until(lambda: registry.number('registry_notifications_pending') == 0)

        outcomes = ('accepted', 'refused', 'dropped', 'lost')
        assert [registry.number('registry_notifications_total', outcome=name) for name in outcomes] == [3, 1, 3, 0]
        assert b'secret' not in registry.fetch('/metrics')[1]


def test_the_queue_of_a_dead_worker_does_not_count(fake, tmp_path, listener):
    listener.go_away()
    environ = {'REGISTRY_NOTIFICATIONS_URL': listener.url, 'REGISTRY_METRICS_PORT': free_port()}
    with Measured(tmp_path, fake, GUNICORN_WORKERS='1', **environ) as registry:
        push(registry)
        until(lambda: registry.number('registry_notifications_pending') == 2)
        (dead,) = registry.serving
        os.kill(dead, signal.SIGKILL)

        until(lambda: registry.serving not in ([], [dead]) and registry.number('registry_notifications_pending') == 0)


def test_listeners_with_one_address_are_told_apart():
    urls = Notifications(notifications_url=['http://a/x', 'http://a/y', 'https://b/'])
    seen = []
    Events(urls, 1, None).watch(lambda listener, outcome, amount, pending: seen.append((listener, outcome)))

    assert seen == [(name, outcome) for name in ('a:80 (1)', 'a:80 (2)', 'b:443') for outcome in OUTCOMES]


# Workers


def test_a_killed_worker_takes_no_count_with_it(measured):
    for _ in range(30):
        measured.request('GET', '/v2/')
    measured.settle()
    dead = measured.serving
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(measured.serving) == 3 and not set(dead) & set(measured.serving))

    assert measured.number('registry_http_requests_total', route='/v2/') == 30
    until(lambda: measured.number('registry_workers') == 3)
    assert measured.number('registry_http_requests_in_progress') == 0
    measured.request('GET', '/v2/')
    until(lambda: measured.number('registry_http_requests_total', route='/v2/') == 31)


def test_workers_that_die_leave_no_files(measured):
    path = folder_of(measured)
    before = sorted(os.listdir(path))
    for _ in range(3):
        (dead, *_) = measured.serving
        os.kill(dead, signal.SIGKILL)
        until(lambda: len(measured.serving) == 3 and dead not in measured.serving)
        until(lambda: measured.number('registry_workers') == 3)

    assert {name for name in os.listdir(path) if name.endswith('.db')} == {name for name in before if name.endswith('.db')}


def folder_of(registry):
    """Return the folder of a registry, whose lock its first process has open."""
    (lock,) = [link for link in links_of(registry.process.pid) if folder.PREFIX in link and link.endswith('/lock')]
    return os.path.dirname(lock)


def links_of(pid):
    found = []
    for path in glob.glob(f'/proc/{pid}/fd/*'):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(path))
    return found


def test_the_files_go_with_the_registry_or_when_the_next_one_starts(fake, tmp_path):
    with Measured(tmp_path, fake, REGISTRY_METRICS_PORT=free_port()) as registry:
        killed, exporter = folder_of(registry), registry.exporter
        for pid in [registry.process.pid, *registry.serving]:
            os.kill(pid, signal.SIGKILL)
        registry.process.wait()
        assert os.path.exists(killed)
        until(lambda: 'metrics.exporter' not in command_of(exporter))
    with Measured(tmp_path, fake) as registry:
        ended = folder_of(registry)
        assert not os.path.exists(killed)
        assert registry.end() == 0

    assert not os.path.exists(ended)


def test_without_memory_the_files_are_in_the_folder_for_temporary_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, 'MEMORY', str(tmp_path / 'nowhere'))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    made = folder.Folder()

    assert made.path.startswith(str(tmp_path))
    made.remove()
    assert not os.path.exists(made.path)


def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_without_room_for_the_files_the_registry_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, 'MEMORY', str(tmp_path))
    monkeypatch.setattr(os, 'posix_fallocate', full)

    with pytest.raises(ConfigError, match='no room for the files of metrics in .*: No space left on device'):
        measuring.metrics(ServerSettings(metrics=True), Access())
    assert not os.listdir(tmp_path)


class Arbiter:
    """gunicorn's first process, in which all workers have died."""

    WORKERS = {}


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """A function that makes metrics of this process. Their files are in `tmp_path`."""
    monkeypatch.setattr(folder, 'MEMORY', str(tmp_path))
    monkeypatch.setattr(values, 'ValueClass', values.ValueClass)  # is set back at the end
    monkeypatch.setenv('PROMETHEUS_MULTIPROC_DIR', '')
    made = []

    def counted(repositories=0):
        made.append(counting.Metrics(repositories, {}))
        return made[-1]

    yield counted
    for metrics in made:
        metrics.close()


def begin_worker(metrics):
    metrics._repositories = set()  # as a fork of the first process finds it
    metrics._all._place = folder.FIRST
    metrics._all.workers.set(0)
    worker = SimpleNamespace()
    metrics.before_fork(Arbiter, worker)
    metrics.after_fork(Arbiter, worker)
    return worker


def count(metrics, method='GET', status=200, route=None, **parts):
    request = SimpleNamespace(route=route, method=method, body=SimpleNamespace(count=1), args={}, parts=parts)
    metrics.begin()
    metrics.end(request, status, 1, 0.1)


def files_of(metrics):
    return {path: os.path.getsize(path) for path in glob.glob(f'{folder.MEMORY}/*/*.db')}


def test_a_worker_starts_without_metrics_if_there_is_no_room_for_them(counted, monkeypatch, caplog):
    metrics = counted()
    monkeypatch.setattr(os, 'posix_fallocate', full)
    worker = begin_worker(metrics)
    count(metrics)
    tally.count(tally.TOKEN)
    metrics.after_death(Arbiter, worker)

    assert 'there is no room for the metrics of a new worker process' in caplog.text
    assert total(numbers(metrics.text()), 'registry_http_requests_total') == 0


def test_a_new_worker_needs_no_room_if_one_has_died(counted, monkeypatch):
    metrics = counted()
    metrics.after_death(Arbiter, begin_worker(metrics))
    monkeypatch.setattr(os, 'posix_fallocate', full)
    begin_worker(metrics)
    count(metrics)
    found = numbers(metrics.text())

    assert total(found, 'registry_http_requests_total') == total(found, 'registry_workers') == 1


def test_no_client_makes_the_files_grow(counted):
    metrics = counted()
    begin_worker(metrics)
    before = files_of(metrics)
    for pattern, methods, _ in [*ROUTES, (None, (), None)]:
        route = pattern and pattern.pattern
        for method in (*series.METHODS, series.OTHER):
            for code in (400, 401, 403, 404, 405, 429, 500, 503) + ((200, 201, 202, 416) if method in methods else ()):
                count(metrics, method, code, route)
    for method in (*series.SWIFT_METHODS, series.OTHER):
        for code in (200, 201, 204, 401, 404, 408, 412, 429, 500, 503, 0):
            metrics._count_swift(method, code, 1)

    assert files_of(metrics) == before


def test_names_of_repositories_do_not_make_the_files_grow(counted):
    metrics = counted(repositories=300)
    begin_worker(metrics)
    before = files_of(metrics)
    for number in range(400):
        for method in ('GET', 'PUT', 'DELETE'):
            count(metrics, method, route='/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)', repository=f'{number:0255}')

    assert files_of(metrics) == before


def test_workers_that_die_make_room_for_no_more_names(counted):
    metrics = counted(repositories=2)
    for first in range(5):
        worker = begin_worker(metrics)
        for name in ('a', 'b', 'c'):
            count(metrics, repository=name + str(first))
        metrics.after_death(Arbiter, worker)

    names = {dict(labels).get('repository') for _, labels in numbers(metrics.text())} - {None}
    assert names == {'a0', 'b0', '_other'}


# The port of its own


def test_the_port_answers_while_no_worker_does(measured):
    for pid in measured.serving:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert measured.number('registry_workers') == 3
    finally:
        for pid in measured.serving:
            os.kill(pid, signal.SIGCONT)


def test_the_process_of_the_port_comes_back(measured):
    dead = measured.exporter
    os.kill(dead, signal.SIGKILL)
    until(lambda: measured.exporter not in (None, dead))

    assert measured.number('registry_workers') == 3
    assert 'the process that serves metrics has ended' in measured.log


def test_a_process_that_cannot_start_is_not_started_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, '_is_running', lambda pid: False)
    with socket.create_server(('127.0.0.1', 0)) as sock:
        watched = exporter.Exporter(str(tmp_path), sock)
        started = []
        monkeypatch.setattr(exporter.os, 'posix_spawn', lambda *arguments, **named: started.append(arguments) or 1)
        for _ in range(20):
            watched.keep()
        for end in watched._lifeline:
            os.close(end)

    assert len(started) == 1


def test_the_process_of_the_port_has_no_password(measured):
    with open(f'/proc/{measured.exporter}/environ') as environ:
        assert 'OS_' not in environ.read()


def test_it_keeps_no_socket_of_the_registry(measured):
    """Otherwise clients of a registry that has ended would be connected, and would wait."""
    measured.number('registry_workers')  # it has started

    def sockets():
        return [link for link in links_of(measured.exporter) if link.startswith('socket:')]

    until(lambda: len(sockets()) <= 2)  # those of the requests of this test end soon
    assert not set(sockets()[1:]) & set(links_of(measured.process.pid))


def test_the_port_has_nothing_else(measured):
    assert measured.fetch('/v2/')[0] == 404


def test_no_request_to_the_port_takes_for_ever(measured):
    """A client that sends a byte now and then is not silent."""
    with socket.create_connection(('127.0.0.1', measured.metrics_port), timeout=0.3) as client:
        client.sendall(b'GET /metrics HTTP/1.1\r\n')

        def is_closed():
            try:
                client.sendall(b'x')
                return client.recv(1) == b''
            except TimeoutError:
                return False
            except OSError:
                return True

        until(is_closed)


def test_a_large_request_to_the_port_is_not_kept(measured):
    with socket.create_connection(('127.0.0.1', measured.metrics_port), timeout=30) as client:
        with pytest.raises(OSError):  # nobody reads on
            client.sendall(b'GET /metrics HTTP/1.1\r\n' + 90 * (b'X: ' + 60000 * b'x' + b'\r\n'))


@pytest.mark.parametrize(
    'head', [b'\r\n\r\n', b'\0\xff\n\n', b'GET /metrics HTTP/9.9\r\n\r\n', b'A' * 9000 + b'\n\n', b'DELETE / HTTP/1.1\r\n\r\n']
)
def test_strange_requests_to_the_port_do_no_harm(measured, head):
    with socket.create_connection(('127.0.0.1', measured.metrics_port), timeout=30) as client:
        client.sendall(head)
        while client.recv(4096):
            pass

    assert measured.number('registry_workers') == 3
    assert 'Traceback' not in measured.log


def test_fifty_scrapers_at_once_get_an_answer_beside_slow_ones(measured):
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(50) as threads:
        for _ in range(10):
            slow = stack.enter_context(socket.create_connection(('127.0.0.1', measured.metrics_port)))
            slow.sendall(b'GET /metrics HTTP/1.1\r\n\r\n')  # and does not take the answer
        answers = list(threads.map(lambda _: measured.fetch('/metrics')[0], range(50)))

    assert answers == [200] * 50


def test_the_port_says_so_if_its_files_have_gone(fake, tmp_path):
    with Measured(tmp_path, fake, REGISTRY_METRICS_PORT=free_port()) as registry:
        registry.exported()
        shutil.rmtree(folder_of(registry))

        assert registry.fetch('/metrics')[0] == 500
        assert registry.request('GET', '/v2/')[0] == 200


def test_a_silent_client_does_not_hold_up_the_port(measured):
    silent = [socket.create_connection(('127.0.0.1', measured.metrics_port)) for _ in range(5)]

    assert measured.number('registry_workers') == 3
    for client in silent:
        client.close()


def test_a_port_that_is_taken_stops_the_start(fake, measured):
    environ = environment(fake, REGISTRY_METRICS_PORT=measured.metrics_port)
    code, _, err = run('serve', '--port', '0', environ=environ)

    assert code == 1
    assert '--metrics-host, --metrics-port (REGISTRY_METRICS_HOST, REGISTRY_METRICS_PORT): cannot listen on 127.0.0.1' in err


def test_a_start_that_fails_leaves_no_files(fake, tmp_path):
    fake.fault(on('GET', kind='container'), status(503), times=None)  # the last request before it serves
    command = changed('from docker_registry.v2.http.metrics import folder', f'folder.MEMORY = {str(tmp_path)!r}')
    environ = environment(fake, REGISTRY_METRICS='yes', SWIFT_RETRIES='0')
    done = subprocess.run([sys.executable, *command, 'serve', '--port', '0'], env=environ, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1 and '503' in done.stderr
    assert not os.listdir(tmp_path)


def test_kubernetes_may_name_a_service_like_the_setting(fake, tmp_path):
    with Serving(tmp_path, environment(fake, REGISTRY_METRICS_PORT='tcp://10.0.0.1:9100')) as registry:
        assert registry.request('GET', '/metrics')[0] == 404


# Who may see them


def test_without_the_setting_there_are_none(fake, tmp_path):
    with Serving(tmp_path, environment(fake)) as registry:
        assert registry.request('GET', '/metrics')[0] == 404


def test_a_registry_without_metrics_does_not_import_the_client():
    code = 'import sys; from docker_registry.v2 import cli; assert "prometheus_client" not in sys.modules'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_names_of_repositories_without_metrics_are_a_mistake(fake):
    code, _, err = run('serve', environ=environment(fake, REGISTRY_METRICS_REPOSITORIES='5'))

    assert code == 1 and '--metrics-repositories (REGISTRY_METRICS_REPOSITORIES) is set' in err


@pytest.mark.parametrize(
    'shown, names, rules, is_warned',
    [(True, 5, 'rules', True), (False, 5, 'rules', False), (True, 0, 'rules', False), (True, 5, '', False)],
)
def test_the_start_warns_if_metrics_show_names_that_rules_may_hide(shown, names, rules, is_warned, caplog):
    measuring.warn_of_names(ServerSettings(metrics=shown, metrics_repositories=names), Access(rules=rules))

    assert ('every user sees names of repositories at /metrics' in caplog.text) == is_warned


def test_the_benchmark_of_metrics_works():
    benchmark = pathlib.Path(__file__).parents[2] / 'benchmarks' / 'metrics.py'
    arguments = [sys.executable, benchmark, '--requests', '5', '--rounds', '1']
    done = subprocess.run(
        arguments, env=dict(os.environ, PYTHONPATH=str(benchmark.parents[1])), capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r'with metrics +\d+', done.stdout) and re.search(r'a request to Swift +\d', done.stdout)


class Shown(Nothing):
    """Metrics that everybody who may see them sees, and that count nothing."""

    is_shown = True

    def text(self):
        return b'numbers'


@pytest.mark.parametrize('more', [{}, {'bearer_tokens': True}, {'anonymous_pull': True}, {'rules': True}], ids=str)
def test_with_passwords_metrics_need_a_login(fake_place, tmp_path, more):
    (tmp_path / 'users').write_bytes(b'ada:%b\n' % htpasswd.make(b'secret', 4))
    (tmp_path / 'rules').write_bytes(b'allow everybody pull **\n')
    rules = Rules(str(tmp_path / 'rules')) if more.pop('rules', False) else None
    users, access = htpasswd.Users(str(tmp_path / 'users')), Access(**more)
    client = Client(create_app(Config(), fake_place.storage(), users, access, rules=rules, metrics=Shown()))
    anonymous = client.get('/v2/token?service=x&scope=registry:catalog:*')
    own = client.get('/v2/token?service=x', headers=basic('ada', 'secret'))

    assert client.get('/metrics').status_code == 401
    assert client.get('/metrics', headers=basic('ada', 'wrong')).status_code == 401
    assert client.get('/metrics', headers=basic('ada', 'secret')).data == b'numbers'
    if rules or more:
        assert client.get('/metrics', headers=bearer(anonymous.json['token'])).status_code == 401
        assert client.get('/metrics', headers=bearer(own.json['token'])).data == b'numbers'


def test_only_get_and_head_are_allowed(fake_place):
    client = Client(create_app(Config(), fake_place.storage(), metrics=Shown()))

    assert client.head('/metrics').status_code == 200
    assert client.post('/metrics').status_code == 405


def test_logins_and_tokens_are_counted(fake, tmp_path):
    (tmp_path / 'users').write_bytes(b'ada:%b\n' % htpasswd.make(b'secret', 4))
    environ = {'REGISTRY_BEARER_TOKENS': 'yes', 'REGISTRY_LOGIN_FAILURES': '2', 'GUNICORN_WORKERS': '1'}
    environ['REGISTRY_METRICS_PORT'] = free_port()
    with Measured(tmp_path, fake, '--htpasswd', str(tmp_path / 'users'), **environ) as registry:
        registry.request('GET', '/v2/token?service=x', **basic('ada', 'secret'))
        for number in range(3):
            registry.request('GET', '/v2/', **basic('ada', f'wrong{number}'))
        found = registry.exported()

    outcomes = [total(found, 'registry_logins_total', outcome=name) for name in ('right', 'wrong', 'delayed')]
    assert outcomes == [1, 2, 1] and total(found, 'registry_tokens_total') == 1


# Swift


def test_a_push_and_a_pull_cost_no_request_more(fake, tmp_path):
    costs = []
    for environ in ({'REGISTRY_METRICS': None}, {'REGISTRY_METRICS': 'yes', 'REGISTRY_METRICS_REPOSITORIES': '10'}):
        with Measured(tmp_path, fake, GUNICORN_WORKERS='1', **environ) as registry:
            registry.begin_upload()  # reads the secret
            before = len(fake.requests)
            push(registry)
            registry.request('GET', '/v2/a/manifests/v1')
            registry.request('GET', f'/v2/a/blobs/{digest_of(BLOB)}')
            costs.append([(sent.method, sent.kind) for sent in fake.requests[before:]])

    assert sorted(costs[0]) == sorted(costs[1]) != []


def test_metrics_need_no_swift(swift, measured):
    fault, before = swift.fault(on(), status(503), times=None), len(swift.requests)

    assert measured.number('registry_workers') == total(measured.metrics(), 'registry_workers') == 3
    assert not [request for request in swift.requests[before:] if '_gc/last' not in request.path and request.kind != 'auth']
    fault.cancel()


def test_the_records_of_commands_are_shown(fake, tmp_path):
    environ = environment(fake)
    with Measured(tmp_path, fake, OS_CONTAINER=environ['OS_CONTAINER'], REGISTRY_METRICS_PORT=free_port()) as registry:
        push(registry)
        assert run('survey', environ=environ)[0] == 0
        until(lambda: registry.number('registry_survey_timestamp_seconds') > 0)
        found = registry.exported()

    assert total(found, 'registry_repositories') == 1
    assert ('registry_garbage_bytes', frozenset({('kind', 'blobs')})) in found
    assert not [name for name, _ in found if name.startswith('registry_collection')]


def test_nobody_reads_the_records_unless_somebody_looks_at_metrics(tmp_path):
    path = str(tmp_path)

    assert not folder.is_asked(path)
    folder.ask(path)
    assert folder.is_asked(path)


def test_one_worker_in_a_minute_reads_the_records(tmp_path):
    turns = []
    for _ in range(3):
        with folder.turn(str(tmp_path), 60) as is_mine:
            turns.append(is_mine)

    assert turns == [True, False, False]


def test_numbers_that_are_none_are_left_out(tmp_path):
    notes.leave(str(tmp_path), records.SURVEY, {'tags': 'many', 'manifests': 10**400, 'blobs': 5, 'garbage_bytes': 'x'})
    (tmp_path / 'check.json').write_text('[')
    found = {family.name: [sample.value for sample in family.samples] for family in notes.Notes(str(tmp_path)).collect()}

    assert found['registry_blobs'] == [5] and not {'registry_tags', 'registry_manifests'} & set(found)
    assert found['registry_garbage_bytes'] == [0, 0, 0, 0]


def test_a_time_that_is_no_number_is_left_out(tmp_path):
    (tmp_path / 'collection.json').write_text('{"finished": NaN, "succeeded": Infinity, "seconds": 1e999}')

    assert not [family.name for family in notes.Notes(str(tmp_path)).collect() if family.name.startswith('registry_collection_s')]


def test_a_record_in_the_container_adds_no_labels(tmp_path):
    runs = {'done': 1, 'x"} 1\nregistry_up 1': 5, 'b': 1}
    notes.leave(str(tmp_path), records.COLLECTION, {'runs': runs, 'totals': {'freed_bytes': '1\nregistry_up 1'}, 'x': 1})
    text = generate_latest(notes.Notes(str(tmp_path))).decode()

    assert 'registry_up' not in text and text.count('registry_collection_runs_total{') == 4


@pytest.mark.parametrize('depth', [10, 300, 900, 3000, 30000])
def test_a_deep_record_hides_no_others(fake_place, tmp_path, depth):
    storage = fake_place.storage()
    storage.replace(layout.last(records.SURVEY), b'{"x": ' + b'[' * depth + b']' * depth + b', "tags": 1}')
    records.write(storage, records.CHECK, {'status': 2})
    notes._read(str(tmp_path), storage)

    assert 'registry_check_status 2.0' in generate_latest(notes.Notes(str(tmp_path))).decode()


def test_a_huge_record_is_not_read(fake_place):
    storage = fake_place.storage()
    storage.replace(layout.last(records.SURVEY), b'{"tags": 1}' + b' ' * records.LARGEST)
    storage.get_object = None

    assert records.read(storage, records.SURVEY) == {}


def test_the_thread_that_reads_records_survives_a_lack_of_files(monkeypatch, tmp_path):
    looks = iter([OSError(errno.EMFILE, 'Too many open files'), OSError(), StopIteration()])

    def look(path):
        raise next(looks)

    monkeypatch.setattr(folder, 'is_asked', look)
    monkeypatch.setattr(notes, 'LOOK_EVERY', 0)
    with pytest.raises(StopIteration):
        notes._go_on_reading(str(tmp_path), None)


def test_the_records_are_read_with_one_request_each(fake_place):
    storage = fake_place.storage()
    records.write(storage, records.SURVEY, {'tags': 1})
    seen = []
    storage.on_request = lambda method, code, seconds: seen.append((method, code))

    assert records.read(storage, records.SURVEY) == {'tags': 1}
    assert seen == [('GET', 200)]
    assert layout.last(records.SURVEY) == '_gc/last/survey'
