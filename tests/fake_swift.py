# -*- coding: utf-8 -*-
"""A Swift on loopback that misbehaves on demand.

It is a real HTTP/1.1 server (a thread per connection, keep-alive) that speaks as much of OpenStack Swift as a registry
uses: v1 and Keystone v2 and v3 logins, /info, containers, objects, static and dynamic large objects, bulk delete and
TempURLs. The contract suite passes on it and on a real Swift alike. Beyond that it does what a healthy Swift will not::

    from fake_swift import FakeSwift, on, status, cut_response

    with FakeSwift(listing_limit=100) as swift:
        client = swiftclient.Connection(swift.auth_url, swift.user, swift.key)
        swift.fault(on('PUT', path_contains='layer'), status(503, {'Retry-After': '1'}), times=2)
        ...
        assert [request.status for request in swift.requests] == [503, 503, 201]

What it holds:  `swift.containers[name].objects[name]`, or `swift.container(name)[name]`, is an `Object` (body, etag,
    content_type, headers, segments); `swift.create_container(name)` and `swift.put(container, name, body)` seed it.
    Names are text everywhere. A second region has an account of its own: `swift.accounts['AUTH_test_two']`.
What it saw:    `swift.requests`, in order of arrival, and `swift.clear_requests()`; `swift.connections_made`,
    `swift.open_connections()`, `swift.drop_connections()`.
Logins:         `auth_url`, `auth_url_v2`, `auth_url_v3`, `user` and `key` (v1), `username`, `user_id`, `project`,
    `project_id`, `domain`, `domain_id`, `app_credential_id`, `_name`, `_secret`, `trust_id` (Keystone); `regions`;
    `swift.expire_tokens()` makes every token handed out so far answer 401. The internal endpoints are the public ones
    under the name localhost, so that a request's Host header tells which of them was used.

Faults:  `swift.fault(match, action, times=1, after=0)`: `match` is a method, `on(...)` or any predicate on a `Request`;
    the first `after` matching requests are served well, the next `times` (None: all) get the action. Faults are asked
    in the order in which they were set, and the first that is due acts. It returns the `Fault`, which counts its `hits`
    and can be ended by `.cancel()`; `swift.clear_faults()` ends all. The actions are the functions below `# Actions`.
Availability:   `refuse_connections()` (and drops those that are open), `accept_connections()`.
Consistency:    `lag_listing(container)` freezes what a listing shows, ghosts included, until `catch_up()`;
    `stale(container, name, times)` lets so many reads without X-Newest see what was there before the last write.

Left out: COPY, symlinks, versions, ACLs, XML listings, several ranges in one request, SLO `range` and `data` segments,
    `heartbeat`. An SLO that lost a later segment is always cut; the real one answers 500 if nothing was sent before.
"""

import base64
import binascii
import calendar
import email.utils
import hashlib
import hmac
import itertools
import json
import math
import mimetypes
import select
import socket
import struct
import threading
import time
import traceback
import uuid

try:
    from urllib.parse import quote, unquote_to_bytes
except ImportError:  # Python 2
    from urllib import quote
    from urllib import unquote as unquote_to_bytes

REASONS = {
    200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 206: 'Partial Content', 300: 'Multiple Choices',
    304: 'Not Modified', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found',
    405: 'Method Not Allowed', 408: 'Request Timeout', 409: 'Conflict', 411: 'Length Required', 412: 'Precondition Failed',
    413: 'Request Entity Too Large', 416: 'Requested Range Not Satisfiable', 422: 'Unprocessable Entity',
    429: 'Too Many Requests', 498: 'Rate Limited', 499: 'Client Disconnect', 500: 'Internal Error', 501: 'Not Implemented',
    502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 507: 'Insufficient Storage',
}
MAX_OBJECT_NAME, MAX_CONTAINER_NAME, MAX_FAILED_DELETES, MAX_MANIFEST_SIZE = 1024, 256, 1000, 8 << 20
PIECE = 1 << 16
KEPT_HEADERS = ('Content-Disposition', 'Content-Encoding', 'Cache-Control', 'X-Delete-At', 'X-Object-Manifest')


def md5(data):
    return hashlib.md5(data).hexdigest()


def native(raw):
    """Bytes from the wire as this Python's own `str`, losslessly."""
    return raw if isinstance(raw, str) else raw.decode('latin-1')


def wire(value):
    return value if isinstance(value, bytes) else value.encode('latin-1')


def unquoted(raw):
    return unquote_to_bytes(raw).decode('utf-8', 'replace')


def quoted(text):
    return quote(text.encode('utf-8'))


def status_line(code):
    return '%d %s' % (code, REASONS.get(code, 'Unknown'))


def as_json(value):
    return json.dumps(value).encode('ascii')


def iso_time(seconds, form='%Y-%m-%dT%H:%M:%SZ'):
    return time.strftime(form, time.gmtime(seconds))


class Headers(dict):
    """Header names without regard to case, kept as Swift writes them: Title-Case."""

    def __init__(self, items=()):
        dict.__init__(self)
        self.update(items)

    def __setitem__(self, name, value):
        dict.__setitem__(self, name.title(), value if isinstance(value, bytes) else str(value))

    def __getitem__(self, name):
        return dict.__getitem__(self, name.title())

    def __contains__(self, name):
        return dict.__contains__(self, name.title())

    def get(self, name, default=None):
        return dict.get(self, name.title(), default)

    def pop(self, name, *default):
        return dict.pop(self, name.title(), *default)

    def update(self, items):
        for name, value in getattr(items, 'items', lambda: items)():
            self[name] = value

    def having(self, prefix):
        return [(name, value) for name, value in self.items() if name.startswith(prefix)]


class Request(object):
    """One request as it arrived; `status` is None until it was answered, and stays so if it never was.

    `path` is decoded text and `query` a dict of text; `target` is the request line's own bytes. `received` counts the
    bytes of the body, without chunk framing. `kind` is auth, info, account, container or object.
    """

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, Headers(headers)
        path, _, query = target.partition(b'?')
        self.path = unquoted(path)
        pairs = (item.partition(b'=') for item in query.replace(b'+', b' ').split(b'&') if item)
        self.query = dict((unquoted(name), unquoted(value)) for name, _, value in pairs)
        self.body, self.received, self.truncated, self.status = b'', 0, False, None
        self.kind, self.account, self.container, self.name = self._place(self.path.lstrip('/').split('/'))
        self.bulk_failures = None

    @staticmethod
    def _place(parts):
        """Which part of Swift a path belongs to; Ceph's `/swift/v1/` names no account."""
        if parts[0] == 'swift' and parts[1:2] == ['v1']:
            parts = ['v1', None] + parts[2:]
        if parts[-1] == 'info' and len(parts) <= 2:
            return 'info', None, None, None
        if parts[0] != 'v1' or len(parts) < 2:
            return 'auth', None, None, None
        account, container, name = (parts[1:3] + [None, None])[:2] + ['/'.join(parts[3:])]
        kind = 'object' if name else 'container' if container else 'account'
        return kind, account, container or None, name or None

    @property
    def length(self):
        return int(self.headers['Content-Length']) if 'Content-Length' in self.headers else None

    @property
    def chunked(self):
        return self.headers.get('Transfer-Encoding', '').lower() == 'chunked'

    @property
    def newest(self):
        return self.headers.get('X-Newest', '').lower() in ('true', '1', 'yes', 'on', 't', 'y')

    @property
    def wants_json(self):
        return 'json' in (self.query.get('format') or self.headers.get('Accept', ''))

    def __repr__(self):
        return '<%s %s %s>' % (self.method, native(self.target), self.status)


class Response(object):
    """A status, headers and a body. `length` None means that of the body; a body shorter than that ends in a cut."""

    def __init__(self, status, headers=(), body=b'', length=None, chunked=False):
        self.status, self.headers, self.body, self.length, self.chunked = status, Headers(headers), body, length, chunked
        if status != 204:
            self.headers.setdefault('Content-Type', 'text/html; charset=UTF-8')

    def head(self):
        if self.chunked:
            self.headers['Transfer-Encoding'] = 'chunked'
        else:
            self.headers['Content-Length'] = len(self.body) if self.length is None else self.length
        lines = ['HTTP/1.1 ' + status_line(self.status)] + ['%s: %s' % item for item in self.headers.items()]
        return b'\r\n'.join(wire(line) for line in lines + ['', ''])

    def framed_body(self):
        if self.chunked and self.body:
            return b'%s\r\n%s\r\n0\r\n\r\n' % (wire('%x' % len(self.body)), self.body)
        return b'0\r\n\r\n' if self.chunked else self.body


class Refusal(Exception):
    """Ends the handling of a request with an error answer, HTML by default, as Swift's are."""

    def __init__(self, status, text=None, headers=(), content_type='text/html; charset=UTF-8'):
        Exception.__init__(self, status)
        page = '<html><h1>%s</h1><p>%s.</p></html>' % (REASONS.get(status, ''), REASONS.get(status, ''))
        self.response = Response(status, Headers({'Content-Type': content_type}), wire(page if text is None else text))
        self.response.headers.update(headers)


class Object(object):
    """One stored object, never changed once stored. An SLO has `segments` (Swift's records) and its manifest as body."""

    def __init__(self, body, content_type='application/octet-stream', headers=(), segments=None):
        self.body, self.content_type, self.headers, self.segments = body, content_type, Headers(headers), segments
        self.timestamp = time.time()
        self.etag = md5(body)
        self.read_etag = self.etag
        if segments is not None:
            self.read_etag = md5(b''.join(wire(segment['hash']) for segment in segments))

    @property
    def size(self):
        return len(self.body) if self.segments is None else sum(segment['bytes'] for segment in self.segments)

    @property
    def expired(self):
        return 'X-Delete-At' in self.headers and int(self.headers['X-Delete-At']) <= time.time()

    def with_headers(self, headers):
        return Object(self.body, self.content_type, headers, self.segments)

    def record(self, name):
        """Its entry in a container listing."""
        stamp = iso_time(self.timestamp, '%Y-%m-%dT%H:%M:%S') + '.%06d' % (self.timestamp % 1 * 1000000)
        entry = {'name': name, 'hash': self.etag, 'bytes': self.size, 'content_type': self.content_type, 'last_modified': stamp}
        if self.segments is not None:
            entry['slo_etag'] = '"%s"' % self.read_etag
        return entry


class Container(object):
    """Objects by name, the metadata, and what makes listings and reads old."""

    def __init__(self, headers=()):
        self.objects, self.headers, self.timestamp = {}, Headers(headers), time.time()
        self.frozen, self.previous, self.stale = None, {}, {}

    @property
    def listed(self):
        return self.objects if self.frozen is None else self.frozen

    def write(self, name, item):
        """Store `item` under `name`, or delete it with None."""
        self.previous[name] = self.objects.pop(name, None)
        if item is not None:
            self.objects[name] = item

    def read(self, name, newest=True):
        item = self.objects.get(name)
        if not newest and self.stale.get(name, 0) > 0:
            self.stale[name] -= 1
            item = self.previous.get(name)
        return None if item is None or item.expired else item

    def page(self, limit, prefix='', delimiter='', marker='', end_marker=''):
        """The listing records that Swift gives, in the order of the names' UTF-8."""
        records, subdir = [], None
        order = dict((name, name.encode('utf-8')) for name in self.listed)
        for name in sorted(order, key=order.get):
            if len(records) == limit or (end_marker and order[name] >= end_marker.encode('utf-8')):
                break
            if not name.startswith(prefix) or (marker and order[name] <= marker.encode('utf-8')):
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                records.append(self.listed[name].record(name))
            elif name[:end + len(delimiter)] != subdir:
                subdir = name[:end + len(delimiter)]
                if subdir != marker:
                    records.append({'subdir': subdir})
        return records


class Account(object):
    def __init__(self):
        self.containers, self.headers = {}, Headers()

    def find(self, path):
        """The object at `/container/object`, or None."""
        container, _, name = path.lstrip('/').partition('/')
        return self.containers[container].read(name) if container in self.containers else None


class Identity(object):
    """Logs users in: v1 as TempAuth does, Keystone v2 and v3. Tokens live `token_life` seconds."""

    def __init__(self, swift, token_life):
        self.swift, self.token_life, self.tokens, self.v1_token = swift, token_life, {}, None

    def knows(self, token):
        return self.tokens.get(token, 0) > time.time()

    def token(self):
        token = 'AUTH_tk' + uuid.uuid4().hex
        self.tokens[token] = time.time() + self.token_life
        return token

    def answer(self, request):
        path = request.path.rstrip('/')
        if path.startswith('/auth'):
            return self.version_1(request)
        routes = {('POST', '/v2.0/tokens'): self.version_2, ('POST', '/v3/auth/tokens'): self.version_3}
        if (request.method, path) in routes:
            return routes[request.method, path](json.loads(request.body.decode('utf-8')))
        documents = {'': self.versions, '/v2.0': lambda: self.version('v2.0'), '/v3': lambda: self.version('v3')}
        if request.method != 'GET' or path not in documents:
            raise Refusal(404)
        return documents[path]()

    def version_1(self, request):
        headers, swift = request.headers, self.swift
        user = headers.get('X-Auth-User') or headers.get('X-Storage-User')
        key = headers.get('X-Auth-Key') or headers.get('X-Storage-Pass')
        if (user, key) != (swift.user, swift.key):
            raise Refusal(401, headers={'Www-Authenticate': 'Swift realm="unknown"'})
        if not self.knows(self.v1_token):
            self.v1_token = self.token()
        life = int(self.tokens[self.v1_token] - time.time())
        return Response(204 if swift.ceph else 200, {
            'X-Storage-Url': swift.storage_url, 'X-Auth-Token': self.v1_token, 'X-Storage-Token': self.v1_token,
            'X-Auth-Token-Expires': life})

    def version_2(self, body):
        swift, auth = self.swift, body.get('auth', {})
        login = auth.get('passwordCredentials', {})
        tenants = [auth.get('tenantName'), auth.get('tenantId')]
        if (login.get('username'), login.get('password')) != (swift.username, swift.key) or not (
                {swift.project, swift.project_id} & set(tenants) or tenants == [None, None]):
            raise self.unauthorized()
        endpoints = [{'id': region, 'region': region, 'publicURL': swift.endpoint(region, 'public'),
                      'internalURL': swift.endpoint(region, 'internal'), 'adminURL': swift.endpoint(region, 'internal')}
                     for region in swift.regions]
        catalog = [] if tenants == [None, None] else [
            {'type': 'object-store', 'name': 'swift', 'endpoints': endpoints, 'endpoints_links': []}]
        user = {'id': swift.user_id, 'name': swift.username, 'username': swift.username,
                'roles': [{'name': 'member'}], 'roles_links': []}
        token = {'id': self.token(), 'issued_at': iso_time(time.time()), 'expires': iso_time(time.time() + self.token_life),
                 'tenant': {'id': swift.project_id, 'name': swift.project, 'enabled': True}}
        return Response(200, {'Content-Type': 'application/json'}, as_json({'access': {
            'token': token, 'user': user, 'serviceCatalog': catalog, 'metadata': {'is_admin': 0, 'roles': []}}}))

    def version_3(self, body):
        swift, auth = self.swift, body.get('auth', {})
        identity, scope = auth.get('identity', {}), auth.get('scope', {})
        checks = {'password': self.right_password, 'application_credential': self.right_credential}
        methods = identity.get('methods') or ['']
        if not all(method in checks and checks[method](identity.get(method, {})) for method in methods):
            raise self.unauthorized()
        if scope and not self.right_scope(scope):
            raise self.unauthorized()
        domain = {'id': swift.domain_id, 'name': swift.domain}
        token = {'methods': methods, 'user': {'id': swift.user_id, 'name': swift.username, 'domain': domain},
                 'issued_at': iso_time(time.time(), '%Y-%m-%dT%H:%M:%S.000000Z'), 'audit_ids': ['fake'],
                 'expires_at': iso_time(time.time() + self.token_life, '%Y-%m-%dT%H:%M:%S.000000Z')}
        if scope or 'application_credential' in methods:
            token.update(project={'id': swift.project_id, 'name': swift.project, 'domain': domain},
                         roles=[{'id': 'member', 'name': 'member'}], catalog=self.catalog_3())
        return Response(201, {'Content-Type': 'application/json', 'X-Subject-Token': self.token()}, as_json({'token': token}))

    def catalog_3(self):
        endpoints = [{'id': region + interface, 'interface': interface, 'region': region, 'region_id': region,
                      'url': self.swift.endpoint(region, interface)}
                     for region in self.swift.regions for interface in ('public', 'internal')]
        return [{'type': 'object-store', 'id': 'swift', 'name': 'swift', 'endpoints': endpoints}]

    def named(self, given, name, identifier):
        """Whether Keystone would find this user or project: by id, or by name and domain."""
        domain = given.get('domain', {})
        in_domain = domain.get('id') == self.swift.domain_id or domain.get('name') == self.swift.domain
        return given.get('id') == identifier if 'id' in given else given.get('name') == name and in_domain

    def right_password(self, given):
        user = given.get('user', {})
        return user.get('password') == self.swift.key and self.named(user, self.swift.username, self.swift.user_id)

    def right_credential(self, given):
        swift = self.swift
        if 'id' in given:
            found = given['id'] == swift.app_credential_id
            if not found:
                raise self.not_found('Could not find Application Credential: %s.' % given['id'])
        else:
            found = given.get('name') == swift.app_credential_name and self.named(
                given.get('user', {}), swift.username, swift.user_id)
        return found and given.get('secret') == swift.app_credential_secret

    def right_scope(self, scope):
        if 'OS-TRUST:trust' in scope:
            return scope['OS-TRUST:trust'].get('id') == self.swift.trust_id
        return self.named(scope.get('project', {}), self.swift.project, self.swift.project_id)

    @staticmethod
    def unauthorized():
        error = {'code': 401, 'title': 'Unauthorized', 'message': 'The request you have made requires authentication.'}
        return Refusal(401, json.dumps({'error': error}), content_type='application/json')

    @staticmethod
    def not_found(message):
        error = {'code': 404, 'title': 'Not Found', 'message': message}
        return Refusal(404, json.dumps({'error': error}), content_type='application/json')

    def document(self, name):
        return {'id': {'v3': 'v3.14'}.get(name, name), 'status': 'stable' if name == 'v3' else 'deprecated',
                'updated': '2020-04-07T00:00:00Z', 'media-types': [],
                'links': [{'rel': 'self', 'href': '%s/%s/' % (self.swift.url, name)}]}

    def version(self, name):
        return Response(200, {'Content-Type': 'application/json'}, as_json({'version': self.document(name)}))

    def versions(self):
        values = [self.document('v3'), self.document('v2.0')]
        return Response(300, {'Content-Type': 'application/json'}, as_json({'versions': {'values': values}}))


class TempUrls(object):
    """Checks the signature of a temporary URL, and dresses the answer as Swift's tempurl filter does."""

    DIGESTS = {40: 'sha1', 64: 'sha256', 128: 'sha512'}

    def __init__(self, swift, allowed_digests):
        self.swift, self.allowed_digests = swift, allowed_digests

    @staticmethod
    def used_by(request):
        return 'temp_url_sig' in request.query or 'temp_url_expires' in request.query

    def allows(self, request, account):
        query = request.query
        expires, (digest, signature) = self.expiry(request), self.signature(query.get('temp_url_sig', ''))
        if expires < time.time() or digest not in self.allowed_digests or not request.name or 'temp_url_ip_range' in query:
            return False
        methods = ['HEAD', 'GET', 'POST', 'PUT'] if request.method == 'HEAD' else [request.method]
        if 'temp_url_prefix' in query and not request.name.startswith(query['temp_url_prefix']):
            return False
        return any(signature == hmac.new(key, message, getattr(hashlib, digest)).hexdigest()
                   for key in self.keys(account, request.container) for message in self.messages(request, methods, expires))

    @staticmethod
    def expiry(request):
        given = request.query.get('temp_url_expires', '')
        try:
            return int(given)
        except ValueError:
            try:
                return calendar.timegm(time.strptime(given, '%Y-%m-%dT%H:%M:%SZ'))
            except ValueError:
                return 0

    def signature(self, given):
        """The digest's name and the hexadecimal signature; it comes as hex, or as `name:base64`."""
        name, colon, encoded = given.partition(':')
        if not colon:
            return self.DIGESTS.get(len(given)), given
        try:
            raw = base64.b64decode(encoded.replace('-', '+').replace('_', '/') + '==')
        except (ValueError, TypeError, binascii.Error):
            return None, ''
        return name, native(binascii.hexlify(raw))

    def keys(self, account, container):
        names = ['X-Account-Meta-Temp-Url-Key', 'X-Account-Meta-Temp-Url-Key-2']
        found = [account.headers.get(name) for name in names]
        if container in account.containers and not self.swift.ceph:
            found += [account.containers[container].headers.get(name.replace('Account', 'Container')) for name in names]
        return [wire(key) for key in found if key]

    def messages(self, request, methods, expires):
        path, prefix = request.path, request.query.get('temp_url_prefix')
        if prefix is not None:
            path = 'prefix:' + path[:len(path) - len(request.name)] + prefix
        paths = [path, path[len('/swift'):]] if self.swift.ceph else [path]
        return [('%s\n%d\n%s' % item).encode('utf-8') for item in
                ((method, expires, signed) for method in methods for signed in paths)]

    def dress(self, request, response):
        if request.method not in ('GET', 'HEAD') or response.status // 100 != 2:
            return response
        for name, _ in response.headers.having('X-Object-Meta-'):
            response.headers.pop(name)
        name = request.query.get('filename') or request.name.rstrip('/').split('/')[-1]
        kind = 'inline' if 'inline' in request.query else 'attachment'
        raw = name.encode('utf-8')
        named = '%s; filename="%s"; filename*=UTF-8\'\'%s' % (kind, quote(raw, ' /'), quote(raw, ''))
        if kind == 'inline' or 'filename' in request.query:
            response.headers['Content-Disposition'] = named if 'filename' in request.query else kind
        response.headers.setdefault('Content-Disposition', named)
        response.headers['Expires'] = email.utils.formatdate(self.expiry(request), usegmt=True)
        return response


class LargeObjects(object):
    """Static and dynamic large objects: what their manifests promise, and which bytes that makes."""

    def __init__(self, swift, max_segments=1000):
        self.swift, self.max_segments = swift, max_segments

    def manifest(self, request, account):
        """The segment records of a valid `multipart-manifest=put`, or the refusal that Swift answers."""
        if len(request.body) > MAX_MANIFEST_SIZE:
            raise Refusal(413, 'Manifest File > %d bytes' % MAX_MANIFEST_SIZE)
        entries = self.parsed(request)
        if len(entries) > self.max_segments:
            raise Refusal(413, 'Number of object-backed segments must be <= %d' % self.max_segments)
        problems, records = [], []
        for entry in entries:
            record, reasons = self.checked(entry, account, entry is entries[-1])
            records.append(record)
            problems += [[quoted(entry['path']), reason] for reason in reasons]
        if problems:
            raise Refusal(400, *self.swift.bulk.report(request, {}, problems))
        return records

    @staticmethod
    def parsed(request):
        try:
            entries = json.loads(request.body.decode('utf-8'))
        except ValueError:
            raise Refusal(400, 'Manifest must be valid JSON.\n')
        if not isinstance(entries, list):
            raise Refusal(400, 'Manifest must be a list.\n')
        errors = [message for index, entry in enumerate(entries)
                  for message in LargeObjects.faulty_entry(index, entry, request, index == len(entries) - 1)]
        if errors:
            raise Refusal(400, ''.join(errors), content_type='text/plain')
        return entries

    @staticmethod
    def faulty_entry(index, entry, request, last):
        unknown = sorted(set(entry) - {'path', 'etag', 'size_bytes'}) if isinstance(entry, dict) else []
        if not isinstance(entry, dict):
            yield 'Index %d: not a JSON object\n' % index
        elif unknown:
            yield 'Index %d: extraneous keys %s\n' % (index, ', '.join(json.dumps(key) for key in unknown))
        elif not isinstance(entry.get('path'), type(u'')):
            yield 'Index %d: "path" must be a string\n' % index
        elif not isinstance(entry.get('etag') or u'', type(u'')):
            yield 'Index %d: "etag" must be a string or null (if provided)\n' % index
        elif '/' not in entry['path'].strip('/'):
            yield 'Index %d: path does not refer to an object. Path must be of the form /container/object.\n' % index
        elif not str(entry.get('size_bytes') or 0).isdigit():
            yield 'Index %d: invalid size_bytes\n' % index
        elif entry.get('size_bytes') in (0, '0') and not last:
            yield 'Index %d: too small; each segment must be at least 1 byte.\n' % index
        elif entry['path'].lstrip('/') == '%s/%s' % (request.container, request.name):
            yield 'Index %d: manifest must not include itself as a segment\n' % index

    @staticmethod
    def checked(entry, account, last):
        """The record of one segment, and what is wrong with it."""
        item = account.find(entry['path'])
        if item is None:
            return None, [status_line(404)]
        reasons = []
        if item.size == 0 and not last:
            reasons.append('Too small; each segment must be at least 1 byte.')
        if int(entry.get('size_bytes') or item.size) != item.size:
            reasons.append('Size Mismatch')
        if entry.get('etag') not in (None, item.read_etag):
            reasons.append('Etag Mismatch')
        record = dict(item.record(''), name='/' + entry['path'].lstrip('/'), hash=item.read_etag)
        if record.pop('slo_etag', None):
            record['sub_slo'] = True
        return record, reasons

    def pieces(self, account, item):
        """(bytes or None, size) of each stored piece of an object; None where the segment is gone or another."""
        for data, size in self.sources(account, item):
            if isinstance(data, Object):
                for piece in self.pieces(account, data):
                    yield piece
            else:
                yield data, size

    def sources(self, account, item):
        if item.segments is not None:
            for record in item.segments:
                found = account.find(record['name'])
                intact = found and (found.read_etag, found.size) == (record['hash'], record['bytes'])
                yield (found if intact else None), record['bytes']
        elif 'X-Object-Manifest' in item.headers:
            container, _ = self.dynamic_place(item)
            for record in self.listed(account, item):
                yield account.find(container + '/' + record['name']), record['bytes']
        else:
            yield item.body, len(item.body)

    @staticmethod
    def dynamic_place(item):
        container, _, prefix = unquoted(wire(item.headers['X-Object-Manifest'])).partition('/')
        return container, prefix

    def listed(self, account, item):
        """A dynamic manifest's segments: whatever the container listing shows just now."""
        container, prefix = self.dynamic_place(item)
        if container not in account.containers:
            raise Refusal(404)
        return account.containers[container].page(None, prefix)

    def raw_manifest(self, item):
        entries = [{'etag': record['hash'], 'path': record['name'], 'size_bytes': record['bytes']} for record in item.segments]
        return json.dumps(entries, sort_keys=True).encode('ascii')


class BulkDelete(object):
    """`POST ?bulk-delete`: always 200, blanks first, and the truth in the body."""

    def __init__(self, storage, max_deletes):
        self.storage, self.max_deletes = storage, max_deletes

    @staticmethod
    def meant_by(request):
        return request.kind == 'account' and 'bulk-delete' in request.query and request.method in ('POST', 'DELETE')

    @staticmethod
    def report(request, outcome, errors):
        """The text and headers of a report, JSON if that was asked for."""
        if 'json' in request.headers.get('Accept', ''):
            return json.dumps(dict(outcome, Errors=errors)), {'Content-Type': 'application/json'}
        lines = ['%s: %s\n' % item for item in sorted(outcome.items())] + ['Errors:\n']
        lines += ['%s, %s\n' % tuple(error) for error in errors]
        return ''.join(lines), {'Content-Type': 'text/plain'}

    def answer(self, request, account, names=None):
        if names is None:
            names = [unquoted(line.strip()) for line in request.body.split(b'\n')]
        outcome = {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 0, 'Number Not Found': 0}
        errors = []
        if len(names) - (names[-1:] == ['']) > self.max_deletes:
            outcome.update({'Response Status': status_line(413),
                            'Response Body': 'Maximum Bulk Deletes: %d per request' % self.max_deletes})
        elif not request.headers.get('Content-Type', 'text/plain').startswith('text/plain'):
            outcome['Response Status'] = '406 Not Acceptable'
        elif isinstance(request.bulk_failures, str):
            outcome['Response Status'] = request.bulk_failures
        else:
            self.delete_all(request, account, [name for name in names if name], outcome, errors)
        text, headers = self.report(request, outcome, errors)
        return Response(200, headers, wire(' \r\n\r\n' + text), chunked=True)

    def delete_all(self, request, account, names, outcome, errors):
        for name in names:
            code = (request.bulk_failures or (lambda _: None))(name) or self.delete(account, name)
            if code // 100 == 2:
                outcome['Number Deleted'] += 1
            elif code == 404:
                outcome['Number Not Found'] += 1
            else:
                errors.append([quoted(name), status_line(code)])
            if len(errors) >= MAX_FAILED_DELETES:
                outcome.update({'Response Status': status_line(400), 'Response Body': 'Max delete failures exceeded'})
                return
        if errors:
            outcome['Response Status'] = status_line(502 if any(error[1][0] == '5' for error in errors) else 400)
        elif not outcome['Number Deleted'] + outcome['Number Not Found']:
            outcome.update({'Response Status': status_line(400), 'Response Body': 'Invalid bulk delete.'})

    def delete(self, account, path):
        container, _, name = path.lstrip('/').partition('/')
        try:
            if name:
                return self.storage.delete_object(account, container, name)
            return self.storage.delete_container(account, container)
        except Refusal as refusal:
            return refusal.response.status

    def answer_manifest(self, request, account):
        """`DELETE ?multipart-manifest=delete`: segments and manifest; of anything else nothing, in a 200 all the same."""
        path = '/%s/%s' % (request.container, request.name)
        item = account.find(path)
        if item is not None and item.segments is not None:
            return self.answer(request, account, [record['name'] for record in item.segments] + [path])
        outcome = {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 0, 'Number Not Found': 1}
        errors = []
        if item is not None:
            outcome.update({'Response Status': status_line(400), 'Number Not Found': 0})
            errors = [[quoted(path), 'Not an SLO manifest']]
        text, headers = self.report(request, outcome, errors)
        return Response(200, headers, wire(text), chunked=True)


def wanted_range(header, size):
    """The (first, end) that a Range header asks of `size` bytes; None if it is to be ignored, () if out of reach."""
    unit, _, spec = (header or '').replace(' ', '').partition('=')
    first, dash, last = spec.partition('-')
    if unit.lower() != 'bytes' or not dash or not (first or last) or not (first + last).isdigit():
        return None
    if first and last and int(last) < int(first):
        return None
    if not first and not size:
        return None
    if not first:
        return (max(0, size - int(last)), size) if int(last) else ()
    return (int(first), min(int(last) + 1 if last else size, size)) if int(first) < size else ()


class Storage(object):
    """Accounts, containers and objects: what Swift's proxy does once a request was let in."""

    def __init__(self, swift, listing_limit, max_file_size):
        self.swift, self.listing_limit, self.max_file_size = swift, listing_limit, max_file_size

    def answer(self, request, account):
        if self.swift.bulk_enabled and BulkDelete.meant_by(request):
            return self.swift.bulk.answer(request, account)
        handler = getattr(self, '%s_%s' % (request.kind, request.method.lower()), None)
        if handler is None:
            raise Refusal(405)
        return handler(request, account)

    # accounts

    def account_post(self, request, account):
        self.update_metadata(account.headers, request, 'X-Account-Meta-')
        return Response(204)

    def account_head(self, request, account):
        totals = {'X-Account-Container-Count': len(account.containers),
                  'X-Account-Object-Count': sum(len(container.listed) for container in account.containers.values())}
        return Response(204, dict(totals, **account.headers))

    def account_get(self, request, account):
        records = [{'name': name, 'count': len(container.listed),
                    'bytes': sum(item.size for item in container.listed.values())}
                   for name, container in sorted(account.containers.items())]
        return self.listing(request, records, self.account_head(request, account).headers)

    # containers

    def container_of(self, request, account):
        if request.container not in account.containers:
            raise Refusal(404)
        return account.containers[request.container]

    def container_put(self, request, account):
        size = len(request.container.encode('utf-8'))
        if size > MAX_CONTAINER_NAME:
            raise Refusal(400, 'Container name length of %d longer than %d' % (size, MAX_CONTAINER_NAME))
        fresh = request.container not in account.containers
        container = account.containers.setdefault(request.container, Container())
        self.update_metadata(container.headers, request, 'X-Container-')
        return Response(201 if fresh else 202)

    def container_post(self, request, account):
        self.update_metadata(self.container_of(request, account).headers, request, 'X-Container-')
        return Response(204)

    def container_head(self, request, account):
        container = self.container_of(request, account)
        sizes = [len(item.body) for item in container.listed.values()]  # an SLO counts as its manifest here
        described = {'X-Container-Object-Count': len(sizes), 'X-Container-Bytes-Used': sum(sizes),
                     'X-Storage-Policy': 'Policy-0', 'X-Timestamp': '%016.5f' % container.timestamp, 'Accept-Ranges': 'bytes',
                     'Last-Modified': email.utils.formatdate(math.ceil(container.timestamp), usegmt=True)}
        return Response(204, dict(described, **container.headers))

    def container_get(self, request, account):
        container = self.container_of(request, account)
        limit = request.query.get('limit', '')
        limit = int(limit) if limit.isdigit() else self.listing_limit
        if limit > self.listing_limit:
            raise Refusal(412, 'Maximum limit is %d' % self.listing_limit)
        asked = dict((name, request.query.get(name, '')) for name in ('prefix', 'delimiter', 'marker', 'end_marker'))
        return self.listing(request, container.page(limit, **asked), self.container_head(request, account).headers)

    def container_delete(self, request, account):
        return Response(self.delete_container(account, request.container))

    @staticmethod
    def listing(request, records, headers):
        if request.wants_json:
            return Response(200, dict(headers, **{'Content-Type': 'application/json; charset=utf-8'}), as_json(records))
        text = ''.join('%s\n' % (record.get('name') or record['subdir']) for record in records).encode('utf-8')
        return Response(200 if text else 204, dict(headers, **{'Content-Type': 'text/plain; charset=utf-8'}), text)

    @staticmethod
    def delete_container(account, name):
        if name not in account.containers:
            raise Refusal(404)
        if account.containers[name].listed:
            raise Refusal(409)
        del account.containers[name]
        return 204

    @staticmethod
    def update_metadata(kept, request, prefix):
        for name, value in request.headers.having(prefix):
            kept[name] = value
        for name, _ in request.headers.having(prefix.replace('X-', 'X-Remove-', 1)):
            kept[name.replace('X-Remove-', 'X-', 1)] = ''
        for name in [name for name, value in kept.items() if not value]:
            kept.pop(name)

    # objects

    def object_put(self, request, account):
        container = self.container_of(request, account)
        self.check_put(request, container)
        headers = self.object_headers(request)
        guessed = mimetypes.guess_type(request.name)[0] or 'application/octet-stream'
        content_type = request.headers.get('Content-Type') or guessed
        if request.query.get('multipart-manifest') == 'put' and self.swift.slo_enabled:
            records = self.swift.large.manifest(request, account)
            item = Object(as_json(records), content_type, headers, records)
        else:
            item = Object(request.body, content_type, headers)
        if request.headers.get('Etag', item.read_etag).strip('"') != item.read_etag:
            raise Refusal(422)
        container.write(request.name, item)
        etag = item.read_etag if item.segments is None else '"%s"' % item.read_etag
        return Response(201, {'Etag': etag, 'Last-Modified': self.last_modified(item)})

    def check_put(self, request, container):
        size = len(request.name.encode('utf-8'))
        if size > MAX_OBJECT_NAME:
            raise Refusal(400, 'Object name length of %d longer than %d' % (size, MAX_OBJECT_NAME), content_type='text/plain')
        if request.length is None and not request.chunked:
            raise Refusal(411, 'Missing Content-Length header.', content_type='text/plain')
        if max(request.length or 0, request.received) > self.max_file_size:
            raise Refusal(413, 'Your request is too large.', content_type='text/plain')
        if request.headers.get('If-None-Match', '*') != '*':
            raise Refusal(400, 'If-None-Match only supports *', content_type='text/plain')
        if request.truncated:
            raise Refusal(499)
        if 'If-None-Match' in request.headers and container.read(request.name):
            raise Refusal(412)

    @staticmethod
    def object_headers(request):
        """What is kept of a request's headers, once they passed Swift's limits on metadata."""
        metadata = [(name, value) for name, value in request.headers.having('X-Object-Meta-') if value]
        sizes = [(len(name) - len('X-Object-Meta-'), len(value)) for name, value in metadata]
        if len(sizes) > 90 or sum(map(sum, sizes)) > 4096 or any(name > 128 or value > 256 for name, value in sizes):
            raise Refusal(400, 'Metadata too large', content_type='text/plain')
        headers = Headers(metadata + [(name, request.headers[name]) for name in KEPT_HEADERS if name in request.headers])
        try:
            if 'X-Delete-After' in request.headers:
                headers['X-Delete-At'] = int(time.time()) + int(request.headers['X-Delete-After'])
            past = int(headers.get('X-Delete-At', time.time() + 1)) <= time.time()
        except ValueError:
            raise Refusal(400, 'Non-integer X-Delete-At', content_type='text/plain')
        if past:
            raise Refusal(400, 'X-Delete-At in past', content_type='text/plain')
        if '/' not in headers.get('X-Object-Manifest', 'c/'):
            raise Refusal(400, 'X-Object-Manifest must be in the format container/prefix')
        return headers

    def object_post(self, request, account):
        """Replaces all that is kept of the headers; a dynamic manifest that does not say so again is none any more."""
        container = self.container_of(request, account)
        item = container.read(request.name)
        if item is None:
            raise Refusal(404)
        container.write(request.name, item.with_headers(self.object_headers(request)))
        return Response(202)

    def object_delete(self, request, account):
        if request.query.get('multipart-manifest') == 'delete' and self.swift.slo_enabled:
            return self.swift.bulk.answer_manifest(request, account)
        return Response(self.delete_object(account, request.container, request.name))

    @staticmethod
    def delete_object(account, container, name):
        if container not in account.containers or account.containers[container].read(name) is None:
            raise Refusal(404)
        account.containers[container].write(name, None)
        return 204

    def object_head(self, request, account):
        return self.object_get(request, account)

    def object_get(self, request, account):
        item = self.container_of(request, account).read(request.name, request.newest)
        if item is None:
            raise Refusal(412 if request.headers.get('If-Match') == '*' else 404)
        headers = Headers(item.headers)
        headers.update({'Last-Modified': self.last_modified(item), 'X-Timestamp': '%016.5f' % item.timestamp,
                        'Etag': item.etag, 'Content-Type': item.content_type, 'Accept-Ranges': 'bytes'})
        if item.segments is not None:
            headers.update({'X-Static-Large-Object': 'True', 'X-Manifest-Etag': item.etag})
        if request.query.get('multipart-manifest') == 'get':
            return self.manifest_read(request, item, headers)
        return self.content_read(request, account, item, headers)

    def manifest_read(self, request, item, headers):
        """The manifest itself; Ceph gives an SLO's as an empty body."""
        body = item.body
        if item.segments is not None:
            headers.update({'Content-Type': 'application/json; charset=utf-8'})
            headers.pop('X-Manifest-Etag')
            if request.query.get('format') == 'raw':
                body = self.swift.large.raw_manifest(item)
                headers.update({'Content-Type': item.content_type, 'Etag': md5(body)})
            body = b'' if self.swift.ceph else body
        return Response(200, headers, body, len(body))

    def content_read(self, request, account, item, headers):
        etag = item.read_etag
        if 'X-Object-Manifest' in item.headers:
            records = self.swift.large.listed(account, item)
            etag = md5(b''.join(wire(record['hash']) for record in records))
            if self.swift.ceph:
                headers.pop('Last-Modified')
        if item.segments is not None or 'X-Object-Manifest' in item.headers:
            headers['Etag'] = '"%s"' % etag
        pieces = list(self.swift.large.pieces(account, item))
        size = sum(length for _, length in pieces)
        self.check_conditions(request, etag, headers)
        asked = wanted_range(request.headers.get('Range'), size) if request.method == 'GET' else None
        if asked == ():
            raise Refusal(416, headers=dict(headers, **{'Content-Range': 'bytes */%d' % size}))
        first, end = asked or (0, size)
        if asked:
            headers['Content-Range'] = 'bytes %d-%d/%d' % (first, end - 1, size)
        body = self.cut_out(pieces, first, end) if request.method == 'GET' else b''
        listed_whole = 'X-Object-Manifest' not in item.headers or len(records) < self.listing_limit
        return Response(206 if asked else 200, headers, body, end - first, chunked=not (asked or listed_whole))

    @staticmethod
    def check_conditions(request, etag, headers):
        def names(header):
            return [tag.strip().strip('"') for tag in request.headers.get(header, '').split(',')]
        if 'If-None-Match' in request.headers and {etag, '*'} & set(names('If-None-Match')):
            raise Refusal(304, '', headers)
        if 'If-Match' in request.headers and not {etag, '*'} & set(names('If-Match')):
            raise Refusal(412, '', headers)

    @staticmethod
    def cut_out(pieces, first, end):
        """The bytes from `first` to `end`; they stop short at a lost piece, and 409 if that is the first one."""
        found, offset = [], 0
        for data, size in pieces:
            wanted = max(first - offset, 0), min(end - offset, size)
            offset += size
            if wanted[0] >= wanted[1]:
                continue
            if data is None:
                if not found:
                    raise Refusal(409)
                break
            found.append(data[wanted[0]:wanted[1]])
        return b''.join(found)

    @staticmethod
    def last_modified(item):
        return email.utils.formatdate(math.ceil(item.timestamp), usegmt=True)


class Fault(object):
    """A trouble waiting for its requests."""

    def __init__(self, match, action, times, after):
        self.match, self.action, self.times, self.after, self.seen, self.hits = match, action, times, after, 0, 0

    def due(self, request):
        if self.hits == self.times or not self.match(request):
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.hits += 1
        return True

    def cancel(self):
        self.times = self.hits


def on(method=None, path_contains=None, path=None, query=None, kind=None, where=None):
    """A predicate on requests; everything given must hold.

    `query` is the name of a query parameter, `kind` is as in `Request`, `where` is a predicate of one's own.
    """
    def match(request):
        return ((method is None or request.method == method)
                and (path_contains is None or path_contains in request.path)
                and (path is None or request.path == path)
                and (query is None or query in request.query)
                and (kind is None or request.kind == kind)
                and (where is None or bool(where(request))))
    return match


# Actions: each makes a function of an Exchange, which tells the server what to do with one request.

def serve(exchange):
    """What Swift does in good health."""
    exchange.read_body()
    exchange.send(exchange.perform())


def status(code, headers=(), body=None, early=False):
    """Answer `code` and do nothing; `early` answers without having read the request's body, and closes."""
    def act(exchange):
        if not early:
            exchange.read_body()
        exchange.send(Refusal(code, body, headers).response)
    return act


def cut_response(after_bytes=None, reset=False):
    """Perform the request, then close after so many bytes of the body: 0 after the headers, None before them."""
    def act(exchange):
        exchange.read_body()
        response = exchange.perform()
        if after_bytes is not None:
            exchange.send(response, upto=after_bytes)
        exchange.hang_up(reset)
    return act


def lost_answer(reset=False):
    """Perform the request and close the connection without a word."""
    return cut_response(None, reset)


def cut_request(after_bytes=0, reset=False):
    """Close the connection after so many bytes of the request's body; nothing is performed."""
    def act(exchange):
        exchange.read_body(upto=after_bytes)
        exchange.hang_up(reset)
    return act


def stall(before='headers', perform=True):
    """Send no more until `swift.release()`, or until the client gives up.

    Silence starts before the 'request' body is read, before the answer's 'headers', before its 'body', or after so many
    bytes of the body. The request is performed before the silence, or after it with perform=False.
    """
    def act(exchange):
        if before == 'request' or not perform:
            if before != 'request':
                exchange.read_body()
            exchange.stall()
            return serve(exchange)
        exchange.read_body()
        response, rest = exchange.perform(), None
        if before != 'headers':
            rest = exchange.send(response, upto=0 if before == 'body' else before)
        exchange.stall()
        if rest is None:
            exchange.send(response)
        else:
            exchange.send_bytes(rest)
    return act


def delay(seconds):
    """Serve well, but only after so long."""
    def act(exchange):
        exchange.read_body()
        exchange.stall(seconds)
        exchange.send(exchange.perform())
    return act


def altered(change):
    """Perform the request, and let change(response) spoil the answer in place."""
    def act(exchange):
        exchange.read_body()
        response = exchange.perform()
        change(response)
        exchange.send(response)
    return act


def wrong_etag(etag='0' * 32):
    """Store or read as asked, but answer another ETag."""
    return altered(lambda response: response.headers.update({'Etag': etag}))


def corrupt_body():
    """Answer with the first byte of the body inverted."""
    def change(response):
        spoilt = bytearray(response.body)
        spoilt[0] ^= 0xff
        response.body = bytes(spoilt)
    return altered(change)


def short_body(by=1):
    """Answer with the last bytes left out and a Content-Length that agrees: a well-formed lie."""
    def change(response):
        response.body, response.length = response.body[:-by], None
    return altered(change)


def without_headers(*names):
    """Answer without these headers, as some clones of Swift do."""
    return altered(lambda response: [response.headers.pop(name, None) for name in names])


def bulk_status(line='401 Unauthorized'):
    """A bulk delete that answers 200, deletes nothing, and says so only in its body's Response Status."""
    return bulk_errors(line)


def bulk_errors(failures=lambda name: 503):
    """A bulk delete that answers 200 but hides errors; failures(name) is the status for a name, None to delete it."""
    def act(exchange):
        exchange.request.bulk_failures = failures
        serve(exchange)
    return act


class HangUp(Exception):
    """The connection is to end now."""


class Exchange(threading.Thread):
    """One client connection and, at any time, the one request on it."""

    def __init__(self, swift, connection):
        threading.Thread.__init__(self, name='fake-swift-connection')
        self.daemon = True
        self.swift, self.connection, self.reader = swift, connection, connection.makefile('rb')
        self.request, self.keep_alive, self.body_was_read, self.closed = None, True, False, False

    def run(self):
        try:
            while self.keep_alive and self.next_request():
                self.swift.action_for(self.request)(self)
        except (HangUp, EnvironmentError, ValueError, select.error):
            pass  # the client went away, a fault closed the connection, or the server stops
        finally:
            self.close()

    def close(self, reset=False):
        if self.closed:
            return
        self.closed = True
        try:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass  # the other side was faster
        self.reader.close()
        self.connection.close()

    def abort(self):
        """Called from another thread: wakes up this one, which then closes."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except EnvironmentError:
            pass

    def hang_up(self, reset=False):
        self.close(reset)
        raise HangUp()

    def next_request(self):
        """Read the head of a request; False at the end of the connection."""
        lines = []
        while not lines or lines[-1]:
            line = self.reader.readline(PIECE)
            if not line.endswith(b'\n'):
                return False
            lines.append(line.rstrip(b'\r\n'))
        method, target, version = lines[0].split(b' ')
        fields = [native(line).partition(':') for line in lines[1:-1]]
        self.request = Request(native(method), target, [(name, value.strip()) for name, _, value in fields])
        self.keep_alive = version == b'HTTP/1.1' and self.request.headers.get('Connection', '').lower() != 'close'
        self.body_was_read = not self.request.chunked and not self.request.length
        self.swift.requests.append(self.request)
        return True

    def read_body(self, upto=None):
        """Read the request's body, or so much of it; `truncated` says that it is not whole."""
        if self.body_was_read:
            return
        request, pieces = self.request, []
        if request.headers.get('Expect', '').lower() == '100-continue':
            self.send_bytes(b'HTTP/1.1 100 Continue\r\n\r\n')
        wanted = request.length if upto is None else min(upto, request.length or upto)
        for piece in self.read_chunks() if request.chunked else self.read_exactly(wanted):
            pieces.append(piece)
            request.received += len(piece)
            if upto is not None and request.received >= upto:
                break
        request.body = b''.join(pieces)
        if upto is not None or not request.chunked and request.received < request.length:
            request.truncated = True
        self.body_was_read = not request.truncated

    def read_exactly(self, size):
        while size:
            piece = self.reader.read(min(size, PIECE))
            if not piece:
                return
            size -= len(piece)
            yield piece

    def read_chunks(self):
        while True:
            line = self.reader.readline(PIECE)
            size = int(line.split(b';')[0], 16) if line.strip() else 0
            got = 0
            for piece in self.read_exactly(size):
                got += len(piece)
                yield piece
            if not self.reader.readline(PIECE).endswith(b'\n') or got < size or not line.strip():
                self.request.truncated = True
                return
            if not size:
                return

    def perform(self):
        """Let Swift do what was asked, and give its answer."""
        return self.swift.answer(self.request)

    def send(self, response, upto=None):
        """Send an answer, or its headers and so much of its body; returns the bytes left over."""
        self.swift.stamp(response.headers)
        if not self.body_was_read:
            self.keep_alive = False
        if not self.keep_alive:
            response.headers['Connection'] = 'close'
        self.request.status = response.status
        head, body = response.head(), b''
        if self.request.method != 'HEAD' and response.status not in (204, 304):
            body = response.framed_body()
            self.keep_alive = self.keep_alive and (response.chunked or response.length in (None, len(body)))
        self.send_bytes(head + body[:upto])
        return b'' if upto is None else body[upto:]

    def send_bytes(self, data):
        for start in range(0, len(data), PIECE):
            self.connection.sendall(data[start:start + PIECE])

    def stall(self, seconds=None):
        """Be silent until released, for so long, or until the client has gone."""
        deadline, released = time.time() + (seconds or 1e9), self.swift.released
        while not released.wait(min(0.05, max(0, deadline - time.time()))) and time.time() < deadline:
            readable = select.select([self.connection], [], [], 0)[0]
            if readable and self.body_was_read and not self.connection.recv(1, socket.MSG_PEEK):
                raise HangUp()
        if self.swift.stopping:
            raise HangUp()


class FakeSwift(object):
    """The server; a context manager. See the module's docstring for what it offers."""

    regions = ('RegionOne', 'RegionTwo')
    domain, domain_id, user_id, project_id, trust_id = 'Default', 'default', 'u5e1d', '0ca1f00d', '7rus7'
    app_credential_id, app_credential_name, app_credential_secret = 'c4ed', 'registry', 'hush'

    def __init__(self, listing_limit=10000, bulk=True, max_deletes=10000, slo=True, info=True, ceph=False,
                 token_life=86400, allowed_digests=('sha1', 'sha256', 'sha512'), user='test:tester', key='testing',
                 max_file_size=5368709122):
        self.user, self.key, self.ceph = user, key, ceph
        self.project, _, self.username = user.partition(':')
        self.bulk_enabled, self.slo_enabled, self.info_enabled = bulk, slo, info
        self.identity, self.temp_urls = Identity(self, token_life), TempUrls(self, tuple(allowed_digests))
        self.storage, self.large = Storage(self, listing_limit, max_file_size), LargeObjects(self)
        self.bulk = BulkDelete(self.storage, max_deletes)
        self.accounts = {'AUTH_' + self.project: Account(), 'AUTH_%s_two' % self.project: Account()}
        self.requests, self.connections_made, self.crashes = [], 0, []
        self.stopping, self.released = False, threading.Event()
        self._faults, self._exchanges, self._lock, self._transactions = [], [], threading.RLock(), itertools.count(1)
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        self.url = 'http://127.0.0.1:%d' % self.port
        self.auth_url = self.url + '/auth/v1.0'
        self.auth_url_v2, self.auth_url_v3 = self.url + '/v2.0', self.url + '/v3'
        self.storage_url = self.endpoint(self.regions[0])
        self.accept_connections()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if kind is None and self.crashes:
            raise AssertionError('the fake Swift itself failed:\n' + '\n'.join(self.crashes))

    def stop(self):
        """End every connection and thread, stalled ones too."""
        self.stopping = True
        self.released.set()
        self.refuse_connections()
        self._listener.close()

    # contents

    @property
    def containers(self):
        return self.accounts['AUTH_' + self.project].containers

    def container(self, name):
        """The objects of a container by name: a live dict."""
        return self.containers[name].objects

    def create_container(self, name, **headers):
        """Make a container; keywords are headers, with underscores for hyphens."""
        given = dict((header.replace('_', '-'), value) for header, value in headers.items())
        return self.containers.setdefault(name, Container(given))

    def put(self, container, name, body, content_type='application/octet-stream', headers=()):
        """Store an object without a request, its container too if need be."""
        item = Object(body, content_type, headers)
        self.create_container(container).write(name, item)
        return item

    def lag_listing(self, container):
        """From now on listings of the container show what it holds now."""
        self.containers[container].frozen = dict(self.containers[container].objects)

    def catch_up(self, container=None):
        for name in [container] if container else list(self.containers):
            self.containers[name].frozen = None

    def stale(self, container, name, times=1):
        """The next so many reads without X-Newest see what was there before the last write."""
        self.containers[container].stale[name] = times

    # troubles

    def fault(self, match, action, times=1, after=0):
        fault = Fault(match if callable(match) else on(match), action, times, after)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self):
        with self._lock:
            del self._faults[:]

    def action_for(self, request):
        with self._lock:
            due = next((fault for fault in self._faults if fault.due(request)), None)
        return due.action if due else serve

    def expire_tokens(self):
        self.identity.tokens.clear()

    def release(self):
        """Let every request that stalls now go on."""
        self.released.set()
        self.released = threading.Event()

    # connections

    @staticmethod
    def _bound(port):
        """A socket that holds the port; until it listens, connections are refused."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(('127.0.0.1', port))
        return listener

    def accept_connections(self):
        self._accepting = True
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, name='fake-swift-acceptor')
        self._acceptor.daemon = True
        self._acceptor.start()

    def refuse_connections(self, drop=True):
        """Refuse new connections from now on; `drop` ends those that are open."""
        if self._accepting:
            self._accepting = False
            socket.create_connection(('127.0.0.1', self.port)).close()  # wakes the acceptor up
            self._acceptor.join()
            self._listener.close()
            self._listener = self._bound(self.port)
        if drop:
            self.drop_connections()

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            if not self._accepting:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            exchange = Exchange(self, connection)
            exchange.start()
            with self._lock:
                self.connections_made += 1
                self._exchanges = [known for known in self._exchanges if known.is_alive()] + [exchange]

    def open_connections(self):
        with self._lock:
            return sum(not exchange.closed for exchange in self._exchanges)

    def drop_connections(self):
        """Close every open connection, and wait until that is so."""
        with self._lock:
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.abort()
        for exchange in exchanges:
            exchange.join()

    def clear_requests(self):
        del self.requests[:]

    # answers

    def endpoint(self, region, interface='public'):
        """The storage URL of a region; two names of this machine stand for the two interfaces."""
        host = {'public': '127.0.0.1', 'internal': 'localhost'}[interface]
        account = sorted(self.accounts)[self.regions.index(region)]
        return 'http://%s:%d%s' % (host, self.port, '/swift/v1' if self.ceph else '/v1/' + account)

    def answer(self, request):
        try:
            with self._lock:
                return self._answer(request)
        except Refusal as refusal:
            if request.method == 'HEAD':
                refusal.response.body = b''
            return refusal.response
        except Exception:
            self.crashes.append(traceback.format_exc())
            return Response(500, {'Content-Type': 'text/plain'}, wire(self.crashes[-1]))

    def _answer(self, request):
        if u'\ufffd' in request.path or u'\0' in request.path:
            raise Refusal(412, 'Invalid UTF8 or contains NULL')
        if request.kind == 'auth':
            return self.identity.answer(request)
        if request.kind == 'info':
            return self._info()
        account = self.accounts.get(request.account or 'AUTH_' + self.project)
        if TempUrls.used_by(request):
            if account is None or not self.temp_urls.allows(request, account):
                raise Refusal(401, '401 Unauthorized: Temp URL invalid\n', {'Www-Authenticate': 'Swift realm="unknown"'})
            if request.method == 'PUT' and 'X-Object-Manifest' in request.headers:
                raise Refusal(400, "The header 'X-Object-Manifest' is not allowed in this tempurl")
            return self.temp_urls.dress(request, self.storage.answer(request, account))
        if not self.identity.knows(request.headers.get('X-Auth-Token') or request.headers.get('X-Storage-Token')):
            raise Refusal(401, headers={'Www-Authenticate': 'Swift realm="%s"' % (request.account or 'unknown')})
        if account is None:
            raise Refusal(403)
        return self.storage.answer(request, account)

    def _info(self):
        if not self.info_enabled:
            raise Refusal(404)
        known = {
            'swift': {'version': '2.38.3', 'max_file_size': self.storage.max_file_size,
                      'container_listing_limit': self.storage.listing_limit,
                      'max_object_name_length': MAX_OBJECT_NAME, 'max_container_name_length': MAX_CONTAINER_NAME},
            'tempurl': {'methods': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']}}
        if not self.ceph:
            known['tempurl'].update(allowed_digests=list(self.temp_urls.allowed_digests))
        if self.bulk_enabled:
            known['bulk_delete'] = {'max_deletes_per_request': self.bulk.max_deletes,
                                    'max_failed_deletes': MAX_FAILED_DELETES}
        if self.slo_enabled:
            known['slo'] = {'max_manifest_segments': self.large.max_segments,
                            'max_manifest_size': MAX_MANIFEST_SIZE, 'min_segment_size': 1}
        return Response(200, {'Content-Type': 'application/json; charset=UTF-8'}, as_json(known))

    def stamp(self, headers):
        """The headers that are on every answer of Swift's."""
        transaction = 'tx%021x-%010x' % (next(self._transactions), int(time.time()))
        headers.update({'X-Trans-Id': transaction, 'X-Openstack-Request-Id': transaction,
                        'Date': email.utils.formatdate(usegmt=True)})
