"""The endpoints of uploads: end-4, end-5, end-6, end-11, end-13 and end-14 of the spec. See `endpoints`."""

from docker_registry.v2.http import headers
from docker_registry.v2.http.events import BLOBS, Event
from docker_registry.v2.http.responses import empty
from docker_registry.v2.registry import errors, names


def begin_upload(registry, request, repository):
    repository = names.repository(repository)
    mount, whole = request.args.get('mount'), request.args.get('digest')
    mounted = mount is not None and _mounted(registry, request, repository, mount)
    if mounted:
        return _created(repository, mounted)
    upload = registry.uploads.begin(repository, request.args.get('digest-algorithm', 'sha256'))
    if whole is not None and mount is None:
        digest = names.digest(whole)
        registry.uploads.finish(upload, digest, request.body, request.body.length)
        request.events.append(Event('push', BLOBS, repository, digest, size=request.body.length or request.body.count))
        return _created(repository, digest)
    response = _progress(registry, upload, 202)
    response.headers['OCI-Chunk-Min-Length'] = str(registry.config.chunk_min_length)
    return response


def _mounted(registry, request, repository, mount):
    """Mount a blob and return its digest. Return None if that cannot be done.

    Then the request begins an upload, whatever is wrong with the digest or the other repository: "unable to mount the requested blob"
    (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository). A client asks for
    a mount on a guess, for instance from a repository of another registry, and has the blob at hand. CNCF distribution does the same.
    Trouble with Swift is still an error: it would meet the upload, too, after the client has sent a whole layer.
    """
    source = request.args.get('from')
    try:
        digest, source = names.digest(mount), names.repository(source) if source else None
    except (errors.DigestInvalid, errors.NameInvalid):
        return None
    found = registry.blobs.mount(repository, digest, source) if registry.guard.may_mount(request, source) else None
    if found is None:
        return None
    request.events.append(Event('mount', BLOBS, repository, digest, size=found.size, source=source))
    return digest


def get_upload(registry, request, repository, token):
    return _progress(registry, registry.read_token(repository, token), 204)


def cancel_upload(registry, request, repository, token):
    """Delete nothing: if the response to a commit was lost, the parts already belong to a blob. See `registry.uploads`."""
    registry.read_token(repository, token)
    return empty(204)


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
    request.events.append(Event('push', BLOBS, upload.repository, digest, size=upload.offset + (request.body.length or request.body.count)))
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
    return empty(
        status,
        {
            'Location': f'/v2/{upload.repository}/blobs/uploads/{registry.state_tokens.sign(upload)}',
            'Range': f'0-{max(0, upload.offset - 1)}',
            'Docker-Upload-UUID': upload.id,
        },
    )


def _created(repository, digest):
    return empty(201, {'Location': f'/v2/{repository}/blobs/{digest}', 'Docker-Content-Digest': str(digest)})
