"""What the page costs in requests to Swift: ten at most, however much there is."""

import json
import tracemalloc

import pytest

from docker_registry.v2.http.page import budget, images
from docker_registry.v2.registry import formats, sizes
from docker_registry.v2.settings.config import Access
from registry_client import as_json, descriptor, digest_of, image


def cost(registry, path):
    del registry.swift_requests[:]
    answer = registry('GET', path)
    assert answer.status_code == 200
    return len(registry.swift_requests)


@pytest.fixture(scope='module')
def many():
    """The configurations of different images."""
    return [as_json({'os': 'linux', 'architecture': f'a{number}'}) for number in range(30)]


@pytest.fixture
def full(fake_registry, many):
    """A registry with a repository of 30 different images, which have referrers."""
    for number, config in enumerate(many):
        fake_registry.push_blob('a', config)
        fake_registry.push_manifest('a', f'v{number}', image(config, config))
    subject = descriptor(as_json(image(many[0], many[0])), 'application/vnd.oci.image.manifest.v1+json')
    for config in many:
        fake_registry.push_manifest('a', digest_of(as_json(image(config, subject=subject))), image(config, subject=subject))
    return fake_registry


TWENTY = '&'.join(f'tag=v{number}' for number in range(20))


@pytest.mark.parametrize(
    'path', ['tags/', 'tags/?sort=name&page=2', 'manifests/v0', 'manifests/v29', 'delete/?tag=v1', f'delete/?{TWENTY}']
)
def test_a_page_costs_ten_requests_at_most(fake_place, full, path):
    assert cost(fake_place.registry(Access(ui_delete=True)), f'/ui/a/{path}') <= budget.MOST


def test_the_costs_of_simple_pages(fake_place):
    registry = fake_place.registry()
    registry.push_image('a', 'v1', b'layer')
    sizes.write(fake_place.storage(), [('a', 1, 1)], 1e9)

    costs = {path: cost(fake_place.registry(), f'/ui/{path}') for path in ('', 'a/tags/', 'a/manifests/v1')}

    assert costs == {'': 4, 'a/tags/': 5, 'a/manifests/v1': 7}


def test_an_image_with_all_that_costs_something(fake_place, full, many):
    """The look at a list of referrers under the fallback tag is one request more, once in the life of a process."""
    digest, manifest = digest_of(as_json(image(many[0], many[0]))), image(many[0], many[0])
    assert full('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
    full.push_manifest('a', 'v0', manifest)
    full.push_manifest('a', digest, manifest)
    entries = [descriptor(full('GET', f'/v2/a/manifests/v{number}').data, formats.OCI_IMAGE) for number in range(1, 5)]
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}
    full.push_manifest('a', digest.replace(':', '-'), index, formats.OCI_INDEX)
    registry = fake_place.registry()

    assert cost(registry, '/ui/a/manifests/v0') <= budget.MOST + 1
    assert cost(registry, '/ui/a/manifests/v0') <= budget.MOST


def test_images_that_were_deleted_and_pushed_again_cost_no_request_each(fake_place, full, many):
    for number, config in enumerate(many):
        full('DELETE', f'/v2/a/manifests/{digest_of(as_json(image(config, config)))}')
        full.push_manifest('a', f'v{number}', image(config, config))
    registry = fake_place.registry()

    assert cost(registry, '/ui/a/tags/') <= budget.MOST
    assert 'v29' in registry('GET', '/ui/a/tags/').text


def test_an_index_with_all_that_costs_something(fake_place, full):
    """It was deleted and pushed again; many platforms, referrers in the list of the API, and more of them under the fallback tag."""
    entries = [descriptor(full('GET', f'/v2/a/manifests/v{number}').data, formats.OCI_IMAGE) for number in range(20)]
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}
    digest = full.push_manifest('a', 'index', index, formats.OCI_INDEX)
    assert full('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
    full.push_manifest('a', 'index', index, formats.OCI_INDEX)
    full.push_manifest('a', digest, index, formats.OCI_INDEX)
    subject = descriptor(as_json(index), formats.OCI_INDEX)
    for text in (b'{"a":1}', b'{"a":2}', b'{"a":3}', b'{"a":4}'):
        full.push_blob('a', text)
        full.push_manifest('a', digest_of(as_json(image(text, subject=subject))), image(text, subject=subject))
    full.push_manifest('a', digest.replace(':', '-'), dict(index, manifests=entries[:5]), formats.OCI_INDEX)
    full('POST', '/v2/a/blobs/uploads/')

    assert cost(fake_place.registry(), '/ui/a/manifests/index') <= budget.MOST


def test_what_is_known_costs_nothing_again(fake_place, full):
    registry = fake_place.registry()
    for _ in range(20):
        last = cost(registry, '/ui/a/tags')

    assert last <= 4
    assert 'read more' not in registry('GET', '/ui/a/tags/').text


def test_a_repository_is_listed_within_a_budget(fake_place, monkeypatch, full):
    monkeypatch.setattr('docker_registry.v2.registry.listing.PAGE', 5)
    registry = fake_place.registry()

    assert cost(registry, '/ui/a/tags') <= budget.MOST
    assert 'It shows the first of them' in registry('GET', '/ui/a/tags').text


def test_the_repositories_are_listed_within_a_budget_and_go_on(fake_place, monkeypatch):
    monkeypatch.setattr('docker_registry.v2.registry.catalog.LISTED', 2)
    registry, names = fake_place.registry(), [f'r{number:02}' for number in range(20)]
    for name in names:
        registry.push_image(name, 'v1', b'layer')
    registry.upload('a')  # reads the secret, once in the life of a process
    found, path = [], '/ui/'

    while path:
        assert cost(registry, path) <= budget.MOST
        page = registry('GET', path).text
        found += [name for name in names if f'href="/ui/{name}/tags/"' in page]
        path = page.partition('rel="next" href="')[2].partition('"')[0].replace('&amp;', '&')

    assert found == names


def test_a_process_remembers_little_of_an_image_whatever_it_says(fake_place):
    registry = fake_place.registry(manifest_cache=0)
    registry.push_image('a', 'v1', b'layer')
    (child,) = [descriptor(registry('GET', '/v2/a/manifests/v1').data, formats.OCI_IMAGE)]
    for letter in 'bcd':
        entries = [dict(child, platform={'os': f'{number}{letter * 350}', 'architecture': letter * 350}) for number in range(500)]
        index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}
        registry.push_manifest('a', letter, index, formats.OCI_INDEX)
    registry('GET', '/ui/')  # loads what every page needs
    tracemalloc.start()
    try:
        assert 'and 497 more' in registry('GET', '/ui/a/tags').text
        assert tracemalloc.get_traced_memory()[0] < 1024**2
    finally:
        tracemalloc.stop()


def test_no_image_makes_a_page_of_many_megabytes(fake_registry):
    """Each text has one character less than LONGEST, and becomes five times as long when it is escaped."""
    hostile = '"' * (images.LONGEST - 1)
    texts = {f'{number}{hostile[100:]}': hostile[:-10] for number in range(255)}
    run = {'Labels': dict(list(texts.items())[:60]), 'Env': [hostile] * 60, 'ExposedPorts': dict.fromkeys(list(texts)[:60], {})}
    config = as_json({'config': run, 'os': hostile, 'history': [{'created_by': hostile}] * 60})
    fake_registry.push_blob('a', config)
    fake_registry.push_manifest('a', 'v1', image(config, config, annotations=texts))
    subject = descriptor(fake_registry('GET', '/v2/a/manifests/v1').data, formats.OCI_IMAGE)
    for letter in 'abc':
        manifest = image(config, config, annotations={letter: '', **texts}, subject=subject)
        fake_registry.push_manifest('a', digest_of(as_json(manifest)), manifest)
    entries = [dict(subject, artifactType=hostile, platform={'os': hostile, 'architecture': 'x'})] * 500
    fake_registry.push_manifest('a', 'index', {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}, formats.OCI_INDEX)

    for reference in ('v1', 'index'):
        assert len(fake_registry('GET', f'/ui/a/manifests/{reference}').data) < 6 * 1024**2


@pytest.mark.parametrize('content', [b'[' * 50 + b'1,' * 40000 + b'1' + b']' * 50, as_json({'a': ['b']})])
def test_json_is_indented_only_as_far_as_it_is_shown(content):
    whole = json.dumps(json.loads(content), indent=2)

    text = images.pretty(content, 1000)

    assert whole.startswith(text)
    assert text == whole or 1000 < len(text) < 2000


def test_files_and_the_root_cost_nothing(fake_registry):
    assert cost(fake_registry, '/ui/_static/page.css') == 0
    assert cost(fake_registry, '/') == 0
