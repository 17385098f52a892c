"""`registry-swift import-v1`: what docker-registries of 2014 have stored runs under today's docker.

An image is built by docker. Its layers are pushed to a v1 registry as docker 0.6 to 1.12 would have pushed them, and come back as images
of the registry v2 API. Each must have the files and the settings of the one that docker built.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import uuid

import pytest
from swiftclient.client import Connection

import conftest
import old_images
import servers
from images import MiB
from old_registries import OURS, RELEASED, OldRegistry, release

LINE = 'an image of 2014'
#: Everything that a layer can say: links, owners, modes, a pipe, a device, odd names, files and folders that are deleted or replaced.
DOCKERFILE = r"""
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "cd /bin && ./busybox ln busybox sh && ./busybox ln -s busybox cat && ./busybox ln -s busybox ls"]
ENV GREETING="an image" YEAR=2014
RUN /bin/busybox mkdir -p /data/a /data/b /data/c/d && cd /data && echo 1 > a/one && echo 2 > a/two && echo 3 > b/three && \
    echo 4 > 'c/na\xc3\xafve "name" $x' && echo 5 > c/d/five && /bin/busybox chown -R 1000:50 c && /bin/busybox chmod 4751 b/three && \
    /bin/busybox mkfifo pipe && /bin/busybox mknod null c 1 3 && /bin/busybox touch -d '2014-06-22 12:00:00' a/two
LABEL about="what a layer can say"
RUN /bin/busybox rm -rf /data/a /data/b/three && /bin/busybox mkdir /data/a && echo new > /data/a/new && /bin/busybox mv /data/c /data/e
VOLUME /var/lib/volume
EXPOSE 80/tcp
WORKDIR /data
CMD echo $GREETING of $YEAR
"""
#: Files that docker makes for each container itself.
DOCKERS_OWN = {'', '.dockerenv', 'dev', 'etc', 'etc/hostname', 'etc/hosts', 'etc/mtab', 'etc/resolv.conf', 'proc', 'sys'}
DOCKERS_OWN |= {'dev/console', 'dev/pts', 'dev/shm', 'var/lib/volume'}
ULIMITS = ('--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024')  # podman may not raise those of this machine
LAYERS = 127


@pytest.fixture(scope='module')
def built(docker, tmp_path_factory):
    """The name of an image that docker has built."""
    conftest.need('busybox')
    context = tmp_path_factory.mktemp('built')
    shutil.copy(servers.program('busybox'), context / 'busybox')
    (context / 'Dockerfile').write_text(DOCKERFILE)
    docker('build', '--network', 'none', '--tag', 'built', str(context))
    return 'built'


@pytest.fixture(scope='module')
def saved(docker, built, tmp_path_factory):
    path = str(tmp_path_factory.mktemp('saved') / 'image.tar')
    docker('save', '--output', path, built)
    return old_images.Saved(path)


@pytest.fixture
def old_registry(place, folder):
    """A function that starts a docker-registry of 2014."""

    def start(version, driver=OURS):
        if not os.path.exists(os.path.join(release(version, OURS, folder), 'made-from.txt')):
            conftest.missing('there is no docker-registry %s. Make it with make test ENVS=registry' % version)
        return place._started(OldRegistry(folder, release(version, driver, folder), place.swift, place.container))

    return start


@pytest.fixture
def swift_names(place):
    connection = Connection(place.swift.auth_url, place.swift.user, place.swift.key)
    yield Names(connection, place.container)
    connection.close()


class Names:
    """The objects of a container."""

    def __init__(self, connection, container):
        self._connection, self._container = connection, container

    def delete(self, prefix):
        _, found = self._connection.get_container(self._container, prefix=prefix, full_listing=True)
        for entry in found:
            self._connection.delete_object(self._container, entry['name'])


@pytest.fixture
def import_v1(place):
    """A function that runs `registry-swift import-v1` and returns what it printed, as JSON."""

    def run(*words, command='import-v1'):
        done = place.run(command, '--json', *words, patience=5 * servers.PATIENCE)
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)

    return run


@pytest.fixture
def writer(folder, saved):
    path = os.path.join(folder, 'layers')
    os.mkdir(path)
    return old_images.Writer(path, saved)


@pytest.fixture
def runs(docker):
    """A function that pulls an image and returns what a container of it prints."""
    pulled = []

    def run(reference, *command):
        docker('pull', '--quiet', reference)
        pulled.append(reference)
        return docker('run', '--rm', '--network', 'none', reference, *command).strip()

    yield run
    for reference in pulled:
        docker.run('image', 'rm', '--force', reference)


def files(docker, reference, command='x'):
    """Return {path: (kind, mode, owner, group, time, link, device, hash of the bytes, more)} of a container."""
    name = 'files-%s' % uuid.uuid4().hex[:8]
    docker('create', '--name', name, '--network', 'none', reference, command)
    exported = subprocess.run(
        [servers.program('docker'), 'export', name], env=docker.environment, stdout=subprocess.PIPE, check=True, timeout=servers.PATIENCE
    )
    docker('rm', '--force', '--volumes', name)
    with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as archive:
        return {entry.name: _described(archive, entry) for entry in archive if entry.name not in DOCKERS_OWN}


def _described(archive, entry):
    content = hashlib.sha256(archive.extractfile(entry).read()).hexdigest() if entry.isfile() else ''
    more = {name: value for name, value in entry.pax_headers.items() if name.startswith('SCHILY.xattr')}
    device = (entry.devmajor, entry.devminor)
    return entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, entry.linkname, device, content, more


def inspected(docker, reference, what):
    return json.loads(docker('image', 'inspect', '--format', '{{json .%s}}' % what, reference))


def commands(docker, reference):
    """Return the commands of `docker history`, the last one first."""
    return docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', reference).splitlines()


@pytest.mark.parametrize(
    'version, driver, options',
    [('0.7.3', RELEASED, ()), ('0.7.3', OURS, ()), ('0.9.1', OURS, ('--oci',))],
    ids=['0.7.3 with driver 0.2.1', '0.7.3', '0.9.1'],
)
def test_every_image_runs_with_the_files_that_docker_built(
    docker, built, writer, old_registry, import_v1, place, runs, podman, ctr, skopeo, new_folder, version, driver, options
):
    writer.add('team/app', '1.5', writer.of_docker_1_5(), 'gzip')
    writer.add('team/app', 'v_1.12-x', writer.of_docker_1_12(), 'tar')
    writer.add('library/tools', 'latest', writer.of_docker_1_12(), 'xz', private=True)
    writer.add('team/odd_-name', '2014', writer.of_docker_1_5(), 'bzip2')
    writer.add('team/old', '0.6', writer.of_docker_0_6(), 'gzip')
    writer.add('team/deep', 'latest', writer.deep(LAYERS), 'gzip')
    writer.add('team/large', 'latest', writer.large(40 * MiB), 'gzip')
    old_registry(version, driver).push(writer.pushes)

    found = import_v1(*options)

    names = {tag['name']: tag['as'] for tag in found['tags']}
    assert {tag['state'] for tag in found['tags']} == {'imported'} and len(names) == len(writer.pushes)
    assert [one['as'] for one in found['repositories'] if one['private']] == ['tools']
    registry, expected = place.registry(), files(docker, built)
    for old_name, name in names.items():
        reference = '%s/%s' % (registry.address, name)
        if old_name == 'team/old:0.6':
            assert runs(reference, '/bin/cat', '/data/a/new') == 'new'  # it has no settings
        else:
            assert runs(reference) == LINE
            assert inspected(docker, reference, 'Config') == inspected(docker, built, 'Config')
        shown = files(docker, reference)
        assert {path: about for path, about in shown.items() if not path.startswith(('large', 'deep'))} == expected
        assert inspected(docker, reference, 'Architecture') == 'amd64'
        if old_name == 'team/deep:latest':
            assert len(inspected(docker, reference, 'RootFS')['Layers']) == 125  # docker pulls no more
            assert {path[5:] for path in shown if path.startswith('deep/')} == {'y', 'z', *map(str, range(LAYERS - 7))}
    app = '%s/team/app:' % registry.address
    assert commands(docker, app + '1.5') == commands(docker, built)
    for tag in ('1.5', 'v_1.12-x'):  # gzip and plain archives
        podman('pull', '--quiet', '--tls-verify=false', app + tag)
        assert podman('run', '--rm', '--network', 'none', *ULIMITS, app + tag).strip() == LINE
        assert ctr('images', 'pull', '--plain-http', app + tag).returncode == 0
    skopeo.pull(registry, 'team/deep:latest', new_folder())
    assert {tag['state'] for tag in import_v1(*options)['tags']} == {'unchanged'}


def test_both_registries_have_the_images_until_the_old_ones_are_copied_and_deleted(
    writer, old_registry, import_v1, place, runs, skopeo, new_folder, swift_names
):
    """`--link` moves no bytes, and a collection leaves them alone; `--unlink` copies them, so that the old tree can go."""
    writer.add('team/large', 'latest', writer.large(40 * MiB), 'gzip')
    writer.add('team/app', 'latest', writer.of_docker_1_5(), 'tar')
    old, registry = old_registry('0.9.1'), place.registry()
    old.push(writer.pushes)

    assert import_v1('--link')['linked']
    import_v1('--quiet-registry', '--v1-path', 'registry', '--v1-images', command='gc')
    assert [runs('%s/team/%s' % (registry.address, name)) for name in ('large', 'app')] == [LINE, LINE]
    assert old.pulled(writer.pushes)

    assert import_v1('--unlink')['held'] == 0
    swift_names.delete('registry/')
    for name in ('large', 'app'):
        skopeo.pull(registry, 'team/%s:latest' % name, new_folder())  # docker has these layers already
    import_v1('--sizes', command='fsck')


def test_what_is_pushed_to_the_old_registry_meanwhile_comes_with_the_next_import(writer, old_registry, import_v1, place, runs):
    old, registry = old_registry('0.7.3'), place.registry()
    for number in range(2):
        writer.add('team/app', str(number), writer.of_docker_1_5(), 'gzip')
        old.push(writer.pushes[-1:])
        found = import_v1()

        assert [tag['state'] for tag in found['tags']] == ['unchanged'] * number + ['imported']
        assert runs('%s/team/app:%d' % (registry.address, number)) == LINE
    assert old.pulled(writer.pushes)
