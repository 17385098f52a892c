"""The image from `make image`, run by a real docker engine with the options of the walk-through."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

import bases
import clients
import containers
import images
import servers
from docker_registry.drivers.swift import __version__

ADDED = 19 * images.MiB  # bytes that the image may add to its base


def inspect(docker, image):
    return json.loads(docker('image', 'inspect', image))[0]


def push_blob(server, repository='team/image'):
    """Push a new blob and return (its digest, its bytes)."""
    blob = os.urandom(1000)
    answer = requests.post(
        '%s/v2/%s/blobs/uploads/' % (server.url, repository),
        timeout=servers.PATIENCE,
        data=blob,
        params={'digest': images.digest_of(blob)},
        headers={'Content-Type': 'application/octet-stream'},
    )
    assert answer.status_code == 201, answer.text
    return images.digest_of(blob), blob


def has_blob(server, digest, repository='team/image'):
    status = clients.get_blob(server, repository, digest).status_code
    assert status in (200, 404)
    return status == 200


# The content of the image


def test_only_what_the_image_is_made_of_goes_to_the_builder(docker, folder):
    everything = os.path.join(folder, 'Dockerfile')
    with open(everything, 'w') as file:
        file.write('FROM scratch\nCOPY . /context\nCMD ["/"]\n')
    docker('build', '--tag', 'context', '--file', everything, bases.CHECKOUT)
    container = docker('create', 'context').strip()
    docker('cp', container + ':/context', folder)
    docker('rm', container)

    sent = [
        os.path.relpath(os.path.join(place, name), os.path.join(folder, 'context'))
        for place, _, names in os.walk(os.path.join(folder, 'context'))
        for name in names
    ]
    assert {'setup.py', 'README.rst', 'LICENSE', 'deploy/excluded.txt', 'docker_registry/drivers/swift.py'} <= set(sent)
    assert not [
        path
        for path in sent
        if not re.fullmatch(
            r'setup\.py|README\.rst|LICENSE|deploy/(constraints|excluded)\.txt|docker_registry/(drivers|v2(/\w+)*)/\w+\.py'
            r'|docker_registry/v2/http/page/(static|templates)/\w+\.\w+',
            path,
        )
    ]


def test_it_adds_one_layer_to_its_base(docker, base, image):
    layers, below = (inspect(docker, name)['RootFS']['Layers'] for name in (image, base))

    assert layers[:-1] == below


def test_nothing_that_made_it_is_left_in_it(docker, image):
    names = docker('run', '--rm', '--network', 'none', '--entrypoint', 'find', image, '/opt', '-printf', '%f\n').split()

    assert {'swift.py', 'gunicorn', 'keystoneauth1', 'registry-swift'} <= set(names)
    assert not {'pip', 'uv', 'wheel', 'setuptools', '__pycache__', 'tests', 'testing', 'boto', 'redis', '.cache'} & set(names)


def test_a_bill_of_materials_names_every_package(docker, image, folder):
    """With the commands of docs/security.rst."""
    with open(os.path.join(bases.CHECKOUT, 'tools', 'installed_packages.py')) as file:
        done = docker.run('run', '--rm', '--interactive', '--network', 'none', '--entrypoint', 'python3', image, '-', stdin=file.read())
    program = os.path.join(os.path.dirname(sys.executable), 'cyclonedx-py')
    made = subprocess.run([program, 'requirements', '-', '--validate'], input=done.stdout, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)

    folders = docker('run', '--rm', '--network', 'none', '--entrypoint', 'find', image, '/opt', '-name', '*.dist-info').split()
    installed = {os.path.basename(path).removesuffix('.dist-info').lower().replace('-', '_').replace('.', '_') for path in folders}
    assert document['bomFormat'] == 'CycloneDX'
    assert installed <= {f'{part["name"]}_{part["version"]}'.lower().replace('-', '_').replace('.', '_') for part in document['components']}
    assert len(installed) > 10


def test_it_is_small(docker, base, image):
    added = inspect(docker, image)['Size'] - inspect(docker, base)['Size']
    print('the image adds %.1f MB to its base' % (added / 1e6))

    assert 0 < added < ADDED


def test_it_says_what_it_is(docker, image):
    labels = inspect(docker, image)['Config']['Labels']

    assert labels['org.opencontainers.image.version'] == __version__
    assert labels['org.opencontainers.image.title'] == 'registry-swift'
    assert docker('run', '--rm', '--network', 'none', image, '--version') == 'registry-swift %s\n' % __version__


def test_it_is_set_up_to_listen_where_a_published_port_finds_it(docker, image):
    config = inspect(docker, image)['Config']

    assert 'REGISTRY_HOST=0.0.0.0' in config['Env'] and '5000/tcp' in config['ExposedPorts']


# docker run


def test_it_runs_with_the_variables_of_the_walk_through(docker, run):
    registry = run('--cap-drop', 'ALL', '--security-opt', 'no-new-privileges').wait()
    digest, _ = push_blob(registry)

    assert has_blob(registry, digest)
    assert len(registry.workers) == 8
    for pid in registry.workers:
        assert re.search(r'^Uid:\t10001\t10001\t10001\t10001$', status_of(pid), re.MULTILINE)
    push = r'POST /v2/team/image/blobs/uploads/\S* 201 '
    servers.wait_until(lambda: re.search(push, registry.log), 'the push is logged')  # a worker logs a request after its answer
    said = docker.run('logs', registry.name)
    assert 'listening on 127.0.0.1 port %d' % registry.port in said.stdout and said.stderr == ''


def status_of(pid):
    with open('/proc/%d/status' % pid) as file:
        return file.read()


def test_it_takes_the_password_from_a_file(run, folder, swift):
    secret = write(folder, 'password', swift.key + '\n')

    push_blob(
        run(
            '--volume',
            secret + ':/run/secrets/password:ro',
            OS_PASSWORD=None,
            OS_PASSWORD_FILE='/run/secrets/password',
            GUNICORN_WORKERS='1',
        ).wait()
    )


def test_it_takes_a_configuration_of_the_v1_registry(run, place, folder):
    config = write(
        folder,
        'config.yml',
        """
common: &common
    loglevel: info
prod:
    <<: *common
    storage: swift
    storage_path: /registry
    swift_authurl: _env:OS_AUTH_URL
    swift_container: _env:OS_CONTAINER
    swift_user: _env:OS_USERNAME
    swift_password: _env:OS_PASSWORD
""",
    )
    registry = run(
        '--volume',
        config + ':/etc/registry.yml:ro',
        DOCKER_REGISTRY_CONFIG='/etc/registry.yml',
        SETTINGS_FLAVOR='prod',
        GUNICORN_WORKERS='1',
    ).wait()
    digest, _ = push_blob(registry)

    assert has_blob(run(STORAGE_PATH='registry', GUNICORN_WORKERS='1').wait(), digest)
    assert not has_blob(place.registry(), digest)  # this registry has another storage path


def write(folder, name, content):
    """Write a file that anybody may read, and return its path."""
    path = os.path.join(folder, name)
    with open(path, 'w') as file:
        file.write(content)
    os.chmod(path, 0o444)
    return path


@pytest.mark.parametrize(
    'who',
    [
        {
            'OS_USERNAME': 'user',
            'OS_PASSWORD': 'key',
            'OS_PROJECT_NAME': 'project',
            'OS_USER_DOMAIN_NAME': 'user_domain',
            'OS_PROJECT_DOMAIN_NAME': 'project_domain',
        },
        {'OS_APPLICATION_CREDENTIAL_ID': 'application_credential_id', 'OS_APPLICATION_CREDENTIAL_SECRET': 'application_credential_secret'},
    ],
    ids=['password', 'application credential'],
)
def test_it_logs_in_to_keystone(docker, image, cloud, who):
    variables = {name: getattr(cloud, fact) for name, fact in who.items()}
    variables.update(OS_AUTH_URL=cloud.auth_url, OS_AUTH_VERSION='3', OS_REGION_NAME=cloud.region, OS_CONTAINER='image')
    said = docker('run', '--rm', '--read-only', '--network', 'host', *containers.arguments(variables), image, 'check')

    assert re.search(r'^log in +ok ', said) and 'failed' not in said


def test_it_becomes_healthy_and_no_longer_is_when_it_hangs(run):
    registry = run(
        '--health-interval', '1s', '--health-timeout', '2s', '--health-retries', '1', '--health-start-period', '0s', GUNICORN_WORKERS='1'
    ).wait()
    servers.wait_until(lambda: registry.inspect('State.Health.Status') == 'healthy', 'it is healthy')
    (worker,) = registry.workers
    os.kill(worker, servers.signal.SIGSTOP)
    try:
        servers.wait_until(lambda: registry.inspect('State.Health.Status') == 'unhealthy', 'it is not healthy any more')
    finally:
        os.kill(worker, servers.signal.SIGCONT)


@pytest.mark.parametrize(
    'wrong, named',
    [
        ({'OS_PASSWORD': None}, 'OS_PASSWORD'),
        ({'OS_PASSWORD': 'guessed'}, 'OS_PASSWORD'),
        ({'OS_AUTH_URL': None}, 'OS_AUTH_URL'),
        ({'OS_AUTH_URL': 'http://127.0.0.1:1/auth/v1.0'}, 'OS_AUTH_URL'),
        ({'OS_PASSWORD': None, 'OS_PASSWORD_FILE': '/none'}, 'OS_PASSWORD_FILE'),
        ({'GUNICORN_WORKERS': 'many'}, 'GUNICORN_WORKERS'),
    ],
)
def test_a_wrong_setting_ends_it_with_one_line(docker, image, swift, wrong, named):
    status, said, seconds = fails(docker, image, dict(containers.walkthrough(swift, 'none'), **wrong))

    assert (status, len(said.splitlines())) == (1, 1) and named in said
    assert seconds < servers.PATIENCE


def test_a_port_that_is_taken_ends_it_with_one_line(docker, image, swift):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said, seconds = fails(docker, image, dict(containers.walkthrough(swift, 'none'), REGISTRY_PORT=port))

    assert (status, len(said.splitlines())) == (1, 1) and 'REGISTRY_PORT' in said and port in said
    assert seconds < servers.PATIENCE


def fails(docker, image, variables):
    """Run a container that must not start. Return (exit status, its whole output, seconds)."""
    begun = time.monotonic()
    variables = dict({'REGISTRY_HOST': '127.0.0.1', 'REGISTRY_PORT': str(servers.free_port())}, **variables)
    done = docker.run('run', '--rm', '--read-only', '--network', 'host', *containers.arguments(variables), image)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - begun


# Stopping


def test_docker_stop_lets_a_running_upload_finish(run, place):
    registry, blob = run(GUNICORN_WORKERS='2').wait(), os.urandom(images.MiB)
    with socket.create_connection(('127.0.0.1', registry.port), servers.PATIENCE) as client:
        client.sendall(
            (
                'POST /v2/team/image/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n'
                'Content-Type: application/octet-stream\r\nExpect: 100-continue\r\n\r\n' % (images.digest_of(blob), len(blob))
            ).encode()
        )
        assert client.recv(1000).startswith(b'HTTP/1.1 100 ')
        client.sendall(blob[:1000])
        stopping = threading.Thread(target=registry.stop)
        stopping.start()
        servers.wait_until(lambda: refuses(registry), 'it takes no new connections')
        client.sendall(blob[1000:])
        assert client.recv(1000).startswith(b'HTTP/1.1 201 ')
        stopping.join(containers.STOP_SECONDS)

    assert registry.inspect('State.Running') == 'false' and registry.status() == 0
    assert clients.get_blob(place.registry(), 'team/image', images.digest_of(blob)).content == blob


def test_docker_stop_ends_it_at_once_while_it_waits_for_swift(run):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        silent.settimeout(servers.PATIENCE)
        registry = run(OS_AUTH_URL='http://127.0.0.1:%d/auth/v1.0' % silent.getsockname()[1])
        login, _ = silent.accept()
        with login:
            begun = time.monotonic()
            assert registry.stop() == 0
    assert time.monotonic() - begun < 15  # the login itself would time out after 17 seconds


def refuses(registry):
    try:
        socket.create_connection(('127.0.0.1', registry.port), 5).close()
    except ConnectionResetError:  # the connection was waiting to be accepted when the socket was closed
        return False
    except ConnectionRefusedError:
        return True
    return False


# The walk-through


def test_it_is_pushed_to_itself_and_pulled_from_another_and_run(docker, other_docker, image, run):
    name = 'parente/registry-swift:0.7.3'
    registry = run().wait()
    docker('tag', image, '%s/%s' % (registry.address, name))
    docker('push', '%s/%s' % (registry.address, name))
    docker('image', 'rm', '%s/%s' % (registry.address, name))
    registry.kill()
    registry.remove()

    other = run().wait()
    pulled = '%s/%s' % (other.address, name)
    other_docker('pull', pulled)
    assert inspect(other_docker, pulled)['Id'] == inspect(docker, image)['Id']
    assert other_docker('run', '--rm', '--network', 'none', pulled, '--version') == 'registry-swift %s\n' % __version__

    third = run(docker=other_docker, image=pulled, GUNICORN_WORKERS='2').wait()
    assert clients.tags(third, 'parente/registry-swift') == ['0.7.3']


def test_containers_share_all_with_those_of_the_same_os_container_and_nothing_with_others(place, run):
    one, other, apart = (run(GUNICORN_WORKERS='1', **more) for more in ({}, {}, {'OS_CONTAINER': place.container + '-apart'}))
    for registry in (one, other, apart):
        registry.wait()
    ours, _ = push_blob(one)
    theirs, _ = push_blob(apart)

    assert has_blob(other, ours) and not has_blob(apart, ours)
    assert has_blob(apart, theirs) and not has_blob(one, theirs) and not has_blob(other, theirs)
