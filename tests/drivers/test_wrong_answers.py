# -*- coding: utf-8 -*-
"""Responses that no Swift sends, on the fake Swift: whoever may write to the container, or stands in for Swift, can send them.

The driver raises its own errors, in time, and whatever the numbers in them are.
"""
import io
import json
import sys

import pytest

import fake_swift
from docker_registry.core import exceptions
from fake_swift import on

LARGE = {'X-Static-Large-Object': 'True'}


@pytest.fixture
def storage(fake_storage):
    storage = fake_storage(swift_retries=0)
    storage.connect()
    storage.put_content('folder/a', b'content')
    return storage


def answering(fake, method, kind, body=None, **headers):
    """Let the fake Swift alter its next response."""
    def change(response):
        response.headers.update(dict((name.replace('_', '-'), value) for name, value in headers.items()))
        if body is not None:
            response.body, response.length = body, None
    fake.fault(on(method, kind=kind), fake_swift.altered(change))


@pytest.mark.parametrize('body', [
    b'{"name": "a"}', b'5', b'[5]', b'[{"hash": "x"}]', b'[{"name": 7}]', b'[{"name": "registry/folder/a", "bytes": "5"}]', b'[' * 100000])
def test_what_is_no_listing_is_an_error_of_swift(storage, fake, body):
    answering(fake, 'GET', 'container', body)
    with pytest.raises(exceptions.BrokenError):
        storage.list_page('folder')


@pytest.mark.parametrize('time', ['99999-13-31T12:00:00', '2026-01-31T12:00:00.' + '9' * 400, 'today'])
def test_a_time_in_a_listing_that_cannot_be_is_no_time(storage, fake, time):
    name = storage._name('folder/a')
    answering(fake, 'GET', 'container', ('[{"name": "%s", "bytes": 5, "hash": "x", "last_modified": "%s"}]' % (name, time)).encode('ascii'))
    (stat,) = storage.list_page('folder')
    assert stat.last_modified is None or stat.last_modified < 2e9


@pytest.mark.parametrize('headers', [
    {'X_Timestamp': 'nan'}, {'X_Timestamp': '1e999'}, {'X_Timestamp': '', 'Last_Modified': 'Sat, 31 Jan 99999999999 12:00:00 GMT'}])
def test_a_time_of_an_object_that_cannot_be_is_no_time(storage, fake, headers):
    answering(fake, 'HEAD', 'object', **headers)
    assert storage.stat('folder/a').last_modified is None


@pytest.mark.parametrize('digits', [u'\u00b2', '9' * 5000])
def test_a_lifetime_of_a_token_that_is_no_number_is_ignored(fake_storage, fake, digits):
    fake.fault(on('GET', path_contains='/auth/'), fake_swift.altered(
        lambda response: response.headers.update({'X-Auth-Token-Expires': digits})))
    fake_storage().connect()


def test_segments_that_no_object_can_have_are_not_counted(storage, fake):
    answering(fake, 'HEAD', 'object', X_Object_Meta_Segments='id 99999999999', **LARGE)
    answering(fake, 'GET', 'object', b'[]')
    assert storage._segments_of(storage._name('folder/a')) == []


@pytest.mark.parametrize('body', [b'{"a": 1}', b'[{"hash": 5}]', b'[{"name": 5}]', b'7', b'[' * 100000])
def test_what_is_no_manifest_of_segments_is_an_error_of_swift(storage, fake, body):
    answering(fake, 'HEAD', 'object', **LARGE)
    answering(fake, 'GET', 'object', body)
    with pytest.raises(exceptions.BrokenError):
        storage._segments_of(storage._name('folder/a'))


def segment(**more):
    return dict({'name': '/registry/folder/b', 'bytes': 9, 'hash': 'cafe'}, **more)


@pytest.mark.parametrize('other', [
    segment(range='2-5'), segment(sub_slo=True), segment(name='/other/folder/b'), segment(name='/registry/elsewhere/b'),
    segment(name='/registry/folders/b'), {'data': 'aGVsbG8='}], ids=str)
def test_a_large_object_with_a_segment_that_cannot_be_composed_has_no_parts(storage, fake, other):
    answering(fake, 'HEAD', 'object', **LARGE)
    answering(fake, 'GET', 'object', json.dumps([segment(), other, segment()]).encode('ascii'))
    with pytest.raises(exceptions.WrongArgumentsError):
        storage.at('folder').parts_of('a')


def test_the_parts_of_a_large_object_are_in_the_order_of_its_manifest(storage, fake):
    entries = [segment(), segment(name='/registry/folder/a', last_modified='2026-01-31T12:00:00.000000'), segment()]
    answering(fake, 'HEAD', 'object', **LARGE)
    answering(fake, 'GET', 'object', json.dumps(entries).encode('ascii'))
    assert storage.at('folder').parts_of('a') == [('b', 9, 'cafe'), ('a', 9, 'cafe'), ('b', 9, 'cafe')]


def test_segments_in_another_container_are_not_named_but_the_object_is_static(storage, fake):
    answering(fake, 'HEAD', 'object', **LARGE)
    answering(fake, 'GET', 'object', json.dumps([segment(name='/other/folder/b')]).encode('ascii'))
    assert storage.large_object('folder/a') == ('static', None, [])


def test_a_copy_with_another_etag_is_an_error(storage, fake):
    storage.put_content('from', b'abc')
    fake.fault(on('PUT', kind='object'), fake_swift.altered(lambda response: response.headers.update({'Etag': 'cafe'})))
    with pytest.raises(exceptions.BrokenError):
        storage.copy('from', 'to')


def test_a_problem_with_a_segment_that_has_no_status_is_no_status(storage, fake):
    fake.fault(on('PUT', query='multipart-manifest'), fake_swift.manifest_problems(u'\u00b2\u00b2\u00b2 Odd'))
    part = storage.write_parts('id', io.BytesIO(b'content'))
    with pytest.raises(exceptions.BrokenError):
        storage.compose('large', part)


# Python 2 takes what has come for the whole body if the length is no C number.
@pytest.mark.parametrize('length', [10 ** 12] + ([] if sys.version_info[0] == 2 else [10 ** 30]))
def test_the_memory_for_a_body_is_not_that_which_its_length_claims(storage, fake, length):
    def act(exchange):
        exchange.read_body()
        response = exchange.perform()
        response.length = length
        exchange.send(response)
        exchange.hang_up()
    fake.fault(on('GET', kind='container'), act)
    with pytest.raises(exceptions.UnreachableError):
        storage.list_page('folder')
