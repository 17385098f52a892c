# -*- coding: utf-8 -*-
"""Large objects and many objects. The driver needs bounded memory and no files, and leaves nothing behind."""
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

import fake_swift
import swift_process
from docker_registry.drivers import swift as driver_module
from fake_swift import on, status

MiB = 1024 * 1024
MOST = 100 * MiB  # resident memory of the whole process, including Python and all libraries

PROGRAM = '''
import hashlib, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # the process cannot write to any file
from docker_registry.drivers import swift

config, size, block_size = json.loads(sys.argv[1])


class Source(object):
    """A source of `size` bytes in small blocks. No two MiB are alike."""

    def __init__(self):
        self.left, self.number, self.digest = size, 0, hashlib.sha256()

    def read(self, most=-1):
        block = (b'%020d' % self.number * (block_size // 20 + 1))[:min(self.left, block_size, most)]
        self.left -= len(block)
        self.number += 1
        self.digest.update(block)
        return block


def peak():
    """Peak memory in bytes. getrusage would begin with the memory of the process that forked this one."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))

result = {'imported': peak()}
storage = swift.Storage(config=config)
source, started = Source(), time.time()
storage.stream_write('images/large/layer', source)
result.update(written=peak(), write_seconds=time.time() - started, size=storage.get_size('images/large/layer'))
digest, started = hashlib.sha256(), time.time()
for block in storage.stream_read('images/large/layer'):
    digest.update(block)
result.update(read=peak(), read_seconds=time.time() - started, same=digest.digest() == source.digest.digest())
print(json.dumps(result))
'''


def written_and_read(config, size, block_size=100000):
    """Run PROGRAM in a new process and return its measurements."""
    process = subprocess.Popen([sys.executable, '-c', PROGRAM, json.dumps([config, size, block_size])],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, problems = process.communicate()
    assert process.returncode == 0, problems.decode('utf-8', 'replace')
    result = json.loads(out.decode('ascii'))
    sys.stdout.write('%d MiB: %s\n' % (size // MiB, json.dumps(result, sort_keys=True)))
    return result


def config_for(server, **more):
    return dict({'swift_authurl': server.auth_url, 'swift_auth_version': 1, 'swift_user': server.user,
                 'swift_password': server.key, 'swift_container': 'registry', 'storage_path': 'root'}, **more)


class Zeros(object):
    """A file of `size` bytes."""

    def __init__(self, size):
        self._left = size

    def read(self, size):
        size = min(size, self._left)
        self._left -= size
        return b'\0' * size


def until(condition, seconds=30):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, 'the condition did not become true'
        time.sleep(0.001)


def in_time(seconds, call, *arguments):
    started = time.time()
    call(*arguments)
    assert time.time() - started < seconds


@pytest.mark.skipif(not os.path.exists('/proc/self/status'), reason='this system does not tell the memory of a process')
class TestLargeObjects(object):

    @pytest.fixture
    def frugal(self):
        """A fake Swift that stores equal segments only once."""
        held = {}

        def hold(exchange):
            exchange.read_body()
            body = exchange.request.body
            exchange.request.body = held.setdefault(hashlib.md5(body).digest(), body)
            exchange.send(exchange.perform())
        with fake_swift.FakeSwift() as fake:
            fake.fault(on('PUT', kind='object'), hold, times=None)
            yield fake

    def test_300_mib_go_in_and_out_in_bounded_memory_and_without_a_file(self, frugal):
        result = written_and_read(config_for(frugal), 300 * MiB + 1)

        assert result['same'] and result['size'] == 300 * MiB + 1
        assert max(result['written'], result['read']) < MOST

    def test_removing_a_large_object_leaves_no_segment(self, frugal):
        written_and_read(config_for(frugal, swift_segment_size='1MiB'), 40 * MiB + 1)
        assert len(frugal.container('registry')) == 42
        driver_module.Storage(config=config_for(frugal)).remove('images/large/layer')

        assert sorted(frugal.container('registry')) == []

    @pytest.mark.parametrize('share, gib', [(1, 10), (7, 29), (64, 76), (128, 100)])
    def test_1000_segments_reach_many_gib_even_if_memory_is_always_short(self, frugal, share, gib):
        """:param share: MiB that each segment may have because of the other writers"""
        storage = driver_module.Storage(config=config_for(frugal))
        sizes = []
        for number in range(1000):
            smallest, largest = storage._segment_sizes(number, sum(sizes))
            sizes.append(max(smallest, min(largest, share * MiB)))

        assert sum(sizes) > gib * 1024 * MiB
        assert max(sizes) == 128 * MiB and all(size * 32 <= max(sum(sizes[:i]), 32 * 16 * MiB) for i, size in enumerate(sizes))

    def test_many_small_parts_do_not_make_the_next_segment_large(self, frugal):
        storage = driver_module.Storage(config=config_for(frugal))

        assert [max(storage._segment_sizes(number, number)) for number in (999, 1000, 10000)] == [16 * MiB] * 3

    def test_segments_grow_with_the_bytes_that_are_stored(self, frugal, monkeypatch):
        monkeypatch.setattr(driver_module, 'SEGMENTS_BEFORE_DOUBLING', 4)
        monkeypatch.setattr(driver_module, 'LARGEST_GROWN', 4 * MiB)
        storage = driver_module.Storage(config=config_for(frugal, swift_segment_size='1MiB'))

        assert [part.size // MiB for part in storage.write_parts('cafe', Zeros(21 * MiB))] == [1, 1, 1, 1, 2, 2, 4, 4, 4, 1]
        assert [part.size // MiB for part in storage.write_parts('beef', Zeros(7 * MiB), 10, 6 * MiB)] == [2, 4, 1]

    def test_what_is_larger_than_the_largest_object_goes_in_and_out_of_a_real_swift(self, swift_python):
        """As 6 GiB do below, on a Swift that accepts 17 MB as one object instead of 5 GiB."""
        with swift_process.start(swift_python, set='swift-constraints:max_file_size=17000000') as node:
            result = written_and_read(config_for(node), 200 * MiB + 1, MiB)

        assert result['same'] and result['size'] == 200 * MiB + 1
        assert max(result['written'], result['read']) < MOST

    @pytest.mark.large
    @pytest.mark.skipif(os.environ.get('LARGE') != '1', reason='takes 6 GiB and minutes: set LARGE=1')
    def test_6_gib_go_in_and_out_of_a_real_swift(self, request):
        config = config_for(request.getfixturevalue('real_swift'), swift_container='large-%d' % time.time())
        result = written_and_read(config, 6 * 1024 * MiB + 1, MiB)
        assert result['same'] and result['size'] == 6 * 1024 * MiB + 1
        assert max(result['written'], result['read']) < MOST

        storage = driver_module.Storage(config=config)
        storage.remove('images/large/layer')
        assert [entry for page in storage._swift.list_all('') for entry in page] == []


class Slow(object):
    """A file whose reader waits after `size` bytes until `go` is set, and which then ends."""

    def __init__(self, size, go):
        self.left, self._go = size, go
        self.stalled = threading.Event()

    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        if not size:
            self.stalled.set()
            assert self._go.wait(140)
        return b'\0' * size


class TestManyWriters(object):
    """All writers of a process share its memory."""

    BUDGET, WRITERS = 24 * MiB, 40
    SLACK = 2 * MiB + 2 * driver_module.READ_SIZE  # of each writer: two segments of the smallest size

    @pytest.fixture
    def storage(self, fake, fake_storage):
        return fake_storage(swift_segment_size='4MiB', swift_write_memory='%d' % self.BUDGET, swift_pool_size=32)

    @pytest.fixture
    def writers(self, storage):
        """A function that starts slow writers, waits until all their clients are silent, and returns (threads, an event to go on)."""
        def start(sizes, write):
            go, threads = threading.Event(), []
            for number, size in enumerate(sizes):
                source = Slow(size, go)
                threads.append(threading.Thread(target=write, args=(storage, number, source)))
                threads[-1].daemon = True
                threads[-1].start()
                sources.append(source)
            for source in sources:
                assert source.stalled.wait(120)
            return threads, go
        sources = []
        return start

    WRITES = [
        lambda storage, number, source: storage.write_parts('part-%d' % number, source),
        lambda storage, number, source: storage.stream_write('stream/%d' % number, source),
        lambda storage, number, source: storage.put_stream('put/%d' % number, source, 'put-%d' % number)]

    @pytest.mark.parametrize('write', WRITES, ids=['write_parts', 'stream_write', 'put_stream'])
    def test_slow_clients_hold_no_more_memory_than_is_set_and_no_connection(self, storage, writers, write, free_connections):
        memory, most = storage._swift.segments(None)._memory, []
        add = memory.add
        memory.add = lambda *count: [add(*count), most.append(memory.held)]
        threads, go = writers([4 * MiB - 1] * self.WRITERS, write)
        most_held = self.BUDGET + self.WRITERS * (MiB + driver_module.READ_SIZE)
        # Swift is quick, although the clients are not. Between two segments, too, nobody may have a connection for a moment.
        until(lambda: free_connections(storage) == storage.settings.pool_size and memory.held <= most_held)
        go.set()
        for thread in threads:
            thread.join(60)

        # 40 writers with one segment of 4 MiB each would hold 160 MiB.
        assert max(most) <= self.BUDGET + self.WRITERS * self.SLACK
        assert memory.held == 0

    def test_a_writer_alone_gets_whole_segments(self, storage):
        assert [part.size for part in storage.write_parts('cafe', Zeros(9 * MiB))] == [4 * MiB, 4 * MiB, MiB]

    def test_a_segment_is_sent_before_swift_has_answered_for_the_last_one_and_a_third_is_not_read(self, storage, fake):
        memory, most = storage._swift.segments(None)._memory, []
        add = memory.add
        memory.add = lambda *count: [add(*count), most.append(memory.held)]
        under_way, both = [], threading.Event()

        def hold(exchange):
            exchange.read_body()
            under_way.append(exchange)
            if len(under_way) == 2:
                both.set()
            assert both.wait(30)
            exchange.send(exchange.perform())
        fake.fault(on('PUT', kind='object'), hold, times=None)
        parts = storage.write_parts('cafe', Zeros(16 * MiB))

        assert [part.size // MiB for part in parts] == [4, 4, 4, 4]
        assert max(most) == 8 * MiB

    def test_one_connection_is_enough_for_two_segments(self, fake_storage):
        storage = fake_storage(swift_segment_size='1MiB', swift_pool_size=1, swift_pool_timeout=0.001)

        assert [part.size for part in storage.write_parts('cafe', Zeros(5 * MiB))] == [MiB] * 5

    def test_the_bytes_of_shorter_segments_are_the_same(self, storage, writers):
        content = os.urandom(9 * MiB + 5)
        threads, go = writers([4 * MiB - 1] * self.WRITERS, self.WRITES[0])
        storage.stream_write('large', io.BytesIO(content))
        go.set()
        for thread in threads:
            thread.join(60)

        assert b''.join(storage.stream_read('large')) == content

    def test_a_failure_frees_the_memory(self, storage, fake):
        class Broken(Zeros):
            def read(self, size):
                block = Zeros.read(self, size)
                if not block:
                    raise IOError('the client has gone')
                return block
        for write in self.WRITES:
            with pytest.raises(IOError):
                write(storage, 1, Broken(5 * MiB))
        fake.fault(on('PUT', kind='object'), status(507), times=None)
        for write in self.WRITES:
            with pytest.raises(driver_module.exceptions.BrokenError):
                write(storage, 2, Zeros(9 * MiB))

        assert storage._swift.segments(None)._memory.held == 0

    def test_small_blocks_take_no_more_memory_than_large_ones(self, storage):
        class Drops(Zeros):
            def read(self, size):
                return Zeros.read(self, min(size, 10))
        source = storage._swift.segments(Drops(MiB))
        blocks = source.read(4 * MiB, 4 * MiB)

        assert len(blocks) <= 5 and sum(map(len, blocks)) == MiB
        source.close()


class TestManyObjects(object):

    def seed(self, fake, count):
        """Make a repository of `count` objects, one of them large, and siblings whose names begin the same."""
        for number in range(count - 1):
            fake.put('registry', 'root/repositories/library/x/%05d/json' % number, b'')
        self.siblings = ['root/repositories/library/x-y', 'root/repositories/library/x2/json', 'root/repositories/library/x0']
        for name in self.siblings:
            fake.put('registry', name, b'')
        storage = driver_module.Storage(config=config_for(fake, swift_segment_size='1MiB'))

        storage.stream_write('repositories/library/x/large', Zeros(3 * MiB))
        fake.clear_requests()
        return storage

    def assert_removed(self, fake):
        assert sorted(fake.container('registry')) == sorted(self.siblings)

    def test_25000_are_removed_by_pages(self):
        with fake_swift.FakeSwift() as fake:
            storage = self.seed(fake, 25000)
            in_time(60, storage.remove, 'repositories/library/x')

            self.assert_removed(fake)
            assert len(fake.requests) < 16

    def test_pages_of_bulk_deletes_are_as_small_as_the_server_wants_them(self):
        with fake_swift.FakeSwift(max_deletes=700) as fake:
            storage = self.seed(fake, 2500)
            storage.remove('repositories/library/x')

            self.assert_removed(fake)
            assert max(request.body.count(b'\n') + 1 for request in fake.requests if request.method == 'POST') == 700

    @pytest.mark.parametrize('count', [
        500, pytest.param(25000, marks=[pytest.mark.large, pytest.mark.skipif(
            os.environ.get('LARGE') != '1', reason='takes minutes: set LARGE=1')])])
    def test_without_bulk_deletes_they_are_removed_one_by_one(self, count):
        with fake_swift.FakeSwift(bulk=False, listing_limit=200) as fake:
            storage = self.seed(fake, count)
            storage.remove('repositories/library/x')

            self.assert_removed(fake)

    def test_a_failure_half_way_leaves_the_rest_to_the_next_try(self):
        with fake_swift.FakeSwift(listing_limit=300) as fake:
            storage = self.seed(fake, 1000)
            fake.fault(on('POST'), status(507), times=None, after=1)
            fake.fault(on('DELETE'), status(507), times=None, after=1)
            with pytest.raises(driver_module.exceptions.BrokenError):
                storage.remove('repositories/library/x')
            fake.clear_faults()
            storage.remove('repositories/library/x')

            self.assert_removed(fake)

    def test_listing_25000_holds_one_page_at_a_time(self):
        with fake_swift.FakeSwift() as fake:
            storage = self.seed(fake, 25000)
            walking = storage.walk('repositories/library/x')
            next(walking)
            assert len([request for request in fake.requests if request.kind == 'container']) == 1

            assert len(list(walking)) == 24999
            fake.clear_requests()
            assert len(list(storage.list_directory('repositories/library/x'))) == 25000
