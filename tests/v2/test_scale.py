"""What the registry does takes as many requests in a huge registry as in a small one, and a page takes as much memory."""

import tracemalloc

import pytest

import large_registry
from large_registry import TAGGED, repository, tag
from registry_client import Place, as_json, digest_of, image

SMALL = {'tags': 600, 'repositories': 600, 'objects': 10**4}
HUGE = {'tags': 10**6, 'repositories': 10**5, 'objects': 10**7}
MANY = {'tags': 6000, 'repositories': 1, 'objects': 10**5}  # a process that kept all it reads would need 8 MiB
MiB = 1024**2
LAYER, CONFIG = bytes(range(256)) * 8000, b'{}'


def registry_of(fake, size):
    place = Place(fake)
    large_registry.fill(fake, place.container, **size)
    registry = place.registry()
    registry.upload('a')  # makes the secret
    return registry


@pytest.fixture
def registries(fake):
    """A small registry and a huge one."""
    return [registry_of(fake, size) for size in (SMALL, HUGE)]


def costs(registries, call):
    """Return, for each registry, how many requests of each method to Swift a call takes."""
    found = []
    for registry in registries:
        del registry.swift_requests[:]
        call(registry)
        methods = [method for method, _ in registry.swift_requests]
        found.append({method: methods.count(method) for method in methods})
    return found


def get(path):
    def call(registry):
        answer = registry('GET', path)
        assert answer.status_code == 200
        return answer

    return call


def push(name):
    return lambda registry: registry.push_image(name, 'v1', LAYER)


def pull(name):
    def call(registry):
        assert get(f'/v2/{name}/manifests/v1')(registry).json == image(CONFIG, LAYER)
        assert get(f'/v2/{name}/blobs/{digest_of(LAYER)}')(registry).data == LAYER

    return call


@pytest.mark.parametrize('name', [TAGGED, 'new/one'])
def test_pushes_and_pulls(registries, name):
    for step in (push(name), push(name), pull(name)):
        small, huge = costs(registries, step)
        assert small == huge
        assert sum(huge.values()) <= 12


@pytest.mark.parametrize(
    'path',
    [
        f'/v2/{TAGGED}/tags/list?n=100',
        f'/v2/{TAGGED}/tags/list?n=100&last={tag(300)}',
        '/v2/_catalog?n=100',
        f'/v2/_catalog?n=100&last={repository(300)}',
        f'/v2/{TAGGED}/referrers/{digest_of(LAYER)}',
    ],
)
def test_pages(registries, path):
    small, huge = costs(registries, get(path))
    assert small == huge


@pytest.mark.parametrize('path', [f'/v2/{TAGGED}/tags/list?n=100&last={tag(999_950)}', '/v2/_catalog?n=100&last=team/r00099950'])
def test_the_last_page_takes_one_request_more_than_the_first(registries, path):  # an empty listing is the end
    _, huge = registries
    first, last = [sum(costs([huge], get(found))[0].values()) for found in (path.partition('&')[0], path)]
    assert last <= first + 1


def test_deletes_of_a_tag_and_of_a_blob(registries):
    for registry in registries:
        push(TAGGED)(registry)
    for path in (f'/v2/{TAGGED}/manifests/v1', f'/v2/{TAGGED}/blobs/{digest_of(LAYER)}'):
        small, huge = costs(registries, lambda registry: registry('DELETE', path))
        assert small == huge


def test_the_delete_of_a_manifest_does_not_grow_with_other_repositories(registries):
    for registry in registries:
        push('new/one')(registry)
    path = f'/v2/new/one/manifests/{digest_of(as_json(image(CONFIG, LAYER)))}'
    small, huge = costs(registries, lambda registry: registry('DELETE', path))
    assert small == huge


# Memory


def peak(registry, method, path):
    """Return the bytes that a request takes at most."""
    tracemalloc.start()
    try:
        assert registry(method, path).status_code in (200, 202)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('path', [f'/v2/{TAGGED}/tags/list?n=1000', '/v2/_catalog?n=1000'])
def test_the_memory_of_a_page(registries, path):
    _, huge = registries
    assert peak(huge, 'GET', path) < 6 * MiB


@pytest.mark.parametrize('query', ['', '?n=100000'])
def test_the_memory_of_all_tags_is_that_of_their_names(fake, query):
    assert peak(registry_of(fake, MANY), 'GET', f'/v2/{TAGGED}/tags/list{query}') < 6 * MiB


def test_the_memory_of_the_delete_of_a_manifest_among_many_tags(fake):
    registry = registry_of(fake, MANY)
    push(TAGGED)(registry)
    assert peak(registry, 'DELETE', f'/v2/{TAGGED}/manifests/{digest_of(as_json(image(CONFIG, LAYER)))}') < 6 * MiB
