# -*- coding: utf-8 -*-
"""Requests for accounts and containers: metadata and listings."""

import email.utils
import math

from .messages import Refusal, Response, as_json
from .stored import Container

MAX_CONTAINER_NAME = 256


class AccountRequests(object):
    """Answers requests for an account."""

    def do_POST(self, request, account):
        update_metadata(account.headers, request, 'X-Account-Meta-')
        return Response(204)

    def do_HEAD(self, request, account):
        totals = {'X-Account-Container-Count': len(account.containers),
                  'X-Account-Object-Count': sum(len(container.listed) for container in account.containers.values())}
        return Response(204, dict(totals, **account.headers))

    def do_GET(self, request, account):
        records = [{'name': name, 'count': len(container.listed),
                    'bytes': sum(item.size for item in container.listed.values())}
                   for name, container in sorted(account.containers.items())]
        return listing(request, records, self.do_HEAD(request, account).headers)


class ContainerRequests(object):
    """Answers requests for a container. A listing has at most `listing_limit` entries."""

    def __init__(self, listing_limit):
        self.listing_limit = listing_limit

    def do_PUT(self, request, account):
        size = len(request.container.encode('utf-8'))
        if size > MAX_CONTAINER_NAME:
            raise Refusal(400, 'Container name length of %d longer than %d' % (size, MAX_CONTAINER_NAME))
        fresh = request.container not in account.containers
        container = account.containers.setdefault(request.container, Container())
        update_metadata(container.headers, request, 'X-Container-')
        return Response(201 if fresh else 202)

    def do_POST(self, request, account):
        update_metadata(account.container(request.container).headers, request, 'X-Container-')
        return Response(204)

    def do_HEAD(self, request, account):
        container = account.container(request.container)
        count, size = container.totals()
        described = {'X-Container-Object-Count': count, 'X-Container-Bytes-Used': size,
                     'X-Storage-Policy': 'Policy-0', 'X-Timestamp': '%016.5f' % container.timestamp, 'Accept-Ranges': 'bytes',
                     'Last-Modified': email.utils.formatdate(math.ceil(container.timestamp), usegmt=True)}
        return Response(204, dict(described, **container.headers))

    def do_GET(self, request, account):
        container = account.container(request.container)
        limit = request.query.get('limit', '')
        limit = int(limit) if limit.isdigit() else self.listing_limit
        if limit > self.listing_limit:
            raise Refusal(412, 'Maximum limit is %d' % self.listing_limit)
        asked = dict((name, request.query.get(name, '')) for name in ('prefix', 'delimiter', 'marker', 'end_marker'))
        return listing(request, self.records(container, limit, asked), self.do_HEAD(request, account).headers)

    def records(self, container, limit, asked):
        return container.page(limit, **asked)

    def do_DELETE(self, request, account):
        account.delete_container(request.container)
        return Response(204)


def update_metadata(kept, request, prefix):
    """Update `kept` with the headers of a request that begin with `prefix`. X-Remove- or an empty value removes a header."""
    for name, value in request.headers.having(prefix):
        kept[name] = value
    for name, _ in request.headers.having(prefix.replace('X-', 'X-Remove-', 1)):
        kept[name.replace('X-Remove-', 'X-', 1)] = ''
    for name in [name for name, value in kept.items() if not value]:
        kept.pop(name)


def listing(request, records, headers):
    """A listing in JSON, or in plain text with a name in each line."""
    if request.wants_json:
        return Response(200, dict(headers, **{'Content-Type': 'application/json; charset=utf-8'}), as_json(records))
    text = ''.join('%s\n' % (record.get('name') or record['subdir']) for record in records).encode('utf-8')
    return Response(200 if text else 204, dict(headers, **{'Content-Type': 'text/plain; charset=utf-8'}), text)
