"""Deletes: of tags, for the API and the page, and whether a client may delete a manifest or a blob where it may not delete all tags."""

from docker_registry.v2.access import audit
from docker_registry.v2.access.guard import require
from docker_registry.v2.http.events import MANIFESTS, Event
from docker_registry.v2.registry import errors


def delete_tag(registry, request, repository, tag):
    """Delete a tag, tell listeners, and log it.

    :raises Denied: the client may not delete it
    :raises ManifestUnknown: there is no such tag
    """
    require(request, 'delete', repository, tag)
    registry.tags.delete(repository, tag)
    request.events.append(Event('delete', MANIFESTS, repository, tag=tag))
    audit.changed(request, 'delete', repository, request.rights.decide('delete', tag), tag, None)


def require_deletable(registry, request, repository, digest, tags):
    """Check the right to delete a digest, which takes `tags` with it, and breaks what needs it.

    :param tags: returns the tags that point to the digest. It is called only if the right depends on tags
    :raises Denied: the client may not delete it, or may not delete one of these tags, or a tag that needs it
    """
    if not request.rights.has_tag_rules('delete'):
        return require(request, 'delete', repository, None)
    for tag in tags() or [None]:
        require(request, 'delete', repository, tag)
    kept = [listed.tag for listed in registry.tags.all(repository) if not request.rights.may('delete', listed.tag)]
    if digest in registry.protection.needed(repository, kept):
        audit.refused(request, 'delete', repository, request.rights.decide('delete', kept[0]), kept[0] if len(kept) == 1 else None)
        raise errors.Denied('a tag that you may not delete needs this')
