# -*- coding: utf-8 -*-
"""The driver on a Ceph RADOS Gateway: on the fake one, and on a real one if TEST_SWIFTS names `ceph`.

The contract suite runs on the real one, too. These tests are about what Ceph does differently; tests/fake/test_ceph.py shows it.
"""
import io
import uuid

import pytest

import fake_swift
from conftest import LISTING_LIMIT, SWIFTS, clean_up, settings_for
from docker_registry.core import exceptions
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
