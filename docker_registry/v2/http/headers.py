"""Header fields and query parameters: turns text from clients into checked values, and values into header fields."""

import re
from urllib.parse import urlencode

from docker_registry.v2.registry import errors

_BYTES_RANGE = re.compile(r'bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*', re.IGNORECASE | re.ASCII)
_CONTENT_RANGE = re.compile(r'(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?', re.ASCII)


def bytes_range(text):
    """Return what a Range header asks for: (first, last), (first, None) or (None, number of last bytes).

    Return None if there is no Range, or if it has several ranges or a unit other than bytes. A server may ignore these (RFC 9110,
    14.2), and the client gets the whole blob.

    :raises RangeInvalid: the range is malformed or empty
    """
    if not text or ',' in text or not text.strip().lower().startswith('bytes'):
        return None
    match = _BYTES_RANGE.fullmatch(text.strip())
    if not match or not (match[1] or match[2]):
        raise errors.RangeInvalid(detail=text[:100])
    first, last = (int(group) if group else None for group in match.groups())
    if first is None and last == 0 or first is not None and last is not None and first > last:
        raise errors.RangeInvalid(detail=text[:100])
    return first, last


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
