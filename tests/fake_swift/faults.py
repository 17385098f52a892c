# -*- coding: utf-8 -*-
"""Faults: which requests they match, and what they do to them.

An action is a function of an `Exchange`. It reads the request, performs it or not, and writes the response. `serve` is an
action, and each function below it returns one.
"""

import json

from .bulk import report
from .messages import Refusal, quoted


class Fault(object):
    """An action for the requests that match: it skips the first `after` of them and acts on the next `times` (None: all)."""

    def __init__(self, match, action, times, after):
        self.match, self.action, self.times, self.after, self.seen, self.hits = match, action, times, after, 0, 0

    def due(self, request):
        """Whether to act on this request. Counts it if it matches."""
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
    """A predicate on requests. All conditions that are given must hold.

    `query` is the name of a query parameter, `kind` is as in `Request`, and `where` is any other predicate.
    """
    def match(request):
        return ((method is None or request.method == method)
                and (path_contains is None or path_contains in request.path)
                and (path is None or request.path == path)
                and (query is None or query in request.query)
                and (kind is None or request.kind == kind)
                and (where is None or bool(where(request))))
    return match


# Actions

def serve(exchange):
    """Do what a healthy Swift does."""
    exchange.read_body()
    exchange.send(exchange.perform())


def status(code, headers=(), body=None, early=False):
    """Return `code` and do nothing else. With `early`, do not read the request body, and close the connection."""
    def act(exchange):
        if not early:
            exchange.read_body()
        exchange.send(Refusal(code, body, headers).response)
    return act


def cut_response(after_bytes=None, reset=False):
    """Perform the request, then close the connection after `after_bytes` bytes of the response body.

    With 0 it closes after the headers, with None before them. With `reset`, the client gets a TCP reset.
    """
    def act(exchange):
        exchange.read_body()
        response = exchange.perform()
        if after_bytes is not None:
            exchange.send(response, upto=after_bytes)
        exchange.hang_up(reset)
    return act


def lost_answer(reset=False):
    """Perform the request, and close the connection without a response."""
    return cut_response(None, reset)


def cut_request(after_bytes=0, reset=False):
    """Close the connection after reading `after_bytes` bytes of the request body. The request is not performed."""
    def act(exchange):
        exchange.read_body(upto=after_bytes)
        exchange.hang_up(reset)
    return act


def stall(before='headers', perform=True):
    """Stall until `swift.release()`, or until the client closes the connection.

    `before` says when: before the 'request' body is read, before the 'headers' of the response, before its 'body', or after a
    number of bytes of the body. The request is performed before the stall; with perform=False, after it.
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
    """Wait for some seconds, then serve the request as usual."""
    def act(exchange):
        exchange.read_body()
        exchange.stall(seconds)
        exchange.send(exchange.perform())
    return act


def altered(change):
    """Perform the request, and let change(response) alter the response in place."""
    def act(exchange):
        exchange.read_body()
        response = exchange.perform()
        change(response)
        exchange.send(response)
    return act


def wrong_etag(etag='0' * 32):
    """Store or read as usual, but return another ETag."""
    return altered(lambda response: response.headers.update({'Etag': etag}))


def corrupt_body():
    """Invert the bits of the first byte of the response body."""
    def change(response):
        spoilt = bytearray(response.body)
        spoilt[0] ^= 0xff
        response.body = bytes(spoilt)
    return altered(change)


def short_body(by=1):
    """Leave out the last `by` bytes of the response body. Content-Length agrees, so the response looks complete."""
    def change(response):
        response.body, response.length = response.body[:-by], None
    return altered(change)


def without_headers(*names):
    """Leave out these response headers, as some clones of Swift do."""
    return altered(lambda response: [response.headers.pop(name, None) for name in names])


def bulk_status(line='401 Unauthorized'):
    """Delete nothing in a bulk delete, and return 200. Only Response Status in the body shows it."""
    return bulk_errors(line)


def bulk_errors(failures=lambda name: 503):
    """Fail for some names of a bulk delete, and return 200 all the same.

    failures(name) returns the status for a name, or None to delete it.
    """
    def act(exchange):
        exchange.request.bulk_failures = failures
        serve(exchange)
    return act


def short_page(limit=lambda asked: max(1, asked // 2)):
    """Return a page of a listing with fewer names than the client asked for, although there are more, as Ceph does.

    limit(asked) returns how many.
    """
    def act(exchange):
        query = exchange.request.query
        query['limit'] = str(limit(int(query.get('limit') or exchange.swift.listing_limit)))
        serve(exchange)
    return act


def manifest_problems(problem='503 Service Unavailable'):
    """Refuse a manifest, because Swift has this problem with each of its segments."""
    def act(exchange):
        exchange.read_body()
        entries = json.loads(exchange.request.body.decode('utf-8'))
        body, headers = report(exchange.request, {}, [[quoted(entry['path']), problem] for entry in entries])
        exchange.send(Refusal(400, body, headers).response)
    return act
