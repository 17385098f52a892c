"""A registry that is read-only serves pulls, and sends Swift nothing that could change anything."""

import itertools
import re

import pytest

from access_client import basic, bearer
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http.routes import API
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.errors import ReadOnly as ReadOnlyError
from docker_registry.v2.registry.read_only import READING, ReadOnly
from docker_registry.v2.settings.config import Access, Config
from fake_swift import on, status
from registry_client import Place, Registry, code_of, digest_of
from registry_process import Serving, environment, run, until

LAYER = b'layer'
PARTS = {'repository': 'team/app', 'reference': 'v1', 'digest': digest_of(LAYER), 'token': 'x'}
#: Each route of the API with each of its methods. What writes is every method that is neither GET nor HEAD, where the guard is asked.
REQUESTS = [
    (method, re.sub(r'\(\?P<(\w+)>[^)]*\)', lambda part: PARTS[part[1]], pattern.pattern).replace('?', ''), action)
    for pattern, methods, action in API
    for method in methods
]
WRITES = [(method, path) for method, path, action in REQUESTS if method not in ('GET', 'HEAD') and action is not None]
WRITES += [
    ('PUT', '/v2/team/app/manifests/' + digest_of(b'{}')),
    ('DELETE', '/v2/team/app/manifests/' + digest_of(b'{}')),
    ('POST', '/v2/team/app/blobs/uploads/?digest=' + digest_of(LAYER)),
    ('POST', '/v2/team/app/blobs/uploads/?from=team/other&mount=' + digest_of(LAYER)),
]


@pytest.fixture
def users(tmp_path):
    path = tmp_path / 'htpasswd'
    path.write_text(htpasswd.line('alice', 'correct horse', 4) + '\n')
    return str(path)


@pytest.fixture
def image(fake_place):
    """The digest of an image that another registry has stored."""
    return fake_place.registry().push_image('team/app', 'v1', LAYER)


@pytest.fixture
def written(fake, fake_place):
    """A function that returns the requests since now that could change anything in Swift."""
    fake.create_container(fake_place.container)
    fake.clear_requests()

    def since():
        found = [request for request in fake.requests if request.kind != 'auth' and request.method not in ('GET', 'HEAD')]
        return [(request.method, request.path) for request in found]

    return since


def read_only(place, **access):
    """Return a registry as `serve` makes it, on a container that is there."""
    place.server.create_container(place.container)
    return Registry(place.storage(swift_create_container='false'), Config(), Access(read_only=True, **access))


def test_there_is_something_to_test():
    assert {method for method, _ in WRITES} == {'PUT', 'POST', 'PATCH', 'DELETE'}
    assert {path.split('/')[4] for _, path in WRITES} == {'manifests', 'blobs'}


@pytest.mark.parametrize('method, path', WRITES)
def test_what_writes_is_refused_and_reaches_swift_with_nothing(fake_place, image, written, method, path):
    answer = read_only(fake_place)(method, path, LAYER)

    assert (answer.status_code, code_of(answer)) == (405, 'UNSUPPORTED')
    assert 'this registry is read-only' in answer.json['errors'][0]['message']
    assert written() == []


@pytest.mark.parametrize(
    'method, path, allowed',
    [
        ('PUT', '/v2/a/manifests/v1', 'GET, HEAD'),
        ('POST', '/v2/a/manifests/v1', 'GET, HEAD'),
        ('DELETE', '/v2/a/blobs/' + digest_of(LAYER), 'GET, HEAD'),
        ('PATCH', '/v2/a/blobs/uploads/x', 'GET, HEAD'),
        ('POST', '/v2/a/blobs/uploads/', ''),
        ('GET', '/v2/a/blobs/uploads/', ''),
        ('DELETE', '/v2/token', 'GET, HEAD, POST'),
    ],
)
def test_a_405_names_the_methods_that_are_left(fake_place, method, path, allowed):
    assert read_only(fake_place)(method, path).headers['Allow'] == allowed


@pytest.mark.parametrize('missing', ['nothing', 'secret', 'container'])
def test_no_request_of_any_kind_changes_anything(fake, fake_place, image, written, users, missing):
    registry = read_only(fake_place, htpasswd=users, anonymous_pull=True)
    if missing == 'secret':
        fake.container(fake_place.container).pop('files/' + layout.SECRET, None)
    elif missing == 'container':
        del fake.containers[fake_place.container]
    fake.clear_requests()

    for (method, path, _), more in itertools.product(REQUESTS, [{}, {'headers': basic()}]):
        for name in (method, 'HEAD') if method == 'GET' else (method,):
            answer = registry(name, path, b'grant_type=password&username=alice&password=correct+horse', **more)
            assert answer.status_code in (200, 401, 404, 405, 503), (name, path)
    assert written() == []
    assert [request for request in fake.requests if request.kind != 'auth']


def test_pulls_go_on(fake_place, image, written):
    registry = read_only(fake_place)

    assert registry('GET', '/v2/team/app/manifests/v1').headers['Docker-Content-Digest'] == image
    assert registry('GET', '/v2/team/app/blobs/' + digest_of(LAYER)).data == LAYER
    assert registry('GET', '/v2/team/app/tags/list').json['tags'] == ['v1']
    assert registry('GET', '/v2/_catalog').json['repositories'] == ['team/app']
    assert registry('GET', '/readyz').status_code == 200
    assert written() == []


def test_strangers_are_asked_who_they_are_first(fake_place, users):
    registry = read_only(fake_place, htpasswd=users)

    assert registry('POST', '/v2/team/app/blobs/uploads/').status_code == 401
    assert registry('POST', '/v2/team/app/blobs/uploads/', headers=basic(password='guessed')).status_code == 401
    assert registry('POST', '/v2/team/app/blobs/uploads/', headers=basic()).status_code == 405


def test_a_token_of_another_registry_pulls(fake_place, image, written, users):
    """The secret in the container makes it."""
    tokens = {'htpasswd': users, 'bearer_tokens': True}
    asked = '/v2/token?scope=repository:team/app:pull'
    token = fake_place.registry(access=Access(**tokens))('GET', asked, headers=basic()).json['token']

    registry = read_only(fake_place, **tokens)
    written()
    assert registry('GET', '/v2/team/app/manifests/v1', headers=bearer(token)).status_code == 200


def test_a_secret_that_is_gone_is_not_written_again(fake, fake_place, image, written, users, caplog):
    fake.container(fake_place.container).pop('files/' + layout.SECRET, None)
    answer = read_only(fake_place, htpasswd=users, anonymous_pull=True)('GET', '/v2/token?scope=repository:team/app:pull')

    assert answer.status_code == 503
    assert 'is gone, and this registry is read-only. Restart it' in caplog.text
    assert written() == []


def test_an_upload_of_another_registry_tells_how_far_it_is(fake_place, written):
    location = fake_place.registry().upload('a')
    registry = read_only(fake_place)
    before = written()

    assert registry('GET', location).status_code == 204
    assert registry('PATCH', location, b'more').status_code == 405
    assert written() == before


# Code that tries to write


def test_a_method_of_the_driver_that_writes_sends_nothing(fake_place, written):
    storage = ReadOnly(fake_place.storage())
    for other in (storage, storage.at(''), storage.impatient(3)):
        for name in ('replace', 'put_new', 'put_content', 'discard', 'remove', 'copy', 'compose', 'write_parts', 'connect', 'whatever'):
            with pytest.raises(ReadOnlyError):
                getattr(other, name)('a', b'')
    assert written() == []


def test_the_methods_that_only_read_are_there(fake_place):
    storage = fake_place.storage()

    assert [name for name in sorted(READING) if not hasattr(storage, name)] == []


# The process


def pulling(users, **more):
    return {'REGISTRY_HTPASSWD': users, 'REGISTRY_ANONYMOUS_PULL': 'true', 'REGISTRY_READ_ONLY': 'true', 'GUNICORN_WORKERS': '3', **more}


def pids(server):
    """The processes that answered, by the log."""
    return set(re.findall(r'\[(\d+)\] GET /v2/team/app/manifests/v1 200', server.log))


@pytest.mark.parametrize('secret', [None, 'a secret that is long enough for all'])
def test_without_a_secret_in_the_container_a_token_is_good_for_all_workers(fake, tmp_path, users, secret):
    environ = environment(fake, **pulling(users, REGISTRY_UPLOAD_SECRET=secret))
    fake.create_container(environ['OS_CONTAINER'])
    writer = {**environ, 'REGISTRY_READ_ONLY': 'false', 'REGISTRY_UPLOAD_SECRET': 'another one, so that none is in the container'}
    push(writer, tmp_path)
    fake.clear_requests()
    with Serving(tmp_path, environ) as server:
        token = server.request('GET', '/v2/token?scope=repository:team/app:pull')[2].decode().split('"')[3]

        def answered_by_all():
            assert server.request('GET', '/v2/team/app/manifests/v1', **bearer(token))[0] == 200
            return len(pids(server)) == 3

        until(answered_by_all)
        assert server.log.count('the container has no secret') == (0 if secret else 1)
        assert 'the registry is read-only: everybody may pull' in server.log
    assert {request.method for request in fake.requests if request.kind != 'auth'} <= {'GET', 'HEAD'}


def push(environ, folder):
    with Serving(folder, environ) as server:
        headers = {**basic(), 'Content-Type': 'application/vnd.oci.image.manifest.v1+json'}
        server.request('POST', f'/v2/team/app/blobs/uploads/?digest={digest_of(b"{}")}', b'{}', **basic())
        manifest = (
            b'{"schemaVersion": 2, "config": {"mediaType": "a/b", "digest": "%s", "size": 2}, "layers": []}' % digest_of(b'{}').encode()
        )
        assert server.request('PUT', '/v2/team/app/manifests/v1', manifest, **headers)[0] == 201


def test_a_missing_container_stops_the_start_and_is_not_created(fake, tmp_path):
    environ = environment(fake, REGISTRY_READ_ONLY='true')
    code, _, said = run('serve', '--port', '0', environ=environ)

    assert code == 1
    assert said.count('\n') == 1 and 'does not exist' in said and said.endswith('--read-only (REGISTRY_READ_ONLY) turns it off\n')
    assert environ['OS_CONTAINER'] not in fake.containers


@pytest.mark.parametrize('tokens', ['false', 'true'])
def test_a_user_of_swift_who_may_only_read_is_enough(shared_swift, tmp_path, users, tokens):
    environ = environment(shared_swift, REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS=tokens)
    push(environ, tmp_path)
    writer = Place(shared_swift, swift_container=environ['OS_CONTAINER']).storage()
    writer._swift.request('POST', writer._swift.container_path, headers={'X-Container-Read': 'test:reader'})
    reader = environ | {'OS_USERNAME': 'test:reader', 'OS_PASSWORD': 'reading'}

    with Serving(tmp_path, reader, '--read-only') as server:
        assert server.request('GET', '/v2/team/app/manifests/v1', **basic())[0] == 200
        assert server.request('GET', '/v2/_catalog', **basic())[2] == b'{"repositories": ["team/app"]}'
        assert server.request('GET', '/readyz')[0] == 200
        assert server.request('PUT', '/v2/team/app/manifests/v1', b'{}', **basic())[0] == 405
        assert 'ERROR' not in server.log


def test_check_still_writes(fake):
    assert run('check', environ=environment(fake, REGISTRY_READ_ONLY='true'))[0] == 0


def test_a_container_that_goes_away_is_not_created_again(fake, tmp_path):
    environ = environment(fake)
    fake.create_container(environ['OS_CONTAINER'])
    with Serving(tmp_path, environ, '--read-only') as server:
        del fake.containers[environ['OS_CONTAINER']]
        assert server.request('GET', '/v2/team/app/manifests/v1')[0] == 503
        assert server.request('GET', '/readyz')[0] == 503
    assert fake.containers == {}


def test_swift_that_cannot_tell_whether_there_is_a_secret_is_no_reason_for_another(fake, tmp_path, users):
    environ = environment(fake, **pulling(users))
    fake.put(environ['OS_CONTAINER'], 'files/' + layout.SECRET, b's' * 32)
    fake.fault(on('HEAD', path_contains=layout.SECRET), status(404))
    with Serving(tmp_path, environ) as server:
        assert 'the container has no secret' not in server.log
        assert server.request('GET', '/v2/token?scope=repository:team/app:pull')[0] == 200
