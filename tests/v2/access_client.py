"""Support for tests of who may do what: logins, tokens, and all requests that a client can send."""

import base64
import os

from werkzeug.datastructures import MultiDict

from registry_client import digest_of

LAYER = b'layer'


def basic(name='alice', password='correct horse'):
    return {'Authorization': 'Basic ' + base64.b64encode(f'{name}:{password}'.encode()).decode()}


def bearer(token):
    return {'Authorization': f'Bearer {token}'}


def token(registry, *scopes, **more):
    scopes = scopes or ('repository:team/app:pull,push,delete', 'registry:catalog:*')
    answer = registry('GET', '/v2/token', query_string=MultiDict([('service', 'x'), *(('scope', scope) for scope in scopes)]), **more)
    assert answer.status_code == 200, answer.data
    assert answer.json['token'] == answer.json['access_token'] and answer.json['expires_in'] >= 60
    return answer.json['token']


EVERYTHING = [
    ('GET', '/v2/'),
    ('GET', '/v2/_catalog'),
    ('GET', '/v2/team/app/tags/list'),
    ('GET', '/v2/team/app/manifests/v1'),
    ('HEAD', '/v2/team/app/manifests/v1'),
    ('PUT', '/v2/team/app/manifests/v1'),
    ('DELETE', '/v2/team/app/manifests/v1'),
    ('GET', '/v2/team/app/blobs/' + digest_of(LAYER)),
    ('HEAD', '/v2/team/app/blobs/' + digest_of(LAYER)),
    ('DELETE', '/v2/team/app/blobs/' + digest_of(LAYER)),
    ('POST', '/v2/team/app/blobs/uploads/'),
    ('PATCH', '/v2/team/app/blobs/uploads/x'),
    ('PUT', '/v2/team/app/blobs/uploads/x'),
    ('GET', '/v2/team/app/blobs/uploads/x'),
    ('DELETE', '/v2/team/app/blobs/uploads/x'),
    ('GET', '/v2/team/app/referrers/' + digest_of(LAYER)),
]
PULLS = [
    (method, path)
    for method, path in EVERYTHING
    if method in ('GET', 'HEAD') and '/uploads/' not in path and path not in ('/v2/', '/v2/_catalog')
]


def replace(path, content):
    """Replace the file with one that was written long ago, so that it counts at once."""
    new = str(path) + '.new'
    with open(new, 'wb') as file:
        file.write(content)
    os.utime(new, (1000, 1000))
    os.rename(new, path)
