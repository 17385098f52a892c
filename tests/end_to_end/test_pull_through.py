"""CNCF distribution as a pull-through cache in front of this registry."""

import pytest

import clients
import images
from clients import ALICE
from servers import wait_until


@pytest.fixture
def origin(place, users):
    return place.registry(REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='yes')


@pytest.fixture
def cache(place, origin):
    return place.cache(origin, ALICE)


def test_an_image_is_pulled_through_a_cache_with_a_password(origin, cache, skopeo, new_image, new_folder):
    image = new_image(10, images.MiB)
    skopeo.push(image, origin, 'team/image:v1', '--dest-creds', ALICE)

    assert images.differences(image.folder, skopeo.pull(cache, 'team/image:v1', new_folder())) == []


def test_a_multi_arch_index_is_pulled_through_a_cache(origin, cache, skopeo, new_multi_arch, new_folder):
    index = new_multi_arch()
    skopeo.push(index, origin, 'team/index:v1', '--all', '--dest-creds', ALICE)

    assert images.differences(index.folder, skopeo.pull(cache, 'team/index:v1', new_folder(), '--all')) == []


def test_a_tag_that_was_pushed_over_is_new_in_a_cache(origin, cache, skopeo, new_image, new_folder):
    for image in (new_image(), new_image()):
        skopeo.push(image, origin, 'team/image:v1', '--dest-creds', ALICE)
        assert images.differences(image.folder, skopeo.pull(cache, 'team/image:v1', new_folder())) == []


def test_a_cached_image_is_pulled_while_the_registry_is_down(origin, cache, skopeo, new_image, new_folder):
    image = new_image()
    skopeo.push(image, origin, 'team/image:v1', '--dest-creds', ALICE)
    skopeo.pull(cache, 'team/image:v1', new_folder())
    wait_until(lambda: cache.has('team/image', image.blobs), 'the cache has stored all that it passed on')
    origin.stop()

    assert images.differences(image.folder, skopeo.pull(cache, 'team/image@' + image.digest, new_folder())) == []


def test_docker_pulls_through_a_cache(docker, origin, cache, hello, tagged, login):
    login(origin.address)
    docker('push', tagged(origin.address))
    reference = cache.address + '/team/hello'

    assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]
    clients.forget(docker, reference)


def test_a_cache_with_a_wrong_password_gets_nothing(place, origin, skopeo, new_image, new_folder):
    skopeo.push(new_image(), origin, 'team/image:v1', '--dest-creds', ALICE)
    cache = place.cache(origin, 'alice:wrong')

    with pytest.raises(clients.CommandFailed):
        skopeo.pull(cache, 'team/image:v1', new_folder())


def test_a_cache_needs_no_password_where_everybody_may_pull(place, users, skopeo, new_image, new_folder):
    public = place.registry(REGISTRY_HTPASSWD=users, REGISTRY_ANONYMOUS_PULL='yes')
    image = new_image()
    skopeo.push(image, public, 'team/image:v1', '--dest-creds', ALICE)

    assert images.differences(image.folder, skopeo.pull(place.cache(public), 'team/image:v1', new_folder())) == []
