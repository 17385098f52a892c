"""Pushes and pulls with containerd, as Kubernetes and nerdctl do them."""

import os

import pytest

import clients
import conftest
import images
from clients import ALICE
from containerd import Containerd
from images import MiB
from test_skopeo import KINDS


@pytest.fixture
def containerd():
    conftest.need('containerd', 'ctr', 'setpriv')
    made = Containerd()
    try:
        yield made.wait()
    finally:
        print(made.log)
        made.stop()


@pytest.fixture(params=sorted(KINDS))
def types(request):
    return KINDS[request.param]


@pytest.fixture
def empty(place):
    """A registry on a container that has nothing in it yet."""
    return place.registry(OS_CONTAINER=place.container + '-empty')


def assert_has(containerd, image):
    """Every blob and every manifest of an image is in containerd, byte for byte."""
    for name in os.listdir(image.folder):
        if name == 'version':
            continue
        with open(os.path.join(image.folder, name), 'rb') as file:
            content = file.read()
        assert containerd.content(images.digest_of(content)) == content


def test_an_image_is_pulled_as_it_was_pushed(containerd, registry, skopeo, new_image, types):
    image = new_image(MiB, 10, 70 * MiB, types=types)
    skopeo.push(image, registry, 'team/image:v1')
    containerd.pull(registry.address + '/team/image:v1')
    assert_has(containerd, image)


def test_an_image_is_pushed_as_it_was_pulled(containerd, registry, empty, skopeo, new_image, new_folder, types):
    image = new_image(MiB, 10, 70 * MiB, types=types)
    skopeo.push(image, registry, 'team/image:v1')
    containerd.pull(registry.address + '/team/image:v1')
    containerd('images', 'tag', registry.address + '/team/image:v1', empty.address + '/team/image:v1')
    containerd.push(empty.address + '/team/image:v1')
    assert images.differences(image.folder, skopeo.pull(empty, 'team/image:v1', new_folder())) == []


def test_an_image_goes_to_another_repository_without_its_bytes(containerd, place, registry, skopeo, new_image, new_folder):
    image = new_image(5 * MiB)
    skopeo.push(image, registry, 'team/one:v1')
    containerd.pull(registry.address + '/team/one:v1')
    containerd('images', 'tag', registry.address + '/team/one:v1', registry.address + '/team/other:v1')
    place.swift.mark()
    containerd.push(registry.address + '/team/other:v1')
    assert sum(request.bytes_in for request in place.swift.requests()) < MiB
    assert images.differences(image.folder, skopeo.pull(registry, 'team/other:v1', new_folder())) == []


def test_all_platforms_of_an_index_are_pulled_and_pushed(containerd, registry, empty, skopeo, new_multi_arch, new_folder, types):
    index = new_multi_arch(MiB, 10, types=types)
    skopeo.push(index, registry, 'team/index:v1', '--all')
    containerd.pull(registry.address + '/team/index:v1', '--all-platforms')
    assert_has(containerd, index)
    containerd('images', 'tag', registry.address + '/team/index:v1', empty.address + '/team/index:v1')
    containerd.push(empty.address + '/team/index:v1')
    assert images.differences(index.folder, skopeo.pull(empty, 'team/index:v1', new_folder(), '--all')) == []


def test_an_image_is_pulled_by_its_digest(containerd, registry, skopeo, new_image):
    image = new_image()
    skopeo.push(image, registry, 'team/image:v1')
    containerd.pull('%s/team/image@%s' % (registry.address, image.digest))
    assert_has(containerd, image)


def test_content_is_fetched_without_being_unpacked(containerd, registry, skopeo, new_multi_arch):
    index = new_multi_arch(MiB)
    skopeo.push(index, registry, 'team/index:v1', '--all')
    containerd('content', 'fetch', '--plain-http', '--all-platforms', registry.address + '/team/index:v1')
    assert_has(containerd, index)
    assert containerd('snapshots', 'list').count(b'\n') == 1  # its heading


@pytest.mark.parametrize('variables', [{}, {'REGISTRY_ANONYMOUS_PULL': 'yes'}], ids=['closed', 'public'])
def test_an_image_is_pushed_and_pulled_with_a_password(containerd, place, users, skopeo, new_image, new_folder, variables):
    registry = place.registry(REGISTRY_HTPASSWD=users, **variables)
    image = new_image(10, 20 * MiB)
    skopeo.push(image, registry, 'team/image:v1', '--dest-creds', ALICE)
    containerd.pull(registry.address + '/team/image:v1', '--user', ALICE)
    containerd('images', 'tag', registry.address + '/team/image:v1', registry.address + '/team/copy:v1')
    with pytest.raises(clients.CommandFailed, match='401|authorization failed'):
        containerd.push(registry.address + '/team/copy:v1')
    containerd.push(registry.address + '/team/copy:v1', '--user', ALICE)
    assert images.differences(image.folder, skopeo.pull(registry, 'team/copy:v1', new_folder(), '--src-creds', ALICE)) == []
