"""Responses that several endpoints make, and those to errors."""

import json

from werkzeug import Response
from werkzeug.http import http_date

#: Fields of every response. A browser must not run what a client has stored: neither guess that it is a page, nor run the scripts of one.
COMMON_FIELDS = {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "sandbox; default-src 'none'",
}


def empty(status, fields=()):
    response = Response(status=status, headers=dict(fields))
    if status in (204, 304):
        del response.headers['Content-Type']  # there is no body that it could describe
    return response


def json_document(document, content_type='application/json'):
    return Response(json.dumps(document), content_type=content_type)


def error_document(error):
    """Return the response to an `errors.RegistryError`."""
    response = Response(json.dumps({'errors': error.entries()}), error.status, content_type='application/json')
    for name, value in error.headers.items():
        if name.lower() not in ('content-length', 'content-type'):
            response.headers[name] = value
    return response


def last_words(error, request_id):
    """Return the response to an error as the bytes of HTTP, for a connection that ends with it."""
    response = error_document(error)
    response.headers.update({**COMMON_FIELDS, 'X-Request-Id': request_id}, Date=http_date(), Connection='close')
    return f'HTTP/1.1 {response.status}\r\n{response.headers}'.encode('latin-1') + response.get_data()
