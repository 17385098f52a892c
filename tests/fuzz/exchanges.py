"""Targets: whole requests, as the bytes that a client sends. gunicorn parses them, and the registry answers on the fake Swift.

Words in braces in an input stand for what the registry has signed or stored: see `World.words`.
"""

import atexit
import base64
import contextlib
import functools
import json
import logging
import os
import re
import tempfile
from urllib.parse import unquote_to_bytes

from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create

import fake_swift
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.http import app as app_module
from docker_registry.v2.http import logs, server
from docker_registry.v2.registry import formats, names
from docker_registry.v2.settings import config as config_module
from registry_client import Place, as_json, digest_of, image
from target import target

LAYER, CONFIG, MISSING = b'a layer' * 100, b'{}', b'not stored'
MANIFEST = as_json(image(CONFIG, LAYER))
REFERRER = as_json(image(CONFIG, subject={'mediaType': formats.OCI_IMAGE, 'digest': digest_of(MANIFEST), 'size': len(MANIFEST)}))
PASSWORD = b'pass-word'  # with the name, a multiple of three bytes: base64 has one text for it
CODES = set(
    'BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID MANIFEST_UNKNOWN '
    'NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS'.split()
)


class Records(logging.Handler):
    def __init__(self):
        super().__init__(logging.INFO)
        self.records = []

    def emit(self, record):
        self.records.append(record)


class Unsent:
    """Takes the place of the client's connection."""

    def send(self, data):
        return len(data)

    sendall = send


class World:
    """A registry on a fake Swift with an image, which is there again for each request."""

    def __init__(self, **access):
        self._place = Place(fake_swift.FakeSwift())
        self._config = config_module.Config(upload_secret='secret', storage_threads=4)
        self._access = config_module.Access(
            trusted_proxies=config_module.read(config_module.Access, {'REGISTRY_TRUSTED_PROXIES': '10.0.0.0/8'}).trusted_proxies,
            login_failures=10**9,
            **access,
        )
        client = self._place.registry(upload_secret='secret')
        client.push_image('team/app', 'v1', LAYER)
        client.push_manifest('team/app', digest_of(REFERRER), REFERRER)
        upload = client.upload('team/app').encode()
        self._storage = client.storage
        self._users = htpasswd.Users(access['htpasswd']) if access else None
        self.app = self._made()
        self.log = Records()
        self.logger = logging.getLogger('docker_registry')
        self._stored = self._place.server.container(self._place.container)
        self._image = dict(self._stored)
        self.words = {
            b'{upload}': upload.rpartition(b'/')[2],
            b'{layer}': digest_of(LAYER).encode(),
            b'{config}': digest_of(CONFIG).encode(),
            b'{missing}': digest_of(MISSING).encode(),
            b'{manifest}': digest_of(MANIFEST).encode(),
            b'{a manifest}': MANIFEST,
            b'{a referrer}': REFERRER,
            b'{many}': b'x' * 5000,
            b'{basic}': base64.b64encode(b'alice:' + PASSWORD),
            b'{password}': PASSWORD,
        }
        if self._users:
            tokens, alice = self.app.guard._tokens, self._users.identity(b'alice')
            access = tokens.make(alice, Scopes.parse('repository:team/app:pull,push registry:catalog:*'))['token']
            self.words[b'{access}'], self.words[b'{refresh}'] = access.encode(), tokens.make_refresh(alice).encode()
        self.secrets = [self.words.get(name, b'?' * 9)[:-1] for name in (b'{access}', b'{refresh}')] + [PASSWORD, self.words[b'{basic}']]

    def _made(self):
        return app_module.create_app(self._config, self._storage, self._users, self._access)

    def changes(self):
        """Return the names of objects that are not as they were, and restore them."""
        stored = self._stored
        changed = [name[len('files/') :] for name in {*stored, *self._image} if stored.get(name) is not self._image.get(name)]
        if changed:
            stored.clear()
            stored.update(self._image)
            self.app = self._made()  # the old one remembers what it has seen
        self._place.server.clear_requests()
        return changed

    @contextlib.contextmanager
    def logged(self):
        """Collect what the registry logs."""
        level, propagates = self.logger.level, self.logger.propagate
        self.log.records.clear()
        self.logger.addHandler(self.log)
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        try:
            yield self.log.records
        finally:
            self.logger.removeHandler(self.log)
            self.logger.setLevel(level)
            self.logger.propagate = propagates


@functools.cache
def open_world():
    return World()


@functools.cache
def closed_world():
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = os.path.join(folder.name, 'htpasswd')
    with open(path, 'w') as file:
        file.write(htpasswd.line('alice', PASSWORD.decode(), 4))
    return World(htpasswd=path, bearer_tokens=True, anonymous_pull=True)


def parsed(raw):
    """Return the WSGI environment of a request in HTTP, or None if gunicorn refuses the request.

    Line breaks are LF here. The body is what follows the first empty line; its Content-Length is added if the head has none.
    """
    head, _, body = raw.partition(b'\n\n')
    if not re.search(rb'^(content-length|transfer-encoding)[ \t]*:', head, re.MULTILINE | re.IGNORECASE):
        head += b'\ncontent-length: %d' % len(body)
    if not re.search(rb'^host[ \t]*:', head, re.MULTILINE | re.IGNORECASE):
        head += b'\nhost: registry.example.com'
    settings = Config()
    settings.set('limit_request_line', server.LONGEST_REQUEST_LINE)
    settings.set('limit_request_fields', server.MOST_FIELDS)
    settings.set('limit_request_field_size', server.LONGEST_FIELD)
    settings.set('forwarded_allow_ips', '')
    try:
        request = next(RequestParser(settings, iter([head.replace(b'\n', b'\r\n') + b'\r\n\r\n', body]), ('10.0.0.1', 4711)))
        return create(request, Unsent(), ('10.0.0.1', 4711), ('127.0.0.1', 5000), settings)[1]
    except (ParseException, StopIteration):
        return None


def exchange(world, data):
    """Send a request, and check the answer, the log, and what is stored."""
    raw = data
    for word, meaning in world.words.items():
        raw = raw.replace(word, meaning)
    environ = parsed(raw)
    if environ is None:
        return
    started = []
    with world.logged() as records:
        answer = world.app(environ, lambda status, fields, exc_info=None: started.append((status, fields)))
        try:
            body = b''.join(answer)
        finally:
            answer.close()
    changed = world.changes()
    ((status, fields),) = started
    check_answer(environ, int(status[:3]), fields, body)
    check_log(records, int(status[:3]))
    check_stored(environ, int(status[:3]), changed)
    if world.secrets[0] != b'?' * 8:
        check_login(world, raw, int(status[:3]), changed, records)


def check_answer(environ, status, fields, body):
    assert status < 500, status
    assert all(re.fullmatch('[A-Za-z-]+', name) and re.fullmatch('[\x20-\x7e]*', value) for name, value in fields), fields
    header = {name.lower(): value for name, value in fields}
    assert len(header) == len(fields) - sum(name == 'OCI-Tag' for name, _ in fields) + ('oci-tag' in header), fields
    if environ['REQUEST_METHOD'] == 'HEAD' or status in (204, 304):
        assert body == b''
        return
    assert int(header.get('content-length', len(body))) == len(body), (header, len(body))
    if status >= 400:
        assert header['content-type'] == 'application/json'
        for error in json.loads(body)['errors']:
            assert error['code'] in CODES and error['message'] and set(error) <= {'code', 'message', 'detail'}
    elif header.get('content-type') == 'application/json':
        json.loads(body)
    if status == 200 and 'docker-content-digest' in header:
        digest = names.digest(header['docker-content-digest'])
        assert names.Digest.of(body, digest.algorithm) == digest


def check_log(records, status):
    assert not [record for record in records if record.levelno >= logging.ERROR], [record.getMessage() for record in records]
    lines = [record.getMessage() for record in records if record.name == logs.requests.name]
    assert len(lines) == 1 and f' {status} ' in lines[0]
    assert all(record.getMessage().isprintable() for record in records), [record.getMessage() for record in records]


def check_stored(environ, status, changed):
    """A refused request leaves nothing that a client could see: at most bytes under their digest, and parts."""
    seen = [path for path in changed if '/repositories/' in path]
    assert not (status >= 400 and seen), seen
    assert not (environ['REQUEST_METHOD'] in ('GET', 'HEAD') and changed), changed
    for path in changed:
        assert not {'', '.', '..'} & set(path.split('/')) and path.isascii(), path


def check_login(world, raw, status, changed, records):
    """Without a password or a token that the registry has signed, nobody writes, lists repositories or counts as a user."""
    if any(secret in text for secret in world.secrets for text in (raw, unquote_to_bytes(raw))):
        return
    assert not changed, changed
    line = next(record.getMessage() for record in records if record.name == logs.requests.name)
    assert ' user=- ' in line, line
    assert not (re.search(r'(GET|HEAD) /v2/_catalog ', line) and status < 400), line


SEEDS = (
    b'GET /v2/ HTTP/1.1\n\n',
    b'GET /v2/team/app/manifests/v1 HTTP/1.1\nAccept: application/vnd.oci.image.manifest.v1+json\nIf-None-Match: "{manifest}", W/"x"\n\n',
    b'HEAD /v2/team/app/manifests/{manifest} HTTP/1.1\n\n',
    b'PUT /v2/team/app/manifests/v2 HTTP/1.1\nContent-Type: application/vnd.oci.image.manifest.v1+json\n\n{a manifest}',
    b'PUT /v2/team/app/manifests/{manifest}?tag=a&tag=b HTTP/1.1\nContent-Type: application/json\n\n{a manifest}',
    b'PUT /v2/team/app/manifests/r HTTP/1.1\n\n{a referrer}',
    b'PUT /v2/team/app/manifests/v3 HTTP/1.1\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n',
    b'DELETE /v2/team/app/manifests/v1 HTTP/1.1\n\n',
    b'DELETE /v2/team/app/manifests/{manifest} HTTP/1.1\n\n',
    b'GET /v2/team/app/blobs/{layer} HTTP/1.1\nRange: bytes=0-9,20-29\nIf-Range: "{layer}"\n\n',
    b'GET /v2/team/app/blobs/{layer} HTTP/1.1\nRange: bytes=-1\nIf-None-Match: *\n\n',
    b'HEAD /v2/team/app/blobs/{missing} HTTP/1.1\n\n',
    b'DELETE /v2/team/app/blobs/{config} HTTP/1.1\n\n',
    b'POST /v2/team/app/blobs/uploads/ HTTP/1.1\n\n',
    b'POST /v2/team/new/blobs/uploads/?mount={layer}&from=team/app HTTP/1.1\n\n',
    b'POST /v2/team/app/blobs/uploads/?digest={missing} HTTP/1.1\n\nnot stored',
    b'PATCH /v2/team/app/blobs/uploads/{upload} HTTP/1.1\nContent-Range: 0-9\n\nnot stored',
    b'PUT /v2/team/app/blobs/uploads/{upload}?digest={missing} HTTP/1.1\n\nnot stored',
    b'PUT /v2/team/app/blobs/uploads/{upload}&digest={missing} HTTP/1.1\nContent-Range: bytes 0-9/10\n\nnot stored',
    b'GET /v2/team/app/blobs/uploads/{upload} HTTP/1.1\n\n',
    b'DELETE /v2/team/app/blobs/uploads/{upload} HTTP/1.1\n\n',
    b'GET /v2/team/app/tags/list?n=1&last=v0 HTTP/1.1\n\n',
    b'GET /v2/_catalog?n=5&last=a HTTP/1.1\n\n',
    b'GET /v2/team/app/referrers/{manifest}?artifactType=application/x&last=sha256/a HTTP/1.1\n\n',
    b'OPTIONS /v2/ HTTP/1.1\nX-Forwarded-For: 1.2.3.4, 10.0.0.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example.com:5000\n\n',
    b'GET /healthz HTTP/1.0\nX-Request-Id: abc\n\n',
    b'GET /readyz HTTP/1.1\nX-Request-Id: a b\n\n',
    b'GET /v2/%2e%2e/%ff%00/manifests/%0a HTTP/1.1\nExpect: 100-continue\n\n',
    b'GET /v2/team/app/blobs/{layer} HTTP/1.1\nRange: bytes=' + b' ' * 4000 + b'-\n\n',
    b'GET /v2/{many}/tags/list HTTP/1.1\n\n',
    b'POST /v2/ HTTP/1.1\nContent-Length: 99\n\nshort',
)
LOGINS = (
    b'GET /v2/token?service=x&scope=repository:team/app:pull,push&offline_token=true HTTP/1.1\nAuthorization: Basic {basic}\n\n',
    b'GET /v2/token?scope=repository:team/app:pull HTTP/1.1\n\n',
    b'POST /v2/token HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\n'
    b'grant_type=password&username=alice&password={password}&scope=repository:team/app:pull&access_type=offline&service=x',
    b'POST /v2/token HTTP/1.1\n\ngrant_type=refresh_token&refresh_token={refresh}&scope=registry:catalog:*&service=x',
    b'GET /v2/_catalog HTTP/1.1\nAuthorization: Bearer {access}\n\n',
    b'GET /v2/ HTTP/1.1\nAuthorization: Bearer {access}\n\n',
    b'GET /v2/ HTTP/1.1\nAuthorization: Basic YWxpY2U6d3Jvbmc=\nX-Forwarded-For: ::1\n\n',
    b'POST /v2/team/app/blobs/uploads/?mount={layer}&from=team/other HTTP/1.1\nHost: "evil\n\n',
    b'DELETE /v2/team/app/manifests/v1 HTTP/1.1\nAuthorization: Basic {basic}\n\n',
    b'PUT /v2/team/app/manifests/v2 HTTP/1.1\nAuthorization: Bearer {access}\n\n{a manifest}',
)
WORDS = (
    *(b'{%s}' % word for word in b'upload layer config missing manifest many basic password access refresh'.split()),
    *(b'{a manifest}', b'GET ', b'HEAD ', b'PUT ', b'POST ', b'PATCH ', b'DELETE ', b' HTTP/1.1\n', b'/v2/team/app/', b'/blobs/uploads/'),
    *(
        b'?digest=',
        b'&mount=',
        b'&from=',
        b'?n=',
        b'&last=',
        b'artifactType=',
        b'tag=',
        b'%2F',
        b'%00',
        b'%0d%0a',
        b'\xff',
        b'digest-algorithm=sha512',
    ),
    *(
        field + b': '
        for field in b'Range Content-Range Content-Type Content-Length Authorization Accept If-None-Match If-Range Host'.split()
    ),
    *(
        field + b': '
        for field in b'X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Request-Id Transfer-Encoding Expect Cookie'.split()
    ),
)


@target(*SEEDS, words=WORDS)
def open_registry(data):
    """A registry that everybody may use."""
    exchange(open_world(), data)


@target(*SEEDS, *LOGINS, words=WORDS)
def registry_with_users(data):
    """A registry with a user and tokens, on which everybody may pull."""
    exchange(closed_world(), data)
