# -*- coding: utf-8 -*-
"""Requests for accounts, containers and objects."""

import email.utils
import math
import mimetypes
import time

from .bulk import BulkDelete
from .messages import Headers, Refusal, Response, as_json, md5, wire
from .stored import Container, Object

MAX_OBJECT_NAME, MAX_CONTAINER_NAME = 1024, 256
KEPT_HEADERS = ('Content-Disposition', 'Content-Encoding', 'Cache-Control', 'X-Delete-At', 'X-Object-Manifest')


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
