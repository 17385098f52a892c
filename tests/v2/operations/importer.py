"""What tests of `import-v1` share: an import, and a look at what has become of it."""

import contextlib
import hashlib
import io
import json
import tarfile
import zlib

from docker_registry.core import driver
from docker_registry.v2.operations.importing.run import Import, Options
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.registry import formats
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings import config
from registry_client import digest_of
from v1_tree import Tree as V1Tree

ROOT = 'registry'
REGISTRY = config.Config()


def v1_storage(place, root=ROOT):
    """Return the driver of a v1 registry on the container of a place."""
    storage = place.storage()
    return driver.fetch('swift')(path=root, config=dict(place.settings, swift_container=storage.settings.container))


def v1_tree(place, root=ROOT):
    return V1Tree(v1_storage(place, root))


def run(place, root=ROOT, storage=None, source=None, registry=REGISTRY, **options):
    """Import, and return the outcomes."""
    storage = storage or place.storage()
    tree = Tree(source or storage, root)
    return Import(Domain(storage, registry), tree, Options(**options), Progress(None)).run()


def states(found):
    """Return {old name: state} of tags."""
    return {str(outcome.tag): outcome.state for outcome in found.tags}


def whys(found):
    return {str(outcome.tag): outcome.why for outcome in found.tags if outcome.why}


def pulled(place, name, tag, **settings):
    """Pull an image and check it as clients do. Return (manifest, configuration, archives of the layers)."""
    registry = place.registry(**settings)
    answer = registry('GET', f'/v2/{name}/manifests/{tag}')
    assert answer.status_code == 200, answer.data
    manifest = json.loads(answer.data)
    assert answer.content_type == manifest['mediaType']
    blobs = [_blob(registry, name, entry) for entry in (manifest['config'], *manifest['layers'])]
    configuration = json.loads(blobs[0])
    archives = [_unpacked(entry, content) for entry, content in zip(manifest['layers'], blobs[1:])]
    assert configuration['rootfs'] == {'type': 'layers', 'diff_ids': [digest_of(content) for content in archives]}
    full = [entry for entry in configuration['history'] if not entry.get('empty_layer')]
    assert len(full) == len(archives)
    return manifest, configuration, archives


def _blob(registry, name, entry):
    answer = registry('GET', f'/v2/{name}/blobs/{entry["digest"]}')
    assert answer.status_code == 200, answer.data
    assert (digest_of(answer.data), len(answer.data)) == (entry['digest'], entry['size'])
    return answer.data


def _unpacked(entry, content):
    """Return the archive of a layer, as clients take it by its media type."""
    if not entry['mediaType'].endswith('gzip'):
        return content
    archive = b''
    while content:
        member = zlib.decompressobj(31)
        archive += member.decompress(content)
        assert member.eof
        content = member.unused_data
    return archive


def files(archives):
    """Return {name: bytes} of what layers contain, the base first."""
    found = {}
    for archive in archives:
        with contextlib.closing(tarfile.open(fileobj=io.BytesIO(archive))) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    return found


def tags(place):
    """Return {name: {tag: digest}} of all that the registry has."""
    registry = place.registry()
    names = json.loads(registry('GET', '/v2/_catalog').data)['repositories']
    found = {name: json.loads(registry('GET', f'/v2/{name}/tags/list').data)['tags'] or [] for name in names}
    return {
        name: {tag: registry('HEAD', f'/v2/{name}/manifests/{tag}').headers['Docker-Content-Digest'] for tag in some}
        for name, some in found.items()
    }


def contents(place, root=ROOT):
    """Return {name: hash of the bytes} of all objects below the root of a v1 registry, segments included."""
    storage = place.storage().at('')
    return {
        stat.path: hashlib.sha256(b''.join(storage.stream_read(stat.path))).hexdigest()
        for stat in storage.walk()
        if stat.path.startswith(root + '/')
    }


DOCKER, OCI = formats.DOCKER_IMAGE, formats.OCI_IMAGE
