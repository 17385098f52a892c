"""What deploy/ has for Prometheus and Grafana, with Prometheus itself and its promtool (Debian's package prometheus)."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import textwrap
import urllib.parse
import urllib.request

import pytest
import yaml

from docker_registry.v2.access import htpasswd
from docker_registry.v2.http.metrics import notes, series
from fake_swift import on, status
from ports import free_port
from registry_process import Serving, environment, run, until

DEPLOY = pathlib.Path(__file__).parents[2] / 'deploy'
RULES, DASHBOARD = DEPLOY / 'prometheus-rules.yml', DEPLOY / 'grafana-dashboard.json'
PASSWORD = 'secret'
BUILD = 'registry_build_info'
MANIFEST = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': []})


@pytest.fixture(autouse=True)
def programs():
    if not (shutil.which('prometheus') and shutil.which('promtool')):
        required = os.environ.get('REGISTRY_TEST_REQUIRE', '').split(',')
        (pytest.fail if set(required) & {'prometheus', 'all'} else pytest.skip)("Debian's package prometheus is not installed")


def promtool(*arguments, **more):
    return subprocess.run(['promtool', *map(str, arguments)], capture_output=True, text=True, timeout=60, **more)


# The files


def known_names():
    """Every name of a number that a registry shows."""
    found = {'up', *notes.GAUGES, *notes.COUNTERS, *notes.LABELLED, BUILD}
    for name, (kind, *_) in series.TABLE.items():
        found |= {name, *(name + suffix for suffix in ('_sum', '_count', '_bucket') if kind.__name__ in ('Histogram', 'Summary'))}
    return found


def named_in(expression):
    return set(re.findall(r'\b(?:registry_\w+|up)\b(?=[{\[ )]|$)', expression.replace('\n', ' ')))


def expressions():
    """Yield each expression of the dashboard, with what Grafana puts into it."""
    for panel in json.loads(DASHBOARD.read_text())['panels']:
        for target in panel.get('targets', ()):
            yield target['expr'].replace('$__rate_interval', '1m').replace('$job', 'registry')


def panels():
    return json.loads(DASHBOARD.read_text())['panels']


def test_each_panel_says_what_it_shows_and_in_which_unit():
    for panel in panels():
        assert panel['title']
        if panel['type'] != 'row':
            assert panel['fieldConfig']['defaults']['unit'] and panel['targets'], panel['title']
            assert len({target['refId'] for target in panel['targets']}) == len(panel['targets'])


def test_panels_have_places_of_their_own():
    taken = set()
    for panel in panels():
        place = panel['gridPos']
        cells = {(place['x'] + x, place['y'] + y) for x in range(place['w']) for y in range(place['h'])}
        assert place['x'] + place['w'] <= 24 and not cells & taken, panel['title']
        taken |= cells

    assert len({panel['id'] for panel in panels()}) == len(panels())


def test_the_dashboard_takes_any_prometheus():
    """Grafana asks which one when it imports a dashboard whose data source is a variable."""
    variables = {variable['name']: variable for variable in json.loads(DASHBOARD.read_text())['templating']['list']}
    used = re.findall(r'"uid": "(\$\{?\w+\}?|[^"]*)"', json.dumps(panels()))

    assert variables['datasource']['type'] == 'datasource' and variables['datasource']['query'] == 'prometheus'
    assert set(used) == {'${datasource}'}
    assert all(target['datasource'] == panel['datasource'] for panel in panels() for target in panel.get('targets', ()))


def test_rules_and_dashboard_name_only_metrics_that_there_are():
    rules = [rule['expr'] for group in yaml.safe_load(RULES.read_text())['groups'] for rule in group['rules']]
    used = set.union(*map(named_in, [*rules, *expressions()]))

    assert len(used) > 20 and used <= known_names()


def test_the_page_has_every_metric_and_every_alert():
    page = (DEPLOY.parent / 'docs' / 'metrics.rst').read_text()
    alerts = {rule['alert'] for group in yaml.safe_load(RULES.read_text())['groups'] for rule in group['rules']}

    assert set(re.findall(r'``(registry_\w+|process_\w+)``', page)) == {
        *series.TABLE,
        *notes.GAUGES,
        *notes.COUNTERS,
        *notes.LABELLED,
        BUILD,
    }
    assert set(re.findall(r'(?m)^``([A-Z]\w+)`` ', page)) == alerts


def test_promtool_finds_no_fault_in_the_rules():
    checked = promtool('check', 'rules', RULES)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize('number', range(2))
def test_prometheus_takes_the_configurations_of_the_page(tmp_path, number):
    page = (DEPLOY.parent / 'docs' / 'metrics.rst').read_text()
    blocks = [textwrap.dedent(block) for block in re.findall(r'code-block:: yaml\n\n((?: .*\n|\n)+?)(?=\n *\S)', page)]
    (tmp_path / 'prometheus.yml').write_text([block for block in blocks if 'scrape_configs' in block][number])
    shutil.copy(RULES, tmp_path)
    checked = promtool('check', 'config', '--syntax-only', 'prometheus.yml', cwd=tmp_path)

    assert checked.returncode == 0 and 'SUCCESS' in checked.stdout, checked.stderr


def test_each_alert_fires_when_it_should(tmp_path):
    shutil.copy(RULES, tmp_path)
    shutil.copy(pathlib.Path(__file__).with_name('prometheus_rules_test.yml'), tmp_path)
    tested = promtool('test', 'rules', 'prometheus_rules_test.yml', cwd=tmp_path)

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_readme_leads_to_a_prometheus_that_asks_the_registry(tmp_path):
    """Its commands, but in another folder: the port that they give to the registry is the one that Prometheus asks."""
    section = (DEPLOY.parent / 'README.rst').read_text().split('See what it does\n====')[1].split('\n====')[0]
    (command,) = re.findall(r'\$ prometheus --config.file=(\S+) ', section)
    (port,) = re.findall(r'\$ REGISTRY_METRICS_PORT=([0-9]+) make run', section)
    asked = yaml.safe_load((DEPLOY.parent / command).read_text())

    checked = promtool('check', 'config', DEPLOY.parent / command)
    assert checked.returncode == 0 and 'rules found' in checked.stdout, checked.stdout + checked.stderr
    assert asked['rule_files'] == [RULES.name]
    assert [job['static_configs'] for job in asked['scrape_configs']] == [[{'targets': [f'127.0.0.1:{port}']}]]
    assert re.findall(r'``(deploy/\S+\.json)``', section) == [str(DASHBOARD.relative_to(DEPLOY.parent))]


# A real Prometheus


class Prometheus:
    """Scrapes a registry twice: its port for metrics, and with a password its own. The rules wait for nothing."""

    def __init__(self, folder, port, metrics_port):
        self._port = free_port()
        (folder / 'rules.yml').write_text(re.sub(r'for: \w+', 'for: 0s', RULES.read_text()))
        login = {'basic_auth': {'username': 'ada', 'password': PASSWORD}}
        jobs = [
            {'job_name': 'registry', 'static_configs': [{'targets': [f'127.0.0.1:{metrics_port}']}]},
            {'job_name': 'registry-login', 'static_configs': [{'targets': [f'127.0.0.1:{port}']}], **login},
        ]
        times = {'scrape_interval': '500ms', 'scrape_timeout': '500ms', 'evaluation_interval': '500ms'}
        (folder / 'prometheus.yml').write_text(yaml.safe_dump({'global': times, 'rule_files': ['rules.yml'], 'scrape_configs': jobs}))
        arguments = [f'--config.file={folder}/prometheus.yml', f'--storage.tsdb.path={folder}/data', '--log.level=warn']
        with open(folder / 'prometheus.log', 'w') as log:
            self._process = subprocess.Popen(
                ['prometheus', *arguments, f'--web.listen-address=127.0.0.1:{self._port}'], stdout=log, stderr=log
            )

    def __enter__(self):
        until(self._is_ready)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)

    def _is_ready(self):
        assert self._process.poll() is None
        try:
            return urllib.request.urlopen(f'http://127.0.0.1:{self._port}/-/ready', timeout=10).status == 200
        except OSError:
            return False

    def ask(self, path, **query):
        with urllib.request.urlopen(f'http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}', timeout=30) as answer:
            return json.load(answer)['data']

    def value(self, expression):
        return [float(found['value'][1]) for found in self.ask('query', query=expression)['result']]

    def firing(self):
        return {alert['labels']['alertname'] for alert in self.ask('alerts')['alerts'] if alert['state'] == 'firing'}


def test_prometheus_reads_a_registry_for_each_panel_and_alerts_fire_when_swift_fails(fake, tmp_path):
    (tmp_path / 'users').write_bytes(b'ada:%b\n' % htpasswd.make(PASSWORD.encode(), 4))
    metrics_port, login = free_port(), 'Basic ' + base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()
    environ = environment(fake, REGISTRY_METRICS='yes', REGISTRY_METRICS_PORT=metrics_port, SWIFT_RETRIES='0', GUNICORN_WORKERS='2')
    environ |= {'REGISTRY_METRICS_REPOSITORIES': '5', 'REGISTRY_NOTIFICATIONS_URL': f'http://127.0.0.1:{free_port()}/'}  # nobody listens
    with Serving(tmp_path, environ, '--htpasswd', str(tmp_path / 'users')) as registry:
        assert registry.request('PUT', '/v2/a/manifests/v1', MANIFEST, Authorization=login)[0] == 201
        for command in ('survey', 'gc', 'fsck'):
            assert run(command, environ=environ)[0] == 0
        with Prometheus(tmp_path, registry.port, metrics_port) as prometheus:
            until(lambda: prometheus.value('up') == [1, 1])
            until(lambda: not prometheus.firing() - {'ListenerSilent'})  # one of a scrape that took too long goes with the next
            until(lambda: prometheus.value('registry_check_timestamp_seconds'))  # before Swift fails
            assert registry.request('GET', '/v2/a/manifests/v1', Authorization=login)[0] == 200
            assert registry.request('GET', '/v2/a/blobs/sha256:' + 64 * '0', Authorization=login)[0] == 404

            fake.fault(on(), status(503), times=None)

            def request_and_look():
                assert registry.request('GET', '/v2/a/manifests/v1', Authorization=login)[0] == 503
                return prometheus.firing() >= {'RegistryFails', 'SwiftFails'}

            until(request_and_look)
            until(lambda: prometheus.value('sum by (job) (up)') == [1, 1])  # they answer without Swift
            for expression in expressions():
                until(lambda: prometheus.value(expression), 30)  # each panel shows something
        text = urllib.request.urlopen(f'http://127.0.0.1:{metrics_port}/metrics', timeout=30).read().decode()

    checked = promtool('check', 'metrics', input=text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, '', '')
