# -*- coding: utf-8 -*-
"""Bulk delete, and what it hides in a 200."""

import pytest

import fake_swift
from fake_swift import on


def test_bulk_delete_reports_in_its_body_after_blanks(swift, client):
    swift.put('c', u'\xe9 b', b'')
    swift.put('c', 'kept', b'')
    answer = client.bulk_delete('/c/%C3%A9%20b', 'c/none', '/c')
    assert answer.status == 200 and answer.body[:1] == b' '
    assert answer.json == {'Response Status': '400 Bad Request', 'Response Body': '', 'Number Deleted': 1, 'Number Not Found': 1,
                           'Errors': [['/c', '409 Conflict']]}
    assert list(swift.container('c')) == ['kept']


def test_bulk_delete_of_nothing_is_invalid(client):
    assert client.bulk_delete('').json['Response Body'] == 'Invalid bulk delete.'


def test_bulk_delete_refuses_more_than_its_limit_and_deletes_nothing(make):
    swift, client = make(max_deletes=2)
    for name in 'abc':
        swift.put('c', name, b'')
    answer = client.bulk_delete('/c/a', '/c/b', '/c/c')
    assert (answer.status, answer.json['Response Status'][:3], len(swift.container('c'))) == (200, '413', 3)
    assert client.bulk_delete('/c/a', '/c/b').json['Number Deleted'] == 2


def test_bulk_delete_answers_in_text_unless_json_is_asked_for(client):
    answer = client.storage('POST', '?bulk-delete', '/c/none\n', Content_Type='text/plain')
    assert b'Number Not Found: 1\n' in answer.body


def test_bulk_delete_can_be_switched_off(make):
    swift, client = make(bulk=False)
    swift.put('c', 'a', b'')
    assert client.bulk_delete('/c/a').status == 204
    assert 'a' in swift.container('c')


@pytest.mark.parametrize('line', ['401 Unauthorized', '503 Service Unavailable'])
def test_bulk_delete_can_hide_a_failure_in_a_200(swift, client, line):
    swift.put('c', 'a', b'')
    swift.fault(on(query='bulk-delete'), fake_swift.bulk_status(line))
    answer = client.bulk_delete('/c/a')
    assert (answer.status, answer.json['Response Status'], answer.json['Number Deleted']) == (200, line, 0)
    assert client.bulk_delete('/c/a').json['Number Deleted'] == 1


def test_bulk_delete_can_fail_for_some_names(swift, client):
    for name in 'ab':
        swift.put('c', name, b'')
    swift.fault(on(query='bulk-delete'), fake_swift.bulk_errors(lambda name: 503 if name == '/c/a' else None))
    report = client.bulk_delete('/c/a', '/c/b').json
    assert (report['Number Deleted'], report['Errors']) == (1, [['/c/a', '503 Service Unavailable']])
    assert report['Response Status'] == '502 Bad Gateway'
    assert list(swift.container('c')) == ['a']
