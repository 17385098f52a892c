"""Images that buildah builds, pushes, and pulls on another machine."""

import os
import shutil
import uuid

import pytest

import clients
import conftest
from clients import ALICE
from images import MiB
from servers import program

OCI, DOCKER = 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'
PLAIN = '--tls-verify=false'


class Buildah:
    """buildah with storage of its own, as on a machine of its own."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *words):
        """Run a buildah command and return its output."""
        places = ['--root', os.path.join(self.folder, 'root'), '--runroot', os.path.join(self.folder, 'runroot')]
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': self.folder, 'TMPDIR': self.folder, 'BUILDAH_ISOLATION': 'chroot'}
        return clients.run(['buildah', '--storage-driver', 'vfs', *places, *words], environment)

    def files(self, reference):
        """The path of a folder with an image's files, which nobody may change."""
        return self('mount', self('from', '--pull-never', reference).strip()).strip()


@pytest.fixture
def new_buildah(new_folder):
    conftest.need('buildah')
    made = []

    def new():
        made.append(Buildah(new_folder()))
        os.mkdir(made[-1].folder)
        return made[-1]

    yield new
    for buildah in made:
        buildah('rm', '--all')


@pytest.fixture
def builder(new_buildah):
    return new_buildah()


@pytest.fixture
def build(builder, folder):
    """A function that builds an image of two layers in a format, and returns its name. The first takes two segments of Swift."""
    conftest.need('busybox')

    def build(form='oci'):
        context = os.path.join(folder, 'context')
        os.mkdir(context)
        shutil.copy(program('busybox'), context)
        for name, content in {'random': os.urandom(20 * MiB), 'line': uuid.uuid4().hex.encode()}.items():
            with open(os.path.join(context, name), 'wb') as file:
                file.write(content)
        with open(os.path.join(context, 'Dockerfile'), 'w') as file:
            file.write('FROM scratch\nCOPY busybox line random /\nRUN ["/busybox", "cp", "/line", "/made"]\n')
        builder('bud', '--format', form, '--layers', '--tag', 'built', context)
        return 'built'

    return build


def same_files(one, other):
    def read(folder, name):
        with open(os.path.join(folder, name), 'rb') as file:
            return file.read()

    return all(read(one, name) == read(other, name) for name in ('busybox', 'random', 'line', 'made'))


def manifest(registry, name):
    return clients.get_manifest(registry, *name.split(':')).json()


@pytest.mark.parametrize('form, media_type', [('oci', OCI), ('docker', DOCKER)])
def test_an_image_that_was_built_is_pulled_on_another_machine(builder, build, new_buildah, registry, form, media_type):
    other, built = new_buildah(), build(form)
    builder('push', PLAIN, built, 'docker://%s/team/image:v1' % registry.address)
    other('pull', PLAIN, registry.address + '/team/image:v1')
    assert manifest(registry, 'team/image:v1')['mediaType'] == media_type
    assert same_files(builder.files(built), other.files(registry.address + '/team/image:v1'))


@pytest.mark.parametrize('compression', ['zstd', 'zstd:chunked'])
def test_layers_may_be_compressed_with_zstd(builder, build, new_buildah, registry, compression):
    other, built = new_buildah(), build()
    builder('push', PLAIN, '--compression-format', compression, built, 'docker://%s/team/image:v1' % registry.address)
    other('pull', PLAIN, registry.address + '/team/image:v1')
    assert all(layer['mediaType'].endswith('+zstd') for layer in manifest(registry, 'team/image:v1')['layers'])
    assert same_files(builder.files(built), other.files(registry.address + '/team/image:v1'))


@pytest.mark.parametrize('variables', [{}, {'REGISTRY_ANONYMOUS_PULL': 'yes'}], ids=['closed', 'public'])
def test_an_image_is_pushed_and_pulled_with_a_password(builder, build, new_buildah, place, users, variables):
    registry = place.registry(REGISTRY_HTPASSWD=users, **variables)
    other, built = new_buildah(), build()
    with pytest.raises(clients.CommandFailed, match='unauthorized|authentication required'):
        builder('push', PLAIN, built, 'docker://%s/team/image:v1' % registry.address)
    builder('push', PLAIN, '--creds', ALICE, built, 'docker://%s/team/image:v1' % registry.address)
    other('pull', PLAIN, '--creds', ALICE, registry.address + '/team/image:v1')
    assert same_files(builder.files(built), other.files(registry.address + '/team/image:v1'))


def test_an_index_is_pushed_with_its_images(builder, build, new_buildah, registry):
    other, built = new_buildah(), build()
    container = builder('from', '--pull-never', built).strip()
    builder('config', '--arch', 's390x', container)
    builder('commit', container, 'built-for-s390x')
    builder('manifest', 'create', 'list')
    for image in (built, 'built-for-s390x'):
        builder('manifest', 'add', 'list', image)
    builder('manifest', 'push', PLAIN, '--all', 'list', 'docker://%s/team/list:v1' % registry.address)
    other('pull', PLAIN, registry.address + '/team/list:v1')
    assert len(manifest(registry, 'team/list:v1')['manifests']) == 2
    assert same_files(builder.files(built), other.files(registry.address + '/team/list:v1'))
