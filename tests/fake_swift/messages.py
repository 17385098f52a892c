# -*- coding: utf-8 -*-
"""Requests, responses and headers, and the forms that text takes in them."""

import hashlib
import json
import time

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


def md5(data):
    return hashlib.md5(data).hexdigest()


def native(raw):
    """Convert bytes from the wire to `str` without loss, on Python 2 and 3."""
    return raw if isinstance(raw, str) else raw.decode('latin-1')


def wire(value):
    """Convert a `str` to bytes for the wire; the inverse of `native`."""
    return value if isinstance(value, bytes) else value.encode('latin-1')


def unquoted(raw):
    """Decode percent-encoded bytes to text. Bytes that are not UTF-8 become U+FFFD."""
    return unquote_to_bytes(raw).decode('utf-8', 'replace')


def quoted(text):
    """Percent-encode text as UTF-8."""
    return quote(text.encode('utf-8'))


def status_line(code):
    return '%d %s' % (code, REASONS.get(code, 'Unknown'))


def as_json(value):
    return json.dumps(value).encode('ascii')


def iso_time(seconds, form='%Y-%m-%dT%H:%M:%SZ'):
    return time.strftime(form, time.gmtime(seconds))


class Headers(dict):
    """Headers by name, without regard to case. Names are kept in Title-Case, as Swift writes them."""

    def __init__(self, items=(), **more):
        dict.__init__(self)
        self.update(items)
        self.update(more)

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
        """The (name, value) pairs of all headers whose names begin with `prefix`, which is in Title-Case."""
        return [(name, value) for name, value in self.items() if name.startswith(prefix)]


class Request(object):
    """One request, as it arrived.

    `status` is the status of the response, or None if there was none (yet). `target` has the bytes of the request line; `path`
    is decoded text and `query` a dict of text. `received` counts the bytes of the body, without chunk framing. `truncated` is
    True if the body was not read to its end. `kind` is auth, info, account, container or object.
    """

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, Headers(headers)
        path, _, query = target.partition(b'?')
        self.path = unquoted(path)
        pairs = (item.partition(b'=') for item in query.replace(b'+', b' ').split(b'&') if item)
        self.query = dict((unquoted(name), unquoted(value)) for name, _, value in pairs)
        self.body, self.received, self.truncated, self.status = b'', 0, False, None
        self.kind, self.account, self.container, self.name = self._place(self.path.lstrip('/').split('/'))
        self.bulk_failures, self.released = None, None

    @staticmethod
    def _place(parts):
        """The kind, account, container and object name of a path. Ceph's paths begin with `/swift/v1/` and name no account."""
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
    """A status, headers and a body.

    `length` is the Content-Length, or None for the length of the body. If the body is shorter than `length`, the connection
    closes after it; with `stalls`, it stays open and nothing comes.
    """

    stalls = False

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
    """Ends the handling of a request with an error response. Like Swift's, it is HTML by default."""

    def __init__(self, status, text=None, headers=(), content_type='text/html; charset=UTF-8'):
        Exception.__init__(self, status)
        page = '<html><h1>%s</h1><p>%s.</p></html>' % (REASONS.get(status, ''), REASONS.get(status, ''))
        self.response = Response(status, Headers({'Content-Type': content_type}), wire(page if text is None else text))
        self.response.headers.update(headers)
