"""The endpoints. Each checks a request, calls the domain, and makes a response from the result.

An endpoint takes the `Registry`, the `Request`, and the parts of its URL as text. It returns a `Response` or raises a
`RegistryError`. Headers and statuses: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
"""

import json

from werkzeug import Response

from docker_registry.v2.access import audit
from docker_registry.v2.access.guard import require
from docker_registry.v2.http import headers
from docker_registry.v2.http.deletes import delete_tag, require_deletable
from docker_registry.v2.http.events import MANIFESTS, Event
from docker_registry.v2.http.responses import empty, json_document
from docker_registry.v2.registry import catalog, errors, formats, layout, names

MOST_TAGS = 50  # tags in one PUT of a manifest; each is a field of the response, and many clients read no more than 100 fields
MOST_TAG_BYTES = 3 * 1024  # bytes of these fields; many proxies read no more than 4 KiB of a response's head
PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'  # https://prometheus.io/docs/instrumenting/exposition_formats/
#: The key of the WSGI environment under which the server may give a function that returns False if the client has gone.
CLIENT_IS_THERE = 'registry.client_is_there'


def base(registry, request):
    """Confirm that this registry speaks the v2 API: end-1 of the spec."""
    return json_document({})


# Manifests: end-3, end-7, end-9


def get_manifest(registry, request, repository, reference):
    """Serve GET and HEAD. HEAD also reads the manifest: bytes that are missing or damaged must not seem to be there."""
    repository, reference = names.repository(repository), names.known_reference(reference)
    manifest = registry.manifests.get(repository, reference, request.waiting)
    fields = {'Docker-Content-Digest': str(manifest.digest), 'ETag': f'"{manifest.digest}"'}
    if headers.is_known(request, manifest.digest):
        return empty(304, fields)
    tag = None if isinstance(reference, names.Digest) else reference
    request.events.append(Event('pull', MANIFESTS, repository, manifest.digest, tag, manifest.media_type, len(manifest.content)))
    return Response(manifest.content, content_type=manifest.media_type, headers=fields)


def put_manifest(registry, request, repository, reference):
    repository, reference = names.repository(repository), names.reference(reference)
    tags = _tags(request) if isinstance(reference, names.Digest) else [reference]
    _require_push(request, repository, tags)
    request.collect_body()
    content = request.body.read_all(registry.config.manifest_limit)
    if content is None:
        raise errors.ManifestTooLarge(detail={'limit': registry.config.manifest_limit})
    _require_push(request, repository, tags)  # again: the rules may have changed while the body arrived
    keeps_type = request.rights.has_tag_rules('overwrite')
    immutable = [tag for tag in tags if not request.rights.may('overwrite', tag)]
    digest = names.Digest.of(content, reference.algorithm if isinstance(reference, names.Digest) else 'sha256')
    if isinstance(reference, names.Digest) and digest != reference:
        raise errors.DigestInvalid(detail=str(reference))
    is_wanted = request.environ.get(CLIENT_IS_THERE, lambda: True)
    content_type = request.headers.get('Content-Type', '')
    try:
        parsed = registry.manifests.put(repository, digest, content, content_type, tags, is_wanted, immutable, keeps_type)
    except errors.TagImmutable as error:
        audit.refused(request, 'overwrite', repository, request.rights.decide('overwrite', error.detail), error.detail)
        raise
    request.events += [Event('push', MANIFESTS, repository, digest, tag, parsed.media_type, len(content)) for tag in tags or [None]]
    response = empty(201, {'Location': f'/v2/{repository}/manifests/{digest}', 'Docker-Content-Digest': str(digest)})
    if parsed.subject:
        response.headers['OCI-Subject'] = str(parsed.subject)
    if isinstance(reference, names.Digest):
        for tag in tags:
            response.headers.add('OCI-Tag', tag)
    return response


def _require_push(request, repository, tags):
    """:raises Denied: the client may not push one of these tags"""
    for tag in tags:
        require(request, 'push', repository, tag)


def _tags(request):
    """Return the tags of a manifest that is pushed by digest, each once.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests

    :raises TooManyTags: the response could not name them all
    """
    tags = list(dict.fromkeys(names.tag(text) for text in request.args.getlist('tag')))
    if len(tags) > MOST_TAGS or sum(len(f'OCI-Tag: {tag}\r\n') for tag in tags) > MOST_TAG_BYTES:
        raise errors.TooManyTags(detail={'tags': MOST_TAGS, 'bytes of OCI-Tag fields': MOST_TAG_BYTES})
    return tags


def delete_manifest(registry, request, repository, reference):
    repository, reference = names.repository(repository), names.known_reference(reference)
    if isinstance(reference, names.Digest):
        require_deletable(registry, request, repository, reference, lambda: registry.tags.pointing_to(repository, reference))
        deleted = registry.manifests.delete(repository, reference)
        request.events.append(Event('delete', MANIFESTS, repository, reference))
        request.events += [Event('delete', MANIFESTS, repository, tag=tag) for tag in deleted]
    else:
        delete_tag(registry, request, repository, reference)
    return empty(202)


# Listings: end-8, end-12, and Docker's catalog


def list_tags(registry, request, repository):
    repository, count = names.repository(repository), headers.page_size(request.args.get('n'))
    last = request.args.get('last') or ''
    last = last and names.tag(last)
    tags, more = registry.shared.result(
        ('tags', repository, count, last), lambda: registry.tags.page(repository, count, last), request.waiting
    )
    response = json_document({'name': repository, 'tags': tags})
    if more and tags:
        response.headers['Link'] = headers.next_link(f'/v2/{repository}/tags/list', last=tags[-1], n=count)
    return response


def list_repositories(registry, request):
    count = min(headers.page_size(request.args.get('n'), registry.config.page), registry.config.page)
    last = request.args.get('last') or ''
    position = last and layout.after_repository(names.repository(last))
    if request.args.get('after'):
        position = registry.positions.read(request.args['after'])
    found, position = catalog.page(registry.storage, count, position, registry.guard.visible(request)) if count else ([], None)
    response = json_document({'repositories': found})
    if position and found and position == layout.after_repository(found[-1]):
        response.headers['Link'] = headers.next_link('/v2/_catalog', last=found[-1], n=count)
    elif position:  # among names that the client may not know
        response.headers['Link'] = headers.next_link('/v2/_catalog', after=registry.positions.sign(position), n=count)
    return response


def list_referrers(registry, request, repository, digest):
    repository, digest = names.repository(repository), names.digest(digest)
    last, wanted = request.args.get('last'), request.args.get('artifactType')
    if request.method == 'HEAD':  # it takes up to 100 requests to find out how long the list is, so HEAD does not say that
        return Response(iter(()), content_type=formats.OCI_INDEX)
    page = (repository, digest, names.digest(last) if last else None, wanted or None)
    found, position = registry.shared.result(('referrers', *page), lambda: registry.referrers.page(*page), request.waiting)
    document = json.dumps({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': []}).encode()
    response = Response(document.removesuffix(b']}') + b', '.join(found) + b']}', content_type=formats.OCI_INDEX)
    if wanted:
        response.headers['OCI-Filters-Applied'] = 'artifactType'
    if position:
        response.headers['Link'] = headers.next_link(f'/v2/{repository}/referrers/{digest}', last=str(position), artifactType=wanted)
    return response


# Not in the spec: health checks, metrics


def healthz(registry, request):
    """Return 200: the process is alive. Swift is not asked."""
    return Response('ok\n', content_type='text/plain')


def readyz(registry, request):
    """Return 200 if Swift answers and accepts the credentials, else 503. It takes a few seconds at most."""
    registry.readiness.require()
    return Response('ok\n', content_type='text/plain')


def metrics(registry, request):
    """Return what all processes of this registry have counted, for Prometheus. Swift is not asked."""
    return Response(registry.metrics.text(), content_type=PROMETHEUS)
