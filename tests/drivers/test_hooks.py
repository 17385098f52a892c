# -*- coding: utf-8 -*-
"""What the driver tells of its requests: `on_failure`, and the `request_id` that it sends to Swift."""
import pytest

import fake_swift
from docker_registry.core import exceptions
from fake_swift import on, status

ID = '5acee8bf39b0e6eb'


@pytest.fixture
def watched(fake, fake_storage):
    """A driver that remembers its failures in `failures`. The object `o` is there."""
    fake.create_container('registry')
    fake.put('registry', 'o', b'x' * 1000000)
    storage = fake_storage(swift_retries=2)
    storage.failures = []
    storage.on_failure = storage.failures.append
    storage.connect()
    return storage


def transactions(fake):
    return [request.headers.get('X-Trans-Id-Extra') for request in fake.requests if request.kind == 'object']


class TestRequestIds(object):

    def test_swift_ends_its_transaction_ids_with_them(self, storage):
        storage.request_id = lambda: ID
        storage.put_content('a', b'')
        response = storage._swift.request('HEAD', storage._swift.object_path(storage._name('a')))

        assert ID in response.headers['X-Trans-Id'] or storage.is_ceph()

    def test_requests_without_one_have_no_such_header(self, fake, watched):
        watched.exists('o')
        watched.request_id = lambda: None
        watched.exists('o')

        assert transactions(fake) == [None, None]

    def test_a_long_one_is_cut_where_swift_cuts_it(self, fake, watched):
        watched.request_id = lambda: 'a' * 64
        watched.exists('o')

        assert transactions(fake) == ['a' * 32]

    def test_an_impatient_twin_sends_them_too(self, fake, watched):
        watched.request_id = lambda: ID
        watched.impatient(30).exists('o')

        assert transactions(fake) == [ID]

    def test_the_error_of_a_request_has_it(self, fake, watched):
        watched.request_id = lambda: ID
        fake.fault(on('HEAD'), status(503), times=None)
        with pytest.raises(exceptions.BrokenError) as caught:
            watched.exists('o')

        assert caught.value.trans_id.endswith('-' + ID)


class TestFailures(object):

    def test_an_attempt_that_is_repeated_is_one(self, fake, watched):
        fake.fault(on('HEAD'), status(503))

        assert watched.exists('o')
        assert [(error.status, error.trans_id[:2]) for error in watched.failures] == [(503, 'tx')]

    def test_each_attempt_is_one(self, fake, watched):
        fake.fault(on('HEAD'), status(500), times=None)
        with pytest.raises(exceptions.BrokenError):
            watched.exists('o')

        assert [error.status for error in watched.failures] == [500] * 3

    def test_a_refusal_is_one(self, fake, watched):
        fake.fault(on('PUT'), status(413))
        with pytest.raises(exceptions.BrokenError):
            watched.put_content('p', b'')

        assert [error.status for error in watched.failures] == [413]

    def test_a_connection_that_breaks_is_one_without_a_transaction(self, fake, watched):
        fake.fault(on('HEAD'), fake_swift.lost_answer())

        assert watched.exists('o')
        assert [(error.status, error.trans_id) for error in watched.failures] == [(None, None)]

    def test_a_download_that_breaks_is_one_with_its_transaction(self, fake, watched):
        fake.fault(on('GET'), fake_swift.cut_response(300000))

        assert watched.get_content('o') == b'x' * 1000000
        assert [error.trans_id[:2] for error in watched.failures] == ['tx']

    def test_what_is_missing_and_a_token_that_has_expired_are_none(self, fake, watched):
        fake.expire_tokens()

        assert watched.exists('o') and not watched.exists('nothing')
        assert watched.failures == []

    def test_an_impatient_twin_tells_them_too(self, fake, watched):
        fake.fault(on('HEAD'), status(503))
        with pytest.raises(exceptions.BrokenError):
            watched.impatient(30).exists('o')

        assert len(watched.failures) == 1
