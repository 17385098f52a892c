"""The endpoints of the page, and `/`. They send a bounded number of requests to Swift: see `budget`."""

from urllib.parse import urlencode, urlsplit

from werkzeug.utils import redirect

from docker_registry.drivers.swift import __url__, __version__
from docker_registry.v2.access.guard import require
from docker_registry.v2.http.deletes import delete_tag
from docker_registry.v2.http.page import budget, commands, images, tags, words
from docker_registry.v2.http.page.details import is_index
from docker_registry.v2.http.page.rendering import PATH, page
from docker_registry.v2.http.page.tree import grow
from docker_registry.v2.http.responses import json_document
from docker_registry.v2.registry import catalog, errors, names, sizes

MOST_NAMES = 1000  # repositories on one page
MOST_DELETES = tags.ROWS  # tags that one form deletes; each takes a few requests to Swift
LARGEST_REFERRER = 64 * 1024  # bytes of the descriptor of a referrer that is shown: it has all annotations
LONGEST_SHOWN = 64 * 1024  # characters of a manifest or a configuration as JSON; more would cost the worker tens of milliseconds


def root(registry, request):
    """Lead browsers to the page, and tell other clients what this is."""
    accepted = request.accept_mimetypes.best_match(['application/json', 'text/html'])
    if registry.has_page and accepted == 'text/html':
        response = redirect(PATH, 303)
    else:
        document = {'name': 'docker-registry-driver-swift', 'version': __version__, 'api': '/v2/', 'documentation': __url__}
        response = json_document(document | ({'page': PATH} if registry.has_page else {}))
    response.headers['Vary'] = 'Accept'
    return response


def log_in(registry, request):
    """Lead to the page a browser whose user has logged in: the guard has asked for that."""
    return redirect(PATH, 303)


def repositories(registry, request):
    wanted, position = request.args.get('q', '').strip()[:256], ''
    if request.args.get('after'):
        position = registry.positions.read(request.args['after'])
    storage = budget.Limited(registry.storage)
    found, position = catalog.page(storage, MOST_NAMES, position, registry.guard.visible(request))
    position = storage.stopped or position
    shown = [name for name in found if wanted.lower() in name]
    after = position and PATH + '?' + urlencode({'q': wanted, 'after': registry.positions.sign(position)})
    is_first = 'after' not in request.args
    values = {'nodes': grow(shown), 'table': sizes.read(registry.storage, shown), 'count': len(shown)}
    values |= {'wanted': wanted, 'after': after, 'is_first': is_first}
    return page(registry, request, 'repositories.html', **values)


def list_tags(registry, request, repository):
    repository = names.repository(repository)
    found = tags.read(registry, repository, request.args)
    deleted = list(filter(tags.is_tag, request.args.getlist('deleted')[:MOST_DELETES]))
    if not found.rows and not found.count:
        registry.tags.page(repository, 1)  # raises what the API says if there is no such repository
    example = found.rows[0].tag if found.rows else ''
    pulls = commands.pull(request, repository, example) if example else []
    deletable = {row.tag for row in found.rows if may_delete(registry, request, row.tag)}
    values = {'found': found, 'pulls': pulls, 'example': example, 'deleted': deleted, 'deletable': deletable}
    return page(registry, request, 'tags.html', repository=repository, **values)


def show_manifest(registry, request, repository, reference):
    repository, reference = names.repository(repository), names.known_reference(reference)
    manifest = registry.manifests.get(repository, reference)
    document = images.load(manifest.content)
    values = {
        'repository': repository,
        'tag': reference if isinstance(reference, str) else None,
        'manifest': manifest,
        'is_too_large': len(manifest.content) > images.LARGEST,
        'annotations': images.pairs(document.get('annotations')),
        'pulls': commands.pull(request, repository, reference),
        'exact': commands.pull(request, repository, manifest.digest),
        'may_delete': isinstance(reference, str) and may_delete(registry, request, reference),
        **(_index if is_index(manifest.media_type) else _image)(registry, repository, document),
        **_referrers(registry, repository, manifest.digest),
    }
    values['hidden_entries'] = images.hidden_entries(document)
    values['sizes'] = registry.details.sizes([entry.digest for entry in values['entries'] if not entry.is_attestation])
    values['raw'] = [(title, words.visible(text[:LONGEST_SHOWN]), len(text) > LONGEST_SHOWN) for title, text in _raw(manifest, values)]
    return page(registry, request, 'manifest.html', **values)


def _index(registry, repository, document):
    return {'entries': images.entries(document), 'layers': [], 'size': None, 'platform': '', 'facts': [], 'labels': (), 'config_text': ''}


def _image(registry, repository, document):
    content = registry.details.config(repository, document)
    config = images.load(content)
    return {
        'entries': [],
        'layers': images.layers(document, config),
        'size': images.size_of(document),
        'platform': images.platform_of(config),
        'facts': images.facts(config),
        'labels': images.labels(config),
        'config_text': images.pretty(content, LONGEST_SHOWN) if content else '',
    }


def _referrers(registry, repository, digest):
    most = budget.left(budget.REFERRERS, budget.BEFORE_REFERRERS)
    found, more = registry.referrers.page(repository, digest, most=max(1, most), most_bytes=budget.REFERRERS * LARGEST_REFERRER)
    entries = [images.entry_of(images.load(descriptor)) for descriptor in found if len(descriptor) <= LARGEST_REFERRER]
    is_all = more is None and len(entries) == len(found)
    return {'referrers': [entry for entry in entries if entry], 'more_referrers': not is_all}


def _raw(manifest, values):
    yield 'Manifest', images.pretty(manifest.content, LONGEST_SHOWN)
    if values['config_text']:
        yield 'Configuration', values['config_text']


# Deleting


def may_delete(registry, request, tag):
    return registry.deletes_on_page and not registry.read_only and request.rights.may('delete', tag)


def confirm(registry, request, repository):
    """Show what the delete of some tags would do."""
    repository, chosen = _deletable(registry, request, repository)
    if registry.read_only:
        raise errors.ReadOnly()
    images, is_whole = tags.losing(registry, repository, chosen)
    return page(registry, request, 'delete.html', repository=repository, chosen=chosen, images=images, is_whole=is_whole)


def delete(registry, request, repository):
    """Delete some tags, for a form of this page only: a browser sends the password of its user with the form of any page."""
    _require_own_form(request)
    repository, chosen = _deletable(registry, request, repository)
    missing = []
    for tag in chosen:
        try:
            delete_tag(registry, request, repository, tag)
        except errors.ManifestUnknown:  # somebody else was faster
            missing.append(tag)
    if missing == chosen:
        raise errors.ManifestUnknown(detail=missing[0])
    deleted = [('deleted', tag) for tag in chosen if tag not in missing]
    return redirect(f'{PATH}{repository}/tags/?{urlencode(deleted)}', 303)


def _deletable(registry, request, repository):
    """Return the repository and the tags that a query names.

    :raises Denied: the client may not delete one of these tags, or this page deletes nothing
    :raises ParameterInvalid: there is no tag, or there are too many
    """
    if not registry.deletes_on_page:
        raise errors.Denied('this page deletes nothing, unless REGISTRY_UI_DELETE is true')
    repository, chosen = names.repository(repository), list(dict.fromkeys(request.args.getlist('tag')))
    if not 0 < len(chosen) <= MOST_DELETES:
        raise errors.ParameterInvalid(f'choose 1 to {MOST_DELETES} tags')
    for tag in map(names.tag, chosen):
        require(request, 'delete', repository, tag)
    return repository, chosen


def _require_own_form(request):
    """:raises Denied: the browser does not say that the form is one of this page, see `browsers`"""
    site, origin = request.headers.get('Sec-Fetch-Site'), request.headers.get('Origin')
    if site is not None:
        is_own = site == 'same-origin'
    else:
        is_own = origin is not None and urlsplit(origin).netloc.lower() == request.host.lower()
    if not is_own:
        raise errors.Denied('a delete must come from the form of this page')
