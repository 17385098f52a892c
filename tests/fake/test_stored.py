# -*- coding: utf-8 -*-
"""Listings and reads that lag behind."""


def test_a_lagging_listing_shows_ghosts_and_no_news_until_it_catches_up(swift, client):
    swift.put('c', 'deleted', b'')
    swift.lag_listing('c')
    client.storage('DELETE', '/c/deleted')
    client.storage('PUT', '/c/new', b'')
    assert client.names() == ['deleted']
    assert client.storage('HEAD', '/c/deleted').status == 404
    swift.catch_up()
    assert client.names() == ['new']


def test_a_stale_read_sees_the_version_before(swift, client):
    client.storage('PUT', '/c/a', b'old')
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a', times=2)
    assert [client.storage('GET', '/c/a').body for _ in range(3)] == [b'old', b'old', b'new']


def test_a_stale_read_may_see_nothing_yet_or_what_was_deleted(swift, client):
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a')
    assert [client.storage('HEAD', '/c/a').status for _ in range(2)] == [404, 200]
    client.storage('DELETE', '/c/a')
    swift.stale('c', 'a')
    assert [client.storage('HEAD', '/c/a').status for _ in range(2)] == [200, 404]


def test_the_newest_is_never_stale(swift, client):
    client.storage('PUT', '/c/a', b'old')
    client.storage('PUT', '/c/a', b'new')
    swift.stale('c', 'a')
    assert client.storage('GET', '/c/a', X_Newest='true').body == b'new'
    assert client.storage('GET', '/c/a').body == b'old'
