"""A delete on the page is one like any other: listeners and the log are told. One form deletes several tags."""

import re

import pytest

from access_client import basic, replace
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http import events
from docker_registry.v2.http.page.endpoints import MOST_DELETES
from docker_registry.v2.settings.config import Access
from docker_registry.v2.settings.notifications import Notifications
from event_listener import EventListener
from fake_swift import on, status

OWN = {'Sec-Fetch-Site': 'same-origin'}


@pytest.fixture
def deleting(fake_place):
    registry = fake_place.registry(Access(ui_delete=True))
    for tag in ('v1', 'v2', 'v3'):
        registry.push_image('a', tag, b'layer')
    return registry


def notify(registry, listener):
    told = Notifications(notifications_url=(listener.url,), notifications_timeout=300)  # a slow listener would get an event again
    registry.app.events = events.Events(told, 5000, lambda seconds, call, *arguments: call(*arguments))


def audited(caplog):
    return [message.split()[3:5] for message in caplog.messages if message.startswith('delete ')]


@pytest.mark.parametrize('method, path', [('POST', '/ui/a/delete/?tag=v1'), ('DELETE', '/v2/a/manifests/v1')])
def test_the_page_and_the_api_tell_the_same(deleting, caplog, method, path):
    caplog.set_level('INFO')
    with EventListener() as listener:
        notify(deleting, listener)
        deleting(method, path, headers=OWN)
        deleting('GET', '/v2/a/manifests/v2')
        (event, _) = listener.wait_for(2)

    assert (event['action'], event['target']) == ('delete', {'repository': 'a', 'tag': 'v1'})
    assert audited(caplog) == [['repository=a', 'tag=v1']]


def test_what_is_refused_is_not_told(deleting, caplog):
    caplog.set_level('INFO')
    with EventListener() as listener:
        notify(deleting, listener)
        assert deleting('POST', '/ui/a/delete/?tag=v1').status_code == 403
        assert deleting('POST', '/ui/a/delete/?tag=nothing', headers=OWN).status_code == 404
        deleting('GET', '/v2/a/manifests/v2')
        (event,) = listener.wait_for(1)

    assert event['action'] == 'pull' and not audited(caplog)


# Several tags at once


def tags(registry):
    return registry('GET', '/v2/a/tags/list').json['tags']


def losers(answer):
    """Return the text for each image on the page that asks."""
    found = re.findall('<li>(.*?)</li>', answer.text, re.DOTALL)
    return [' '.join(re.sub(r'<[^>]*>', '', text).split()) for text in found]


def test_several_tags_go_at_once(deleting, caplog):
    caplog.set_level('INFO')
    with EventListener() as listener:
        notify(deleting, listener)
        answer = deleting('POST', '/ui/a/delete/?tag=v1&tag=v3', headers=OWN)
        told = [event['target']['tag'] for event in listener.wait_for(2)]

    assert (answer.status_code, answer.headers['Location']) == (303, '/ui/a/tags/?deleted=v1&deleted=v3')
    assert tags(deleting) == ['v2']
    assert told == ['v1', 'v3']
    assert audited(caplog) == [['repository=a', 'tag=v1'], ['repository=a', 'tag=v3']]
    assert 'These tags are deleted: v1, v3.' in re.sub('<[^>]*>', '', deleting('GET', answer.headers['Location']).text)


def test_each_image_says_which_tags_it_loses_and_which_stay(deleting):
    deleting.push_image('a', 'other', b'another')

    same, other = losers(deleting('GET', '/ui/a/delete/?tag=v1&tag=other&tag=v2'))

    assert same.startswith('a:v1, a:v2 sha256:') and same.endswith('This tag points to the same image, and stays: v3')
    assert other.startswith('a:other sha256:') and 'No other tag points to this image' in other


def test_more_tags_than_are_looked_up_by_name(deleting):
    manifest = deleting('GET', '/v2/a/manifests/v1').data
    for number in range(MOST_DELETES):
        deleting.push_manifest('a', f'x{number:02}', manifest)
    query = '&'.join(f'tag=x{number:02}' for number in range(MOST_DELETES))

    (loser,) = losers(deleting('GET', f'/ui/a/delete/?{query}'))

    assert f'a:x{MOST_DELETES - 1}' in loser and loser.endswith('stay: v1, v2, v3')
    assert deleting('POST', f'/ui/a/delete/?{query}', headers=OWN).status_code == 303
    assert tags(deleting) == ['v1', 'v2', 'v3']


@pytest.mark.parametrize('query', ['', '?tag=', '?tag=../x', '?tag=' + '&tag='.join(f't{number}' for number in range(MOST_DELETES + 1))])
def test_none_too_many_and_no_tags_are_refused(deleting, query):
    for method in ('GET', 'POST'):
        assert deleting(method, f'/ui/a/delete/{query}', headers=OWN).status_code == 400
    assert len(tags(deleting)) == 3


def test_a_tag_that_is_gone_does_not_keep_the_others(deleting):
    answer = deleting('POST', '/ui/a/delete/?tag=gone&tag=v1', headers=OWN)

    assert answer.headers['Location'] == '/ui/a/tags/?deleted=v1'
    assert deleting('POST', '/ui/a/delete/?tag=gone&tag=v1', headers=OWN).status_code == 404
    assert deleting('GET', '/ui/a/delete/?tag=gone').status_code == 404


def test_nothing_goes_if_one_tag_may_not(fake_place, deleting, tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'secret', 4))
    replace(str(tmp_path / 'rules'), b'allow alice pull,push,delete **\ndeny alice delete a:v1\n')
    access = Access(htpasswd=str(tmp_path / 'htpasswd'), rules=str(tmp_path / 'rules'), ui_delete=True)
    registry, sent = fake_place.registry(access), basic('alice', 'secret') | OWN

    for method in ('GET', 'POST'):
        assert registry(method, '/ui/a/delete/?tag=v2&tag=v1', headers=sent).status_code == 403
    assert len(tags(deleting)) == 3
    assert re.findall('name="tag" value="([^"]*)"', registry('GET', '/ui/a/tags/', headers=sent).text) == ['v3', 'v2']


def test_a_swift_that_fails_half_way_has_told_what_is_gone(deleting, fake, caplog):
    caplog.set_level('INFO')
    fake.fault(on('DELETE', path_contains='/v2/current'), status(403), times=None)
    with EventListener() as listener:
        notify(deleting, listener)
        assert deleting('POST', '/ui/a/delete/?tag=v1&tag=v2&tag=v3', headers=OWN).status_code == 503
        (event,) = listener.wait_for(1)

    assert event['target']['tag'] == 'v1' and tags(deleting) == ['v2', 'v3']
    assert audited(caplog) == [['repository=a', 'tag=v1']]


def test_nobody_chooses_where_nothing_is_deleted(fake_place, deleting):
    assert 'type="checkbox"' in deleting('GET', '/ui/a/tags/').text
    assert 'type="checkbox"' not in fake_place.registry()('GET', '/ui/a/tags/').text
    assert 'type="checkbox"' not in fake_place.registry(Access(ui_delete=True, read_only=True))('GET', '/ui/a/tags/').text


def test_only_tags_are_said_to_be_deleted(deleting):
    text = deleting('GET', '/ui/a/tags/?deleted=call+0900+12345&deleted=<b>').text

    assert '0900' not in text and 'is deleted' not in text


@pytest.mark.parametrize('tag', ['tags', 'manifests', 'delete'])
def test_tags_with_names_of_routes_have_their_pages(deleting, tag):
    deleting.push_image('a', tag, b'layer')
    deleting.push_image(f'a/{tag}', 'v1', b'layer')

    assert f'>:{tag}<' in deleting('GET', f'/ui/a/manifests/{tag}').text
    assert f'a/{tag}/manifests/v1' in deleting('GET', f'/ui/a/{tag}/tags/').text
    assert deleting('GET', f'/ui/a/{tag}/delete/?tag=v1').status_code == 200
    assert deleting('POST', f'/ui/a/delete/?tag={tag}', headers=OWN).status_code == 303
