"""Header fields and query parameters: turns text from clients into checked values, and values into header fields."""

import re
from urllib.parse import quote, urlencode

from docker_registry.v2.registry import errors

LARGEST_PAGE = 100_000  # tags in one response to a client that asks for a number of them

LONGEST = 8 * 1024  # characters of a header field
#: {name in a WSGI environment: most characters}, for fields with another limit. podman's Range of 1024 ranges has up to 22 KiB.
OTHER_LIMITS = {'HTTP_RANGE': 24 * 1024, 'HTTP_AUTHORIZATION': 24 * 1024, 'HTTP_HOST': 512, 'HTTP_X_FORWARDED_HOST': 512}

_UPLOAD = re.compile(r'(/v2/.+/blobs/uploads/[^/?&]+)((?:[?&].*)?)', re.DOTALL)
_CONTENT_RANGE = re.compile(r'(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?', re.ASCII)


def require_short(environ):
    """Refuse a request with a header field that is too long. Call this before the guard and the endpoints read them.

    :raises RequestInvalid: a field is longer than `LONGEST`, or than its own limit
    """
    for name, value in environ.items():
        if name.startswith('HTTP_') or name in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            most = OTHER_LIMITS.get(name, LONGEST)
            if len(value) > most:
                field = name.removeprefix('HTTP_').replace('_', '-').title()
                raise errors.RequestInvalid(f'a header field is longer than {most} characters', {'field': field}, status=431)


def is_known(request, digest):
    """Return whether the client has the blob or manifest with this digest, by its If-None-Match.

    :raises PreconditionFailed: the client asks for another one, by its If-Match, which comes first (RFC 9110, 13.2.2)
    """
    if request.if_match and not request.if_match.contains(str(digest)):
        raise errors.PreconditionFailed(detail=str(digest))
    return request.if_none_match.contains_weak(str(digest))


def content_range(text):
    """Return (first, last) of a chunk's Content-Range, or None if there is none.

    :raises RangeInvalid: it is malformed
    """
    if not text:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match or int(match[1]) > int(match[2]):
        raise errors.RangeInvalid('the Content-Range is not a range of bytes: <first>-<last>', text)
    return int(match[1]), int(match[2])


def content_length(environ):
    """Return the length of the request's body in bytes, or None if the body is chunked.

    :raises SizeInvalid: the Content-Length is not a number
    """
    text = environ.get('CONTENT_LENGTH')
    if 'chunked' in environ.get('HTTP_TRANSFER_ENCODING', '').lower() or not text and environ.get('wsgi.input_terminated'):
        return None
    if not text:
        return 0
    if not re.fullmatch('[0-9]{1,19}', text, re.ASCII):
        raise errors.SizeInvalid('the Content-Length is not a number', text)
    return int(text)


def page_size(text, default=None):
    """Return the page size that the parameter `n` asks for, or the default if it is missing or empty.

    It may be smaller than `n`: the spec allows shorter pages if a Link leads to the next.

    :raises ParameterInvalid: `n` is not a whole number, or is negative
    """
    if not text:
        return default
    if not re.fullmatch('[0-9]+', text, re.ASCII):
        raise errors.ParameterInvalid('the parameter n is not a whole number of at least 0', text)
    return min(int(text.lstrip('0')[:20] or '0'), LARGEST_PAGE)  # Python refuses to read numbers of thousands of digits


def mend_upload_url(environ):
    """Move what a client appended to the path of an upload into the query, in a WSGI environment.

    The spec asks clients for `<location>?digest=<digest>`, or for `&` where the location has a query. Some always append `&`, others
    always `?`, and some write either into the path. Neither character occurs in the path of an upload, or in a value of its query.
    """
    match = _UPLOAD.fullmatch(environ.get('PATH_INFO', ''))
    if match:
        appended = quote(match[2], safe='=&?:', encoding='latin-1')
        environ['PATH_INFO'] = match[1]
        environ['QUERY_STRING'] = f'{appended}&{environ.get("QUERY_STRING", "")}'.replace('?', '&').strip('&')


def next_link(path, **parameters):
    """Return a Link header field (RFC 8288) for the next page, in the form that the distribution spec requires."""
    return f'<{path}?{urlencode({key: value for key, value in parameters.items() if value})}>; rel="next"'
