"""Ranges of blobs: RFC 9110, section 14."""

import email.message
import io
import itertools
import random
import re

import pytest
from hypothesis import given, strategies
from werkzeug.test import Client

from docker_registry.v2.http import ranges
from docker_registry.v2.registry import errors
from fake_swift import on, status
from registry_client import code_of

CONTENT = random.Random(5).randbytes(2048)
MiB = 1024 * 1024
LARGE = random.Random(6).randbytes(3 * MiB)  # three segments
NINES = '9' * 5000  # more digits than Python reads


def get(registry, digest, wanted, **fields):
    return registry('GET', f'/v2/a/blobs/{digest}', headers=dict(fields, Range=wanted))


# One range


@pytest.mark.parametrize(
    'wanted, first, end',
    [
        ('bytes=500-1499', 500, 1500),
        ('bytes=500-', 500, 2048),
        ('bytes=-500', 1548, 2048),
        ('bytes=2000-5000', 2000, 2048),
        ('bytes=0-0', 0, 1),
        ('bytes=-5000', 0, 2048),
        ('bytes=-1', 2047, 2048),
        ('bytes=2047-', 2047, 2048),
        ('BYTES = 5 - 9', 5, 10),
        ('bytes=5-9,', 5, 10),
        ('bytes=00000000000000000000000005-9', 5, 10),
        (f'bytes=5-{NINES}', 5, 2048),
        (f'bytes=-{NINES}', 0, 2048),
    ],
)
def test_a_range(registry, wanted, first, end):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, wanted)

    assert (answer.status_code, answer.data) == (206, CONTENT[first:end])
    assert answer.headers['Content-Range'] == f'bytes {first}-{end - 1}/2048'
    assert answer.headers['Content-Length'] == str(end - first)
    assert answer.headers['Docker-Content-Digest'] == digest


#: The conformance tests of the distribution spec want a 416 for a range that ends before it begins.
MISSED = [
    'bytes=2048-',
    'bytes=5000-10000',
    'bytes=-0',
    'bytes=500-0',
    f'bytes={NINES}-',
    'bytes=3000-3001,4000-',
    'bytes=0-1,9-8',
    'bytes=-0,-0',
]


@pytest.mark.parametrize('wanted', MISSED)
def test_a_range_that_the_blob_does_not_have_is_refused_with_its_size(registry, wanted):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, wanted)

    assert (answer.status_code, answer.headers['Content-Range']) == (416, 'bytes */2048')
    assert code_of(answer) == 'SIZE_INVALID'
    assert 'range' in answer.json['errors'][0]['message'] and 'upload' not in answer.text


@pytest.mark.parametrize('wanted', ['bytes=5000-', 'bytes=500-0', 'bytes=0-1,5000-'])
def test_the_size_of_a_blob_of_another_repository_stays_hidden(registry, wanted):
    digest = registry.push_blob('b', CONTENT)

    answer = get(registry, digest, wanted)

    assert (answer.status_code, code_of(answer)) == (404, 'BLOB_UNKNOWN')
    assert 'Content-Range' not in answer.headers


def test_a_range_is_no_reason_to_take_trouble_for_a_missing_blob(fake_place):
    registry = fake_place.registry()
    digest = registry.push_blob('a', CONTENT)
    fake_place.server.fault(on('HEAD', kind='object'), status(503), times=None)

    assert get(registry, digest, 'bytes=5000-').status_code == 503


@pytest.mark.parametrize(
    'wanted', ['bytes=0-', 'bytes=0-0', 'bytes=0-1023', 'bytes=-5', 'bytes=-0', 'bytes=7-', 'bytes=9-8', 'bytes=0-1,4-5']
)
def test_an_empty_blob_comes_whole_whatever_the_range(registry, wanted):
    digest = registry.push_blob('a', b'')

    answer = get(registry, digest, wanted)

    assert (answer.status_code, answer.data, answer.headers['Content-Length']) == (200, b'', '0')
    assert 'Content-Range' not in answer.headers


def test_an_empty_blob_comes_whole_from_a_storage_that_refuses_the_range(fake_place):
    """Ceph refuses every range of an empty object."""
    registry = fake_place.registry()
    digest = registry.push_blob('a', b'')
    fake_place.server.fault(on('GET', kind='object'), status(416))

    answer = get(registry, digest, 'bytes=0-')

    assert (answer.status_code, answer.data) == (200, b'')


@pytest.mark.parametrize(
    'wanted',
    [
        '',
        'bytes',
        'bytes=',
        'bytes=-',
        'bytes=x',
        'bytes=1',
        'bytes=1-2-3',
        'bytes=1-2;3-4',
        'bytes=0x1-0x2',
        'bytes=٣-٤',
        'lines=1-2',
        '0-5',
        'bytes=,',
        'bytes=0-1,x',
    ],
)
def test_what_is_no_range_is_ignored(registry, wanted):
    digest = registry.push_blob('a', CONTENT)

    answer = registry('GET', f'/v2/a/blobs/{digest}', environ_overrides={'HTTP_RANGE': wanted.encode().decode('latin-1')})

    assert (answer.status_code, answer.data) == (200, CONTENT)


@pytest.mark.parametrize('wanted', ['bytes=0-1', 'bytes=5000-', 'bytes=0-1,5-6'])
def test_head_ignores_a_range(registry, wanted):
    digest = registry.push_blob('a', CONTENT)

    answer = registry('HEAD', f'/v2/a/blobs/{digest}', headers={'Range': wanted})

    assert (answer.status_code, answer.headers['Content-Length']) == (200, '2048')
    assert 'Content-Range' not in answer.headers


@pytest.mark.parametrize('validator', ['"another"', 'W/"{}"', 'Wed, 01 Jan 2025 00:00:00 GMT', '*'])
@pytest.mark.parametrize('wanted', ['bytes=0-1', 'bytes=5000-', 'bytes=0-1,5-6'])
def test_a_range_of_another_version_is_answered_with_the_whole(registry, validator, wanted):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, wanted, **{'If-Range': validator.format(digest)})

    assert (answer.status_code, answer.data) == (200, CONTENT)


def test_a_range_of_the_same_version(registry):
    digest = registry.push_blob('a', CONTENT)

    assert get(registry, digest, 'bytes=0-1', **{'If-Range': f'"{digest}"'}).data == CONTENT[:2]


# Several ranges


def parts_of(answer):
    """Return [(Content-Range, bytes)] of a response, as Go's mime/multipart, which podman uses, would read it."""
    assert answer.status_code == 206 and 'Content-Range' not in answer.headers
    assert int(answer.headers['Content-Length']) == len(answer.data)
    fields = email.message.Message()
    fields['Content-Type'] = answer.headers['Content-Type']
    assert fields.get_content_type() == 'multipart/byteranges'
    boundary = fields.get_boundary().encode()
    first, *parts, last = answer.data.split(b'\r\n--' + boundary)
    assert (first, last) == (b'', b'--\r\n')
    return [read_part(part) for part in parts]


def read_part(part):
    head, _, content = part.removeprefix(b'\r\n').partition(b'\r\n\r\n')
    fields = dict(line.split(': ') for line in head.decode().split('\r\n'))
    assert fields['Content-Type'] == 'application/octet-stream'
    return fields['Content-Range'], content


def asked(chunks):
    """Write (offset, length) pairs as containers/image does; a length of None means to the end."""
    return 'bytes=' + ','.join(f'{offset}-' if length is None else f'{offset}-{offset + length - 1}' for offset, length in chunks)


def test_several_ranges_come_in_parts(registry):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, 'bytes=0-9, 20-29 ,-8')

    assert parts_of(answer) == [
        ('bytes 0-9/2048', CONTENT[:10]),
        ('bytes 20-29/2048', CONTENT[20:30]),
        ('bytes 2040-2047/2048', CONTENT[-8:]),
    ]
    assert answer.headers['Docker-Content-Digest'] == digest


def test_podman_asks_for_a_thousand_chunks_and_the_end(registry):
    digest, chunks = registry.push_blob('a', LARGE), [(number * 2500 + 7, 13) for number in range(1023)] + [(len(LARGE) - 50, None)]

    answer = get(registry, digest, asked(chunks))

    assert [content for _, content in parts_of(answer)] == [LARGE[at : at + (length or 50)] for at, length in chunks]


def test_close_ranges_share_a_request_to_swift_and_distant_ones_do_not(fake_place):
    registry = fake_place.registry()
    digest = registry.push_blob('a', LARGE)
    chunks = [(0, 5), (10, 5), (1000, 5), (2_500_000, 5), (2_500_010, 5)]
    del registry.swift_requests[:]

    answer = get(registry, digest, asked(chunks))

    assert [content for _, content in parts_of(answer)] == [LARGE[at : at + 5] for at, _ in chunks]
    assert [method for method, _ in registry.swift_requests] == ['HEAD', 'HEAD', 'GET', 'GET']


@given(strategies.lists(strategies.tuples(strategies.integers(1, 3 * 1024**2), strategies.integers(1, 200_000)), min_size=1, max_size=50))
def test_few_bytes_are_read_in_vain(gaps_and_lengths):
    places = itertools.accumulate(itertools.chain(*gaps_and_lengths))
    wanted = [(first, end - 1) for first, end in zip(places, places)]

    groups = list(ranges._groups(wanted))

    assert [one for group in groups for one in group] == wanted
    asked_for = sum(last - first + 1 for first, last in wanted)
    read = sum(group[-1][1] - group[0][0] + 1 for group in groups)
    assert read - asked_for <= max(ranges.READ_THROUGH, ranges.MOST_DROPPED * asked_for)
    assert all(other[0] - one[1] <= ranges.READ_THROUGH + 1 for group in groups for one, other in itertools.pairwise(group))


def test_a_thousand_single_bytes_do_not_make_the_registry_read_a_gigabyte():
    apart = ranges.READ_THROUGH - 1

    groups = list(ranges._groups([(number * apart, number * apart) for number in range(1024)]))

    assert sum(group[-1][1] - group[0][0] + 1 for group in groups) < 2 * ranges.READ_THROUGH


def test_the_smallest_gaps_are_read_through():
    far = ranges.READ_THROUGH * 2 // 3
    wanted = [(0, 0), (far, far), (far + 10, far + 10), (2 * far, 2 * far), (2 * far + 5, 2 * far + 5)]

    assert list(ranges._groups(wanted)) == [wanted[:1], wanted[1:]]


def test_only_one_range_that_the_blob_has_comes_alone(registry):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, 'bytes=5-9,5000-6000')

    assert (answer.status_code, answer.data) == (206, CONTENT[5:10])
    assert answer.headers['Content-Range'] == 'bytes 5-9/2048'


@pytest.mark.parametrize(
    'wanted',
    [
        'bytes=0-10,5-20',
        'bytes=20-30,0-10',
        'bytes=0-,0-,0-',
        'bytes=-5,-5',
        'bytes=0-1023,1024-2047',
        'bytes=' + ','.join(f'{at}-{at}' for at in range(0, 2048, 2)),
        'bytes=' + ','.join(f'{at}-{at}' for at in range(1100)),
    ],
)
def test_ranges_never_make_a_response_longer_than_the_whole(registry, wanted):
    digest = registry.push_blob('a', CONTENT)

    answer = get(registry, digest, wanted)

    assert (answer.status_code, answer.data) == (200, CONTENT)


def test_the_log_counts_every_request_to_swift_for_several_ranges(fake_place, caplog):
    registry = fake_place.registry()
    digest = registry.push_blob('a', LARGE)
    caplog.set_level('INFO', 'docker_registry.v2.http.requests')
    caplog.clear()

    get(registry, digest, asked([(0, 5), (2_500_000, 5)]))

    assert 'swift=4 ' in caplog.text


def test_trouble_with_the_first_range_is_told(fake_place):
    registry = fake_place.registry()
    digest = registry.push_blob('a', LARGE)
    fake_place.server.fault(on('GET', kind='object'), status(503), times=None)

    assert get(registry, digest, 'bytes=0-9,20-29').status_code == 503


def test_a_client_that_goes_away_between_ranges_gives_the_connection_back(fake_place):
    registry = fake_place.registry()
    digest = registry.push_blob('a', LARGE)
    for blocks in (0, 2) * 25:
        answer = Client(registry.app).open(f'/v2/a/blobs/{digest}', headers={'Range': asked([(0, 700_000), (2_000_000, 9)])})
        for _ in range(blocks):
            next(iter(answer.response))
        answer.close()

    assert registry('GET', f'/v2/a/blobs/{digest}').data == LARGE


class Stream:
    """Bytes in small blocks, as the driver's stream."""

    def __init__(self, content, size):
        self._blocks = iter([content[at : at + size] for at in range(0, len(content), size)])

    def __next__(self):
        return next(self._blocks)

    def close(self):
        pass


def test_several_ranges_are_released_between_any_two_blocks(place):
    storage = place.storage()
    storage.stream_write('large', io.BytesIO(LARGE))
    wanted = [(5, 9), (100, 700_000), (2 * MiB + 7, 3 * MiB - 1)]
    body = ranges.Multipart(wanted, len(LARGE), lambda one: storage.stream_read('large', one))
    assert body.release()
    body.begin()
    sent = bytearray()
    for block in body:
        sent += block
        assert body.release()
        assert storage._swift._pool.free() == storage.settings.pool_size

    assert len(sent) == body.length
    for first, last in wanted:
        assert LARGE[first : last + 1] + b'\r\n--' in sent


@given(
    strategies.lists(strategies.integers(0, 2047), min_size=4, max_size=20, unique=True),
    strategies.integers(1, 300),
    strategies.sampled_from([0, 1, 50, 5000]),
)
def test_any_ranges_in_any_blocks(places, block, gap):
    places = sorted(places)
    wanted = [(first, last) for first, last in zip(places[::2], places[1::2])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, 'READ_THROUGH', gap)
        body = ranges.Multipart(wanted, 2048, lambda one: Stream(CONTENT[one[0] : one[1] + 1], block))
        body.begin()
        sent = b''.join(body)

    assert len(sent) == body.length
    found = re.findall(rb'Content-Range: bytes (\d+)-(\d+)/2048\r\n\r\n', sent)
    assert [(int(first), int(last)) for first, last in found] == wanted
    for first, last in wanted:
        assert CONTENT[first : last + 1] + b'\r\n--' in sent


@given(
    strategies.lists(strategies.tuples(strategies.none() | strategies.integers(0, 60), strategies.none() | strategies.integers(0, 60))),
    strategies.integers(1, 50),
)
def test_ranges_within_a_blob_are_bytes_that_it_has(wanted, size):
    wanted = [one for one in wanted if one != (None, None)]
    try:
        found = ranges.within(wanted, size)
    except errors.RangeUnsatisfiable:
        return
    places = [place for one in found for place in range(one[0], one[1] + 1)]
    assert all(first <= last for first, last in found)
    assert places == sorted(set(places)) and set(places) <= set(range(size))
