# -*- coding: utf-8 -*-
"""The two keys that sign redirects: how a new one takes the place of an old one while instances with both kinds of settings run."""

import random
import threading
import time

import pytest
import requests

from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on, stall, status

BYTES = b'the bytes of a layer'


class Keys(object):
    """The keys that Swift has, and instances that sign with one of them."""

    def __init__(self, storage, another):
        self._swift = storage._swift
        self.scope = 'account' if storage.is_ceph() else 'container'
        self._path = '' if storage.is_ceph() else self._swift.container_path
        self._slots = ['X-%s-Meta-Temp-Url-Key%s' % (self.scope.capitalize(), number) for number in ('', '-2')]
        self._another = another

    def get(self):
        headers = self._swift.request('HEAD', self._path).headers
        return tuple(headers.get(slot, '') for slot in self._slots)

    def set(self, *keys):
        self._swift.request('POST', self._path, headers=dict(zip(self._slots, keys)), body=driver_module._Blocks())
        return self.get()

    def instance(self, key, old=None, **more):
        return self._another(swift_temp_url_key=key, swift_temp_url_old_key=old, **dict({'swift_temp_url_set_key': self.scope}, **more))


@pytest.fixture
def keys(storage, another, is_live):
    storage.put_content('layer', BYTES)
    keys = Keys(storage, another)
    if is_live and keys.scope == 'account':
        pytest.skip('the keys of a live account are not ours to set')
    assert keys.set('', '') == ('', '')
    yield keys
    keys.set('', '')


def fetched(url):
    answer = requests.get(url, timeout=30)
    return answer.content if answer.status_code == 200 else answer.status_code


@pytest.mark.parametrize('before, key, old, after', [
    (('', ''), 'k1', None, ('k1', '')),
    (('', ''), 'k2', 'k1', ('', 'k2')),
    (('k1', ''), 'k1', None, ('k1', '')),
    (('k1', ''), 'k2', 'k1', ('k1', 'k2')),
    (('k1', ''), 'k2', None, ('k1', 'k2')),
    (('', 'k1'), 'k2', 'k1', ('k2', 'k1')),
    (('k1', 'k2'), 'k3', 'k2', ('k3', 'k2')),
    (('k3', 'k2'), 'k4', 'k3', ('k3', 'k4')),
    (('k3', 'k2'), 'k2', 'k1', ('k3', 'k2')),  # an instance that still has the settings of the last change
    (('k3', 'k2'), 'k2', None, ('k3', 'k2'))])
def test_a_key_takes_the_slot_that_does_not_have_the_old_one(keys, before, key, old, after):
    keys.set(*before)
    assert fetched(keys.instance(key, old).content_redirect_url('layer')) == BYTES
    assert keys.get() == after


@pytest.mark.parametrize('old', [None, 'k0'])
def test_keys_that_may_be_in_use_are_left_alone(keys, old):
    keys.set('k1', 'k2')
    with pytest.raises(exceptions.ConfigError) as caught:
        keys.instance('k3', old).content_redirect_url('layer')
    assert 'SWIFT_TEMP_URL_OLD_KEY' in str(caught.value)
    assert keys.get() == ('k1', 'k2')


def test_no_key_is_set_if_that_is_not_allowed(keys):
    for storage, more in ((keys.instance('k1'), {'may_set_key': False}), (keys.instance('k1', swift_temp_url_set_key='no'), {})):
        with pytest.raises(exceptions.ConfigError):
            storage.content_redirect_url('layer', **more)
    assert keys.get() == ('', '')


def test_a_key_that_somebody_removed_is_found_missing_within_a_minute(keys, monkeypatch):
    storage = keys.instance('k1')
    storage.content_redirect_url('layer')
    keys.set('', '')
    now = driver_module.time.time
    monkeypatch.setattr(driver_module.time, 'time', lambda: now() + driver_module.TEMP_URL_CHECK_SECONDS + 1)

    assert fetched(storage.content_redirect_url('layer')) == BYTES


def test_swift_is_asked_once_a_minute(fake, fake_storage, monkeypatch):
    storage = fake_storage(swift_temp_url_key='k1', swift_temp_url_set_key='container')
    storage.content_redirect_url('layer')
    fake.clear_requests()
    now = driver_module.time.time
    for later in (0, driver_module.TEMP_URL_CHECK_SECONDS + 1):
        monkeypatch.setattr(driver_module.time, 'time', lambda: now() + later)
        for _ in range(10):
            storage.content_redirect_url('layer')
        assert len(fake.requests) == (1 if later else 0)


def test_while_swift_does_not_answer_the_next_try_others_get_urls(fake, fake_storage, monkeypatch):
    storage = fake_storage(swift_temp_url_key='k1', swift_temp_url_set_key='container')
    storage.content_redirect_url('layer')
    now = driver_module.time.time
    monkeypatch.setattr(driver_module.time, 'time', lambda: now() + driver_module.TEMP_URL_CHECK_SECONDS + 1)
    hung = fake.fault(on(path_contains=driver_module.NO_OBJECT), stall(), times=None)
    first = threading.Thread(target=storage.content_redirect_url, args=('layer',))
    first.start()
    while not hung.hits:
        time.sleep(0.01)

    assert storage.content_redirect_url('layer')
    fake.release()
    first.join(30)


def test_a_digest_that_swift_no_longer_allows_is_forgotten(fake, fake_storage):
    storage = fake_storage(swift_temp_url_key='k1', swift_temp_url_set_key='container')
    fake.put('registry', 'layer', BYTES)
    before = fake.fault(on('GET', path_contains='/info'), status(200, body=b'{"tempurl": {"allowed_digests": ["sha1"]}}'))

    assert fetched(storage.content_redirect_url('layer')) == BYTES
    assert before.hits == 1


def test_an_error_shows_no_signature(fake, fake_storage):
    storage = fake_storage(swift_temp_url_key='k1', swift_retries=0)
    storage.connect()
    fake.fault(on('GET', path_contains=driver_module.NO_OBJECT), status(503), times=None)
    with pytest.raises(exceptions.BrokenError) as caught:
        storage.content_redirect_url('layer')
    assert 'temp_url_sig=...' in str(caught.value)


class Instance(threading.Thread):
    """An instance that hands out URLs. At a moment of its own, it starts again with the next settings, and goes on until it uses their key.
    """

    def __init__(self, keys, settings, following):
        super(Instance, self).__init__()
        self._keys, self._settings, self._following = keys, settings, following
        self.urls, self.wrong = [], []

    def run(self):
        try:
            for key, old in (self._settings, self._following):
                storage, least = self._keys.instance(key, old), random.randrange(3, 10)
                deadline = time.time() + 60
                while least > 0 or storage._swift._temp_urls._key != key:
                    self._hand_out(storage)
                    least -= 1
                    assert time.time() < deadline, 'it never uses its key'
        except Exception as error:
            self.wrong.append(repr(error))

    def _hand_out(self, storage):
        self.urls.append(storage.content_redirect_url('layer'))
        found = fetched(self.urls[-1])
        if found != BYTES:
            self.wrong.append(found)


def change_the_key(keys, current, following, count=6):
    """Six instances change from one pair of keys to the next. Return all URLs that they hand out. No client gets a wrong answer."""
    instances = [Instance(keys, current, following) for _ in range(count)]
    for instance in instances:
        instance.start()
    for instance in instances:
        instance.join()
    assert [wrong for instance in instances for wrong in instance.wrong] == []
    return [url for instance in instances for url in instance.urls]


def test_clients_of_all_instances_get_their_bytes_while_keys_change(keys, monkeypatch):
    """Each change waits until nobody uses the key before the last: that is what docs/redirects.rst asks for."""
    monkeypatch.setattr(driver_module, 'TEMP_URL_SETTLED_SECONDS', 2)
    monkeypatch.setattr(driver_module, 'TEMP_URL_CHECK_SECONDS', 0.2)
    settings = [('k%d' % number, 'k%d' % (number - 1) if number else None) for number in range(4)]
    for current, following in zip(settings, settings[1:]):
        urls = change_the_key(keys, current, following)
        # The URLs that both keys have signed are good until they expire, after the last instance has changed.
        assert set(fetched(url) for url in urls) == set([BYTES])
        assert set(keys.get()) == set([current[0], following[0]])


def test_a_new_key_signs_when_all_servers_of_swift_know_it(keys, monkeypatch):
    keys.set('k1', '')
    started = [keys.instance('k2', 'k1') for _ in range(2)]
    for storage in started:
        assert fetched(storage.content_redirect_url('layer')) == BYTES
    assert [storage._swift._temp_urls._key for storage in started] == ['k1', 'k1']
    monkeypatch.setattr(driver_module, 'TEMP_URL_SETTLED_SECONDS', 0)
    monkeypatch.setattr(driver_module, 'TEMP_URL_CHECK_SECONDS', -1)
    for storage in started + [keys.instance('k2', 'k1')]:
        assert fetched(storage.content_redirect_url('layer')) == BYTES
        assert storage._swift._temp_urls._key == 'k2'
