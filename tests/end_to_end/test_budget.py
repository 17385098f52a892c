"""The number of requests to Swift for what clients do most, with two workers. In a cloud, each request takes 10 to 50 ms."""

import pytest
import requests

FIRST_PUSH, PULL, SAME_PUSH = 12, 7, 8


@pytest.fixture
def spent(place):
    """A function that makes a call and returns the requests to Swift that it causes, except those that each worker sends once."""

    def count(call, *arguments):
        place.swift.mark()
        call(*arguments)
        return [
            '%s %s %s' % (request.method, request.path, request.status) for request in place.swift.requests() if not is_beginning(request)
        ]

    def is_beginning(request):
        container = '/v1/AUTH_test/' + place.container
        secret = container + '/files/_registry/secret'
        return request.path.startswith('/auth/') or (request.method, request.path) in [('HEAD', container), ('GET', secret)]

    return count


@pytest.fixture
def registry(registry):
    """A registry whose secret is there, which the first registry of all writes."""
    assert requests.post(registry.url + '/v2/team/image/blobs/uploads/').status_code == 202
    return registry


@pytest.fixture
def image(new_image):
    return new_image()


def assert_within(budget, requests):
    assert len(requests) <= budget, '%d requests:\n%s' % (len(requests), '\n'.join(requests))


def test_a_first_push(registry, skopeo, spent, image):
    assert_within(FIRST_PUSH, spent(skopeo.push, image, registry, 'team/image:v1'))


def test_a_pull(registry, skopeo, spent, image, new_folder):
    skopeo.push(image, registry, 'team/image:v1')
    assert_within(PULL, spent(skopeo.pull, registry, 'team/image:v1', new_folder()))


def test_a_pull_from_a_registry_that_has_just_started(place, skopeo, spent, image, new_folder):
    skopeo.push(image, place.registry(), 'team/image:v1')
    assert_within(PULL, spent(skopeo.pull, place.registry(), 'team/image:v1', new_folder()))


def test_a_push_of_what_is_there(registry, skopeo, spent, image):
    skopeo.push(image, registry, 'team/image:v1')
    assert_within(SAME_PUSH, spent(skopeo.push, image, registry, 'team/image:v1'))
