"""Header fields and query parameters: text from clients becomes checked values, and the other way round."""

import re
from urllib.parse import urlencode

from docker_registry.v2.registry import errors

_BYTES_RANGE = re.compile(r'bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*', re.IGNORECASE | re.ASCII)
_CONTENT_RANGE = re.compile(r'(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?', re.ASCII)


def bytes_range(text):
    """(first, last), (first, None) or (None, how many) of a Range, or None for what may be ignored: RFC 9110, 14.2.

    Several ranges are answered with the whole blob, as are units that are not bytes.

    :raises RangeInvalid: no bytes can be meant by it
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
    """(first, last) of a chunk's Content-Range, None without one; :raises RangeInvalid:"""
    if not text:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match or int(match[1]) > int(match[2]):
        raise errors.RangeInvalid('not a range of bytes: <first>-<last>', text[:100])
    return int(match[1]), int(match[2])


def content_length(environ):
    """Bytes of the request's body: None if it is chunked, else a number; :raises SizeInvalid:"""
    text = environ.get('CONTENT_LENGTH')
    if 'chunked' in environ.get('HTTP_TRANSFER_ENCODING', '').lower() or not text and environ.get('wsgi.input_terminated'):
        return None
    if not text:
        return 0
    if not re.fullmatch('[0-9]{1,19}', text, re.ASCII):
        raise errors.SizeInvalid('Content-Length is no number', text[:100])
    return int(text)


def page_size(text, default=None):
    """What `n` asks for; :raises ParameterInvalid:"""
    if text is None:
        return default
    if not re.fullmatch('[0-9]{1,9}', text, re.ASCII):
        raise errors.ParameterInvalid('n is no number', text[:100])
    return int(text)


def next_link(path, **parameters):
    """RFC 8288, as the spec wants it."""
    return f'<{path}?{urlencode({key: value for key, value in parameters.items() if value})}>; rel="next"'
