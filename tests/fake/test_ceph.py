# -*- coding: utf-8 -*-
"""What a Ceph RADOS Gateway does differently."""

from .http_client import signed


def test_ceph_has_no_account_in_its_urls_and_tells_no_digests(make):
    swift, client = make(ceph=True)
    assert swift.storage_url.endswith('/swift/v1')
    client.storage('PUT', '/c/a', b'abc')
    assert client.storage('GET', '/c/a').body == b'abc'
    assert 'allowed_digests' not in client.ask('GET', '/info').json['tempurl']


def test_ceph_knows_no_container_keys_and_signs_with_or_without_its_prefix(make):
    swift, client = make(ceph=True)
    swift.put('c', 'a', b'abc')
    swift.containers['c'].headers['X-Container-Meta-Temp-Url-Key'] = 'secret'
    urls = [signed('/swift/v1/c/a'), '/swift' + signed('/v1/c/a')]
    assert [client.ask('GET', url).status for url in urls] == [401, 401]
    swift.accounts['AUTH_test'].headers['X-Account-Meta-Temp-Url-Key'] = 'secret'
    assert [client.ask('GET', url).status for url in urls] == [200, 200]


def test_ceph_gives_an_empty_manifest(make):
    _, client = make(ceph=True)
    client.put_manifest(client.put_segments(b'hello ', b'world'))
    assert client.storage('GET', '/c/big').body == b'hello world'
    assert client.storage('GET', '/c/big?multipart-manifest=get').body == b''
