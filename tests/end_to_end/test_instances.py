"""Several instances behind a load balancer without stickiness. They share only the container, not even a secret."""

import pytest
import requests

import clients
import images
from balancer import Balancer
from images import MiB

INSTANCES = 3
LAYERS = (10, MiB, 40 * MiB)  # stored in the upload's URL, in one part, and in several parts


@pytest.fixture
def balanced(place):
    """A function that makes a `Balancer` in front of three instances."""

    def make(**options):
        return Balancer([place.registry(workers=1).port for _ in range(INSTANCES)], **options)

    return make


@pytest.mark.parametrize('per_request', [False, True], ids=['connections', 'requests'])
def test_skopeo_pushes_and_pulls(balanced, skopeo, new_image, new_folder, per_request):
    image = new_image(*LAYERS)
    with balanced(per_request=per_request) as balancer:
        skopeo.push(image, balancer, 'team/image:v1')
        assert images.differences(image.folder, skopeo.pull(balancer, 'team/image:v1', new_folder())) == []


@pytest.mark.parametrize('per_request', [False, True], ids=['connections', 'requests'])
def test_docker_pushes_and_pulls(balanced, docker, hello, per_request):
    with balanced(per_request=per_request) as balancer:
        reference = '%s/team/hello' % balancer.address
        docker('tag', hello[0], reference)
        docker('push', reference)
        docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', reference).strip())
        assert docker('run', '--rm', '--network', 'none', '--pull', 'always', reference).strip() == hello[1]
        docker('image', 'rm', '--force', reference)


def test_each_chunk_of_an_upload_may_go_to_another_instance(balanced, new_image):
    content = b''.join(bytes([i]) * (MiB + i) for i in range(4))
    with balanced(per_request=True) as balancer:
        location = requests.post(balancer.url + '/v2/team/image/blobs/uploads/').headers['Location']
        for start in range(0, len(content), MiB):
            answer = requests.patch(balancer.url + location, data=content[start : start + MiB])
            assert (answer.status_code, answer.headers['Range']) == (202, '0-%d' % (min(start + MiB, len(content)) - 1))
            location = answer.headers['Location']
        digest = images.digest_of(content)
        assert requests.put(balancer.url + location, params={'digest': digest}).status_code == 201
        assert clients.get_blob(balancer, 'team/image', digest).content == content
