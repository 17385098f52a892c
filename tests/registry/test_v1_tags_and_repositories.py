# -*- coding: utf-8 -*-
"""Changes of tags and repositories in a v1 registry, seen from two processes on one container.

They include what docker-registry's own tests/test_tags.py checks.
"""
import pytest

from v1_client import V1Client, expected_of


@pytest.fixture
def both(client, other_client):
    return client, other_client


def statuses(clients, path, method='GET'):
    return [client.ask(method, path).status for client in clients]


def test_tags_are_listed_and_read_by_another_process(client, other_client, small_image, name):
    image = small_image(layers=2)
    client.push(name, image, '1.0', 'latest')
    assert other_client.tags(name) == {'1.0': image.id, 'latest': image.id}
    assert other_client.tag(name, '1.0') == image.id


def test_a_tag_that_begins_like_another_is_told_from_it(client, small_image, name):
    first, second = small_image(), small_image()
    client.push(name, first, '1.0')
    client.push(name, second, '1.0_rc-1')
    assert client.tags(name) == {'1.0': first.id, '1.0_rc-1': second.id}


def test_a_repository_of_more_objects_than_a_page_is_listed_and_deleted_whole(deployment, client, small_image, name):
    image = small_image()
    tags = ['v%02d' % number for number in range(15)]  # two objects each; the Swift of the test lists 20 per page
    client.push(name, image, *tags)
    assert client.tags(name) == dict((tag, image.id) for tag in tags)
    client.delete_repository(name)
    assert deployment.names('repositories/%s/' % name) == []


def test_a_tag_that_is_pushed_again_is_new_in_every_process(both, small_image, name):
    old, new = small_image(), small_image()
    both[0].push(name, old, 'latest')
    assert [client.tag(name, 'latest') for client in both] == [old.id, old.id]
    both[1].push(name, new, 'latest')
    assert [client.tag(name, 'latest') for client in both] == [new.id, new.id]
    assert [client.tags(name) for client in both] == [{'latest': new.id}] * 2


def test_a_deleted_tag_is_gone_in_every_process(both, small_image, name):
    image = small_image()
    both[0].push(name, image, 'kept', 'latest')
    assert [client.tag(name, 'latest') for client in both] == [image.id, image.id]
    both[0].delete_tag(name, 'latest')
    assert statuses(both, 'repositories/%s/tags/latest' % name) == [404, 404]
    assert [client.tags(name) for client in both] == [{'kept': image.id}] * 2


def test_what_is_known_of_a_tag_is_that_of_its_last_push(registry, both, small_image, name):
    image = small_image()
    both[0].push(name, image, 'latest', 'other')
    pusher = V1Client(registry.address)
    pusher.user_agent = 'docker/0.7.2-dev go/go1.2 os/ostest arch/archtest'
    pusher.put_tag(name, 'latest', image.id)
    for client in both:
        assert known_of(client, name, 'latest') == ['0.7.2-dev', 'go1.2', 'ostest', 'archtest']
        assert known_of(client, name, 'other') == ['1.5.0', 'go1.4.1', 'linux', 'amd64']


def known_of(client, name, tag):
    """What the registry stored of the client that pushed a tag. For `latest`, the repository says the same."""
    known = client.get_json('repositories/%s/tags/%s/json' % (name, tag))
    if tag == 'latest':
        assert client.get_json('repositories/%s/json' % name) == known
    return [known[key] for key in ('docker_version', 'docker_go_version', 'os', 'arch')]


def test_a_tag_cannot_be_deleted_twice(both, small_image, name):
    both[0].push(name, small_image(), 'latest', 'kept')
    both[0].delete_tag(name, 'latest')
    assert statuses(both, 'repositories/%s/tags/latest' % name, 'DELETE') == [404, 404]


def test_a_deleted_tag_can_be_pushed_again(client, other_client, small_image, name):
    image = small_image()
    client.push(name, image, 'latest')
    client.delete_tag(name, 'latest')
    client.put_tag(name, 'latest', image.id)
    assert other_client.tag(name, 'latest') == image.id


def test_nothing_remains_of_a_deleted_repository(deployment, both, small_image, name):
    image = small_image(layers=2)
    both[0].push(name, image, '1.0', 'latest')
    both[1].pull(name, 'latest')
    both[0].set_access(name, 'private')
    both[1].delete_repository(name)
    assert deployment.names('repositories/%s/' % name) == []
    assert statuses(both, 'repositories/%s/tags' % name) == [404, 404]
    assert statuses(both, 'repositories/%s/tags/latest' % name) == [404, 404]
    assert statuses(both, 'repositories/%s/images' % name) == [404, 404]
    assert [client.get_json('repositories/%s/properties' % name) for client in both] == [{'access': 'public'}] * 2


def test_a_repository_that_was_never_pushed_is_not_found(both, name):
    for path in ('tags', 'tags/latest', 'images'):
        assert statuses(both, 'repositories/%s/%s' % (name, path)) == [404, 404]
    assert statuses(both, 'repositories/%s/' % name, 'DELETE') == [404, 404]


def test_a_repository_may_have_odd_characters_in_its_name(client, other_client, small_image, name):
    image, odd = small_image(), name + '%25%24_-test'  # percent-encoded: %$_-test
    client.push(odd, image, 'latest')
    assert other_client.pull(odd, 'latest') == expected_of(image)
    client.delete_repository(odd)
    assert other_client.ask('GET', 'repositories/%s/tags' % odd).status == 404


def test_a_repository_cannot_be_deleted_twice(client, small_image, name):
    client.push(name, small_image(), 'latest')
    client.delete_repository(name)
    assert client.ask('DELETE', 'repositories/%s/' % name).status == 404


def test_a_repository_that_has_nothing_but_tags_can_be_deleted_once(client, small_image, name):
    """The registry deletes its tags first, and then its folder, which does not exist any more by then."""
    layer = small_image().layers[0]
    client.push_layer(layer)
    for tag in ('latest', 'test'):
        client.put_tag(name, tag, layer.id)
    client.delete_repository(name)
    assert client.ask('DELETE', 'repositories/%s/' % name).status == 404


def test_repositories_whose_names_begin_the_same_survive(client, other_client, small_image, name):
    image = small_image()
    siblings = [name + more for more in ('2', '-old', '.git', '_')]
    for repository in [name] + siblings:
        client.push(repository, image, 'latest')
    client.delete_repository(name)
    for repository in siblings:
        assert other_client.pull(repository, 'latest') == expected_of(image)


def test_a_deleted_repository_can_be_pushed_again_without_its_old_tags(client, other_client, small_image, name):
    image = small_image()
    client.push(name, small_image(), 'old')
    client.delete_repository(name)
    client.push(name, image, 'new')
    assert other_client.tags(name) == {'new': image.id}


def test_a_repository_without_a_namespace_is_in_library(deployment, client, small_image):
    image = small_image()
    client.push('alone', image, 'latest')
    assert client.tags('library/alone') == {'latest': image.id}
    client.delete_repository('alone')
    assert deployment.names('repositories/library/') == []


def test_a_private_repository_is_private_in_every_process_until_it_is_public(both, small_image, name):
    both[0].push(name, small_image(), 'latest')
    for access in ('private', 'public', 'private'):
        both[0].set_access(name, access)
        assert [client.get_json('repositories/%s/properties' % name) for client in both] == [{'access': access}] * 2
