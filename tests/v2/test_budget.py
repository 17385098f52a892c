"""The number of requests to Swift that skopeo's push and pull of an image with one layer cost."""

import pytest

from registry_client import as_json, digest_of, image

LAYER = bytes(range(256)) * 8000
CONFIG = b'{"architecture": "amd64", "config": {"Env": ["PATH=/bin"]}}' + b' ' * 500


class Skopeo:
    """Sends the same requests as skopeo 1.9, each to the next instance. A load balancer cannot do worse."""

    def __init__(self, *instances):
        self._instances = list(instances)
        for instance in instances:
            instance.upload('a')  # reads the secret that makes the keys, once in the life of a process
            del instance.swift_requests[:]

    def __call__(self, *request, **more):
        self._instances.append(self._instances.pop(0))
        return self._instances[0](*request, **more)

    @property
    def cost(self):
        return sum(len(instance.swift_requests) for instance in self._instances)

    def push(self):
        self('GET', '/v2/')
        self._push_blob(LAYER, looks=2)
        self._push_blob(CONFIG, looks=1)
        answer = self(
            'PUT',
            '/v2/a/manifests/v1',
            as_json(image(CONFIG, LAYER)),
            headers={'Content-Type': 'application/vnd.oci.image.manifest.v1+json'},
        )
        assert answer.status_code == 201

    def _push_blob(self, content, looks):
        for _ in range(looks):
            if self('HEAD', '/v2/a/blobs/' + digest_of(content)).status_code == 200:
                return
        location = self('POST', '/v2/a/blobs/uploads/').headers['Location']
        location = self('PATCH', location, content, chunked=True).headers['Location']
        assert self('PUT', f'{location}?digest={digest_of(content)}').status_code == 201

    def pull(self):
        self('GET', '/v2/')
        assert self('GET', '/v2/a/manifests/v1').json == image(CONFIG, LAYER)
        for content in (CONFIG, LAYER):
            assert self('GET', '/v2/a/blobs/' + digest_of(content)).data == content


@pytest.fixture(params=[1, 2, 4])
def instances(request, place):
    """One registry, or several that get the requests in turn."""
    place = type(place)(place.server, swift_segment_size='32MiB')
    return [place.registry() for _ in range(request.param)]


def test_first_push(instances):
    skopeo = Skopeo(*instances)

    skopeo.push()

    look = instances[0].storage.is_ceph()  # a HEAD before the layer is committed, because Ceph ignores If-None-Match
    assert skopeo.cost <= (12 if len(instances) == 1 else 14) + look


def test_pull(place, instances):
    Skopeo(*instances).push()
    skopeo = Skopeo(*instances)

    skopeo.pull()

    assert skopeo.cost <= 7


def test_push_again_unchanged(instances):
    Skopeo(*instances).push()
    skopeo = Skopeo(*instances)

    skopeo.push()

    assert skopeo.cost <= (8 if len(instances) == 1 else 10)


def test_a_process_reads_the_secret_once(place):
    place.registry().upload('a')
    registry = place.registry()
    del registry.swift_requests[:]

    locations = [registry.upload('a') for _ in range(3)]

    assert [registry('GET', location).status_code for location in locations] == [204] * 3
    assert registry.swift_requests == [('GET', 200)]


def test_no_listing_in_all_this(fake_place):
    skopeo = Skopeo(fake_place.registry())
    fake_place.server.clear_requests()

    skopeo.push()
    skopeo.pull()

    assert {request.kind for request in fake_place.server.requests} == {'object'}
