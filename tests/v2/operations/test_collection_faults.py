"""Collections on a Swift that answers wrongly, and what a memory of the last run may lead to. The clock is turned on by days."""

import contextlib
import json

import pytest
from collected import LARGE, World
from collection_process import Clock, Process, case, sample

from docker_registry.core import exceptions
from docker_registry.v2 import cli
from docker_registry.v2.operations.collection import lock
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.problems import Problem
from docker_registry.v2.operations.collection.run import Options, collect
from docker_registry.v2.registry import layout, names
from docker_registry.v2.registry.trash import Trash
from fake_swift import FakeSwift, bulk_errors, on, status
from registry_client import digest_of


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


def data(content):
    return layout.blob(names.digest(digest_of(content)))


def requires_all(world):
    world.require_safe()
    world.settle()
    world.require_safe()
    world.require_clean()


def keep_one(world):
    """Push an image with a large layer, and return the layer."""
    large = world.bytes(LARGE)
    world.push(world.registry(), world.new_image('a', 'kept', large))
    return large


def test_a_large_object_that_was_not_found_once_keeps_its_segments(world):
    large = keep_one(world)
    world.age(8)
    fault = world.server.fault(on('HEAD', path_contains=data(large)), status(404))

    world.collect()
    assert fault.hits == 1

    requires_all(world)


def test_segments_stay_while_swift_does_not_tell_who_else_has_them(world):
    """One upload may have been committed under two digests."""
    large = world.bytes(LARGE)
    world.registry().push_blob('a', large)
    world.age(8)
    storage = world.place.storage()
    parts = storage.parts_of(data(large))
    for _ in range(2):
        world.collect()  # to the trash, and to `purging`
        world.age(8)
    other = layout.blob(names.digest(digest_of(large, 'sha512')))
    storage.compose(other, parts)
    world.server.fault(on('HEAD', path_contains=other), status(503), times=None)

    world.collect()

    world.require_whole()
    world.server.clear_faults()
    world.settle()
    assert not [name for name in world.container.objects if '_trash/' in name or '/data' in name]


def test_segments_of_an_upload_of_distribution_go_when_its_blob_is_gone(world):
    keep_one(world)
    content = world.bytes(1000)
    world.distribution_blob(content, upload=('a', '5ca1ab1e'))
    world.age(1)
    world.collect()  # which remembers what the upload consists of
    objects = world.server.container(world.place.container)
    begun = 'files/' + layout.REPOSITORIES + '/a/_uploads/5ca1ab1e/'
    objects['files/' + data(content)] = objects.pop(begun + 'data')  # distribution moves it
    del objects[begun + 'startedat']

    requires_all(world)


def test_the_bytes_of_a_blob_of_distribution_count_once(world):
    keep_one(world)
    world.distribution_blob(world.bytes(1000))

    counts = collect(world.place.storage(), Options(Bounds.quiet())).counts

    assert (counts['purged'], counts['foreign_segments']) == (1, 2)
    assert counts['purged_bytes'] + counts['segment_bytes'] == 1000


def test_a_copy_without_a_record_goes(world):
    keep_one(world)
    content = world.bytes()
    world.registry().push_blob('a', content)
    world.age(8)
    world.server.fault(on('PUT', path_contains='/record'), status(400))
    with pytest.raises(exceptions.BrokenError):
        world.collect()
    world.server.clear_faults()
    pushed = world.new_image('a', 'again', content)
    world.push(world.registry(), pushed)

    requires_all(world)


def test_what_came_back_from_a_dynamic_large_object_can_go_again(world):
    keep_one(world)
    content = world.bytes(1000)
    world.distribution_blob(content)
    world.age(8)
    world.collect()
    answer = world.registry()('POST', f'/v2/a/blobs/uploads/?mount={digest_of(content)}')
    assert answer.status_code == 202  # the registry does not know yet that the trash has something

    assert Trash(world.place.storage()).restore_data(names.digest(digest_of(content)))

    requires_all(world)


def test_a_record_that_no_listing_shows_yet_keeps_its_segments(world):
    """A run has marked them as unnamed, because no listing showed the blob. The next one forgot that, and crashed before it said so."""
    large, kept = world.bytes(LARGE), keep_one(world)
    world.registry().push_blob('a', large)
    world.age(8)
    world.container.frozen = {name: found for name, found in world.container.objects.items() if name != 'files/' + data(large)}
    world.collect()
    world.age(3)
    world.catch_up()
    process = Process(world.place.storage())
    world.server.fault(on('PUT', path_contains='_gc/memory'), dies(process))
    assert process.collect() is None
    assert 'files/' + data(large) not in world.container.objects and 'files/' + data(kept) in world.container.objects
    world.container.frozen = {name: found for name, found in world.container.objects.items() if '/_trash/' not in name}
    world.age(0.1)
    world.collect()
    world.catch_up()

    assert world.registry()('GET', f'/v2/a/blobs/{digest_of(large)}').status_code == 200
    world.require_whole()
    requires_all(world)


def test_a_record_that_was_written_anew_is_as_young_as_it_is(world):
    """A run has dropped the old one and written another, and crashed before it said so. The listing still shows the old one."""
    keep_one(world)
    content = world.bytes()
    world.registry().push_blob('a', content)
    world.age(8)
    world.collect()
    assert Trash(world.place.storage()).restore_data(names.digest(digest_of(content)))
    world.age(0.1)
    world.collect()  # which reads the record, and remembers it
    world.age(8.5)
    world.lag()
    process = Process(world.place.storage())
    world.server.fault(on('PUT', path_contains='_gc/memory'), dies(process))
    assert process.collect() is None
    record = world.container.objects['files/' + layout.trashed_blob(names.digest(digest_of(content)))]
    del world.container.frozen['files/' + data(content)]

    world.age(0.5)
    world.collect()

    assert world.container.objects['files/' + layout.trashed_blob(names.digest(digest_of(content)))] is record


def dies(process):
    """A process that ends before Swift has the request."""

    def act(exchange):
        exchange.read_body()
        process.is_dead = True
        exchange.hang_up()

    return act


def test_a_run_reports_only_what_it_has_put_back(world):
    keep_one(world)
    registry = world.registry()
    pushed = world.new_image('a', 'v', world.bytes())
    digest = world.push(registry, pushed)
    world.delete(registry, 'a', world.refer(registry, 'a', digest))
    world.delete(registry, 'a', digest)
    world.litter('x')
    world.age(8)
    world.collect()
    world.push(registry, pushed)

    counts = [world.collect().counts.get('restored_links', 0) for _ in range(3)]

    assert counts[1:] == [0, 0]


def test_the_command_collects(world, capsys, monkeypatch):
    keep_one(world)
    content = world.bytes()
    world.registry().push_blob('a', content)
    world.age(8)
    for name, value in {
        'OS_AUTH_URL': world.server.auth_url,
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': world.server.user,
        'OS_PASSWORD': world.server.key,
        'OS_CONTAINER': world.place.container,
        'STORAGE_PATH': 'files',
    }.items():
        monkeypatch.setenv(name, value)

    assert cli.main(['gc', '--json']) == 0

    assert json.loads(capsys.readouterr().out)['counts']['blobs'] == 1


def test_a_dry_run_writes_nothing(world):
    keep_one(world)
    world.litter('x')
    world.age(8)
    before = dict(world.container.objects)
    world.server.clear_requests()

    report = world.collect(dry_run=True)

    assert world.container.objects == before
    assert {request.method for request in world.server.requests} <= {'GET', 'HEAD'}
    assert report.counts['blobs'] and report.counts['links']


def test_a_dry_run_of_an_empty_container(world):
    world.place.storage()

    assert not world.collect(dry_run=True).counts


def test_a_quiet_container_costs_no_request_for_what_is_known(world):
    world.keep_images()
    world.age(8)
    world.collect()
    process = Process(world.place.storage())
    world.server.clear_requests()

    process.collect(take_lock=True)

    asked = [request.name for request in world.server.requests if request.kind == 'object']
    assert not [name for name in asked if not name.startswith('files/_gc/')], asked
    assert process.requests < 30  # six are for the table of sizes


@pytest.mark.parametrize('code', [404, 500, 503])
def test_a_listing_that_fails_stops_the_run(world, code):
    world.keep_images()
    world.litter('x')
    world.age(8)
    before = set(world.container.objects)
    world.server.fault(on('GET', kind='container', query='marker'), status(code), times=None)
    world.server.fault(on('GET', kind='container', query='prefix'), status(code), times=None)

    with pytest.raises(exceptions.UnspecifiedError):
        world.collect()

    assert before <= set(world.container.objects)


@pytest.mark.parametrize('code', [202, 400, 503])
def test_a_record_that_is_not_stored_stops_the_deletion(world, code):
    world.keep_images()
    world.litter('x')
    world.age(8)
    blobs = {name for name in world.container.objects if name.startswith('files/' + layout.BLOBS)}
    world.server.fault(on('PUT', path_contains='/record'), status(code), times=None)

    with pytest.raises(exceptions.UnspecifiedError):
        world.collect()

    assert blobs <= set(world.container.objects)
    world.server.clear_faults()
    requires_all(world)


FAULTS = {
    'bulk deletes leave some': (on('POST', query='bulk-delete'), bulk_errors(lambda name: 503 if 'd' in name[-12:] else None)),
    'bulk deletes fail': (on('POST', query='bulk-delete'), status(503)),
    'bulk deletes are refused': (on('POST', query='bulk-delete'), bulk_errors('401 Unauthorized')),
    'deletes find nothing': (on('DELETE'), status(404)),
    'deletes fail': (on('DELETE'), status(503)),
    'copies fail': (on('PUT', path_contains='/copy'), status(503)),
    'copies are not stored': (on('PUT', path_contains='/copy'), status(202)),
    'copies find nothing': (on('PUT', path_contains='/copy'), status(404)),
    'the memory is not stored': (on('PUT', path_contains='_gc/memory'), status(503)),
    'heads find nothing': (on('HEAD'), status(404)),
    'heads fail': (on('HEAD'), status(503)),
    'gets find nothing': (on('GET', kind='object'), status(404)),
    'gets fail': (on('GET', kind='object'), status(503)),
}


def test_nothing_is_lost_on_a_swift_that_fails(made):
    world, states, _ = made
    cases = [(fault, times, after, first) for fault in FAULTS for times, after in ((1, 5), (7, 0), (50, 0)) for first in range(3)]
    for fault, times, after, first in sample('faults', cases, 6):
        with case(fault=fault, times=times, after=after, state=first):
            world.load(states[first])
            for _ in range(2):
                failing = world.server.fault(*FAULTS[fault], times=times, after=after)
                with contextlib.suppress(exceptions.UnspecifiedError, Problem):
                    world.collect(force=False)
                failing.cancel()
                world.require_safe()
                world.age(8)
            world.settle()
            world.require_safe()
            world.require_clean()
