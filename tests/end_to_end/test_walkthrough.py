"""docs/walkthrough.rst: a shell runs all of its commands, in the page's order, in the folder of an unpacked release.

`Reader.changes` replaces what a reader has and the tests do not have. Everything else runs exactly as the page has it.
"""

import ipaddress
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import uuid

import pytest
import yaml

import bases
import clients
from conftest import need
from docker_registry.drivers.swift import __version__
from servers import DockerEngine, free_port, program

SECONDS = 400
NGINX = ['RUN apt-get update && apt-get install --yes --no-install-recommends nginx-light', 'USER 101', 'ENTRYPOINT []']

# Pushes an image, and pulls all tags. Today's docker cannot do that with a v1 registry. The client for the v1 API runs on Python 2.7 only.
OLD_DOCKER = """
import sys
tests, folder, port, busybox, tag, line = sys.argv[1:]
sys.path.insert(0, tests)
from v1_client import V1Client
from v1_image import printing_image
client = V1Client(('127.0.0.1', int(port)))
client.push('me/hello', printing_image(folder, busybox, line), tag)
for pushed in client.tags('me/hello'):
    client.pull('me/hello', pushed)
"""


def page():
    with open(os.path.join(bases.CHECKOUT, 'docs', 'walkthrough.rst')) as file:
        return file.read()


def commands(text):
    """Return [(line, command)] of all commands. A command is the text after a `$` in a console block, with its continuation lines."""
    found, inside = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith('.. code-block:: console'):
            inside = True
        elif inside and line.startswith('    $ '):
            found.append((number, line[6:]))
        elif inside and line.startswith('    '):
            found[-1] = (found[-1][0], found[-1][1] + '\n' + line[4:])
        elif line.strip():
            inside = False
    return found


class Reader:
    """A reader of the page, who has an account on a Swift with v1 auth and another on an OpenStack cloud."""

    def __init__(self, folder, docker, place, cloud, images):
        self.folder, self.docker, self.images = folder, docker, images
        self.container, self.v1, self.cloud = place.container, place.swift, cloud
        self.port, self.second_port, self.tls_port, self.nginx_port = free_port(), free_port(), free_port(), free_port()
        self.lines = {tag: 'hello %s' % uuid.uuid4().hex for tag in ('1', '2')}  # {tag of an image of the old docker: what it prints}
        self.home, self.said = os.path.join(folder, 'home'), ''
        os.mkdir(self.home)
        with open(os.path.join(self.home, '.curlrc'), 'w') as file:  # curl uses this machine's /etc/hosts, not that of the docker engine
            for port in (self.tls_port, self.nginx_port):
                file.write('resolve = "%s:%d:[%s]"\n' % (DockerEngine.NAME, port, DockerEngine.ADDRESS))

    def changes(self):
        """Return [(regular expression for text in a command, its replacement here)]."""
        name, cloud = DockerEngine.NAME.replace('.', r'\.'), self.cloud
        return [
            # The accounts
            (r"'?https://dal05\.objectstorage\.service\.networklayer\.com/auth/v1\.0'?", self.v1.auth_url),
            ('my_master_account:my_account', self.v1.user),
            ('my_api_key', self.v1.key),
            (r'https://keystone\.example\.com:5000/v3', cloud.auth_url),
            ('OS_USERNAME=registry', 'OS_USERNAME=' + cloud.user),
            ('OS_PASSWORD=secret', 'OS_PASSWORD=' + cloud.key),
            ('OS_PROJECT_NAME=images', 'OS_PROJECT_NAME=' + cloud.project),
            ('OS_USER_DOMAIN_NAME=Default', 'OS_USER_DOMAIN_NAME=' + cloud.user_domain),
            ('OS_PROJECT_DOMAIN_NAME=Default', 'OS_PROJECT_DOMAIN_NAME=' + cloud.project_domain),
            ('RegionOne', cloud.region),
            ('21dced0fd20347869b93710d2b98aae0', cloud.application_credential_id),
            ('credential-secret', cloud.application_credential_secret),
            ("(OS_CONTAINER='?)docker-registry", r'\g<1>' + self.container),
            # An old docker
            (r'curl .*/v1/_ping$', r'\g<0>\n' + self.old_push('1')),
            (r'docker run --rm 127\.0\.0\.1:5001/me/hello:1$', r'\g<0>\n' + self.old_push('2')),
            # A hub, and docker's own networks
            ('docker build (.*) - <', r'docker build --network host --build-arg BASE=%s \1 - <' % self.images['v1']),
            (r'docker build (.*) \.$', r'docker build --network host --build-arg BASE=%s \1 .' % self.images['base']),
            ('docker run ', 'docker run --network host '),
            ('-p 127.0.0.1:5000:5000', '-e REGISTRY_HOST=127.0.0.1 -e REGISTRY_PORT=%d' % self.port),
            ('-p 127.0.0.1:5001:5000', '-e REGISTRY_HOST=127.0.0.1 -e REGISTRY_PORT=%d' % self.second_port),
            ('-p 5000:5000', '-e REGISTRY_HOST=%s -e REGISTRY_PORT=%d' % (DockerEngine.ADDRESS, self.tls_port)),
            ('docker-compose --file deploy/docker-compose.yml', 'docker-compose --file deploy/on-this-host.yml'),
            # Ports, and the folder where this engine looks for certificates
            ('127.0.0.1:5000', '127.0.0.1:%d' % self.port),
            ('127.0.0.1:5001', '127.0.0.1:%d' % self.second_port),
            (name + ':5000', '%s:%d' % (DockerEngine.NAME, self.tls_port)),
            (r'(?<!CN=)(?<!DNS:)%s(?!:\d)' % name, '%s:%d' % (DockerEngine.NAME, self.nginx_port)),
            ('/etc/docker/certs.d', self.docker.certificates),
        ]

    def old_push(self, tag):
        """Return a command that does what an old docker does at this point: it pushes an image to the v1 registry."""
        python = os.path.join(bases.V1_RELEASE, 'bin', 'python')
        tests = os.path.join(bases.CHECKOUT, 'tests', 'registry')
        return shlex.join([python, '-c', OLD_DOCKER, tests, self.folder, str(self.port), program('busybox'), tag, self.lines[tag]])

    def script(self):
        """Return all commands as one script, with the changes. Each change must apply to at least one command."""
        lines, changes = ['set -eu'], dict.fromkeys(self.changes(), 0)
        for number, command in commands(page()):
            for change in changes:
                command, count = re.subn(*change, command, flags=re.MULTILINE)
                changes[change] += count
            lines += ['echo "=== line %d"' % number, command]
        unused = [change for change, count in changes.items() if not count]
        assert not unused, 'the page no longer contains: %s' % unused
        return '\n'.join(lines)

    def unpack(self, sdist):
        with tarfile.open(sdist) as archive:
            archive.extractall(self.folder, filter='data')
        self.release = os.path.join(self.folder, os.path.basename(sdist)[: -len('.tar.gz')])

    def write_compose_file(self):
        """Write a copy of deploy/docker-compose.yml that uses the host's network. This engine has no names and publishes no ports."""
        deploy, ports = os.path.join(self.release, 'deploy'), {'registry-1': free_port(), 'registry-2': free_port()}
        with open(os.path.join(deploy, 'docker-compose.yml')) as file:
            document = yaml.safe_load(file)
        del document['networks']
        for name, service in document['services'].items():
            del service['networks']
            service.pop('ports', None)
            service['network_mode'] = 'host'
            if name in ports:
                service['environment'] = {
                    **service['environment'],
                    'REGISTRY_TRUSTED_PROXIES': '127.0.0.1',
                    'REGISTRY_HOST': '127.0.0.1',
                    'REGISTRY_PORT': str(ports[name]),
                }
        with open(os.path.join(deploy, 'on-this-host.yml'), 'w') as file:
            yaml.safe_dump(document, file)
        with open(os.path.join(deploy, 'nginx.conf'), 'r+') as file:
            text = file.read()
            for name, port in ports.items():
                text = text.replace(name + ':5000', '127.0.0.1:%d' % port)
            file.seek(0)
            file.write(text.replace('listen 8443', 'listen [%s]:%d' % (DockerEngine.ADDRESS, self.nginx_port)))
            file.truncate()

    def type_all(self):
        """Run all commands and return whether they succeeded. Their output is in `said`."""
        environment = dict(
            self.docker.environment,
            HOME=self.home,
            PATH='/usr/sbin:/usr/bin:/sbin:/bin',
            DEBIAN_FRONTEND='noninteractive',
            NGINX_IMAGE=self.images['nginx'],
            COMPOSE_PROJECT_NAME='walkthrough',
        )
        done = subprocess.run(
            ['bash', '-c', self.script()],
            cwd=self.release,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        self.said = done.stdout
        return done.returncode == 0


@pytest.fixture
def reader(folder, docker, place, cloud, stand_ins):
    need('busybox')
    reader = Reader(folder, docker, place, cloud, stand_ins)
    yield reader
    print(reader.said)
    for name in docker('ps', '--all', '--quiet').split():
        print(docker.run('logs', '--tail', '20', name))
        docker.run('rm', '--force', name)


@pytest.fixture
def stand_ins(docker, base, v1_base, tmp_path_factory):
    """Names of local images that replace those of a hub."""
    folder = str(tmp_path_factory.mktemp('nginx'))
    return {'base': base, 'v1': v1_base, 'nginx': bases.build(docker, folder, 'nginx', ['FROM ' + base, *NGINX])}


def test_who_types_all_of_it_has_a_registry(reader, place, cloud, sdist, other_docker):
    """Another machine can then pull the pushed images, with their layers, and run them. It can also run those of the v1 registry."""
    reader.unpack(sdist)
    reader.write_compose_file()

    assert reader.type_all(), 'it stopped after === line' + reader.said.rsplit('=== line', 1)[-1]
    assert reader.said.count('registry-swift %s' % __version__) >= 2
    assert '\n401\n' in reader.said
    on_cloud = place.registry(
        cloud,
        OS_AUTH_VERSION='3',
        OS_PROJECT_NAME=cloud.project,
        OS_USER_DOMAIN_NAME=cloud.user_domain,
        OS_PROJECT_DOMAIN_NAME=cloud.project_domain,
    )
    for registry, tags in ((place.registry(), ['1']), (on_cloud, ['2', '3', '4'])):
        assert clients.tags(registry, 'me/registry-swift') == tags
        pulled = '%s/me/registry-swift:%s' % (registry.address, tags[-1])
        said = other_docker('run', '--rm', '--network', 'none', '--pull', 'always', pulled, '--version')
        assert said == 'registry-swift %s\n' % __version__
        other_docker('image', 'rm', pulled)
    both = r'^{"1": "[0-9a-f]{64}"}=== line \d+\n{"name": "me/hello", "tags": \["1"\]}=== '
    assert re.search(both, reader.said, re.MULTILINE), 'the v1 registry and ours do not show the image at the same time'
    imported = place.registry(OS_CONTAINER=place.container + '-v1')
    for tag, line in reader.lines.items():
        assert line in reader.said.splitlines()
        assert other_docker('run', '--rm', '--network', 'none', '%s/me/hello:%s' % (imported.address, tag)) == line + '\n'


def test_no_command_is_overlooked():
    """Every line of the page that looks like a command is one, and all code blocks are console blocks."""
    text = page()

    assert len(commands(text)) == len(re.findall(r'^ +\$ ', text, re.MULTILINE)) > 40
    assert '.. code-block::' not in text.replace('.. code-block:: console', '')


@pytest.fixture
def compose_file(docker_compose, tmp_path):
    """What docker-compose makes of deploy/docker-compose.yml."""
    folder = shutil.copytree(os.path.join(bases.CHECKOUT, 'deploy'), tmp_path / 'deploy')
    (folder / 'registry.env').write_text('OS_CONTAINER=docker-registry\n')
    command = [docker_compose, '--file', folder / 'docker-compose.yml', 'config']
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_the_registries_of_the_compose_file_ask_for_passwords_and_trust_nginx_only(compose_file):
    nginx, *registries = (compose_file['services'][name] for name in ('nginx', 'registry-1', 'registry-2'))

    for registry in registries:
        assert registry['environment']['OS_CONTAINER'] == 'docker-registry'  # from the file that the page makes
        assert registry['environment']['REGISTRY_TRUSTED_PROXIES'] == nginx['networks']['registries']['ipv4_address']
        folder = os.path.dirname(registry['environment']['REGISTRY_HTPASSWD'])
        assert any('registry-etc:%s:ro' % folder in str(volume) for volume in registry['volumes'])
        assert 'ports' not in registry


def test_the_addresses_of_the_compose_file_are_in_its_network(compose_file):
    (networks,) = compose_file['networks']['registries']['ipam']['config']
    addresses = [service['networks']['registries']['ipv4_address'] for service in compose_file['services'].values()]

    hosts = [str(address) for address in ipaddress.ip_network(networks['subnet']).hosts()][1:]  # docker itself has the first
    assert len(set(addresses)) == 3 and set(addresses) <= set(hosts)


def test_nginx_knows_the_registries_of_the_compose_file(compose_file):
    with open(os.path.join(bases.CHECKOUT, 'deploy', 'nginx.conf')) as file:
        named = set(re.findall(r'server (\S+):5000 ', file.read()))

    assert named == set(compose_file['services']) - {'nginx'}
