"""Targets: layers and documents that a v1 registry has stored, as an import reads them."""

import bz2
import gzip
import io
import json
import lzma
import tarfile

from docker_registry.v2.operations.importing import images, naming
from docker_registry.v2.operations.importing.decoding import PIECE, kind_of
from docker_registry.v2.operations.importing.examining import Examination
from docker_registry.v2.operations.importing.memo import Layer
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.registry import formats, names
from target import target

MOST = 1024 * 1024  # bytes that a few compressed ones may become here; an import reads on


def archive():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w', format=tarfile.PAX_FORMAT) as tar:
        for name, data in {'file': b'data' * 200, 'long' * 40: b''}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


ARCHIVE = archive()


def examined(data, size):
    """Return (entries, problem, damage, digest) of a layer that comes in blocks of a size. None if it is too much for a target."""
    examination, total = Examination(kind_of(data[:6]), b'{}'), 0
    for first in range(0, len(data), size):
        for piece in examination.feed(data[first : first + size]):
            assert len(piece) <= PIECE or not data.startswith(b'\x1f\x8b')
            total += len(piece)
            if total > MOST:
                return None
    examination.finish()
    return examination.archive.entries, examination.archive.problem, bool(examination.damage), examination.diff_id


@target(
    ARCHIVE,
    gzip.compress(ARCHIVE, mtime=0),
    gzip.compress(ARCHIVE[:700], mtime=0) + gzip.compress(ARCHIVE[700:], mtime=0),
    bz2.compress(ARCHIVE),
    lzma.compress(ARCHIVE) + bytes(4),
    gzip.compress(ARCHIVE, mtime=0)[:-4],
    words=(b'\x1f\x8b\x08', b'BZh9', b'\xfd7zXZ\0', b'size=700\n', bytes(512)),
    most_seconds=0.5,
)
def old_layer(data):
    try:
        found = [examined(data, size) for size in (4096, 97)]
    except Skipped:
        return
    # xz and bzip2 tell less before a damage if their bytes come in larger blocks. Nothing of such a layer is kept.
    if None not in found and not (found[0][2] and data[:3] in (b'BZh', b'\xfd7z')):
        assert found[0] == found[1]


LAYER = Layer('a' * 64, 'sha256:' + 'b' * 64, 7, 'gzip', 'sha256:' + 'c' * 64, 'a', {})


@target(
    b'{"created": "2014-03-14T09:26:53.589793238Z", "config": {"Cmd": "sh", "PortSpecs": ["80", "1:2/udp"]}, "author": "x"}',
    b'{"container_config": {"Cmd": ["/bin/sh", "-c", "x"], "Env": null, "Volumes": {"/v": {}}, "Labels": {"a": "b"}}, "config": null}',
    b'{"architecture": 1, "os": null, "config": {"ExposedPorts": {"80/tcp": {}}, "OnBuild": [1]}}',
    words=(b'"created": ', b'"config": ', b'"PortSpecs": ', b'\\ud800', b'NaN', b'1e999'),
)
def old_configuration(data):
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    layer = Layer(**{**vars(LAYER), 'history': images.history(document, False)})
    configuration = images.config(document, [layer])
    json.loads(configuration, parse_constant=lambda text: 1 / 0)  # no NaN
    assert configuration == images.config(document, [layer])
    formats.parse(images.manifest(formats.DOCKER_IMAGE, configuration, [layer]))


@target(b'library/app', b'Team/My__.App', 'übel/-x-'.encode(), b'a' * 300, words=(b'__', b'..', b'%2F'))
def old_name(data):
    name = data.decode('utf-8', 'replace')
    repository, tag = naming.repository(naming.unquoted(name)), naming.tag(naming.unquoted(name))
    assert repository is None or names.repository(repository)
    assert tag is None or names.tag(tag)
