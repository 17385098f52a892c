"""Header fields and query parameters: turns text from clients into checked values, and values into header fields."""

import re
from urllib.parse import urlencode

from docker_registry.v2.registry import errors

_CONTENT_RANGE = re.compile(r'(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?', re.ASCII)


def content_range(text):
    """Return (first, last) of a chunk's Content-Range, or None if there is none.

    :raises RangeInvalid: it is malformed
    """
    if not text:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match or int(match[1]) > int(match[2]):
        raise errors.RangeInvalid('the Content-Range is not a range of bytes: <first>-<last>', text[:100])
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
        raise errors.SizeInvalid('the Content-Length is not a number', text[:100])
    return int(text)


def page_size(text, default=None):
    """Return the page size that the parameter `n` asks for, or the default if it is missing.

    :raises ParameterInvalid: `n` is not a number
    """
    if text is None:
        return default
    if not re.fullmatch('[0-9]{1,9}', text, re.ASCII):
        raise errors.ParameterInvalid('the parameter n is not a number', text[:100])
    return int(text)


def next_link(path, **parameters):
    """Return a Link header field (RFC 8288) for the next page, in the form that the distribution spec requires."""
    return f'<{path}?{urlencode({key: value for key, value in parameters.items() if value})}>; rel="next"'
