"""The readers of request bodies. gunicorn's own readers are the oracle."""

import random

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from docker_registry.v2.http import incoming

KiB = 1024
NEXT = b'GET /next HTTP/1.1\r\nHost: x\r\n\r\n'


class Pieces:
    """A socket from which bytes arrive in the pieces that `cut` makes of them. `reads` counts the calls."""

    def __init__(self, content, cut=lambda: 1024 * KiB):
        self._content, self._cut = memoryview(content), cut
        self.reads, self.last = 0, b''

    def recv(self, size):
        self.reads += 1
        size = min(size, self._cut())
        self.last, self._content = bytes(self._content[:size]), self._content[size:]
        return self.last


def requests(content, cut=lambda: 1024 * KiB):
    """Return gunicorn's requests from a connection, and the socket."""
    sock = Pieces(content, cut)
    return RequestParser(Config(), sock, ('127.0.0.1', 1)), sock


def length(content):
    return b'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(content) + content


def chunked(chunks, end=b'0\r\n\r\n'):
    body = b''.join(b'%x\r\n%s\r\n' % (len(chunk), chunk) for chunk in chunks)
    return b'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + body + end


def all_of(request, reader, size):
    """Return the body, or None if it is malformed or ends early."""
    content = b''
    try:
        while block := reader.read(size):
            assert len(block) <= size
            content += block
    except Exception:
        return None
    return content if getattr(reader, 'length', 0) == 0 else None


def outcome(content, cut, size, ours):
    """Return the body, and the path of the request after it."""
    parser, _ = requests(content, cut)
    request = next(parser)
    if ours:
        request.body.reader = incoming.reader(request)
    body = all_of(request, request.body.reader, size)
    if body is None:
        return None, None
    return body, [one.path for one in parser]


BODIES = {
    'length': length(b'0123456789' * 1000) + NEXT,
    'empty': length(b'') + NEXT,
    'chunks': chunked([b'a' * 5, b'b' * 70000, b'c', b'd' * 4096]) + NEXT,
    'no chunks': chunked([]) + NEXT,
    'line breaks in the data': chunked([b'\r\n', b'\r\n5\r\n\r\n', b'0\r\n\r\n']) + NEXT,
    'trailers': chunked([b'abc'], b'0\r\nX-Sum: 1\r\n\r\n') + NEXT,
    'extension': chunked([b'abc'], b'3;name=value\r\ndef\r\n3\r\nghi\r\n0\r\n\r\n') + NEXT,
    'zeros': chunked([b'abc'], b'0000000000003\r\ndef\r\n000\r\n\r\n') + NEXT,
    'capital digits': chunked([b'abc'], b'A\r\n0123456789\r\n0\r\n\r\n') + NEXT,
    'no end': chunked([b'abc'], b''),
    'end of the connection in a chunk': chunked([b'abc'], b'100\r\nabc'),
    'end of the connection in a head': chunked([b'abc'], b'1'),
    'longer than its size': chunked([b'abc'], b'3\r\ndefg\r\n0\r\n\r\n'),
    'shorter than its size': chunked([b'abc'], b'5\r\ndef\r\n0\r\n\r\n'),
    'no size': chunked([b'abc'], b'\r\n0\r\n\r\n'),
    'a sign': chunked([b'abc'], b'+3\r\ndef\r\n0\r\n\r\n'),
    'a blank': chunked([b'abc'], b' 3\r\ndef\r\n0\r\n\r\n'),
    'a prefix': chunked([b'abc'], b'0x3\r\ndef\r\n0\r\n\r\n'),
    'bare line feeds': chunked([b'abc'], b'3\ndef\n0\n\n'),
    'a line feed after the data': chunked([b'abc'], b'3\r\ndef\n0\r\n\r\n'),
    'a huge size': chunked([b'abc'], b'fffffffffffffffff\r\ndef\r\n0\r\n\r\n'),
    'not a size': chunked([b'abc'], b'xyz\r\n'),
    'a request instead': chunked([b'abc'], NEXT),
}


@pytest.mark.parametrize('name', BODIES)
@pytest.mark.parametrize('piece', [1, 2, 3, 7, 64, 4096, 1024 * KiB])
@pytest.mark.parametrize('size', [1, 10, 256 * KiB])
def test_a_body_means_what_gunicorn_says(name, piece, size):
    if size == 1 and len(BODIES[name]) > 20000:
        pytest.skip('takes long')
    content, cut = BODIES[name], lambda: piece
    assert outcome(content, cut, size, True) == outcome(content, cut, size, False)


@pytest.mark.parametrize('seed', range(100))
def test_so_does_any_other_body_that_arrives_in_any_pieces(seed):
    chance = random.Random(seed)
    chunks = [bytes(chance.choices(b'\r\n0aF;', k=chance.choice([1, 2, 9, 5000]))) for _ in range(chance.randrange(20))]
    content = bytearray(chunked(chunks) + NEXT)
    if chance.random() < 0.5:  # one byte is wrong, or is missing
        at = chance.randrange(content.index(b'\r\n\r\n') + 4, len(content) - len(NEXT))
        content[at : at + chance.randrange(2)] = bytes([chance.choice(b'\r\n09aG; ')])
    size = chance.choice([1, 5, 100, 256 * KiB])

    def any_piece():
        return chance.choice([1, 2, 5, 100, 9000])

    assert outcome(bytes(content), any_piece, size, True) == outcome(bytes(content), any_piece, size, False)


def test_the_end_of_the_connection_leaves_the_rest_of_the_length():
    parser, _ = requests(length(b'0123456789')[:-1])
    reader = incoming.reader(next(parser))

    assert [reader.read(100), reader.read(100), reader.length] == [b'012345678', b'', 1]


def test_a_body_of_known_length_is_not_copied():
    parser, sock = requests(length(b'x' * 1024 * KiB), lambda: 8 * KiB)
    request = next(parser)
    reader = incoming.reader(request)
    reader.read(256 * KiB)  # what came with the head

    assert reader.read(256 * KiB) is sock.last


@pytest.mark.parametrize('content', [length(b'x' * 8192 * KiB), chunked([b'x' * 32 * KiB] * 256)], ids=['length', 'chunked'])
def test_the_socket_is_read_four_times_for_each_mib(content):
    parser, sock = requests(content)
    request = next(parser)
    reader = incoming.reader(request)

    assert len(all_of(request, reader, 256 * KiB)) == 8192 * KiB
    assert sock.reads <= 4 * 8 + 3


def test_of_very_small_chunks_little_is_read_at_a_time():
    """To find the ends of all of them takes the processor, while other requests wait."""
    parser, _ = requests(chunked([b'ab'] * 100000))
    request = next(parser)
    reader = incoming.reader(request)
    blocks = list(iter(lambda: reader.read(256 * KiB), b''))

    assert b''.join(blocks) == b'ab' * 100000
    assert max(map(len, blocks)) <= 16 * KiB


def test_what_has_arrived_is_returned_at_once():
    """A client may be slow. What it has sent is hashed and counted meanwhile."""
    parser, _ = requests(length(b'x' * 100000), lambda: 1000)
    reader = incoming.reader(next(parser))
    reader.read(256 * KiB)

    assert len(reader.read(256 * KiB)) == 1000


def test_until_its_end_a_chunked_body_may_go_on():
    """The server asks `connections.much_is_left`, and closes the connection if the rest of a body is unknown."""
    parser, _ = requests(chunked([b'abc']))
    reader = incoming.reader(next(parser))
    assert reader.parser and reader.read(3) == b'abc' and reader.parser
    assert reader.read(3) == b'' and not reader.parser
