"""What a token may be used for: scopes as text, and requests that a token covers or not."""

import pytest

from access_client import EVERYTHING, LAYER, PULLS, basic, bearer, token
from docker_registry.v2.access.scopes import LONGEST, MOST, Scopes
from docker_registry.v2.settings.config import Access
from registry_client import code_of, digest_of


@pytest.mark.parametrize(
    'asked, understood',
    [
        ('', ''),
        ('repository:team/app:pull,push', 'repository:team/app:pull,push'),
        ('repository:a:push,pull', 'repository:a:pull,push'),
        ('repository:a:*', 'repository:a:pull,push,delete'),
        ('repository:a:pull repository:b:push', 'repository:a:pull repository:b:push'),
        ('repository:a:pull repository:a:push', 'repository:a:pull,push'),
        ('repository(plugin):a:pull', 'repository:a:pull'),
        ('registry:catalog:*', 'registry:catalog:*'),
        # Not known here
        ('repository:a:fly,pull', 'repository:a:pull'),
        ('repository:a:', ''),
        ('aws:a:pull', ''),
        ('registry:a:*', ''),
        ('registry:catalog:pull', ''),
        # No scopes
        ('repository:A:pull', ''),
        ('repository:example.com:5000/a:pull', ''),
        ('repository:a', ''),
        ('a', ''),
        (':::', ''),
        ('repository::pull', ''),
        ('repository:a"b:pull', ''),
        ('repository:\x00:pull', ''),
        ('reposit\xf6ry:a:pull', ''),
    ],
)
def test_scopes_are_understood_or_left_out(asked, understood):
    assert str(Scopes.parse(asked)) == understood
    assert str(Scopes.parse(understood)) == understood


@pytest.mark.parametrize(
    'granted, needed, covers',
    [
        ('', '', True),
        ('', 'repository:a:pull', False),
        ('repository:a:pull,push', 'repository:a:pull', True),
        ('repository:a:pull', 'repository:a:pull,push', False),
        ('repository:a:push', 'repository:a:pull,push', False),
        ('repository:a:pull', 'repository:a/b:pull', False),
        ('repository:a/b:pull', 'repository:a:pull', False),
        ('repository:a:pull,push', 'repository:a:delete', False),
        ('repository:a:pull', 'repository:a:pull repository:b:pull', False),
        ('repository:a:*', 'registry:catalog:*', False),
        ('repository:catalog:*', 'registry:catalog:*', False),
    ],
)
def test_what_scopes_cover(granted, needed, covers):
    assert Scopes.parse(granted).covers(Scopes.parse(needed)) == covers


# Tokens in a registry from which everybody may pull


def granted(registry, *scopes, **more):
    answer = registry('GET', '/v2/token', query_string={'scope': list(scopes)}, **more)
    assert answer.status_code == 200, answer.data
    return answer.json['scope']


def test_a_user_is_granted_what_the_client_asks(public):
    asked = ['repository:a:pull,push', 'repository:b:pull registry:catalog:*', 'unknown:c:pull']

    assert granted(public, *asked, headers=basic()) == 'repository:a:pull,push repository:b:pull registry:catalog:*'


def test_a_client_without_a_login_is_granted_pulls(public):
    assert granted(public, 'repository:a:pull,push,delete registry:catalog:*') == 'repository:a:pull'
    assert granted(public, 'repository:a:*') == 'repository:a:pull'


@pytest.mark.parametrize(
    'scopes', [['x' * (LONGEST + 1)], ['x'] * (MOST + 1), [' '.join(['x'] * (MOST + 1))]], ids=['long', 'many', 'many in one']
)
def test_too_much_is_refused(public, scopes):
    answer = public('GET', '/v2/token', query_string={'scope': scopes}, headers=basic())

    assert (answer.status_code, code_of(answer)) == (400, 'UNSUPPORTED')


def test_the_longest_token_fits_into_a_header(public):
    names = [digest_of(b'%d' % number).replace('sha256:', 'a') for number in range(50)]
    scopes = ' '.join(f'repository:{name}:*' for name in names)

    assert len(scopes) > 0.8 * LONGEST
    assert len(token(public, scopes, headers=basic())) < 8000  # gunicorn accepts 8190 bytes


@pytest.mark.parametrize('method, path', [request for request in EVERYTHING if request[1] != '/v2/'])
@pytest.mark.parametrize('scope', ['', 'repository:team/other:*'], ids=['none', 'other'])
def test_a_token_for_something_else_opens_nothing(public, method, path, scope):
    answer = public(method, path, headers=bearer(token(public, scope, headers=basic())))

    assert answer.status_code == 401
    needed = 'registry:catalog:*' if path == '/v2/_catalog' else 'repository:team/app:'
    assert f'scope="{needed}' in answer.headers['WWW-Authenticate']
    assert answer.headers['WWW-Authenticate'].endswith(',error="insufficient_scope"')
    assert method == 'HEAD' or code_of(answer) == 'UNAUTHORIZED'


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_any_token_opens_the_base(public, method):
    for headers in ({}, basic()):
        assert public(method, '/v2/', headers=bearer(token(public, '', headers=headers))).status_code == 200


def test_the_scope_of_a_challenge_is_enough(public):
    for method, path in EVERYTHING[1:]:
        challenge = public(method, path, headers=bearer(token(public, '', headers=basic()))).headers['WWW-Authenticate']
        scope = challenge.split('scope="')[1].split('"')[0]
        assert public(method, path, headers=bearer(token(public, scope, headers=basic()))).status_code not in (401, 403)


@pytest.mark.parametrize('method, path', PULLS)
def test_a_token_for_a_pull_pulls(public, method, path):
    assert public(method, path, headers=bearer(token(public, 'repository:team/app:pull', headers=basic()))).status_code == 200


@pytest.mark.parametrize(
    'scope, method, path',
    [
        ('pull', 'POST', 'blobs/uploads/'),
        ('pull', 'PUT', 'manifests/v1'),
        ('pull,push', 'DELETE', 'manifests/v1'),
        ('pull,push', 'DELETE', 'blobs/' + digest_of(LAYER)),
        ('delete', 'GET', 'manifests/v1'),
        ('pull,delete', 'PUT', 'manifests/v1'),
    ],
)
def test_one_action_does_not_open_another(public, scope, method, path):
    answer = public(method, f'/v2/team/app/{path}', headers=bearer(token(public, f'repository:team/app:{scope}', headers=basic())))

    assert answer.status_code == 401 and 'error="insufficient_scope"' in answer.headers['WWW-Authenticate']


def test_an_upload_is_cancelled_with_a_token_for_a_push(public):
    sent = bearer(token(public, 'repository:new:pull,push', headers=basic()))
    location = public('POST', '/v2/new/blobs/uploads/', headers=sent).headers['Location']

    assert public('DELETE', location, headers=sent).status_code == 204


@pytest.mark.parametrize('scheme', ['Bearer', 'bearer', 'BEARER'])
def test_the_case_of_the_scheme_does_not_matter(public, scheme):
    given = token(public, headers=basic())

    assert public('GET', '/v2/_catalog', headers={'Authorization': f'{scheme} {given}'}).status_code == 200


def test_a_name_that_cannot_be_is_said_to_be_wrong(public):
    for name in ('A', 'x:pull%20repository:y'):
        answer = public('GET', f'/v2/{name}/manifests/v1', headers=bearer(token(public, '', headers=basic())))
        assert (answer.status_code, code_of(answer)) == (400, 'NAME_INVALID')


# Mounts


def mount(registry, query, *scopes):
    sent = bearer(token(registry, 'repository:new:pull,push', *scopes, headers=basic()))
    return registry('POST', f'/v2/new/blobs/uploads/?mount={digest_of(LAYER)}{query}', headers=sent)


def test_a_token_for_both_repositories_mounts(public):
    assert mount(public, '&from=team/app', 'repository:team/app:pull').status_code == 201


@pytest.mark.parametrize(
    'query, scopes',
    [
        ('&from=team/app', ()),
        ('&from=team/app', ('repository:team/app:push',)),
        ('&from=team/app', ('repository:team:pull',)),
        ('&from=team/nowhere', ()),
        ('', ()),
        ('&from=', ()),
    ],
)
def test_without_a_token_for_the_source_an_upload_begins(public, query, scopes):
    """The answer is the same whether the blob is there or not. Without a source, the blob might come from any repository."""
    answer = mount(public, query, *scopes)

    assert answer.status_code == 202 and '/uploads/' in answer.headers['Location']
    sent = bearer(token(public, 'repository:new:pull', headers=basic()))
    assert public('HEAD', '/v2/new/blobs/' + digest_of(LAYER), headers=sent).status_code == 404


def test_a_user_with_a_password_mounts_from_everywhere(public):
    for query in ('&from=team/app', ''):
        path = f'/v2/new/blobs/uploads/?mount={digest_of(LAYER)}{query}'
        assert public('POST', path, headers=basic()).status_code == 201


def test_a_token_of_an_instance_that_let_everybody_pull_ends_with_that(fake_place, public, users):
    anonymous = bearer(token(public))
    closed = fake_place.registry(Access(htpasswd=users))

    assert closed('GET', '/v2/team/app/tags/list', headers=anonymous).status_code == 401
