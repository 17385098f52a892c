"""One layer of several: whatever lies below, the merged one shows the same files."""

import io
import posixpath
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_registry.v2.operations.importing.merging import merge

OPAQUE = '.wh..wh..opq'
PATHS = ['a', 'b', 'a/b', 'a/c', 'b/c', 'a/b/c', 'a/b/d']


def entry(name, content=None, link=None, **more):
    """Return (TarInfo, bytes): a file, a hard link, or a folder if there is neither content nor link."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.LNKTYPE if link else tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.linkname, info.size, info.mtime = link or '', len(content or b''), 1400000000
    for field, value in more.items():
        setattr(info, field, value)
    return info, content or b''


def archive(*entries, form=tarfile.GNU_FORMAT):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode='w', format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    written.seek(0)
    return written


def merged(*archives):
    out = io.BytesIO()
    for one in archives:
        one.seek(0)
    merge(archives, out)
    out.seek(0)
    return out


def members(written):
    written.seek(0)
    with tarfile.open(fileobj=written) as tar:
        return {info.name: info for info in tar}


def applied(*archives):
    """Return {path: (kind, bytes, mode)} of what layers show, by the words of the image spec: whiteouts hide lower layers only."""
    shown = {}
    for written in archives:
        written.seek(0)
        with tarfile.open(fileobj=written) as tar:
            infos = [(posixpath.normpath(info.name.lstrip('/')), info) for info in tar]
            for path, _ in infos:
                folder, name = posixpath.split(path)
                if name == OPAQUE:
                    shown = {at: one for at, one in shown.items() if not at.startswith(folder + '/' if folder else '')}
                elif name.startswith('.wh.') and not name.startswith('.wh..wh.'):
                    gone = posixpath.join(folder, name[4:])
                    shown = {at: one for at, one in shown.items() if at != gone and not at.startswith(gone + '/')}
            for path, info in infos:
                for folder in [path[:at] for at in range(len(path)) if path[at] == '/'] if '.wh..wh.plnk' not in path else ():
                    if shown.get(folder, (b'',))[0] != tarfile.DIRTYPE:
                        shown[folder] = (tarfile.DIRTYPE, '', 0o644)
                if '.wh.' in path:
                    continue
                if not info.isdir() or shown.get(path, (b'',))[0] != tarfile.DIRTYPE:
                    shown = {at: one for at, one in shown.items() if at != path and not at.startswith(path + '/')}
                content = tar.extractfile(info).read() if info.isfile() or info.islnk() else info.linkname
                shown[path] = (tarfile.REGTYPE if info.islnk() else info.type, content, info.mode)
    return shown


class TestWhatIsShown:
    base = archive(entry('a'), entry('a/b'), entry('a/b/c', b'0'), entry('a/c', b'0'), entry('b', b'0'), entry('c', b'0'))

    def same(self, *layers):
        one = merged(*layers)
        assert applied(self.base, one) == applied(self.base, *layers)
        return members(one)

    def test_the_last_bytes_of_a_file_count(self):
        assert list(self.same(archive(entry('b', b'1')), archive(entry('b', b'2', mode=0o755)))) == ['b']

    def test_what_is_deleted_again_is_not_there(self):
        assert list(self.same(archive(entry('new', b'1')), archive(entry('.wh.new', b'')))) == ['.wh.new']

    def test_what_is_deleted_and_made_again(self):
        assert list(self.same(archive(entry('.wh.b', b'')), archive(entry('b', b'2')))) == ['b']

    def test_a_folder_that_is_deleted_and_made_again_is_opaque(self):
        found = self.same(archive(entry('.wh.a', b'')), archive(entry('a'), entry('a/new', b'1')))

        assert list(found) == ['a', 'a/.wh..wh..opq', 'a/new']

    def test_a_folder_without_an_entry_of_its_own(self):
        self.same(archive(entry('.wh.a', b'')), archive(entry('a/new', b'1')))

    def test_an_opaque_folder_hides_what_lower_layers_put_there(self):
        found = self.same(archive(entry('a'), entry('a/d', b'1')), archive(entry('a'), entry('a/.wh..wh..opq', b'')))

        assert list(found) == ['a', 'a/.wh..wh..opq']

    def test_a_file_in_the_place_of_a_folder(self):
        assert list(self.same(archive(entry('a'), entry('a/b'), entry('a/b/x', b'1')), archive(entry('a'), entry('a/b', b'2')))) == [
            'a',
            'a/b',
        ]

    @pytest.mark.parametrize('folder', [[entry('a')], []], ids=['with an entry', 'without one'])
    def test_a_folder_that_was_something_else_in_between_is_opaque(self, folder):
        found = self.same(archive(entry('a', b'1')), archive(*folder, entry('a/new', b'1')))

        assert sorted(found) == sorted([info.name for info, _ in folder] + ['a/.wh..wh..opq', 'a/new'])

    def test_an_opaque_root(self):
        self.same(archive(entry('d', b'1')), archive(entry('.wh..wh..opq', b''), entry('e', b'2')))

    def test_names_with_a_dot_and_a_slash_are_the_same(self):
        assert len(self.same(archive(entry('./b', b'1')), archive(entry('/b', b'2')))) == 1

    def test_folders_come_before_what_is_in_them(self):
        one = merged(archive(entry('z'), entry('z/a', b'1')), archive(entry('z', mode=0o700)))

        assert list(members(one)) == ['z', 'z/a'] and members(one)['z'].mode == 0o700


class TestLinks:
    def test_a_link_to_a_file_that_is_replaced_keeps_the_old_bytes(self):
        lower = archive(entry('a', b'old', mode=0o640), entry('b', link='a', mode=0o640), entry('c', link='a', mode=0o640))
        one = merged(lower, archive(entry('a', b'new')))

        assert {path: about[1] for path, about in applied(one).items()} == {'a': b'new', 'b': b'old', 'c': b'old'}
        assert members(one)['b'].isreg() and (members(one)['c'].type, members(one)['c'].linkname) == (tarfile.LNKTYPE, 'b')

    def test_a_link_to_a_file_that_is_deleted_keeps_the_bytes(self):
        one = merged(archive(entry('a', b'old'), entry('b', link='a')), archive(entry('.wh.a', b'')))

        assert applied(one)['b'][1] == b'old'

    def test_a_link_to_a_symbolic_link_that_is_deleted_is_one(self):
        symbolic, _ = entry('a', b'', type=tarfile.SYMTYPE)
        symbolic.linkname = 'x'
        found = members(merged(archive((symbolic, b''), entry('b', link='a'), entry('c', link='a')), archive(entry('.wh.a', b''))))

        assert (found['b'].type, found['b'].linkname) == (tarfile.SYMTYPE, 'x')
        assert (found['c'].type, found['c'].linkname) == (tarfile.LNKTYPE, 'b')

    def test_a_link_to_bytes_that_aufs_keeps_apart(self):
        aufs = archive(entry('.wh..wh.plnk'), entry('.wh..wh.plnk/1.2', b'1'), entry('a', link='.wh..wh.plnk/1.2'), entry('b', link='a'))
        one = merged(aufs, archive(entry('c', b'2')))

        assert sorted(members(one)) == ['a', 'b', 'c'] and applied(one)['b'][1] == b'1'

    def test_whiteouts_of_aufs_are_links(self):
        one = merged(archive(entry('.wh..wh.aufs', b''), entry('.wh.a', link='.wh..wh.aufs')), archive(entry('c', b'2')))

        assert sorted(members(one)) == ['.wh.a', 'c'] and members(one)['.wh.a'].isreg()

    def test_links_that_lead_nowhere_or_in_a_circle_stay_as_they_are(self):
        one = merged(archive(entry('a', link='b'), entry('b', link='a'), entry('c', link='x')), archive(entry('d', b'')))

        assert [members(one)[name].linkname for name in 'abc'] == ['b', 'a', 'x']


class TestFidelity:
    @pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_what_a_member_says_stays(self, form):
        attributes = {'SCHILY.xattr.user.a': 'b', 'SCHILY.xattr.security.capability': '\x01\0\udcff'}
        owner = {'uid': 3_000_000, 'gid': 4_000_000, 'uname': 'zoë', 'mode': 0o4751}
        info, content = entry('f' * 300 + '\udcff', b'1', pax_headers=attributes if form == tarfile.PAX_FORMAT else {}, **owner)
        device, _ = entry('null', b'', type=tarfile.CHRTYPE, devmajor=1, devminor=3)
        link, _ = entry('s', b'', type=tarfile.SYMTYPE)
        link.linkname = 'x' * 200
        found = members(merged(archive((info, content), (device, b''), (link, b''), form=form), archive(entry('z', b''))))

        same = found[info.name]
        assert (same.uid, same.gid, same.uname, same.mode, same.mtime) == (3_000_000, 4_000_000, 'zoë', 0o4751, 1400000000)
        assert {name: value for name, value in same.pax_headers.items() if name.startswith('SCHILY')} == info.pax_headers
        assert (found['null'].type, found['null'].devmajor, found['null'].devminor) == (tarfile.CHRTYPE, 1, 3)
        assert found['s'].linkname == 'x' * 200

    def test_times_keep_their_nanoseconds(self):
        info, content = entry('a', b'1', pax_headers={'mtime': '1400000000.123456789'})

        assert members(merged(archive((info, content), form=tarfile.PAX_FORMAT)))['a'].pax_headers['mtime'] == '1400000000.123456789'

    def test_the_same_archives_give_the_same_bytes(self):
        layers = archive(entry('b', b'1'), entry('a')), archive(entry('a'), entry('a/x', b'2'))

        assert merged(*layers).getvalue() == merged(*layers).getvalue()

    def test_a_damaged_archive_is_an_error(self):
        damaged = archive(entry('a', b'1'), entry('b', b'2')).getvalue()
        with pytest.raises(tarfile.TarError):
            merged(archive(entry('a', b'1')), io.BytesIO(damaged[:1030] + b'x' * 512))


@st.composite
def layers(draw):
    """Return an archive such as docker makes of a change: each entry comes after those of its folders."""
    entries = {}
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=6)):
        folders = [path[:at] for at in range(len(path)) if path[at] == '/']
        if any(not isinstance(entries.get(folder, ''), str) for folder in folders):
            continue  # the folder is a file in this layer
        kind = draw(st.sampled_from(['folder', 'file', 'link', 'gone', 'opaque']))
        for folder in folders:
            entries.setdefault(folder, '')
        files = [at for at, what in entries.items() if isinstance(what, bytes)]
        has_children = any(at.startswith(path + '/') for at in entries)
        if kind == 'gone' and path not in entries:
            entries[posixpath.join(posixpath.dirname(path), '.wh.' + posixpath.basename(path))] = b''
        elif kind == 'opaque' and entries.get(path, '') == '':
            entries[path], entries[path + '/' + OPAQUE] = '', b''
        elif path not in entries and kind == 'file' and not has_children:
            entries[path] = draw(st.binary(min_size=1, max_size=2))
        elif path not in entries and kind == 'link' and files and '.wh.' not in files[0]:
            entries[path] = ('link', files[0])
        else:
            entries.setdefault(path, '')
    return archive(
        *(
            entry(path, link=what[1]) if isinstance(what, tuple) else entry(path, what if isinstance(what, bytes) else None)
            for path, what in entries.items()
        )
    )


@settings(max_examples=500)
@given(st.lists(layers(), min_size=2, max_size=4), layers())
def test_whatever_lies_below_the_files_are_the_same(some, base):
    assert applied(base, merged(*some)) == applied(base, *some)
