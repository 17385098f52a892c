"""Many clients that ask for the same thing at the same time: how many requests to Swift that takes, and that nobody gets old answers."""

import contextlib
import json
import random
import threading
import time

import pytest

import fake_swift
from docker_registry.v2.registry import blobs, manifests, sharing
from docker_registry.v2.registry.formats import OCI_IMAGE
from fake_swift import on
from registry_client import as_json, digest_of, image
from registry_process import until

CROWD = 30


def together(count, call, *arguments):
    """Return the outcomes of calls in so many threads."""
    outcomes, start = [], threading.Barrier(count)

    def run():
        start.wait(60)
        outcomes.append(call(*arguments))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


@pytest.fixture
def spent():
    """A function that makes a call to a registry and returns the methods of the requests to Swift that it takes."""

    def count(registry, *request):
        del registry.swift_requests[:]
        assert registry(*request).status_code == 200
        return sorted(method for method, _ in registry.swift_requests)

    return count


class TestOneClient:
    TAG = ('GET', '/v2/a/manifests/v1')

    def test_a_tag_takes_a_request_for_each_step_and_within_a_second_only_the_first(self, place, spent, monkeypatch):
        monkeypatch.setattr(manifests, 'LINKED_SECONDS', 300)
        place.registry().push_image('a', 'v1', b'layer')
        registry = place.registry()
        registry('GET', '/v2/')

        assert spent(registry, *self.TAG)[-2:] == ['GET', 'HEAD']  # the tag, the manifest and its link
        assert spent(registry, *self.TAG) == ['GET']

    def test_later_the_link_is_looked_up_again(self, place, spent, monkeypatch):
        monkeypatch.setattr(manifests, 'LINKED_SECONDS', 0)
        registry = place.registry()
        registry.push_image('a', 'v1', b'layer')

        assert spent(registry, *self.TAG) == ['GET', 'HEAD']
        assert spent(registry, *self.TAG) == ['GET', 'HEAD']

    def test_a_manifest_by_digest_is_looked_up_each_time(self, place, spent):
        registry = place.registry()
        digest = registry.push_image('a', 'v1', b'layer')
        spent(registry, *self.TAG)

        assert spent(registry, 'GET', f'/v2/a/manifests/{digest}') == ['HEAD']

    def test_a_manifest_that_gets_another_media_type_has_it_at_once(self, place, monkeypatch):
        """Both by an instance that remembers its link, and by another one: the manifest does not state its type."""
        monkeypatch.setattr(manifests, 'LINKED_SECONDS', 300)
        registry, other = place.registry(), place.registry()
        for media_type in ('application/vnd.one+json', 'application/vnd.two+json'):
            registry.push_manifest('a', 'v1', b'{"schemaVersion": 2}', media_type)
            assert [one(*self.TAG).content_type for one in (registry, other)] == [media_type] * 2

    @pytest.mark.parametrize('what', ['v1', 'digest'])
    def test_what_another_instance_deletes_is_gone_at_once(self, place, spent, monkeypatch, what):
        monkeypatch.setattr(manifests, 'LINKED_SECONDS', 300)
        registry = place.registry()
        digest = registry.push_image('a', 'v1', b'layer')
        spent(registry, *self.TAG)
        assert place.registry()('DELETE', '/v2/a/manifests/' + (digest if what == 'digest' else what)).status_code == 202

        assert registry(*self.TAG).status_code == 404
        assert registry('GET', f'/v2/a/manifests/{digest}').status_code == (404 if what == 'digest' else 200)


class TestSmallBlobs:
    """Their bytes are kept, so only the link is looked up."""

    @pytest.fixture
    def registry(self, place):
        registry = place.registry()
        registry('GET', '/v2/')
        return registry

    def test_the_second_get_reads_only_the_link(self, registry, spent):
        path = '/v2/a/blobs/' + registry.push_blob('a', b'{"small": 1}')

        assert spent(registry, 'GET', path) == ['GET', 'HEAD']
        assert spent(registry, 'GET', path) == ['HEAD']
        assert registry('GET', path).data == b'{"small": 1}'

    def test_in_another_repository_it_is_unknown(self, registry):
        path = '/blobs/' + registry.push_blob('a', b'{}')
        registry('GET', '/v2/a' + path)

        assert registry('GET', '/v2/b' + path).status_code == 404

    def test_one_that_another_instance_deletes_is_gone_at_once(self, place, registry):
        path = '/v2/a/blobs/' + registry.push_blob('a', b'{}')
        registry('GET', path)
        assert place.registry()('DELETE', path).status_code == 202

        assert registry('GET', path).status_code == 404

    def test_a_range_is_the_same_before_and_after_it_is_kept(self, registry):
        path, part = '/v2/a/blobs/' + registry.push_blob('a', b'0123456789'), {'Range': 'bytes=2-4'}
        before = registry('GET', path, headers=part)
        registry('GET', path)
        after = registry('GET', path, headers=part)

        assert (before.status_code, before.data) == (after.status_code, after.data) == (206, b'234')

    @pytest.mark.parametrize('more, is_kept', [(0, True), (1, False)])
    def test_only_small_ones_are_kept(self, registry, spent, more, is_kept):
        content = b'x' * (blobs.KEPT + more)
        path = '/v2/a/blobs/' + registry.push_blob('a', content)
        registry('GET', path)

        assert spent(registry, 'GET', path) == (['HEAD'] if is_kept else ['GET', 'HEAD'])
        assert registry('GET', path).data == content

    def test_a_damaged_one_is_not_kept(self, fake, fake_registry, spent):
        path = '/v2/a/blobs/' + fake_registry.push_blob('a', b'right')
        fault = fake.fault(on(method='GET', path_contains='/data'), fake_swift.corrupt_body())
        assert fake_registry('GET', path).data != b'right'
        fault.cancel()

        assert spent(fake_registry, 'GET', path) == ['GET', 'HEAD']
        assert fake_registry('GET', path).data == b'right'


class TestCrowd:
    @pytest.fixture
    def registry(self, fake_place):
        fake_place.add(swift_pool_size=3 * CROWD)
        registry = fake_place.registry()
        digest = registry.push_image('a', 'v1', b'layer')
        subject = {'subject': {'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': digest, 'size': 2}}
        registry.push_manifest('a', 'signature', image(b'{}', b'layer', **subject))
        self.digest = digest
        return registry

    @pytest.fixture
    def crowd(self, fake, registry, lookers):
        """A function that lets a crowd ask for a path. The first request to Swift takes as long as it takes all others to come."""

        def ask(path):
            lookers.clear()
            del registry.swift_requests[:]
            fake.fault(on(), fake_swift.stall())
            releasing = threading.Thread(target=lambda: (until(lambda: len(lookers) == CROWD), fake.release()))
            releasing.start()
            answers = together(CROWD, registry, 'GET', path)
            releasing.join()
            return answers

        return ask

    @pytest.mark.parametrize(
        'path, most',
        [('/v2/a/manifests/v1', 8), ('/v2/a/manifests/{digest}', 8), ('/v2/a/tags/list', 10), ('/v2/a/referrers/{digest}', 16)],
    )
    def test_a_crowd_shares_the_requests_to_swift(self, registry, crowd, path, most):
        answers = crowd(path.format(digest=self.digest))

        assert {answer.status_code for answer in answers} == {200} and len({answer.data for answer in answers}) == 1
        assert len(registry.swift_requests) <= most

    def test_a_crowd_that_asks_for_a_blob_in_memory_shares_its_link(self, registry, crowd):
        path = '/v2/a/blobs/' + digest_of(b'{}')
        registry('GET', path)
        answers = crowd(path)

        assert {answer.data for answer in answers} == {b'{}'}
        assert len(registry.swift_requests) <= 4

    def test_a_crowd_gets_the_error_of_swift_and_the_next_crowd_an_answer(self, fake, registry):
        broken = fake.fault(on(), fake_swift.status(403), times=None)
        assert {answer.status_code for answer in together(CROWD, registry, 'GET', '/v2/a/manifests/v1')} == {503}
        broken.cancel()

        assert {answer.status_code for answer in together(CROWD, registry, 'GET', '/v2/a/manifests/v1')} == {200}

    def test_one_request_that_swift_forgets_holds_up_no_other_client(self, fake, registry):
        forgotten = fake.fault(on(method='GET', path_contains='/current/link'), fake_swift.stall(), times=1)
        answers = []
        first = threading.Thread(target=lambda: answers.append(registry('GET', '/v2/a/manifests/v1')))
        first.start()
        until(lambda: forgotten.hits)
        began = time.monotonic()
        others = together(CROWD, registry, 'GET', '/v2/a/manifests/v1')

        assert {answer.status_code for answer in others} == {200} and time.monotonic() - began < 15
        fake.release()
        first.join(30)
        assert [answer.status_code for answer in answers] == [200]


def test_more_clients_than_connections_get_all_their_blobs(fake, fake_place, monkeypatch):
    """Each of them needs two connections, and all of them may have one."""
    monkeypatch.setattr(blobs, 'PATIENCE', 0.05)
    fake_place.add(swift_pool_size=4)
    registry = fake_place.registry()
    content = b'x' * (blobs.KEPT + 1)
    digest = registry.push_blob('a', content)
    fake.fault(on(), fake_swift.delay(0.02), times=None)

    assert [answer.data == content for answer in together(CROWD, registry, 'GET', f'/v2/a/blobs/{digest}')] == [True] * CROWD


def test_a_crowd_on_a_slow_swift_gets_its_answers_together(fake, fake_place, monkeypatch):
    """No look ends within the patience of those who wait for it."""
    monkeypatch.setattr(sharing, 'PATIENCE', 0.5)
    registry = fake_place.registry()
    registry.push_image('a', 'v1', b'layer')
    fake.fault(on(), fake_swift.delay(1.0), times=None)
    began = time.monotonic()
    answers = together(CROWD, registry, 'GET', '/v2/a/manifests/v1')

    assert {answer.status_code for answer in answers} == {200}
    assert time.monotonic() - began < 15  # one after the other, they would take 30 seconds


def test_a_blob_that_somebody_looks_for_while_it_goes_is_not_seen_any_more(fake_registry, monkeypatch):
    for content in (b'{}', b'layer'):
        fake_registry.push_blob('a', content)
    path, discard = '/v2/a/blobs/' + digest_of(b'layer'), fake_registry.storage.discard

    def look_and_discard(*arguments):
        assert fake_registry('HEAD', path).status_code == 200
        return discard(*arguments)

    monkeypatch.setattr(fake_registry.storage, 'discard', look_and_discard)
    assert fake_registry('DELETE', path).status_code == 202

    manifest = as_json(image(b'{}', b'layer'))
    assert fake_registry('PUT', '/v2/a/manifests/v1', manifest, headers={'Content-Type': OCI_IMAGE}).status_code == 404


class History:
    """What a tag has pointed to: the writer's steps. A step is the version that it pushes, or None if it deletes."""

    def __init__(self):
        self.begun, self.ended = [None], 1

    @contextlib.contextmanager
    def step(self, state):
        self.begun.append(state)
        yield
        self.ended = len(self.begun)


@pytest.mark.parametrize('seed', range(3))
def test_no_reader_of_any_instance_sees_what_is_older_than_its_request(place, seed, monkeypatch):
    """A model of readers and a writer, whose instances remember links for longer than usual."""
    monkeypatch.setattr(manifests, 'LINKED_SECONDS', 300)
    chance, history, wrong = random.Random(seed), History(), []
    instances = [place.registry() for _ in range(2)]
    for content in (b'{}', b'layer'):
        instances[0].push_blob('a', content)
    stop = threading.Event()

    def read(registry):
        while not stop.is_set():
            low = history.ended
            answer = registry('GET', '/v2/a/manifests/v1')
            seen = json.loads(answer.data)['annotations']['version'] if answer.status_code == 200 else None
            allowed = history.begun[low - 1 :]
            is_unsure = answer.status_code == 503 and None in allowed  # a listing still showed what had just been deleted
            if not is_unsure and (answer.status_code not in (200, 404) or seen not in allowed):
                wrong.append((answer.status_code, seen, allowed))

    readers = [threading.Thread(target=read, args=(instances[number % 2],)) for number in range(6)]
    for reader in readers:
        reader.start()
    try:
        for version in range(25):
            registry = chance.choice(instances)
            with history.step(str(version)):
                digest = registry.push_manifest('a', 'v1', image(b'{}', b'layer', annotations={'version': str(version)}))
            if chance.random() < 0.4:
                with history.step(None):
                    gone = chance.choice([digest, 'v1'])
                    assert chance.choice(instances)('DELETE', f'/v2/a/manifests/{gone}').status_code == 202
    finally:
        stop.set()
        for reader in readers:
            reader.join(30)

    assert not wrong
