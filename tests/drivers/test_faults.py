# -*- coding: utf-8 -*-
"""Every method of the driver with every kind of failure of Swift, on the fake Swift.

These rules hold in all cases. The driver raises the right exception. An object is whole, either the old or the new one. No
segment is left behind if Swift allows deletes. No connection is lost, the number of requests is bounded, and no error or log
line shows a secret.
"""
import collections
import gc
import io
import logging
import random
import threading
import time
import traceback

import pytest

import fake_swift
from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on, status

SEGMENT = 1024 * 1024
RETRIES = 2
MANY = 100  # retries where the read timeout is so short that a busy machine may exceed it, too
SECRET, TEMP_URL_KEY = 's3cr3t-api-key', 's3cr3t-signing-key'
OLD = b'the old content'


def data(size, seed=0):
    block = bytes(bytearray(random.Random(seed).getrandbits(8) for _ in range(1021)))  # a prime: no two blocks alike
    return (block * (size // 1021 + 1))[:size]


LARGE, NEW_LARGE = data(SEGMENT + 5, 1), data(2 * SEGMENT + 5, 2)


class Clock(object):
    """Replaces the driver's `time`. A sleep takes no time and is recorded, unless it only lets other greenlets run.

    `slept` has all of them, and `by_thread` those of each thread.
    """

    def __init__(self):
        self.slept, self.by_thread = [], collections.defaultdict(list)

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds):
        if seconds:
            self.slept.append(seconds)
            self.by_thread[threading.current_thread()].append(seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(driver_module, 'time', clock)
    return clock


@pytest.fixture
def fake():
    with fake_swift.FakeSwift(listing_limit=20, key=SECRET) as server:
        yield server


@pytest.fixture
def make(fake, fake_storage, clock, free_connections, caplog):
    """A function that makes a driver. At the end, checks for lost connections and for secrets in the log."""
    made = []

    def make(**more):
        settings = dict(swift_retries=RETRIES, swift_retry_max_wait=30, swift_temp_url_key=TEMP_URL_KEY,
                        swift_temp_url_set_key='container')
        made.append(fake_storage(**dict(settings, **more)))
        return made[-1]

    caplog.set_level(logging.DEBUG)
    yield make
    for storage in made:
        if free_connections(storage) < storage.settings.pool_size:
            gc.collect()  # an exception may hold on to a stream
        assert free_connections(storage) == storage.settings.pool_size
        assert_secretless(repr(storage.settings) + repr(storage))
    assert_secretless(caplog.text)


def assert_secretless(text):
    for secret in (SECRET, TEMP_URL_KEY, 'AUTH_tk'):
        assert secret not in text


def failure(call, *arguments):
    """The driver's exception that a call raises, or None."""
    try:
        call(*arguments)
    except exceptions.UnspecifiedError as error:
        assert_secretless(traceback.format_exc() + repr(error) + str(error) + str(error.message))
        return error


class Seeded(object):
    """The objects before each operation: a small one, a large one, a folder with both, and parts that are not composed yet."""

    stored, parts = {}, []  # a driver makes them once, for all tests

    def __init__(self, storage, fake):
        self.storage, self.fake = storage, fake
        storage.connect()
        if not self.stored:
            storage.put_content('small', OLD)
            storage.stream_write('large', io.BytesIO(LARGE))
            storage.put_content('folder/small', OLD)
            storage.stream_write('folder/large', io.BytesIO(LARGE))
            self.parts.extend(storage.write_parts('cafe', io.BytesIO(NEW_LARGE)))
            self.stored.update(fake.container('registry'))
        fake.container('registry').clear()
        fake.container('registry').update(self.stored)
        fake.containers['registry'].headers.clear()
        self.before = self.contents()
        fake.clear_requests()

    def names(self):
        return sorted(self.fake.container('registry'))

    def segments(self):
        """Names of segments that no object and no part refers to."""
        known = set(part.path for part in self.parts)
        for item in self.fake.container('registry').values():
            known.update(record['name'][len('/registry/'):] for record in item.segments or ())
        return [name for name in self.names() if name.startswith('_segments/') and name not in known]

    def contents(self):
        """The bytes of all objects except segments. None for an object with a hole."""
        account = self.fake.accounts['AUTH_test']
        found = {}
        for name, item in self.fake.container('registry').items():
            if not name.startswith('_segments/'):
                pieces = [piece for piece, _ in self.fake.large.pieces(account, item)]
                found[name] = None if None in pieces else b''.join(pieces)
        return found


@pytest.fixture
def seeded(make, fake):
    return Seeded(make(), fake)


def stored(request):
    return request.kind != 'auth'


#: `run(storage, seeded)` is the call, `after` the content of each changed path (None: removed), `alone` whether it is one request
Operation = collections.namedtuple('Operation', 'name run after alone')


def operation(name, run, alone=False, **after):
    return Operation(name, run, after, alone)


READS = [
    operation('get_content', lambda storage, seeded: storage.get_content('small'), alone=True),
    operation('get_content_large', lambda storage, seeded: storage.get_content('large'), alone=True),
    operation('stream_read', lambda storage, seeded: b''.join(storage.stream_read('large')), alone=True),
    operation('stream_read_range', lambda storage, seeded: b''.join(storage.stream_read('large', (9, 99))), alone=True),
    operation('list_directory', lambda storage, seeded: sorted(storage.list_directory('folder'))),
    operation('walk', lambda storage, seeded: [stat.path for stat in storage.walk('folder')]),
    operation('list_page', lambda storage, seeded: [stat.path for stat in storage.list_page('folder')], alone=True),
    operation('exists', lambda storage, seeded: storage.exists('small'), alone=True),
    operation('get_size', lambda storage, seeded: storage.get_size('large'), alone=True),
    operation('stat', lambda storage, seeded: storage.stat('small').size, alone=True),
    operation('content_redirect_url', lambda storage, seeded: storage.content_redirect_url('small').split('?')[0]),
    operation('connect', lambda storage, seeded: storage.connect(), alone=True),
]
WRITES = [
    operation('put_content', lambda storage, seeded: storage.put_content('small', b'new'), small=b'new'),
    operation('put_content_over_large', lambda storage, seeded: storage.put_content('large', b'new'), large=b'new'),
    operation('put_new', lambda storage, seeded: storage.put_new('fresh', b'new'), alone=True, fresh=b'new'),
    operation('replace', lambda storage, seeded: storage.replace('small', b'new'), alone=True, small=b'new'),
    operation('stream_write_small', lambda storage, seeded: storage.stream_write('small', io.BytesIO(b'new')), small=b'new'),
    operation('stream_write', lambda storage, seeded: storage.stream_write('small', io.BytesIO(NEW_LARGE)), small=NEW_LARGE),
    operation('stream_write_new', lambda storage, seeded: storage.stream_write('fresh', io.BytesIO(NEW_LARGE)), fresh=NEW_LARGE),
    operation('stream_write_over_large', lambda storage, seeded: storage.stream_write('large', io.BytesIO(NEW_LARGE)),
              large=NEW_LARGE),
    operation('put_stream', lambda storage, seeded: storage.put_stream('small', io.BytesIO(b'new'), 'beef'), alone=True, small=b'new'),
    operation('put_stream_large', lambda storage, seeded: storage.put_stream('fresh', io.BytesIO(NEW_LARGE), 'beef'), fresh=NEW_LARGE),
    operation('remove', lambda storage, seeded: storage.remove('small'), small=None),
    operation('remove_large', lambda storage, seeded: storage.remove('large'), large=None),
    operation('remove_folder', lambda storage, seeded: storage.remove('folder'),
              **{'folder/small': None, 'folder/large': None}),
    operation('compose', lambda storage, seeded: storage.compose('small', seeded.parts), alone=True, small=NEW_LARGE),
]
APART = [  # these leave segments, or remove them
    operation('write_parts', lambda storage, seeded: len(storage.write_parts('beef', io.BytesIO(NEW_LARGE)))),
    operation('remove_parts', lambda storage, seeded: storage.remove_parts(seeded.parts)),
]
EVERY = READS + WRITES + APART


def each(operations):
    return pytest.mark.parametrize('operation', operations, ids=[operation.name for operation in operations])


def expected_contents(seeded, operation):
    expected = dict(seeded.before, **operation.after)
    return dict((name, content) for name, content in expected.items() if content is not None)


class TestOneTrouble(object):
    """A single failure does not show, no matter which request of an operation fails."""

    TROUBLES = {
        '401': status(401), '408': status(408), '429': status(429, {'Retry-After': '1'}), '500': status(500),
        '498': status(498, {'Retry-After': '2'}), '503': status(503), 'lost answer': fake_swift.lost_answer(),
        'cut answer': fake_swift.cut_response(0), 'cut request': fake_swift.cut_request(0),
        'unread': status(503, early=True), 'unread 401': status(401, early=True)}

    @each(READS + WRITES)
    @pytest.mark.parametrize('trouble', sorted(TROUBLES))
    def test_the_operation_is_done(self, make, seeded, fake, operation, trouble):
        expected = operation.run(seeded.storage, seeded)
        requests = len(fake.requests)
        for turn in range(len([request for request in fake.requests if stored(request)])):
            fresh = Seeded(make(), fake)
            hit = fake.fault(on(where=stored), self.TROUBLES[trouble], after=turn)
            result = operation.run(fresh.storage, fresh)

            assert hit.hits == 1
            assert result == (False if operation.name == 'put_new' and trouble == 'lost answer' else expected)
            assert fresh.contents() == expected_contents(fresh, operation)
            assert fresh.segments() == []
            assert len(fake.requests) <= requests + 6

    @each(READS + WRITES)
    def test_a_pause_longer_than_the_read_timeout_is_not_waited_for(self, make, fake, operation):
        seeded = Seeded(make(), fake)
        impatient = make(swift_read_timeout=0.15, swift_retries=MANY)
        impatient.exists('small')
        fake.fault(on(where=stored), fake_swift.stall(perform=False))
        operation.run(impatient, seeded)
        fake.release()

        assert seeded.contents() == expected_contents(seeded, operation)
        assert seeded.segments() == []


class TestTroubleForEver(object):

    STATUSES = {401: exceptions.ConfigError, 403: exceptions.ConfigError, 408: exceptions.BrokenError,
                429: exceptions.BrokenError, 498: exceptions.BrokenError, 500: exceptions.BrokenError,
                503: exceptions.BrokenError, 507: exceptions.BrokenError}

    @each([operation for operation in EVERY if operation.name != 'connect'])  # connect accepts a 403
    @pytest.mark.parametrize('code', sorted(STATUSES))
    def test_a_status_is_an_error_that_tells_it(self, seeded, fake, operation, code):
        fake.fault(on(where=stored), status(code, {'X-Trans-Id': 'tx-from-proxy'}), times=None)
        error = failure(operation.run, seeded.storage, seeded)

        assert type(error) is self.STATUSES[code]
        assert error.status == code
        if type(error) is exceptions.BrokenError:
            assert error.trans_id and str(code) in str(error) and error.trans_id in str(error)
        self.assert_nothing_happened(seeded, fake, operation)
        sent = [request for request in fake.requests if stored(request)]
        if operation.alone:
            assert len(sent) == {401: 2, 403: 1, 507: 1}.get(code, RETRIES + 1)

    @each(EVERY)
    @pytest.mark.parametrize('trouble', ['cut', 'reset', 'refused'])
    def test_no_answer_is_unreachable(self, seeded, fake, operation, trouble):
        if trouble == 'refused':
            fake.refuse_connections()
        fake.fault(on(where=stored), fake_swift.cut_request(0, reset=trouble == 'reset'), times=None)
        error = failure(operation.run, seeded.storage, seeded)

        assert type(error) is exceptions.UnreachableError
        assert (error.status, error.trans_id) == (None, None)
        self.assert_nothing_happened(seeded, fake, operation)

    @each(EVERY)
    def test_silence_is_unreachable(self, make, fake, operation):
        seeded = Seeded(make(), fake)
        impatient = make(swift_read_timeout=0.05, swift_retries=1)
        fake.fault(on(where=stored), fake_swift.stall(perform=False), times=None)
        error = failure(operation.run, impatient, seeded)
        fake.clear_faults()

        assert type(error) is exceptions.UnreachableError
        self.assert_nothing_happened(seeded, fake, operation)

    @each(EVERY)
    def test_pauses_grow_with_jitter_and_end(self, seeded, fake, clock, operation):
        fake.fault(on(where=stored), status(503), times=None)
        assert failure(operation.run, seeded.storage, seeded).status == 503

        for slept in clock.by_thread.values():  # segments are sent by threads of their own
            for number, pause in enumerate(slept[:RETRIES]):
                assert 0.25 * 2 ** number <= pause <= 0.5 * 2 ** number

    def test_pauses_differ_between_processes_with_the_same_random_numbers(self, seeded, fake, clock):
        fake.fault(on(where=stored), status(503), times=None)
        for _ in range(2):
            random.seed(1)
            failure(seeded.storage.exists, 'small')

        assert clock.slept[:RETRIES] != clock.slept[RETRIES:]

    @staticmethod
    def assert_nothing_happened(seeded, fake, operation):
        assert seeded.contents() == seeded.before
        assert seeded.segments() == []
        assert len(fake.requests) <= 8 * (RETRIES + 1)

    @each(WRITES)
    @pytest.mark.parametrize('answered', [True, False], ids=['answered', 'silent'])
    def test_what_breaks_in_the_middle_leaves_the_old_or_the_new_whole(self, make, seeded, fake, operation, answered):
        operation.run(seeded.storage, seeded)
        for turn in range(len(fake.requests)):
            fresh = Seeded(make(), fake)
            trouble = status(503) if answered else fake_swift.lost_answer()
            fake.fault(on(where=stored), trouble, times=None, after=turn)
            error = failure(operation.run, fresh.storage, fresh)
            fake.clear_faults()

            contents, new = fresh.contents(), expected_contents(fresh, operation)
            for name in set(contents) | set(new):
                assert contents.get(name, 0) in (fresh.before.get(name, 0), new.get(name, 0)), (turn, name)
            if error is None:
                assert contents == new


class TestRetryAfter(object):

    @each([operation for operation in READS + WRITES if operation.alone])
    @pytest.mark.parametrize('code', [429, 498, 503])
    def test_what_it_asks_is_slept(self, seeded, fake, clock, operation, code):
        fake.fault(on(where=stored), status(code, {'Retry-After': '17'}))
        operation.run(seeded.storage, seeded)

        assert clock.slept == [17]

    def test_it_may_be_a_date(self, seeded, fake, clock):
        fake.fault(on(where=stored), status(429, {'Retry-After': fake_swift.email.utils.formatdate(time.time() + 29)}))
        assert seeded.storage.exists('small')

        assert 15 <= clock.slept[0] <= 30

    @pytest.mark.parametrize('nonsense', ['soon', '-1', '', '1.5', '99999999999999999999x'])
    def test_nonsense_is_no_pause_that_it_asks(self, seeded, fake, clock, nonsense):
        fake.fault(on(where=stored), status(429, {'Retry-After': nonsense}))
        assert seeded.storage.exists('small')

        assert len(clock.slept) == 1 and clock.slept[0] <= 1

    @each(EVERY)
    @pytest.mark.parametrize('code', [429, 498])
    def test_one_too_long_is_an_error_that_tells_it(self, seeded, fake, clock, operation, code):
        fake.fault(on(where=stored), status(code, {'Retry-After': '31'}), times=None)
        error = failure(operation.run, seeded.storage, seeded)

        assert (type(error), error.status, error.retry_after) == (exceptions.BrokenError, code, 31)
        assert clock.slept == []
        TestTroubleForEver.assert_nothing_happened(seeded, fake, operation)


class TestContainer(object):

    FOUND_NOTHING = {'exists': False, 'list_page': [], 'walk': [], 'connect': None}

    @pytest.fixture
    def bare(self, make, fake):
        """The parts, but without their container."""
        seeded = Seeded(make(), fake)
        fake.containers.pop('registry')
        return seeded

    @each(READS)
    def test_a_missing_one_is_created_and_empty(self, bare, fake, make, operation):
        storage = make()
        if operation.name in self.FOUND_NOTHING:
            assert operation.run(storage, bare) == self.FOUND_NOTHING[operation.name]
        elif operation.name == 'content_redirect_url':
            assert operation.run(storage, bare)
        else:
            with pytest.raises(exceptions.FileNotFoundError):
                operation.run(storage, bare)
        assert bare.names() == []

    @each([operation for operation in WRITES + APART if 'put' in operation.name or 'write' in operation.name
           or operation.name == 'replace'])
    @pytest.mark.parametrize('running', [False, True], ids=['from the start', 'gone meanwhile'])
    def test_a_missing_one_is_created_and_written_to(self, bare, fake, make, operation, running):
        storage = bare.storage if running else make()
        operation.run(storage, bare)

        assert bare.contents() == operation.after

    @pytest.mark.parametrize('path', ['small', 'large', 'folder'])
    def test_removing_from_a_missing_one_finds_nothing(self, bare, path):
        with pytest.raises(exceptions.FileNotFoundError):
            bare.storage.remove(path)

    def test_composing_in_a_missing_one_finds_no_parts(self, bare):
        with pytest.raises(exceptions.FileNotFoundError):
            bare.storage.compose('small', bare.parts)

    @each([operation for operation in EVERY if operation.name != 'remove_parts'])
    @pytest.mark.parametrize('running', [False, True], ids=['from the start', 'gone meanwhile'])
    def test_a_missing_one_that_may_not_be_created_is_said(self, make, fake, monkeypatch, operation, running):
        monkeypatch.setattr(driver_module, 'CONTAINER_CHECK_SECONDS', 0)
        seeded = Seeded(make(), fake)
        storage = make(swift_create_container=False)
        storage.connect() if running else None
        fake.containers.pop('registry')
        error = failure(operation.run, storage, seeded)

        assert type(error) is exceptions.ConfigError
        for told in ('swift_container', 'OS_CONTAINER', 'registry', 'swift_create_container'):
            assert told in str(error)
        assert 'registry' not in fake.containers

    def test_one_that_went_is_noticed_after_a_while(self, make, fake, clock, monkeypatch):
        storage = make(swift_create_container=False)
        fake.create_container('registry')
        assert storage.exists('small') is False
        fake.containers.pop('registry')
        clock.time = lambda: time.time() + driver_module.CONTAINER_CHECK_SECONDS + 1

        assert type(failure(storage.exists, 'small')) is exceptions.ConfigError

    def test_it_is_not_looked_at_for_each_object_that_is_not_there(self, make, fake):
        storage = make()
        fake.create_container('registry')
        for number in range(10):
            assert storage.exists('nothing/%d' % number) is False

        assert len([request for request in fake.requests if request.kind == 'container']) == 1

    def test_one_that_is_refused_is_an_error(self, make, fake):
        storage = make()
        fake.fault(on('PUT', kind='container'), status(403), times=None)

        error = failure(storage.put_content, 'small', b'')
        assert (type(error), error.status) == (exceptions.ConfigError, 403)

    def test_an_unknown_policy_is_named(self, make, fake):
        storage = make(swift_storage_policy='golden')
        fake.fault(on('PUT', kind='container'), status(400), times=None)

        assert 'golden' in str(failure(storage.connect)) and 'swift_storage_policy' in str(failure(storage.connect))

    def test_the_policy_is_asked_for(self, make, fake):
        make(swift_storage_policy='golden').connect()

        assert [request.headers['X-Storage-Policy'] for request in fake.requests if request.method == 'PUT'] == ['golden']

    def test_a_put_that_finds_no_container_where_there_is_one_is_broken(self, seeded, fake):
        fake.fault(on('PUT', kind='object'), status(404), times=None)

        error = failure(seeded.storage.put_content, 'small', b'new')
        assert (type(error), error.status) == (exceptions.BrokenError, 404)
        assert len(fake.requests) < 8


class TestPrivacy(object):
    """The v1 registry calls `exists` to learn whether a repository is private. A failure must never count as "no"."""

    @pytest.mark.parametrize('code', [400, 401, 403, 405, 408, 409, 410, 412, 413, 416, 429, 498, 499, 500, 501, 502, 503, 504,
                                      507, 301, 302, 304, 307])
    def test_no_status_but_404_makes_a_repository_public(self, seeded, fake, code):
        fake.fault(on(where=stored), status(code), times=None)

        assert failure(seeded.storage.is_private, 'library', 'secret') is not None

    @pytest.mark.parametrize('trouble', [
        fake_swift.cut_response(), fake_swift.cut_response(reset=True), fake_swift.cut_request()], ids=['cut', 'reset', 'unread'])
    def test_no_answer_makes_no_repository_public(self, seeded, fake, trouble):
        fake.fault(on(where=stored), trouble, times=None)

        assert type(failure(seeded.storage.is_private, 'library', 'secret')) is exceptions.UnreachableError

    def test_a_missing_container_that_may_not_be_created_makes_none_public(self, make):
        assert type(failure(make(swift_create_container=False).is_private, 'library', 'secret')) is exceptions.ConfigError

    def test_a_login_that_fails_makes_none_public(self, make, fake):
        storage = make()
        for trouble in (status(401), status(500), status(404), fake_swift.cut_response()):
            fake.clear_faults()
            fake.fault(on(kind='auth'), trouble, times=None)
            assert failure(storage.is_private, 'library', 'secret') is not None

    def test_it_asks_all_replicas(self, seeded, fake):
        seeded.storage.is_private('library', 'secret')

        assert fake.requests[0].newest


class TestReading(object):

    CUTS = [0, 1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 4]

    @pytest.mark.parametrize('after', CUTS)
    @pytest.mark.parametrize('reset', [False, True], ids=['end', 'reset'])
    def test_a_cut_object_is_resumed_on_the_same_version(self, seeded, fake, after, reset):
        fake.fault('GET', fake_swift.cut_response(after, reset))
        assert b''.join(seeded.storage.stream_read('large')) == LARGE

        first, second = fake.requests
        assert 'If-Match' not in second.headers  # Ceph answers it with 412
        assert second.headers['Range'].startswith('bytes=') and second.headers['Range'].endswith('-%d' % (len(LARGE) - 1))
        if not reset:
            assert second.headers['Range'] == 'bytes=%d-%d' % (after, len(LARGE) - 1)

    @pytest.mark.parametrize('after', CUTS[:3])
    @pytest.mark.parametrize('bytes_range, expected', [
        ((9, 5000), LARGE[9:5001]), ((SEGMENT - 3000, None), LARGE[SEGMENT - 3000:]), ((None, 4000), LARGE[-4000:])])
    def test_a_cut_range_is_resumed(self, seeded, fake, after, bytes_range, expected):
        fake.fault('GET', fake_swift.cut_response(after))

        assert b''.join(seeded.storage.stream_read('large', bytes_range)) == expected
        assert len(fake.requests) == 2

    def test_several_cuts_are_resumed(self, make, fake):
        storage = make(swift_retries=5)
        seeded = Seeded(storage, fake)
        for after in (10, 100, 1000):
            fake.fault('GET', fake_swift.cut_response(after))

        assert b''.join(storage.stream_read('large')) == LARGE
        assert [request.headers.get('Range', '').split('-')[0] for request in fake.requests] == [
            '', 'bytes=10', 'bytes=110', 'bytes=1110']
        assert seeded.segments() == []

    def test_progress_makes_up_for_cuts(self, make, fake):
        storage = make(swift_retries=1)
        content = data(6 * SEGMENT)
        fake.put('registry', 'long', content)
        fake.fault('GET', fake_swift.cut_response(SEGMENT + SEGMENT // 4), times=None)

        assert b''.join(storage.stream_read('long')) == content

    def test_cuts_without_progress_are_an_error_and_bounded(self, seeded, fake):
        fake.fault('GET', fake_swift.cut_response(10), times=None)
        stream = seeded.storage.stream_read('large')

        assert type(failure(b''.join, stream)) is exceptions.UnreachableError
        assert len(fake.requests) == RETRIES + 1

    def test_the_connection_of_a_failed_stream_is_free(self, seeded, fake, free_connections):
        fake.fault('GET', fake_swift.cut_response(10), times=None)
        stream = seeded.storage.stream_read('large')
        assert failure(b''.join, stream)

        assert free_connections(seeded.storage) == seeded.storage.settings.pool_size

    @pytest.mark.parametrize('change', [
        lambda storage: storage.stream_write('large', io.BytesIO(NEW_LARGE)),
        lambda storage: storage.put_content('large', b'new'), lambda storage: storage.remove('large')],
        ids=['overwritten', 'made small', 'removed'])
    def test_bytes_of_two_versions_are_not_mixed(self, make, seeded, fake, change):
        fake.fault('GET', fake_swift.cut_response(1000))
        stream = seeded.storage.stream_read('large')
        got = next(stream)
        change(make())
        error = failure(lambda: [got, b''.join(stream)])

        assert type(error) is exceptions.BrokenError
        assert LARGE.startswith(got)

    @pytest.mark.parametrize('change', [
        lambda storage: storage.stream_write('large', io.BytesIO(NEW_LARGE)),
        lambda storage: storage.put_content('large', b'new'), lambda storage: storage.remove('large')],
        ids=['overwritten', 'made small', 'removed'])
    def test_a_released_stream_of_an_object_that_changed_is_an_error_at_each_read(self, make, seeded, change):
        stream = seeded.storage.stream_read('large')
        next(stream)
        stream.release()
        change(make())

        assert [type(failure(next, stream)) for _ in range(2)] == [exceptions.BrokenError] * 2

    def test_a_release_is_no_failure(self, make, seeded, caplog):
        caplog.clear()
        stream, got = make(swift_retries=0).stream_read('large'), b''
        while len(got) < len(LARGE):
            assert stream.release()
            got += next(stream)

        assert got == LARGE
        assert [record for record in caplog.records if record.name == driver_module.__name__ and record.levelno > logging.DEBUG] == []

    def test_a_request_after_a_release_is_retried(self, seeded, fake):
        stream = seeded.storage.stream_read('large')
        got = next(stream)
        stream.release()
        fake.fault('GET', status(503), times=RETRIES)

        assert got + b''.join(stream) == LARGE

    def test_a_stream_that_cannot_be_resumed_keeps_its_connection(self, seeded, fake, free_connections):
        fake.fault(on(where=stored), fake_swift.without_headers('Etag'), times=None)
        stream = seeded.storage.stream_read('large')

        assert stream.release() is False
        assert free_connections(seeded.storage) == seeded.storage.settings.pool_size - 1
        assert b''.join(stream) == LARGE

    def test_a_silent_body_is_resumed(self, make, fake):
        Seeded(make(), fake)
        storage = make(swift_read_timeout=0.1, swift_retries=MANY)
        fake.fault(on('GET', path_contains='large'), fake_swift.stall(before=70000))

        assert b''.join(storage.stream_read('large')) == LARGE

    def test_a_segment_that_is_gone_is_an_error_and_not_a_short_object(self, seeded, fake):
        for position in (0, 1):
            fake.container('registry').pop(fake.container('registry')['large'].segments[position]['name'][len('/registry/'):])
            assert type(failure(lambda: b''.join(seeded.storage.stream_read('large')))) in (
                exceptions.BrokenError, exceptions.UnreachableError)
            assert failure(seeded.storage.get_content, 'large')

    @pytest.mark.parametrize('path', ['small', 'folder/small'])
    def test_content_that_is_not_what_its_etag_says_is_read_again(self, seeded, fake, path):
        fake.fault('GET', fake_swift.corrupt_body())
        assert seeded.storage.get_content(path) == OLD
        assert len(fake.requests) == 2

    def test_content_that_is_never_what_its_etag_says_is_broken(self, seeded, fake):
        fake.fault('GET', fake_swift.corrupt_body(), times=None)
        assert type(failure(seeded.storage.get_content, 'small')) is exceptions.BrokenError
        assert len(fake.requests) == RETRIES + 1

    def test_content_that_is_shorter_than_its_etag_says_is_read_again(self, seeded, fake):
        fake.fault('GET', fake_swift.short_body(3))

        assert seeded.storage.get_content('small') == OLD

    @pytest.mark.parametrize('turns', [1, 2])
    def test_a_token_that_runs_out_in_the_middle_is_renewed(self, seeded, fake, turns):
        fake.fault('GET', fake_swift.cut_response(1000), times=turns)
        stream = seeded.storage.stream_read('large')
        got = next(stream)
        fake.expire_tokens()

        assert got + b''.join(stream) == LARGE

    def test_a_range_that_the_server_ignores_is_no_content_of_that_range(self, seeded, fake):
        def ignore(request):
            request.headers.pop('Range', None)
            return request.method == 'GET'
        fake.fault(ignore, fake_swift.serve, times=None)

        assert type(failure(lambda: b''.join(seeded.storage.stream_read('small', (4, 6))))) is exceptions.BrokenError

    def test_a_resumed_answer_from_the_beginning_is_not_appended(self, seeded, fake):
        for after in (0, 1000):
            fake.clear_faults()
            fake.fault('GET', fake_swift.cut_response(after))
            stream = seeded.storage.stream_read('large', (0, 4999))
            fake.fault(lambda request: request.headers.pop('Range', None) and False, fake_swift.serve, times=None)

            assert type(failure(lambda: b''.join(stream))) is exceptions.BrokenError

    def test_an_early_end_of_an_object_without_length_is_an_error(self, make, fake):
        for number in range(25):  # more segments than a page of a listing, so Swift returns no length
            fake.put('registry', 'dlo/%02d' % number, b'x' * 1000)
        fake.put('registry', 'dynamic', b'', headers={'X-Object-Manifest': 'registry/dlo/'})
        storage = make()
        assert len(b''.join(storage.stream_read('dynamic'))) == 25000

        fake.fault('GET', fake_swift.cut_response(10000), times=None)
        assert type(failure(lambda: b''.join(storage.stream_read('dynamic')))) is exceptions.UnreachableError

    def test_optional_headers_may_be_missing(self, seeded, fake):
        fake.fault(on(where=stored), fake_swift.without_headers(
            'Etag', 'Last-Modified', 'X-Timestamp', 'Content-Type', 'Accept-Ranges', 'X-Trans-Id'), times=None)
        storage = seeded.storage

        assert storage.get_content('small') == OLD
        assert b''.join(storage.stream_read('large')) == LARGE
        stat = storage.stat('small')
        assert (stat.size, stat.etag, stat.last_modified) == (len(OLD), None, None)

    def test_a_stale_read_asks_all_replicas_where_it_matters(self, seeded, fake):
        seeded.storage.put_content('repositories/library/x/tag_latest', b'1')
        seeded.storage.put_content('repositories/library/x/tag_latest', b'2')
        fake.stale('registry', 'repositories/library/x/tag_latest', times=10)

        assert seeded.storage.get_content('repositories/library/x/tag_latest') == b'2'
        assert b''.join(seeded.storage.stream_read('repositories/library/x/tag_latest')) == b'2'

    def test_what_is_written_once_is_read_from_one_replica(self, seeded, fake):
        seeded.storage.put_content('images/cafe/json', b'{}')
        fake.clear_requests()
        seeded.storage.get_content('images/cafe/json')

        assert not fake.requests[0].newest

    @pytest.mark.parametrize('operation', [
        lambda storage: sorted(storage.list_directory('folder')), lambda storage: storage.list_page('folder'),
        lambda storage: [stat.path for stat in storage.walk('folder')]], ids=['list_directory', 'list_page', 'walk'])
    @pytest.mark.parametrize('trouble', ['no JSON', 'cut', 'HTML'])
    def test_a_listing_that_is_not_whole_is_an_error(self, seeded, fake, operation, trouble):
        def spoil(response):
            response.body, response.length = (response.body[:40] if trouble == 'no JSON' else b'<html>busy</html>'), None
        fake.fault(on('GET', kind='container'), fake_swift.cut_response(40) if trouble == 'cut' else fake_swift.altered(spoil),
                   times=None)

        assert type(failure(operation, seeded.storage)) in (exceptions.BrokenError, exceptions.UnreachableError)


class TestWriting(object):

    def segment(self, number):
        return lambda request: request.method == 'PUT' and request.path.endswith('/%08d' % number)

    @staticmethod
    def manifest(request):
        return request.method == 'PUT' and 'multipart-manifest' in request.query

    @pytest.mark.parametrize('number', [0, 1, 2])
    @pytest.mark.parametrize('trouble', [
        status(401), status(403), status(413), status(422), status(503), status(507), fake_swift.cut_request(70000),
        fake_swift.lost_answer()], ids=['401', '403', '413', '422', '503', '507', 'cut', 'lost answer'])
    def test_a_segment_that_fails_for_ever_takes_the_others_with_it(self, seeded, fake, number, trouble):
        fake.fault(self.segment(number), trouble, times=None)
        names = seeded.names()

        assert failure(seeded.storage.stream_write, 'small', io.BytesIO(NEW_LARGE)) is not None
        assert seeded.contents() == seeded.before
        assert seeded.names() == names

    @pytest.mark.parametrize('number', [0, 1, 2])
    @pytest.mark.parametrize('trouble', [
        fake_swift.lost_answer(), fake_swift.cut_request(70000), fake_swift.cut_request(70000, True), status(503, early=True)],
        ids=['lost answer', 'cut', 'reset', 'unread'])
    def test_a_segment_that_fails_once_is_sent_again(self, seeded, fake, number, trouble):
        fake.fault(self.segment(number), trouble)
        seeded.storage.stream_write('small', io.BytesIO(NEW_LARGE))

        assert seeded.storage.get_content('small') == NEW_LARGE
        assert seeded.segments() == []

    def test_a_token_that_runs_out_while_two_segments_are_under_way_is_renewed_once(self, seeded, fake):
        arrived, both = [], threading.Event()

        def refuse(exchange):
            exchange.read_body()
            arrived.append(exchange)
            if arrived[1:] == [exchange]:  # one of the two, even if both come here at the same time
                fake.expire_tokens()
                both.set()
            assert both.wait(30)
            fake_swift.serve(exchange)
        fake.fault(self.segment(0), refuse)
        fake.fault(self.segment(1), refuse)
        logins = len([request for request in fake.requests if request.kind == 'auth'])
        seeded.storage.stream_write('small', io.BytesIO(NEW_LARGE))

        assert seeded.storage.get_content('small') == NEW_LARGE
        assert len([request for request in fake.requests if request.kind == 'auth']) == logins + 1

    def test_a_token_that_runs_out_between_and_within_segments_is_renewed(self, seeded, fake, monkeypatch):
        monkeypatch.setattr(driver_module, 'SEGMENTS_HELD', 1)

        def expire(exchange):
            fake.expire_tokens()
            fake_swift.serve(exchange)
        for number in (0, 1, 2):
            fake.fault(self.segment(number), expire)
        seeded.storage.stream_write('small', io.BytesIO(NEW_LARGE))

        assert seeded.storage.get_content('small') == NEW_LARGE
        assert [request.status for request in fake.requests if request.method == 'PUT' and '_segments' in request.path] == [
            401, 201] * 3

    def test_a_token_that_is_refused_before_the_body_was_sent_is_renewed(self, seeded, fake):
        fake.fault(self.segment(1), status(401, early=True))
        seeded.storage.stream_write('small', io.BytesIO(NEW_LARGE))

        assert seeded.storage.get_content('small') == NEW_LARGE

    @pytest.mark.parametrize('path', ['fresh', 'small', 'large'])
    @pytest.mark.parametrize('trouble', [status(400), status(403), status(413), status(503), fake_swift.cut_request(0)],
                             ids=['400', '403', '413', '503', 'cut'])
    def test_a_manifest_that_is_refused_takes_its_segments_with_it(self, seeded, fake, path, trouble):
        fake.fault(self.manifest, trouble, times=None)
        names = seeded.names()

        assert failure(seeded.storage.stream_write, path, io.BytesIO(NEW_LARGE)) is not None
        assert seeded.contents() == seeded.before
        assert seeded.names() == names

    @pytest.mark.parametrize('path', ['fresh', 'small', 'large'])
    @pytest.mark.parametrize('new_too', [False, True])
    @pytest.mark.parametrize('times', [1, 2, None])
    def test_a_manifest_whose_answers_are_lost_is_never_left_without_its_segments(self, seeded, fake, path, times, new_too):
        fake.fault(lambda request: self.manifest(request) and (new_too or 'If-None-Match' not in request.headers),
                   fake_swift.lost_answer(), times=times)
        error = failure(seeded.storage.stream_write, path, io.BytesIO(NEW_LARGE))

        if error is None:
            assert seeded.contents() == dict(seeded.before, **{path: NEW_LARGE})
        else:  # no response said that the name exists
            assert new_too and times is None and path != 'fresh'
            assert seeded.contents() == seeded.before
        assert seeded.segments() == []

    def test_segments_stay_if_swift_cannot_tell_whether_the_manifest_names_them(self, seeded, fake):
        fake.fault(self.manifest, fake_swift.lost_answer(), times=None)
        fake.fault('HEAD', status(503), times=None)

        assert failure(seeded.storage.stream_write, 'fresh', io.BytesIO(NEW_LARGE))
        assert seeded.contents()['fresh'] == NEW_LARGE

    @pytest.mark.parametrize('write', [
        lambda storage: storage.stream_write('large', io.BytesIO(NEW_LARGE)), lambda storage: storage.put_content('large', b'new'),
        lambda storage: storage.stream_write('large', io.BytesIO(b'new'))], ids=['large', 'content', 'small'])
    @pytest.mark.parametrize('method', ['POST', 'HEAD'])
    def test_old_segments_that_cannot_be_deleted_are_no_failure_of_the_write(self, seeded, fake, write, method):
        def after_the_write(request):
            return request.method == method and [earlier for earlier in fake.requests if earlier.method == 'PUT'
                                                 and earlier.status == 201 and earlier.path.endswith('large')]
        fake.fault(after_the_write, status(503), times=None)
        fake.fault('DELETE', status(503), times=None)
        write(seeded.storage)

        assert seeded.contents()['large'] in (NEW_LARGE, b'new')

    @pytest.mark.parametrize('write', [
        lambda storage: storage.put_content('small', b'new'), lambda storage: storage.replace('small', b'new'),
        lambda storage: storage.stream_write('small', io.BytesIO(b'new'))], ids=['put_content', 'replace', 'stream_write'])
    def test_another_etag_than_that_of_the_bytes_is_an_error_and_removes_nothing_old(self, seeded, fake, write):
        fake.fault(lambda request: request.method == 'PUT' and 'If-None-Match' not in request.headers, fake_swift.wrong_etag(),
                   times=None)

        assert type(failure(write, seeded.storage)) is exceptions.BrokenError
        assert seeded.contents().get('small') in (OLD, b'new')

    def test_another_etag_of_a_segment_is_an_error_and_leaves_none(self, seeded, fake):
        fake.fault(self.segment(1), fake_swift.wrong_etag(), times=None)

        assert type(failure(seeded.storage.stream_write, 'small', io.BytesIO(NEW_LARGE))) is exceptions.BrokenError
        assert seeded.contents() == seeded.before and seeded.segments() == []

    def test_bytes_that_were_spoilt_on_their_way_are_not_stored(self, seeded, fake):
        def spoil(exchange):
            exchange.read_body()
            exchange.request.body = b'X' + exchange.request.body[1:]
            exchange.send(exchange.perform())
        fake.fault('PUT', spoil, times=None)

        assert failure(seeded.storage.put_new, 'fresh', b'new').status == 422
        assert type(failure(seeded.storage.stream_write, 'fresh', io.BytesIO(NEW_LARGE))) is exceptions.BrokenError
        assert seeded.contents() == seeded.before and seeded.segments() == []

    class Gone(Exception):
        """An error that the caller raises."""

    @pytest.mark.parametrize('write', [
        lambda storage, source: storage.put_stream('small', source, 'beef'),
        lambda storage, source: storage.stream_write('small', source), lambda storage, source: storage.write_parts('beef', source)],
        ids=['put_stream', 'stream_write', 'write_parts'])
    @pytest.mark.parametrize('size', [0, 1, 300000, SEGMENT, 2 * SEGMENT + 1])
    @pytest.mark.parametrize('kind', [Gone, IOError, ValueError, KeyboardInterrupt])
    def test_an_error_of_the_source_comes_through_and_leaves_nothing(self, seeded, write, size, kind):
        class Source(io.BytesIO):
            def read(self, most=-1):
                block = io.BytesIO.read(self, most)
                if not block:
                    raise error
                return block
        error = kind('the client has gone')
        names = seeded.names()

        with pytest.raises(kind) as raised:
            write(seeded.storage, Source(data(size)))
        assert raised.value is error
        assert seeded.contents() == seeded.before and seeded.names() == names

    def test_new_and_lost_answers_make_one_object(self, seeded, fake):
        fake.fault(on('PUT'), fake_swift.lost_answer())
        seeded.storage.put_content('fresh', b'new')

        assert seeded.contents()['fresh'] == b'new'


class TestRemoving(object):

    @pytest.mark.parametrize('path', ['small', 'large', 'folder'])
    @pytest.mark.parametrize('method', ['DELETE', 'POST'])
    def test_a_lost_answer_hides_no_success_and_leaves_no_segment(self, seeded, fake, path, method):
        fake.fault(method, fake_swift.lost_answer(), times=RETRIES)
        seeded.storage.remove(path)

        assert [name for name in seeded.contents() if name.startswith(path)] == []
        assert seeded.segments() == []

    def test_the_manifest_goes_before_its_segments(self, seeded, fake):
        seeded.storage.remove('large')

        changes = [request for request in fake.requests if request.method in ('DELETE', 'POST')]
        assert changes[0].path.endswith('/large') and b'_segments' in changes[1].body

    def test_a_manifest_that_cannot_be_deleted_keeps_its_segments(self, seeded, fake):
        fake.fault('DELETE', status(503), times=None)

        assert failure(seeded.storage.remove, 'large').status == 503
        assert seeded.contents() == seeded.before

    @pytest.mark.parametrize('code', [400, 403, 404, 405, 411, 412, 413, 416])
    def test_without_bulk_deletes_they_are_single(self, seeded, fake, code):
        fake.fault('POST', status(code), times=None)
        seeded.storage.remove('folder')

        assert 'folder/small' not in seeded.contents() and seeded.segments() == []

    @pytest.mark.parametrize('trouble', [
        fake_swift.bulk_status('401 Unauthorized'), fake_swift.bulk_errors(lambda name: 503),
        fake_swift.bulk_errors(lambda name: 401), fake_swift.bulk_errors(lambda name: 409 if name.endswith('small') else None),
        fake_swift.altered(lambda response: setattr(response, 'body', b'[]')),
        fake_swift.altered(lambda response: setattr(response, 'body', b''))],
        ids=['401 as a whole', '503 each', '401 each', 'one 409', 'a list', 'empty'])
    @pytest.mark.parametrize('times', [1, None])
    def test_failures_inside_a_bulk_delete_are_seen(self, seeded, fake, trouble, times):
        fake.fault('POST', trouble, times=times)
        seeded.storage.remove('folder')

        assert [name for name in seeded.contents() if name.startswith('folder')] == []
        assert seeded.segments() == []

    def test_what_single_deletes_refuse_too_is_an_error(self, seeded, fake):
        fake.fault('POST', fake_swift.bulk_errors(lambda name: 503), times=None)
        fake.fault('DELETE', status(503), times=None, after=1)

        assert failure(seeded.storage.remove, 'folder').status == 503

    def test_a_lagging_listing_does_not_hide_an_object_from_its_name(self, seeded, fake):
        fake.lag_listing('registry')
        seeded.storage.stream_write('late', io.BytesIO(NEW_LARGE))
        assert seeded.storage.exists('late') and seeded.storage.get_content('late') == NEW_LARGE
        seeded.storage.remove('late')

        assert 'late' not in seeded.contents() and seeded.segments() == []

    def test_ghosts_of_a_lagging_listing_are_removed_without_a_word(self, seeded, fake):
        fake.lag_listing('registry')
        for name in ('folder/small', 'folder/large'):
            seeded.storage.remove(name)
        seeded.storage.remove('folder')

        assert seeded.segments() == []

    def test_ghosts_of_a_lagging_listing_do_not_spoil_another(self, seeded, fake):
        fake.lag_listing('registry')
        seeded.storage.remove('folder/small')

        assert sorted(seeded.storage.list_directory('folder')) == ['folder/large', 'folder/small']
        assert not seeded.storage.exists('folder/small')

    def test_a_manifest_of_another_maker_is_removed_with_its_segments(self, seeded, fake):
        seeded.storage.compose('composed', seeded.parts)
        seeded.storage.remove('composed')

        assert [part.path for part in seeded.parts if part.path in seeded.names()] == []

    def test_a_manifest_that_cannot_be_read_keeps_everything(self, seeded, fake):
        seeded.storage.compose('composed', seeded.parts)
        fake.container('registry')['composed'].headers.pop(driver_module.SEGMENTS_HEADER)
        fake.fault(on('GET', query='multipart-manifest'), fake_swift.altered(lambda response: setattr(response, 'body', b'<html>')),
                   times=None)
        names = seeded.names()

        assert failure(seeded.storage.remove, 'composed') is not None
        assert seeded.names() == names

    def test_a_dynamic_large_object_leaves_its_segments_to_whoever_shares_them(self, make, fake):
        fake.put('registry', 'parts/1', b'abc')
        fake.put('registry', 'dynamic', b'', headers={'X-Object-Manifest': 'registry/parts/'})
        make().remove('dynamic')

        assert sorted(fake.container('registry')) == ['parts/1']


class TestAnswersOfOthers(object):
    """Responses that a gateway in front of Swift may give."""

    def test_html_is_not_passed_on(self, seeded, fake):
        fake.fault(on(where=stored), status(400, body='<html>internal.host.name</html>'), times=None)

        assert 'internal.host.name' not in str(failure(seeded.storage.get_content, 'small'))

    def test_text_of_swift_is_passed_on(self, seeded, fake):
        fake.fault(on(where=stored), status(413, {'Content-Type': 'text/plain'}, 'Upload exceeds quota.'), times=None)

        assert 'Upload exceeds quota.' in str(failure(seeded.storage.put_content, 'small', b'new'))

    def test_a_redirect_is_not_followed_with_the_token(self, seeded, fake):
        fake.fault(on(where=stored), status(302, {'Location': 'http://localhost:%d/elsewhere' % fake.port}), times=None)

        assert failure(seeded.storage.get_content, 'small').status == 302
        assert [request.path for request in fake.requests if 'elsewhere' in request.path] == []

    def test_a_closed_idle_connection_is_replaced(self, seeded, fake):
        for _ in range(3):
            fake.drop_connections()
            assert seeded.storage.get_content('small') == OLD

        fake.drop_connections()
        assert seeded.storage.put_stream('fresh', io.BytesIO(b'new'), 'cafe') is None

    @pytest.mark.parametrize('info', [b'', b'null', b'[]', b'"x"', b'{', b'{"swift": null, "bulk_delete": 7, "tempurl": []}',
                                      b'{"swift": {"container_listing_limit": "many"}, "bulk_delete": {"max_deletes_per_request": 0}}'])
    def test_an_odd_info_is_no_trouble(self, seeded, fake, info):
        fake.fault(on(kind='info'), status(200, {'Content-Type': 'application/json'}, info.decode('ascii')), times=None)
        storage = seeded.storage

        assert sorted(storage.list_directory('folder')) == ['folder/large', 'folder/small']
        assert storage.content_redirect_url('small')
        storage.remove('folder')
        assert 'folder/small' not in seeded.contents()
