# -*- coding: utf-8 -*-
"""Faults: which requests they meet, and what they do with them."""

from .messages import Refusal


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
