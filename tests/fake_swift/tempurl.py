# -*- coding: utf-8 -*-
"""Temporary URLs, as Swift's tempurl filter checks and answers them."""

import base64
import binascii
import calendar
import email.utils
import hashlib
import hmac
import time

try:
    from urllib.parse import quote
except ImportError:  # Python 2
    from urllib import quote

from .messages import Refusal, native, wire


class TempUrls(object):
    """Checks the signature of a temporary URL, and completes the response to it."""

    DIGESTS = {40: 'sha1', 64: 'sha256', 128: 'sha512'}

    def __init__(self, allowed_digests):
        self.allowed_digests = allowed_digests

    @staticmethod
    def used_by(request):
        return 'temp_url_sig' in request.query or 'temp_url_expires' in request.query

    def allows(self, request, account):
        """Whether the URL is still valid, and its signature is right for the method and the path."""
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
    def refusal(request):
        return Refusal(401, '401 Unauthorized: Temp URL invalid\n', {'Www-Authenticate': 'Swift realm="unknown"'})

    @staticmethod
    def expiry(request):
        """When the URL expires, in seconds since the epoch; 0 if it does not say so in a form that Swift accepts."""
        given = request.query.get('temp_url_expires', '')
        try:
            return int(given)
        except ValueError:
            try:
                return calendar.timegm(time.strptime(given, '%Y-%m-%dT%H:%M:%SZ'))
            except ValueError:
                return 0

    def signature(self, given):
        """The name of the digest and the signature in hex. Clients send it as hex or as `name:base64`."""
        name, colon, encoded = given.partition(':')
        if not colon:
            return self.DIGESTS.get(len(given)), given
        try:
            raw = base64.b64decode(encoded.replace('-', '+').replace('_', '/') + '==')
        except (ValueError, TypeError, binascii.Error):
            return None, ''
        return name, native(binascii.hexlify(raw))

    def keys(self, account, container):
        """The keys that may have signed a URL, as bytes."""
        found = self.keys_in(account.headers, 'X-Account-Meta-Temp-Url-Key')
        if container in account.containers:
            found += self.keys_in(account.containers[container].headers, 'X-Container-Meta-Temp-Url-Key')
        return found

    @staticmethod
    def keys_in(headers, name):
        return [wire(headers[header]) for header in (name, name + '-2') if headers.get(header)]

    @staticmethod
    def signed_paths(path):
        """The forms of a path that a client may sign."""
        return [path]

    def messages(self, request, methods, expires):
        """Every text that a valid signature of this request may be made of, as bytes."""
        path, prefix = request.path, request.query.get('temp_url_prefix')
        if prefix is not None:
            path = 'prefix:' + path[:len(path) - len(request.name)] + prefix
        return [('%s\n%d\n%s' % item).encode('utf-8') for item in
                ((method, expires, signed) for method in methods for signed in self.signed_paths(path))]

    def dress(self, request, response):
        """Remove the metadata from a response, and add Content-Disposition and Expires."""
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
