# -*- coding: utf-8 -*-
"""Temporary URLs."""

import pytest

from .http_client import quote, signed


@pytest.fixture
def shared(swift, client):
    """A client, an object whose name needs encoding, and a container that has a key."""
    swift.create_container('c').headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    swift.put('c', u'\xe9 b', b'0123456789', headers={'X-Object-Meta-Private': 'x'})
    return client


SHARED = u'/v1/AUTH_test/c/\xe9 b'


@pytest.mark.parametrize('digest', ['sha1', 'sha256', 'sha512'])
@pytest.mark.parametrize('form', ['hex', 'base64'])
def test_a_signed_url_is_let_in(shared, digest, form):
    answer = shared.ask('GET', signed(SHARED, digest=digest, form=form))
    assert (answer.status, answer.body) == (200, b'0123456789')
    assert answer.headers['content-disposition'] == 'attachment; filename="%C3%A9 b"; filename*=UTF-8\'\'%C3%A9%20b'
    assert 'x-object-meta-private' not in answer.headers


def test_a_signature_for_get_allows_head_and_ranges(shared):
    url = signed(SHARED)
    assert shared.ask('HEAD', url).headers['content-length'] == '10'
    assert shared.ask('GET', url, headers={'Range': 'bytes=2-3'}).body == b'23'


@pytest.mark.parametrize('wrong', [{'key': b'wrong'}, {'expires': 1}, {'method': 'PUT'}, {'path': SHARED + 'x'}])
def test_a_wrong_signature_answers_401(shared, wrong):
    query = signed(**dict({'path': SHARED}, **wrong)).partition('?')[2]
    answer = shared.ask('GET', quote(SHARED.encode('utf-8')) + '?' + query)
    assert (answer.status, answer.body) == (401, b'401 Unauthorized: Temp URL invalid\n')


def test_a_digest_that_is_not_allowed_answers_401(make):
    swift, client = make(allowed_digests=('sha256',))
    swift.create_container('c').headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    swift.put('c', 'a', b'abc')
    assert client.ask('GET', signed('/v1/AUTH_test/c/a', digest='sha1')).status == 401
    assert client.ask('GET', signed('/v1/AUTH_test/c/a', digest='sha256')).status == 200


@pytest.mark.parametrize('path, header', [('', 'X-Account-Meta-Temp-URL-Key'), ('', 'X-Account-Meta-Temp-URL-Key-2'),
                                          ('/c', 'X-Container-Meta-Temp-URL-Key'), ('/c', 'X-Container-Meta-Temp-URL-Key-2')])
def test_a_key_is_set_on_account_or_container(swift, client, path, header):
    swift.put('c', 'a', b'abc')
    assert client.ask('GET', signed('/v1/AUTH_test/c/a')).status == 401
    client.storage('POST', path, headers={header: 'secret'})
    assert client.ask('GET', signed('/v1/AUTH_test/c/a')).status == 200


def test_a_signed_put_stores(shared, swift):
    assert shared.ask('PUT', signed('/v1/AUTH_test/c/new', method='PUT'), b'abc').status == 201
    assert swift.container('c')['new'].body == b'abc'
