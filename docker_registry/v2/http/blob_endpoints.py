"""The endpoints of blobs: end-2 and end-10 of the spec. See `endpoints`."""

import contextvars

from werkzeug import Response

from docker_registry.v2.http import headers, ranges
from docker_registry.v2.http.deletes import require_deletable
from docker_registry.v2.http.events import BLOBS, Event
from docker_registry.v2.http.responses import empty
from docker_registry.v2.registry import names


def head_blob(registry, request, repository, digest):
    """Serve HEAD. It ignores a Range, which only GET has (RFC 9110, 14.2)."""
    repository, digest = names.repository(repository), names.digest(digest)
    size = registry.blobs.size(repository, digest)
    if headers.is_known(request, digest):
        return _unchanged(digest)
    request.events.append(Event('pull', BLOBS, repository, digest, size=size))
    return Response(headers=_blob_headers(digest, size))


def get_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    if headers.is_known(request, digest):
        registry.blobs.size(repository, digest)
        return _unchanged(digest)
    wanted = _wanted(request, digest)
    if len(wanted) > 1:
        size = registry.blobs.size(repository, digest)
        wanted = ranges.within(wanted, size)
        if len(wanted) > 1:
            context = contextvars.copy_context()  # in which the requests to Swift are counted, even while the response is being sent
            body = ranges.Multipart(wanted, size, lambda one: context.run(registry.blobs.open_known, digest, one))
            if body.length < size:
                request.read_from(body)
                request.events.append(Event('pull', BLOBS, repository, digest, size=size))
                return _multipart(body, digest)
            wanted = []
    one = wanted[0] if wanted else None
    if registry.redirects.are_for(request):
        size = registry.blobs.size_if_large(repository, digest, registry.redirects.smallest, request.waiting)
        if size is not None and (url := registry.redirects.url(digest)):
            request.events.append(Event('pull', BLOBS, repository, digest, size=size))
            return empty(307, {'Location': url, 'Docker-Content-Digest': str(digest), 'Cache-Control': 'no-store'})
        stream = registry.blobs.open_known(digest, one)
    else:
        stream = registry.blobs.open(repository, digest, one, request.waiting)
    request.read_from(stream)
    request.events.append(Event('pull', BLOBS, repository, digest, size=stream.size))
    return _single(stream, digest, bool(wanted))


def _unchanged(digest):
    fields = _blob_headers(digest, None)
    del fields['Content-Type']
    return empty(304, fields)


def _wanted(request, digest):
    """Return the ranges that the client asks for, as `ranges.parse` does. A date in If-Range never matches: no blob has one."""
    if request.headers.get('If-Range', f'"{digest}"') != f'"{digest}"':
        return []
    return ranges.parse(request.headers.get('Range'))


def _single(stream, digest, partial):
    response = Response(stream, direct_passthrough=True, headers=_blob_headers(digest, stream.length))
    if partial and stream.length is not None and stream.size != 0:
        response.status_code = 206
        last, size = stream.first + stream.length - 1, '*' if stream.size is None else stream.size
        response.headers['Content-Range'] = f'bytes {stream.first}-{last}/{size}'
    return response


def _multipart(body, digest):
    body.begin()
    fields = dict(_blob_headers(digest, body.length), **{'Content-Type': body.content_type})
    return Response(body, 206, direct_passthrough=True, headers=fields)


def _blob_headers(digest, length):
    fields = {
        'Content-Type': 'application/octet-stream',
        'Docker-Content-Digest': str(digest),
        'ETag': f'"{digest}"',
        'Accept-Ranges': 'bytes',
        'Cache-Control': 'max-age=31536000',
    }
    return fields if length is None else dict(fields, **{'Content-Length': str(length)})


def delete_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    require_deletable(registry, request, repository, digest, list)
    registry.blobs.unlink(repository, digest)
    request.events.append(Event('delete', BLOBS, repository, digest))
    return empty(202)
