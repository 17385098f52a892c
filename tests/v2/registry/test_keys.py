"""The keys that sign uploads and tokens, and the random secret in the container that they come from."""

import hashlib
import hmac
import threading
import time

import pytest

from access_client import basic, bearer, token
from docker_registry.core import driver
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.access.tokens import Tokens
from docker_registry.v2.registry import keys, layout, upload_state
from docker_registry.v2.settings.config import Access, Config
from fake_swift import FakeSwift, lost_answer, on, stall, status
from registry_client import Place, Registry, code_of
from registry_process import Serving, environment, until
from test_races import at_request

SECRET = 'files/' + layout.SECRET
CONFIGURED = 'a secret that the operator chose for all'
SETTLED_SECONDS = keys.SETTLED_SECONDS
of_the_secret = on(path_contains=layout.SECRET)


@pytest.fixture
def users(tmp_path):
    path = tmp_path / 'htpasswd'
    path.write_text(htpasswd.line('alice', 'correct horse', 4) + '\n')
    return str(path)


@pytest.fixture
def settling(monkeypatch):
    """A new secret settles as in service."""
    monkeypatch.setattr(keys, 'SETTLED_SECONDS', SETTLED_SECONDS)


@pytest.fixture
def hasty(settling, monkeypatch):
    monkeypatch.setattr(keys, 'PAUSE', 0.01)


class Pausing:
    """The time for `keys`: for each thread, only its own pauses pass. They are as long as they have to be: until all have written."""

    def __init__(self, have_all_written):
        self._have_all_written, self._now, self._own = have_all_written, time.time(), threading.local()

    def time(self):
        return self._now + self.monotonic()

    def monotonic(self):
        return getattr(self._own, 'slept', 0)

    def sleep(self, seconds):
        until(self._have_all_written)
        self._own.slept = self.monotonic() + seconds


@pytest.fixture(params=['fake', 'ceph'])
def either(request, hasty):
    """The container of a test on a fake Swift, and on a fake Ceph, which ignores `If-None-Match: *`."""
    with FakeSwift(ceph=request.param == 'ceph') as server:
        yield Place(server)


@pytest.fixture
def stored(fake, fake_place):
    """The secret, which an instance has stored."""
    fake_place.registry().upload('a')
    return fake.container(fake_place.container)[SECRET].body


def secrets_of(place):
    return [item.body for name, item in place.server.container(place.container).items() if name == SECRET]


def accepts(registry, location):
    return registry('GET', location).status_code == 204


def writes(fake):
    return [request.status for request in fake.requests if request.method == 'PUT' and of_the_secret(request)]


# One secret for all


def test_instances_accept_each_others_uploads(place):
    first, second = place.registry(), place.registry()

    assert accepts(second, first.upload('a')) and accepts(first, second.upload('a'))


def test_instances_accept_each_others_logins(fake_place, users):
    access = Access(htpasswd=users, bearer_tokens=True)
    first, second = fake_place.registry(access), fake_place.registry(access)
    made = token(first, headers=basic())

    assert second('GET', '/v2/_catalog', headers=bearer(made)).status_code == 200


def test_processes_accept_each_others_uploads(fake, tmp_path):
    environ = environment(fake, GUNICORN_WORKERS=2)
    with Serving(tmp_path, environ) as first, Serving(tmp_path, environ) as second:
        location = first.begin_upload()

        assert [second.request('GET', location)[0] for _ in range(8)] == [204] * 8


def test_the_secret_is_random_and_written_once(fake, fake_place, stored):
    other = Place(fake)
    for place in (fake_place, fake_place, other):
        place.registry().upload('a')

    assert len(stored) == keys.SIZE
    assert secrets_of(fake_place) == [stored] != secrets_of(other)
    assert writes(fake) == [201, 201]


def test_many_requests_that_need_it_at_the_same_time_cost_one_look(fake, fake_place, stored):
    registry = fake_place.registry()
    fake.clear_requests()
    fault = fake.fault(of_the_secret, stall())
    threads = [threading.Thread(target=registry.upload, args=['a']) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: fault.hits)
    fake.release()
    for thread in threads:
        thread.join()

    answered = [request for request in fake.requests if of_the_secret(request) and request.status]
    assert 1 <= len(answered) <= 2  # one thread may have seen that there is no secret, and ask when the others have it


def test_two_that_store_it_at_the_same_time_agree(either):
    """On Ceph the later one overwrites the first. What the first signed in that moment is void."""
    for number in range(1, 20):
        place = Place(either.server)
        first, second = place.registry(), place.registry()
        met = []
        at_request(number, first, lambda: met.append(second.upload('a')))
        location = first.upload('a')
        if not met:
            break
        assert accepts(first, location) and accepts(second, location), number
        assert accepts(first, second.upload('a')), number
        if not first.storage.is_ceph():
            assert accepts(first, met[0]) and accepts(second, met[0]), number
    assert 3 < number < 19


def has_written(registry):
    """Return whether a registry has stored its secret, or will not do so because it has found one: in the first answer, or later."""
    requests = list(registry.swift_requests)
    has_found_it = ('GET', 200) in requests and ('GET', 404) not in requests or ('HEAD', 200) in requests
    return has_found_it or any(method == 'PUT' for method, _ in requests)


def test_two_threads_of_many_instances_agree(place, settling, monkeypatch):
    registries, locations = [place.registry() for _ in range(6)], []
    monkeypatch.setattr(keys, 'time', Pausing(lambda: all(map(has_written, registries))))
    threads = [threading.Thread(target=lambda registry=registry: locations.append(registry.upload('a'))) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(accepts(registry, location) for registry in registries for location in locations)


def test_a_secret_is_read_again_until_nobody_can_overwrite_it(either, monkeypatch):
    registry = either.registry()
    registry.upload('a')
    either.server.clear_requests()
    registry.upload('a')
    assert [request.method for request in either.server.requests] == ['GET']

    monkeypatch.setattr(keys, 'SETTLED_SECONDS', 0)
    registry.upload('a')
    either.server.clear_requests()
    registry.upload('a')
    assert either.server.requests == []


@pytest.mark.parametrize('ceph', [False, True], ids=['swift', 'ceph'])
def test_a_secret_that_another_overwrites_at_once_is_never_used(ceph, settling, monkeypatch):
    """Swift compares `If-None-Match: *` before it stores the bytes. So of two that store at the same moment, both may get 201."""
    with FakeSwift(ceph=ceph) as server:
        place = Place(server)
        first, second = place.registry(), place.registry()
        looked = threading.Barrier(2)
        monkeypatch.setattr(keys, 'time', Pausing(lambda: writes(server) == [201, 201]))

        def write(exchange):
            exchange.read_body()
            if looked.wait(15):  # both have found nothing
                until(lambda: ('GET', 200) in seen())  # the other has read what it wrote
            exchange.request.headers.pop('If-None-Match', None)
            exchange.send(exchange.perform())

        def seen():
            return [(request.method, request.status) for request in server.requests if of_the_secret(request)]

        server.fault(on('PUT', path_contains=layout.SECRET), write, times=2)
        locations = []
        thread = threading.Thread(target=lambda: locations.append(second.upload('a')))
        thread.start()
        locations.append(first.upload('a'))
        thread.join()

        assert writes(server) == [201, 201]
        assert [accepts(registry, location) for registry in (first, second) for location in locations] == [True] * 4


# Swift does not tell


@pytest.mark.parametrize('late', [False, True], ids=['listed', 'not yet listed'])
def test_a_secret_that_one_read_misses_is_not_replaced(fake, fake_place, stored, late):
    if late:
        fake.lag_listing(fake_place.container)
        fake.containers[fake_place.container].frozen.clear()
    fake.fault(of_the_secret, status(404))

    assert accepts(fake_place.registry(), fake_place.registry().upload('a'))
    assert secrets_of(fake_place) == [stored]


def test_a_secret_that_only_a_listing_shows_is_not_replaced(fake, fake_place, stored):
    registry = fake_place.registry()
    fault = fake.fault(on(path_contains=layout.SECRET, where=lambda request: request.method != 'PUT'), status(404), times=None)
    fake.clear_requests()

    assert registry('POST', '/v2/a/blobs/uploads/').status_code == 503
    assert secrets_of(fake_place) == [stored] and writes(fake) == []
    fault.cancel()
    assert registry('POST', '/v2/a/blobs/uploads/').status_code == 202


@pytest.mark.parametrize('trouble', [status(503), status(500), status(403)], ids=['503', '500', '403'])
def test_trouble_is_503_for_what_needs_a_key_and_no_reason_to_make_another_secret(fake, fake_place, users, stored, trouble):
    registry = Registry(fake_place.storage(swift_retries=0), Config(), Access(htpasswd=users, anonymous_pull=True))
    fault = fake.fault(on('GET', path_contains=layout.SECRET), trouble, times=None)
    fake.clear_requests()

    assert registry('POST', '/v2/a/blobs/uploads/', headers=basic()).status_code == 503
    answer = registry('GET', '/v2/token')
    assert (answer.status_code, code_of(answer)) == (503, 'UNAVAILABLE') and int(answer.headers['Retry-After'])
    assert registry('GET', '/v2/a/tags/list', headers=basic()).status_code == 404  # needs no key
    assert writes(fake) == [] and secrets_of(fake_place) == [stored]
    fault.cancel()
    assert registry('POST', '/v2/a/blobs/uploads/', headers=basic()).status_code == 202


def test_a_registry_that_starts_while_swift_is_down_uses_the_secret_later(fake, fake_place, stored):
    storage = driver.fetch('swift')(path='files', config=dict(fake_place._settings, swift_retries=0))
    fake.refuse_connections()
    registry = Registry(storage, Config())

    assert registry('POST', '/v2/a/blobs/uploads/').status_code == 503
    assert registry('GET', '/v2/').status_code == 200
    fake.accept_connections()
    assert accepts(fake_place.registry(), registry.upload('a'))
    assert secrets_of(fake_place) == [stored]


def test_a_lost_answer_to_the_write_makes_no_second_secret(fake, fake_place):
    fake.fault(on('PUT', path_contains=layout.SECRET), lost_answer())
    first = fake_place.registry()
    location = first.upload('a')

    assert accepts(fake_place.registry(), location)
    assert writes(fake)[-1] == 412


@pytest.mark.parametrize('content', [b'', b'x' * 31, b'x' * 33])
def test_a_damaged_secret_is_named_and_not_overwritten(fake, fake_place, stored, caplog, content):
    fake.put(fake_place.container, SECRET, content)
    registry = fake_place.registry()

    assert registry('POST', '/v2/a/blobs/uploads/').status_code == 503
    assert f'{layout.SECRET} below storage_path (STORAGE_PATH) has {len(content)} bytes instead of 32' in caplog.text
    assert secrets_of(fake_place) == [content]
    fake.put(fake_place.container, SECRET, stored)
    assert accepts(fake_place.registry(), registry.upload('a'))


# What a key is good for


def test_the_swift_password_cannot_be_guessed_from_a_token(fake, fake_place, users):
    """Keys came from the password once. Whoever had a token could then try passwords on it."""

    def guessed(purpose):
        scope = '\0'.join(['docker-registry-driver-swift', fake.user, fake_place.container, '']).encode()
        return lambda: hmac.new(fake.key.encode(), scope + purpose, hashlib.sha256).digest()

    registry = fake_place.registry(Access(htpasswd=users, bearer_tokens=True))
    uploads = upload_state.StateTokens(guessed(b'uploads of the registry v2 API'), 3600)
    known = htpasswd.Users(users)
    logins = Tokens(guessed(b'logins of the registry v2 API'), 300, known)
    location = registry('POST', '/v2/a/blobs/uploads/', headers=basic()).headers['Location']

    with pytest.raises(upload_state.errors.UploadUnknown):
        uploads.read('a', location.rpartition('/')[2], time.time())
    with pytest.raises(Exception, match='not one of this registry'):
        logins.read(token(registry, headers=basic()).encode())
    old = uploads.sign(upload_state.Upload.begin('a', 'sha256', time.time()))
    answer = registry('PATCH', '/v2/a/blobs/uploads/' + old, b'x', headers=basic())
    assert (answer.status_code, code_of(answer)) == (404, 'BLOB_UPLOAD_UNKNOWN')  # a push that the upgrade interrupts begins again
    old = logins.make(known.identity(b'alice'), Scopes())['token']
    assert registry('GET', '/v2/', headers=bearer(old)).status_code == 401


@pytest.mark.parametrize('change', [{'path': 'elsewhere'}, {'swift_container': 'other'}, {'swift_authurl': 'localhost'}], ids=str)
def test_a_shared_secret_makes_other_keys_in_another_place(fake, fake_place, change):
    if 'swift_authurl' in change:
        change = {'swift_authurl': fake.auth_url.replace('127.0.0.1', 'localhost')}
    config = dict(fake_place._settings, **change)
    other = Registry(driver.fetch('swift')(path=config.pop('path', 'files'), config=config), Config(upload_secret=CONFIGURED))
    first, same = fake_place.registry(upload_secret=CONFIGURED), fake_place.registry(upload_secret=CONFIGURED)
    location = first.upload('a')

    assert accepts(same, location)
    assert other('GET', location).status_code == 404


def test_the_secret_of_a_copied_container_makes_other_keys(fake, fake_place, stored):
    copy = Place(fake)
    fake.put(copy.container, SECRET, stored)

    assert copy.registry()('GET', fake_place.registry().upload('a')).status_code == 404


def test_a_configured_secret_needs_nothing_in_the_container(fake, fake_place):
    registry = fake_place.registry(upload_secret=CONFIGURED)
    fake.clear_requests()

    assert accepts(registry, registry.upload('a'))
    assert [request for request in fake.requests if request.kind != 'auth'] == [] and secrets_of(fake_place) == []


# Garbage costs nothing


@pytest.mark.parametrize('garbage', ['x', 'x' * 40, 'eyJ9.' + 'x' * 42, '!' * 200])
def test_what_is_no_token_needs_no_key(fake, fake_place, users, garbage):
    registry = fake_place.registry(Access(htpasswd=users, bearer_tokens=True))
    open_to_all = fake_place.registry()
    fake.clear_requests()

    assert registry('GET', '/v2/', headers=bearer(garbage)).status_code == 401
    assert open_to_all('GET', f'/v2/a/blobs/uploads/{garbage[:100]}').status_code == 404
    assert fake.requests == []


def test_the_catalog_does_not_show_it(fake_registry):
    fake_registry.push_image('a', 'v1', b'layer')
    fake_registry.upload('a')

    assert fake_registry('GET', '/v2/_catalog').json == {'repositories': ['a']}
