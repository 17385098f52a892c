"""Makes one layer of several that lie on each other.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md says what a layer is, and what its whiteouts hide.
"""

import copy
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

Path = str  # of a file in a layer, without a slash at its ends; '.' is the root
Member = tarfile.TarInfo
HIDES, OPAQUE = '.wh.', '.wh..wh..opq'
_ABOUT_AUFS = '.wh..wh.'  # begins the names of files that are about AUFS. Clients leave them out
#: What tarfile writes itself, and would be wrong for a member that has changed.
_WRITTEN = ('path', 'linkpath', 'size', 'hdrcharset')
_TAR: dict[str, str] = {'encoding': 'utf-8', 'errors': 'surrogateescape'}


@dataclass
class _Layer:
    """What a layer has, or what several show together.

    :param files: also folders, links and so on
    :param hidden: what is not there any more, with the whiteouts that say so
    :param opaque: folders of which nothing below is there any more
    """

    files: dict[Path, Member] = field(default_factory=dict)
    hidden: dict[Path, Member] = field(default_factory=dict)
    opaque: dict[Path, Member] = field(default_factory=dict)

    def folders(self) -> set[Path]:
        """Return all folders, also those that have no entry of their own."""
        return {path for path, member in self.files.items() if member.isdir()} | {
            folder for path in self.files for folder in _folders(path)
        }

    def hides(self, path: Path) -> bool:
        """Whether lower layers cannot show anything at a path."""
        return path in self.hidden or any(
            folder in self.hidden or folder in self.opaque or (folder in self.files and not self.files[folder].isdir())
            for folder in _folders(path)
        )


def merge(archives: Sequence[IO[bytes]], out: IO[bytes]) -> None:
    """Write one archive that does what these archives do, one after the other. The same archives give the same bytes.

    :param archives: the base first; they must be able to seek
    :raises tarfile.TarError: one of them is damaged
    """
    opened = [tarfile.open(fileobj=archive, mode='r:', **_TAR) for archive in archives]  # type: ignore[call-overload]
    all_members = [_members(archive) for archive in opened]
    layers = [_layer(members) for members in all_members]
    shown = _shown(layers)
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT, **_TAR) as written:  # type: ignore[call-overload]
        for path in sorted(path for path, member in shown.files.items() if member.isdir()):
            written.addfile(_plain(shown.files[path]))
        for path, member in sorted(_whiteouts(shown).items()):
            written.addfile(_plain(member, name=path, type=tarfile.REGTYPE, linkname='', size=0))  # those of AUFS are hard links
        for archive, members, layer in zip(opened, all_members, layers):
            kept = {path: member for path, member in layer.files.items() if shown.files.get(path) is member and not member.isdir()}
            _add_files(written, archive, members, kept)


def _members(archive: tarfile.TarFile) -> dict[Path, Member]:
    found = {_path(member.name): member for member in archive}
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b'\0'):
        raise tarfile.ReadError(f'the archive is damaged at byte {archive.offset}')  # tarfile takes that for its end
    return found


def _path(name: str) -> Path:
    return posixpath.normpath(name.lstrip('/') or '.')


def _folders(path: Path) -> Iterator[Path]:
    """Yield the folders that a path is in, up to the root."""
    while path != '.':
        path = posixpath.dirname(path) or '.'
        yield path


def _layer(members: Mapping[Path, Member]) -> _Layer:
    found = _Layer()
    for path, member in members.items():
        folder, name = posixpath.split(path)
        if name == OPAQUE:
            found.opaque[folder or '.'] = member
        elif any(part.startswith(_ABOUT_AUFS) for part in path.split('/')):
            continue
        elif name.startswith(HIDES) and name != HIDES:
            found.hidden[posixpath.join(folder, name[len(HIDES) :])] = member
        else:
            found.files[path] = member
    return found


def _shown(layers: Sequence[_Layer]) -> _Layer:
    """Return what layers show together, the base first."""
    shown = _Layer()
    for layer in reversed(layers):
        folders = shown.folders()
        # What is a folder now, and was something else in between, hides what was below it before.
        in_between = {path: member for path, member in layer.files.items() if path in folders and not member.isdir()}
        new = _Layer(
            {path: member for path, member in layer.files.items() if not (path in shown.files or path in in_between or shown.hides(path))},
            {path: member for path, member in {**in_between, **layer.hidden}.items() if not shown.hides(path)},
            {path: member for path, member in layer.opaque.items() if not shown.hides(path) and _may_be_folder(shown, path)},
        )
        shown.files |= new.files
        shown.hidden |= new.hidden
        shown.opaque = new.opaque | shown.opaque
    return shown


def _may_be_folder(shown: _Layer, path: Path) -> bool:
    return path not in shown.files or shown.files[path].isdir()


def _whiteouts(shown: _Layer) -> dict[Path, Member]:
    """Return the whiteouts that say what is hidden. What is hidden and then made again as a folder is an opaque one."""
    opaque, found, folders = dict(shown.opaque), {}, shown.folders()
    for path, member in shown.hidden.items():
        if path in folders:
            opaque.setdefault(path, member)
        elif path not in shown.files:
            found[posixpath.join(posixpath.dirname(path), HIDES + posixpath.basename(path))] = member
    return found | {posixpath.join(path, OPAQUE).removeprefix('./'): member for path, member in opaque.items()}


def _add_files(written: tarfile.TarFile, archive: tarfile.TarFile, members: Mapping[Path, Member], kept: Mapping[Path, Member]) -> None:
    """Write files of a layer. The first hard link to a file that is not written becomes that file."""
    places: dict[Path, Path] = {}  # where each file is written
    for path, member in kept.items():
        file = _file_of(member, members)
        target = _path(file.name)
        if target in places:
            written.addfile(_plain(member, type=tarfile.LNKTYPE, linkname=places[target], size=0))
        elif file.isreg():
            written.addfile(_plain(member, type=tarfile.REGTYPE, linkname='', size=file.size), archive.extractfile(file))
        else:
            device = {'devmajor': file.devmajor, 'devminor': file.devminor}
            written.addfile(_plain(member, type=file.type, linkname=file.linkname, **device))
        places.setdefault(target, path)


def _file_of(member: Member, members: Mapping[Path, Member]) -> Member:
    """Return the file to which a hard link leads. Links that lead nowhere, or in a circle, stay as they are."""
    found, seen = member, {id(member)}
    while found.islnk():
        found = members.get(_path(found.linkname), member)
        if id(found) in seen:
            return member
        seen.add(id(found))
    return found


def _plain(member: Member, **changes: object) -> Member:
    """Return a copy of a member with changes. A sparse file is a whole one, as tarfile reads it."""
    made = copy.copy(member)
    made.pax_headers = {
        name: value for name, value in member.pax_headers.items() if name not in _WRITTEN and not name.startswith('GNU.sparse')
    }
    made.sparse = None
    for name, value in changes.items():
        setattr(made, name, value)
    return made
