# -*- coding: utf-8 -*-
"""Push a real image of several layers to the registry, and pull it back."""
import json

import pytest

from v1_client import V1Client, expected_of
from v1_image import MiB, sha256

JUST_BEFORE_THE_END = 40 * MiB  # in the large layer, whose tar is some KiB longer than the file in it


@pytest.fixture
def large(image):
    """The layer that is larger than a segment."""
    return image.layers[1]


@pytest.fixture
def boundary(deployment, pushed, large):
    """Where the second segment of the large layer begins."""
    return deployment.segments('images/%s/layer' % large.id)[0][1]


def test_a_pushed_image_comes_back_byte_for_byte(client, pushed, image):
    assert client.pull(pushed, 'latest') == expected_of(image)


def test_a_second_registry_on_the_same_container_serves_it_too(other_client, pushed, image):
    assert other_client.pull(pushed, 'latest') == expected_of(image)


def test_a_registry_started_later_serves_it_too(deployment, pushed, image):
    assert V1Client(deployment.start().address).pull(pushed, 'latest') == expected_of(image)


def test_a_layer_above_the_segment_size_is_stored_in_segments(deployment, pushed, large):
    segments = deployment.segments('images/%s/layer' % large.id)
    assert len(segments) > 1
    assert sum(size for _, size in segments) == large.size


def test_layers_that_the_registry_has_are_not_sent_again(client, pushed, image, name):
    assert client.push(name, image, 'copy') == []
    assert client.tag(name, 'copy') == image.id


@pytest.mark.parametrize('first, last', [(0, 1), (1000, 70000), (JUST_BEFORE_THE_END, JUST_BEFORE_THE_END + 1)])
def test_a_range_gives_exactly_these_bytes(client, pushed, large, first, last):
    assert_gives_range(client, large, first, last)


@pytest.mark.parametrize('before, after', [(-100, -1), (-50, 49), (0, 99)])
def test_a_range_near_the_boundary_of_segments_gives_exactly_these_bytes(client, large, boundary, before, after):
    assert_gives_range(client, large, boundary + before, boundary + after)


def assert_gives_range(client, layer, first, last):
    answer = client.layer_range(layer.id, '%d-%d' % (first, last))
    assert (answer.status, answer.complete) == (206, True)
    assert (len(answer.body), sha256(answer.body)) == (last - first + 1, sha256(layer.read(first, last)))


@pytest.mark.parametrize('last', ['', '99999999'], ids=['open', 'beyond'])
def test_a_range_to_the_end_gives_every_byte_though_the_registry_promises_more(client, pushed, large, last):
    answer = client.layer_range(large.id, '%d-%s' % (JUST_BEFORE_THE_END, last))
    rest = large.read(JUST_BEFORE_THE_END)
    assert (len(answer.body), sha256(answer.body)) == (len(rest), sha256(rest))
    # The registry takes `size` as the last byte, which is one too many. Docker accepts that, so the test does, too.
    assert int(answer.headers['content-length']) > len(rest)


def test_the_files_in_a_layer_can_be_listed(client, pushed, image):
    files = dict((entry[0], entry) for entry in client.get_json('images/%s/files' % image.layers[0].id))
    assert files['/usr/lib/python/json/__init__.py'][1] == 'f'
    assert files['/usr/bin/python'][1] == 's'


def test_a_layer_whose_checksum_is_wrong_is_never_served(client, small_image):
    layer = small_image().layers[0]
    client.put_image_json(layer)
    client.expect(200, 'PUT', 'images/%s/layer' % layer.id, layer.read()[:-1] + b'x')
    refused = client.ask('PUT', 'images/%s/checksum' % layer.id, b'', {'X-Docker-Checksum-Payload': layer.checksum})
    assert (refused.status, json.loads(refused.body)) == (400, {'error': 'Checksum mismatch'})
    assert client.ask('GET', 'images/%s/layer' % layer.id).status == 400
    assert client.push_layer(layer)
    assert client.pull_layer(layer.id).sha256 == layer.sha256


def test_a_layer_with_a_length_is_stored_like_a_chunked_one(client, small_image):
    layer = small_image().layers[0]
    client.put_image_json(layer)
    client.expect(200, 'PUT', 'images/%s/layer' % layer.id, layer.read())
    client.expect(200, 'PUT', 'images/%s/checksum' % layer.id, b'', {'X-Docker-Checksum-Payload': layer.checksum})
    assert client.pull_layer(layer.id).sha256 == layer.sha256

