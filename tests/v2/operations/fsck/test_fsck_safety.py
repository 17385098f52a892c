"""`registry-swift fsck --repair` touches nothing that is whole, or that it could not find out about, while clients push."""

import os

import pytest

from docker_registry.v2.operations.fsck import findings
from fake_swift import on, status
from registry_client import digest_of, image

MiB = 1024**2
LAYER = b'a layer'
LARGE = os.urandom(3 * MiB)

only_on_the_fake = pytest.mark.parametrize('place', ['fake'], indirect=True)


def fail(fake, method, path):
    """Make Swift return 503 for what a path contains, after the survey."""
    return lambda storage: fake.fault(on(method, path_contains=path), status(503), times=None)


# What could not be found out


@only_on_the_fake
def test_a_link_that_could_not_be_looked_for_is_not_written(fake, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    container.lose(container.layer('a', digest_of(LAYER)))

    found = fsck(repair=True, before=fail(fake, 'HEAD', '/_layers/'))

    assert (found.damages, found.status, found.unpullable) == ([(findings.UNKNOWN, False)], 2, [])
    fake.clear_faults()
    assert not container.has(container.layer('a', digest_of(LAYER)))


@only_on_the_fake
def test_a_tag_that_could_not_be_read(fake, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)

    found = fsck(repair=True, before=fail(fake, 'GET', '/current/link'))

    assert (found.damages, found.status, found.unpullable) == ([(findings.UNKNOWN, False)], 2, [])


@only_on_the_fake
def test_data_that_could_not_be_read_do_not_go_aside(fake, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.data(digest_of(LAYER)), b'damaged')

    found = fsck(deep=True, repair=True, before=fail(fake, 'GET', digest_of(LAYER)[7:]))

    assert (found.damages, found.status) == ([(findings.UNKNOWN, False)], 2)
    fake.clear_faults()
    assert container.has(container.data(digest_of(LAYER)))


@only_on_the_fake
def test_a_segment_that_could_not_be_looked_for_is_not_lost(fake, registry, fsck, container):
    registry.push_image('a', 'v1', LARGE)
    segment = container.segments_of(digest_of(LARGE))[1]
    container.root.discard(segment)

    found = fsck(sizes=True, repair=True, before=fail(fake, 'HEAD', '/_segments/'))

    assert (found.damages, found.status) == ([(findings.UNKNOWN, False)], 2)
    fake.clear_faults()
    assert container.has(container.data(digest_of(LARGE)))


@only_on_the_fake
def test_a_check_whose_memory_cannot_be_written_still_reports(fake, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.data(digest_of(LAYER)), b'a shape')

    found = fsck(deep=True, before=lambda storage: fake.fault(on(path_contains='/_fsck/'), status(503), times=None))

    assert (found.damages, found.unpullable) == ([(findings.BYTES, False)], ['a:v1'])


@only_on_the_fake
def test_what_names_a_damaged_layer_and_cannot_be_read_counts_as_damaged(fake, registry, fsck, container):
    digest = registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.data(digest_of(LAYER)), b'a shape')

    found = fsck(deep=True, before=lambda storage: fake.fault(on(path_contains=digest[7:]), status(503), times=None))

    assert found.unpullable == ['a:v1']
    assert (findings.BYTES, False) in found.damages and (findings.UNKNOWN, False) in found.damages


@only_on_the_fake
def test_a_tag_that_is_listed_and_cannot_be_found(fake, place, registry, fsck, container):
    """A node may be down that has the only replica."""
    registry.push_image('a', 'v1', LAYER)
    fake.lag_listing(place.container)
    container.lose(container.pointer('a', 'v1'))

    assert fsck(repair=True, replication_cycle=3600).damages == [(findings.UNKNOWN, False)]


@only_on_the_fake
@pytest.mark.parametrize('number', [0, 9, 13])
def test_a_segment_that_is_listed_and_cannot_be_found(fake, place, registry, fsck, container, number):
    content = os.urandom(14 * MiB)
    registry.push_image('a', 'v1', content)
    fake.lag_listing(place.container)
    container.root.discard(container.segments_of(digest_of(content))[number])

    assert fsck(sizes=True, repair=True, replication_cycle=3600).damages == [(findings.UNKNOWN, False)]

    assert container.has(container.data(digest_of(content)))


# Late listings


@only_on_the_fake
def test_what_a_listing_does_not_show_yet_is_not_missing(fake, place, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    registry.push_image('a', 'v1', LAYER, b'new')
    kept = [
        container.layer('a', digest_of(LAYER)),
        container.data(digest_of(LAYER)),
        container.data(digest_of(b'new')),
        container.revision('a', digest_of_tag(container)),
        container.data(digest_of_tag(container)),
    ]
    contents = [container.storage.get_content(path) for path in kept]
    for path in kept:
        container.lose(path)
    fake.lag_listing(place.container)
    for path, content in zip(kept, contents):
        container.storage.replace(path, content)

    found = fsck(sizes=True, deep=True, repair=True)

    assert (found.damages, found.status) == ([], 0)


def digest_of_tag(container):
    return container.storage.get_content(container.pointer('a', 'v1')).decode()


@only_on_the_fake
def test_a_push_that_no_listing_shows(fake, place, registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    fake.lag_listing(place.container)
    registry.push_image('a', 'v2', b'new')

    assert fsck(sizes=True, deep=True, repair=True).status == 0


# Pushes during a check


def interrupting(method, path, interruption, after=True):
    """Return a function that lets a storage call something, once, when one of its methods is called for a path."""

    def before(storage):
        original, waiting = getattr(storage, method), [interruption]

        def called(name, *arguments, **named):
            interrupt = waiting.pop() if waiting and path in name else lambda: None
            if not after:
                interrupt()
            try:
                return original(name, *arguments, **named)
            finally:
                if after:
                    interrupt()

        setattr(storage, method, called)

    return before


def test_data_that_a_client_stores_again_during_the_check_stay(registry, fsck, container):
    registry.push_image('a', 'v1', b'right')
    container.storage.replace(container.data(digest_of(b'right')), b'wrong')

    push = interrupting('copy', digest_of(b'right')[7:], lambda: registry.push_blob('a', b'right'))
    found = fsck(deep=True, repair=True, before=push)

    assert found.damages == [(findings.UNKNOWN, False)]
    assert container.storage.get_content(container.data(digest_of(b'right'))) == b'right'
    assert fsck(deep=True).status == 0


def test_a_large_object_that_a_client_stores_again_during_the_check_stays(registry, fsck, container):
    registry.push_image('a', 'v1', LARGE)
    for name in container.segments_of(digest_of(LARGE))[1:]:  # without the first one, Ceph finds no object
        container.root.discard(name)

    def push():
        container.storage.discard(container.data(digest_of(LARGE)))
        registry.push_blob('a', LARGE)

    found = fsck(sizes=True, repair=True, before=interrupting('replace', '_lost/', push))

    assert found.damages == [(findings.UNKNOWN, False)]
    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE


def test_a_tag_that_is_pushed_during_the_check_stays(registry, fsck, container):
    registry.push_image('a', 'v1', b'old')
    container.storage.replace(container.pointer('a', 'v1'), b'')
    new = []

    push = interrupting('get_object', '/v1/current/link', lambda: new.append(registry.push_image('a', 'v1', b'new')))
    fsck(repair=True, before=push)

    assert container.storage.get_content(container.pointer('a', 'v1')).decode() == new[0]


@pytest.mark.parametrize('method, after', [('stat', True), ('discard', False)])
def test_a_layer_that_is_pushed_during_the_check_keeps_its_link(registry, fsck, container, method, after):
    registry.push_image('a', 'v1', LAYER)
    container.storage.replace(container.layer('a', digest_of(b'new')), digest_of(b'new').encode())

    def push():
        registry.push_blob('a', b'new')

    found = fsck(repair=True, before=interrupting(method, digest_of(b'new')[7:], push, after))

    assert found.status == 1
    assert registry('HEAD', f'/v2/a/blobs/{digest_of(b"new")}').status_code == 200


def test_a_push_between_data_and_manifest_is_no_damage(registry, fsck):
    registry.push_blob('a', LAYER)
    registry.push_blob('a', b'{}')

    assert fsck(sizes=True, deep=True, repair=True).status == 0

    registry.push_manifest('a', 'v1', image(b'{}', LAYER))


def test_a_repair_may_be_repeated(registry, fsck, container):
    registry.push_image('a', 'v1', LAYER)
    container.lose(container.layer('a', digest_of(LAYER)))

    assert [fsck(repair=True).status for _ in range(3)] == [1, 0, 0]
