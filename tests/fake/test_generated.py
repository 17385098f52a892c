# -*- coding: utf-8 -*-
"""Containers whose objects follow from rules: they behave as if all objects were stored."""

import pytest

from fake_swift import FakeSwift, Generated

from .http_client import Client

RULES = ((20, u'a/%03d/data'), (5, u'b/%d'), (3, u'a/004/f%d'))


def body(number):
    return ('number %d' % number).encode('ascii')


@pytest.fixture
def pair(make):
    """(Swift, client), of which the container `c` is generated and the container `stored` has the same objects."""
    swift, client = make(listing_limit=7)
    swift.generate_container('c', *[Generated(count, lambda number, form=form: form % number, body) for count, form in RULES])
    for count, form in RULES:
        for number in range(count):
            swift.put('stored', form % number, body(number))
    return swift, client


def walked(client, container, query):
    """What the pages of a listing show, without times."""
    found, marker = [], ''
    while True:
        page = client.storage('GET', '/%s?format=json&marker=%s%s' % (container, marker, query)).json
        if not page:
            return found
        marker = page[-1].get('name') or page[-1]['subdir']
        found.append([dict((key, value) for key, value in record.items() if key != 'last_modified') for record in page])


@pytest.mark.parametrize('query', [
    '', '&limit=2', '&prefix=a/00', '&delimiter=/', '&prefix=a/&delimiter=/', '&prefix=a/&delimiter=/&limit=1', '&end_marker=b/3',
    '&prefix=a/&delimiter=/&end_marker=a/007', '&prefix=none', '&prefix=a/004/'])
def test_it_lists_what_a_stored_container_lists(pair, query):
    swift, client = pair
    for container in ('c', 'stored'):
        swift.put(container, u'a/005', b'between')
        swift.put(container, u'a/003/data', b'instead of a generated one')
        client.storage('DELETE', '/%s/a/006/data' % container)
    assert walked(client, 'c', query) == walked(client, 'stored', query)


def test_a_generated_object_is_read(pair):
    _, client = pair
    answer = client.storage('GET', '/c/a/007/data')
    assert (answer.status, answer.body) == (200, b'number 7')
    assert client.storage('HEAD', '/c/a/020/data').status == 404


def test_a_generated_object_is_overwritten_and_deleted(pair):
    swift, client = pair
    client.storage('PUT', '/c/b/1', b'new')
    assert client.storage('GET', '/c/b/1').body == b'new'
    client.storage('DELETE', '/c/b/1')
    assert client.storage('GET', '/c/b/1').status == 404
    assert client.storage('HEAD', '/c').headers['x-container-object-count'] == '27'


def test_ten_million_objects_are_there_at_once():
    with FakeSwift() as swift:
        swift.generate_container('c', Generated(10 ** 7, lambda number: u'%09d' % number, body))
        client = Client(swift)
        assert client.names('&limit=3&marker=%09d' % 7654321) == ['%09d' % number for number in (7654322, 7654323, 7654324)]
        client.close()
