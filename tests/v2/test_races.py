"""Two instances at once: one operation runs whole between any two requests to Swift of another.

What is left afterwards has to be what is left if one operation runs after the other. So nothing that was acknowledged is lost.
"""

import threading

import pytest

from docker_registry.v2.registry import names
from registry_client import Place, as_json, digest_of, image

LAYER = bytes(range(256)) * 8
MANIFESTS = {name: as_json(image(b'{}', LAYER, name=name)) for name in 'DE'}
TAGS = ['v1', 'v2']


class Push:
    def __init__(self, tag, name):
        self._tag, self._name = tag, name

    def __call__(self, registry):
        registry.push_manifest('a', self._tag, MANIFESTS[self._name])

    def __repr__(self):
        return f'push {self._name} as {self._tag}'


class FirstHalf(Push):
    """All of a push but the pointer of the tag."""

    def __call__(self, registry):
        registry.push_manifest('a', digest_of(MANIFESTS[self._name]), MANIFESTS[self._name])
        registry.app.tags.remember('a', self._tag, names.digest(digest_of(MANIFESTS[self._name])))

    def __repr__(self):
        return f'first half of {super().__repr__()}'


class SecondHalf(Push):
    def __call__(self, registry):
        registry.app.tags.point('a', self._tag, names.digest(digest_of(MANIFESTS[self._name])))

    def __repr__(self):
        return f'second half of {super().__repr__()}'


class Delete:
    def __init__(self, name):
        self._name = name

    def __call__(self, registry):
        assert registry('DELETE', f'/v2/a/manifests/{digest_of(MANIFESTS[self._name])}').status_code == 202

    def __repr__(self):
        return f'delete {self._name}'


def at_request(number, registry, call):
    """Call something before the registry sends that request to Swift."""
    swift, sent, lock = registry.storage._swift, [], threading.RLock()
    send = swift.request

    def request(*arguments, **more):
        with lock:
            sent.append(arguments)
            if len(sent) == number:
                call()
        return send(*arguments, **more)

    swift.request = request


def place_with(server, pushes):
    place = Place(server)
    registry = place.registry()
    for blob in (b'{}', LAYER):
        registry.push_blob('a', blob)
    for push in pushes:
        push(registry)
    return place


def seen(place):
    """What clients see: the manifest of each tag, the list of tags, and the manifests that are there."""
    registry = place.registry()
    tags = {tag: registry('GET', f'/v2/a/manifests/{tag}').headers.get('Docker-Content-Digest') for tag in TAGS}
    there = [name for name, content in MANIFESTS.items() if registry('GET', f'/v2/a/manifests/{digest_of(content)}').status_code == 200]
    return tags, registry('GET', '/v2/a/tags/list').json.get('tags'), there


def in_turn(server, before, *operations):
    place = place_with(server, before)
    for operation in operations:
        operation(place.registry())
    return seen(place)


@pytest.mark.parametrize(
    'before, first, second',
    [
        ([Push('v1', 'D')], Delete('D'), Push('v1', 'D')),
        ([Push('v1', 'D')], Delete('D'), Push('v2', 'D')),
        ([Push('v1', 'D'), Push('v2', 'D')], Delete('D'), Push('v1', 'D')),
        ([Push('v1', 'D')], Delete('D'), Push('v1', 'E')),
        ([Push('v1', 'D'), FirstHalf('v1', 'E')], Delete('D'), SecondHalf('v1', 'E')),
        ([Push('v1', 'D')], Push('v1', 'D'), Delete('D')),
        ([Push('v1', 'D')], Push('v2', 'D'), Delete('D')),
        ([Push('v1', 'D'), Push('v1', 'E')], Push('v1', 'D'), Delete('D')),
    ],
    ids=repr,
)
def test_nothing_is_lost(fake, before, first, second):
    serial = [in_turn(fake, before, first, second), in_turn(fake, before, second, first)]

    for number in range(1, 30):
        met = []
        place = place_with(fake, before)
        registry, other = place.registry(), place.registry()
        at_request(number, registry, lambda: met.append(second(other)))
        first(registry)
        if not met:
            break
        assert seen(place) in serial, f'{second} before request {number} of {first}'
    assert 6 < number < 29
