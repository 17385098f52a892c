# -*- coding: utf-8 -*-
"""One driver with threads, greenlets and forks. Its connections are bounded, never shared, and never lost."""
import gc
import io
import os
import subprocess
import sys
import threading
import time

import pytest

import fake_swift
from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on, status

SEGMENT = 1024 * 1024


def stored(request):
    return request.kind != 'auth'


def failure(call, *arguments):
    """The class of the error that a call raises."""
    with pytest.raises(exceptions.UnspecifiedError) as raised:
        call(*arguments)
    return raised.type


def in_threads(count, work, *arguments):
    """Run work(number) in `count` threads. Returns their results, or raises the first error."""
    results, failures = [None] * count, []

    def run(number):
        try:
            results[number] = work(number, *arguments)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not [thread for thread in threads if thread.is_alive()], 'threads hang'
    if failures:
        raise failures[0]
    return results


def until(condition, seconds=30):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, 'the condition did not become true'
        time.sleep(0.001)


@pytest.fixture
def busiest(fake):
    """A function that returns the highest number of requests that the fake served at a time, not counting logins."""
    lock, working, most = threading.Lock(), [], []

    def count(exchange):
        with lock:
            working.append(exchange)
            most.append(len(working))
        try:
            exchange.stall(0.01)
            fake_swift.serve(exchange)
        finally:
            with lock:
                working.remove(exchange)

    fake.fault(on(where=stored), count, times=None)
    return lambda: max(most)


class TestPool(object):

    def test_no_more_connections_are_made_than_allowed(self, fake, fake_storage, busiest, free_connections):
        storage = fake_storage(swift_pool_size=3)
        in_threads(12, lambda number: [storage.put_content('some/%d' % number, b'x'), storage.get_content('some/%d' % number),
                                       storage.exists('other'), list(storage.list_directory('some'))])

        assert busiest() == 3
        assert fake.connections_made <= 3 + 1  # and one for the login
        assert free_connections(storage) == 3

    @pytest.mark.parametrize('operation', [
        lambda storage: storage.stream_write('large', io.BytesIO(b'x' * (2 * SEGMENT + 1))),
        lambda storage: storage.remove('there'), lambda storage: storage.compose('c', storage.write_parts('p', io.BytesIO(b'x'))),
        lambda storage: b''.join(storage.stream_read('there/large')), lambda storage: list(storage.walk()),
        lambda storage: pytest.raises(exceptions.FileNotFoundError, storage.get_content, 'nothing')])
    def test_one_connection_is_enough_for_any_operation(self, fake, fake_storage, operation):
        storage = fake_storage(swift_pool_size=1, swift_pool_timeout=10)
        storage.stream_write('there/large', io.BytesIO(b'x' * (2 * SEGMENT)))
        fake.fault(on('GET', kind='object'), fake_swift.cut_response(1000))

        operation(storage)

    def test_none_that_is_free_in_time_is_said(self, fake, fake_storage):
        storage = fake_storage(swift_pool_size=2, swift_pool_timeout=0.05)
        fake.put('registry', 'large', b'x' * SEGMENT)
        held = [storage.stream_read('large') for _ in range(2)]

        with pytest.raises(exceptions.UnreachableError) as raised:
            storage.exists('large')
        assert 'swift_pool_size' in str(raised.value) and '2' in str(raised.value)
        assert len([request for request in fake.requests if request.method == 'HEAD']) == 0
        del held

    def test_whoever_waits_gets_the_next_that_is_free(self, fake, fake_storage):
        storage = fake_storage(swift_pool_size=1, swift_pool_timeout=20)
        fake.put('registry', 'large', b'x' * SEGMENT)
        stream = storage.stream_read('large')
        waiter = threading.Thread(target=storage.exists, args=('large',))
        waiter.start()
        stream.close()
        waiter.join(10)

        assert not waiter.is_alive()

    def test_whoever_has_waited_longest_is_next(self, fake, fake_storage):
        """Also before somebody who asks at the moment at which a connection gets free."""
        pool = fake_storage(swift_pool_size=1)._swift._pool
        url, served = 'http://swift.example.com/v1', []
        connection = pool.take(url)

        def work(number):
            taken = pool.take(url)
            served.append(number)
            pool.give_back(taken, True)
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            until(lambda: len(pool._waiting) == number + 1)
        pool.give_back(connection, True)
        work('late')
        for thread in threads:
            thread.join(10)

        assert served == [0, 1, 2, 3, 4, 'late']

    def test_one_who_gives_up_waiting_is_left_out(self, fake, fake_storage):
        pool = fake_storage(swift_pool_size=1, swift_pool_timeout=0.01)._swift._pool
        connection = pool.take('http://swift.example.com/v1')
        with pytest.raises(exceptions.UnreachableError):
            pool.take('http://swift.example.com/v1')
        pool.give_back(connection, True)

        assert pool.free() == 1

    def test_connections_are_kept_open(self, fake, fake_storage):
        storage = fake_storage()
        for _ in range(20):
            storage.exists('nothing')

        assert fake.connections_made <= 2

    def test_a_stream_that_the_garbage_collector_finds_at_a_bad_moment_blocks_nobody(self, fake, fake_storage, free_connections):
        storage = fake_storage(swift_pool_size=1, swift_pool_timeout=20)
        fake.put('registry', 'large', b'x' * SEGMENT)

        def collect():
            stream = storage.stream_read('large')
            with storage._swift._pool._lock:
                del stream
                gc.collect()
        in_threads(1, lambda number: collect())

        assert storage.exists('large')
        assert free_connections(storage) == 1

    def test_another_server_gets_no_connection_of_the_one_before(self, fake, fake_storage):
        pool = fake_storage(swift_pool_size=1)._swift._pool
        connection = pool.take('http://swift.example.com/v1/AUTH_x')
        pool.give_back(connection, True)
        assert pool.take('http://swift.example.com/v1/AUTH_y') is connection
        pool.give_back(connection, True)

        assert pool.take('http://swift.example.com.org/v1/AUTH_x').url == 'http://swift.example.com.org'

    @pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_an_interruption_loses_no_connection(self, fake, fake_storage, free_connections, monkeypatch, kind):
        storage = fake_storage()
        fake.put('registry', 'large', b'x' * SEGMENT)
        stream = storage.stream_read('large')

        def interrupted(*_, **more):
            raise kind()
        stream._response._raw.raw.read = interrupted
        with pytest.raises(kind):
            next(stream)
        monkeypatch.setattr(driver_module.swiftclient.HTTPConnection, 'request', interrupted)
        with pytest.raises(kind):
            storage.exists('large')

        assert free_connections(storage) == storage.settings.pool_size


class TestThreads(object):

    def test_the_container_is_created_once(self, fake, fake_storage):
        storage = fake_storage()
        in_threads(8, lambda number: storage.put_content('c/%d' % number, b'x'))

        assert len([request for request in fake.requests if request.method == 'PUT' and request.kind == 'container']) == 1
        assert len(fake.container('registry')) == 8

    def test_streams_in_both_directions_keep_their_bytes(self, fake, fake_storage, free_connections):
        storage = fake_storage(swift_pool_size=4)
        contents = [os.urandom(1000) * 1500 for _ in range(8)]
        for turn in range(0, 60, 7):
            fake.fault(on('GET', kind='object'), fake_swift.cut_response(100000 + turn), after=turn)

        def work(number):
            storage.stream_write('t/%d' % number, io.BytesIO(contents[number]))
            return b''.join(storage.stream_read('t/%d' % number))
        assert in_threads(8, work) == contents
        assert free_connections(storage) == 4

    def test_a_slow_reader_keeps_nobody_waiting(self, fake, fake_storage):
        storage = fake_storage(swift_pool_size=2)
        fake.put('registry', 'large', b'x' * 5 * SEGMENT)
        stream = storage.stream_read('large')
        next(stream)
        started = time.time()
        for _ in range(50):
            assert storage.exists('large')

        assert time.time() - started < 10
        assert len(b''.join(stream)) < 5 * SEGMENT

    def test_one_put_new_of_many_wins(self, fake, fake_storage):
        storage = fake_storage()
        storage.connect()

        assert sorted(in_threads(6, lambda number: storage.put_new('one', b'%d' % number))) == [False] * 5 + [True]

    def test_writers_and_removers_of_one_path_leave_no_object_with_a_hole(self, fake, fake_storage):
        storage = fake_storage(swift_pool_size=8)
        storage.connect()

        def work(number):
            for turn in range(4):
                if number % 2:
                    storage.stream_write('contested', io.BytesIO(b'%d%d' % (number, turn) * (SEGMENT // 2 + 1)))
                else:
                    try:
                        storage.remove('contested')
                    except exceptions.FileNotFoundError:
                        pass
        in_threads(6, work)

        item = fake.container('registry').get('contested')
        if item is not None:
            pieces = [piece for piece, _ in fake.large.pieces(fake.accounts['AUTH_test'], item)]
            assert None not in pieces and len(set(b''.join(pieces)[:2] for _ in pieces)) == 1


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
class TestFork(object):

    @staticmethod
    def child(work):
        """Run work() in a forked child. Fails with the text of its error, if it raises one."""
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            try:
                work()
                os.write(writing, b'done')
            except BaseException as error:
                os.write(writing, repr(error).encode('utf-8'))
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, 'rb') as file:
            said = file.read()
        os.waitpid(process, 0)
        assert said == b'done'

    def test_a_child_shares_no_connection_with_its_parent(self, fake, fake_storage):
        storage = fake_storage()
        for name in ('one', 'two'):
            fake.put('registry', name, name.encode('ascii') * SEGMENT)
        stream = storage.stream_read('one')
        got = next(stream)

        def work():
            for _ in range(3):
                assert b''.join(storage.stream_read('two')) == b'two' * SEGMENT
            assert storage.exists('one')
        made = fake.connections_made
        self.child(work)
        assert fake.connections_made > made
        assert got + b''.join(stream) == b'one' * SEGMENT
        assert storage.get_size('two') == 3 * SEGMENT

    @pytest.mark.parametrize('operation', [
        lambda storage: storage.connect(), lambda storage: storage.exists('one'),
        lambda storage: storage.content_redirect_url('one'), lambda storage: storage.put_stream('new', io.BytesIO(b'abc'), 'cafe')],
        ids=['connect', 'exists', 'content_redirect_url', 'put_stream'])
    def test_a_child_is_not_held_up_by_what_its_parent_was_doing(self, fake, fake_storage, operation):
        storage = fake_storage(swift_temp_url_key='k', swift_temp_url_set_key='container', swift_pool_size=1, swift_pool_timeout=20)
        fake.put('registry', 'one', b'1')
        storage.exists('one')
        swift = storage._swift
        with swift._checking._lock, swift._login._lock, swift._pool._lock:
            self.child(lambda: in_threads(1, lambda number: operation(storage)))

    def test_threads_of_a_child_that_start_at_once_share_nothing_of_the_parent(self, fake, fake_storage):
        storage = fake_storage()
        fake.put('registry', 'one', b'x' * 1000)
        storage.exists('one')
        parents = storage._swift._pool

        def work():
            seen = in_threads(8, lambda number: [storage.get_content('one'), storage._swift._pool][1])
            assert not [pool for pool in seen if pool is parents]
        self.child(work)


WAIT = getattr(threading, '_Event', threading.Event).wait  # in 2.7, threading.Event is a function


class TestSharedTrouble(object):
    """Threads that meet the same trouble at the same time share one series of attempts. They do not queue for a series each."""

    THREADS, RETRIES = 6, 2

    @pytest.mark.parametrize('kind', ['container', 'auth'])
    def test_it_costs_all_of_them_one_series(self, fake, fake_storage, kind):
        storage = fake_storage(swift_retries=self.RETRIES)
        fake.create_container('registry')
        if kind == 'container':
            storage.exists('token')
            storage._swift._checked = 0
        trouble = self.trouble_once_all_are_there(fake, on(kind=kind))

        assert in_threads(self.THREADS, lambda number: failure(storage.exists, 'nothing')) == [exceptions.BrokenError] * self.THREADS
        assert trouble.hits == self.RETRIES + 1

    def test_the_next_series_begins_after_it(self, fake, fake_storage):
        storage = fake_storage(swift_retries=0)
        fake.create_container('registry')
        storage.exists('token')
        storage._swift._checked = 0
        fake.fault(on('HEAD', kind='container'), status(503))

        assert failure(storage.exists, 'nothing') is exceptions.BrokenError
        assert storage.exists('nothing') is False

    def test_a_thread_that_is_killed_does_not_take_the_others_with_it(self):
        shared, inside, kill = driver_module._Shared(), threading.Event(), threading.Event()

        def killed():
            inside.set()
            kill.wait(10)
            raise KeyboardInterrupt  # as gevent's GreenletExit and Timeout, it is no Exception
        first = threading.Thread(target=lambda: pytest.raises(KeyboardInterrupt, shared, killed))
        first.start()
        inside.wait(10)
        second = []
        other = threading.Thread(target=lambda: second.append(shared(lambda: 'done')))
        other.start()
        kill.set()
        first.join(10)
        other.join(10)

        assert second == [('done', True)]

    def trouble_once_all_are_there(self, fake, match):
        """503 to each request that matches; the first of them only when all threads need its answer."""
        def act(exchange):
            deadline = time.time() + 10
            while not self.all_wait(exchange) and time.time() < deadline:
                exchange.stall(0.01)
            status(503)(exchange)
        return fake.fault(match, act, times=None)

    def all_wait(self, exchange):
        """Whether all threads but the one that has sent the request wait for its outcome: to have come is not enough."""
        frames = [frame for frame in sys._current_frames().values() if self.is_in(frame, driver_module._Shared.__call__)]
        return len([frame for frame in frames if self.is_in(frame, WAIT)]) == self.THREADS - 1

    @staticmethod
    def is_in(frame, function):
        while frame is not None and frame.f_code is not function.__code__:
            frame = frame.f_back
        return frame is not None


class TestImpatient(object):

    @pytest.mark.parametrize('match', [on('HEAD', kind='object'), on(kind='auth')], ids=['request', 'login'])
    def test_it_retries_nothing(self, fake, fake_storage, match):
        trouble = fake.fault(match, status(503), times=None)

        assert failure(fake_storage(swift_retries=5).impatient(30).exists, 'nothing') is exceptions.BrokenError
        assert trouble.hits == 1

    def test_it_does_not_wait_long(self, fake, fake_storage):
        fake.fault(on('HEAD', kind='object'), fake_swift.stall(), times=None)
        started = time.time()

        assert failure(fake_storage().impatient(0.1).exists, 'nothing') is exceptions.UnreachableError
        assert time.time() - started < 5

    def test_neither_holds_up_the_other(self, fake, fake_storage):
        storage = fake_storage(swift_pool_size=1, swift_pool_timeout=20)
        impatient = storage.impatient(30)
        fake.put('registry', 'large', b'x' * SEGMENT)
        streams = [storage.stream_read('large')]

        assert impatient.exists('large')
        streams = [impatient.stream_read('large')]
        assert storage.exists('large')
        del streams

    def test_the_patient_one_stays_patient(self, fake, fake_storage):
        storage = fake_storage(swift_retries=1)
        storage.impatient(30)
        fake.fault(on('HEAD', kind='object'), status(503))

        assert storage.exists('nothing') is False


def test_others_have_a_turn_at_each_block(fake, fake_storage, monkeypatch):
    """Among greenlets, a fast Swift would not make the driver wait for the time of a whole segment."""
    storage, puts = fake_storage(), []
    storage.connect()
    monkeypatch.setattr(driver_module.time, 'sleep', lambda seconds: puts.append(fake.requests[-1].method == 'PUT'))
    storage.stream_write('blob', io.BytesIO(b'x' * SEGMENT))
    assert puts[:4] == [False] * 4  # while the blocks are hashed. The PUT is sent then, and the fake may get it after another turn
    del puts[:]
    storage.stream_read('blob').read_all()
    assert len(puts) >= 4


GEVENT = '''
import gevent.monkey
gevent.monkey.patch_all()
import io, os, sys
import gevent
sys.path.insert(0, %(tests)r)
from docker_registry.drivers import swift
from docker_registry.core import exceptions
storage = swift.Storage(config=%(config)r)
contents = [os.urandom(1000) * 1500 for _ in range(12)]
running, most = [0], [0]

def work(number):
    running[0] += 1
    most[0] = max(most[0], running[0])
    storage.stream_write('g/%%d' %% number, io.BytesIO(contents[number]))
    stream = storage.stream_read('g/%%d' %% number)
    got = b''
    for block in stream:
        got += block
        assert storage.get_size('g/%%d' %% number) == len(contents[number])
        gevent.sleep(0)
    running[0] -= 1
    assert got == contents[number], number
    return number

jobs = [gevent.spawn(work, number) for number in range(12)]
gevent.joinall(jobs, timeout=120)
assert [job.value for job in jobs] == list(range(12)), [repr(job.exception) for job in jobs]
assert most[0] == 12, 'one after the other'
assert storage._swift._pool.free() == 24

# greenlets that are killed, as gunicorn does with a client that went, lose no connection
def slow():
    for block in storage.stream_read('g/1'):
        gevent.sleep(0.01)
for _ in range(3):
    jobs = [gevent.spawn(slow) for _ in range(8)]
    gevent.sleep(0.02)
    gevent.killall(jobs)
with gevent.Timeout(0.02, False):
    slow()
del jobs
import gc; gc.collect()
assert storage._swift._pool.free() == 24, storage._swift._pool.free()
storage.remove('g')
print('done')
'''


HASHING = '''
import gevent.monkey
gevent.monkey.patch_all()
import hashlib, io
from docker_registry.drivers import swift
identity = gevent.monkey.get_original('thread' if swift.PYTHON2 else '_thread', 'get_ident')
threads = {}  # of the system, by the digests that they have hashed


class Digest(object):
    def __init__(self):
        self._digest = hashlib.md5()
        threads[self] = set()

    def update(self, block):
        threads[self].add(identity())
        self._digest.update(block)

    def hexdigest(self):
        return self._digest.hexdigest()


swift._md5 = Digest
storage = swift.Storage(config=%(config)r)
storage.stream_write('segments', io.BytesIO(b'x' * (5 << 20)))
storage.put_content('whole', b'y' * (1 << 20))
here = identity()
assert len([used for used in threads.values() if used and here not in used]) == 6, threads
storage.put_content('small', b'z')
assert here in set.union(*threads.values())
print('done')
'''


def test_among_greenlets_a_thread_of_the_system_hashes_what_is_large(fake):
    assert printed_by(HASHING, fake).strip() == b'done'


def test_greenlets_share_one_driver(fake):
    assert printed_by(GEVENT, fake).strip() == b'done'


def printed_by(program, fake):
    pytest.importorskip('gevent')
    config = {'swift_authurl': fake.auth_url, 'swift_auth_version': 1, 'swift_user': fake.user, 'swift_password': fake.key,
              'swift_container': 'registry', 'swift_segment_size': '1MiB', 'swift_pool_size': 24}
    program = program % {'tests': os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'config': config}
    process = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, problems = process.communicate()

    assert process.returncode == 0, problems.decode('utf-8', 'replace')
    return out
