"""The endpoints of blobs: end-2 and end-10 of the spec. See `endpoints`."""

from werkzeug import Response

from docker_registry.v2.http import headers
from docker_registry.v2.http.responses import empty
from docker_registry.v2.registry import names


def head_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    size = registry.blobs.size(repository, digest)
    return Response(headers=_blob_headers(digest, size))


def get_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    if f'"{digest}"' in request.headers.get('If-None-Match', ''):
        registry.blobs.size(repository, digest)
        return empty(304, {'ETag': f'"{digest}"', 'Docker-Content-Digest': str(digest)})
    wanted = None
    if request.headers.get('If-Range', f'"{digest}"') == f'"{digest}"':
        wanted = headers.bytes_range(request.headers.get('Range'))
    stream = registry.blobs.open(repository, digest, wanted)
    response = Response(stream, direct_passthrough=True, headers=_blob_headers(digest, stream.length))
    if wanted and stream.length is not None:
        response.status_code = 206
        last, size = stream.first + stream.length - 1, '*' if stream.size is None else stream.size
        response.headers['Content-Range'] = f'bytes {stream.first}-{last}/{size}'
    return response


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
    registry.blobs.unlink(names.repository(repository), names.digest(digest))
    return empty(202)
