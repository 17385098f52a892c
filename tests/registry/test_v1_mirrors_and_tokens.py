# -*- coding: utf-8 -*-
"""A registry that mirrors another one, and one that asks an index about tokens. Both store what the other one said.

They stand for docker-registry's own tests/test_mirrors.py and tests/workflow.py, which use a fake source and Docker's own hub.
"""
import json
import re

import pytest

from processes import wait_until
from v1_client import V1Client, expected_of


def url(server):
    """:param server: a registry, or a client of it"""
    return 'http://%s:%d' % server.address


# Mirrors


# 0.9.1 only. 0.7.3 has mirrors, too, but answers every layer of them with a 500.


@pytest.fixture
def source(deploy, releases, real_swift):
    return deploy(releases('0.9.1'), real_swift).start()


@pytest.fixture
def mirror(deploy, releases, real_swift):
    """A deployment for mirrors of `source`. They store layers, but neither tags nor lists of images."""
    return deploy(releases('0.9.1'), real_swift)


def test_a_mirror_serves_what_its_source_has(source, mirror, small_image, name):
    image = small_image(layers=2)
    V1Client(source.address).push(name, image, 'latest')
    client = V1Client(mirror.start(MIRROR_SOURCE=url(source)).address)
    assert client.pull(name, 'latest') == expected_of(image)
    assert client.ask('GET', 'repositories/%s-other/tags' % name).status == 404


def test_a_mirror_keeps_the_layers_it_has_served(source, mirror, image, name):
    V1Client(source.address).push(name, image, 'latest')
    V1Client(mirror.start(MIRROR_SOURCE=url(source)).address).pull(name, 'latest')
    wanted = ['images/%s/%s' % (layer.id, what) for layer in image.layers for what in ('json', 'layer')]
    wanted.append('images/%s/ancestry' % image.id)
    wait_until(lambda: set(wanted) <= set(mirror.names('images/')))
    source.stop()
    client = V1Client(mirror.start().address)  # not a mirror any more
    assert [client.pull_layer(layer.id) for layer in image.layers] == expected_of(image)
    assert client.get_json('images/%s/ancestry' % image.id) == image.layers[-1].ancestry


# Tokens


@pytest.fixture
def index(deploy, release, real_swift):
    return V1Client(deploy(release, real_swift).start().address)


@pytest.fixture
def asking(deploy, release, real_swift, index, tmpdir):
    """A deployment whose registry asks `index` whether a token is good, and which images a repository has."""
    config = tmpdir.join('config.yml')
    with open(release.stock_config) as stock:
        config.write(re.sub('standalone: .*', 'standalone: false', stock.read()))
    made = deploy(release, real_swift)
    made.more = {'DOCKER_REGISTRY_CONFIG': str(config), 'INDEX_ENDPOINT': url(index)}
    return made


@pytest.fixture
def asker(asking):
    return V1Client(asking.start().address)


def reading(index, name):
    """The headers with which a client reads a repository that the index knows."""
    answer = index.expect(200, 'GET', 'repositories/%s/images' % name, headers={'X-Docker-Token': 'true'})
    return {'Authorization': 'Token ' + answer.headers['x-docker-token']}


def test_a_registry_takes_and_serves_the_images_that_its_index_knows(asking, asker, index, small_image, name):
    image = small_image()
    token = index.announce(name, image, 'latest')
    asker.push_layer(image.layers[0], token)
    asker.put_tag(name, 'latest', image.id, token)
    assert asker.get_json('repositories/%s/tags' % name, reading(index, name)) == {'latest': image.id}
    assert [asker.pull_layer(image.id, reading(index, name))] == expected_of(image)
    assert json.loads(asking.read('repositories/%s/_images_list' % name)) == [image.id]


def test_a_registry_takes_no_image_that_its_index_does_not_know(asking, asker, index, small_image, name):
    token = index.announce(name, small_image(), 'latest')
    other = small_image().layers[0]
    assert asker.ask('PUT', 'images/%s/json' % other.id, other.json, token).status == 400
    assert asking.names('images/') == []


def test_a_registry_serves_nobody_without_a_token_for_reading(asker, index, small_image, name):
    image = small_image()
    token = index.announce(name, image, 'latest')
    asker.push_layer(image.layers[0], token)
    asker.put_tag(name, 'latest', image.id, token)
    for path in ('repositories/%s/tags' % name, 'images/%s/json' % image.id, 'images/%s/layer' % image.id):
        assert [asker.ask('GET', path, headers=headers).status for headers in (None, token)] == [401, 401]
