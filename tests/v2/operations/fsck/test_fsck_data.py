"""`registry-swift fsck --sizes` and `--deep`: damages of data. Each is made, found, and repaired or put aside so that a push heals it."""

import os
import pathlib
from types import SimpleNamespace

import pytest

from docker_registry.v2.operations.fsck import findings, reading
from docker_registry.v2.registry import names
from registry_client import digest_of

MiB = 1024**2
LARGE = os.urandom(3 * MiB)  # the registries of these tests have segments of 1 MiB
DIGEST = digest_of(LARGE)


def pull(registry, digest=DIGEST, repository='a'):
    return registry('GET', f'/v2/{repository}/blobs/{digest}').data


def lost(container, digest=DIGEST, name='record'):
    algorithm, digits = digest.split(':')
    return container.has(f'_lost/{algorithm}/{digits[:2]}/{digits}/{name}')


def assert_a_push_heals(registry, fsck, *layers):
    """The registry must say that it does not have the blob, or no client would send it."""
    assert registry('HEAD', f'/v2/a/blobs/{digest_of(layers[0])}').status_code == 404
    registry.push_image('a', 'v1', *layers)
    found = fsck(deep=True, read_again=0)
    assert (found.damages, found.status) == ([], 0)


# Dynamic large objects, which CNCF distribution writes


@pytest.fixture
def dynamic(registry, container, swift):
    """Make the layer of an image a dynamic large object. Return the names of its segments."""
    registry.push_image('a', 'v1', LARGE)
    own = container.segments_of(DIGEST)
    names = container.make_dynamic(DIGEST, LARGE, swift=swift)
    for name in own:
        container.root.discard(name)
    return names


def test_a_whole_dynamic_object_is_made_static_without_moving_bytes(registry, fsck, container, dynamic):
    found = fsck(sizes=True)
    assert (found.status, found.unpullable) == (0, [])
    assert [(finding.damage, finding.repaired) for finding in found.findings] == [(findings.DYNAMIC, False)]

    found = fsck(sizes=True, repair=True)

    if container.storage.is_ceph():  # does not tell of which segments a static large object consists, and the driver notes only ours
        assert [(finding.damage, finding.repaired) for finding in found.findings] == [(findings.DYNAMIC, False)]
        return
    assert [(finding.damage, finding.repaired) for finding in found.findings] == [(findings.DYNAMIC, True)]
    assert found.status == 1
    assert container.storage.large_object(container.data(DIGEST)).kind == 'static'
    assert container.segments_of(DIGEST) == dynamic
    assert pull(registry) == LARGE
    assert fsck(sizes=True).findings == []


def test_the_data_of_a_layer_without_a_link_are_checked_before_the_link_is_written(registry, fsck, container, dynamic):
    container.root.discard(dynamic[-1])
    container.lose(container.layer('a', DIGEST))

    found = fsck(sizes=True, repair=True)

    assert (found.status, found.unpullable) == (2, ['a:v1'])
    assert_a_push_heals(registry, fsck, LARGE)


def test_a_dynamic_object_whose_bytes_are_wrong_does_not_become_static(registry, fsck, container, dynamic):
    container.root.replace(dynamic[1], bytes(MiB))

    found = fsck(deep=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.BYTES, False)], ['a:v1'])
    assert lost(container) and not container.has(container.data(DIGEST))
    assert_a_push_heals(registry, fsck, LARGE)


@pytest.mark.parametrize('count', [1, 3])
def test_a_dynamic_object_that_lost_segments(registry, fsck, container, dynamic, count):
    for path in dynamic[-count:]:
        container.root.discard(path)

    found = fsck(sizes=True)
    assert (found.damages, found.unpullable, found.status) == ([(findings.SHORT, False)], ['a:v1'], 2)

    found = fsck(sizes=True, repair=True)
    assert (found.damages, found.unpullable, found.status) == ([(findings.SHORT, False)], ['a:v1'], 2)
    assert lost(container) and not container.has(container.data(DIGEST))
    assert_a_push_heals(registry, fsck, LARGE)


def test_a_dynamic_object_that_lost_segments_is_made_of_others_with_the_same_bytes(registry, fsck, container, dynamic, swift):
    """Somebody pushed the layer twice to CNCF distribution, which stored it twice."""
    container.make_dynamic(DIGEST, LARGE, folder='segments/abc/other', swift=swift)
    container.root.discard('segments/abc/other/0000000000000002')

    found = fsck(sizes=True, repair=True)

    if container.storage.is_ceph():
        assert (found.damages, found.status) == ([(findings.SHORT, False)], 2)
        return
    assert (found.damages, found.status) == ([(findings.SHORT, True)], 1)
    assert container.segments_of(DIGEST) == dynamic
    assert pull(registry) == LARGE


@pytest.mark.parametrize('place', ['fake'], indirect=True)
def test_a_dynamic_object_that_a_late_listing_shortens(fake, container, dynamic, fsck, place):
    name = dynamic[2]
    segment = container.root.get_content(name)
    container.root.discard(name)
    fake.lag_listing(place.container)
    container.root.replace(name, segment)

    found = fsck(sizes=True, repair=True)

    assert found.damages == [(findings.SHORT, True)]
    assert container.segments_of(DIGEST) == dynamic


def test_a_dynamic_object_of_more_segments_than_swift_allows_stays(registry, fsck, container, dynamic, monkeypatch):
    monkeypatch.setattr('docker_registry.v2.operations.fsck.segments.MOST', 2)

    found = fsck(sizes=True, repair=True)

    assert [(finding.damage, finding.repaired) for finding in found.findings] == [(findings.DYNAMIC, False)]
    assert container.storage.large_object(container.data(DIGEST)).kind == 'dynamic'


# Static large objects, which this registry writes


@pytest.fixture
def static(registry, container):
    registry.push_image('a', 'v1', LARGE)
    return [name[len('files/') :] for name in container.segments_of(DIGEST)]


def test_a_static_object_that_lost_a_segment(registry, fsck, container, static):
    container.storage.discard(static[1])

    found = fsck(sizes=True)
    assert (found.damages, found.unpullable) == ([(findings.SEGMENTS, False)], ['a:v1'])

    found = fsck(sizes=True, repair=True)
    assert (found.damages, found.unpullable) == ([(findings.SEGMENTS, False)], ['a:v1'])
    assert lost(container)
    assert_a_push_heals(registry, fsck, LARGE)


def test_segments_that_come_back_with_their_disk(registry, fsck, container, static):
    content = container.storage.get_content(static[1])
    container.storage.discard(static[1])
    fsck(sizes=True, repair=True)
    container.storage.replace(static[1], content)

    found = fsck(repair=True)

    assert (found.damages, found.status) == ([(findings.MISSING, True)], 1)
    assert pull(registry) == LARGE
    assert not lost(container)


def test_segments_of_a_dynamic_object_that_come_back(registry, fsck, container, dynamic):
    content = container.root.get_content(dynamic[2])
    container.root.discard(dynamic[2])
    fsck(sizes=True, repair=True)
    container.root.replace(dynamic[2], content)

    found = fsck(repair=True)

    if not container.storage.is_ceph():
        assert (found.damages, found.status) == ([(findings.MISSING, True)], 1)
        assert pull(registry) == LARGE


def test_a_static_object_with_a_changed_segment(registry, fsck, container, static):
    container.storage.replace(static[1], bytes(MiB))

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.SEGMENTS, False)], ['a:v1'])
    assert_a_push_heals(registry, fsck, LARGE)


@pytest.mark.parametrize('moved', [[1], [1, 2]])
def test_segments_that_were_moved_are_found_by_their_etags(registry, fsck, container, static, moved):
    for number in moved:
        content = container.storage.get_content(static[number])
        container.storage.replace(f'_segments/moved-00000000/{number:08d}', content)
        container.storage.discard(static[number])

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.status) == ([(findings.SEGMENTS, True)], 1)
    assert pull(registry) == LARGE
    assert fsck(deep=True).status == 0


def test_a_static_object_that_was_overwritten_is_made_of_its_segments(registry, fsck, container, static):
    container.storage.replace(container.data(DIGEST), b'half of it')

    found = fsck(sizes=True)
    assert (found.damages, found.unpullable) == ([(findings.SIZE, False)], ['a:v1'])

    found = fsck(sizes=True, repair=True)
    assert (found.damages, found.status) == ([(findings.SIZE, True)], 1)
    assert pull(registry) == LARGE


def test_a_static_object_that_is_gone_is_made_of_its_segments(registry, fsck, container, static):
    container.lose(container.data(DIGEST))

    found = fsck(repair=True)

    assert (found.damages, found.status) == ([(findings.MISSING, True)], 1)
    assert pull(registry) == LARGE


def test_segments_with_other_bytes_of_the_same_size_are_not_taken(registry, fsck, container, static):
    registry.push_image('b', 'v1', LARGE[::-1])
    for path in static[1:]:  # without the first one, Ceph finds no object
        container.storage.discard(path)

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.SEGMENTS, False)], ['a:v1'])
    assert pull(registry, digest_of(LARGE[::-1]), 'b') == LARGE[::-1]


# Plain objects


def test_wrong_bytes_of_the_right_size_go_aside(registry, fsck, container):
    registry.push_image('a', 'v1', b'right')
    registry.push_image('team/app', 'v2', b'right', b'another')
    container.storage.replace(container.data(digest_of(b'right')), b'wrong')

    assert fsck(sizes=True).status == 0
    found = fsck(deep=True)
    assert (found.damages, found.unpullable) == ([(findings.BYTES, False)], ['a:v1', 'team/app:v2'])

    assert fsck(deep=True, repair=True).status == 2

    algorithm, digits = digest_of(b'right').split(':')
    assert container.storage.get_content(f'_lost/{algorithm}/{digits[:2]}/{digits}/copy') == b'wrong'
    assert_a_push_heals(registry, fsck, b'right')


def test_wrong_bytes_of_another_size_go_aside(registry, fsck, container):
    registry.push_image('a', 'v1', b'right')
    container.storage.replace(container.data(digest_of(b'right')), b'wrong bytes')

    assert fsck(sizes=True, repair=True).damages == [(findings.SIZE, False)]

    assert_a_push_heals(registry, fsck, b'right')


def test_a_manifest_that_states_a_wrong_size_condemns_nothing(registry, fsck, container):
    manifest = registry.push_image('a', 'v1', b'right')
    content = container.storage.get_content(container.data(manifest)).replace(b'"size": 5', b'"size": 7')
    digest = digest_of(content)
    container.storage.replace(container.data(digest), content)
    container.storage.replace(container.revision('b', digest), digest.encode())
    container.storage.replace(container.pointer('b', 'v1'), digest.encode())
    container.storage.replace(container.index('b', 'v1', digest), digest.encode())
    container.storage.replace(container.layer('b', digest_of(b'right')), digest_of(b'right').encode())
    container.storage.replace(container.layer('b', digest_of(b'{}')), digest_of(b'{}').encode())
    for path in (container.pointer('a', 'v1'), container.index('a', 'v1', manifest), container.revision('a', manifest)):
        container.lose(path)

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.STATED, False)], ['b:v1'])
    assert container.storage.get_content(container.data(digest_of(b'right'))) == b'right'


# Lost disks


def files_of(node, content):
    """Return the files in which a Swift of one node keeps objects with these bytes."""
    devices = pathlib.Path(node.log_path).parents[1] / 'devices'
    return [path for path in devices.rglob('*.data') if path.read_bytes() == content]


@pytest.mark.parametrize('place', ['real'], indirect=True)
def test_an_object_whose_disk_was_lost(registry, fsck, place):
    content = os.urandom(100)
    registry.push_image('a', 'v1', content)
    for path in files_of(place.server, content):
        path.unlink()

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.MISSING, False)], ['a:v1'])
    assert fsck(sizes=True, replication_cycle=3600).damages == [(findings.UNKNOWN, False)]
    assert_a_push_heals(registry, fsck, content)


@pytest.mark.parametrize('place', ['real'], indirect=True)
def test_an_object_that_swift_quarantines_when_it_is_read(registry, fsck, place):
    content = os.urandom(100)
    registry.push_image('a', 'v1', content)
    for path in files_of(place.server, content):
        with path.open('r+b') as file:
            file.write(b'rotten')

    found = fsck(deep=True, repair=True)

    assert found.unpullable == ['a:v1']
    assert_a_push_heals(registry, fsck, content)


@pytest.mark.parametrize('place', ['real'], indirect=True)
def test_a_segment_whose_disk_was_lost(registry, fsck, place):
    registry.push_image('a', 'v1', LARGE)
    for path in files_of(place.server, LARGE[MiB : 2 * MiB]):
        path.unlink()

    found = fsck(sizes=True, repair=True)

    assert (found.damages, found.unpullable) == ([(findings.SEGMENTS, False)], ['a:v1'])
    assert_a_push_heals(registry, fsck, LARGE)


# The trash


def test_data_that_a_collection_deleted_come_back(registry, fsck, container):
    from docker_registry.v2.registry import trash

    registry.push_image('a', 'v1', LARGE)
    parts = [trash.Segment(*part) for part in container.storage.parts_of(container.data(DIGEST))]
    record = trash.Record('a run', trash.TRASHED, trash.STATIC, len(LARGE), parts)
    trash.write_record(container.storage, names.digest(DIGEST), record)
    container.lose(container.data(DIGEST))

    assert fsck(repair=True).damages == [(findings.MISSING, True)]

    assert pull(registry) == LARGE


# Reading all


class Reads:
    """Counts what a storage streams."""

    def __init__(self):
        self.paths = []

    def __call__(self, storage):
        stream_read = storage.stream_read

        def counted(path, *arguments, **named):
            self.paths.append(path)
            return stream_read(path, *arguments, **named)

        storage.stream_read = counted

    def of(self, content):
        return sum(digest_of(content)[7:] in path for path in self.paths)


def test_a_blob_is_read_again_after_a_time_only(registry, fsck):
    registry.push_image('a', 'v1', LARGE)

    for options, count in (({}, 1), ({}, 0), ({'read_again': 0}, 1)):
        reads = Reads()
        fsck(deep=True, before=reads, **options)
        assert reads.of(LARGE) == count


def test_a_blob_that_was_stored_again_is_read_again(registry, fsck, container):
    registry.push_image('a', 'v1', b'right')
    fsck(deep=True)
    container.storage.replace(container.data(digest_of(b'right')), b'wrong')

    assert fsck(deep=True).damages == [(findings.BYTES, False)]


def test_an_interrupted_check_goes_on_where_it_was(registry, fsck):
    contents = [bytes([number]) * 5 for number in range(8)]
    registry.push_image('a', 'v1', *contents)
    first = Reads()

    def interrupt(storage):
        first(storage)
        counted = storage.stream_read

        def interrupted(path, *arguments, **named):
            if sum(map(first.of, contents)) >= 5:
                raise KeyboardInterrupt
            return counted(path, *arguments, **named)

        storage.stream_read = interrupted

    with pytest.raises(KeyboardInterrupt):
        fsck(deep=True, before=interrupt)
    second = Reads()
    fsck(deep=True, before=second)

    assert sum(map(second.of, contents)) == len(contents) - 5


def test_bytes_pass_not_faster_than_allowed(monkeypatch):
    monkeypatch.setattr(reading, 'time', SimpleNamespace(monotonic=lambda: 100.0))
    slept = []
    pace = reading.Pace(1000, slept.append)

    for _ in range(4):
        pace(500)

    assert slept == [0.5, 1.0, 1.5, 2.0]  # it does not really sleep, so the time that is due adds up


def test_no_limit_takes_no_time():
    slept = []

    reading.Pace(None, slept.append)(10**12)

    assert slept == []
