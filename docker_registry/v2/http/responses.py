"""Responses that several endpoints make."""

import json

from werkzeug import Response


def empty(status, fields=()):
    response = Response(status=status, headers=dict(fields))
    if status in (204, 304):
        del response.headers['Content-Type']  # there is no body that it could describe
    return response


def json_document(document, content_type='application/json'):
    return Response(json.dumps(document), content_type=content_type)
