# -*- coding: utf-8 -*-
"""What the registry stores of images and of the index, beside layers and tags.

They stand for those of docker-registry's own tests that reach the storage: tests/test_images.py, test_index.py, test_layers.py,
and the checks in tests/base.py. Its sdist does not contain them, and they run the application without a server.
"""
import json
import os
import subprocess

import pytest

CHECKSUM = 'X-Docker-Checksum-Payload'
DIFF = 'import sys; from docker_registry.lib import layers; print(layers.get_image_diff_json(sys.argv[1]))'


@pytest.fixture
def read_both(client, other_client):
    """A function that reads JSON through both processes, which must agree, and returns it."""
    def read(path):
        first, second = [each.get_json(path) for each in (client, other_client)]
        assert first == second
        return first
    return read


def put_checksum(client, image, checksum):
    return client.ask('PUT', 'images/%s/checksum' % image, b'', {CHECKSUM: checksum}).status


def test_a_checksum_completes_an_image_only_once(client, other_client, small_image):
    layer = small_image().layers[0]
    client.push_layer(layer)
    assert [put_checksum(each, layer.id, layer.checksum) for each in (client, other_client)] == [409, 409]


def test_an_image_without_a_json_takes_neither_layer_nor_checksum(client, small_image):
    layer = small_image().layers[0]
    assert put_checksum(client, layer.id, layer.checksum) == 404
    assert client.ask('PUT', 'images/%s/layer' % layer.id, layer.read()).status == 404


def test_a_complete_image_is_not_overwritten(client, other_client, small_image):
    layer = small_image().layers[0]
    client.push_layer(layer)
    for each in (client, other_client):
        assert each.ask('PUT', 'images/%s/json' % layer.id, layer.json).status == 409
        assert each.ask('PUT', 'images/%s/layer' % layer.id, b'other bytes').status == 409
    assert other_client.pull_layer(layer.id).sha256 == layer.sha256


def test_the_json_comes_with_size_and_checksum(client, other_client, small_image):
    layer = small_image().layers[0]
    client.push_layer(layer)
    headers = other_client.expect(200, 'GET', 'images/%s/json' % layer.id).headers
    assert int(headers['x-docker-size']) == layer.size
    # 0.7.3 has another name for it.
    assert layer.checksum in headers.get('x-docker-checksum-payload', headers.get('x-docker-payload-checksum'))


@pytest.mark.parametrize('what', ['json', 'layer', 'ancestry', 'files'])
def test_an_image_that_was_never_pushed_is_not_found(client, small_image, what):
    assert client.ask('GET', 'images/%s/%s' % (small_image().id, what)).status == 404


def test_an_image_whose_parent_was_never_pushed_is_refused(client, small_image):
    layer = small_image(layers=2).layers[1]
    assert client.ask('PUT', 'images/%s/json' % layer.id, layer.json).status == 400


def test_the_ancestry_goes_from_an_image_to_its_base(client, read_both, small_image):
    layers = small_image(layers=3).layers
    for layer in layers:
        client.push_layer(layer)
    for layer in layers:
        assert read_both('images/%s/ancestry' % layer.id) == layer.ancestry


def test_the_list_of_files_is_stored_beside_the_layer(deployment, client, read_both, small_image):
    layer = small_image().layers[0]
    client.push_layer(layer)
    files = read_both('images/%s/files' % layer.id)
    assert json.loads(deployment.read('images/%s/_files' % layer.id)) == files


def test_what_a_layer_changes_is_stored_beside_it(deployment, release, client, pushed, image, tmpdir):
    """The registry's worker computes it from the layers below. Here a process of the release does the same without a queue."""
    top = image.layers[-1].id
    environment = dict(deployment.settings(), DOCKER_REGISTRY_CONFIG=release.stock_config, PATH=os.environ['PATH'], HOME=str(tmpdir))
    printed = subprocess.check_output([release.program('python'), '-c', DIFF, top], env=environment, cwd=str(tmpdir))
    changes = json.loads(printed.splitlines()[-1])
    assert [u'/etc/na\xefve.conf' in changes[kind] for kind in ('created', 'changed', 'deleted')] == [True, False, False]
    assert json.loads(deployment.read('images/%s/_diff' % top)) == changes
    answer = client.ask('GET', 'images/%s/diff' % top)
    assert answer.status == 400 if deployment.redis is None else json.loads(answer.body) == changes


def test_the_index_adds_the_images_of_every_push(client, read_both, small_image, name):
    images = [small_image(layers=2) for _ in range(2)]
    for image in images:
        client.push(name, image, 'latest')
    known = dict((entry['id'], entry.get('checksum')) for entry in read_both('repositories/%s/images' % name))
    assert known == dict((layer.id, layer.checksum) for image in images for layer in image.layers)


def test_the_images_of_a_repository_stay_in_the_index_until_it_is_deleted(client, read_both, small_image, name):
    client.push(name, small_image(), 'latest')
    before = read_both('repositories/%s/images' % name)
    client.expect(204, 'DELETE', 'repositories/%s/images' % name)
    assert read_both('repositories/%s/images' % name) == before
    client.delete_repository(name)
    assert client.ask('GET', 'repositories/%s/images' % name).status == 404
