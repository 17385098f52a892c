# -*- coding: utf-8 -*-
"""Accounts, containers and their listings."""

import hashlib

import pytest

from .http_client import quote


def test_a_container_is_created_once(client):
    assert [client.storage('PUT', '/new').status for _ in range(2)] == [201, 202]


def test_a_container_keeps_and_drops_metadata(client):
    assert client.storage('POST', '/c', X_Container_Meta_Color='red').status == 204
    assert client.storage('HEAD', '/c').headers['x-container-meta-color'] == 'red'
    client.storage('POST', '/c', X_Remove_Container_Meta_Color='x')
    assert 'x-container-meta-color' not in client.storage('HEAD', '/c').headers


@pytest.mark.parametrize('method', ['HEAD', 'GET', 'POST', 'DELETE'])
def test_a_missing_container_answers_404(client, method):
    assert client.storage(method, '/none').status == 404


def test_a_container_counts_its_objects_and_bytes(swift, client):
    swift.put('c', 'a', b'123')
    swift.put('c', 'b', b'4567')
    headers = client.storage('HEAD', '/c').headers
    assert (headers['x-container-object-count'], headers['x-container-bytes-used']) == ('2', '7')


def test_only_an_empty_container_is_deleted(swift, client):
    swift.put('c', 'a', b'')
    assert client.storage('DELETE', '/c').status == 409
    client.storage('DELETE', '/c/a')
    assert client.storage('DELETE', '/c').status == 204
    assert 'c' not in swift.containers


def test_an_account_lists_its_containers(swift, client):
    swift.put('c', 'a', b'123')
    assert client.storage('GET', '?format=json').json == [{'name': 'c', 'count': 1, 'bytes': 3}]


# listings

@pytest.fixture
def tree(swift, client):
    for name in ['a', 'd/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1', 'e', u'\xe9', u'\uffee', u'\U0001f40b']:
        swift.put('c', name, b'')
    return client


@pytest.mark.parametrize('query, names', [
    ('', ['a', 'd/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1', 'e', u'\xe9', u'\uffee', u'\U0001f40b']),
    ('&delimiter=/', ['a', 'd/', 'dd/', 'e', u'\xe9', u'\uffee', u'\U0001f40b']),
    ('&prefix=d/&delimiter=/', ['d/', 'd/1', 'd/2/']),
    ('&prefix=d', ['d/', 'd/1', 'd/2/x', 'd/2/y', 'dd/1']),
    ('&prefix=d/&delimiter=/&marker=d/2/', []),
    ('&prefix=d/&delimiter=/&marker=d/2/x', ['d/2/']),
    ('&marker=d/2/y&end_marker=e', ['dd/1']),
    ('&limit=2', ['a', 'd/']),
    ('&delimiter=/&limit=2&marker=a', ['d/', 'dd/']),
    ('&marker=' + quote(u'\uffee'.encode('utf-8')), [u'\U0001f40b']),
    ('&prefix=none', [])])
def test_a_listing_selects_as_swift_does(tree, query, names):
    assert tree.names(query) == names


def test_a_listing_entry_tells_about_its_object(swift, client):
    client.storage('PUT', '/c/a', b'abc', Content_Type='text/x')
    (entry,) = client.storage('GET', '/c?format=json').json
    modified = entry.pop('last_modified')
    assert entry == {'name': 'a', 'bytes': 3, 'hash': hashlib.md5(b'abc').hexdigest(), 'content_type': 'text/x'}
    assert len(modified) == len('2024-01-01T00:00:00.000000') and modified[10] == 'T'


def test_a_listing_ends_at_the_limit_and_goes_on_at_the_marker(make):
    swift, client = make(listing_limit=2)
    for name in 'abc':
        swift.put('c', name, b'')
    assert (client.names(), client.names('&marker=b')) == (['a', 'b'], ['c'])


def test_a_listing_refuses_more_than_its_limit(client):
    answer = client.storage('GET', '/c?format=json&limit=10001')
    assert (answer.status, answer.body) == (412, b'Maximum limit is 10000')


def test_a_plain_listing_is_names_in_lines(tree):
    assert tree.storage('GET', '/c?prefix=d/&delimiter=/').body == b'd/\nd/1\nd/2/\n'


def test_an_empty_listing_is_204_in_text_and_200_in_json(client):
    assert client.storage('GET', '/c').status == 204
    answer = client.storage('GET', '/c?format=json')
    assert (answer.status, answer.json) == (200, [])
