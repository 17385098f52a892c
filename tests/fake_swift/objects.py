# -*- coding: utf-8 -*-
"""Requests for objects."""

import copy
import email.utils
import math
import mimetypes
import time

from .messages import Headers, Refusal, Response, as_json, md5, quoted, unquoted, wire
from .stored import Object

MAX_OBJECT_NAME = 1024
KEPT_HEADERS = ('Content-Disposition', 'Content-Encoding', 'Cache-Control', 'X-Delete-At', 'X-Object-Manifest')


class ObjectRequests(object):
    """Answers requests for an object."""

    def __init__(self, swift, large, bulk):
        self.swift, self.large, self.bulk = swift, large, bulk

    def do_PUT(self, request, account):
        return self.copy(request, account) if 'X-Copy-From' in request.headers else self.store(request, account)

    def store(self, request, account):
        container = account.container(request.container)
        self.check_put(request, container)
        headers = self.kept_headers(request)
        guessed = mimetypes.guess_type(request.name)[0] or 'application/octet-stream'
        content_type = request.headers.get('Content-Type') or guessed
        if request.query.get('multipart-manifest') == 'put' and self.swift.slo_enabled:
            records = self.large.manifest(request, account)
            item = Object(as_json(records), content_type, headers, records)
        else:
            item = Object(request.body, content_type, headers)
        if request.headers.get('Etag', item.read_etag).strip('"') != item.read_etag:
            raise Refusal(422)
        container.write(request.name, item)
        etag = item.read_etag if item.segments is None else '"%s"' % item.read_etag
        return Response(201, {'Etag': etag, 'Last-Modified': self.last_modified(item)})

    def copy(self, request, account):
        """Store what a GET of the source returns, with its metadata. Conditions of the request are conditions of this GET.

        https://docs.openstack.org/swift/latest/middleware.html#server-side-copy
        """
        if request.length:
            raise Refusal(400, 'Copy requests require a zero byte body', content_type='text/plain')
        if 'multipart-manifest' in request.query or 'Range' in request.headers:
            raise Refusal(501, 'The fake copies neither manifests nor ranges.')
        container, name = self.copied_name(request)
        get = copy.copy(request)
        get.method, get.container, get.name = 'GET', container, name
        get.headers = Headers(request.headers, **{'X-Newest': 'true'})
        content = self.do_GET(get, account).body
        return self.store_copy(request, account, content, container, name)

    def store_copy(self, request, account, content, container, name):
        """Store the content of another object, with its metadata. Headers of the request replace those of the other object."""
        source = account.container(container).read(name)
        put = copy.copy(request)
        put.body = content
        put.headers = Headers(source.headers, **{'Content-Type': source.content_type})
        put.headers.pop('X-Object-Manifest', None)
        put.headers.update(dict(request.headers))
        put.headers.pop('Etag', None)
        response = self.store(put, account)
        response.headers.update({'X-Copied-From': quoted(u'%s/%s' % (container, name)),
                                 'X-Copied-From-Last-Modified': self.last_modified(source)})
        return response

    @staticmethod
    def copied_name(request):
        """The container and the name that X-Copy-From names."""
        path = unquoted(wire(request.headers['X-Copy-From']))
        container, _, name = path[path.startswith('/'):].partition('/')
        if not container or not name:
            raise Refusal(412, 'X-Copy-From header must be of the form <container name>/<object name>', content_type='text/plain')
        return container, name

    def check_put(self, request, container):
        """Raise `Refusal` if Swift would not store this object."""
        size = len(request.name.encode('utf-8'))
        if size > MAX_OBJECT_NAME:
            raise Refusal(400, 'Object name length of %d longer than %d' % (size, MAX_OBJECT_NAME), content_type='text/plain')
        if request.length is None and not request.chunked:
            raise Refusal(411, 'Missing Content-Length header.', content_type='text/plain')
        if max(request.length or 0, request.received) > self.swift.max_file_size:
            raise Refusal(413, 'Your request is too large.', content_type='text/plain')
        if request.truncated:
            raise Refusal(499)
        self.check_if_new(request, container)

    @staticmethod
    def check_if_new(request, container):
        """Honour If-None-Match of a PUT."""
        if request.headers.get('If-None-Match', '*') != '*':
            raise Refusal(400, 'If-None-Match only supports *', content_type='text/plain')
        if 'If-None-Match' in request.headers and container.read(request.name):
            raise Refusal(412)

    @staticmethod
    def kept_headers(request):
        """The headers of a request that Swift stores with the object. Raises `Refusal` if they break Swift's limits."""
        metadata = [(name, value) for name, value in request.headers.having('X-Object-Meta-') if value]
        sizes = [(len(name) - len('X-Object-Meta-'), len(value)) for name, value in metadata]
        if len(sizes) > 90 or sum(map(sum, sizes)) > 4096 or any(name > 128 or value > 256 for name, value in sizes):
            raise Refusal(400, 'Metadata too large', content_type='text/plain')
        headers = Headers(metadata + [(name, request.headers[name]) for name in KEPT_HEADERS if name in request.headers])
        try:
            if 'X-Delete-After' in request.headers:
                headers['X-Delete-At'] = int(time.time()) + int(request.headers['X-Delete-After'])
            past = 'X-Delete-At' in headers and int(headers['X-Delete-At']) <= time.time()
        except ValueError:
            raise Refusal(400, 'Non-integer X-Delete-At', content_type='text/plain')
        if past:
            raise Refusal(400, 'X-Delete-At in past', content_type='text/plain')
        if '/' not in headers.get('X-Object-Manifest', 'c/'):
            raise Refusal(400, 'X-Object-Manifest must be in the format container/prefix')
        return headers

    def do_POST(self, request, account):
        """Replace all stored headers. A DLO whose manifest header is not sent again becomes an ordinary object."""
        container = account.container(request.container)
        item = container.read(request.name)
        if item is None:
            raise Refusal(404)
        container.write(request.name, item.with_headers(self.kept_headers(request)))
        return Response(202)

    def do_DELETE(self, request, account):
        if request.query.get('multipart-manifest') == 'delete' and self.swift.slo_enabled:
            return self.bulk.answer_manifest(request, account)
        account.delete_object(request.container, request.name)
        return Response(204)

    def do_HEAD(self, request, account):
        return self.do_GET(request, account)

    def do_GET(self, request, account):
        item = account.container(request.container).read(request.name, request.newest)
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
        """Return the manifest instead of what it stands for."""
        body = item.body
        if item.segments is not None:
            headers.update({'Content-Type': 'application/json; charset=utf-8'})
            headers.pop('X-Manifest-Etag')
            if request.query.get('format') == 'raw':
                body = self.large.raw_manifest(item)
                headers.update({'Content-Type': item.content_type, 'Etag': md5(body)})
        return Response(200, headers, body, len(body))

    def content_read(self, request, account, item, headers):
        """Return the content, or the range of it that the client wants.

        As in Swift, the response has no Content-Length if a DLO has more segments than fit in one listing.
        """
        etag = item.read_etag
        if item.is_dynamic:
            records = self.large.listed(account, item)
            etag = md5(b''.join(wire(record['hash']) for record in records))
        if item.segments is not None or item.is_dynamic:
            headers['Etag'] = '"%s"' % etag
        pieces = list(self.large.pieces(account, item))
        size = sum(length for _, length in pieces)
        self.check_conditions(request, item, etag, headers)
        asked = wanted_range(request.headers.get('Range'), size) if request.method == 'GET' else None
        if asked == ():
            raise Refusal(416, headers=dict(headers, **{'Content-Range': 'bytes */%d' % size}))
        first, end = asked or (0, size)
        if asked:
            headers['Content-Range'] = 'bytes %d-%d/%d' % (first, end - 1, size)
        body = self.cut_out(pieces, first, end) if request.method == 'GET' else b''
        listed_whole = not item.is_dynamic or len(records) < self.swift.listing_limit
        return Response(206 if asked else 200, headers, body, end - first, chunked=not (asked or listed_whole))

    @staticmethod
    def check_conditions(request, item, etag, headers):
        """Honour If-Match and If-None-Match."""
        def names(header):
            return [tag.strip().strip('"') for tag in request.headers.get(header, '').split(',')]
        if 'If-None-Match' in request.headers and {etag, '*'} & set(names('If-None-Match')):
            raise Refusal(304, '', headers)
        if 'If-Match' in request.headers and not {etag, '*'} & set(names('If-Match')):
            raise Refusal(412, '', headers)

    @staticmethod
    def cut_out(pieces, first, end):
        """The bytes from `first` up to `end`.

        They end early where a piece is missing. If the first piece that is wanted is missing, Swift returns 409.
        """
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


def wanted_range(header, size):
    """The (first, end) of `size` bytes that a Range header asks for; `end` is exclusive.

    None means that Swift ignores the header, and () that the range is not satisfiable.
    """
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
