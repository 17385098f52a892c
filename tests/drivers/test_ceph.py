# -*- coding: utf-8 -*-
"""The driver on a Ceph RADOS Gateway: on the fake one, and on a real one if TEST_SWIFTS names `ceph`.

The contract suite runs on the real one, too. These tests are about what Ceph does differently; tests/fake/test_ceph.py shows it.
"""
import io
import time
import uuid

import pytest
import requests

import fake_swift
from conftest import LISTING_LIMIT, SWIFTS, clean_up, settings_for
from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on

SEGMENT = 1024 * 1024


@pytest.fixture
def fake():
    with fake_swift.FakeSwift(listing_limit=LISTING_LIMIT, ceph=True) as server:
        yield server


@pytest.fixture(params=['fake'] + (['ceph'] if 'ceph' in SWIFTS else []))
def swift_config(request):
    server = request.getfixturevalue('real_ceph' if request.param == 'ceph' else 'fake')
    config = settings_for(server, swift_container='driver-test-' + uuid.uuid4().hex[:12], storage_path='root')
    yield config
    clean_up(config)


@pytest.fixture
def fake_ceph(fake_storage):
    storage = fake_storage()
    storage.connect()
    return storage


def data(size, seed=0):
    return (b'%04d' % seed * (size // 4 + 1))[:size]


def segments(names):
    return [name for name in names() if name.startswith('_segments/')]


class TestInfo(object):

    def test_info_is_found_next_to_the_version(self, storage):
        assert storage.info()['swift']['version'].startswith('16.2')
        assert 'slo' in storage.info() and 'bulk_delete' in storage.info()

    def test_an_account_in_the_storage_url_changes_nothing(self, storage, another):
        assert another(swift_object_storage_url=storage.storage_url() + '/AUTH_test').info() == storage.info()

    @pytest.mark.parametrize('path, asked', [('/swift/v1', ['/swift/info']), ('/v1/AUTH_test', ['/info']),
                                             ('/gate/v1/AUTH_test', ['/gate/info', '/info']), ('/v1', ['/info'])])
    def test_info_is_asked_for_where_it_can_be(self, fake, fake_storage, path, asked):
        storage = fake_storage(swift_object_storage_url=fake.url + path)
        storage.info()

        assert [request.path for request in fake.requests if request.kind != 'auth' or 'info' in request.path] == asked


class TestReading(object):

    @pytest.mark.parametrize('after', [0, 1000, SEGMENT, SEGMENT + 1])
    def test_a_cut_large_object_is_resumed(self, fake, fake_ceph, after):
        fake_ceph.stream_write('large', io.BytesIO(data(2 * SEGMENT + 5)))
        fake.fault(on('GET', path_contains='large'), fake_swift.cut_response(after))

        assert b''.join(fake_ceph.stream_read('large')) == data(2 * SEGMENT + 5)

    @pytest.mark.parametrize('new', [data(2 * SEGMENT + 5, 1), data(SEGMENT + 5), b'small'], ids=['changed', 'shorter', 'small'])
    def test_a_cut_large_object_that_changed_is_an_error(self, fake, fake_ceph, new):
        fake_ceph.stream_write('large', io.BytesIO(data(2 * SEGMENT + 5)))
        fake.fault(on('GET', path_contains='large'), fake_swift.cut_response(1))
        stream = fake_ceph.stream_read('large')
        next(stream)
        fake_ceph.stream_write('large', io.BytesIO(new))

        with pytest.raises(exceptions.BrokenError):
            b''.join(stream)


class TestContainers(object):

    def test_a_name_that_ceph_refuses_is_a_setting_to_check(self, another):
        with pytest.raises(exceptions.ConfigError) as caught:
            another(swift_container='ab').connect()
        assert 'OS_CONTAINER' in str(caught.value)

    def test_a_wrong_storage_policy_is_a_setting_to_check(self, another):
        with pytest.raises(exceptions.ConfigError) as caught:
            another(swift_storage_policy='none').connect()
        assert 'SWIFT_STORAGE_POLICY' in str(caught.value)


class TestNewNames(object):
    """Ceph ignores `If-None-Match: *`. The driver looks first."""

    def test_what_is_new_is_told_from_what_is_there(self, storage, another):
        parts = storage.write_parts('cafe', io.BytesIO(b'part'))
        writes = [lambda: another().put_new('a', b'1'),
                  lambda: another().compose('a', parts, new=True), lambda: another().compose('a', [], new=True)]
        for write in writes:
            assert write() is True
            assert [other() for other in writes] == [False] * 3
            storage.remove('a')

    @pytest.mark.parametrize('write', [
        lambda storage: storage.stream_write('large', io.BytesIO(data(SEGMENT + 9, 1))),
        lambda storage: storage.put_content('large', b'small')], ids=['large', 'small'])
    def test_overwriting_a_large_object_leaves_no_old_segment(self, storage, another, names, write):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        write(another())

        assert len(segments(names)) in (0, 2)

    def test_what_was_there_is_not_replaced_although_its_first_segment_is_lost(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage._swift.delete(storage._name(segments(names)[0]))

        assert storage.exists('large') is False
        assert storage.put_new('large', b'new') is False
        storage.put_content('large', b'new')
        assert names() == ['large']

    def test_a_new_object_costs_one_request_more_than_on_swift(self, fake, fake_ceph):
        fake.clear_requests()
        fake_ceph.put_content('new', b'')
        assert [request.method for request in fake.requests] == ['HEAD', 'PUT']

        fake.clear_requests()
        fake_ceph.put_content('new', b'')
        assert [request.method for request in fake.requests] == ['PUT']

    def test_a_user_who_may_not_see_the_container_is_safe(self, fake, fake_storage):
        fake_storage().put_content('a', b'')
        fake.fault(on('HEAD', kind='container'), fake_swift.status(403), times=None)

        assert fake_storage().put_new('a', b'') is False


class TestSegments(object):
    """Ceph does not return manifests. Metadata of a large object tells its segments."""

    @pytest.mark.parametrize('attempts, lists', [(1, 0), (3, 0), (7, 1)])
    def test_a_composed_object_is_removed_with_all_its_parts(self, storage, names, attempts, lists):
        parts = []
        for number in range(attempts):
            attempt = '%s-%08x' % (uuid.uuid4(), number)
            parts += storage.write_parts(attempt, io.BytesIO(data(2 * SEGMENT)), first=len(parts))
        storage.compose('folder/blob', parts)
        assert len(segments(names)) == 2 * attempts + lists
        assert storage.get_size('folder/blob') == 2 * attempts * SEGMENT

        storage.remove('folder/blob')
        assert names() == []

    def test_a_list_of_a_thousand_parts_fits(self, storage, names):
        parts = [storage.write_parts('%s-%08x' % (uuid.UUID(int=0), number), io.BytesIO(b'x'), first=number)[0] for number in range(4)]
        storage.compose('blob', parts * 250)
        assert storage.get_size('blob') == 1000

        storage.put_content('blob', b'')
        assert names() == ['blob']

    def test_a_missing_list_is_not_a_missing_object(self, storage, names):
        parts = [storage.write_parts('part-%s' % uuid.uuid4(), io.BytesIO(b'x'), first=number)[0] for number in range(9)]
        storage.compose('blob', parts)
        (listed,) = [name for name in names() if name.endswith('/list')]
        storage._swift.delete(storage._name(listed))

        with pytest.raises(exceptions.BrokenError):
            storage.remove('blob')
        assert storage.exists('blob')

    def test_removing_a_folder_frees_the_segments_of_what_was_in_it(self, storage, names):
        for number in range(3):
            storage.stream_write('folder/large-%d' % number, io.BytesIO(data(SEGMENT + 1)))
        storage.compose('folder/small', storage.write_parts('cafe', io.BytesIO(b'small')))
        storage.put_content('folder/empty', b'')
        storage.remove('folder')

        assert names() == []

    def test_parts_without_bytes_are_left_out(self, storage):
        parts = storage.write_parts('cafe', io.BytesIO(b'bytes'))
        storage.put_content('_segments/cafe/00000001', b'')
        empty = parts[0]._replace(path='_segments/cafe/00000001', size=0, etag='d41d8cd98f00b204e9800998ecf8427e')

        for composed, content in (([empty], b''), ([empty, parts[0], empty], b'bytes'), ([], b'')):
            storage.compose('blob', composed)
            assert storage.get_content('blob') == content

    def test_a_large_object_without_its_first_segment_can_be_removed(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage._swift.delete(storage._name(segments(names)[0]))
        storage.remove('large')

        assert names() == []


class TestWhatALargeObjectConsistsOf(object):

    def test_one_of_another_client_does_not_tell(self, storage, names):
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        storage._swift.put(storage._name('large'), driver_module._manifest(storage._swift, storage._segment_names(parts), parts),
                           query={'multipart-manifest': 'put'})

        for ask in (storage.large_object, storage.parts_of):
            with pytest.raises(exceptions.BrokenError):
                ask('large')

    def test_one_without_its_first_segment_still_tells(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(2 * SEGMENT)))
        parts = storage.parts_of('large')
        storage.remove_parts(parts[:1])

        assert storage.large_object('large') == ('static', None, storage._segment_names(parts))
        with pytest.raises(exceptions.FileNotFoundError):
            storage.parts_of('large')

    def test_a_part_costs_a_request(self, fake, fake_ceph):
        fake_ceph.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        fake.clear_requests()

        assert fake_ceph.large_object('large').kind == 'static'
        assert [request.method for request in fake.requests] == ['HEAD']
        fake_ceph.parts_of('large')
        assert [request.method for request in fake.requests][1:] == 4 * ['HEAD']


class TestMissing(object):

    def test_a_missing_part_is_not_found(self, storage, another):
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        storage._swift.delete(storage._name(parts[1].path))

        with pytest.raises(exceptions.FileNotFoundError) as caught:
            storage.compose('blob', parts)
        assert 'a part of' in str(caught.value)
        assert not storage.exists('blob')

    def test_a_part_of_another_size_is_broken(self, storage):
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        with pytest.raises(exceptions.BrokenError) as caught:
            storage.compose('blob', [parts[0], parts[1]._replace(size=7)])
        assert caught.value.status == 400

    def test_a_missing_container_is_made_and_its_parts_are_not_found(self, storage, another):
        parts = storage.write_parts('cafe', io.BytesIO(b'part'))
        storage.remove_parts(parts)
        storage._swift.request('DELETE', storage._swift.container_path)

        with pytest.raises(exceptions.FileNotFoundError):
            storage.compose('blob', parts)
        assert storage.put_new('blob', b'') is True

    def test_a_missing_container_that_may_not_be_made_is_a_setting_to_check(self, storage, another):
        parts = storage.write_parts('cafe', io.BytesIO(b'part'))
        storage.remove_parts(parts)
        other = another(swift_create_container='false')
        other.connect()
        storage._swift.request('DELETE', storage._swift.container_path)

        with pytest.raises(exceptions.ConfigError):
            other.compose('blob', parts)
        storage.connect()


class TestLostSegments(object):
    """Ceph stops sending where a segment is missing, and leaves the connection open."""

    @pytest.mark.parametrize('bytes_range', [None, (SEGMENT - 5, None), (9, 3 * SEGMENT - 1)])
    def test_a_read_ends_with_an_error_after_the_read_timeout(self, storage, another, names, bytes_range):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage._swift.delete(storage._name(segments(names)[1]))
        impatient = another(swift_read_timeout=0.3)
        stream = impatient.stream_read('large', bytes_range)

        for read in (lambda: b''.join(stream), lambda: impatient.get_content('large')):
            with pytest.raises((exceptions.BrokenError, exceptions.UnreachableError)):
                read()

    def test_a_read_meets_the_missing_segment_itself_after_two_timeouts(self, fake, fake_storage):
        if driver_module.PYTHON2:
            pytest.skip('the urllib3 of Python 2 loses the bytes of a block that does not come to its end: all retries fail')
        storage = fake_storage(swift_read_timeout=1)
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        fake.container('registry').pop(fake.container('registry')['large'].segments[1]['name'][len('/registry/'):])
        fake.clear_requests()

        with pytest.raises(exceptions.BrokenError):
            b''.join(storage.stream_read('large', (SEGMENT - 5, None)))
        assert [request.headers.get('Range') for request in fake.requests] == [
            'bytes=1048571-', 'bytes=1048571-3145727', 'bytes=1048576-3145727']

    def test_a_later_segment_of_another_size_is_an_error_too(self, storage, another, names):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage.put_content(segments(names)[1], b'shorter')

        with pytest.raises(exceptions.BrokenError):
            b''.join(another(swift_read_timeout=0.3, swift_retries=1).stream_read('large'))

    def test_what_lost_its_first_segment_is_not_there(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage._swift.delete(storage._name(segments(names)[0]))

        assert storage.exists('large') is False
        with pytest.raises(exceptions.FileNotFoundError):
            storage.get_content('large')


class Clock(object):
    """Replaces the driver's `time`, and can be put forward."""

    def __init__(self):
        self.ahead = 0

    def __getattr__(self, name):
        return getattr(time, name)

    def time(self):
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(driver_module, 'time', clock)
    return clock


@pytest.fixture
def logins(fake):
    return lambda: len([request for request in fake.requests if request.kind == 'auth'])


class TestTokens(object):
    """Ceph does not say when a token expires."""

    def test_a_token_is_renewed_each_hour(self, fake, fake_ceph, clock, logins):
        for hours, expected in ((0.9, 1), (1.1, 2), (2, 2), (2.2, 3)):
            clock.ahead = hours * 3600
            fake_ceph.exists('a')
            assert logins() == expected

    def test_a_renewal_that_fails_leaves_the_old_token(self, fake, fake_ceph, clock, logins):
        fake.fault(on(kind='auth'), fake_swift.status(503), times=None)
        clock.ahead = 3601
        fake_ceph.replace('a', b'1')
        fake_ceph.replace('a', b'2')

        assert fake_ceph.get_content('a') == b'2'
        assert logins() == 2

    def test_a_token_that_is_given_is_never_renewed(self, fake, fake_storage, clock, logins):
        given = fake.identity.token()
        storage = fake_storage(swift_auth_token=given, swift_object_storage_url=fake.storage_url)
        storage.connect()
        clock.ahead = 7200
        storage.replace('a', b'1')

        assert logins() == 0

    def test_where_the_end_is_known_nothing_is_renewed_long_before(self, clock):
        with fake_swift.FakeSwift() as swift:
            storage = driver_module.Storage(config=settings_for(swift))
            storage.put_content('a', b'')
            clock.ahead = 7200
            storage.replace('a', b'1')

            assert len([request for request in swift.requests if request.kind == 'auth']) == 1


class TestRedirects(object):

    def test_the_key_of_a_container_would_not_work_and_is_a_setting_to_check(self, storage, another):
        storage.put_content('a', b'')
        with pytest.raises(exceptions.ConfigError) as caught:
            another(swift_temp_url_key='signs', swift_temp_url_set_key='container').content_redirect_url('a')
        assert 'SWIFT_TEMP_URL_SET_KEY) to account' in str(caught.value)

    def test_the_best_digest_is_the_one_that_every_ceph_knows(self, storage, another):
        storage.put_content('a', b'signed for')
        url = another(swift_temp_url_key='signs', swift_temp_url_set_key='account').content_redirect_url('a')

        assert requests.get(url, timeout=30).content == b'signed for'
