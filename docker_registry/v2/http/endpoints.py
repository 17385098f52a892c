"""The endpoints. Each checks a request, calls the domain, and makes a response from the result.

An endpoint takes the `Registry`, the `Request`, and the parts of its URL as text. It returns a `Response` or raises a
`RegistryError`. Headers and statuses: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
"""

import json

from werkzeug import Response

from docker_registry.v2.http import headers
from docker_registry.v2.registry import catalog, errors, formats, layout, names

MOST_TAGS = 100  # tags in one PUT of a manifest


def base(registry, request):
    """Confirm that this registry speaks the v2 API: end-1 of the spec."""
    return _json({})


def get_token(registry, request):
    """Issue a token: https://distribution.github.io/distribution/spec/auth/token/"""
    response = _json(registry.guard.grant(request))
    response.headers['Cache-Control'] = 'no-store'
    return response


# Manifests: end-3, end-7, end-9


def get_manifest(registry, request, repository, reference):
    """Serve GET and HEAD. HEAD also reads the manifest, because only its bytes state its media type."""
    repository = names.repository(repository)
    try:
        reference = names.reference(reference)
    except errors.TagInvalid:
        raise errors.ManifestUnknown(detail=reference[:200])
    manifest = registry.manifests.get(repository, reference)
    response = Response(
        manifest.content,
        content_type=manifest.media_type,
        headers={'Docker-Content-Digest': str(manifest.digest), 'ETag': f'"{manifest.digest}"'},
    )
    return response.make_conditional(request.environ)


def put_manifest(registry, request, repository, reference):
    repository, reference = names.repository(repository), names.reference(reference)
    tags = _tags(request) if isinstance(reference, names.Digest) else [reference]
    content = request.body.read_all(registry.config.manifest_limit)
    if content is None:
        raise errors.ManifestTooLarge(detail={'limit': registry.config.manifest_limit})
    digest = reference if isinstance(reference, names.Digest) else names.Digest.of(content)
    if digest != names.Digest.of(content, digest.algorithm):
        raise errors.DigestInvalid(detail=str(digest))
    parsed = registry.manifests.put(repository, digest, content, request.headers.get('Content-Type', ''), tags)
    response = _empty(201, {'Location': f'/v2/{repository}/manifests/{digest}', 'Docker-Content-Digest': str(digest)})
    if parsed.subject:
        response.headers['OCI-Subject'] = str(parsed.subject)
    if isinstance(reference, names.Digest):
        for tag in tags:
            response.headers.add('OCI-Tag', tag)
    return response


def _tags(request):
    tags = list(dict.fromkeys(names.tag(text) for text in request.args.getlist('tag')))
    if len(tags) > MOST_TAGS:
        raise errors.TooManyTags(detail={'limit': MOST_TAGS})
    return tags


def delete_manifest(registry, request, repository, reference):
    repository = names.repository(repository)
    try:
        reference = names.reference(reference)
    except errors.TagInvalid:
        raise errors.ManifestUnknown(detail=reference[:200])
    if isinstance(reference, names.Digest):
        registry.manifests.delete(repository, reference)
    else:
        registry.tags.delete(repository, reference)
    return _empty(202)


# Blobs: end-2, end-10


def head_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    size = registry.blobs.size(repository, digest)
    return Response(headers=_blob_headers(digest, size))


def get_blob(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    if f'"{digest}"' in request.headers.get('If-None-Match', ''):
        registry.blobs.size(repository, digest)
        return _empty(304, {'ETag': f'"{digest}"', 'Docker-Content-Digest': str(digest)})
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
    return _empty(202)


# Uploads: end-4, end-5, end-6, end-11, end-13, end-14


def begin_upload(registry, request, repository):
    repository = names.repository(repository)
    mount, whole = request.args.get('mount'), request.args.get('digest')
    if mount is not None:
        digest, source = names.digest(mount), request.args.get('from')
        if registry.blobs.mount(repository, digest, names.repository(source) if source else None):
            return _created(repository, digest)
    upload = registry.uploads.begin(repository, request.args.get('digest-algorithm', 'sha256'))
    if whole is not None and mount is None:
        digest = names.digest(whole)
        registry.uploads.finish(upload, digest, request.body, request.body.length)
        return _created(repository, digest)
    response = _progress(registry, upload, 202)
    response.headers['OCI-Chunk-Min-Length'] = str(registry.config.chunk_min_length)
    return response


def get_upload(registry, request, repository, token):
    return _progress(registry, registry.read_token(repository, token), 204)


def cancel_upload(registry, request, repository, token):
    """Delete nothing: if the response to a commit was lost, the parts already belong to a blob. See `registry.uploads`."""
    registry.read_token(repository, token)
    return _empty(204)


def append_to_upload(registry, request, repository, token):
    upload = registry.read_token(repository, token)
    _require_order(registry, request, upload)
    upload = registry.uploads.append(upload, _Ranged(request))
    return _progress(registry, upload, 202)


def finish_upload(registry, request, repository, token):
    upload = registry.read_token(repository, token)
    digest = names.digest(request.args.get('digest'))
    _require_order(registry, request, upload)
    if request.body.length == 0:
        registry.uploads.finish(upload, digest)
    else:
        registry.uploads.finish(upload, digest, _Ranged(request), request.body.length)
    return _created(upload.repository, digest)


def _require_order(registry, request, upload):
    """Check the Content-Range of a chunk, if it has one.

    :raises RangeInvalid: the chunk does not begin where the last one ended; its headers say where to go on
    :raises SizeInvalid: the Content-Length differs from the length of the range
    """
    chunk = headers.content_range(request.headers.get('Content-Range'))
    if chunk is None:
        return
    if chunk[0] != upload.offset:
        raise errors.RangeInvalid(f'the next chunk must begin at byte {upload.offset}', headers=_progress(registry, upload, 416).headers)
    if request.body.length not in (None, chunk[1] - chunk[0] + 1):
        raise errors.SizeInvalid()


class _Ranged:
    """The body of a chunk. It raises `SizeInvalid` if it does not end where its Content-Range says, even without a Content-Length."""

    def __init__(self, request):
        self._body = request.body
        chunk = headers.content_range(request.headers.get('Content-Range'))
        self._length = chunk and chunk[1] - chunk[0] + 1

    def read(self, size):
        block = self._body.read(size)
        if self._length is not None and (self._body.count > self._length if block else self._body.count < self._length):
            raise errors.SizeInvalid()
        return block


def _progress(registry, upload, status):
    """Return a response that says where the upload goes on and how many bytes it has.

    The range of an empty upload is 0-0, too, as clients expect from Docker's registry.
    """
    return _empty(
        status,
        {
            'Location': f'/v2/{upload.repository}/blobs/uploads/{registry.state_tokens.sign(upload)}',
            'Range': f'0-{max(0, upload.offset - 1)}',
            'Docker-Upload-UUID': upload.id,
        },
    )


def _created(repository, digest):
    return _empty(201, {'Location': f'/v2/{repository}/blobs/{digest}', 'Docker-Content-Digest': str(digest)})


# Listings: end-8, end-12, and Docker's catalog


def list_tags(registry, request, repository):
    repository, count = names.repository(repository), headers.page_size(request.args.get('n'))
    last = request.args.get('last') or ''
    tags, more = registry.tags.page(repository, count, last and names.tag(last))
    response = _json({'name': repository, 'tags': tags})
    if more and tags:
        response.headers['Link'] = headers.next_link(f'/v2/{repository}/tags/list', last=tags[-1], n=count)
    return response


def list_repositories(registry, request):
    count = min(headers.page_size(request.args.get('n'), registry.config.page), registry.config.page)
    last = request.args.get('last') or ''
    found, more = catalog.page(registry.storage, count, last and names.repository(last))
    response = _json({'repositories': found})
    if more and found:
        response.headers['Link'] = headers.next_link('/v2/_catalog', last=found[-1], n=count)
    return response


def list_referrers(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    last, wanted = request.args.get('last') or '', request.args.get('artifactType')
    if last:
        names.digest(last.replace('/', ':', 1))
    found, position = registry.referrers.page(repository, digest, last)
    if wanted:
        found = [descriptor for descriptor in found if descriptor.get('artifactType', '') == wanted]
    response = _json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': found}, formats.OCI_INDEX)
    if wanted:
        response.headers['OCI-Filters-Applied'] = 'artifactType'
    if position:
        response.headers['Link'] = headers.next_link(f'/v2/{repository}/referrers/{digest}', last=position, artifactType=wanted)
    return response


# Not in the spec: health checks


def healthz(registry, request):
    """Return 200: the process is alive. Swift is not asked."""
    return Response('ok\n', content_type='text/plain')


def readyz(registry, request):
    """Return 200 if Swift answers and accepts the credentials. Otherwise the driver raises, and `app` returns 503."""
    registry.storage.list_page(layout.ROOT, limit=1)
    return Response('ok\n', content_type='text/plain')


def _empty(status, fields=()):
    response = Response(status=status, headers=dict(fields))
    if status in (204, 304):
        del response.headers['Content-Type']  # there is no body that it could describe
    return response


def _json(document, content_type='application/json'):
    return Response(json.dumps(document), content_type=content_type)
