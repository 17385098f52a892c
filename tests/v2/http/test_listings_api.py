"""Tags, referrers and the catalog over HTTP: end-8 and end-12 of the spec, and Docker's `_catalog`."""

import re

import pytest
from hypothesis import given, strategies

from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from docker_registry.v2.http import headers
from docker_registry.v2.registry import catalog, formats, layout, listing, names, referrers, strict_json
from docker_registry.v2.registry.absence import Absence
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.deletions import Deletions
from docker_registry.v2.registry.tags import Tags
from registry_client import as_json, code_of, descriptor, digest_of, image

# Swift lists `v1` after all names that begin with `v1-` or `v1.`.
TAGS = ['0', 'V1', 'a', 'latest', 'v', 'v1', 'v1-rc', 'v1-rc.2', 'v1.0', 'v1.0-rc', 'v10', 'v1_0', 'v2']


@pytest.fixture(params=[3, 1000])
def small_pages(request, monkeypatch):
    for module, name in ((listing, 'PAGE'), (referrers, 'PAGE'), (catalog, 'LISTED')):
        monkeypatch.setattr(module, name, request.param)


def push_tags(registry, repository, tags):
    registry.push_blob(repository, b'{}')
    content = as_json(image(b'{}'))
    query = '&'.join(f'tag={tag}' for tag in tags)
    assert (
        registry(
            'PUT', f'/v2/{repository}/manifests/{digest_of(content)}?{query}', content, headers={'Content-Type': formats.OCI_IMAGE}
        ).status_code
        == 201
    )


def pages(registry, path, key):
    """Return the pages that a client gets if it follows the Link headers."""
    found = []
    while path:
        answer = registry('GET', path)
        assert answer.status_code == 200
        found.append(answer.json[key])
        link = answer.headers.get('Link')
        assert link is None or re.fullmatch('<(.*)>; rel="next"', link)
        path = link and link[1 : link.index('>')]
    return found


def test_all_tags_in_ascii_order(registry, small_pages):
    push_tags(registry, 'a/b', TAGS)

    answer = registry('GET', '/v2/a/b/tags/list')

    assert answer.json == {'name': 'a/b', 'tags': TAGS}
    assert 'Link' not in answer.headers


@pytest.mark.parametrize('count', [1, 2, 5, 12, 13, 14])
def test_pages_of_tags_are_full_and_leave_nothing_out(registry, small_pages, count):
    push_tags(registry, 'a', TAGS)

    found = pages(registry, f'/v2/a/tags/list?n={count}', 'tags')

    assert found == [TAGS[start : start + count] for start in range(0, len(TAGS), count)]


@pytest.mark.parametrize('last', TAGS + ['v1-', 'w', 'V'])
def test_tags_after_another(registry, small_pages, last):
    push_tags(registry, 'a', TAGS)

    assert registry('GET', f'/v2/a/tags/list?last={last}').json['tags'] == [tag for tag in TAGS if tag > last]
    assert registry('GET', f'/v2/a/tags/list?n=2&last={last}').json['tags'] == [tag for tag in TAGS if tag > last][:2]


class Listing:
    """A storage with nothing but tags, which it lists in Swift's order. `most` is how many names its pages have at most."""

    def __init__(self, names, most):
        folder = layout.tags('a')
        digests = [f'index/sha256/{number:064x}/link' for number in range(3)]
        self._paths = sorted(f'{folder}/{name}/{rest}' for name in names for rest in ['current/link', *digests])
        self._most = most

    def list_page(self, path, marker=None, limit=None, recursive=False):
        after = [found for found in self._paths if found.startswith(path + '/') and found > (marker or '')]
        return [driver_module.Stat(found, 71, None, 1, None, None) for found in after[: min(self._most, limit)]]

    def stat(self, path):
        if path not in self._paths:
            raise exceptions.FileNotFoundError(path)
        return driver_module.Stat(path, 71, None, 1, None, {})


@given(
    strategies.sets(strategies.text('a-.0', min_size=1, max_size=4).filter(lambda name: name[0] not in '-.'), min_size=1),
    strategies.integers(1, 4),
    strategies.integers(1, 9),
)
def test_pages_of_any_tags(names, count, most):
    storage, together = Listing(names, most), Together(1)
    tags, found, last, more = Tags(storage, together, Deletions(storage, together, Absence(storage, 60), 60)), [], '', True
    while more:
        page, more = tags.page('a', count, last)
        assert len(page) == count or not more
        found, last = found + page, page[-1]

    assert found == sorted(names)


def test_no_tags_are_asked_for(registry):
    push_tags(registry, 'a', TAGS)

    answer = registry('GET', '/v2/a/tags/list?n=0')

    assert answer.json['tags'] == []
    assert 'Link' not in answer.headers


@pytest.mark.parametrize('count', ['9' * 10, '9' * 30, '9' * 5000, '0' * 5000 + '13', '13'])
def test_a_page_may_be_of_any_size(registry, count):
    push_tags(registry, 'a', TAGS)

    for path, key, all_of_them in (('/v2/a/tags/list', 'tags', TAGS), ('/v2/_catalog', 'repositories', ['a'])):
        answer = registry('GET', f'{path}?n={count}')
        assert (answer.status_code, answer.json[key]) == (200, all_of_them)
        assert 'Link' not in answer.headers


def test_a_page_of_tags_has_a_limit(registry, monkeypatch):
    monkeypatch.setattr(headers, 'LARGEST_PAGE', 5)
    push_tags(registry, 'a', TAGS)

    assert pages(registry, '/v2/a/tags/list?n=' + '9' * 5000, 'tags') == [TAGS[:5], TAGS[5:10], TAGS[10:]]
    assert registry('GET', '/v2/a/tags/list').json['tags'] == TAGS


@pytest.mark.parametrize('count', ['', '0', '0' * 5000])
@pytest.mark.parametrize('path, key, found', [('/v2/a/tags/list', 'tags', TAGS), ('/v2/_catalog', 'repositories', ['a'])])
def test_pages_of_nothing_and_pages_without_a_size(registry, path, key, found, count):
    push_tags(registry, 'a', TAGS)

    answer = registry('GET', f'{path}?n={count}')

    assert (answer.status_code, answer.json[key]) == (200, [] if count else found)
    assert 'Link' not in answer.headers


NO_NUMBERS = ['x', '-1', '-' + '9' * 5000, '%2B5', '+5', '1.5', '1e3', '0x10', '5%20', '1_000', '%D9%A3', '%C2%B2', '%00', 'null', '5%0A']


@pytest.mark.parametrize('count', NO_NUMBERS)
@pytest.mark.parametrize('path', ['/v2/a/tags/list', '/v2/_catalog'])
def test_a_size_of_a_page_that_is_no_number(registry, path, count):
    push_tags(registry, 'a', ['v1'])

    answer = registry('GET', f'{path}?n={count}')

    assert (answer.status_code, code_of(answer)) == (400, 'UNSUPPORTED')
    assert 'n' in answer.json['errors'][0]['message'].split()


@pytest.mark.parametrize('query', ['last=.x', 'last=a/b'])
def test_a_bad_page_of_tags(registry, query):
    push_tags(registry, 'a', ['v1'])

    assert registry('GET', f'/v2/a/tags/list?{query}').status_code == 400


def test_tags_of_an_unknown_repository(registry):
    push_tags(registry, 'a/b', ['v1'])

    answer = registry('GET', '/v2/a/tags/list')

    assert (answer.status_code, code_of(answer)) == (404, 'NAME_UNKNOWN')


def test_a_repository_without_tags(registry):
    registry.push_blob('a', b'{}')

    assert registry('GET', '/v2/a/tags/list').json == {'name': 'a', 'tags': []}


# In the order of the listing: nested repositories whose name begins with a digit come before the repository itself.
REPOSITORIES = ['a/0', 'a', 'a-b', 'a/b', 'a/b/c/d', 'b/tags/list']


@pytest.mark.parametrize('count', ['', '?n=1', '?n=2', '?n=5', '?n=6', '?n=7'])
def test_the_catalog(registry, small_pages, count):
    for name in REPOSITORIES:
        registry.push_image(name, 'v1', b'layer')
        registry.push_blob(name, b'another')

    found = pages(registry, '/v2/_catalog' + count, 'repositories')

    assert sorted(sum(found, [])) == sorted(REPOSITORIES)
    assert {len(page) for page in found[:-1]} <= {int(count[3:] or 0)}


def test_an_empty_catalog(registry):
    assert registry('GET', '/v2/_catalog').json == {'repositories': []}
    assert registry('GET', '/v2/_catalog?n=0').json == {'repositories': []}


def test_a_page_of_the_catalog_costs_no_more_than_its_repositories(fake_registry, small_pages):
    for number in range(12):
        push_tags(fake_registry, f'r{number:02}', TAGS)
    del fake_registry.swift_requests[:]

    assert len(fake_registry('GET', '/v2/_catalog?n=4').json['repositories']) == 4

    assert len(fake_registry.swift_requests) <= 5


def test_a_page_of_the_catalog_ends_after_a_number_of_requests(fake_registry, monkeypatch):
    monkeypatch.setattr(catalog, 'LISTED', 3)
    monkeypatch.setattr(catalog, 'MOST_LISTINGS', 5)
    wanted = [f'r{number:02}' for number in range(12)]
    for name in wanted:
        push_tags(fake_registry, name, TAGS)
    del fake_registry.swift_requests[:]

    found = pages(fake_registry, '/v2/_catalog', 'repositories')

    assert found == [wanted[:5], wanted[5:10], wanted[10:]]
    assert len(fake_registry.swift_requests) == 5 + 5 + 3


# Referrers

SBOM, SIGNATURE = 'application/vnd.example.sbom', 'application/vnd.example.signature'


@pytest.fixture
def subject(registry):
    registry.push_image('a', 'v1', b'layer')
    return descriptor(as_json(image(b'{}', b'layer')), formats.OCI_IMAGE)


def referring(subject, **more):
    return image(b'{}', subject=subject, **more)


def listed(registry, subject, query=''):
    answer = registry('GET', f'/v2/a/referrers/{subject["digest"]}{query}')
    assert (answer.status_code, answer.content_type) == (200, formats.OCI_INDEX)
    assert (answer.json['schemaVersion'], answer.json['mediaType']) == (2, formats.OCI_INDEX)
    return answer.json['manifests']


def test_referrers_with_type_and_annotations(registry, subject):
    sbom = referring(subject, artifactType=SBOM, annotations={'key': 'value'})
    plain = referring(subject)

    for manifest in (sbom, plain):
        registry.push_manifest('a', digest_of(as_json(manifest)), manifest)

    assert sorted(listed(registry, subject), key=str) == sorted(
        [
            descriptor(as_json(sbom), formats.OCI_IMAGE, artifactType=SBOM, annotations={'key': 'value'}),
            descriptor(as_json(plain), formats.OCI_IMAGE, artifactType='application/vnd.oci.image.config.v1+json'),
        ],
        key=str,
    )


def test_an_index_that_refers(registry, subject):
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [], 'subject': subject}

    registry.push_manifest('a', 'v2', index, formats.OCI_INDEX)

    assert listed(registry, subject) == [descriptor(as_json(index), formats.OCI_INDEX)]


def test_the_subject_is_acknowledged(registry, subject):
    content = as_json(referring(subject))

    answer = registry('PUT', '/v2/a/manifests/v2', content, headers={'Content-Type': formats.OCI_IMAGE})

    assert answer.headers['OCI-Subject'] == subject['digest']


@pytest.mark.parametrize('wanted', [SBOM, SBOM.upper()])
def test_referrers_of_one_type(registry, subject, wanted):
    for artifact_type in (SBOM, SIGNATURE):
        manifest = referring(subject, artifactType=artifact_type)
        registry.push_manifest('a', digest_of(as_json(manifest)), manifest)

    answer = registry('GET', f'/v2/a/referrers/{subject["digest"]}?artifactType={wanted}')

    assert [found['artifactType'] for found in answer.json['manifests']] == [SBOM]
    assert answer.headers['OCI-Filters-Applied'] == 'artifactType'


def test_referrers_of_what_is_not_there(registry):
    assert listed(registry, {'digest': digest_of(b'missing')}) == []


def test_a_referrer_may_come_before_its_subject(registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    registry.push_blob('a', b'{}')

    registry.push_manifest('a', 'v1', referring(subject))

    assert len(listed(registry, subject)) == 1


@pytest.mark.parametrize('digest', ['x', 'sha256:x', 'v1'])
def test_referrers_of_no_digest(registry, digest):
    answer = registry('GET', f'/v2/a/referrers/{digest}')

    assert (answer.status_code, code_of(answer)) == (400, 'DIGEST_INVALID')


@pytest.mark.parametrize('media_type', [formats.OCI_IMAGE, 'application/vnd.example+json'])
def test_a_deleted_referrer_is_listed_no_more(registry, subject, media_type):
    manifest = referring(subject) if media_type == formats.OCI_IMAGE else {'subject': subject}
    digest = registry.push_manifest('a', digest_of(as_json(manifest)), manifest, media_type)
    assert len(listed(registry, subject)) == 1

    registry('DELETE', f'/v2/a/manifests/{digest}')

    assert listed(registry, subject) == []


def test_a_deleted_referrer_that_the_listing_still_shows(fake_place, fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    digest = fake_registry.push_manifest('a', 'v1', referring(subject))
    fake_place.server.lag_listing(fake_place.container)

    fake_registry('DELETE', f'/v2/a/manifests/{digest}')

    assert listed(fake_registry, subject) == []


def test_those_of_the_fallback_tag_are_among_them(place, registry, subject):
    """Clients keep referrers in an index under a tag for registries without the API, such as CNCF distribution."""
    manifest, stranger = referring(subject, artifactType=SBOM), image(b'{}', b'layer', annotations={'no': 'subject'})
    for other in (manifest, stranger):
        registry.push_manifest('a', digest_of(as_json(other)), other)
    registry.storage.remove('docker/registry/v2/repositories/a/_referrers')
    index = {
        'schemaVersion': 2,
        'mediaType': formats.OCI_INDEX,
        'manifests': [descriptor(as_json(other), formats.OCI_IMAGE) for other in (manifest, stranger)],
    }
    registry.push_manifest('a', subject['digest'].replace(':', '-'), index, formats.OCI_INDEX)

    assert [found['digest'] for found in listed(registry, subject)] == [digest_of(as_json(manifest))]


def test_pages_of_referrers(registry, subject, small_pages):
    wanted = set()
    for number in range(7):
        manifest = referring(subject, annotations={'number': str(number)})
        wanted.add(registry.push_manifest('a', digest_of(as_json(manifest)), manifest))

    found = sum(pages(registry, f'/v2/a/referrers/{subject["digest"]}', 'manifests'), [])

    assert len(found) == 7
    assert {entry['digest'] for entry in found} == wanted


def test_a_referrer_whose_annotations_would_be_longer_than_a_page_is_refused(registry, subject):
    manifest = referring(subject, annotations={'key': 'x' * (4 * 1024**2 - 1024)})

    answer = registry('PUT', '/v2/a/manifests/v2', as_json(manifest), headers={'Content-Type': formats.OCI_IMAGE})

    assert (answer.status_code, code_of(answer)) == (400, 'MANIFEST_INVALID')
    assert 'referrers' in answer.json['errors'][0]['message']


LONGEST_PAGE, MOST_REQUESTS = 4 * 1024**2, 110  # bytes, and requests to Swift


def costly_pages(registry, path):
    """Return the descriptors on each page. Each page has to keep to the limits."""
    found = []
    while path:
        del registry.swift_requests[:]
        answer = registry('GET', path)
        assert answer.status_code == 200
        assert len(answer.data) <= LONGEST_PAGE
        assert len(registry.swift_requests) <= MOST_REQUESTS
        found.append(answer.json['manifests'])
        path = answer.headers.get('Link', '').partition('>')[0][1:]
    return found


def digests_of(pages):
    return [entry['digest'] for page in pages for entry in page]


@pytest.mark.parametrize('query', ['', f'?artifactType={SBOM}'])
def test_pages_of_referrers_with_long_annotations_are_not_long(fake_registry, query):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    wanted = []
    for number, size in enumerate([3000000, 10, 1500000, 2000000, 4190000, 1000000, 10]):
        manifest = referring(subject, artifactType=SBOM, annotations={'key': 'x' * size, 'n': str(number)})
        wanted.append(fake_registry.push_manifest('a', digest_of(as_json(manifest)), manifest))

    found = digests_of(costly_pages(fake_registry, f'/v2/a/referrers/{subject["digest"]}{query}'))

    assert found == sorted(wanted)


def fall_back(place, subject, *manifests):
    """Store referrers as clients and CNCF distribution do: as revisions, and in an index under the fallback tag."""
    objects = [(layout.blob(names.digest(digest_of(content))), content) for content in manifests]
    objects += [(layout.revision_link('a', names.digest(digest_of(content))), digest_of(content).encode()) for content in manifests]
    for path, content in objects:
        place.server.put(place.container, 'files/' + path, content)
    entries = [descriptor(content, formats.OCI_IMAGE) for content in manifests]
    index = as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries})
    digest = names.digest(digest_of(index))
    for path, content in [
        (layout.blob(digest), index),
        (layout.tag_current('a', subject['digest'].replace(':', '-')), str(digest).encode()),
    ]:
        place.server.put(place.container, 'files/' + path, content)
    return [digest_of(content) for content in manifests]


@pytest.mark.parametrize('query', ['', f'?artifactType={SBOM}'])
def test_pages_of_many_referrers_are_cheap_wherever_they_are_from(fake_place, fake_registry, query):
    """Some are in the registry's list, some only in the index under the fallback tag, and some in both."""
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    contents = [as_json(referring(subject, artifactType=SBOM, annotations={'n': str(number)})) for number in range(400)]
    for content in contents[:220]:
        fake_registry.push_manifest('a', digest_of(content), content)
    fall_back(fake_place, subject, *contents[180:], as_json(image(b'{}', n='stranger')))

    found = digests_of(costly_pages(fake_registry, f'/v2/a/referrers/{subject["digest"]}{query}'))

    assert found == sorted(map(digest_of, contents))


def test_a_filter_that_nothing_matches_has_empty_pages_up_to_the_end(fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    for number in range(referrers.PAGE + 1):
        manifest = referring(subject, artifactType=SBOM, annotations={'n': str(number)})
        fake_registry.push_manifest('a', digest_of(as_json(manifest)), manifest)

    assert costly_pages(fake_registry, f'/v2/a/referrers/{subject["digest"]}?artifactType={SIGNATURE}') == [[], []]


def test_long_manifests_in_the_fallback_tag_make_no_long_page(fake_place, fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    wanted = fall_back(
        fake_place, subject, *[as_json(referring(subject, annotations={'key': 'x' * 1500000, 'n': str(number)})) for number in range(5)]
    )

    found = costly_pages(fake_registry, f'/v2/a/referrers/{subject["digest"]}')

    assert digests_of(found) == sorted(wanted)
    assert max(map(len, found)) == 2


def test_the_index_under_the_fallback_tag_is_read_once(fake_place, fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    (digest,) = fall_back(fake_place, subject, as_json(referring(subject)))
    costs = []

    for _ in range(2):
        del fake_registry.swift_requests[:]
        assert [entry['digest'] for entry in listed(fake_registry, subject)] == [digest]
        costs.append(len(fake_registry.swift_requests))

    assert costs[1] == costs[0] - 1


def test_manifests_that_the_fallback_tag_names_without_reason_are_not_read(fake_place, fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_image('a', 'v1', b'layer')
    manifest = fake_registry('GET', '/v2/a/manifests/v1').data
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(manifest, formats.OCI_IMAGE)]}
    fake_registry.push_manifest('a', subject['digest'].replace(':', '-'), index, formats.OCI_INDEX)
    fake_place.server.clear_requests()

    assert listed(fake_registry, subject) == []
    read = layout.blob(names.digest(digest_of(manifest)))
    assert not [request for request in fake_place.server.requests if read in request.path]


def test_an_index_under_the_fallback_tag_that_is_too_large_is_no_list(fake_place, fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_image('a', 'v1', b'layer')
    fall_back(fake_place, subject, *[b''] * (strict_json.MOST_VALUES // 3))

    assert listed(fake_registry, subject) == []


def test_head_of_referrers_costs_nothing(fake_registry):
    subject = descriptor(b'missing', formats.OCI_IMAGE)
    fake_registry.push_blob('a', b'{}')
    fake_registry.push_manifest('a', 'v1', referring(subject))
    del fake_registry.swift_requests[:]

    answer = fake_registry('HEAD', f'/v2/a/referrers/{subject["digest"]}')

    assert (answer.status_code, answer.content_type, answer.data) == (200, formats.OCI_INDEX, b'')
    assert 'Content-Length' not in answer.headers, 'nobody has counted the bytes'
    assert not fake_registry.swift_requests
