"""deploy/kubernetes/: what its files say of the registry is true, and they fit together. tests/end_to_end has their schemas."""

import os
import pathlib

import pytest
import yaml

from docker_registry.v2 import cli
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.watched import Broken
from docker_registry.v2.http.routes import ROUTES
from docker_registry.v2.settings import config, in_force

CHECKOUT = pathlib.Path(__file__).parents[2]
FILES = sorted((CHECKOUT / 'deploy' / 'kubernetes').glob('*.yaml'))
DOCUMENTS = {
    (document['kind'], document['metadata']['name']): document for path in FILES for document in yaml.safe_load_all(path.read_text())
}
DEPLOYMENT = DOCUMENTS['Deployment', 'registry-swift']
JOBS = [document for (kind, _), document in DOCUMENTS.items() if kind == 'CronJob']
REGISTRY = DEPLOYMENT['spec']['template']
PODS = [REGISTRY, *(job['spec']['jobTemplate']['spec']['template'] for job in JOBS)]
(CONTAINER,) = REGISTRY['spec']['containers']

every_pod = pytest.mark.parametrize('pod', PODS, ids=lambda pod: pod['spec']['containers'][0]['name'])


def environment(container):
    """Return the variables of a container."""
    variables = {variable['name']: variable['value'] for variable in container.get('env', ())}
    for source in container['envFrom']:
        variables.update(DOCUMENTS['Secret', source['secretRef']['name']]['stringData'])
    return variables


@every_pod
def test_the_command_understands_its_arguments_and_settings(pod, monkeypatch, capsys):
    (container,) = pod['spec']['containers']
    assert cli.parser().parse_args(container['args']).run
    settings = {name for row in in_force.read({}, {}) for name in (row.name, row.name + '_FILE')}
    for name in settings | {name for name in os.environ if name.startswith('REGISTRY_')}:  # of the tests, too
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(container).items():
        assert isinstance(value, str), f'{name} must be quoted'
        monkeypatch.setenv(name, value)

    assert cli.main(['config', '--changed']) == 0
    shown = capsys.readouterr()
    assert set(environment(container)) == {line.split()[0] for line in shown.out.splitlines()}
    assert 'is no setting' not in shown.err


@every_pod
def test_a_pod_is_allowed_where_all_are_restricted(pod):
    """The level `restricted`: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    (container,) = pod['spec']['containers']
    assert pod['spec']['securityContext'] == {'runAsNonRoot': True, 'seccompProfile': {'type': 'RuntimeDefault'}}
    assert container['securityContext'] == {
        'allowPrivilegeEscalation': False,
        'readOnlyRootFilesystem': True,
        'capabilities': {'drop': ['ALL']},
    }
    assert pod['spec']['automountServiceAccountToken'] is False and pod['spec']['enableServiceLinks'] is False
    assert set(container['resources']) == {'requests', 'limits'}


@pytest.mark.parametrize('job', JOBS, ids=lambda job: job['metadata']['name'])
def test_a_job_has_a_folder_for_its_database_and_never_runs_twice(job):
    pod = job['spec']['jobTemplate']['spec']['template']['spec']
    assert {'name': 'tmp', 'mountPath': '/tmp'} in pod['containers'][0]['volumeMounts'] and {'name': 'tmp', 'emptyDir': {}} in pod[
        'volumes'
    ]
    assert job['spec']['concurrencyPolicy'] == 'Forbid'


def test_running_requests_may_finish_before_the_pod_is_killed():
    pause = int(CONTAINER['lifecycle']['preStop']['exec']['command'][1])
    grace = REGISTRY['spec']['terminationGracePeriodSeconds']

    assert grace > config.ServerSettings.graceful_timeout + pause
    assert (
        f'have {config.ServerSettings.graceful_timeout} seconds' in FILES[[path.name for path in FILES].index('registry.yaml')].read_text()
    )


@pytest.mark.parametrize('probe', ['readinessProbe', 'livenessProbe', 'startupProbe'])
def test_probes_ask_for_what_the_registry_has(probe):
    path = CONTAINER[probe]['httpGet']['path']

    assert [action for pattern, _, action in ROUTES if pattern.fullmatch(path)] == [None]
    assert CONTAINER[probe]['httpGet']['port'] in {port['name'] for port in CONTAINER['ports']}


def test_ports_have_the_same_names_everywhere():
    ports = {port['name']: port['containerPort'] for port in CONTAINER['ports']}
    service = DOCUMENTS['Service', 'registry-swift']

    assert ports['http'] == config.ServerSettings.port
    assert {port['targetPort'] for port in service['spec']['ports']} <= set(ports)
    assert ports['metrics'] == int(environment(CONTAINER)['REGISTRY_METRICS_PORT'])


def test_prometheus_finds_the_metrics_of_each_pod():
    monitor, service = DOCUMENTS['ServiceMonitor', 'registry-swift'], DOCUMENTS['Service', 'registry-swift']
    (endpoint,) = monitor['spec']['endpoints']

    assert monitor['spec']['selector']['matchLabels'] == service['metadata']['labels']
    assert endpoint['port'] in {port['name'] for port in service['spec']['ports']} and endpoint['path'] == '/metrics'


def test_all_that_selects_pods_selects_those_of_the_registry():
    labels = REGISTRY['metadata']['labels']

    assert DEPLOYMENT['spec']['selector']['matchLabels'] == labels
    assert DOCUMENTS['Service', 'registry-swift']['spec']['selector'] == labels
    assert DOCUMENTS['PodDisruptionBudget', 'registry-swift']['spec']['selector']['matchLabels'] == labels
    assert REGISTRY['spec']['topologySpreadConstraints'][0]['labelSelector']['matchLabels'] == labels
    assert DOCUMENTS['PodDisruptionBudget', 'registry-swift']['spec']['minAvailable'] < DEPLOYMENT['spec']['replicas']


def test_a_node_can_be_drained_while_swift_is_down():
    """No pod is ready then: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy"""
    assert DOCUMENTS['PodDisruptionBudget', 'registry-swift']['spec']['unhealthyPodEvictionPolicy'] == 'AlwaysAllow'


def test_the_files_that_settings_name_come_from_a_secret():
    (volume,), (mount,) = REGISTRY['spec']['volumes'], CONTAINER['volumeMounts']
    folder, name = environment(CONTAINER)['REGISTRY_HTPASSWD'].rsplit('/', 1)

    assert (mount['mountPath'], mount['name']) == (folder, volume['name'])
    assert name in DOCUMENTS['Secret', volume['secret']['secretName']]['stringData']


def test_the_users_of_the_example_let_nobody_in(tmp_path):
    """Nobody can run it with users whose passwords everybody knows."""
    (tmp_path / 'htpasswd').write_text(DOCUMENTS['Secret', 'registry-swift-users']['stringData']['htpasswd'])

    with pytest.raises(Broken, match='line 1 is not a user with a bcrypt password'):
        htpasswd.Users(str(tmp_path / 'htpasswd'))
