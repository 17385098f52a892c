"""Uploads over HTTP: the endpoints end-4, end-5, end-6, end-11, end-13 and end-14 of the spec."""

import contextlib
import io
import pathlib
import random
import re
import threading

import pytest
from hypothesis import given, settings, strategies
from werkzeug.test import create_environ, run_wsgi_app

from docker_registry.v2.registry import upload_state
from fake_swift import cut_request, lost_answer, on, status
from registry_client import code_of, digest_of
from registry_process import Serving, environment, until

MiB = 1024 * 1024

CONTENT = random.Random(1).randbytes(3 * 1024 * 1024 + 17)  # more than three segments
SMALL = b'a small blob'


def digest_query(location, digest):
    return f'{location}{"&" if "?" in location else "?"}digest={digest}'


@pytest.mark.parametrize('content', [b'', SMALL, CONTENT], ids=['empty', 'small', 'large'])
@pytest.mark.parametrize('algorithm', ['sha256', 'sha512'])
class TestEachWay:
    """Every way to push a blob, with both digest algorithms. In most of them, only the last request names the digest."""

    @pytest.fixture(autouse=True)
    def _pushed(self, registry, content, algorithm):
        self.digest = digest_of(content, algorithm)
        yield
        assert self.answer.status_code == 201, self.answer.data
        assert self.answer.headers['Docker-Content-Digest'] == self.digest
        assert registry('GET', self.answer.headers['Location']).data == content

    def test_in_one_post(self, registry, content):
        self.answer = registry('POST', f'/v2/a/blobs/uploads/?digest={self.digest}', content)

    def test_in_one_post_without_a_length(self, registry, content):
        self.answer = registry('POST', f'/v2/a/blobs/uploads/?digest={self.digest}', content, chunked=True)

    def test_post_and_put(self, registry, content):
        self.answer = registry('PUT', digest_query(registry.upload('a'), self.digest), content)

    def test_post_and_put_without_a_length(self, registry, content):
        self.answer = registry('PUT', digest_query(registry.upload('a'), self.digest), content, chunked=True)

    def test_streamed(self, registry, content):
        location = registry('PATCH', registry.upload('a'), content, chunked=True).headers['Location']
        self.answer = registry('PUT', digest_query(location, self.digest), chunked=True)

    def test_announced_algorithm(self, registry, content, algorithm):
        location = registry('PATCH', registry.upload('a', f'?digest-algorithm={algorithm}'), content).headers['Location']
        self.answer = registry('PUT', digest_query(location, self.digest))

    @pytest.mark.parametrize('last', ['PATCH', 'PUT'])
    def test_in_chunks_through_two_instances(self, place, registry, content, last):
        instances = [registry, place.registry()]
        location, step, start = registry.upload('a'), len(content) // 3 + 1, 0
        while start < len(content):
            chunk = content[start : start + step]
            fields = {'Content-Range': f'{start}-{start + len(chunk) - 1}'}
            instances.reverse()
            if last == 'PUT' and start + step >= len(content):
                self.answer = instances[0]('PUT', digest_query(location, self.digest), chunk, headers=fields)
                return
            answer = instances[0]('PATCH', location, chunk, headers=fields)
            assert answer.status_code == 202
            assert answer.headers['Range'] == f'0-{start + len(chunk) - 1}'
            location, start = answer.headers['Location'], start + step
        self.answer = instances[0]('PUT', digest_query(location, self.digest))


@pytest.mark.parametrize('content', [SMALL, CONTENT], ids=['small', 'large'])
class TestWrongDigest:
    @pytest.fixture(autouse=True)
    def _refused(self, registry, content):
        self.digest = digest_of(content + b'oh no')
        yield
        assert (self.answer.status_code, code_of(self.answer)) == (400, 'DIGEST_INVALID')
        assert registry('HEAD', f'/v2/a/blobs/{self.digest}').status_code == 404

    def test_in_one_post(self, registry, content):
        self.answer = registry('POST', f'/v2/a/blobs/uploads/?digest={self.digest}', content)

    def test_post_and_put(self, registry, content):
        self.answer = registry('PUT', digest_query(registry.upload('a'), self.digest), content)

    def test_streamed(self, registry, content):
        location = registry('PATCH', registry.upload('a'), content, chunked=True).headers['Location']
        self.answer = registry('PUT', digest_query(location, self.digest))
        right = registry('PUT', digest_query(location, digest_of(content)))
        assert right.status_code == 201, 'the upload lives on'

    def test_of_a_blob_that_is_there(self, registry, content):
        registry.push_blob('a', content)
        self.answer = registry('POST', f'/v2/b/blobs/uploads/?digest={digest_of(content)}', content[:-1] + b'!')
        assert registry('HEAD', f'/v2/b/blobs/{digest_of(content)}').status_code == 404
        assert registry('GET', f'/v2/a/blobs/{digest_of(content)}').data == content


@pytest.mark.parametrize('method', ['PATCH', 'PUT'])
def test_a_chunk_out_of_order(registry, method):
    location = registry('PATCH', registry.upload('a'), SMALL[:5]).headers['Location']
    target = digest_query(location, digest_of(SMALL)) if method == 'PUT' else location

    answer = registry(method, target, SMALL[7:], headers={'Content-Range': '7-11'})

    assert answer.status_code == 416
    assert answer.headers['Range'] == '0-4'
    status = registry('GET', location)
    assert (status.status_code, status.headers['Range']) == (204, '0-4')
    location = registry('PATCH', status.headers['Location'], SMALL[5:], headers={'Content-Range': '5-11'}).headers['Location']
    assert registry('PUT', digest_query(location, digest_of(SMALL))).status_code == 201


@pytest.mark.parametrize(
    'fields, chunked, status',
    [
        ({'Content-Range': '0-5'}, False, 400),
        ({'Content-Range': '0-5'}, True, 400),
        ({'Content-Range': '0-500'}, True, 400),
        ({'Content-Range': 'nonsense'}, False, 416),
        ({'Content-Range': '5-0'}, False, 416),
    ],
)
def test_a_chunk_that_is_not_as_long_as_its_range(registry, fields, chunked, status):
    location = registry.upload('a')

    assert registry('PATCH', location, SMALL, headers=fields, chunked=chunked).status_code == status
    assert registry('GET', location).headers['Range'] == '0-0'


def test_a_new_upload_has_an_identity_and_takes_chunks_of_a_size(registry):
    answer = registry('POST', '/v2/a/blobs/uploads/')

    assert answer.headers['Docker-Upload-UUID']
    assert answer.headers['Range'] == '0-0'
    assert int(answer.headers['OCI-Chunk-Min-Length']) > 0


@pytest.mark.parametrize('content', [SMALL, CONTENT], ids=['small', 'large'])
@pytest.mark.parametrize('method', ['PATCH', 'PUT', 'POST'])
def test_a_body_cut_short_adds_nothing(registry, place, content, method):
    """The Content-Length is larger than the body."""
    location = registry('PATCH', registry.upload('a'), b'12345').headers['Location']
    digest = digest_of(content)
    target = {'PATCH': location, 'PUT': digest_query(registry.upload('a'), digest), 'POST': f'/v2/a/blobs/uploads/?digest={digest}'}[method]

    answer = registry(method, target, content, environ_overrides={'CONTENT_LENGTH': str(len(content) + 1)})

    assert (answer.status_code, code_of(answer)) == (400, 'SIZE_INVALID')
    assert registry('GET', location).headers['Range'] == '0-4'
    assert registry('HEAD', f'/v2/a/blobs/{digest}').status_code == 404


@pytest.mark.parametrize('method', ['PATCH', 'PUT', 'POST'])
@pytest.mark.parametrize('error', [OSError('reset'), ValueError('invalid chunk size')])
def test_a_chunked_body_cut_short_adds_nothing(registry, method, error):
    class Cut(io.RawIOBase):
        blocks = [CONTENT[:2000000]]

        def read(self, size):
            if not self.blocks:
                raise error
            return self.blocks.pop()[:size]

    location = registry.upload('a')
    target = {
        'PATCH': location,
        'PUT': digest_query(location, digest_of(CONTENT)),
        'POST': f'/v2/a/blobs/uploads/?digest={digest_of(CONTENT)}',
    }[method]

    answer = registry(method, target, chunked=True, environ_overrides={'wsgi.input': Cut()})

    assert (answer.status_code, code_of(answer)) == (400, 'SIZE_INVALID')
    assert registry('GET', location).headers['Range'] == '0-0'


def test_a_chunk_sent_again_does_not_touch_a_committed_blob(registry):
    location = registry.upload('a')
    after = registry('PATCH', location, CONTENT).headers['Location']
    assert registry('PUT', digest_query(after, digest_of(CONTENT))).status_code == 201

    registry('PATCH', location, CONTENT[::-1])

    assert registry('GET', '/v2/a/blobs/' + digest_of(CONTENT)).data == CONTENT


def test_a_commit_may_be_repeated(registry):
    location = registry('PATCH', registry.upload('a'), CONTENT).headers['Location']

    for _ in range(2):
        assert registry('PUT', digest_query(location, digest_of(CONTENT))).status_code == 201
    assert registry('GET', '/v2/a/blobs/' + digest_of(CONTENT)).data == CONTENT


def test_a_cancelled_upload_does_not_take_a_committed_blob_with_it(registry):
    """A client that has not received the response to its PUT may cancel the upload."""
    location = registry('PATCH', registry.upload('a'), CONTENT).headers['Location']
    registry('PUT', digest_query(location, digest_of(CONTENT)))

    assert registry('DELETE', location).status_code == 204

    assert registry('GET', '/v2/a/blobs/' + digest_of(CONTENT)).data == CONTENT


@pytest.mark.parametrize('method', ['GET', 'PATCH', 'PUT', 'DELETE'])
@pytest.mark.parametrize('forged', ['x', 'A' * 200, '%00', '~', 'é'])
def test_an_unknown_upload(registry, method, forged):
    answer = registry(method, f'/v2/a/blobs/uploads/{forged}?digest={digest_of(b"")}')

    assert (answer.status_code, code_of(answer)) == (404, 'BLOB_UPLOAD_UNKNOWN')


def test_an_upload_of_another_repository_is_unknown(registry):
    location = registry.upload('a')

    assert registry('GET', location.replace('/v2/a/', '/v2/b/')).status_code == 404


@pytest.mark.parametrize('query', ['?digest=sha256:bad', '?digest=', '', '?digest=md5:' + 'a' * 32])
def test_a_commit_with_no_digest(registry, query):
    answer = registry('PUT', registry.upload('a') + query, SMALL)

    assert (answer.status_code, code_of(answer)) == (400, 'DIGEST_INVALID')


#: What clients append to the Location, which has no query of its own.
APPENDED = [
    '&digest={digest}',
    '&digest={encoded}',
    '%26digest={encoded}',
    '%3Fdigest={digest}',
    '%26digest%3D{encoded}',
    '?digest={encoded}',
    '?&digest={digest}',
    '&a=b&digest={digest}',
    '&digest={digest}&a=b',
    '?a=b?digest={digest}',
    '?a=b&digest={digest}',
    '?digest={digest}&a=b',
    '?digest={digest}?a=b',
    '?_state=x%3D%3D?digest={encoded}',
    '&_state=x?digest={digest}',
    '&digest={digest}?_state=x',
]


@pytest.mark.parametrize('appended', APPENDED)
@pytest.mark.parametrize('content', [b'', SMALL])
def test_a_digest_that_is_appended_to_the_url_in_an_unusual_way(registry, appended, content):
    digest = digest_of(content)
    location = registry('PATCH', registry.upload('a/b'), content).headers['Location']

    answer = registry('PUT', location + appended.format(digest=digest, encoded=digest.replace(':', '%3A')))

    assert (answer.status_code, answer.headers['Docker-Content-Digest']) == (201, digest)
    assert registry('GET', f'/v2/a/b/blobs/{digest}').data == content


@pytest.mark.parametrize('appended', ['&a=b', '?a=b?c=d', '%3Fa=b'])
def test_any_request_of_an_upload_understands_what_is_appended(registry, appended):
    location = registry.upload('a') + appended

    answer = registry('PATCH', location, SMALL)
    assert (answer.status_code, '=' in answer.headers['Location']) == (202, False)
    assert [registry(method, location).status_code for method in ('GET', 'HEAD', 'DELETE')] == [204, 204, 204]


def test_what_is_appended_does_not_show_in_the_log(fake_registry, caplog):
    location = fake_registry.upload('a')
    caplog.set_level('INFO', 'docker_registry.v2.http.requests')
    caplog.clear()

    fake_registry('GET', location + '&digest=' + digest_of(SMALL))

    assert caplog.messages[0].startswith('GET /v2/a/blobs/uploads/... 204')


@pytest.mark.parametrize('path', ['/v2/a&digest=x/tags/list', '/v2/a/manifests/v1&a=b', '/v2/a/blobs/uploads/&digest=x', '/v2/a/blobs/x&y'])
def test_other_urls_are_taken_as_they_are(registry, path):
    assert registry('GET', path).status_code in (400, 404)


def test_an_unknown_algorithm(registry):
    assert registry('POST', '/v2/a/blobs/uploads/?digest-algorithm=md5').status_code == 400


class TestMount:
    @pytest.mark.parametrize('source', ['&from=a', ''])
    def test_of_a_blob_that_is_there(self, registry, source):
        digest = registry.push_blob('a', SMALL)

        answer = registry('POST', f'/v2/b/blobs/uploads/?mount={digest}{source}')

        assert (answer.status_code, answer.headers['Docker-Content-Digest']) == (201, digest)
        assert registry('GET', answer.headers['Location']).data == SMALL

    @pytest.mark.parametrize('source', ['&from=a', '&from=c', ''])
    def test_of_a_missing_blob_begins_an_upload(self, registry, source):
        answer = registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(SMALL)}{source}')

        assert answer.status_code == 202
        assert registry('PUT', digest_query(answer.headers['Location'], digest_of(SMALL)), SMALL).status_code == 201

    def test_from_a_repository_that_has_it_not(self, registry):
        digest = registry.push_blob('a', SMALL)

        assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest}&from=c').status_code == 202
        assert registry('HEAD', f'/v2/b/blobs/{digest}').status_code == 404

    @pytest.mark.parametrize(
        'source',
        ['Library/Pause', 'registry.example.com:5000/pause', '_pause', 'a/', 'a//b', '/a', 'x' * 256, 'é', '%00', '..', 'no&from=a', 'b'],
    )
    def test_from_a_name_that_cannot_have_it_begins_an_upload(self, registry, source):
        digest = registry.push_blob('a', SMALL)

        answer = registry('POST', f'/v2/b/blobs/uploads/?mount={digest}&from={source}')

        assert answer.status_code == 202
        assert registry('HEAD', f'/v2/b/blobs/{digest}').status_code == 404
        assert registry('PUT', digest_query(answer.headers['Location'], digest), SMALL).status_code == 201

    @pytest.mark.parametrize(
        'mount', ['', 'x', 'sha256:bad', 'md5:' + 'a' * 32, 'sha384:' + 'a' * 96, digest_of(SMALL).upper(), '%00', 'x' * 5000]
    )
    @pytest.mark.parametrize('source', ['&from=a', '&from=A', '&from=', ''])
    def test_of_what_is_no_digest_begins_an_upload(self, registry, mount, source):
        answer = registry('POST', f'/v2/b/blobs/uploads/?mount={mount}{source}')

        assert answer.status_code == 202
        assert registry('PUT', digest_query(answer.headers['Location'], digest_of(SMALL)), SMALL).status_code == 201

    def test_from_the_same_repository(self, registry):
        digest = registry.push_blob('b', SMALL)

        assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest}&from=b').status_code == 201

    def test_into_a_name_that_is_none_is_refused(self, registry):
        answer = registry('POST', f'/v2/B/blobs/uploads/?mount={digest_of(SMALL)}&from=a')

        assert (answer.status_code, code_of(answer)) == (400, 'NAME_INVALID')


def test_many_small_chunks(registry, place):
    """The Location stays short, however many chunks the upload has, and the blob can be read."""
    content, location = random.Random(2).randbytes(120 * 9000), registry.upload('a')
    for start in range(0, len(content), 9000):
        location = registry('PATCH', location, content[start : start + 9000]).headers['Location']
        assert len(location) < 4096

    assert place.registry()('PUT', digest_query(location, digest_of(content))).status_code == 201

    assert registry('GET', '/v2/a/blobs/' + digest_of(content)).data == content


class TestTinyChunks:
    """Some clients send thousands of chunks of a few bytes. The registry joins their parts from time to time."""

    COUNT = 1000

    @pytest.fixture
    def chunks(self):
        return [b'%d,' % number for number in range(self.COUNT)]

    @pytest.fixture
    def sent(self, fake_registry, chunks):
        """Sends the chunks, and returns the Location of the upload. The first chunk is too long for the Location."""
        location = fake_registry.upload('a')
        for chunk in [CONTENT[:9000], *chunks]:
            location = fake_registry('PATCH', location, chunk).headers['Location']
        return location

    def test_each_costs_few_requests_and_bytes(self, fake_registry, fake_place, sent):
        parts = [request for request in fake_place.server.requests if request.method == 'PUT']

        assert len(fake_registry.swift_requests) < 2.2 * self.COUNT
        assert sum(len(request.body) for request in parts) < 20 * (9000 + 5 * self.COUNT)

    @pytest.mark.parametrize('other', [False, True], ids=['same instance', 'another instance'])
    def test_the_end_reads_few_parts(self, fake_registry, fake_place, sent, chunks, other):
        content = CONTENT[:9000] + b''.join(chunks)
        registry = fake_place.registry() if other else fake_registry
        del registry.swift_requests[:]

        assert registry('PUT', digest_query(sent, digest_of(content))).status_code == 201

        assert len(registry.swift_requests) < 60
        assert registry('GET', '/v2/a/blobs/' + digest_of(content)).data == content

    def test_an_earlier_state_of_the_upload_can_go_on(self, fake_registry):
        """A client that did not get the response to a chunk sends the chunk again."""
        chunks, location = [b'%d,' % number for number in range(60)], fake_registry.upload('a')
        location = fake_registry('PATCH', location, CONTENT[:9000]).headers['Location']
        for chunk in chunks:
            fake_registry('PATCH', location, chunk)
            location = fake_registry('PATCH', location, chunk).headers['Location']
        content = CONTENT[:9000] + b''.join(chunks)

        assert fake_registry('PUT', digest_query(location, digest_of(content))).status_code == 201
        assert fake_registry('GET', '/v2/a/blobs/' + digest_of(content)).data == content

    def test_parts_that_have_changed_are_not_joined(self, fake_registry, fake_place):
        location = fake_registry.upload('a')
        location = fake_registry('PATCH', location, CONTENT[:9000]).headers['Location']
        for part in fake_place.objects:
            fake_place.server.put(fake_place.container, 'files/' + part, b'X' + CONTENT[1:9000])
        for _ in range(upload_state.MOST_PARTS):
            answer = fake_registry('PATCH', location, b'x')
            location = answer.headers.get('Location', location)

        assert (answer.status_code, code_of(answer)) == (404, 'BLOB_UPLOAD_UNKNOWN')

    def test_large_parts_between_them_stay(self, fake_registry, fake_place):
        content, location = b'', fake_registry.upload('a')
        for number in range(90):
            chunk = CONTENT[: 1024 * 1024 + number] if number < 3 else b'%d' % number
            content += chunk
            location = fake_registry('PATCH', location, chunk).headers['Location']
        assert fake_registry('PUT', digest_query(location, digest_of(content))).status_code == 201

        assert fake_registry('GET', '/v2/a/blobs/' + digest_of(content)).data == content


def test_a_giant_chunk_after_a_thousand_tiny_ones_takes_two_segments_of_memory(fake, tmp_path):
    giant = io.BytesIO(bytes(128 * MiB))
    with (
        Serving(tmp_path, environment(fake, SWIFT_SEGMENT_SIZE='16MiB')) as serving,
        contextlib.closing(serving.connection()) as connection,
    ):
        location = serving.begin_upload()
        for _ in range(1000):
            location = serving.request('PATCH', location, b'x', connection=connection)[1]['Location']
        before = peak(serving)
        assert serving.request('PATCH', location, giant, connection=connection, Content_Length=str(128 * MiB))[0] == 202

        assert peak(serving) - before < 3 * 16 * MiB


def peak(serving):
    (worker,) = serving.workers
    return int(re.search(r'VmHWM:\s+(\d+) kB', pathlib.Path(f'/proc/{worker}/status').read_text())[1]) * 1024


class Stalling(io.RawIOBase):
    """The body of a request whose client falls silent after `content` until `go` is set."""

    def __init__(self, content, go):
        self._content, self._go = io.BytesIO(content), go
        self.silent = threading.Event()

    def read(self, size=-1):
        block = self._content.read(size)
        if not block:
            self.silent.set()
            assert self._go.wait(120)
        return block


@pytest.mark.parametrize('method', ['PUT', 'POST', 'PATCH'])
def test_clients_that_fall_silent_hold_no_connection_to_swift(fake_registry, method):
    go, answers, threads = threading.Event(), [], []
    bodies = [Stalling(CONTENT[: 5 * MiB // 2], go) for _ in range(40)]
    digest = digest_of(CONTENT)

    def push(client, body):
        path = f'/v2/a/blobs/uploads/?digest={digest}' if method == 'POST' else digest_query(fake_registry.upload('a'), digest)
        environ = create_environ(path, method=method) | {'wsgi.input': body, 'CONTENT_LENGTH': str(len(CONTENT)), 'REMOTE_ADDR': client}
        answers.append(run_wsgi_app(fake_registry.app, environ, buffered=True)[1])

    for number, body in enumerate(bodies):  # without a server, a silent client keeps the place that its address has
        threads.append(threading.Thread(target=push, args=(f'192.0.2.{number}', body), daemon=True))
        threads[-1].start()
    for body in bodies:
        assert body.silent.wait(60)
    until(lambda: fake_registry.storage._swift._pool.free() == fake_registry.storage.settings.pool_size)
    go.set()
    for thread in threads:
        thread.join(60)

    assert {answer.split()[0] for answer in answers} == {'400'} and len(answers) == 40


@pytest.mark.parametrize('trouble', [status(503), cut_request(100_000), status(401), lost_answer()], ids=['503', 'cut', '401', 'lost'])
@pytest.mark.parametrize('size', [MiB // 2, 3 * MiB // 2], ids=['in one object', 'in segments'])
def test_a_request_to_swift_that_fails_does_not_fail_the_push(fake_registry, fake, trouble, size):
    fake_registry.storage.connect()
    fault = fake.fault(on('PUT', kind='object'), trouble)

    digest = fake_registry.push_blob('a', CONTENT[:size])

    assert fault.hits == 1
    assert fake_registry('GET', f'/v2/a/blobs/{digest}').data == CONTENT[:size]


@pytest.fixture(scope='module')
def module_registry():
    import fake_swift
    from registry_client import Place

    with fake_swift.FakeSwift() as server:
        place = Place(server)
        yield [place.registry(), place.registry()]


@settings(max_examples=60)
@given(data=strategies.data())
def test_any_split_of_a_blob_gives_the_same_blob(module_registry, data):
    size = data.draw(strategies.sampled_from([1, 3000, 9000, 70000, 2 * 1024 * 1024 + 3]), 'size')
    content = random.Random(size).randbytes(size) if data.draw(strategies.booleans(), 'random') else b'\0' * size
    cuts = sorted(data.draw(strategies.lists(strategies.integers(0, size), max_size=6), 'cuts'))
    algorithm = data.draw(strategies.sampled_from(['sha256', 'sha512']), 'algorithm')
    with_put = data.draw(strategies.booleans(), 'the last one in the PUT')
    chunks = [content[start:end] for start, end in zip([0] + cuts, cuts + [size])]
    last = chunks.pop() if with_put else b''
    location = module_registry[0].upload('a')
    for chunk in chunks:
        instance = data.draw(strategies.sampled_from(module_registry), 'instance')
        location = instance('PATCH', location, chunk, chunked=data.draw(strategies.booleans())).headers['Location']

    answer = module_registry[0]('PUT', digest_query(location, digest_of(content, algorithm)), last)

    assert answer.status_code == 201, answer.data
    assert module_registry[1]('GET', answer.headers['Location']).data == content
