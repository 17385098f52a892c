"""Two instances at once: one operation runs whole between any two requests to Swift of another. Or Swift fails at any request.

What is left afterwards has to be what is left if one operation runs after the other. So nothing that was acknowledged is lost.
"""

import threading

import pytest

from docker_registry.v2.registry import names, upload_state
from docker_registry.v2.settings.config import Config
from fake_swift import lost_answer, status
from registry_client import Place, Registry, as_json, digest_of, image

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


class TestJoining:
    """The parts of an upload in tiny chunks are joined with one more chunk. The token from before stays good."""

    BEFORE, CHUNK = bytes(range(256)) * 160, b'one more'

    @pytest.fixture(autouse=True)
    def few_parts(self, monkeypatch):
        monkeypatch.setattr(upload_state, 'MOST_PARTS', 4)

    def begun(self, registry):
        """The location of an upload that has `BEFORE`, in as many parts as a token carries."""
        location, size = registry.upload('a'), len(self.BEFORE) // upload_state.MOST_PARTS
        for start in range(0, len(self.BEFORE), size):
            location = registry('PATCH', location, self.BEFORE[start : start + size]).headers['Location']
        return location

    def finish(self, registry, location, content):
        assert registry('PUT', f'{location}?digest={digest_of(content)}').status_code == 201

    def assert_whole(self, place, before, after):
        """Both tokens can be used, by all and more than once, and take nothing from each other."""
        contents = {before: self.BEFORE, after: self.BEFORE + self.CHUNK}
        for registry in (place.registry(), place.registry()):
            for location, content in contents.items():
                self.finish(registry, location, content)
        for content in contents.values():
            assert place.registry()('GET', f'/v2/a/blobs/{digest_of(content)}').data == content

    def test_another_instance_ends_the_upload_meanwhile(self, fake_place):
        for number in range(1, 20):
            registry, other, met = fake_place.registry(), fake_place.registry(), []
            before = self.begun(registry)
            at_request(number, registry, lambda: met.append(self.finish(other, before, self.BEFORE)))
            after = registry('PATCH', before, self.CHUNK).headers['Location']
            if not met:
                break
            self.assert_whole(fake_place, before, after)
        assert upload_state.MOST_PARTS + 2 < number < 19

    @pytest.mark.parametrize('trouble', [status(503), lost_answer()], ids=['503', 'lost answer'])
    def test_swift_fails(self, fake, fake_place, trouble):
        for number in range(1, 20):
            before, sent = self.begun(fake_place.registry()), []
            registry = Registry(fake_place.storage(swift_retries=0), Config())
            fault = fake.fault(lambda request: sent.append(request) or len(sent) == number, trouble)
            answer = registry('PATCH', before, self.CHUNK)
            fault.cancel()
            if not fault.hits:
                break
            assert answer.status_code == 503
            self.assert_whole(fake_place, before, registry('PATCH', before, self.CHUNK).headers['Location'])
        assert upload_state.MOST_PARTS + 2 < number < 19
