"""Artifacts that oras-py, the Python client of ORAS, pushes and pulls."""

import filecmp
import os

import pytest
import requests

import clients
import conftest
import images
from clients import ALICE
from images import MiB
from servers import PATIENCE

try:
    import oras.client
    import oras.layout
    import oras.oci
except ImportError:
    oras = None

CHUNK = 5 * MiB


class Impatient:
    """Stands for the module `time` of oras, which sends a request that failed again, after pauses of up to 83 seconds."""

    @staticmethod
    def sleep(seconds):
        pytest.fail('a request failed, and oras would send it again')


@pytest.fixture(autouse=True)
def no_second_tries(monkeypatch):
    if oras is None:
        conftest.missing('oras is not installed')
    monkeypatch.setattr('oras.decorator.time', Impatient)


def client(server, backend='token'):
    return oras.client.OrasClient(hostname=server.address, insecure=True, auth_backend=backend)


@pytest.fixture
def files(new_folder):
    """The path of a folder with a large file, an empty one, and a folder."""
    folder = new_folder()
    os.makedirs(os.path.join(folder, 'folder'))
    for name, size in (('large', 3 * CHUNK + 10), ('empty', 0), ('folder/small', 10)):
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(os.urandom(size))
    return folder


def push(client, target, folder, **options):
    """Push an artifact of the files, and return its digest."""
    paths = [os.path.join(folder, name) for name in ('large', 'empty', 'folder')]
    return client.push(target, files=paths, disable_path_validation=True, **options).headers['Docker-Content-Digest']


def differences(one, other):
    names = ('large', 'empty', 'folder/small')
    return sorted(set(names) - set(filecmp.cmpfiles(one, other, names, shallow=False)[0]))


@pytest.mark.parametrize('chunked', [False, True], ids=['whole', 'chunked'])
def test_an_artifact_comes_back_as_it_was(registry, files, new_folder, chunked):
    target = registry.address + '/team/artifact:v1'
    push(client(registry), target, files, do_chunked=chunked, chunk_size=CHUNK)
    pulled = new_folder()
    client(registry).pull(target, outdir=pulled)
    assert differences(files, pulled) == []


@pytest.mark.parametrize('variables, backend', [({}, 'basic'), ({'REGISTRY_ANONYMOUS_PULL': 'yes'}, 'token')], ids=['closed', 'public'])
@pytest.mark.parametrize('chunked', [False, True], ids=['whole', 'chunked'])
def test_an_artifact_is_pushed_and_pulled_with_a_password(place, users, files, new_folder, variables, backend, chunked):
    registry = place.registry(REGISTRY_HTPASSWD=users, **variables)
    alice, target, pulled = client(registry, backend), registry.address + '/team/artifact:v1', new_folder()
    alice.auth.set_basic_auth(*ALICE.split(':'))
    push(alice, target, files, do_chunked=chunked, chunk_size=CHUNK)
    alice.pull(target, outdir=pulled)
    assert differences(files, pulled) == []


def test_tags_are_listed_and_deleted(registry, files):
    pusher, name = client(registry), registry.address + '/team/artifact'
    for tag in ('v1', 'v2', 'v3'):
        push(pusher, '%s:%s' % (name, tag), files, manifest_annotations={'tag': tag})
    assert pusher.get_tags(name) == ['v1', 'v2', 'v3']
    assert pusher.delete_tags(name, ['v2', 'none']) == ['v2']
    assert pusher.get_tags(name) == ['v1', 'v3']


def test_an_index_goes_through_a_layout_on_disk(place, registry, skopeo, new_multi_arch, new_folder):
    index, layout, empty = new_multi_arch(2 * CHUNK, 10), new_folder(), place.registry(OS_CONTAINER=place.container + '-empty')
    skopeo.push(index, registry, 'team/index:v1', '--all')
    oras.layout.NewLayoutFromRegistry(layout, client(registry), registry.address + '/team/index:v1')
    pushed = oras.layout.NewLayout(layout)
    pushed.push_to_registry(client(empty), empty.address + '/team/index:v1', do_chunked=True, chunk_size=CHUNK)
    assert images.differences(index.folder, skopeo.pull(empty, 'team/index:v1', new_folder(), '--all')) == []


def test_an_attached_artifact_is_listed_with_its_subject(registry, files):
    pusher, name = client(registry), registry.address + '/team/artifact'
    subject = push(pusher, name + ':v1', files)
    manifest = clients.get_manifest(registry, 'team/artifact', 'v1')
    described = oras.oci.Subject(manifest.headers['Content-Type'], subject, len(manifest.content))
    digest = push(pusher, name + ':notes', files, subject=described, manifest_annotations={'kind': 'notes'})
    listed = requests.get('%s/v2/team/artifact/referrers/%s' % (registry.url, subject), timeout=PATIENCE).json()['manifests']
    assert [(each['digest'], each['annotations']) for each in listed] == [(digest, {'kind': 'notes'})]
