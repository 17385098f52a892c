"""Notifications: which requests send which events, in the form of CNCF distribution."""

import re

import pytest
from werkzeug.test import create_environ

from docker_registry.v2.access import htpasswd
from docker_registry.v2.http import events
from docker_registry.v2.http.listeners import MEDIA_TYPE
from docker_registry.v2.registry import formats
from docker_registry.v2.settings.config import Access
from docker_registry.v2.settings.notifications import Notifications
from event_listener import EventListener
from registry_client import as_json, digest_of, image
from registry_process import until

LAYER = b'layer' * 100
UUID = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'


def at_once(seconds, call, *arguments):
    return call(*arguments)


@pytest.fixture
def listener():
    with EventListener() as listener:
        listener.told_by = []
        yield listener
        for one in listener.told_by:
            one.drain(0)


@pytest.fixture
def notifying(registry, listener):
    """A registry that tells `listener` of its events."""
    notify(registry, listener)
    return registry


def notify(registry, listener, **settings):
    settings.setdefault('notifications_timeout', 300)  # a listener that is slow would get an event again, and the tests count them
    registry.app.events = events.Events(Notifications(notifications_url=(listener.url,), **settings), 5000, at_once)
    listener.told_by.append(registry.app.events)


@pytest.fixture
def told(notifying, listener):
    """A function that returns what a request tells: (action, target) of each event. `told.skip()` forgets what was told before."""

    def told(count=1):
        notifying('HEAD', '/v2/the/last/blobs/' + notifying.push_blob('the/last', b'the last'))  # tells a push and a pull
        until(lambda: [event['action'] for event in listener.accepted if event['target']['repository'] == 'the/last'] == ['push', 'pull'])
        found = listener.accepted
        assert len(found) == count + 2, found
        listener.accepted = []
        return [(event['action'], event['target']) for event in found[:-2]]

    return told


def target(kind, digest, size, media_type=events.BLOB_TYPE, repository='a', **more):
    url = f'http://localhost/v2/{repository}/{kind}/{digest}'
    return {'mediaType': media_type, 'size': size, 'digest': digest, 'length': size, 'repository': repository, 'url': url, **more}


class TestPushes:
    def test_a_blob_in_one_request(self, notifying, told):
        digest = notifying.push_blob('a', LAYER)

        assert told() == [('push', target('blobs', digest, 500))]

    def test_a_blob_in_chunks(self, notifying, told):
        location = notifying('PATCH', notifying.upload('a'), LAYER[:200]).headers['Location']
        assert notifying('PUT', f'{location}?digest={digest_of(LAYER)}', LAYER[200:], chunked=True).status_code == 201

        assert told() == [('push', target('blobs', digest_of(LAYER), 500))]

    def test_a_blob_that_is_there_already(self, notifying, told):
        for _ in range(2):
            notifying.push_blob('a', LAYER)

        assert told(2) == [('push', target('blobs', digest_of(LAYER), 500))] * 2

    def test_a_manifest_by_tag(self, notifying, told):
        digest = notifying.push_image('a', 'v1', LAYER)
        size = len(as_json(image(b'{}', LAYER)))

        assert told(3)[-1] == ('push', target('manifests', digest, size, formats.OCI_IMAGE, tag='v1'))

    def test_a_manifest_by_digest(self, notifying, told):
        content = as_json(image(b'{}', LAYER))
        notifying.push_image('a', digest_of(content), LAYER)

        assert told(3)[-1] == ('push', target('manifests', digest_of(content), len(content), formats.OCI_IMAGE))

    def test_a_manifest_with_several_tags_has_an_event_for_each(self, notifying, told):
        content = as_json(image(b'{}', LAYER))
        notifying.push_image('a', digest_of(content) + '?tag=v1&tag=v2', LAYER)

        assert [target.get('tag') for _, target in told(4)[2:]] == ['v1', 'v2']

    def test_what_is_refused_is_none(self, notifying, told):
        assert notifying('PUT', '/v2/a/manifests/v1', as_json(image(b'{}', LAYER))).status_code == 404
        assert notifying('POST', f'/v2/a/blobs/uploads/?digest={digest_of(b"")}', LAYER).status_code == 400

        assert told(0) == []


class TestMounts:
    def test_a_mount_names_where_the_blob_comes_from(self, notifying, told):
        digest = notifying.push_blob('a', LAYER)
        told()
        assert notifying('POST', f'/v2/b/blobs/uploads/?mount={digest}&from=a').status_code == 201

        assert told() == [('mount', target('blobs', digest, 500, repository='b', fromRepository='a'))]

    def test_a_mount_that_becomes_an_upload_is_none(self, notifying, told):
        assert notifying('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LAYER)}&from=a').status_code == 202

        assert told(0) == []


class TestPulls:
    @pytest.mark.parametrize('method', ['GET', 'HEAD'])
    def test_a_manifest(self, notifying, told, method):
        digest = notifying.push_image('a', 'v1', LAYER)
        told(3)
        notifying(method, '/v2/a/manifests/v1')
        notifying(method, f'/v2/a/manifests/{digest}')
        expected = target('manifests', digest, len(as_json(image(b'{}', LAYER))), formats.OCI_IMAGE)

        assert told(2) == [('pull', {**expected, 'tag': 'v1'}), ('pull', expected)]

    @pytest.mark.parametrize('ranges', [None, 'bytes=0-3', 'bytes=0-0,100-100'])
    def test_a_blob_has_its_whole_size(self, notifying, told, ranges):
        digest = notifying.push_blob('a', LAYER)
        told()
        assert notifying('GET', f'/v2/a/blobs/{digest}', headers={'Range': ranges} if ranges else {}).status_code in (200, 206)

        assert told() == [('pull', target('blobs', digest, 500))]

    def test_what_the_client_has_already_is_none(self, notifying, told):
        digest = notifying.push_image('a', 'v1', LAYER)
        told(3)
        for path, known in (('manifests/v1', digest), (f'blobs/{digest_of(LAYER)}', digest_of(LAYER))):
            assert notifying('GET', f'/v2/a/{path}', headers={'If-None-Match': f'"{known}"'}).status_code == 304

        assert told(0) == []

    def test_a_download_that_ends_early_is_none(self, notifying, told):
        digest = notifying.push_blob('a', LAYER)
        told()
        statuses = []
        body = notifying.app(create_environ(f'/v2/a/blobs/{digest}'), lambda status, _: statuses.append(status))
        body.close()
        assert statuses == ['200 OK']

        assert told(0) == []

    def test_one_whose_last_block_cannot_be_sent_is_none(self, notifying, told):
        digest = notifying.push_blob('a', LAYER)
        told()
        body = notifying.app(create_environ(f'/v2/a/blobs/{digest}'), lambda *_: None)
        assert next(body) == LAYER
        body.close()  # without asking for more: the server does so if the client has gone

        assert told(0) == []

    def test_one_that_became_an_error_is_none(self, notifying, told, monkeypatch):
        digest = notifying.push_blob('a', LAYER)
        told()
        monkeypatch.setattr(notifying.app.guard, 'is_public', lambda _: 1 / 0)
        assert notifying('GET', f'/v2/a/blobs/{digest}').status_code == 500
        monkeypatch.undo()

        assert told(0) == []

    def test_what_is_missing_is_none(self, notifying, told):
        notifying('GET', '/v2/a/manifests/v1')
        notifying('HEAD', f'/v2/a/blobs/{digest_of(LAYER)}')

        assert told(0) == []


class TestDeletes:
    def test_a_tag(self, notifying, told):
        notifying.push_image('a', 'v1', LAYER)
        told(3)
        assert notifying('DELETE', '/v2/a/manifests/v1').status_code == 202

        assert told() == [('delete', {'repository': 'a', 'tag': 'v1'})]

    def test_a_manifest_and_then_its_tags(self, notifying, told):
        for tag in ('v1', 'v2'):
            digest = notifying.push_image('a', tag, LAYER)
        told(6)
        assert notifying('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

        assert told(3) == [
            ('delete', {'digest': digest, 'repository': 'a'}),
            ('delete', {'repository': 'a', 'tag': 'v1'}),
            ('delete', {'repository': 'a', 'tag': 'v2'}),
        ]

    def test_a_blob(self, notifying, told):
        digest = notifying.push_blob('a', LAYER)
        told()
        assert notifying('DELETE', f'/v2/a/blobs/{digest}').status_code == 202

        assert told() == [('delete', {'digest': digest, 'repository': 'a'})]


class TestEnvelope:
    def test_each_post_has_one_event_with_all_members(self, fake_registry, listener):
        notify(fake_registry, listener)
        environ = {'REMOTE_ADDR': '192.0.2.7', 'REMOTE_PORT': '42961'}
        headers = {'User-Agent': 'docker/28', 'X-Request-Id': 'abc', 'Host': 'registry.example.com'}
        digest = digest_of(LAYER)
        fake_registry('POST', f'/v2/a/blobs/uploads/?digest={digest}', LAYER, headers=headers, environ_base=environ)
        listener.wait_for(1)

        (post,) = listener.posts
        assert post.headers['Content-Type'] == MEDIA_TYPE and post.path == '/callback'
        (event,) = post.events
        assert list(event) == ['id', 'timestamp', 'action', 'target', 'request', 'actor', 'source']
        assert re.fullmatch(UUID, event['id']) and re.fullmatch(UUID, event['source']['instanceID'])
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', event['timestamp'])
        assert event['target']['url'] == f'http://registry.example.com/v2/a/blobs/{digest}'
        assert event['request'] == {
            'id': 'abc',
            'addr': '192.0.2.7:42961',
            'host': 'registry.example.com',
            'method': 'POST',
            'useragent': 'docker/28',
        }
        assert event['actor'] == {} and event['source']['addr'].endswith(':5000')

    def test_the_actor_is_the_user(self, fake_place, tmp_path, listener):
        (tmp_path / 'users').write_text(htpasswd.line('alice', 'correct horse', 4))
        registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'users')))
        notify(registry, listener)
        registry('POST', f'/v2/a/blobs/uploads/?digest={digest_of(LAYER)}', LAYER, auth=('alice', 'correct horse'))

        assert listener.wait_for(1)[0]['actor'] == {'name': 'alice'}
        assert b'correct horse' not in listener.posts[0].body and b'Y29ycmVjdCBob3JzZQ' not in listener.posts[0].body

    def test_behind_a_proxy_the_address_has_no_port_and_the_url_is_that_of_clients(self, fake_place, listener):
        import ipaddress

        registry = fake_place.registry(Access(trusted_proxies=(ipaddress.ip_network('127.0.0.1/32'),)))
        notify(registry, listener)
        forwarded = {'X-Forwarded-For': '2001:db8::7', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'registry.example.com'}
        environ = {'REMOTE_ADDR': '127.0.0.1', 'REMOTE_PORT': '42961'}
        registry('POST', f'/v2/a/blobs/uploads/?digest={digest_of(LAYER)}', LAYER, headers=forwarded, environ_base=environ)
        (event,) = listener.wait_for(1)

        assert event['request']['addr'] == '2001:db8::7'
        assert event['target']['url'].startswith('https://registry.example.com/v2/a/blobs/')

    @pytest.mark.parametrize('host', ['', 'a b', '"', '\xff', '[', 'a' * 400])
    def test_a_hostile_host_and_user_agent_stay_within_their_values(self, fake_registry, listener, host):
        notify(fake_registry, listener)
        headers = {'Host': host, 'User-Agent': '"\x07' * 2000}
        fake_registry('POST', f'/v2/a/blobs/uploads/?digest={digest_of(LAYER)}', LAYER, headers=headers)
        (event,) = listener.wait_for(1)

        assert event['target']['url'].endswith(f'/v2/a/blobs/{digest_of(LAYER)}')
        assert listener.posts[0].body.isascii() and len(event['request']['useragent']) == events.LONGEST_AGENT

    def test_the_token_of_an_upload_is_in_no_event(self, notifying, listener):
        location = notifying('PATCH', notifying.upload('a'), LAYER).headers['Location']
        notifying('PUT', f'{location}?digest={digest_of(LAYER)}')
        listener.wait_for(1)

        assert location.rpartition('/')[2].encode() not in listener.posts[0].body


class TestWhatIsIgnored:
    def test_actions(self, fake_registry, listener):
        notify(fake_registry, listener, notifications_ignore_actions=('push',))
        fake_registry('GET', '/v2/a/blobs/' + fake_registry.push_blob('a', LAYER))

        assert [event['action'] for event in listener.wait_for(1)] == ['pull']

    def test_media_types(self, fake_registry, listener):
        notify(fake_registry, listener, notifications_ignore_media_types=(events.BLOB_TYPE,))
        fake_registry.push_image('a', 'v1', LAYER)

        assert [event['target']['mediaType'] for event in listener.wait_for(1)] == [formats.OCI_IMAGE]

    def test_an_ignored_media_type_hides_no_delete(self, fake_registry, listener):
        notify(fake_registry, listener, notifications_ignore_media_types=(events.BLOB_TYPE,))
        fake_registry('DELETE', '/v2/a/blobs/' + fake_registry.push_blob('a', LAYER))

        assert [event['action'] for event in listener.wait_for(1)] == ['delete']


def test_events_cost_no_request_to_swift(fake_registry, listener):
    def cost(tag):
        before = len(fake_registry.swift_requests)
        fake_registry.push_image('a', tag, tag.encode())
        fake_registry('GET', f'/v2/a/manifests/{tag}')
        fake_registry('GET', f'/v2/a/blobs/{digest_of(tag.encode())}')
        fake_registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(tag.encode())}&from=a')
        fake_registry('DELETE', f'/v2/a/manifests/{tag}')
        return len(fake_registry.swift_requests) - before

    cost('first')
    without = cost('second')
    notify(fake_registry, listener)

    assert cost('third') == without
    assert len(listener.wait_for(7)) == 7
