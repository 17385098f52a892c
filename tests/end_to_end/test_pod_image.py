"""The image, run by docker with what deploy/kubernetes/ lets its pods do, and with their settings."""

import os
import pathlib

import requests
import yaml

import bases
import clients
import containers
import servers
from images import digest_of

FOLDER = pathlib.Path(bases.CHECKOUT) / 'deploy' / 'kubernetes'


def pods():
    """Return {name of the container: specification of its pod}."""
    documents = [document for path in sorted(FOLDER.glob('*.yaml')) for document in yaml.safe_load_all(path.read_text())]
    specifications = [document['spec'].get('jobTemplate', document)['spec'] for document in documents if 'spec' in document]
    found = [specification['template']['spec'] for specification in specifications if 'template' in specification]
    return {pod['containers'][0]['name']: pod for pod in found}


PODS = pods()


def options(pod, files):
    """Return the options of `docker run` for the limits, volumes and variables of a pod.

    :param files: {name of a Secret: folder that stands for it}
    """
    (container,) = pod['containers']
    limits = container['securityContext']
    assert limits['readOnlyRootFilesystem'] and not limits['allowPrivilegeEscalation']
    words = ['--read-only', '--security-opt', 'no-new-privileges', '--cap-drop', *limits['capabilities']['drop']]
    words += ['--memory', container['resources']['limits']['memory'].removesuffix('i')]
    volumes = {volume['name']: volume for volume in pod['volumes']}
    for mounted in container['volumeMounts']:
        volume, path = volumes[mounted['name']], mounted['mountPath']
        words += ['--tmpfs', path] if 'emptyDir' in volume else ['--volume', f'{files[volume["secret"]["secretName"]]}:{path}:ro']
    return words


def test_the_registry_serves_as_a_pod(docker, run, place, users):
    pod, port = PODS['registry'], str(servers.free_port())
    (container,) = pod['containers']
    secret = os.path.join(place.folder, 'users')
    os.mkdir(secret)
    os.rename(users, os.path.join(secret, 'htpasswd'))
    for path, mode in ((place.folder, 0o755), (secret, 0o755), (os.path.join(secret, 'htpasswd'), 0o444)):
        os.chmod(path, mode)
    variables = {variable['name']: variable['value'] for variable in container['env']}
    changed = {'REGISTRY_METRICS_HOST': '127.0.0.1', 'REGISTRY_METRICS_PORT': port}

    registry = run(*options(pod, {'registry-swift-users': secret}), SETTINGS_FLAVOR=None, **{**variables, **changed})

    servers.wait_until(lambda: answers(registry.url + '/readyz'), 'the pod is ready')
    blob, login = os.urandom(3 * 1024**2), tuple(clients.ALICE.split(':'))
    pushed = requests.post(
        registry.url + '/v2/app/blobs/uploads/', params={'digest': digest_of(blob)}, data=blob, auth=login, timeout=servers.PATIENCE
    )
    assert pushed.status_code == 201, pushed.text
    assert 'registry_build_info' in requests.get('http://127.0.0.1:%s/metrics' % port, timeout=servers.PATIENCE).text
    assert 'text/html' in requests.get(registry.url + '/ui/', auth=login, timeout=servers.PATIENCE).headers['Content-Type']
    pause = container['lifecycle']['preStop']['exec']['command']
    assert docker.run('exec', registry.name, *pause[:-1], '0').returncode == 0
    assert int(registry.inspect('Config.User').partition(':')[0]) > 0  # runAsNonRoot
    assert 'ERROR' not in registry.log and 'Traceback' not in registry.log


def answers(url):
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_the_jobs_work_as_pods(docker, image, place):
    place.registry()  # makes the container
    variables = dict(containers.walkthrough(place.swift, place.container), SETTINGS_FLAVOR=None, GUNICORN_WORKERS=None)
    for name in ('gc', 'fsck'):
        (container,) = PODS[name]['containers']
        command = ['run', '--rm', '--network', 'host', *options(PODS[name], {}), *containers.arguments(variables), image]
        done = docker.run(*command, *container['args'])
        assert done.returncode == 0, done.stdout + done.stderr
