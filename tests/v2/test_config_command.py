"""`registry-swift config`, as a process: its table, its lines of JSON, its exit status, and what it never prints."""

import json
import re

import pytest

from docker_registry.drivers.swift import SETTINGS
from docker_registry.v2.settings import config, in_force
from registry_process import environment, run

SECRET = 'no-one-may-see-this-no-one-may-see-this'


class NoSwift:
    auth_url, user, key = 'https://swift.example.com/auth/v1.0', 'account:ada', SECRET


def environ(**more):
    return {'PATH': '/usr/bin', **environment(NoSwift, **more)}


def rows(*arguments, status=0, **more):
    found, output, errors = run('config', '--json', *arguments, environ=environ(**more))
    assert found == status, errors
    assert SECRET not in output + errors
    return {row['setting']: row for row in map(json.loads, output.splitlines())}


def test_it_shows_every_setting_once():
    tables = [setting.environment[0] for setting in SETTINGS]
    tables += [config.environment_name(setting) for kind in in_force.TABLES for setting in kind.__dataclass_fields__.values()]
    status, output, errors = run('config', environ=environ())

    assert (status, errors) == (0, '')
    assert sorted(line.split()[0] for line in output.splitlines()) == sorted([*tables, *config.VARIABLES])
    assert list(rows()) == [line.split()[0] for line in output.splitlines()]


def test_a_line_has_the_name_the_value_and_the_source(tmp_path):
    (tmp_path / 'password').write_text(SECRET)
    more = {'OS_PASSWORD': None, 'OS_PASSWORD_FILE': tmp_path / 'password', 'OS_CONTAINER': 'images', 'REGISTRY_READ_ONLY': 'yes'}
    status, output, errors = run('config', '--changed', '--port', '5001', environ=environ(**more))

    assert (status, errors) == (0, '')
    assert [re.split('  +', line) for line in output.splitlines()] == [
        ['OS_AUTH_URL', 'https://swift.example.com/auth/v1.0', 'environment'],
        ['OS_AUTH_VERSION', '1', 'environment'],
        ['OS_USERNAME', 'account:ada', 'environment'],
        ['OS_PASSWORD', '***', f'file {tmp_path}/password (OS_PASSWORD_FILE)'],
        ['OS_CONTAINER', 'images', 'environment'],
        ['SWIFT_CREATE_CONTAINER', 'false', 'follows from REGISTRY_READ_ONLY'],
        ['SWIFT_SEGMENT_SIZE', '1048576', 'environment'],
        ['REGISTRY_PORT', '5001', 'option --port'],
        ['GUNICORN_WORKERS', '1', 'environment'],
        ['REGISTRY_READ_ONLY', 'true', 'environment'],
    ]


def test_json_has_values_of_their_types():
    found = rows('--read-only', REGISTRY_TRUSTED_PROXIES='10.0.0.1,::1', SWIFT_READ_TIMEOUT='1.5')

    names = ('OS_PASSWORD', 'REGISTRY_PORT', 'REGISTRY_READ_ONLY', 'REGISTRY_TRUSTED_PROXIES', 'SWIFT_READ_TIMEOUT', 'REGISTRY_RULES')
    assert [found[name]['value'] for name in names] == ['***', 5000, True, ['10.0.0.1/32', '::1/128'], 1.5, None]
    assert found['REGISTRY_READ_ONLY'] == {
        'setting': 'REGISTRY_READ_ONLY',
        'value': True,
        'source': 'option',
        'name': '--read-only',
        'path': None,
        'secret': False,
        'problem': None,
    }


def test_a_configuration_file_of_the_v1_registry_shows_its_settings_and_nothing_else(tmp_path):
    (tmp_path / 'config.yml').write_text(
        f'common: &common {{secret_key: {SECRET}, storage: swift}}\n'
        f'prod:\n  <<: *common\n  swift_password: {SECRET}\n  swift_temp_url_key: _env:KEY:{SECRET}\n  swift_user: _env:WHO\n'
        f'  swift_pasword: {SECRET}\n'
    )
    more = {'DOCKER_REGISTRY_CONFIG': tmp_path / 'config.yml', 'SETTINGS_FLAVOR': 'prod', 'WHO': 'prod:robot'}
    found = rows(**more)

    assert (found['OS_USERNAME']['value'], found['OS_USERNAME']['name']) == ('prod:robot', 'swift_user, _env:WHO')
    assert (found['OS_PASSWORD']['value'], found['SWIFT_TEMP_URL_KEY']['value']) == ('***', '***')
    status, output, errors = run('config', '--changed', environ=environ(**more))
    assert SECRET not in output + errors and f'{tmp_path}/config.yml (swift_user, _env:WHO)' in output
    assert 'unknown setting swift_pasword is ignored; did you mean swift_password?' in errors


def test_it_names_all_that_is_wrong_and_fails():
    more = {'OS_AUTH_URL': f'https://ada:{SECRET}@swift.example.com', 'REGISTRY_UPLOAD_SECRET': SECRET[:20], 'GUNICORN_WORKERS': '0'}
    status, output, errors = run('config', '--changed', '--port', 'http', environ=environ(**more))

    assert status == 1 and SECRET[:20] not in output + errors
    assert [re.search('OS_AUTH_URL|--port|GUNICORN_WORKERS|REGISTRY_UPLOAD_SECRET', line)[0] for line in errors.splitlines()] == [
        'OS_AUTH_URL',
        '--port',
        'GUNICORN_WORKERS',
        'REGISTRY_UPLOAD_SECRET',
    ]
    assert len(re.findall(' wrong ', output)) == 4
    assert rows(status=1, OS_CONTAINER=None)['OS_CONTAINER']['problem'].startswith('swift_container (OS_CONTAINER) is not set')


@pytest.mark.parametrize(
    'more, named',
    [
        ({'LOGLEVEL': 'chatty'}, 'LOGLEVEL'),
        ({'REGISTRY_ANONYMOUS_PULL': 'yes'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_AUTH': 'x'}, 'REGISTRY_AUTH '),
        ({'REGISTRY_METRICS_REPOSITORIES': '5'}, 'REGISTRY_METRICS_PORT'),
        ({'REGISTRY_NOTIFICATIONS_ENDPOINTS': 'x'}, 'REGISTRY_NOTIFICATIONS_URL'),
        ({'REGISTRY_UI': 'no', 'REGISTRY_UI_DELETE': 'yes'}, '(REGISTRY_UI_DELETE) is set, but --no-ui'),
    ],
)
def test_it_names_what_else_would_stop_the_start(more, named):
    status, _, errors = run('config', environ=environ(**more))

    assert status == 1 and named in errors.splitlines()[-1]


def test_it_warns_of_a_variable_that_is_misspelt():
    status, _, errors = run('config', environ=environ(REGISTRY_HTPASWD=SECRET, REGISTRY_SERVICE_HOST='10.0.0.1'))

    assert (status, errors) == (0, 'registry-swift: REGISTRY_HTPASWD is no setting; did you mean REGISTRY_HTPASSWD?\n')


def test_a_value_cannot_forge_a_line():
    _, output, _ = run('config', '--changed', environ=environ(REGISTRY_HTPASSWD='/a\nREGISTRY_PORT  80  default'))

    assert r'/a\nREGISTRY_PORT  80  default' in output


def test_no_value_and_no_message_writes_to_the_terminal_itself():
    red = '/\x1b[31m\x9b31m\u202e\udcff'
    more = {'REGISTRY_HTPASSWD': red, 'REGISTRY_PORT': red, 'SWIFT_RETRIES': red, 'LOGLEVEL': red, 'REGISTRY_UPLOAD_SECRET_FILE': red}
    for output in run('config', environ=environ(**more))[1:]:
        assert output.replace('\n', '').isprintable()
    _, output, errors = run('config', environ=environ(DOCKER_REGISTRY_CONFIG=red))
    assert not output and errors.strip().isprintable()


def test_a_long_value_is_shown_whole():
    path = '/' + 'x' * 100000

    assert rows(REGISTRY_HTPASSWD=path)['REGISTRY_HTPASSWD']['value'] == path
    assert path in run('config', environ=environ(REGISTRY_HTPASSWD=path))[1]
