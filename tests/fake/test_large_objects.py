# -*- coding: utf-8 -*-
"""Static and dynamic large objects."""

import hashlib

import pytest

from .http_client import IncompleteRead

# static large objects

def test_an_slo_reads_as_its_segments_in_order(client):
    entries = client.put_segments(b'hello ', b'world')
    put = client.put_manifest(entries)
    etag = hashlib.md5(''.join(entry['etag'] for entry in entries).encode('ascii')).hexdigest()
    got, headed = client.storage('GET', '/c/big'), client.storage('HEAD', '/c/big')
    assert (put.status, put.headers['etag'], got.body) == (201, '"%s"' % etag, b'hello world')
    for answer in got, headed:
        assert (answer.headers['content-length'], answer.headers['etag']) == ('11', '"%s"' % etag)
        assert (answer.headers['x-static-large-object'], len(answer.headers['x-manifest-etag'])) == ('True', 32)


def test_an_slo_is_listed_with_its_total_and_both_etags(client):
    put = client.put_manifest(client.put_segments(b'hello ', b'world'))
    entry = client.storage('GET', '/c?format=json&prefix=big').json[0]
    assert (entry['bytes'], entry['slo_etag']) == (11, put.headers['etag'])
    assert entry['hash'] == client.storage('HEAD', '/c/big').headers['x-manifest-etag']


@pytest.mark.parametrize('asked, body', [('bytes=4-7', b'o wo'), ('bytes=6-', b'world'), ('bytes=-2', b'ld')])
def test_a_range_of_an_slo_crosses_segments(client, asked, body):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    answer = client.storage('GET', '/c/big', Range=asked)
    assert (answer.status, answer.body) == (206, body)


def test_an_slo_may_contain_an_slo(client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    assert client.put_manifest([{'path': '/c/big', 'size_bytes': 11}, {'path': '/c/seg0'}], 'bigger').status == 201
    assert client.storage('GET', '/c/bigger').body == b'hello worldhello '


@pytest.mark.parametrize('change, reason', [
    ({'etag': '0' * 32}, 'Etag Mismatch'), ({'size_bytes': 3}, 'Size Mismatch'), ({'path': '/c/none'}, '404 Not Found')])
def test_an_slo_is_checked_against_its_segments(swift, client, change, reason):
    entries = client.put_segments(b'hello ', b'world')
    entries[1].update(change)
    answer = client.put_manifest(entries)
    assert (answer.status, answer.json['Errors']) == (400, [[entries[1]['path'], reason]])
    assert 'big' not in swift.container('c')


@pytest.mark.parametrize('body', ['nonsense', '{}', '[1]', '[{"path": 7}]', '[{"path": "nope"}]', '[{"path": "/c/big"}]',
                                  '[{"path": "/c/a", "extra": 1}]', '[{"path": "/c/a", "etag": 7}]',
                                  '[{"path": "/c/a", "size_bytes": "x"}]', '[{"path": "/c/a", "size_bytes": 0}, {"path": "/c/a"}]'])
def test_a_manifest_that_makes_no_sense_answers_400(client, body):
    assert client.storage('PUT', '/c/big?multipart-manifest=put', body).status == 400


def test_only_the_last_segment_may_be_empty(client):
    entries = client.put_segments(b'hello', b'')
    assert client.put_manifest(entries).status == 201
    assert client.put_manifest([{'path': entry['path']} for entry in reversed(entries)]).status == 400


@pytest.mark.parametrize('count, status', [(1000, 201), (1001, 413)])
def test_an_slo_has_at_most_a_thousand_segments(client, count, status):
    (entry,) = client.put_segments(b'x')
    assert client.put_manifest([entry] * count).status == status


def test_an_slo_with_another_etag_answers_422(client):
    assert client.put_manifest(client.put_segments(b'x'), Etag='0' * 32).status == 422


def test_an_slo_is_not_overwritten_against_if_none_match(client):
    entries = client.put_segments(b'x')
    assert [client.put_manifest(entries, If_None_Match='*').status for _ in range(2)] == [201, 412]


def test_an_slo_is_matched_by_its_etag(client):
    etag = client.put_manifest(client.put_segments(b'hello ', b'world')).headers['etag']
    assert client.storage('GET', '/c/big', If_Match=etag, Range='bytes=6-').body == b'world'
    assert client.storage('GET', '/c/big', If_Match='"0"').status == 412


def test_the_manifest_of_an_slo_can_be_read_both_ways(client):
    entries = client.put_segments(b'hello ', b'world')
    client.put_manifest(entries)
    records = client.storage('GET', '/c/big?multipart-manifest=get').json
    assert [(record['name'], record['bytes'], record['hash']) for record in records] == [
        (entry['path'], entry['size_bytes'], entry['etag']) for entry in entries]
    assert client.storage('GET', '/c/big?multipart-manifest=get&format=raw').json == entries


def test_an_slo_without_its_first_segment_answers_409(swift, client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    client.storage('DELETE', '/c/seg0')
    assert client.storage('HEAD', '/c/big').status == 200
    assert client.storage('GET', '/c/big').status == 409
    assert client.storage('GET', '/c/big', Range='bytes=6-').body == b'world'


@pytest.mark.parametrize('spoil', [lambda swift: swift.container('c').pop('seg1'),
                                   lambda swift: swift.put('c', 'seg1', b'WORLD')])
def test_an_slo_without_a_later_segment_is_cut_off(swift, client, spoil):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    spoil(swift)
    with pytest.raises(IncompleteRead) as caught:
        client.storage('GET', '/c/big')
    assert caught.value.partial == b'hello '


def test_deleting_an_slo_with_its_segments(swift, client):
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    answer = client.storage('DELETE', '/c/big?multipart-manifest=delete', Accept='application/json')
    assert (answer.status, answer.json['Number Deleted'], swift.container('c')) == (200, 3, {})


def test_deleting_a_plain_object_as_an_slo_answers_200_and_deletes_nothing(swift, client):
    swift.put('c', 'a', b'abc')
    answer = client.storage('DELETE', '/c/a?multipart-manifest=delete', Accept='application/json')
    assert (answer.status, answer.json['Response Status']) == (200, '400 Bad Request')
    assert answer.json['Errors'] == [['/c/a', 'Not an SLO manifest']]
    assert 'a' in swift.container('c')


def test_without_slo_a_manifest_is_an_ordinary_object(make):
    _, client = make(slo=False)
    client.put_manifest([], 'a')
    assert client.storage('GET', '/c/a').body == b'[]'


# dynamic large objects

def test_a_dlo_reads_as_what_is_listed_below_its_prefix(swift, client):
    for number, body in enumerate([b'hello ', b'world']):
        swift.put('c', 'parts/%d' % number, body)
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    answer = client.storage('GET', '/c/big')
    etags = ''.join(hashlib.md5(body).hexdigest() for body in (b'hello ', b'world'))
    assert (answer.body, answer.headers['x-object-manifest']) == (b'hello world', 'c/parts/')
    assert answer.headers['etag'] == '"%s"' % hashlib.md5(etags.encode('ascii')).hexdigest()
    assert client.storage('HEAD', '/c/big').headers['content-length'] == '11'
    assert client.storage('GET', '/c/big', Range='bytes=4-7').body == b'o wo'


def test_a_dlo_behind_a_lagging_listing_is_short(swift, client):
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    swift.put('c', 'parts/0', b'hello ')
    swift.lag_listing('c')
    swift.put('c', 'parts/1', b'world')
    assert client.storage('GET', '/c/big').body == b'hello '


def test_a_dlo_beyond_one_page_of_listing_has_no_length(make):
    swift, client = make(listing_limit=2)
    swift.put('c', 'big', b'', headers={'X-Object-Manifest': 'c/parts/'})
    for name in '012':
        swift.put('c', 'parts/' + name, name.encode('ascii'))
    answer = client.storage('GET', '/c/big')
    assert ('content-length' in answer.headers, answer.body) == (False, b'012')
