"""What an import reads out of the bytes of layers, whatever they are, and the names that it gives."""

import bz2
import hashlib
import io
import lzma
import random
import tarfile
import tracemalloc
import zlib

import pytest

from docker_registry.v2.operations.importing import naming
from docker_registry.v2.operations.importing.archive import Archive
from docker_registry.v2.operations.importing.decoding import PIECE, Damaged, decoder, kind_of
from docker_registry.v2.operations.importing.examining import Examination, Examined, Repacked
from docker_registry.v2.operations.importing.problems import Skipped
from v1_tree import FORMS, archive, gzipped, in_members

MiB = 1024**2
CONTENT = archive(one=b'1' * 1000, two=bytes(700), three=b'3')


def cut(content, size):
    return [content[first : first + size] for first in range(0, len(content), size)]


def decoded(content, size):
    """Return (what comes out, the damage or None)."""
    reader, found = decoder(kind_of(content[:6])), []
    try:
        for block in cut(content, size):
            found += reader.feed(block)
        reader.end()
    except Damaged as damage:
        return b''.join(found), str(damage)
    return b''.join(found), None


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('size', [1, 7, 512, 100000])
def test_every_form_however_its_bytes_come(form, size):
    assert decoded(FORMS[form](CONTENT), size) == (CONTENT, None)


@pytest.mark.parametrize('size', [1, 7, 100000])
@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content[:-5],
        lambda content: content[:-8] + bytes(8),
        lambda content: content + bytes(512),
        lambda content: content + b'junk',
    ],
)
def test_before_the_damage_of_gzip_every_byte_comes_out(damage, size):
    found, problem = decoded(damage(gzipped(CONTENT)), size)

    assert found == CONTENT and problem


def test_what_comes_out_before_a_damage_does_not_depend_on_how_the_bytes_come():
    content = random.Random(1).randbytes(5000)
    stored = gzipped(content)
    stored = stored[:3000] + b'\xff' * 50 + stored[3050:]

    assert len({decoded(stored, size) for size in (1, 3, 511, 3001, 100000)}) == 1


@pytest.mark.parametrize('form', ['gzip', 'xz', 'bzip2'])
def test_a_bomb_comes_out_in_small_pieces(form):
    stored = {'gzip': gzipped, 'xz': lzma.compress, 'bzip2': bz2.compress}[form](bytes(64 * MiB))
    reader = decoder(kind_of(stored[:6]))
    tracemalloc.start()
    try:
        total = 0
        for block in cut(stored, 256 * 1024):
            for piece in reader.feed(block):
                assert len(piece) <= PIECE
                total += len(piece)
        reader.end()
        assert total == 64 * MiB
        assert tracemalloc.get_traced_memory()[1] < 16 * MiB
    finally:
        tracemalloc.stop()


def test_xz_that_needs_too_much_memory_is_damaged():
    stored = lzma.compress(b'x', filters=[{'id': lzma.FILTER_LZMA2, 'dict_size': 1024 * MiB}])

    assert 'xz' in decoded(stored, 100)[1]


def test_zstd_is_refused():
    with pytest.raises(Skipped, match='zstd'):
        kind_of(b'\x28\xb5\x2f\xfd\x00\x00')


# Archives


def followed(content, size=1000):
    found = Archive()
    for block in cut(content, size):
        found.feed(block)
    found.finish()
    return found


def tar(format, *members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w', format=format) as written:
        for name, data, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in more.items():
                setattr(info, field, value)
            written.addfile(info, io.BytesIO(data) if data else None)
    return content.getvalue()


MEMBERS = [
    ('folder', b'', {'type': tarfile.DIRTYPE}),
    ('long/' * 60 + 'name', b'x' * 513, {}),
    ('link', b'', {'type': tarfile.SYMTYPE, 'linkname': 'y' * 300}),
    ('hard', b'', {'type': tarfile.LNKTYPE, 'linkname': 'folder'}),
    ('empty', b'', {}),
    ('whole-block', b'z' * 512, {'uname': 'ü'}),
]


@pytest.mark.parametrize('format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=['ustar', 'gnu', 'pax'])
@pytest.mark.parametrize('size', [1, 100, 512, 10**6])
def test_an_archive_of_any_format(format, size):
    members = [member for member in MEMBERS if format != tarfile.USTAR_FORMAT or len(member[0]) < 99 and 'linkname' not in member[2]]
    content = tar(format, *members)
    found = followed(content, size)

    assert (found.entries, found.problem) == (len(members), None)
    assert not content[found.end :].strip(b'\0') and content[found.end - 512 : found.end].strip(b'\0') or not members[-1][1]


@pytest.mark.parametrize('content', [b'', bytes(512), bytes(1024), bytes(10240)])
def test_an_archive_without_entries(content):
    found = followed(content)

    assert (found.entries, found.problem) == (0, None)


def test_an_archive_is_whole_without_its_end_and_without_the_last_padding():
    content = tar(tarfile.GNU_FORMAT, ('a', b'1' * 700, {}))[: 512 + 700]

    assert followed(content).problem is None
    assert 'middle' in followed(content[:-1]).problem
    assert 'middle' in followed(content[:100]).problem


def test_the_size_in_an_extended_header_counts():
    content = tar(tarfile.PAX_FORMAT, ('a', b'1' * 700, {'pax_headers': {'comment': '9 size=1\n', 'size': '700'}}), ('b', b'2', {}))
    header = content.index(b'a\0', 1024)
    info = tarfile.TarInfo.frombuf(content[header : header + 512], 'utf-8', 'strict')
    info.size = 0
    content = content[:header] + info.tobuf(tarfile.USTAR_FORMAT) + content[header + 512 :]

    assert (followed(content).entries, followed(content).problem) == (2, None)


def test_a_sparse_file_of_gnu_tar():
    info = tarfile.TarInfo('sparse')
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[482] = 1
    block[148:156] = b'        '
    block[148:156] = b'%06o\0 ' % sum(block)
    more = bytearray(512)
    more[504] = 1
    content = bytes(block) + bytes(more) + bytes(512) + b'x' * 512 + tar(tarfile.GNU_FORMAT, ('b', b'2', {}))

    assert (followed(content).entries, followed(content).problem) == (2, None)


@pytest.mark.parametrize('content', [b'<html>' * 200, b'\0' * 100 + b'x' * 500, bytes(range(256)) * 4])
def test_what_is_no_archive(content):
    assert 'no tar' in followed(content).problem


def test_damage_in_an_archive():
    content = bytearray(CONTENT)
    content[1536 + 5] ^= 1

    assert 'damaged at byte 1536' in followed(bytes(content)).problem


def test_random_bytes_end_no_reading():
    rng = random.Random(2)
    for _ in range(300):
        content = bytearray(rng.choice([CONTENT, gzipped(CONTENT), lzma.compress(CONTENT), bz2.compress(CONTENT), in_members(CONTENT)]))
        for _ in range(rng.randrange(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        examination = Examination(kind_of(bytes(content[:6])) if content[:4] != b'\x28\xb5\x2f\xfd' else 'tar', b'{}')
        examined = Examined(io.BytesIO(bytes(content)), examination)
        while examined.read(rng.choice([1, 100, 5000])):
            pass
        examination.finish()


# Compression


def read_all(file):
    return b''.join(iter(lambda: file.read(1000), b''))


def test_gzip_that_is_made_has_no_time_and_always_the_same_bytes():
    made = {read_all(Repacked(io.BytesIO(lzma.compress(CONTENT)), Examination('xz', b''))) for _ in range(2)}
    (content,) = made

    assert content[4:8] == bytes(4) and zlib.decompress(content, 31) == CONTENT


def test_what_is_kept_of_an_archive_gets_an_end():
    examination = Examination('gzip', b'')
    repacked = Repacked(io.BytesIO(gzipped(CONTENT) + b'junk'), examination, 2048)
    content = zlib.decompress(read_all(repacked), 31)

    assert content == CONTENT[:2048] + bytes(1024)
    assert repacked.diff_id == 'sha256:' + hashlib.sha256(content).hexdigest()


# Names


@pytest.mark.parametrize(
    'old, new',
    [
        ('library/app', 'app'),
        ('team/app', 'team/app'),
        ('team/a__b--c.d', 'team/a__b--c.d'),
        ('Team/App', 'team/app'),
        ('team/a___b', 'team/a-b'),
        ('team/a..b', 'team/a-b'),
        ('team/-a-', 'team/a'),
        ('team/a b', 'team/a-b'),
        ('te_am/übel', 'te_am/bel'),
        ('library/App', 'app'),
        ('___/app', 'app'),
        ('team/' + 'x' * 300, ('team/' + 'x' * 300)[:255]),
        ('___/...', None),
    ],
)
def test_a_repository_gets_a_name_that_is_allowed(old, new):
    assert naming.repository(old) == new


@pytest.mark.parametrize(
    'old, new', [('v1.0-rc_1', 'v1.0-rc_1'), ('v 1', 'v-1'), ('.x', 'x'), ('x' * 200, 'x' * 128), ('ü', None), ('a/b', 'a-b')]
)
def test_a_tag_gets_a_name_that_is_allowed(old, new):
    assert naming.tag(old) == new


def test_of_names_that_would_become_the_same_none_gets_it_but_its_owner():
    mapped = {'a/b': 'a/b', 'A/b': 'a/b', 'X/y': 'x/y', 'x/Y': 'x/y'}

    assert naming.assigned(mapped, mapped) == {'a/b': 'a/b', 'A/b': None, 'X/y': None, 'x/Y': None}
