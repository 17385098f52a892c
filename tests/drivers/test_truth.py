# -*- coding: utf-8 -*-
"""Responses of Swift that say less than they seem to, on the fake Swift.

A replicated Swift under faults returns them: 202 to a PUT that stored nothing, 404 for what is there, 400 for segments that it could
not look at, and pages of a listing that are not the last although they are short.
"""
import io
import json

import pytest

from docker_registry.core import exceptions
from fake_swift import bulk_errors, manifest_problems, on, serve, short_page, status

MiB = 1024 * 1024
RETRIES = 3


@pytest.fixture
def storage(fake_storage):
    storage = fake_storage(swift_retries=RETRIES)
    storage.connect()
    return storage


def sent(fake, method, path_contains=''):
    return [request for request in fake.requests if request.method == method and path_contains in request.path]


def lose_accounts(fake, listings=True):
    """What Swift does while its account servers do not respond and the proxies have forgotten the account.

    :param listings: whether listings are lost, too
    """
    fake.fault(on('DELETE', kind='object'), status(404), times=None)
    fake.fault(on('POST', query='bulk-delete'), bulk_errors(lambda name: 404), times=None)
    fake.fault(on('PUT', kind='container'), status(202), times=None)
    fake.fault(on('HEAD', kind='container'), status(404), times=None)
    if listings:
        fake.fault(on('GET', kind='container'), status(404), times=None)


WRITES = {
    'put_content': lambda storage: storage.put_content('a', b'new'),
    'put_new': lambda storage: storage.put_new('a', b'new'),
    'replace': lambda storage: storage.replace('a', b'new'),
    'stream_write': lambda storage: storage.stream_write('a', io.BytesIO(b'new')),
    'stream_write large': lambda storage: storage.stream_write('a', io.BytesIO(b'new' * MiB)),
    'write_parts': lambda storage: storage.write_parts('cafe', io.BytesIO(b'new')),
    'compose': lambda storage: storage.compose('a', storage.write_parts('cafe', io.BytesIO(b'new'))),
    'put_stream': lambda storage: storage.put_stream('a', io.BytesIO(b'new'), 'cafe'),
}


class TestPut(object):
    @pytest.mark.parametrize('write', sorted(WRITES))
    def test_a_container_that_proxies_take_for_missing_a_little_longer_is_tried_again(self, fake, storage, write):
        """Another proxy request may have put the old answer into memcached after the container was created."""
        fault = fake.fault(on('PUT', kind='object'), status(404), times=3)
        WRITES[write](storage)

        assert fault.hits == 3

    @pytest.mark.parametrize('code', [200, 202, 204])
    @pytest.mark.parametrize('write', sorted(WRITES))
    def test_it_is_sent_again_until_it_is_answered_201(self, fake, storage, write, code):
        fault = fake.fault(on('PUT', kind='object'), status(code), times=2)

        assert WRITES[write](storage) is not False

        assert fault.hits == 2
        if write != 'write_parts':
            assert storage.get_content('a')[:3] == b'new'

    @pytest.mark.parametrize('write', sorted(WRITES))
    def test_one_that_is_never_answered_201_fails(self, fake, storage, write):
        fake.fault(on('PUT', kind='object'), status(202), times=None)

        with pytest.raises(exceptions.BrokenError) as caught:
            WRITES[write](storage)

        assert caught.value.status == 202
        assert not storage.exists('a')

    @pytest.mark.parametrize('found', [b'old', b'longer'])
    def test_another_object_in_its_place_is_no_success(self, fake, storage, found):
        fake.put('registry', 'a', found)
        fake.fault(on('PUT', kind='object'), status(202), times=None)

        with pytest.raises(exceptions.BrokenError):
            storage.put_stream('a', io.BytesIO(b'new'), 'cafe')

    def test_the_same_bytes_in_its_place_are_a_success(self, fake, storage):
        fake.put('registry', 'a', b'new')
        fake.fault(on('PUT', kind='object'), status(202), times=None)

        storage.put_stream('a', io.BytesIO(b'new'), 'cafe')

        assert sent(fake, 'HEAD', '/a')[-1].headers['X-Newest'] == 'true'


class TestCopy(object):

    @pytest.fixture(autouse=True)
    def source(self, storage):
        storage.put_content('from', b'bytes')

    @pytest.mark.parametrize('code', [202, 204, 404, 503])
    def test_it_is_sent_again_until_it_is_answered_201(self, fake, storage, code):
        fake.fault(on('PUT', kind='object'), status(code), times=2)

        assert storage.copy('from', 'a', new=True) is True
        assert storage.get_content('a') == b'bytes'

    @pytest.mark.parametrize('code', [202, 404, 503])
    def test_one_that_is_never_answered_201_fails_and_nothing_counts_as_missing(self, fake, storage, code):
        fake.fault(on('PUT', kind='object'), status(code), times=None)
        with pytest.raises(exceptions.BrokenError):
            storage.copy('from', 'a')

    def test_a_source_that_goes_away_meanwhile_is_not_found(self, fake, storage):
        def act(exchange):
            fake.container('registry').pop('from')
            serve(exchange)
        fake.fault(on('PUT', kind='object'), act)

        with pytest.raises(exceptions.FileNotFoundError) as caught:
            storage.copy('from', 'a')
        assert 'from' in str(caught.value)

    def test_it_takes_two_requests_or_three_if_it_must_not_replace(self, fake, storage):
        for new, methods in ((False, ['HEAD', 'PUT']), (True, ['HEAD', 'HEAD', 'PUT'])):
            fake.clear_requests()
            storage.copy('from', 'to-%s' % new, new=new)
            assert [request.method for request in fake.requests] == methods

    def test_a_name_that_cannot_be_looked_at_is_not_taken_for_free(self, fake, storage):
        fake.fault(on('HEAD', path_contains='/a'), status(503), times=None)
        with pytest.raises(exceptions.BrokenError):
            storage.copy('from', 'a', new=True)
        assert sent(fake, 'PUT', '/a') == []


class TestManifest(object):
    @pytest.mark.parametrize('problem', [
        '401 Unauthorized', '408 Request Timeout', '429 Too Many Requests', '498 Rate Limited', '499 Client Disconnect',
        '500 Internal Error', '503 Service Unavailable', '507 Insufficient Storage'])
    @pytest.mark.parametrize('write', ['compose', 'stream_write large'])
    def test_segments_that_swift_could_not_look_at_are_looked_at_again(self, fake, storage, write, problem):
        fault = fake.fault(on('PUT', query='multipart-manifest'), manifest_problems(problem), times=2)

        WRITES[write](storage)

        assert fault.hits == 2
        assert storage.get_content('a')[:3] == b'new'

    @pytest.mark.parametrize('write', ['compose', 'stream_write large'])
    def test_segments_that_swift_can_never_look_at_are_not_missing(self, fake, storage, write):
        fake.fault(on('PUT', query='multipart-manifest'), manifest_problems(), times=None)

        with pytest.raises(exceptions.BrokenError):
            WRITES[write](storage)

    def test_one_missing_segment_beside_one_that_was_not_looked_at_is_looked_at_again(self, fake, storage):
        body = json.dumps({'Errors': [['/registry/1', '404 Not Found'], ['/registry/2', '503 Service Unavailable']]})
        fault = fake.fault(on('PUT', query='multipart-manifest'), status(400, {'Content-Type': 'application/json'}, body))

        WRITES['compose'](storage)

        assert fault.hits == 1

    @pytest.mark.parametrize('problem', ['404 Not Found', 'Etag Mismatch', 'Size Mismatch'])
    def test_a_segment_that_is_missing_or_changed_is_said_at_once(self, fake, storage, problem):
        fault = fake.fault(on('PUT', query='multipart-manifest'), manifest_problems(problem), times=None)

        with pytest.raises(exceptions.FileNotFoundError):
            WRITES['compose'](storage)

        assert fault.hits == 1

    def test_another_400_is_not_taken_for_a_missing_segment(self, fake, storage):
        fake.fault(on('PUT', query='multipart-manifest'), status(400, {'Content-Type': 'text/plain'}, 'a bad request, 404 times'))

        with pytest.raises(exceptions.BrokenError):
            WRITES['compose'](storage)


REMOVALS = {
    'remove': lambda storage: storage.remove('folder/a'),
    'discard': lambda storage: storage.discard('folder/a'),
    'remove folder': lambda storage: storage.remove('folder'),
}


class TestDelete(object):
    @pytest.fixture
    def storage(self, storage):
        storage.put_content('folder/a', b'old')
        storage.put_content('folder/b', b'old')
        return storage

    @pytest.mark.parametrize('removal', sorted(REMOVALS))
    def test_a_404_for_an_object_that_is_there_is_an_error(self, fake, storage, removal):
        lose_accounts(fake, listings=False)

        with pytest.raises(exceptions.BrokenError):
            REMOVALS[removal](storage)

        assert storage.exists('folder/a')

    @pytest.mark.parametrize('removal', sorted(REMOVALS))
    def test_a_passing_404_is_tried_again(self, fake, storage, removal):
        fake.fault(on('DELETE', kind='object'), status(404))
        fake.fault(on('POST', query='bulk-delete'), bulk_errors(lambda name: 404))

        REMOVALS[removal](storage)

        assert not storage.exists('folder/a')

    def test_an_object_that_is_newer_than_the_request_is_deleted_in_the_end(self, fake, storage):
        fake.fault(on('DELETE', kind='object'), status(409), times=2)

        storage.remove('folder/a')

        assert not storage.exists('folder/a')

    def test_a_bulk_delete_looks_for_names_that_it_did_not_find(self, fake, storage):
        fake.lag_listing('registry')  # it goes on listing b
        fake.container('registry').pop('folder/b')

        storage.remove('folder')

        assert not fake.container('registry')

    def test_discard_takes_one_request(self, fake, storage):
        fake.clear_requests()

        assert storage.discard('folder/a') is True

        assert [request.method for request in fake.requests] == ['DELETE']

    def test_discard_says_that_there_was_nothing(self, storage):
        assert storage.discard('folder/none') is False


LISTINGS = {
    'list_directory': lambda storage: sorted(storage.list_directory('folder')),
    'walk': lambda storage: [stat.path for stat in storage.walk('folder')],
    'list_page': lambda storage: [stat.path for stat in storage.list_page('folder', recursive=True)],
    'remove': lambda storage: storage.remove('folder'),
}


class TestListing(object):
    @pytest.fixture
    def storage(self, storage):
        for number in range(7):
            storage.put_content('folder/%d' % number, b'')
        return storage

    @pytest.mark.parametrize('listing', sorted(LISTINGS))
    def test_a_passing_404_is_asked_again(self, fake, storage, listing):
        fault = fake.fault(on('GET', kind='container'), status(404), times=2)

        LISTINGS[listing](storage)

        assert fault.hits == 2

    @pytest.mark.parametrize('lost', ['listings', 'accounts'])
    @pytest.mark.parametrize('listing', sorted(LISTINGS))
    def test_a_404_that_stays_is_not_an_empty_folder(self, fake, storage, listing, lost):
        if lost == 'accounts':
            lose_accounts(fake)
        else:
            fake.fault(on('GET', kind='container'), status(404), times=None)

        with pytest.raises(exceptions.BrokenError):
            LISTINGS[listing](storage)

    def test_a_container_that_this_call_has_created_is_empty(self, fake, storage):
        del fake.containers['registry']

        assert storage.list_page('folder') == []

    def test_a_container_that_another_instance_has_just_created_is_asked(self, fake, storage):
        container = fake.containers.pop('registry')

        def appear(exchange):
            fake.containers['registry'] = container
            serve(exchange)

        fake.fault(on('PUT', kind='container'), appear)

        assert len(storage.list_page('folder')) == 7

    @pytest.mark.parametrize('most', [1, 3])
    @pytest.mark.parametrize('listing', ['list_directory', 'walk'])
    def test_short_pages_are_not_the_end(self, fake, storage, listing, most):
        fake.fault(on('GET', kind='container'), short_page(lambda asked: most), times=None)

        assert LISTINGS[listing](storage) == ['folder/%d' % number for number in range(7)]

    def test_short_pages_are_not_the_end_of_a_removal(self, fake, storage):
        fake.fault(on('GET', kind='container'), short_page(lambda asked: 3), times=None)

        storage.remove('folder')

        assert not fake.container('registry')

    def test_only_an_empty_page_is_the_end(self, fake, storage):
        fake.fault(on('GET', kind='container'), short_page(lambda asked: 3), times=None)

        pages, marker = [], None
        while not pages or pages[-1]:
            pages.append([stat.path for stat in storage.list_page('folder', marker, 5)])
            marker = pages[-1][-1] if pages[-1] else None

        assert [len(page) for page in pages] == [3, 3, 1, 0]

    def test_a_page_of_names_that_are_not_ours_is_not_the_end(self, fake, fake_storage):
        storage = fake_storage(storage_path='')
        storage.connect()
        for number in range(5):
            fake.put('registry', '_segments/%d' % number, b'')
        fake.put('registry', 'after', b'')

        assert [stat.path for stat in storage.list_page(None, limit=2, recursive=True)] == ['after']


class TestHeldLayers(object):
    @pytest.mark.parametrize('remove', [
        lambda storage: storage.remove('images/0/layer'), lambda storage: storage.remove('images'),
        lambda storage: storage.put_content('images/0/layer', b'other')], ids=['remove', 'remove all', 'overwrite'])
    @pytest.mark.parametrize('match, answer', [
        (on('HEAD', path_contains='/_held/'), status(404)),
        (on('GET', kind='container', where=lambda request: '_held' in request.query.get('prefix', '')), status(200, body=b'[]'))],
        ids=['head', 'listing'])
    def test_one_answer_that_a_layer_is_not_held_is_no_proof(self, fake, storage, remove, match, answer):
        storage.put_content('images/0/layer', b'bytes')
        storage.hold('images/0/layer', 'because')
        fake.fault(match, answer, times=None)

        with pytest.raises(exceptions.WrongArgumentsError, match='_held/'):
            remove(storage)
        assert storage.get_content('images/0/layer') == b'bytes'
