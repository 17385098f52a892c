# -*- coding: utf-8 -*-
"""The Redis LRU cache itself. The other files test that everything else works the same with and without it."""
import pytest

from v1_client import V1Client, expected_of


@pytest.fixture
def cached(deploy, release, real_swift, own_redis):
    return deploy(release, real_swift, own_redis)


def test_what_was_read_is_kept_in_redis_and_what_was_deleted_is_not(cached, own_redis, small_image, name):
    client = V1Client(cached.start().address)
    client.push(name, small_image(), 'latest', 'other')
    client.tags(name)
    assert any(key.endswith('repositories/%s/tag_latest' % name) for key in own_redis.keys(name))
    client.delete_tag(name, 'latest')
    assert not any(key.endswith('repositories/%s/tag_latest' % name) for key in own_redis.keys(name))
    client.delete_repository(name)
    assert own_redis.keys(name) == []


def test_a_redis_that_dies_costs_speed_and_no_images(cached, own_redis, small_image, name):
    image = small_image(layers=2)
    # Without CACHE_REDIS_*: that is for the registry's own job queue, and some releases fail when its Redis dies.
    registry = cached.start(without=['CACHE_REDIS_HOST', 'CACHE_REDIS_PORT'])
    client = V1Client(registry.address)
    client.push(name, image, 'latest')
    own_redis.stop()
    assert client.pull(name, 'latest') == expected_of(image)
    client.push(name, image, 'another')
    assert client.tags(name) == {'latest': image.id, 'another': image.id}


def test_a_registry_without_the_cache_sees_what_one_with_it_has_changed(cached, deploy, real_swift, small_image, name):
    old, new = small_image(), small_image()
    client = V1Client(cached.start().address)
    plain = V1Client(deploy(cached.release, real_swift, None, cached.container_name).start().address)
    client.push(name, old, 'latest')
    assert plain.tag(name, 'latest') == old.id
    client.push(name, new, 'latest')
    assert plain.tag(name, 'latest') == new.id
