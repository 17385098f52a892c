"""Faults of Swift at each step of a push, a pull and a delete.

An acknowledged push can always be pulled. A failed push is never partly visible, and can be retried.
"""

import itertools
import random

import pytest
from werkzeug.test import Client

from docker_registry.core import exceptions
from docker_registry.v2.settings import config
from fake_swift import cut_request, cut_response, lost_answer, on, short_body, stall, status
from registry_client import Place, Registry, as_json, digest_of, image

CONFIG = b'{"a": "config"}'
STEPS = 30  # a push, a pull or a delete sends fewer requests to Swift than this
TROUBLES = {
    '503': status(503),
    'unsent': cut_request(10),
    'unheard': lost_answer(),
    'token expired': status(401),
    'quota': status(413),
    'stalled': stall('headers'),
}


def instance(place, trouble):
    """Return a registry that does not retry. It waits a second for Swift if Swift stalls, else long enough for a busy machine."""
    patience = 1 if trouble is TROUBLES['stalled'] else 20
    return Registry(place.storage(swift_retries=0, swift_read_timeout=patience), config.Config())


class Push:
    """A client's push of an image with two layers. It sends one request after the other until one fails."""

    def __init__(self, version):
        self.layers = [random.Random(version).randbytes(20000), version * 10]
        self.manifest = as_json(image(CONFIG, *self.layers))

    def __call__(self, registry):
        """Push, and return whether the registry has acknowledged the whole push."""
        return (
            self._push_in_chunks(registry, self.layers[0])
            and self._push_whole(registry, self.layers[1])
            and self._push_whole(registry, CONFIG)
            and registry(
                'PUT', '/v2/a/manifests/v1', self.manifest, headers={'Content-Type': 'application/vnd.oci.image.manifest.v1+json'}
            ).status_code
            == 201
        )

    @staticmethod
    def _push_in_chunks(registry, content):
        answer = registry('POST', '/v2/a/blobs/uploads/')
        if answer.status_code != 202:
            return False
        answer = registry('PATCH', answer.headers['Location'], content)
        return answer.status_code == 202 and registry('PUT', f'{answer.headers["Location"]}?digest={digest_of(content)}').status_code == 201

    @staticmethod
    def _push_whole(registry, content):
        return registry('POST', f'/v2/a/blobs/uploads/?digest={digest_of(content)}', content).status_code == 201

    def is_whole(self, registry, manifest):
        """Return whether a client that has the manifest can pull all blobs of the image."""
        assert manifest == self.manifest
        return all(registry('GET', f'/v2/a/blobs/{digest_of(content)}').data == content for content in [CONFIG] + self.layers)


OLD, NEW = Push(b'old'), Push(b'new')


def seen(place):
    """Return the push whose image another instance serves, or None if there is no image. The image must be whole."""
    registry = place.registry()
    answer = registry('GET', '/v2/a/manifests/v1')
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200
    push = next(push for push in (OLD, NEW) if push.manifest == answer.data)
    assert push.is_whole(registry, answer.data)
    return push


@pytest.mark.parametrize('trouble', TROUBLES)
@pytest.mark.parametrize('before', [None, OLD], ids=['first', 'over another'])
def test_a_push(fake, trouble, before):
    outcomes = []
    for step in range(STEPS):
        place = Place(fake)
        if before:
            assert before(place.registry())
        registry = instance(place, TROUBLES[trouble])
        fault = fake.fault(on(where=lambda request: place.container in request.path), TROUBLES[trouble], after=step)

        acknowledged = NEW(registry)

        fault.cancel()
        outcomes.append((bool(fault.hits), acknowledged))
        assert seen(place) is NEW if acknowledged else seen(place) in (before, NEW)
        assert NEW(place.registry()), 'the retry failed'
        assert seen(place) is NEW
        if not fault.hits:
            break
    assert outcomes[0][0], 'the fault did not occur'
    assert outcomes[-1] == (False, True), 'the fault did not reach all steps'


@pytest.mark.parametrize(
    'trouble',
    list(TROUBLES.values()) + [cut_response(0), cut_response(100), short_body()],
    ids=list(TROUBLES) + ['no body', 'cut', 'short'],
)
def test_a_pull(fake, trouble):
    place = Place(fake)
    assert NEW(place.registry())
    for step in range(STEPS):
        registry = instance(place, trouble)
        fault = fake.fault(on(where=lambda request: place.container in request.path), trouble, after=step)
        for path, content in [('/v2/a/manifests/v1', NEW.manifest)] + [
            (f'/v2/a/blobs/{digest_of(content)}', content) for content in NEW.layers
        ]:
            try:
                answer = Client(registry.app).get(path, buffered=True)
            except exceptions.UnspecifiedError:  # a server would then close the connection before the end of the body
                continue
            assert answer.status_code in (200, 503, 403)
            if answer.status_code == 200 and len(answer.data) == int(answer.headers['Content-Length']):
                assert answer.data == content or trouble not in TROUBLES.values() and len(answer.data) < len(content)
        fault.cancel()
        if not fault.hits:
            return
    pytest.fail('the requests to Swift are more than STEPS')


@pytest.mark.parametrize('trouble', TROUBLES)
def test_a_delete(fake, trouble):
    digest = digest_of(NEW.manifest)
    for step in range(STEPS):
        place = Place(fake)
        assert NEW(place.registry())
        registry = instance(place, TROUBLES[trouble])
        fault = fake.fault(on(where=lambda request: place.container in request.path), TROUBLES[trouble], after=step)

        answer = registry('DELETE', f'/v2/a/manifests/{digest}')

        fault.cancel()
        registry = place.registry()
        seen(place)
        by_digest = registry('GET', f'/v2/a/manifests/{digest}').status_code
        assert by_digest == 404 if answer.status_code == 202 else answer.status_code in (403, 503)
        assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == (202 if by_digest == 200 else 404)
        assert registry('GET', f'/v2/a/manifests/{digest}').status_code == 404
        assert registry('GET', '/v2/a/manifests/v1').status_code == 404
        if not fault.hits:
            return
    pytest.fail('the requests to Swift are more than STEPS')


def test_a_push_while_listings_lag(fake):
    place = Place(fake)
    place.registry()
    fake.lag_listing(place.container)

    assert OLD(place.registry())
    assert NEW(place.registry())

    assert seen(place) is NEW


@pytest.mark.parametrize(
    'path', ['tags/v1/current/link', f'revisions/sha256/{digest_of(NEW.manifest)[7:]}/link', f'_layers/sha256/{digest_of(CONFIG)[7:]}/link']
)
def test_a_replica_that_lags_behind_a_delete_or_a_new_tag(fake, path):
    place = Place(fake)
    registry = place.registry()
    assert NEW(registry)
    registry('DELETE', f'/v2/a/manifests/{digest_of(NEW.manifest)}')
    registry('DELETE', f'/v2/a/blobs/{digest_of(CONFIG)}')
    for prefix in ('', '_manifests/'):
        fake.stale(place.container, f'files/docker/registry/v2/repositories/a/{prefix}{path}', times=10)

    assert registry('GET', '/v2/a/manifests/v1').status_code == 404
    assert registry('GET', f'/v2/a/manifests/{digest_of(NEW.manifest)}').status_code == 404
    assert registry('HEAD', f'/v2/a/blobs/{digest_of(CONFIG)}').status_code == 404


def test_a_passing_trouble_is_not_noticed(fake):
    place = Place(fake)
    turns = itertools.count()
    fake.fault(on(kind='object', where=lambda request: next(turns) % 2), status(503), times=None)

    assert NEW(place.registry())

    assert seen(place) is NEW


def test_a_token_that_expires_in_the_middle_of_a_push(fake):
    place = Place(fake)
    registry = place.registry()
    location = registry('PATCH', registry.upload('a'), NEW.layers[0]).headers['Location']

    fake.expire_tokens()

    assert registry('PUT', f'{location}?digest={digest_of(NEW.layers[0])}').status_code == 201
    assert NEW(registry)
    assert seen(place) is NEW


def test_parts_that_were_collected_end_the_upload(fake):
    place = Place(fake)
    registry = place.registry()
    location = registry('PATCH', registry.upload('a'), NEW.layers[0]).headers['Location']
    for name in [name for name in fake.container(place.container) if '_segments' in name]:
        del fake.container(place.container)[name]

    assert registry('PUT', f'{location}?digest={digest_of(NEW.layers[0])}').status_code == 404
    assert registry('HEAD', f'/v2/a/blobs/{digest_of(NEW.layers[0])}').status_code == 404
