# -*- coding: utf-8 -*-
"""What a Ceph RADOS Gateway does differently from OpenStack Swift. `FakeSwift(ceph=True)` is one.

tests/fake/test_ceph.py compares it with a real one, version 16.2.

Each class overrides what differs in one part of Swift. To add a difference to a part that has no class here yet, subclass that
part and name the subclass in `CephProxy`. `messages.Request` understands the paths of both.
"""

import json
import time

from .containers import ContainerRequests
from .identity import Identity
from .large_objects import LargeObjects
from .messages import Headers, Refusal, Response, md5, quoted
from .objects import ObjectRequests, wanted_range
from .proxy import Proxy
from .stored import Object
from .tempurl import TempUrls

NOTHING = md5(b'')
MOST_LISTED = 1000
DEFAULT_POLICY = 'default-placement'


def refusal(status, code):
    return Refusal(status, code, content_type='text/plain; charset=utf-8')


class CephIdentity(Identity):
    """Returns 204 to a v1 login, and a new token each time. Does not say when it expires."""

    v1_status = 204

    def version_1(self, request):
        self.v1_token = None
        response = super(CephIdentity, self).version_1(request)
        response.headers.pop('X-Auth-Token-Expires')
        return response


class CephTempUrls(TempUrls):
    """Accepts the keys of the account only, and SHA-1 only. The signed path may begin with `/swift/v1` or with `/v1`."""

    def __init__(self, allowed_digests):
        super(CephTempUrls, self).__init__(('sha1',))

    def keys(self, account, container):
        return self.keys_in(account.headers, 'X-Account-Meta-Temp-Url-Key')

    @staticmethod
    def signed_paths(path):
        return [path, path[len('/swift'):]]

    def refusal(self, request):
        return refusal(401 if self.expiry(request) < time.time() else 403, 'AccessDenied')

    def dress(self, request, response):
        """Metadata stays in the response."""
        kept = response.headers.having('X-Object-Meta-')
        response = super(CephTempUrls, self).dress(request, response)
        response.headers.update(kept)
        response.headers.pop('Expires', None)
        return response


class CephContainers(ContainerRequests):
    """Lists a static large object with the size of its manifest and the ETag of nothing. A limit above 1000 is cut to 1000."""

    def do_PUT(self, request, account):
        self.check_name(request)
        if request.headers.get('X-Storage-Policy', DEFAULT_POLICY) != DEFAULT_POLICY:
            raise refusal(400, 'InvalidLocationConstraint')
        return super(CephContainers, self).do_PUT(request, account)

    def do_HEAD(self, request, account):
        self.check_name(request)
        response = super(CephContainers, self).do_HEAD(request, account)
        response.headers['X-Container-Bytes-Used-Actual'] = response.headers['X-Container-Bytes-Used']
        return response

    def do_GET(self, request, account):
        limit = request.query.get('limit', '')
        if limit.isdigit():
            request.query['limit'] = str(min(int(limit), MOST_LISTED, self.listing_limit))
        return super(CephContainers, self).do_GET(request, account)

    def records(self, container, limit, asked):
        records = super(CephContainers, self).records(container, limit, asked)
        for record in records:
            record.pop('content_type', None)
            if record.pop('slo_etag', None):
                record.update(hash=NOTHING, bytes=len(container.listed[record['name']].body))
        return records

    @staticmethod
    def check_name(request):
        if len(request.container) < 3:
            raise refusal(400, 'InvalidBucketName')


class CephLargeObjects(LargeObjects):
    """Compares the sizes of segments with a manifest, but not their ETags."""

    def manifest(self, request, account):
        entries = self.entries(request)
        if len(entries) > self.max_segments:
            raise refusal(400, 'InvalidArgument')
        for entry in entries:
            item = account.find(entry['path'])
            if item is None:
                raise refusal(404, 'NoSuchKey')
            if int(entry.get('size_bytes') or item.size) != item.size:
                raise refusal(400, 'InvalidArgument')
        return [{'name': entry['path'], 'hash': entry.get('etag') or '', 'bytes': account.find(entry['path']).size}
                for entry in entries]

    @staticmethod
    def entries(request):
        try:
            entries = list(json.loads(request.body.decode('utf-8')))
            if all('/' in entry['path'].strip('/') for entry in entries):
                return entries
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise refusal(400, 'InvalidArgument')

    @staticmethod
    def is_intact(found, record):
        return found is not None and found.size == record['bytes']


class Broken(Response):
    """What Ceph sends for a static large object that is empty: a response without its first line."""

    def head(self):
        return super(Broken, self).head().partition(b'\r\n')[2]


class CephObjects(ObjectRequests):

    @staticmethod
    def check_if_new(request, container):
        """If-None-Match of a PUT is ignored."""

    @staticmethod
    def check_conditions(request, item, etag, headers):
        """If-Match is compared with the ETag of what is stored, which for a large object is nothing. `*` matches nothing."""
        if request.headers.get('If-Match') and request.headers['If-Match'].strip('"') != (
                NOTHING if item.segments is not None or item.is_dynamic else etag):
            raise refusal(412, 'PreconditionFailed')
        if request.headers.get('If-None-Match', '').strip('"') == etag and item.segments is None:
            raise Refusal(304, '')

    def do_PUT(self, request, account):
        response = super(CephObjects, self).do_PUT(request, account)
        item = account.container(request.container).objects[request.name]
        if item.segments is not None:  # what is stored is the manifest as it came
            stored = Object(request.body, item.content_type, item.headers, item.segments)
            account.container(request.container).objects[request.name] = stored
        return response

    def copy(self, request, account):
        """Conditions and a body are ignored. The copy of a large object is another manifest of the same segments."""
        container, name = self.copied_name(request)
        source = account.find(container + '/' + name)
        if source is None:
            raise refusal(404, 'NoSuchKey' if container in account.containers else 'NoSuchBucket')
        headers = Headers(source.headers)
        headers.update(self.kept_headers(request))
        copied = Object(source.body, request.headers.get('Content-Type') or source.content_type, headers, source.segments)
        account.container(request.container).write(request.name, copied)
        etag = NOTHING if source.segments is not None else copied.etag
        return Response(201, {'Etag': etag, 'X-Copied-From': quoted(u'%s/%s' % (container, name)),
                              'X-Copied-From-Last-Modified': self.last_modified(source)})

    def manifest_read(self, request, item, headers):
        """Return an empty body for the manifest of a static large object. Only a metadata header tells that it is one."""
        if item.segments is None:
            return super(CephObjects, self).manifest_read(request, item, headers)
        headers.pop('X-Static-Large-Object')
        headers.pop('X-Manifest-Etag')
        headers.update({'Etag': NOTHING, 'X-Object-Meta-Static-Large-Object': 'True'})
        return Response(200, headers)

    def content_read(self, request, account, item, headers):
        """Like Swift's, but a missing segment is a 404 if it is the first one, and a response that stalls otherwise."""
        if item.segments is not None:
            headers.pop('X-Manifest-Etag')
            headers['X-Object-Meta-Static-Large-Object'] = 'True'
            if not item.size:
                return Broken(200, headers)
            self.check_first(request, account, item)
        if request.headers.get('Range') and not item.size and not item.is_dynamic:
            raise refusal(416, 'InvalidRange')
        response = super(CephObjects, self).content_read(request, account, item, headers)
        response.stalls = item.segments is not None and len(response.body) < response.length
        return response

    @staticmethod
    def check_first(request, account, item):
        """Raise what Ceph returns if the first segment of those that are wanted is not there, or has another size."""
        first, _ = wanted_range(request.headers.get('Range'), item.size) or (0, 0)
        for record in item.segments:
            if first < record['bytes']:
                found = account.find(record['name'])
                if found is None:
                    raise refusal(404, 'NoSuchKey')
                if found.size != record['bytes']:
                    raise refusal(500, 'UnknownError')
                return
            first -= record['bytes']


class CephProxy(Proxy):
    """Has no account in its storage URL. /info is at /swift/info, without `allowed_digests` and the limit of bulk deletes."""

    identity_class, temp_urls_class, objects_class = CephIdentity, CephTempUrls, CephObjects
    containers_class, large_objects_class = CephContainers, CephLargeObjects

    @staticmethod
    def storage_path(account):
        return '/swift/v1'

    def answer(self, request):
        if request.kind == 'info' and request.path != '/swift/info':
            raise refusal(404, 'NoSuchBucket')
        return super(CephProxy, self).answer(request)

    def admitted(self, request, account):
        """Say what is missing."""
        try:
            return super(CephProxy, self).admitted(request, account)
        except Refusal as error:
            if error.response.status == 404 and 'html' in error.response.headers['Content-Type']:  # else it says so already
                raise refusal(404, 'NoSuchKey' if request.container in account.containers else 'NoSuchBucket')
            raise

    def info(self):
        known = super(CephProxy, self).info()
        known['swift'].update(version='16.2.15', policies=[{'default': True, 'name': DEFAULT_POLICY}], strict_cors_mode=True,
                              max_file_size=5 << 30)
        known.update(tempauth={'account_acls': True}, tempurl={'methods': known['tempurl']['methods']})
        if self.swift.bulk_enabled:
            known['bulk_delete'] = {}
        if self.swift.slo_enabled:
            known['slo'] = {'max_manifest_segments': self.large.max_segments}
        return known
