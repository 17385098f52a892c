# -*- coding: utf-8 -*-
"""With the v1 registry's Redis LRU cache on, every operation behaves as without it."""
import contextlib
import gc
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import on, status
from ports import free_port

try:
    from docker_registry.core import lru
except Exception:  # the redis that core pins can fail in any way on a new Python
    pytestmark = pytest.mark.skip(reason='docker_registry.core.lru cannot be imported here: there is no cache to test')
    lru = None

SEGMENT = 1024 * 1024
TAG = 'repositories/library/x/tag_latest'


class RedisServer(object):

    def __init__(self, program):
        self.folder, self.port = tempfile.mkdtemp(), free_port()
        self._command = [program, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir', self.folder]
        self.start()

    def start(self):
        self._output = open(os.devnull, 'wb')
        self._process = subprocess.Popen(self._command, stdout=self._output, close_fds=True)
        deadline = time.time() + 60
        while not self._answers():
            assert self._process.poll() is None and time.time() < deadline, 'redis-server does not start'
            time.sleep(0.01)

    def _answers(self):
        """Whether it is redis that listens, and not somebody who would leave a client waiting."""
        try:
            with contextlib.closing(socket.create_connection(('127.0.0.1', self.port), timeout=5)) as connection:
                connection.sendall(b'PING\r\n')
                return connection.recv(5) == b'+PONG'
        except EnvironmentError:
            return False

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._output.close()


@pytest.fixture(scope='module')
def redis_server(missing_server):
    program = next((os.path.join(folder, 'redis-server') for folder in os.environ.get('PATH', '').split(os.pathsep)
                    if os.access(os.path.join(folder, 'redis-server'), os.X_OK)), None)
    if not program:
        missing_server('redis', 'no redis-server on the PATH')
    server = RedisServer(program)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture(scope='module')
def missing_server():
    """The function `missing` of conftest, which is not a fixture."""
    return next(module.missing for module in list(sys.modules.values())
                if str(getattr(module, '__file__', '')).endswith(os.path.join('tests', 'conftest.py')) and hasattr(module, 'missing'))


@pytest.fixture
def redis(redis_server):
    """An empty cache, turned on as the registry's own lib/cache.py does it."""
    lru.init(host='127.0.0.1', port=redis_server.port, db=0, password=None, path='/registry')
    lru.redis_conn.flushall()
    yield lru.redis_conn
    lru.redis_conn.connection_pool.disconnect()
    lru.init(enable=False)


@pytest.fixture
def storage(redis, fake_storage):
    storage = fake_storage(swift_retries=1)
    storage.connect()
    return storage


@pytest.fixture
def cached(redis, storage):
    """A function that returns the cached bytes of a path, or None. The mark of a writer counts as None."""
    def cached(path):
        content = redis.get(storage._cache.key(path))
        return None if content == driver_module._Cache.MARK else content
    return cached


def objects(fake):
    return fake.container('registry')


class Failing(io.BytesIO):
    def read(self, size=-1):
        return io.BytesIO.read(self, size) or self.fail()

    def fail(self):
        raise IOError('the client has gone')


WRITES = {
    'put_content': lambda storage, path, content: storage.put_content(path, content),
    'replace': lambda storage, path, content: storage.replace(path, content),
    'stream_write': lambda storage, path, content: storage.stream_write(path, io.BytesIO(content)),
    'put_stream': lambda storage, path, content: storage.put_stream(path, io.BytesIO(content), 'cafe'),
    'compose': lambda storage, path, content: storage.compose(path, storage.write_parts('cafe%d' % len(content), io.BytesIO(content))),
    'remove, put_new': lambda storage, path, content: [storage.remove(path), storage.put_new(path, content)],
    'large stream_write': lambda storage, path, content: storage.stream_write(path, io.BytesIO(content * SEGMENT)),
}


@pytest.fixture(params=sorted(WRITES))
def writing(request):
    return WRITES[request.param]


class TestReading(object):

    def test_what_was_read_once_is_not_asked_of_swift_again(self, storage, fake, cached):
        storage.put_content(TAG, b'one')
        assert storage.get_content(TAG) == b'one'
        fake.clear_requests()

        assert storage.get_content(TAG) == b'one' and fake.requests == []
        assert cached(TAG) == b'one'

    def test_a_path_by_keyword_is_read_as_one_by_position(self, storage, cached):
        storage.put_content(TAG, b'one')

        assert storage.get_content(path=TAG) == b'one'
        assert cached(TAG) == b'one'
        assert storage.get_content(path=TAG) == b'one'

    def test_deleting_a_tag_as_the_registry_does_forgets_it(self, storage, cached):
        storage.put_content(TAG, b'one')
        assert storage.get_content(path=TAG) == b'one'
        storage.remove(TAG)

        assert cached(TAG) is None
        with pytest.raises(exceptions.FileNotFoundError):
            storage.get_content(path=TAG)

    @pytest.mark.parametrize('content', [b'', b'0', b'\0\xff', b'x' * 100000, driver_module._Cache.MARK])
    def test_any_bytes_come_back_from_the_cache(self, storage, content):
        storage.put_content(TAG, content)

        for _ in range(3):
            assert storage.get_content(TAG) == content

    def test_what_is_not_there_is_not_remembered_as_such(self, storage):
        with pytest.raises(exceptions.FileNotFoundError):
            storage.get_content(TAG)
        storage.put_content(TAG, b'now')

        assert storage.get_content(TAG) == b'now'

    def test_a_failure_of_swift_is_not_remembered(self, storage, fake, cached):
        storage.put_content(TAG, b'one')
        fake.fault('GET', status(503), times=None)
        with pytest.raises(exceptions.BrokenError):
            storage.get_content(TAG)
        fake.clear_faults()

        assert cached(TAG) is None and storage.get_content(TAG) == b'one'

    @pytest.mark.parametrize('path', ['/' + TAG, TAG + '/', u'' + TAG, u'\xfcml\xe4ut'])
    def test_another_spelling_of_a_path_is_the_same_path(self, storage, path):
        same = path.strip('/')
        storage.put_content(same, b'one')
        assert storage.get_content(same) == b'one'
        storage.put_content(path, b'two')

        assert storage.get_content(same) == storage.get_content(path) == b'two'


class TestWriting(object):

    def test_a_cached_path_that_is_written_is_read_anew(self, storage, writing):
        storage.put_content(TAG, b'old')
        assert storage.get_content(TAG) == b'old'
        writing(storage, TAG, b'new')

        assert storage.get_content(TAG)[:3] == b'new'
        assert storage.get_content(TAG)[:3] == b'new'

    def test_writing_what_is_cached_writes_it_all_the_same(self, storage, fake, writing):
        storage.put_content(TAG, b'old')
        assert storage.get_content(TAG) == b'old'
        objects(fake).pop(TAG)  # by another registry, without this cache
        try:
            writing(storage, TAG, b'old')
        except exceptions.FileNotFoundError:
            storage.put_new(TAG, b'old')

        assert TAG in objects(fake)

    def test_a_write_that_fails_is_not_remembered_and_its_retry_is_one(self, storage, fake, cached, writing):
        storage.put_content(TAG, b'old')
        assert storage.get_content(TAG) == b'old'
        fake.fault(on('PUT', path_contains=TAG), status(503), times=None)
        with pytest.raises(exceptions.BrokenError):
            writing(storage, TAG, b'new')
        assert cached(TAG) in (None, b'old')

        fake.clear_faults()
        storage.put_content(TAG, b'new')
        assert objects(fake)[TAG].body == b'new' and storage.get_content(TAG) == b'new'

    def test_a_source_that_fails_changes_nothing(self, storage):
        storage.put_content(TAG, b'old')
        assert storage.get_content(TAG) == b'old'
        for size in (10, 2 * SEGMENT):
            with pytest.raises(IOError):
                storage.stream_write(TAG, Failing(b'x' * size))
        with pytest.raises(IOError):
            storage.put_stream(TAG, Failing(b'x' * 10), 'cafe')

        assert storage.get_content(TAG) == b'old'

    def test_a_recursive_removal_forgets_every_child(self, storage, fake, cached):
        paths = ['repositories/library/x/%s' % name for name in ['json', '_private', 'tag_a', 'tag_b', 'deep/er/still']]
        paths += ['repositories/library/x/many/%03d' % number for number in range(45)]  # three pages
        for path in paths + ['repositories/library/x2']:
            storage.put_content(path, b'1')
            storage.get_content(path)
        storage.stream_write('repositories/library/x/large', io.BytesIO(b'x' * 2 * SEGMENT))
        storage.get_content('repositories/library/x/large')
        storage.remove('repositories/library/x')

        for path in paths + ['repositories/library/x/large']:
            assert cached(path) is None
            with pytest.raises(exceptions.FileNotFoundError):
                storage.get_content(path)
        assert storage.get_content('repositories/library/x2') == b'1'

    def test_a_removal_that_fails_half_way_serves_nothing_that_is_gone(self, storage, fake):
        for name in ('a', 'b'):
            storage.put_content('r/' + name, b'1')
            storage.get_content('r/' + name)
        fake.fault(on('POST'), status(404), times=None)  # no bulk delete
        fake.fault(on('DELETE', path_contains='r/b'), status(503), times=None)
        with pytest.raises(exceptions.BrokenError):
            storage.remove('r')

        with pytest.raises(exceptions.FileNotFoundError):
            storage.get_content('r/a')
        assert storage.get_content('r/b') == b'1'


class Interleaved(object):
    """Calls a function during the driver's next request of a given method, inside the fake Swift."""

    def __init__(self, fake):
        self._fake = fake

    def before(self, method, then):
        """Call `then()` before Swift performs the request."""
        def act(exchange):
            exchange.read_body()
            self._without_faults(then)
            exchange.send(exchange.perform())
        self._fault = self._fake.fault(on(method, path_contains=TAG), act)

    def after(self, method, then):
        """Call `then()` after Swift has performed the request, but before it responds."""
        def act(exchange):
            exchange.read_body()
            answer = exchange.perform()
            self._without_faults(then)
            exchange.send(answer)
        self._fault = self._fake.fault(on(method, path_contains=TAG), act)

    def _without_faults(self, then):
        self._fault.cancel()
        then()


class TestSeveralAtOnce(object):
    """Several readers and writers at once. Each test forces one order of events."""

    @pytest.fixture
    def other(self, redis, fake_storage):
        return fake_storage()

    @pytest.fixture
    def interleaved(self, fake):
        return Interleaved(fake)

    @pytest.fixture
    def true(self, storage, fake):
        """A function that checks that a read returns what Swift holds."""
        def true():
            for _ in range(2):
                assert storage.get_content(TAG) == objects(fake)[TAG].body
        return true

    def test_a_reader_that_was_overtaken_by_a_writer_does_not_bring_back_the_old(self, storage, other, interleaved, true):
        storage.put_content(TAG, b'old')
        interleaved.after('GET', lambda: other.replace(TAG, b'new'))
        assert storage.get_content(TAG) == b'old'

        true()

    def test_a_reader_that_was_overtaken_by_a_remover_does_not_bring_back_the_old(self, storage, other, interleaved):
        storage.put_content(TAG, b'old')
        interleaved.after('GET', lambda: other.remove(TAG))
        assert storage.get_content(TAG) == b'old'

        with pytest.raises(exceptions.FileNotFoundError):
            storage.get_content(TAG)

    @pytest.mark.parametrize('moment', ['before', 'after'])
    def test_a_reader_during_a_write_does_not_leave_what_it_read(self, storage, other, interleaved, true, moment):
        storage.put_content(TAG, b'old')
        getattr(interleaved, moment)('PUT', lambda: other.get_content(TAG))
        storage.replace(TAG, b'new')

        true()

    def test_a_reader_during_a_write_that_another_ended_within_does_not_leave_what_it_read(self, storage, other, interleaved, true):
        storage.put_content(TAG, b'old')

        def another_writer_and_then_a_reader():
            other.replace(TAG, b'between')
            other.get_content(TAG)
        interleaved.before('PUT', another_writer_and_then_a_reader)
        storage.replace(TAG, b'new')

        true()

    def test_a_reader_that_began_within_two_writes_and_ends_after_both_does_not_bring_back_the_old(
            self, storage, other, fake, redis, true):
        """Both marks are gone when the reader begins, and the second writer has nothing to delete."""
        storage.put_content(TAG, b'old')
        first, second = storage._cache.changing([TAG]), other._cache.changing([TAG])
        first.__enter__(), second.__enter__()
        first.__exit__()

        def fetch():
            found = objects(fake)[TAG].body
            fake.put('registry', TAG, b'new')
            second.__exit__()
            return found
        assert storage._cache.read(TAG, fetch) == b'old'

        true()

    def test_two_writers_leave_what_swift_holds(self, storage, other, interleaved, true):
        storage.put_content(TAG, b'old')
        for moment in (interleaved.before, interleaved.after):
            moment('PUT', lambda: other.replace(TAG, b'other'))
            storage.replace(TAG, b'mine')
            true()

    def test_a_writer_that_dies_leaves_no_old_content_behind(self, storage, fake, true):
        storage.put_content(TAG, b'old')
        storage.get_content(TAG)
        storage._cache.changing([TAG]).__enter__()  # the writer dies here
        fake.put('registry', TAG, b'new')

        true()

    def test_containers_that_share_a_redis_share_no_content(self, storage, fake_storage):
        other = fake_storage(swift_container='other')
        storage.put_content(TAG, b'one')
        other.put_content(TAG, b'other')

        assert [storage.get_content(TAG), other.get_content(TAG)] * 2 == [b'one', b'other'] * 2

    def test_roots_that_share_a_redis_share_the_content_of_the_same_object_only(self, storage):
        below, beside = storage.at('folder'), storage.at('beside')
        storage.put_content('folder/a', b'1')
        assert (storage.get_content('folder/a'), below.get_content('a')) == (b'1', b'1')
        for writer, path, content in ((beside, 'a', b'2'), (below, 'a', b'3'), (storage, 'a', b'4')):
            writer.put_content(path, content)

        assert [storage.get_content('folder/a'), below.get_content('a'), beside.get_content('a'), storage.get_content('a')] == [
            b'3', b'3', b'2', b'4']

    def test_the_mark_of_a_writer_that_died_goes_away(self, storage, redis):
        storage._cache.changing([TAG]).__enter__()

        assert 0 < redis.ttl(storage._cache.key(TAG)) <= driver_module._Cache.MARK_SECONDS


@pytest.mark.filterwarnings('ignore:Exception ignored')  # redis-py does not close a socket whose other end is gone
class TestWithoutRedis(object):

    @pytest.fixture(autouse=True)
    def dead_sockets(self):
        yield
        gc.collect()

    def test_a_redis_that_dies_is_done_without(self, redis, redis_server, storage, fake, writing):
        storage.put_content(TAG, b'old')
        storage.get_content(TAG)
        redis_server.stop()
        try:
            assert storage.get_content(TAG) == b'old'
            writing(storage, TAG, b'new')
            assert storage.get_content(TAG)[:3] == b'new'
            storage.remove(TAG)
            assert not storage.exists(TAG)
        finally:
            redis_server.start()
        storage.put_content(TAG, b'again')
        assert storage.get_content(TAG) == b'again' == storage.get_content(TAG)

    def test_a_redis_that_dies_between_read_and_fill_is_done_without(self, redis, redis_server, storage, fake):
        storage.put_content(TAG, b'old')
        try:
            def fetch():
                redis_server.stop()
                return b'old'
            assert storage._cache.read(TAG, fetch) == b'old'
        finally:
            redis_server.start()

    def test_a_redis_that_is_full_is_done_without(self, redis, storage):
        redis.config_set('maxmemory', '1')
        try:
            storage.put_content(TAG, b'one')
            assert storage.get_content(TAG) == b'one'
            storage.put_content(TAG, b'two')
            assert storage.get_content(TAG) == b'two'
        finally:
            redis.config_set('maxmemory', '0')

    def test_a_cache_that_is_off_is_not_asked(self, fake_storage):
        assert lru.redis_conn is None
        storage = fake_storage()
        storage.put_content(TAG, b'one')

        assert storage.get_content(TAG) == b'one'
