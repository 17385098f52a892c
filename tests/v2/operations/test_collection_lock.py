"""The lock of the collection, its brakes, its memory and its bounds."""

import json
import signal
import subprocess
import sys

import pytest
from collected import World
from collection_process import Clock, Process

import registry_process
from docker_registry.v2.operations.collection import brakes, lock, memory
from docker_registry.v2.operations.collection.bounds import DAY, HOUR, Bounds
from docker_registry.v2.operations.collection.lock import Lock
from docker_registry.v2.operations.collection.problems import Locked, LyingListing, Problem, Stopped
from docker_registry.v2.registry import layout
from fake_swift import FakeSwift

PROMPT = lock.PROMPT


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)
    with FakeSwift(token_life=10**9) as server:
        yield World(server, Clock(monkeypatch))


@pytest.fixture
def passes(monkeypatch):
    """Let seconds pass for the lock's own clock."""
    elapsed = lock._elapsed
    passed = [0]
    monkeypatch.setattr(lock, '_elapsed', lambda: elapsed() + passed[0])

    def go(seconds):
        passed[0] += seconds

    return go


def locked(world):
    return 'files/' + layout.LOCK in world.container.objects


def left_by(world, **changes):
    """Leave the lock of a process as it is after a crash."""
    content = {'run': 'old', 'host': 'elsewhere', 'at': 'then', **lock._process(), **changes}
    world.place.storage().replace(layout.LOCK, json.dumps(content).encode())


def test_a_second_collection_is_refused_while_one_runs(world):
    with Lock(world.place.storage()):
        with pytest.raises(Locked, match='another collection has the lock: run'):
            world.collect(take_lock=False)

    assert not locked(world)
    world.collect(take_lock=False)


def test_a_lock_stays_after_a_failure_and_goes_after_a_problem(world):
    with pytest.raises(OSError), Lock(world.place.storage()):
        raise OSError()
    assert locked(world)

    with pytest.raises(Stopped), Lock(world.place.storage(), take=True):
        raise Stopped('here')
    assert not locked(world)


@pytest.mark.parametrize('minutes, is_taken', [(14, False), (16, True)])
def test_the_lock_of_a_process_that_has_ended_is_taken_after_a_quarter_of_an_hour(world, minutes, is_taken):
    left_by(world, process='999999999 1')
    world.clock.ahead += minutes * 60

    if is_taken:
        with Lock(world.place.storage()) as taken:
            assert taken.was_left
    else:
        with pytest.raises(Locked):
            Lock(world.place.storage()).__enter__()


@pytest.mark.parametrize('changes', [{'machine': 'another'}, {'machine': ''}, {'process': 'nonsense'}, {}])
@pytest.mark.parametrize('hours, is_taken', [(11.9, False), (12.1, True)])
def test_any_other_lock_is_taken_after_half_a_day(world, changes, hours, is_taken):
    left_by(world, **changes)
    world.clock.ahead += hours * HOUR

    if is_taken:
        with Lock(world.place.storage()) as taken:
            assert taken.was_left
    else:
        with pytest.raises(Locked):
            Lock(world.place.storage()).__enter__()


@pytest.mark.parametrize('content', [b'', b'[]', b'\xff', b'{"process": 1}', b'null'])
def test_a_lock_that_nobody_understands_is_waited_for(world, content):
    world.place.storage().replace(layout.LOCK, content)

    with pytest.raises(Locked):
        world.collect(take_lock=False)


def test_a_collection_that_has_slept_stops(world, passes):
    with pytest.raises(Locked, match='has not renewed its lock'), Lock(world.place.storage()) as held:
        passes(601)
        held.check()


def test_a_run_that_sleeps_before_a_deletion_deletes_nothing(world, passes):
    world.keep_images()
    world.litter('x')
    world.age(8)
    before = set(world.container.objects)
    process = Process(world.place.storage())
    world.server.fault(lambda request: '_trash' in request.path and request.method == 'PUT', slept(passes))

    with pytest.raises(Locked):
        process.collect()

    assert before <= set(world.container.objects)


def slept(passes):
    def act(exchange):
        passes(3600)
        exchange.read_body()
        exchange.send(exchange.perform())

    return act


# Brakes


@pytest.mark.parametrize('skew', [-61, 61])
def test_clocks_that_differ_stop_a_collection(skew):
    brakes.require_clock(1000, 1059)
    with pytest.raises(Stopped, match='61 seconds'):
        brakes.require_clock(1000, 1000 + skew)


def test_a_loss_of_links_stops_a_collection_and_force_goes_on(world):
    registry = world.registry()
    layers = [world.bytes() for _ in range(40)]
    world.push(registry, world.new_image('a', 'v', *layers))
    world.age(8)
    world.collect(force=False)
    objects = world.container.objects
    lost = {name: objects.pop(name) for name in list(objects) if '/_layers/' in name and name[-10] in '0123456789'}
    assert len(lost) > 20
    before = set(objects)

    with pytest.raises(Stopped, match='links'):
        world.collect(force=False)

    assert before == set(objects) and not locked(world)
    world.collect(force=True)


def test_most_of_the_bytes_at_once_stop_a_collection(world):
    registry = world.registry()
    for number in range(12):
        registry_push = world.new_image('a', f'v{number}', *[world.bytes() for _ in range(9)])
        digest = world.push(registry, registry_push)
        if number:
            world.delete(registry, 'a', digest)
    world.age(8)
    before = set(world.container.objects)

    with pytest.raises(Stopped, match='9[0-9]% of the bytes'):
        world.collect(force=False)

    assert before == set(world.container.objects)
    world.settle()
    world.require_clean()


def test_a_dry_run_goes_on_where_a_brake_would_stop_a_run(world):
    for _ in range(brakes.SMALL + 1):
        world.registry().push_blob('a', world.bytes())
    world.age(8)

    report = world.collect(dry_run=True, force=False)

    assert report.counts['blobs'] == brakes.SMALL + 1
    assert 'a run would stop here: 100% of the bytes' in next(iter(report.remarks))


def test_a_link_that_no_listing_shows_stops_a_collection(world):
    registry = world.registry()
    content = world.bytes()
    registry.push_blob('a', content)
    world.push(registry, world.new_image('a', 'v', content))
    world.age(1)
    world.collect()
    hidden = ('/_layers/', '/_manifests/')
    world.age(8)
    world.container.frozen = {name: found for name, found in world.container.objects.items() if not any(part in name for part in hidden)}

    for _ in range(2):  # and so does the next one
        with pytest.raises(LyingListing, match='no listing shows it'):
            world.collect()

    world.catch_up()
    world.require_safe()
    world.settle()
    world.require_clean()


# Memory


@pytest.mark.parametrize('spoil', ['lost', 'cut', 'nonsense', 'of another version'])
def test_without_memory_a_collection_begins_anew(world, monkeypatch, spoil):
    world.keep_images()
    world.litter('x')
    world.age(8)
    world.collect()
    objects, name = world.container.objects, 'files/' + layout.MEMORY
    if spoil == 'lost':
        del objects[name]
    elif spoil == 'of another version':
        monkeypatch.setattr(memory, 'VERSION', memory.VERSION + 1)
    else:
        world.server.put(world.place.container, name, objects[name].body[:1000] if spoil == 'cut' else b'nonsense')

    world.age(8)
    report = world.collect()

    assert 'segments' not in report.counts  # it does not know since when they have been unnamed
    world.settle()
    world.require_safe()
    world.require_clean()


# Bounds


def test_bounds_add_up():
    bounds = Bounds()

    assert bounds.settled == HOUR + DAY + 300
    assert bounds.kept == 7 * DAY
    assert Bounds(keep_trash=0).kept == bounds.upload + bounds.settled
    assert bounds.abandoned == 3 * DAY + 300
    assert Bounds(upload=3 * DAY).abandoned == 5 * DAY + 300
    assert Bounds.quiet().is_quiet and not bounds.is_quiet


def test_bounds_that_a_push_cannot_rely_on_are_refused():
    Bounds(older_than=600 + HOUR).require_sense()
    Bounds.quiet().require_sense()
    with pytest.raises(ValueError, match='--older-than must be at least'):
        Bounds(older_than=600 + HOUR - 1).require_sense()


def test_problems_are_told_in_one_line():
    assert issubclass(Locked, Problem) and issubclass(Stopped, Problem) and issubclass(LyingListing, Problem)


def test_sigterm_ends_a_loop_also_in_the_first_process_of_a_container(fake):
    environ = registry_process.environment(fake)
    fake.create_container(environ['OS_CONTAINER'])
    with subprocess.Popen([*registry_process.COMMAND, 'gc', '--every', '1h'], env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert 'Run ' in process.stdout.readline()

        process.send_signal(signal.SIGTERM)

        assert process.wait(registry_process.DEADLINE) == 128 + signal.SIGTERM  # of a handler: without one, that process ignores it


def test_two_that_take_over_a_left_lock_never_both_have_it(world, passes, monkeypatch):
    left_by(world)
    world.clock.ahead += 13 * HOUR
    monkeypatch.setattr(lock, 'PROMPT', PROMPT)
    monkeypatch.setattr(lock.time, 'sleep', passes)
    first, slow = Lock(world.place.storage()), world.place.storage()
    look = slow.get_object

    def look_and_stall(*arguments, **named):
        slow.get_object = look
        found = look(*arguments, **named)
        first.__enter__()
        passes(5)
        return found

    slow.get_object = look_and_stall
    with Lock(slow), pytest.raises(Locked):
        first.check()
    first.__exit__(None, None, None)


def test_a_disk_that_cannot_be_written_is_named_in_a_line(fake):
    program = """
import sys, tempfile
tempfile._candidate_tempdir_list = lambda: ['/nowhere']
from docker_registry.v2 import cli
sys.exit(cli.main(['gc']))
"""

    environ = registry_process.environment(fake)
    fake.create_container(environ['OS_CONTAINER'])
    done = subprocess.run([sys.executable, '-c', program], env=environ, capture_output=True, text=True, timeout=registry_process.DEADLINE)

    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'No usable temporary directory' in done.stderr
