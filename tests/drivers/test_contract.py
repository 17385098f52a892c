# -*- coding: utf-8 -*-
"""What the driver promises. The same tests run on every Swift: the fake, the real one, and a live one if there is one."""
import gc
import hashlib
import io
import random
import threading
import uuid

import pytest
import requests

from docker_registry.core import driver, exceptions
from docker_registry.drivers import swift as driver_module

SEGMENT = 1024 * 1024  # the smallest size that the settings allow


def data(size, seed=0):
    return bytes(bytearray(random.Random(seed).getrandbits(8) for _ in range(min(size, 4096)))
                 * (size // 4096 + 1))[:size]


class Trickle(object):
    """A file that returns few bytes at a time and has no length, like a socket."""

    def __init__(self, content, most=7000):
        self._file, self._most = io.BytesIO(content), most

    def read(self, size=-1):
        return self._file.read(min(size, self._most) if size >= 0 else self._most)


class Broken(Trickle):
    def read(self, size=-1):
        return Trickle.read(self, size) or self._fail()

    def _fail(self):
        raise IOError('the client has gone')


def content_of(storage, path, bytes_range=None):
    return b''.join(storage.stream_read(path, bytes_range))


class TestWholeObjects(object):

    @pytest.mark.parametrize('content', [b'', b'a', b'\0\xff\r\n', data(100000)], ids=['empty', 'one', 'binary', 'many'])
    def test_bytes_come_back_as_they_were_put(self, storage, content):
        assert storage.put_content('a/b', content) == 'a/b'

        assert storage.get_content('a/b') == content
        assert storage.get_size('a/b') == len(content)

    def test_the_clock_is_that_of_last_modified(self, storage):
        before = storage.clock()
        storage.put_content('a', b'')

        assert before - 1 <= storage.stat('a').last_modified <= storage.clock() + 1

    def test_text_is_stored_as_utf8(self, storage):
        storage.put_content('text', u'\xdf')

        assert storage.get_content('text') == b'\xc3\x9f'

    def test_json_comes_back(self, storage):
        storage.put_json('json', {u'\xdf': [1, None]})

        assert storage.get_json('json') == {u'\xdf': [1, None]}

    def test_the_last_of_several_puts_is_read(self, storage):
        for content in (b'first', b'a longer second', b'3'):
            storage.put_content('again', content)

            assert storage.get_content('again') == content
            assert storage.get_size('again') == len(content)

    @pytest.mark.parametrize('path', [
        'with space', 'plus+sign', 'per%cent', '%2E%2E/x', 'a%2Fb', u'\xfcml\xe4ut/\u20ac', 'q?uestion=1&x', 'hash#tag',
        "quote'\"", 'semi;colon', 'new\nline', 'tilde~', '...', '.hidden', 'back\\slash', 'colon:at@sign', '~/[x]{y}'])
    def test_any_character_may_be_in_a_path(self, storage, path):
        storage.put_content(path, b'here')

        assert storage.get_content(path) == b'here'
        assert storage.exists(path)
        parent, _, name = path.rpartition('/')
        if name and parent.strip('/'):
            assert path in [p if isinstance(path, str) else p.decode('utf-8') for p in storage.list_directory(parent)]
        storage.remove(path)
        assert not storage.exists(path)

    @pytest.mark.parametrize('path', ['', '/', '..', 'a/../b', './a', 'a/.', 'a//b', 'nul\0', 'x' * 1100])
    def test_a_path_that_no_object_can_have_is_refused(self, storage, path):
        for operation in (storage.get_content, storage.exists, storage.get_size, storage.remove, storage.stream_read):
            with pytest.raises(exceptions.WrongArgumentsError):
                operation(path)
        with pytest.raises(exceptions.WrongArgumentsError):
            storage.put_content(path, b'')

    def test_put_new_does_not_replace(self, storage):
        assert storage.put_new('new', b'first') is True
        assert storage.put_new('new', b'second') is False

        assert storage.get_content('new') == b'first'

    def test_replace_replaces(self, storage):
        storage.replace('tag', b'first')
        storage.replace('tag', b'second')

        assert storage.get_content('tag') == b'second'

    def test_stat_tells_size_etag_and_time(self, storage):
        storage.put_content('known', b'abc')

        stat = storage.stat('known')
        assert (stat.path, stat.size, stat.etag) == ('known', 3, hashlib.md5(b'abc').hexdigest())
        assert stat.last_modified > 1.4e9

    def test_what_is_not_there_is_not_found(self, storage):
        assert storage.exists('nothing') is False
        for operation in (storage.get_content, storage.get_size, storage.stat, storage.stream_read, storage.remove):
            with pytest.raises(exceptions.FileNotFoundError):
                operation('nothing')


class TestStreams(object):

    @pytest.mark.parametrize('size', [
        0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, SEGMENT + 256 * 1024, 2 * SEGMENT, 2 * SEGMENT + 1, 5 * SEGMENT + 77])
    def test_every_size_comes_back(self, storage, size):
        content = data(size, seed=size)
        storage.stream_write('large', Trickle(content, 100000))

        assert storage.get_size('large') == size
        assert hashlib.sha256(content_of(storage, 'large')).digest() == hashlib.sha256(content).digest()

    def test_a_small_stream_is_a_plain_object_and_a_large_one_has_segments(self, storage, names):
        storage.stream_write('small', io.BytesIO(data(SEGMENT)))
        assert names() == ['small']

        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT + 1)))
        assert len([name for name in names() if name.startswith('_segments/')]) == 4

    def test_removing_a_large_object_leaves_no_segment(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        storage.remove('large')

        assert names() == []

    def test_removing_a_folder_leaves_no_segment_of_what_was_in_it(self, storage, names):
        storage.stream_write('folder/large', io.BytesIO(data(3 * SEGMENT)))
        storage.put_content('folder/small', b'')
        storage.remove('folder')

        assert names() == []

    @pytest.mark.parametrize('size', [10, SEGMENT + 1, 3 * SEGMENT])
    def test_overwriting_a_large_object_leaves_no_old_segment(self, storage, names, size):
        storage.stream_write('large', io.BytesIO(data(4 * SEGMENT)))
        storage.stream_write('large', io.BytesIO(data(size, seed=1)))

        assert content_of(storage, 'large') == data(size, seed=1)
        assert len(names()) == 1 + (-(-size // SEGMENT) if size > SEGMENT else 0)

    def test_put_content_over_a_large_object_leaves_no_old_segment(self, storage, names):
        storage.stream_write('large', io.BytesIO(data(2 * SEGMENT)))
        storage.put_content('large', b'small now')

        assert storage.get_content('large') == b'small now'
        assert names() == ['large']

    @pytest.mark.parametrize('size', [100, 3 * SEGMENT + 5])
    def test_a_source_that_fails_leaves_what_was_there(self, storage, names, size):
        storage.put_content('kept', b'old')
        with pytest.raises(IOError):
            storage.stream_write('kept', Broken(data(size)))

        assert storage.get_content('kept') == b'old'
        assert names() == ['kept']

    @pytest.mark.parametrize('bytes_range, expected', [
        ((0, 0), slice(0, 1)), ((0, 9), slice(0, 10)), ((10, 99), slice(10, 100)), ((99, 99), slice(99, 100)),
        ((50, 100), slice(50, 100)),  # the v1 registry asks for one byte too many
        ((50, 5000), slice(50, 100)), ((7, None), slice(7, 100)), ((7, -1), slice(7, 100)),
        ((None, 5), slice(95, 100)), ((None, 500), slice(0, 100)), (None, slice(0, 100))])
    def test_ranges_are_inclusive_and_clamped(self, storage, bytes_range, expected):
        content = data(100)
        storage.put_content('ranged', content)

        stream = storage.stream_read('ranged', bytes_range)
        assert (stream.size, stream.first, stream.length) == (100, expected.start, expected.stop - expected.start)
        assert b''.join(stream) == content[expected]

    @pytest.mark.parametrize('bytes_range', [
        (SEGMENT - 1, SEGMENT), (0, 3 * SEGMENT), (SEGMENT, 2 * SEGMENT - 1), (2 * SEGMENT + 9, None), (None, SEGMENT + 1)])
    def test_ranges_cross_segments(self, storage, bytes_range):
        content = data(3 * SEGMENT + 10)
        storage.stream_write('large', io.BytesIO(content))

        first, last = bytes_range
        expected = content[-last:] if first is None else content[first:] if last is None else content[first:last + 1]
        assert content_of(storage, 'large', bytes_range) == expected

    @pytest.mark.parametrize('bytes_range', [(100, 100), (100, None), (1000, 2000), (500, 0), (-1, 5), (None, 0)])
    def test_a_range_that_is_none_is_refused(self, storage, bytes_range):
        storage.put_content('ranged', data(100))

        with pytest.raises(exceptions.WrongArgumentsError):
            storage.stream_read('ranged', bytes_range)

    def test_streams_read_in_turns_with_a_head_between_do_not_mix(self, storage):
        for name, seed in (('one', 1), ('two', 2)):
            storage.stream_write(name, io.BytesIO(data(900000, seed)))

        streams = {1: storage.stream_read('one'), 2: storage.stream_read('two')}
        got = {1: b'', 2: b''}
        for _ in range(100):
            for key in (1, 2):
                got[key] += next(streams[key], b'')
                assert storage.get_size('one') == 900000
        assert got == {1: data(900000, 1), 2: data(900000, 2)}

    @pytest.mark.parametrize('leave', [
        lambda stream: stream.close(), lambda stream: None, lambda stream: next(stream)], ids=['closed', 'dropped', 'half'])
    def test_an_abandoned_stream_frees_its_connection(self, storage, leave):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT)))
        for _ in range(2 * storage.settings.pool_size):
            stream = storage.stream_read('large')
            leave(stream)
            del stream
            gc.collect()

        assert content_of(storage, 'large') == data(3 * SEGMENT)

    def test_a_stream_that_was_read_to_its_end_gives_its_connection_back(self, storage, free_connections):
        storage.put_content('small', b'abc')
        stream = storage.stream_read('small')
        assert b''.join(stream) == b'abc'

        assert free_connections(storage) == storage.settings.pool_size


class TestReleasedStreams(object):
    """A reader that pauses gives its connection back."""

    @pytest.mark.parametrize('path', ['plain', 'static', 'dynamic'])
    @pytest.mark.parametrize('bytes_range', [None, (1000, 2 * SEGMENT + 77), (SEGMENT + 1, None), (None, SEGMENT + 5)])
    def test_every_byte_arrives_after_any_number_of_releases(self, storage, free_connections, path, bytes_range):
        content, random_ = data(3 * SEGMENT - 5), random.Random('%s %s' % (path, bytes_range))
        self.store(storage, path, content)
        stream = storage.stream_read(path, bytes_range)
        got = b''
        while len(got) < stream.length:
            for _ in range(random_.randrange(3)):
                assert stream.release() is True
                assert free_connections(storage) == storage.settings.pool_size
            got += next(stream)

        assert got == content[stream.first:stream.first + stream.length]
        assert stream.release() is True
        assert list(stream) == []

    @staticmethod
    def store(storage, path, content):
        if path == 'plain':
            return storage.put_content(path, content)
        if path == 'static':
            return storage.stream_write(path, io.BytesIO(content))
        for number in range(3):
            storage.put_content('dlo/%d' % number, content[number * SEGMENT:(number + 1) * SEGMENT])
        prefix = '%s/%s/' % (storage.settings.container, storage._name('dlo'))
        storage._swift.put(storage._name(path), driver_module._Blocks(), {'X-Object-Manifest': prefix})

    def test_streams_that_are_released_hold_no_connection(self, storage, free_connections):
        content = data(3 * SEGMENT)
        storage.stream_write('large', io.BytesIO(content))
        streams, got = [], []
        for _ in range(40):
            streams.append(storage.stream_read('large'))
            got.append(next(streams[-1]))
            streams[-1].release()

        assert free_connections(storage) == storage.settings.pool_size
        assert all(first + b''.join(stream) == content for first, stream in zip(got, streams))

    def test_one_that_is_closed_ends(self, storage):
        storage.stream_write('large', io.BytesIO(data(2 * SEGMENT)))
        stream = storage.stream_read('large')
        stream.release()
        stream.close()

        assert stream.release() is True
        assert list(stream) == []


class TestNames(object):

    def test_children_are_files_and_folders_with_their_full_paths(self, storage):
        for path in ('d/a', 'd/b/c', 'd/b/d', 'd/e/f/g', 'other'):
            storage.put_content(path, b'')

        assert sorted(storage.list_directory('d')) == ['d/a', 'd/b', 'd/e']
        assert sorted(storage.list_directory('d/')) == ['d/a', 'd/b', 'd/e']

    def test_a_file_and_a_folder_of_one_name_are_one_child(self, storage):
        for path in ('d/a', 'd/a-b', 'd/a/x', 'd/a/y', 'd/a.txt'):
            storage.put_content(path, b'')

        assert sorted(storage.list_directory('d')) == ['d/a', 'd/a-b', 'd/a.txt']

    def test_a_sibling_whose_name_begins_the_same_is_no_child(self, storage):
        storage.put_content('repo/x', b'')
        storage.put_content('repository/y', b'')

        assert list(storage.list_directory('repo')) == ['repo/x']

    def test_the_root_lists_all_but_segments(self, storage):
        storage.put_content('a', b'')
        storage.stream_write('b/c', io.BytesIO(data(SEGMENT + 1)))

        assert sorted(storage.list_directory()) == ['a', 'b']

    def test_folder_markers_of_other_clients_are_no_children(self, storage, put_raw):
        put_raw('marked/', b'')
        storage.put_content('marked/a', b'')

        assert list(storage.list_directory('marked')) == ['marked/a']

    def test_nothing_there_is_not_found(self, storage):
        storage.put_content('file', b'')

        for path in ('nothing', 'file', None):
            storage.remove('file') if path is None else None
            with pytest.raises(exceptions.FileNotFoundError):
                list(storage.list_directory(path))

    def test_listings_of_many_pages_are_whole(self, storage, listing_limit):
        many = ['many/%04d%s' % (n, '/x' if n % 3 == 0 else '') for n in range(2 * listing_limit + 3)]
        for path in many:
            storage.replace(path, b'')

        assert sorted(storage.list_directory('many')) == sorted(path[:9] for path in many)
        assert [stat.path for stat in storage.walk('many')] == sorted(many)
        storage.remove('many')
        assert list(storage.walk('many')) == []

    def test_a_page_goes_on_after_its_marker(self, storage):
        for path in ('p/a', 'p/b/x', 'p/b/y', 'p/c'):
            storage.put_content(path, b'12')

        first = storage.list_page('p', limit=2)
        assert [(stat.path, stat.size) for stat in first] == [('p/a', 2), ('p/b', None)]
        assert [stat.path for stat in storage.list_page('p', marker='p/b/y', limit=2)] == ['p/c']
        assert [stat.path for stat in storage.list_page('p', marker='p/a', recursive=True)] == ['p/b/x', 'p/b/y', 'p/c']
        assert storage.list_page('nothing') == []

    def test_walk_tells_sizes_of_large_objects(self, storage):
        storage.stream_write('w/large', io.BytesIO(data(2 * SEGMENT + 2)))
        storage.put_content('w/small', b'abc')

        # Ceph lists a large object with the size of its manifest. The driver then tells none.
        size = None if storage.is_ceph() else 2 * SEGMENT + 2
        assert [(stat.path, stat.size) for stat in storage.walk('w')] == [('w/large', size), ('w/small', 3)]

    def test_removing_a_folder_spares_siblings(self, storage):
        for path in ('r/a', 'r/b/c', 'r2/a', 'r-x', 'rr'):
            storage.put_content(path, b'')
        storage.remove('r')

        assert [stat.path for stat in storage.walk()] == ['r-x', 'r2/a', 'rr']

    def test_another_root_in_the_same_container_sees_nothing(self, storage, another):
        storage.put_content('mine', b'')

        assert not another(storage_path='elsewhere').exists('mine')


class TestParts(object):

    def test_parts_are_composed_without_moving_them(self, storage):
        parts = storage.write_parts('cafe', Trickle(data(2 * SEGMENT + 5)))
        assert [part.size for part in parts] == [SEGMENT, SEGMENT, 5]
        more = storage.write_parts('cafe', io.BytesIO(b'end'), first=len(parts))

        assert storage.compose('blob', parts + more) is True
        assert content_of(storage, 'blob') == data(2 * SEGMENT + 5) + b'end'

    def test_composing_a_new_object_does_not_replace(self, storage):
        storage.put_content('blob', b'first')
        parts = storage.write_parts('cafe', io.BytesIO(b'second'))

        assert storage.compose('blob', parts, new=True) is False
        assert storage.get_content('blob') == b'first'

    def test_no_parts_make_an_empty_object(self, storage):
        assert storage.write_parts('cafe', io.BytesIO(b'')) == []
        assert storage.compose('blob', [], new=True) is True
        assert storage.get_content('blob') == b''

    def test_removed_parts_cannot_be_composed(self, storage, names):
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        storage.remove_parts(parts)

        assert names() == []
        with pytest.raises(exceptions.FileNotFoundError):
            storage.compose('blob', parts)
        assert not storage.exists('blob')

    @pytest.mark.parametrize('uploads', [1, 7])
    def test_composed_objects_are_removed_with_their_segments(self, storage, names, uploads):
        parts = []
        for number in range(uploads):
            parts += storage.write_parts('%s-%08x' % (uuid.uuid4(), number), io.BytesIO(data(2 * SEGMENT)), first=len(parts))
        storage.compose('blob', parts)
        storage.remove('blob')

        assert names() == []

    @pytest.mark.parametrize('size', [0, 1, 300000, SEGMENT])
    def test_put_stream_stores_one_object_up_to_the_segment_size(self, storage, names, size):
        storage.put_stream('blob', Trickle(data(size)), 'cafe')

        assert names() == ['blob']
        assert storage.get_content('blob') == data(size)

    @pytest.mark.parametrize('size', [SEGMENT + 1, 2 * SEGMENT + 5])
    def test_put_stream_stores_more_in_segments_of_the_upload(self, storage, names, size):
        storage.put_stream('blob', Trickle(data(size)), 'cafe')

        assert names() == [storage.part_path('cafe', number) for number in range(-(-size // SEGMENT))] + ['blob']
        assert storage.get_content('blob') == data(size)

    def test_put_stream_replaces(self, storage):
        for size in (5, 2 * SEGMENT, 7, 0):
            storage.put_stream('blob', io.BytesIO(data(size)), '%s' % uuid.uuid4())

            assert storage.get_content('blob') == data(size)

    @pytest.mark.parametrize('size', [300000, 2 * SEGMENT + 5])
    def test_put_stream_keeps_nothing_of_a_source_that_fails(self, storage, names, size):
        with pytest.raises(IOError):
            storage.put_stream('blob', Broken(data(size)), 'cafe')

        assert names() == []


class TestWhatAnObjectConsistsOf(object):

    def test_a_plain_object_has_no_segments(self, storage):
        storage.put_content('plain', b'abc')

        assert storage.large_object('plain') == ('plain', None, [])
        assert storage.parts_of('plain') == []

    @pytest.mark.parametrize('uploads', [1, 7])  # 7 do not fit into the metadata
    def test_a_static_one_names_its_segments_from_the_root_of_the_container(self, storage, names, uploads):
        parts = []
        for number in range(uploads):
            parts += storage.write_parts('%s-%08x' % (uuid.uuid4(), number), io.BytesIO(data(SEGMENT + 1)), first=len(parts))
        storage.compose('large', parts)
        whole = [storage._name(part.path) for part in parts]

        kind, prefix, named = storage.large_object('large')
        assert (kind, prefix, named[:len(whole)]) == ('static', None, whole)
        # On Ceph the object also has a list of its segments.
        assert sorted(named) == sorted(storage._name(name) for name in names() if name != 'large')
        assert storage.parts_of('large') == parts

    def test_one_of_another_client_names_its_segments_too(self, storage):
        if storage.is_ceph():
            pytest.skip('Ceph does not return manifests; test_ceph.py has what the driver says then')
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        storage._swift.put(storage._name('large'), driver_module._manifest(storage._swift, storage._segment_names(parts), parts),
                           query={'multipart-manifest': 'put'})

        assert storage.large_object('large') == ('static', None, storage._segment_names(parts))
        assert storage.parts_of('large') == parts

    @pytest.mark.parametrize('prefix', ['root/segments/', 'with space, \xc3\xa9, and %2B/'])
    def test_a_dynamic_one_tells_its_prefix(self, storage, prefix):
        prefix = '%s/%s' % (storage.settings.container, prefix if driver_module.PYTHON2 else prefix.encode('latin-1').decode('utf-8'))
        storage.connect()
        storage._swift.put(storage._name('dynamic'), driver_module._Blocks(), {'X-Object-Manifest': driver_module.quote(prefix)})

        assert storage.large_object('dynamic') == ('dynamic', prefix, [])
        assert storage.parts_of('dynamic') == []

    def test_nothing_there_is_not_found(self, storage):
        for ask in (storage.large_object, storage.parts_of):
            with pytest.raises(exceptions.FileNotFoundError):
                ask('nothing')

    def test_a_deleted_large_object_is_made_again_from_its_parts(self, storage):
        storage.stream_write('large', io.BytesIO(data(3 * SEGMENT + 7)))
        etag, parts = storage.stat('large').etag, storage.parts_of('large')
        storage.discard('large')

        assert storage.compose('large', parts, new=True) is True
        assert content_of(storage, 'large') == data(3 * SEGMENT + 7)
        assert storage.stat('large').etag == etag
        assert storage.compose('large', parts, new=True) is False

    def test_the_parts_of_one_that_has_another_as_a_segment_cannot_be_told(self, storage):
        if storage.is_ceph():
            pytest.skip('Ceph refuses a large object as a segment')
        storage.stream_write('inner', io.BytesIO(data(2 * SEGMENT)))
        part = driver_module.Part('inner', 2 * SEGMENT, storage.stat('inner').etag.strip('"'))
        storage.compose('outer', [part])

        with pytest.raises(exceptions.WrongArgumentsError):
            storage.parts_of('outer')
        assert storage.large_object('outer').names[0] == storage._name('inner')

    def test_the_parts_of_one_that_has_segments_outside_the_root_cannot_be_told(self, storage):
        whole = storage.at('')
        outside = storage.at(storage._root + '-outside').write_parts('cafe', io.BytesIO(data(SEGMENT + 1)))
        outside = [part._replace(path='%s-outside/%s' % (storage._root, part.path)) for part in outside]
        whole.compose(storage._name('large'), outside)

        with pytest.raises((exceptions.WrongArgumentsError, exceptions.BrokenError)):  # Ceph does not return manifests
            storage.parts_of('large')
        assert whole.parts_of(storage._name('large')) == outside
        whole.remove(storage._name('large'))


class TestOtherRoots(object):

    def test_segments_are_listed(self, storage):
        storage.put_content('small', b'abc')
        parts = storage.write_parts('cafe', io.BytesIO(data(2 * SEGMENT)))
        place = storage.at(storage._root + '/_segments')

        assert [(stat.path, stat.size) for stat in place.walk()] == [('cafe/%08d' % number, SEGMENT) for number in range(2)]
        assert [stat.path for stat in place.list_page()] == ['cafe']
        whole = [stat.path for stat in storage.at('').walk(storage._root)]
        assert whole == sorted([storage._name(part.path) for part in parts] + [storage._name('small')])
        assert [stat.path for stat in storage.walk()] == ['small']

    def test_each_reads_what_the_other_wrote(self, storage):
        other = storage.at(storage._root + '/below')
        storage.put_content('below/a', b'1')
        assert other.get_content('a') == b'1'
        other.put_content('a', b'2')
        assert storage.get_content('below/a') == b'2'
        storage.stream_write('below/a', io.BytesIO(data(2 * SEGMENT)))
        assert content_of(other, 'a') == data(2 * SEGMENT)

    @pytest.mark.parametrize('new', [b'small', data(SEGMENT + 1, 1)], ids=['small', 'large'])
    def test_an_overwritten_large_object_leaves_no_segment(self, storage, names, new):
        for other, path in ((storage.at(storage._root + '/below'), 'a'), (storage.at(''), storage._name('below/a'))):
            other.put_content(path, b'plain')
            storage.stream_write('below/a', io.BytesIO(data(2 * SEGMENT)))
            other.stream_write(path, io.BytesIO(new))
            assert content_of(storage, 'below/a') == new
            other.remove(path)

        assert names() == []
        assert list(storage.at('').walk('_segments')) == []

    @pytest.mark.parametrize('uploads', [1, 7])
    def test_segments_are_found_from_each_root(self, storage, uploads):
        parts = []
        for number in range(uploads):
            parts += storage.write_parts('%s-%08x' % (uuid.uuid4(), number), io.BytesIO(b'part'), first=number)
        storage.compose('below/large', parts)

        expected = storage.large_object('below/large')
        assert storage.at('').large_object(storage._name('below/large')) == expected
        assert storage.at(storage._root + '/below').at('').large_object(storage._name('below/large')) == expected
        assert storage.at(storage._root + '/below').large_object('large') == expected

    def test_one_that_was_composed_at_another_root_of_parts_there_is_understood(self, storage):
        if storage.is_ceph():
            pytest.skip('Ceph does not return manifests')
        whole = storage.at('')
        parts = whole.write_parts(uuid.uuid4().hex, io.BytesIO(data(2 * SEGMENT)))
        try:
            whole.compose(storage._name('large'), parts)
            assert storage.large_object('large').names == [part.path for part in parts]
        finally:
            whole.remove_parts(parts)
            whole.discard(storage._name('large'))

    def test_connections_and_token_are_shared(self, storage, free_connections):
        storage.put_content('a', b'')
        other = storage.at('')

        assert other._swift is storage._swift
        stream = other.stream_read(storage._name('a'))
        assert free_connections(storage) == storage.settings.pool_size - 1
        stream.close()

    @pytest.mark.parametrize('root', ['..', 'a/../b', '.'])
    def test_a_root_that_no_object_can_have_is_refused(self, storage, root):
        with pytest.raises(exceptions.WrongArgumentsError):
            storage.at(root)


class TestHeldLayers(object):

    @pytest.fixture(params=[b'small', data(2 * SEGMENT)], ids=['plain', 'large'])
    def layer(self, request, storage):
        """The path of a layer that is held."""
        storage.stream_write('images/0/layer', io.BytesIO(request.param))
        storage.put_content('images/0/json', b'{}')
        storage.hold('images/0/layer', 'because')
        yield 'images/0/layer'
        storage.at('').discard('_held/' + storage._name('images/0/layer'))

    @pytest.mark.parametrize('change', [
        lambda storage: storage.remove('images/0/layer'),
        lambda storage: storage.remove('images/0'),
        lambda storage: storage.remove('images'),
        lambda storage: storage.put_content('images/0/layer', b'other'),
        lambda storage: storage.stream_write('images/0/layer', io.BytesIO(data(SEGMENT + 1, 1))),
    ], ids=['remove', 'remove the image', 'remove all', 'overwrite', 'overwrite by a large one'])
    def test_it_is_neither_removed_nor_replaced(self, storage, layer, change):
        before = content_of(storage, layer)
        with pytest.raises(exceptions.WrongArgumentsError, match='_held/'):
            change(storage)

        assert content_of(storage, layer) == before
        assert storage.get_content('images/0/json') == b'{}'

    def test_everybody_on_the_container_knows(self, storage, layer):
        assert storage.is_held(layer) and storage.at(storage._root).is_held(layer)
        assert not storage.is_held('images/1/layer') and not storage.is_held('images/0/json')

    def test_held_layers_are_listed(self, storage, layer):
        assert list(storage.held()) == [layer]
        assert storage.why_held(layer) == u'because'

    def test_one_that_is_released_can_be_removed(self, storage, layer):
        storage.release(layer)
        storage.remove(layer)

        assert list(storage.held()) == []

    def test_other_objects_of_the_image_can_be_removed(self, storage, layer):
        storage.remove('images/0/json')
        storage.put_content('images/0/_checksum', b'1')
        storage.put_content('images/0/_checksum', b'2')

        assert storage.exists(layer)

    def test_nothing_else_can_be_held(self, storage):
        with pytest.raises(exceptions.WrongArgumentsError):
            storage.hold('images/0/json', 'because')

    def test_a_layer_that_is_not_held_can_be_removed(self, storage):
        storage.put_content('images/0/layer', b'1')
        storage.put_content('images/0/layer', b'2')
        storage.remove('images/0')

        assert not storage.exists('images/0/layer')


class TestCopies(object):

    @pytest.mark.parametrize('content', [b'', b'abc', data(SEGMENT)], ids=['empty', 'small', 'segment'])
    def test_a_copy_has_the_same_bytes_etag_and_metadata(self, storage, content):
        storage.replace('from', content, {'color': 'red'})
        assert storage.copy('from', 'to') is True

        first, second = storage.stat('from'), storage.stat('to')
        assert storage.get_content('to') == content
        assert (second.size, second.etag, second.metadata) == (first.size, first.etag, first.metadata)
        assert second.metadata['color'] == 'red'

    def test_a_copy_of_an_object_that_must_have_an_etag(self, storage):
        storage.put_content('from', b'content')
        etag = storage.stat('from').etag
        assert storage.copy('from', 'to', etag=etag) is True
        storage.put_content('from', b'other')

        with pytest.raises(exceptions.FileNotFoundError):
            storage.copy('from', 'to', etag=etag)
        assert storage.get_content('to') == b'content'

    def test_a_copy_replaces(self, storage):
        storage.put_content('from', b'new')
        storage.put_content('to', b'old')

        assert storage.copy('from', 'to') is True
        assert storage.get_content('to') == b'new'

    def test_a_new_copy_does_not_replace(self, storage):
        storage.put_content('from', b'copied')
        assert storage.copy('from', 'to', new=True) is True
        storage.put_content('from', b'later')

        assert storage.copy('from', 'to', new=True) is False
        assert storage.get_content('to') == b'copied'

    @pytest.mark.parametrize('path', ['with space', 'plus+sign', 'a%2Fb', u'\xfcml\xe4ut/\u20ac', 'q?uestion=1&x', 'hash#tag'])
    def test_any_character_may_be_in_the_paths(self, storage, path):
        storage.put_content(path, b'here')
        storage.copy(path, 'copies/of/it')
        storage.copy('copies/of/it', path)

        assert storage.get_content(path) == storage.get_content('copies/of/it') == b'here'

    def test_what_is_not_there_is_not_found(self, storage):
        with pytest.raises(exceptions.FileNotFoundError) as caught:
            storage.copy('nothing', 'to')
        assert 'nothing' in str(caught.value)
        assert not storage.exists('to')

    @pytest.mark.parametrize('new', [False, True])
    @pytest.mark.parametrize('kind', ['static', 'dynamic'])
    def test_a_large_object_is_not_copied(self, storage, kind, new):
        TestReleasedStreams.store(storage, kind, data(3 * SEGMENT))

        with pytest.raises(exceptions.WrongArgumentsError) as caught:
            storage.copy(kind, 'to', new=new)
        assert 'large object' in str(caught.value)
        assert not storage.exists('to')

    def test_a_copy_of_what_was_a_large_object_is_plain(self, storage):
        """Other clients make such objects: the metadata of the large one, but no segments."""
        storage.replace('from', b'abc', {'segments': 'cafe 2'})
        storage.copy('from', 'to')

        assert storage.large_object('to') == ('plain', None, [])


class TestSharing(object):

    def test_threads_share_one_driver(self, storage, free_connections):
        failures = []

        def work(number):
            try:
                for turn in range(5):
                    content = data(40000 + number, seed=number * 10 + turn)
                    storage.put_content('thread/%d' % number, content)
                    assert content_of(storage, 'thread/%d' % number) == content
                    assert storage.get_content('thread/%d' % number) == content
            except BaseException as error:  # the error of a thread would be lost
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert free_connections(storage) == storage.settings.pool_size

    def test_a_second_driver_reads_what_the_first_wrote(self, storage, another):
        storage.stream_write('large', io.BytesIO(data(2 * SEGMENT)))

        assert content_of(another(), 'large') == data(2 * SEGMENT)

    def test_writers_of_one_path_leave_one_whole_object_of_theirs(self, storage, another, names):
        """Several registries overwrite the same path, which the original walk-through left as an open question."""
        contents = [data(2 * SEGMENT + number, seed=number) for number in range(6)]
        threads = [threading.Thread(target=another().stream_write, args=('contested', io.BytesIO(content)))
                   for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert content_of(storage, 'contested') in contents


class TestRedirects(object):

    def test_without_a_key_there_is_none(self, storage):
        assert storage.content_redirect_url('any') is None

    @pytest.mark.parametrize('scope', ['container', 'account'])
    @pytest.mark.parametrize('digest', ['auto', 'sha1', 'sha256', 'sha512'])
    def test_a_signed_url_gives_the_bytes_to_anyone(self, storage, another, scope, digest, is_live):
        if is_live and scope == 'account':
            pytest.skip('the keys of a live account are not ours to set')
        if storage.is_ceph() and (scope == 'container' or digest in ('sha256', 'sha512')):
            pytest.skip('Ceph 16 signs with keys of the account and SHA-1 only; test_ceph.py has what the driver says then')
        signing = another(swift_temp_url_key='k-%s' % 'test', swift_temp_url_set_key=scope, swift_temp_url_digest=digest)
        storage.put_content(u'odd +%\xfc', b'signed for')

        url = signing.content_redirect_url(u'odd +%\xfc')
        assert requests.get(url, timeout=30).content == b'signed for'
        assert requests.get(url, headers={'Range': 'bytes=7-9'}, timeout=30).content == b'for'
        assert requests.get(url.replace('temp_url_sig=', 'temp_url_sig=0'), timeout=30).status_code in (401, 403)


def test_swift_says_where_the_account_is_and_what_it_can_do(storage):
    assert storage.storage_url().startswith('http')
    assert 'slo' in storage.info()


def test_core_finds_the_driver():
    assert driver.fetch('swift').__module__ == 'docker_registry.drivers.swift'


def test_core_path_helpers_work(storage):
    assert storage.tag_path('ns', 'a/b', 'x y') == 'repositories/ns/a%2Fb/tag_x+y'
    assert storage.tag_path(namespace='..', repository='.') == 'repositories/%252E%252E/%252E'
    assert storage.image_layer_path('cafe') == 'images/cafe/layer'
    assert storage.is_private('ns', 'repo') is False
