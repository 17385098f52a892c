"""Images that skopeo pulls are byte for byte those that it pushed."""

import pytest

import clients
import images
from images import MiB

KINDS = {'oci': images.OCI, 'docker': images.DOCKER}


@pytest.fixture(params=sorted(KINDS))
def types(request):
    return KINDS[request.param]


def test_an_image_comes_back_as_it_was(skopeo, registry, new_image, new_folder, types):
    image = new_image(MiB, 10, 70 * MiB, types=types)
    skopeo.push(image, registry, 'team/image:v1')
    assert images.differences(image.folder, skopeo.pull(registry, 'team/image:v1', new_folder())) == []


def test_a_multi_arch_index_comes_back_as_it_was(skopeo, registry, new_multi_arch, new_folder, types):
    index = new_multi_arch(MiB, 10, types=types)
    skopeo.push(index, registry, 'team/index:v1', '--all')
    assert images.differences(index.folder, skopeo.pull(registry, 'team/index:v1', new_folder(), '--all')) == []


def test_a_platform_of_an_index_is_pulled_alone(skopeo, registry, new_multi_arch, new_folder, types):
    index = new_multi_arch(types=types)
    skopeo.push(index, registry, 'index:v1', '--all')
    pulled = skopeo.pull(registry, 'index:v1', new_folder(), '--override-arch=arm64')
    assert images.digest_in(pulled) == index.platforms['arm64']


def test_an_image_goes_from_one_repository_to_another(skopeo, registry, new_image, new_folder, types):
    image = new_image(types=types)
    skopeo.push(image, registry, 'one:v1')
    skopeo.copy(
        'docker://%s/one:v1' % registry.address,
        'docker://%s/other:v1' % registry.address,
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
    )
    assert images.differences(image.folder, skopeo.pull(registry, 'other:v1', new_folder())) == []


def test_pushed_images_are_listed(skopeo, registry, new_image):
    image = new_image()
    for name in ('b/two:v1', 'a:v1', 'a:v0'):
        skopeo.push(image, registry, name)
    assert clients.repositories(registry) == ['a', 'b/two']
    assert clients.tags(registry, 'a') == ['v0', 'v1']


def test_a_deleted_image_is_gone_and_can_be_pushed_again(skopeo, registry, new_image, new_folder):
    image = new_image()
    skopeo.push(image, registry, 'a:v1')
    assert clients.delete(registry, 'a/manifests/' + image.digest) == 202
    with pytest.raises(clients.CommandFailed, match='manifest unknown'):
        skopeo.pull(registry, 'a:v1', new_folder())
    skopeo.push(image, registry, 'a:v1')
    assert images.differences(image.folder, skopeo.pull(registry, 'a:v1', new_folder())) == []
