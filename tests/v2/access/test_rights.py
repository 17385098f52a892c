"""Every way into the registry asks the rules: each endpoint for each client, tokens, mounts, lists, and tags that stay."""

import io
import itertools
import json
import re

import pytest

from access_client import LAYER, basic, bearer, replace, token
from docker_registry.v2.access import guard, htpasswd, tokens
from docker_registry.v2.http.routes import ROUTES
from docker_registry.v2.registry import catalog
from docker_registry.v2.registry.formats import OCI_IMAGE, OCI_INDEX
from docker_registry.v2.settings.config import Access
from registry_client import code_of, digest_of

PASSWORD = htpasswd.make(b'secret', 4)
NAMES = ('admin', 'builder', 'reader', 'stranger', 'pusher')
RULES = b"""
allow everybody      pull             public/**
group owners         = admin
allow @owners        pull,push,delete team/**
allow builder,pusher push             team/**   # push implies pull
allow reader         pull             team/**
deny  pusher         pull             team/secret/**
"""
#: What each client may do in team/app. None is a client without a login.
MAY = {
    'admin': {'pull', 'push', 'delete'},
    'builder': {'pull', 'push'},
    'pusher': {'pull', 'push'},
    'reader': {'pull'},
    'stranger': set(),
    None: set(),
}
#: The action that each endpoint of a repository is about, by its route. A route that is not here has no rule yet.
ACTIONS = {
    'tags/list': {'GET': 'pull', 'HEAD': 'pull'},
    'manifests/R': {'GET': 'pull', 'HEAD': 'pull', 'PUT': 'push', 'DELETE': 'delete'},
    'referrers/D': {'GET': 'pull', 'HEAD': 'pull'},
    'blobs/uploads/': {'POST': 'push'},
    'blobs/uploads/T': {'GET': 'push', 'HEAD': 'push', 'PATCH': 'push', 'PUT': 'push', 'DELETE': 'push'},
    'blobs/D': {'GET': 'pull', 'HEAD': 'pull', 'DELETE': 'delete'},
}
#: The same for the page.
PAGE_ACTIONS = {
    'tags/': {'GET': 'pull', 'HEAD': 'pull'},
    'manifests/R': {'GET': 'pull', 'HEAD': 'pull'},
    'delete/': {'GET': 'delete', 'HEAD': 'delete', 'POST': 'delete'},
}
WITHOUT_A_REPOSITORY = {'/', '/v2/', '/v2/_catalog', '/v2/token', '/healthz', '/readyz', '/metrics', '/ui/', '/ui/_login', '/ui/_static/N'}
DIGEST = digest_of(LAYER)


def endpoints(root):
    """Yield (method, route without its repository) of every route of the application below `/v2/` or `/ui/`."""
    for pattern, methods, _ in ROUTES:
        path = re.sub(r'\(\?P<(\w)\w*>[^)]*\)', lambda match: match[1].upper() if match[1] != 'r' else 'R', pattern.pattern).replace(
            '/?', '/'
        )
        if path in WITHOUT_A_REPOSITORY or path.startswith('/ui/') != (root == '/ui/'):
            continue
        repository, route = path.removeprefix(root).split('/', 1)
        assert repository == 'R', path
        for method in {*methods, *(['HEAD'] if 'GET' in methods else [])}:
            yield method, route


ENDPOINTS, PAGES = sorted(endpoints('/v2/')), sorted(endpoints('/ui/'))
TARGETS = {'R': 'v1', 'D': DIGEST, 'T': 'x'}


def url(repository, route, root='/v2/'):
    head, _, last = route.rpartition('/')
    return f'{root}{repository}/{head}{"/" if head or root == "/v2/" else ""}{TARGETS.get(last, last)}'


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b''.join(b'%b:%b\n' % (name.encode(), PASSWORD) for name in NAMES))
    (tmp_path / 'rules').write_bytes(RULES)
    return tmp_path


@pytest.fixture
def ruled(fake_place, files):
    """A registry with rules. Its repositories are public/app, team/app, team/secret/app and other/app."""
    whole = fake_place.registry()
    for repository in ('public/app', 'team/app', 'team/secret/app', 'other/app'):
        whole.push_image(repository, 'v1', LAYER)
    return with_rules(fake_place, files)


def with_rules(place, files, rules=None, **more):
    if rules is not None:
        replace(str(files / 'rules'), rules)
    return place.registry(Access(htpasswd=str(files / 'htpasswd'), rules=str(files / 'rules')), **more)


def credentials(name, registry=None, *scopes):
    """Return the header of a client: with Basic, or with a token if a registry is given. Nothing for None."""
    login = basic(name, 'secret') if name else {}
    return bearer(token(registry, *scopes, headers=login)) if registry else login


def test_every_route_has_an_action():
    assert {(method, route) for route, methods in ACTIONS.items() for method in methods} == set(ENDPOINTS)


@pytest.mark.parametrize('with_a_token', [False, True], ids=['password', 'token'])
@pytest.mark.parametrize('name', list(MAY), ids=str)
@pytest.mark.parametrize('method, route', ENDPOINTS)
def test_every_endpoint_asks_the_rules(ruled, method, route, name, with_a_token):
    wanted = ACTIONS[route][method]
    sent = credentials(name, ruled if with_a_token else None, 'repository:team/app:pull,push,delete', 'repository:nowhere:*')
    del ruled.swift_requests[:]
    answer = ruled(method, url('team/app', route), headers=sent)

    if wanted in MAY[name]:
        assert answer.status_code not in (401, 403)
        return
    assert answer.status_code == (403 if name else 401)
    assert method == 'HEAD' or code_of(answer) == ('DENIED' if name else 'UNAUTHORIZED')
    assert name or answer.headers['WWW-Authenticate'].startswith('Bearer realm="http://localhost/v2/token"')
    assert not ruled.swift_requests
    missing = ruled(method, url('team/nowhere', route), headers=credentials(name))
    present = ruled(method, url('team/app', route), headers=credentials(name))
    assert comparable(missing, 'team/nowhere') == comparable(present, 'team/app')


def test_every_page_has_an_action():
    assert {(method, route) for route, methods in PAGE_ACTIONS.items() for method in methods} == set(PAGES)


@pytest.mark.parametrize('name', list(MAY), ids=str)
@pytest.mark.parametrize('method, route', PAGES)
def test_every_page_asks_the_rules(fake_place, ruled, files, method, route, name):
    access = Access(htpasswd=str(files / 'htpasswd'), rules=str(files / 'rules'), ui_delete=True)
    registry = fake_place.registry(access)
    sent = credentials(name) | {'Sec-Fetch-Site': 'same-origin'}

    answer = registry(method, url('team/app', route, '/ui/') + '?tag=v1', headers=sent)

    if PAGE_ACTIONS[route][method] in MAY[name]:
        assert answer.status_code in (200, 303)
        return
    assert answer.status_code == (403 if name else 401)
    assert name or answer.headers['WWW-Authenticate'] == 'Basic realm="registry"'
    assert not registry.swift_requests
    missing = registry(method, url('team/nowhere', route, '/ui/') + '?tag=v1', headers=sent)
    assert comparable(missing, 'team/nowhere') == comparable(answer, 'team/app')


def comparable(answer, repository):
    """Return all that a client sees of an answer, apart from what it has sent itself."""
    fields = {name: value.replace(repository, 'R') for name, value in answer.headers.items() if name != 'X-Request-Id'}
    return answer.status_code, fields, answer.data


@pytest.mark.parametrize('method, route', ENDPOINTS)
def test_what_everybody_may_pull_needs_no_login(ruled, method, route):
    answer = ruled(method, url('public/app', route), headers=credentials(None, ruled, 'repository:public/app:pull,push,delete'))

    assert (answer.status_code == 401) == (ACTIONS[route][method] != 'pull')
    if method == 'GET' and ACTIONS[route][method] == 'pull':
        assert 'private' not in answer.headers.get('Cache-Control', '')


def test_what_not_everybody_may_pull_is_for_no_cache(ruled):
    for path in ('tags/list', 'manifests/v1', f'blobs/{DIGEST}'):
        assert 'private' in ruled('GET', f'/v2/team/app/{path}', headers=credentials('reader')).headers['Cache-Control']


@pytest.mark.parametrize('name', ['reader', 'stranger', None], ids=str)
@pytest.mark.parametrize('method, route', ENDPOINTS)
def test_a_name_that_cannot_be_a_repository_is_no_way_in(ruled, method, route, name):
    answer = ruled(method, url('Team/app', route), headers=credentials(name))

    assert answer.status_code in ((400, 401, 404, 416) if name is None else (400, 404))
    assert not [request for request in ruled.swift_requests if request[0] in ('PUT', 'POST', 'DELETE')]


def test_who_may_not_pull_may_not_push(ruled):
    for method, route in ENDPOINTS:
        assert ruled(method, url('team/secret/app', route), headers=credentials('pusher')).status_code == 403


# Tokens


def granted(registry, name, *scopes):
    answer = registry('GET', '/v2/token', query_string=[('scope', scope) for scope in scopes], headers=credentials(name))
    assert answer.status_code == 200
    return answer.json['scope']


def test_a_token_is_for_what_is_asked_and_allowed(ruled):
    asked = ['repository:team/app:pull,push,delete', 'repository:other/app:pull', 'repository:public/app:pull,push', 'registry:catalog:*']

    assert granted(ruled, 'admin', *asked) == 'repository:team/app:pull,push,delete repository:public/app:pull registry:catalog:*'
    assert granted(ruled, 'builder', *asked) == 'repository:team/app:pull,push repository:public/app:pull registry:catalog:*'
    assert granted(ruled, 'stranger', *asked) == 'repository:public/app:pull registry:catalog:*'
    assert granted(ruled, None, *asked) == 'repository:public/app:pull registry:catalog:*'
    assert granted(ruled, 'builder', 'repository:team/app:*') == 'repository:team/app:pull,push'


def test_a_user_with_a_token_for_less_than_the_rules_allow_is_asked_for_another(ruled):
    answer = ruled('PUT', '/v2/team/app/manifests/v1', headers=credentials('builder', ruled, 'repository:team/app:pull'))

    assert answer.status_code == 401
    assert 'scope="repository:team/app:pull,push",error="insufficient_scope"' in answer.headers['WWW-Authenticate']


def test_a_token_gives_no_right_that_is_taken_meanwhile(ruled, files):
    sent = credentials('builder', ruled, 'repository:team/app:pull,push')
    assert ruled('GET', '/v2/team/app/tags/list', headers=sent).status_code == 200
    replace(str(files / 'rules'), b'allow reader pull team/**\n')

    assert ruled('GET', '/v2/team/app/tags/list', headers=sent).status_code == 403
    assert ruled('GET', '/v2/team/app/tags/list', headers=credentials('builder')).status_code == 403


class Arriving(io.BytesIO):
    """The body of a request. Before its last bytes arrive, something happens."""

    def __init__(self, content, event):
        super().__init__(content)
        self._event = event

    def read(self, size=-1):
        block = super().read(size)
        event, self._event = self._event, lambda: None
        event()
        return block


@pytest.mark.parametrize('with_a_token', [False, True], ids=['password', 'token'])
@pytest.mark.parametrize(
    'name, content, status',
    [
        ('rules', RULES + b'deny builder push **\n', 403),
        ('rules', RULES + b'deny builder push **:new\n', 403),
        ('rules', RULES + b'expires builder 2020-01-31\n', 401),
        ('rules', b'wrong\n', 503),
        ('htpasswd', b'other:%b\n' % PASSWORD, 401),
        ('htpasswd', b'builder:%b\n' % htpasswd.make(b'new', 4), 401),
    ],
    ids=['right', 'tag', 'expired', 'broken', 'removed', 'password changed'],
)
def test_a_right_that_is_taken_while_the_body_arrives_is_gone(ruled, files, name, content, status, with_a_token):
    manifest = ruled('GET', '/v2/team/app/manifests/v1', headers=credentials('builder')).data
    sent = credentials('builder', ruled if with_a_token else None, 'repository:team/app:pull,push')
    body = Arriving(manifest, lambda: replace(str(files / name), content))
    length = {'wsgi.input': body, 'CONTENT_LENGTH': str(len(manifest))}
    answer = ruled('PUT', '/v2/team/app/manifests/new', headers={**sent, 'Content-Type': OCI_IMAGE}, environ_overrides=length)

    assert answer.status_code == status
    replace(str(files / 'rules'), RULES)
    assert ruled('GET', '/v2/team/app/manifests/new', headers=credentials('reader')).status_code in (404, 401)


@pytest.mark.parametrize('length', [100, None], ids=['of known length', 'chunked'])
def test_a_layer_whose_push_is_forbidden_while_it_arrives_is_not_stored(ruled, files, length):
    content = b'q' * 100
    body = Arriving(content, lambda: replace(str(files / 'rules'), RULES + b'deny builder push **\n'))
    fields = {'wsgi.input': body} | ({'CONTENT_LENGTH': str(length)} if length else {'wsgi.input_terminated': True})
    path = f'/v2/team/app/blobs/uploads/?digest={digest_of(content)}'
    answer = ruled('POST', path, headers=credentials('builder'), environ_overrides=fields)

    assert (answer.status_code, code_of(answer)) == (403, 'DENIED')
    assert ruled('HEAD', f'/v2/team/app/blobs/{digest_of(content)}', headers=credentials('reader')).status_code == 404


def test_a_tag_that_must_stay_from_now_on_is_not_overwritten_by_a_push_that_has_begun(fake_place, ruled, files):
    first = ruled('GET', '/v2/team/app/manifests/v1', headers=credentials('builder')).data
    content = first.replace(b'{', b'{ ', 1)
    body = Arriving(content, lambda: replace(str(files / 'rules'), RULES + b'deny everybody overwrite **\n'))
    fields = {'wsgi.input': body, 'CONTENT_LENGTH': str(len(content))}
    sent = {**credentials('builder'), 'Content-Type': OCI_IMAGE}

    assert ruled('PUT', '/v2/team/app/manifests/v1', headers=sent, environ_overrides=fields).status_code == 403
    assert ruled('GET', '/v2/team/app/manifests/v1', headers=credentials('builder')).data == first


def test_a_token_that_ends_while_the_body_arrives_is_good_for_it(ruled, monkeypatch):
    manifest = ruled('GET', '/v2/team/app/manifests/v1', headers=credentials('builder')).data
    sent = credentials('builder', ruled, 'repository:team/app:pull,push')
    body = Arriving(manifest, lambda: monkeypatch.setattr(tokens, 'LEEWAY', -(10**6)))
    fields = {'wsgi.input': body, 'CONTENT_LENGTH': str(len(manifest))}

    answer = ruled('PUT', '/v2/team/app/manifests/new', headers={**sent, 'Content-Type': OCI_IMAGE}, environ_overrides=fields)
    assert answer.status_code == 201


def test_a_right_that_is_given_counts_for_passwords_at_once(ruled, files):
    assert ruled('GET', '/v2/team/app/tags/list', headers=credentials('stranger')).status_code == 403
    replace(str(files / 'rules'), RULES + b'allow stranger pull team/**\n')

    assert ruled('GET', '/v2/team/app/tags/list', headers=credentials('stranger')).status_code == 200


def test_the_base_tells_everybody_how_to_get_a_token(ruled, fake_place, files):
    """docker asks it without a login, and asks for tokens only after a challenge."""
    assert ruled('GET', '/v2/').headers['WWW-Authenticate'].startswith('Bearer ')
    assert ruled('GET', '/v2/', headers=credentials(None, ruled)).status_code == 200
    closed = with_rules(fake_place, files, b'allow reader pull **\n')
    assert closed('GET', '/v2/', headers=credentials(None, closed)).status_code == 401
    assert closed('GET', '/v2/', headers=credentials('stranger')).status_code == 200


# Rules that cannot be used


@pytest.mark.parametrize('broken', [b'alow reader pull **\n', None], ids=['wrong', 'missing'])
def test_nobody_gets_in_while_the_rules_cannot_be_used(ruled, files, broken, caplog):
    allowed = credentials('admin', ruled, 'repository:team/app:pull')
    if broken:
        replace(str(files / 'rules'), broken)
    else:
        (files / 'rules').unlink()
    del ruled.swift_requests[:]
    for method, route in ENDPOINTS:
        for sent in (credentials('admin'), allowed, {}):
            assert ruled(method, url('public/app', route), headers=sent).status_code == 503
    for path, sent in itertools.product(('/v2/', '/v2/_catalog', '/v2/token?scope=repository:team/app:pull'), (credentials('admin'), {})):
        answer = ruled('GET', path, headers=sent)
        assert (answer.status_code, code_of(answer)) == (503, 'UNAVAILABLE'), path

    assert not ruled.swift_requests
    assert ruled('GET', '/healthz').status_code == ruled('GET', '/readyz').status_code == 200
    assert 'nobody gets in until you correct the file of rules' in caplog.text
    replace(str(files / 'rules'), RULES)
    assert ruled('GET', '/v2/team/app/tags/list', headers=allowed).status_code == 200


def test_rules_that_break_during_a_request_are_no_error_of_the_registry(ruled, files, monkeypatch):
    """A pull that was admitted goes on. What the rules have yet to decide is answered as always."""
    admit = guard.Guard.admit

    def admit_and_break(*arguments):
        admit(*arguments)
        replace(str(files / 'rules'), b'wrong\n')

    monkeypatch.setattr(guard.Guard, 'admit', admit_and_break)
    answers = []
    for method, path in (
        ('GET', 'team/app/manifests/v1'),
        ('GET', '_catalog'),
        ('POST', f'team/b/blobs/uploads/?mount={DIGEST}&from=team/app'),
    ):
        replace(str(files / 'rules'), RULES)
        answers.append(ruled(method, f'/v2/{path}', headers=credentials('builder')))

    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert 'private' in answers[0].headers['Cache-Control']


# Mounts


def mount(registry, name, source, target='team/target'):
    parts = f'?mount={DIGEST}' + (f'&from={source}' if source else '')
    return registry('POST', f'/v2/{target}/blobs/uploads/{parts}', headers=credentials(name)).status_code


@pytest.mark.parametrize(
    'name, source, status',
    [
        ('builder', 'team/app', 201),
        ('builder', 'public/app', 201),
        ('builder', 'other/app', 202),
        ('pusher', 'team/secret/app', 202),
        ('builder', None, 202),
        ('reader', 'team/app', 403),
        (None, 'public/app', 401),
    ],
)
def test_a_mount_needs_a_pull_from_its_source_and_a_push_to_its_target(ruled, name, source, status):
    assert mount(ruled, name, source) == status


def test_only_who_may_pull_everything_mounts_from_anywhere(fake_place, ruled, files, monkeypatch):
    rules = b'allow builder pull,push **\nallow pusher push **\ndeny pusher pull x/**\n'
    registry = with_rules(fake_place, files, rules, replication_cycle=0)

    assert mount(registry, 'builder', None) == 201
    assert mount(registry, 'pusher', None) == 202


@pytest.mark.parametrize('asked, status', [(['repository:team/target:pull,push', 'repository:team/app:pull'], 201), (None, 202)])
def test_a_mount_with_a_token_needs_both_scopes(ruled, asked, status):
    sent = credentials('builder', ruled, *(asked or ['repository:team/target:pull,push']))
    answer = ruled('POST', f'/v2/team/target/blobs/uploads/?mount={DIGEST}&from=team/app', headers=sent)

    assert answer.status_code == status


# The catalog


def listed(registry, name, count=''):
    found, path = [], '/v2/_catalog' + count
    while path:
        answer = registry('GET', path, headers=credentials(name))
        assert answer.status_code == 200, answer.data
        found.append(answer.json['repositories'])
        link = answer.headers.get('Link', '')
        path = link and link[1 : link.index('>')]
    return found


@pytest.mark.parametrize('count', ['', '?n=1', '?n=2'])
@pytest.mark.parametrize(
    'name, found',
    [
        ('admin', ['public/app', 'team/app', 'team/secret/app']),
        ('pusher', ['public/app', 'team/app']),
        ('stranger', ['public/app']),
        (None, ['public/app']),
    ],
)
def test_the_catalog_has_what_one_may_pull(ruled, name, found, count):
    assert sum(listed(ruled, name, count), []) == found


def test_nobody_without_a_login_lists_repositories_if_nothing_is_for_everybody(fake_place, files):
    registry = with_rules(fake_place, files, b'allow users pull **\n')

    assert registry('GET', '/v2/_catalog').status_code == 401
    assert listed(registry, 'reader') == [[]]


@pytest.fixture
def hidden(fake_place, files, monkeypatch):
    """A registry with 40 repositories, of which `reader` may see x/20 and x/40 only, and pages that end after 5 listings of 5 paths."""
    monkeypatch.setattr(catalog, 'LISTED', 5)
    monkeypatch.setattr(catalog, 'MOST_LISTINGS', 5)
    whole = fake_place.registry()
    for number in range(1, 41):
        whole.push_blob(f'x/{number:02}', LAYER)
    return with_rules(fake_place, files, b'allow reader pull *?/20 *?/40\n')


def test_a_long_way_through_hidden_repositories_is_cut_into_pages(hidden):
    found = listed(hidden, 'reader')

    assert sum(found, []) == ['x/20', 'x/40']
    assert len(found) > 1
    for _ in found:
        del hidden.swift_requests[:]
        hidden('GET', '/v2/_catalog', headers=credentials('reader'))
        assert len(hidden.swift_requests) <= 5


def test_a_link_does_not_tell_the_names_of_hidden_repositories(hidden):
    answer = hidden('GET', '/v2/_catalog', headers=credentials('reader'))
    position = re.search('after=([^&>]*)', answer.headers['Link'])[1]
    other = fresh_position(hidden)

    assert 'x/' not in answer.headers['Link'] and 'x%2F' not in answer.headers['Link']
    assert len(position) == len(other) and position != other  # not even whether two are the same


def fresh_position(registry):
    answer = registry('GET', '/v2/_catalog', headers=credentials('reader'))
    return re.search('after=([^&>]*)', answer.headers['Link'])[1]


@pytest.mark.parametrize('after', ['x', 'docker/registry/v2/repositories/x', 'A' * 1500, '%00', '\u00e9'])
def test_a_position_that_is_not_of_this_registry_is_refused(hidden, after):
    assert hidden('GET', '/v2/_catalog?after=' + after, headers=credentials('reader')).status_code == 400


def test_who_sees_little_of_much_causes_few_listings(fake_place, files, monkeypatch):
    monkeypatch.setattr(catalog, 'LISTED', 5)
    whole = fake_place.registry()
    for number in range(30):
        whole.push_blob(f'hidden/{number:02}', LAYER)
    whole.push_blob('team/app', LAYER)
    whole.push_blob('z/app', LAYER)
    registry = with_rules(fake_place, files, b'allow reader pull team/** z/*\n')

    assert listed(registry, 'reader') == [['team/app', 'z/app']]
    assert len(registry.swift_requests) <= 3


# Tags that stay


STAYING = b"""
allow builder push,delete app
allow admin   push,delete app
deny  builder overwrite,delete app:v*
"""


@pytest.fixture
def staying(place, files):
    return with_rules(place, files, STAYING)


def push(registry, name, reference, layer=LAYER, tags=()):
    sent = credentials(name)
    for content in (b'{}', layer):
        registry('POST', f'/v2/app/blobs/uploads/?digest={digest_of(content)}', content, headers=sent)
    manifest = {
        'schemaVersion': 2,
        'mediaType': 'application/vnd.oci.image.manifest.v1+json',
        'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': digest_of(b'{}'), 'size': 2},
        'layers': [{'mediaType': 'application/vnd.oci.image.layer.v1.tar', 'digest': digest_of(layer), 'size': len(layer)}],
    }
    content = json.dumps(manifest).encode()
    reference = reference or digest_of(content)
    query = [('tag', tag) for tag in tags]
    sent = {**sent, 'Content-Type': manifest['mediaType']}
    return registry('PUT', f'/v2/app/manifests/{reference}', content, query_string=query, headers=sent)


def test_a_tag_that_stays_can_be_created_and_pushed_again_as_it_is(staying):
    assert [push(staying, 'builder', 'v1').status_code for _ in range(2)] == [201, 201]


def test_a_tag_that_stays_cannot_be_overwritten(staying):
    first = push(staying, 'builder', 'v1')
    answer = push(staying, 'builder', 'v1', b'another')
    by_digest = push(staying, 'builder', None, b'another', ['new', 'v1'])

    assert (answer.status_code, code_of(answer)) == (by_digest.status_code, code_of(by_digest)) == (403, 'DENIED')
    assert staying('GET', '/v2/app/manifests/v1', headers=credentials('builder')).headers['ETag'].strip('"') == digest(first)
    assert staying('GET', '/v2/app/manifests/new', headers=credentials('builder')).status_code == 404


def digest(answer):
    return answer.headers['Docker-Content-Digest']


def test_others_may_overwrite_it_and_other_tags_do_not_stay(staying):
    push(staying, 'builder', 'v1')

    assert push(staying, 'admin', 'v1', b'another').status_code == 201
    assert [push(staying, 'builder', 'latest', layer).status_code for layer in (b'1', b'2')] == [201, 201]


def test_a_tag_that_must_not_be_deleted_keeps_its_manifest(staying):
    found = digest(push(staying, 'builder', 'v1'))
    push(staying, 'builder', 'latest')

    assert staying('DELETE', '/v2/app/manifests/v1', headers=credentials('builder')).status_code == 403
    assert staying('DELETE', f'/v2/app/manifests/{found}', headers=credentials('builder')).status_code == 403
    assert staying('DELETE', '/v2/app/manifests/latest', headers=credentials('builder')).status_code == 202
    assert staying('DELETE', f'/v2/app/manifests/{found}', headers=credentials('admin')).status_code == 202


def test_a_manifest_without_such_a_tag_can_be_deleted(staying):
    found = digest(push(staying, 'builder', 'latest'))

    assert staying('DELETE', f'/v2/app/manifests/{found}', headers=credentials('builder')).status_code == 202


def test_a_tag_that_ended_with_its_manifest_can_be_created_again(staying):
    found = digest(push(staying, 'builder', 'v1'))
    assert staying('DELETE', f'/v2/app/manifests/{found}', headers=credentials('admin')).status_code == 202

    assert push(staying, 'builder', 'v1', b'another').status_code == 201


def test_of_two_that_create_a_tag_at_the_same_time_one_is_refused(fake_place, files, monkeypatch):
    registry = with_rules(fake_place, files, STAYING)
    immutable = registry.app.manifests._immutable
    require = immutable.require

    def require_and_lose(repository, tag, digest):
        require(repository, tag, digest)
        monkeypatch.setattr(immutable, 'require', require)
        assert push(registry, 'admin', 'v1', b'another').status_code == 201

    monkeypatch.setattr(immutable, 'require', require_and_lose)

    assert push(registry, 'builder', 'v1').status_code == 403


def test_what_is_pushed_without_a_tag_is_of_no_tag(fake_place, files):
    registry = with_rules(fake_place, files, b'allow builder push app:dev-*\n')

    assert push(registry, 'builder', None).status_code == 201
    assert push(registry, 'builder', 'dev-1').status_code == 201
    assert push(registry, 'builder', 'v1').status_code == 403
    assert push(registry, 'builder', None, b'x', ['dev-1', 'v1']).status_code == 403


def test_who_may_delete_some_tags_deletes_these_and_nothing_else(place, files):
    registry = with_rules(place, files, b'allow builder push app\nallow builder delete app:dev-*\n')
    sent = credentials('builder')
    found = digest(push(registry, 'builder', 'dev-1'))
    untagged, both = digest(push(registry, 'builder', None, b'1')), digest(push(registry, 'builder', 'dev-2', b'2'))
    push(registry, 'builder', 'v2', b'2')

    assert registry('DELETE', f'/v2/app/manifests/{untagged}', headers=sent).status_code == 403
    assert registry('DELETE', f'/v2/app/manifests/{both}', headers=sent).status_code == 403
    assert registry('DELETE', '/v2/app/manifests/v2', headers=sent).status_code == 403
    assert registry('DELETE', f'/v2/app/blobs/{DIGEST}', headers=sent).status_code == 403
    assert granted(registry, 'builder', 'repository:app:delete') == 'repository:app:delete'
    assert registry('DELETE', f'/v2/app/manifests/{found}', headers=sent).status_code == 202
    assert registry('DELETE', '/v2/app/manifests/dev-2', headers=sent).status_code == 202


@pytest.mark.parametrize('index_type', [OCI_INDEX, OCI_INDEX.replace('index', 'Index')])  # the case of a media type means nothing
def test_what_a_tag_needs_that_must_not_be_deleted_stays(staying, index_type):
    sent = credentials('builder')
    platform = digest(push(staying, 'builder', 'dev-1'))
    index = {
        'schemaVersion': 2,
        'mediaType': index_type,
        'manifests': [{'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': platform, 'size': 404}],
    }
    answer = staying('PUT', '/v2/app/manifests/v1', json.dumps(index), headers={**sent, 'Content-Type': index['mediaType']})
    assert answer.status_code == 201
    free = digest(push(staying, 'builder', 'dev-2', b'free'))

    for path in (f'manifests/{platform}', f'blobs/{DIGEST}', f'blobs/{digest_of(b"{}")}'):
        assert staying('DELETE', f'/v2/app/{path}', headers=sent).status_code == 403, path
    for path in (f'blobs/{digest_of(b"free")}', f'manifests/{free}', 'manifests/dev-1'):
        assert staying('DELETE', f'/v2/app/{path}', headers=sent).status_code == 202, path
    assert staying('GET', f'/v2/app/manifests/{platform}', headers=sent).status_code == 200
    assert staying('GET', f'/v2/app/blobs/{DIGEST}', headers=sent).status_code == 200


def test_the_media_type_of_a_tag_that_stays_stays(staying):
    content, sent = b'{"schemaVersion": 2, "hello": 1}', credentials('builder')

    def put(reference, kind):
        path = f'/v2/app/manifests/{reference}'
        return staying('PUT', path, content, headers={**sent, 'Content-Type': f'application/vnd.{kind}+json'}).status_code

    assert [put('v1', 'first'), put('v1', 'first'), put('latest', 'first')] == [201] * 3
    assert [put(reference, 'other') for reference in ('v1', 'latest', digest_of(content))] == [403] * 3
    assert staying('GET', '/v2/app/manifests/v1', headers=sent).content_type == 'application/vnd.first+json'


# Logins that end


def test_a_login_ends_on_its_day(fake_place, ruled, files):
    sent = credentials('builder', ruled, 'repository:team/app:pull')
    answer = ruled('GET', '/v2/token?offline_token=true', headers=credentials('builder'))
    refresh = {'grant_type': 'refresh_token', 'refresh_token': answer.json['refresh_token']}
    replace(str(files / 'rules'), RULES + b'expires builder 2020-01-31\nexpires reader 2999-12-31\n')

    for headers in (credentials('builder'), sent):
        refused = ruled('GET', '/v2/team/app/tags/list', headers=headers)
        assert (refused.status_code, code_of(refused)) == (401, 'UNAUTHORIZED')
        assert 'ended on 2020-01-31' in refused.json['errors'][0]['message']
    assert ruled('GET', '/v2/token', headers=credentials('builder')).status_code == 401
    assert ruled('POST', '/v2/token', '&'.join(f'{name}={value}' for name, value in refresh.items()).encode()).status_code == 401
    assert ruled('GET', '/v2/team/app/tags/list', headers=credentials('reader')).status_code == 200


# What is logged


def test_who_did_what_is_logged_with_the_line_that_says_so(ruled, caplog):
    caplog.set_level('INFO', 'docker_registry.v2.access.audit')
    sent = dict(headers={**credentials('builder'), 'X-Request-Id': 'an-id'}, environ_overrides={'REMOTE_ADDR': '192.0.2.7'})
    content = b'another layer'
    ruled('POST', f'/v2/team/app/blobs/uploads/?digest={digest_of(content)}', content, **sent)
    manifest = ruled('GET', '/v2/team/app/manifests/v1', headers=credentials('admin'))
    ruled('PUT', '/v2/team/app/manifests/v2', manifest.data, **sent)
    ruled('DELETE', '/v2/team/app/manifests/v2', **sent)
    ruled('DELETE', '/v2/team/app/manifests/v2', headers=credentials('admin'))
    ruled('GET', '/v2/token?scope=repository:team/app:pull', **sent)
    lines = [record.getMessage() for record in caplog.records]

    assert lines == [
        'login user=builder by=htpasswd from=192.0.2.7',
        f'push user=builder from=192.0.2.7 repository=team/app digest={digest_of(content)} rule=5 id=an-id',
        'login user=admin by=htpasswd from=-',
        f'push user=builder from=192.0.2.7 repository=team/app tag=v2 digest={digest(manifest)} rule=5 id=an-id',
        'refused user=builder from=192.0.2.7 action=delete repository=team/app rule=- id=an-id',
        lines[5],
        'token user=builder from=192.0.2.7 scope="repository:team/app:pull" id=an-id',
    ]
    assert re.fullmatch(r'delete user=admin from=- repository=team/app tag=v2 digest=- rule=4 id=\w+', lines[5])


def test_a_refusal_names_the_deny(ruled, caplog):
    caplog.set_level('INFO', 'docker_registry.v2.access.audit')
    ruled('GET', '/v2/team/secret/app/tags/list', headers=credentials('pusher'))

    assert 'refused user=pusher from=- action=pull repository=team/secret/app rule=7 ' in caplog.text


def test_a_push_by_digest_is_logged_for_each_of_its_tags(staying, caplog):
    caplog.set_level('INFO', 'docker_registry.v2.access.audit')
    found = digest(push(staying, 'builder', None, LAYER, ['v1', 'v2']))

    for tag in ('v1', 'v2'):
        assert f'push user=builder from=- repository=app tag={tag} digest={found} rule=2 ' in caplog.text


def test_the_refusal_to_overwrite_a_tag_is_logged(staying, caplog):
    caplog.set_level('INFO', 'docker_registry.v2.access.audit')
    push(staying, 'builder', 'v1')
    push(staying, 'builder', 'v1', b'another')

    assert 'refused user=builder from=- action=overwrite repository=app tag=v1 rule=4 ' in caplog.text


def test_the_refusal_to_delete_what_a_tag_needs_is_logged(staying, caplog):
    caplog.set_level('INFO', 'docker_registry.v2.access.audit')
    push(staying, 'builder', 'v1')
    staying('DELETE', f'/v2/app/blobs/{DIGEST}', headers=credentials('builder'))

    assert 'refused user=builder from=- action=delete repository=app tag=v1 rule=4 ' in caplog.text


# What it costs


def test_rules_cause_no_request_to_swift(fake_place, files):
    """Reads, a push, a mount and deletes cost the same requests with and without rules."""

    def all_of_it(registry, sent):
        requests = []
        for method, path, body in (
            ('GET', '/v2/', b''),
            ('POST', f'/v2/team/app/blobs/uploads/?digest={digest_of(b"{}")}', b'{}'),
            ('POST', f'/v2/team/app/blobs/uploads/?digest={DIGEST}', LAYER),
            ('PUT', '/v2/team/app/manifests/v9', manifest),
            ('GET', '/v2/team/app/manifests/v9', b''),
            ('GET', f'/v2/team/app/blobs/{DIGEST}', b''),
            ('POST', f'/v2/team/other/blobs/uploads/?mount={DIGEST}&from=team/app', b''),
            ('GET', '/v2/team/app/tags/list', b''),
            ('GET', f'/v2/team/app/referrers/{DIGEST}', b''),
            ('GET', '/v2/_catalog', b''),
            ('DELETE', '/v2/team/app/manifests/v9', b''),
            ('DELETE', f'/v2/team/app/manifests/{digest_of(manifest)}', b''),
            ('DELETE', f'/v2/team/app/blobs/{DIGEST}', b''),
        ):
            del registry.swift_requests[:]
            answer = registry(method, path, body, headers={**sent, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json'})
            assert answer.status_code < 300, answer.data
            requests.append((method, path, sorted(registry.swift_requests)))
        return requests

    manifest = json.dumps(
        {
            'schemaVersion': 2,
            'mediaType': 'application/vnd.oci.image.manifest.v1+json',
            'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': digest_of(b'{}'), 'size': 2},
            'layers': [{'mediaType': 'application/vnd.oci.image.layer.v1.tar', 'digest': DIGEST, 'size': len(LAYER)}],
        }
    ).encode()
    plain = fake_place.registry()
    ruled = with_rules(fake_place, files, RULES)
    for registry, sent in ((plain, {}), (ruled, credentials('admin'))):  # what a process does once, such as its login
        all_of_it(registry, sent)

    assert all_of_it(ruled, credentials('admin')) == all_of_it(plain, {})
