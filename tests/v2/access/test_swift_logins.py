"""Logins with the users of the Swift account in which the registry lies, as a real TempAuth knows them."""

import pytest

from docker_registry.v2.access import outside
from docker_registry.v2.access.swift_account import SwiftAccount
from docker_registry.v2.registry import errors


@pytest.fixture
def account(shared_swift):
    return SwiftAccount(outside.Server(shared_swift.auth_url, 'OS_AUTH_URL'), lambda: shared_swift.storage_url)


@pytest.mark.parametrize(
    'name, known',
    [
        (b'tester@test', True),
        (b'SL123@SLOS123-2', True),
        (b'alice@example.com@test', True),
        (b'a%2Fb@test', True),
        (b'alice', False),
        (b'alice@', False),
        (b'@test', False),
        (b'alice@test/images', False),
        (b'x@test%3Aadmin', False),
        (b'tester @test', False),
        (b'tester@%20test', False),
        (b'tester%0D%0AX-Auth-Key: x@test', False),
        (b'tester@test\n', False),
        (b'tester@\xff', False),
        (b'\xc3%a9@test', False),
        (b'a' * 256 + b'@test', False),
    ],
)
def test_which_names_are_asked_about(name, known):
    assert SwiftAccount(outside.Server('http://127.0.0.1:1', 'OS_AUTH_URL'), str).knows(name) is known


@pytest.mark.parametrize('user, key', [(b'tester', b'testing'), (b'reader', b'reading')])
def test_a_right_key_says_who_it_is(account, user, key):
    identity = account.check(user + b'@test', key)

    assert (identity.name, identity.source) == (f'{user.decode()}@test', 'swift')
    assert identity.principals == {'swift:test', f'swift-user:{user.decode()}@test'}


@pytest.mark.parametrize('name', ['Zoë@example.com@test', 'Zo%C3%AB%40example.com@test'])
def test_a_name_may_have_any_characters(account, name):
    identity = account.check(name.encode(), b'zoe')

    assert identity.principals == {'swift:test', 'swift-user:Zo%C3%AB%40example.com@test'}


@pytest.mark.parametrize('name', [b'tester@test', b'nobody@test', b'tester@nowhere'])
@pytest.mark.parametrize(
    'key', [b'wrong', b'', b' testing', b'testing ', b'testing\r\n', b'testing\0', b'\xff', b'test\r\nX-Auth-User: test:reader']
)
def test_a_wrong_key(account, name, key):
    assert account.check(name, key) is None


def test_a_user_of_another_account(account, caplog):
    assert account.check(b'tester@other', b'testing') is None
    assert 'tester@other in, but to another account' in caplog.text


def test_the_account_counts_and_not_the_host(shared_swift):
    inside = f'https://swift.internal:8080/{shared_swift.storage_url.split("/", 3)[3]}/'
    account = SwiftAccount(outside.Server(shared_swift.auth_url, 'OS_AUTH_URL'), lambda: inside)

    assert account.check(b'tester@test', b'testing')


@pytest.mark.parametrize('url', ['http://ceph.test/swift/v1', 'http://ceph.test/swift/v1/'])
def test_nobody_gets_in_where_storage_urls_name_no_account(shared_swift, url, caplog):
    account = SwiftAccount(outside.Server(shared_swift.auth_url, 'OS_AUTH_URL'), lambda: url)

    with pytest.raises(errors.Unavailable):
        account.check(b'tester@test', b'testing')
    assert 'rgw_swift_account_in_url' in caplog.text


def test_a_right_key_is_remembered(account):
    identity = account.check(b'tester@test', b'testing')

    assert account.recall(b'tester@test', b'testing') == identity
    assert account.recall(b'tester@test', b'wrong') is None
    assert account.recall(b'reader@test', b'testing') is None


def test_the_user_of_another_account_is_not_remembered(account):
    account.check(b'tester@other', b'testing')

    assert account.recall(b'tester@other', b'testing') is None


def test_nobody_is_known_without_a_key(account):
    account.check(b'tester@test', b'testing')

    assert account.identity(b'tester@test') is None
