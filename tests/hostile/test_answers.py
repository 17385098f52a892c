"""Errors do not send back what a client has sent."""

import asyncio

import pytest

from bench import ATTACKER_NAME
from wire import digest_of

LONG = 6000
MOST = 2000  # bytes of an error document
PATHS = [
    '/{text}',
    '/v2/{text}',
    '/v2/{text}/tags/list',
    '/v2/a/manifests/{text}',
    '/v2/a/manifests/sha256:{text}',
    '/v2/a/blobs/{text}',
    '/v2/a/blobs/sha256:{text}',
    '/v2/a/referrers/{text}',
    '/v2/a/blobs/uploads/{text}',
    '/v2/a/tags/list?last={text}',
    '/v2/a/tags/list?n={text}',
    '/v2/_catalog?last={text}',
    '/v2/_catalog?n=1{text}',
]


@pytest.mark.parametrize('method', ['GET', 'PUT', 'DELETE'])
@pytest.mark.parametrize('path', PATHS)
def test_an_error_does_not_repeat_a_long_name(bench, path, method):
    answer = asyncio.run(bench.target(ATTACKER_NAME).ask('127.0.0.2', method, path.format(text='x' * LONG)))
    assert 400 <= answer.status < 500
    assert len(answer.body) < MOST
    assert all(len(value) < MOST for value in answer.headers.values())


@pytest.mark.parametrize('name', ['Range', 'Content-Range', 'Content-Type', 'Authorization', 'X-Request-Id', 'Content-Length', 'Expect'])
def test_an_answer_does_not_repeat_a_long_field(bench, name):
    path = f'/v2/a/blobs/{digest_of(b"missing")}'
    answer = asyncio.run(bench.target(ATTACKER_NAME).ask('127.0.0.2', 'GET', path, {name: 'x' * LONG}))
    assert 400 <= answer.status < 500
    assert len(answer.body) < MOST
    assert all(len(value) < MOST for value in answer.headers.values())
