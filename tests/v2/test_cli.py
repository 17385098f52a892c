"""The command line: errors that prevent a start, where settings come from, and the help texts."""

import dataclasses
import datetime
import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers.swift import SETTINGS, __version__
from docker_registry.v2 import cli
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.rules import Rules
from docker_registry.v2.cli import serving
from docker_registry.v2.http import listening
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.notifications import Notifications
from registry_process import COMMAND, DEADLINE, Serving, environment, run, until
from tls import make_certificate

SECRET = 'no-one-may-see-this'


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in [name for setting in SETTINGS for name in setting.environment] + ['DOCKER_REGISTRY_CONFIG', 'SETTINGS_FLAVOR']:
        monkeypatch.delenv(name, raising=False)


def failed_start(environ, *arguments):
    """Start a registry that must fail in time, and return the one line that it prints."""
    status, output, errors = run('serve', '--port', '0', *arguments, environ=environ)
    assert (status, output) == (1, ''), errors
    (line,) = errors.splitlines()
    assert SECRET not in line
    return line


# Starts that fail


@pytest.mark.parametrize(
    'changes, named',
    [
        ({'OS_AUTH_URL': None}, 'OS_AUTH_URL'),
        ({'OS_USERNAME': None}, 'OS_USERNAME'),
        ({'OS_PASSWORD': None}, 'OS_PASSWORD'),
        ({'OS_CONTAINER': None}, 'OS_CONTAINER'),
        ({'OS_PASSWORD': SECRET}, 'OS_PASSWORD'),
        ({'OS_PASSWORD': None, 'OS_PASSWORD_FILE': '/nowhere/password'}, 'OS_PASSWORD_FILE'),
        ({'OS_AUTH_VERSION': '4'}, 'OS_AUTH_VERSION'),
        ({'OS_AUTH_URL': 'http://127.0.0.1:1/auth/v1.0'}, 'OS_AUTH_URL'),
        ({'OS_AUTH_URL': 'http://no-such-host.invalid/auth/v1.0'}, 'OS_AUTH_URL'),
        ({'SWIFT_CREATE_CONTAINER': 'no'}, 'OS_CONTAINER'),
        ({'SWIFT_SEGMENT_SIZE': 'large'}, 'SWIFT_SEGMENT_SIZE'),
        ({'REGISTRY_MANIFEST_LIMIT': 'large'}, 'REGISTRY_MANIFEST_LIMIT'),
        ({'GUNICORN_WORKERS': '0'}, 'GUNICORN_WORKERS'),
        ({'LOGLEVEL': 'chatty'}, 'LOGLEVEL'),
        ({'DOCKER_REGISTRY_CONFIG': '/nowhere/config.yml'}, 'DOCKER_REGISTRY_CONFIG'),
        ({'REGISTRY_TLS_CERTIFICATE': '/nowhere/certificate.pem'}, 'REGISTRY_TLS_CERTIFICATE'),
        ({'REGISTRY_TLS_KEY': '/nowhere/key.pem'}, 'REGISTRY_TLS_CERTIFICATE'),
        ({'REGISTRY_HTPASSWD': '/nowhere/htpasswd'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_HTPASSWD': '/dev/null'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_HTPASSWD': '/etc'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_ANONYMOUS_PULL': 'yes'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_BEARER_TOKENS': 'yes'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_RULES': ''}, 'REGISTRY_RULES'),
        ({'REGISTRY_RULES': '/nowhere/rules'}, 'REGISTRY_RULES'),
        ({'REGISTRY_RULES': '/etc/passwd'}, 'REGISTRY_RULES'),
        ({'REGISTRY_RULES': '/dev/null', 'REGISTRY_ANONYMOUS_PULL': 'yes', 'REGISTRY_HTPASSWD': __file__}, 'REGISTRY_ANONYMOUS_PULL'),
        ({'REGISTRY_LOGINS': 'ldap'}, 'REGISTRY_LOGINS'),
        ({'REGISTRY_LOGINS': 'swift,swift'}, 'REGISTRY_LOGINS'),
        ({'REGISTRY_LOGINS': 'htpasswd'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_LOGINS': 'swift'}, 'REGISTRY_RULES'),
        ({'REGISTRY_LOGINS': 'swift', 'REGISTRY_HTPASSWD': __file__, 'REGISTRY_RULES': '/dev/null'}, 'REGISTRY_LOGINS'),
        ({'REGISTRY_KEYSTONE_URL': 'https://keystone.example.com/v3'}, 'REGISTRY_LOGINS'),
        ({'REGISTRY_TRUSTED_PROXIES': 'proxy'}, 'REGISTRY_TRUSTED_PROXIES'),
        ({'REGISTRY_AUTH_HTPASSWD_PATH': '/etc/htpasswd'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_AUTH': 'htpasswd'}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_HTPASSWD': ''}, 'REGISTRY_HTPASSWD'),
        ({'REGISTRY_TLS_CERTIFICATE': ''}, 'REGISTRY_TLS_CERTIFICATE'),
        ({'REGISTRY_HOST': 'x..y'}, 'REGISTRY_HOST'),
        ({'REGISTRY_PAGE': '\u00b2'}, 'REGISTRY_PAGE'),
        ({'REGISTRY_UPLOAD_SECRET': 'too short'}, 'REGISTRY_UPLOAD_SECRET must have at least 32 characters'),
    ],
    ids=lambda value: ' '.join(f'{name}={text}' for name, text in value.items()) if isinstance(value, dict) else '',
)
def test_a_wrong_or_missing_setting_stops_the_start_with_one_line_that_names_it(fake, changes, named):
    assert named in failed_start(environment(fake, **changes))


def test_a_swift_that_does_not_answer_stops_the_start(fake):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = 'http://127.0.0.1:%d/auth/v1.0' % silent.getsockname()[1]
        code = (
            'import sys; from docker_registry.v2 import cli; from docker_registry.v2.settings import storage as storage_settings\n'
            'storage_settings.IMPATIENT.update(swift_read_timeout=1); sys.exit(cli.main(["serve", "--port", "0"]))'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], env=environment(fake, OS_AUTH_URL=url), capture_output=True, text=True, timeout=DEADLINE
        )

    assert (done.returncode, done.stderr.count('\n')) == (1, 1)
    assert 'OS_AUTH_URL' in done.stderr


def test_a_port_that_is_taken_stops_the_start_before_swift_is_asked(fake):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        line = failed_start(environment(fake), '--port', str(taken.getsockname()[1]))

    assert 'REGISTRY_PORT' in line and 'in use' in line
    assert not fake.requests


def test_of_two_that_start_at_the_same_time_on_one_port_one_is_told():
    first = listening.listening_socket(config.ServerSettings(port=0))
    settings = config.ServerSettings(port=first.getsockname()[1])
    second = listening.listening_socket(settings)
    listening.begin_to_listen(first, settings)
    with pytest.raises(ConfigError, match='REGISTRY_PORT.*in use'):
        listening.begin_to_listen(second, settings)
    first.close()
    second.close()


def test_a_key_with_a_password_stops_the_start(fake, tmp_path):
    make_certificate(tmp_path)
    subprocess.run(
        ['openssl', 'ec', '-in', tmp_path / 'key.pem', '-aes256', '-passout', 'pass:x', '-out', tmp_path / 'locked.pem'],
        check=True,
        capture_output=True,
    )

    line = failed_start(
        environment(fake), '--tls-certificate', str(tmp_path / 'certificate.pem'), '--tls-key', str(tmp_path / 'locked.pem')
    )

    assert 'password' in line


# Where settings come from


def test_the_variables_of_the_walk_through(real_swift, tmp_path):
    environ = environment(real_swift, SETTINGS_FLAVOR='swift', GUNICORN_WORKERS='3')
    with Serving(tmp_path, environ) as server:
        assert server.request('GET', '/readyz')[0] == 200
        until(lambda: len(server.workers) == 3)


def test_a_password_out_of_a_file(real_swift, tmp_path):
    (tmp_path / 'password').write_text(real_swift.key + '\n')
    environ = environment(real_swift, OS_PASSWORD=None, OS_PASSWORD_FILE=tmp_path / 'password')
    with Serving(tmp_path, environ) as server:
        assert server.request('GET', '/readyz')[0] == 200


def test_images_lie_below_files_unless_set_otherwise(fake, tmp_path):
    for path, begin in ((None, 'files/docker/'), ('mine', 'mine/docker/'), ('/', 'docker/')):
        environ = environment(fake, OS_CONTAINER='root', STORAGE_PATH=path)
        with Serving(tmp_path, environ) as server:
            digest = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
            assert server.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', b'hello')[0] == 201
        assert {name for name in fake.container('root') if name.startswith(begin)}, path


V1_CONFIG = """
common: &common
    loglevel: _env:LOGLEVEL:info
    storage_redirect: _env:STORAGE_REDIRECT
s3:
    <<: *common
    storage: s3
swift: &swift
    <<: *common
    storage: swift
    storage_path: _env:STORAGE_PATH:/registry
    swift_authurl: _env:OS_AUTH_URL
    swift_container: _env:OS_CONTAINER
    swift_user: _env:OS_USERNAME
    swift_password: _env:OS_PASSWORD
    swift_tenant_name: _env:OS_TENANT_NAME
    swift_region_name: ~
prod:
    <<: *swift
    storage_path: prod
    swift_auth_version: 1
    swift_password: 0123
    swift_insecure: no
"""


@pytest.fixture
def v1_config(tmp_path):
    (tmp_path / 'config.yml').write_text(V1_CONFIG)
    return str(tmp_path / 'config.yml')


def test_the_configuration_of_the_v1_registry(real_swift, tmp_path, v1_config):
    environ = environment(real_swift, DOCKER_REGISTRY_CONFIG=v1_config, SETTINGS_FLAVOR='swift')
    with Serving(tmp_path, environ) as server:
        assert server.request('GET', '/readyz')[0] == 200


def test_a_section_inherits_and_its_values_stay_text(v1_config):
    section = storage_settings.read({'DOCKER_REGISTRY_CONFIG': v1_config, 'SETTINGS_FLAVOR': 'prod'})

    assert section['swift_password'] == '0123'
    assert section['storage_path'] == 'prod'
    assert section['swift_container'] == '_env:OS_CONTAINER'
    assert section['swift_region_name'] is None


def test_the_configuration_file_says_where_the_root_is(monkeypatch, v1_config):
    for name, value in {'OS_AUTH_URL': 'http://swift/v1.0', 'OS_USERNAME': 'a:b', 'OS_PASSWORD': 'c', 'OS_CONTAINER': 'd'}.items():
        monkeypatch.setenv(name, value)
    section = storage_settings.read({'DOCKER_REGISTRY_CONFIG': v1_config})

    assert storage_settings.open_storage(section)._root == 'registry'
    assert storage_settings.open_storage({})._root == 'files'


def test_what_kubernetes_says_of_a_service_called_registry_auth_is_no_setting(fake, tmp_path):
    with Serving(tmp_path, environment(fake, REGISTRY_AUTH_SERVICE_HOST='10.0.0.1', REGISTRY_AUTH_PORT='tcp://10.0.0.1:80')) as server:
        assert server.request('GET', '/healthz')[0] == 200


def test_without_a_flavor_it_is_the_section_swift(v1_config):
    assert storage_settings.read({'DOCKER_REGISTRY_CONFIG': v1_config})['storage'] == 'swift'


def test_a_flavor_without_a_file_is_ignored():
    assert storage_settings.read({'SETTINGS_FLAVOR': 's3'}) == {}


@pytest.mark.parametrize('flavor, says', [('s3', 'storage: s3'), ('nothing', 'swift, prod')])
def test_a_section_that_is_not_for_swift(v1_config, flavor, says):
    with pytest.raises(ConfigError, match='SETTINGS_FLAVOR.*' + says):
        storage_settings.read({'DOCKER_REGISTRY_CONFIG': v1_config, 'SETTINGS_FLAVOR': flavor})


@pytest.mark.parametrize(
    'text',
    [
        'swift: {swift_password: %s' % SECRET,
        '- a list',
        '\xff',
        *(f'swift: {{a: !!{tag} {SECRET}}}' for tag in ('int', 'bool', 'float', 'timestamp', 'binary', 'omap', 'set', 'unknown')),
        '{' * 3000,
    ],
)
def test_a_broken_configuration_file_is_named_and_not_quoted(tmp_path, text):
    (tmp_path / 'config.yml').write_bytes(text.encode('latin-1'))
    with pytest.raises(ConfigError, match='DOCKER_REGISTRY_CONFIG') as caught:
        storage_settings.read({'DOCKER_REGISTRY_CONFIG': str(tmp_path / 'config.yml')})

    assert SECRET not in str(caught.value)


def settings(*arguments, **environ):
    return serving.settings(config.ServerSettings, cli.parser().parse_args(['serve', *arguments]), environ)


def test_the_command_line_comes_before_the_environment():
    assert settings('--port', '5001', REGISTRY_PORT='5002').port == 5001
    assert settings(REGISTRY_PORT='5002').port == 5002
    assert settings().port == 5000


@pytest.mark.parametrize('port', ['70000', '-1', 'http', '5.0'])
def test_a_wrong_port_is_named(port):
    with pytest.raises(ConfigError, match='REGISTRY_PORT'):
        settings(REGISTRY_PORT=port)


def test_what_docker_and_kubernetes_put_into_registry_port_is_no_setting():
    assert settings(REGISTRY_PORT='tcp://10.0.0.1:5000').port == 5000


def test_a_pool_smaller_than_the_threads_is_warned_of(fake, tmp_path):
    with Serving(tmp_path, environment(fake, SWIFT_POOL_SIZE='4')) as server:
        assert 'SWIFT_POOL_SIZE' in server.log


# Users


def test_a_users_line_is_good_for_the_file_and_the_password_comes_from_standard_input(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr('sys.stdin', io.StringIO('correct horse\n'))
    assert cli.main(['htpasswd', 'alice']) == 0
    (tmp_path / 'htpasswd').write_text(capsys.readouterr().out)

    users = htpasswd.Users(str(tmp_path / 'htpasswd'))
    assert users.check(b'alice', b'correct horse') and not users.check(b'alice', b'correct')


def test_the_cost_of_a_password_may_be_chosen(capsys, monkeypatch):
    monkeypatch.setattr('sys.stdin', io.StringIO('correct horse\n' * 2))

    assert cli.main(['htpasswd', '--cost', '5', 'alice']) == 0
    assert capsys.readouterr().out.startswith('alice:$2y$05$')
    assert cli.main(['htpasswd', '--cost', '13', 'alice']) == 1
    assert 'from 4 to 12' in capsys.readouterr().err


def test_a_random_password_is_long_and_shown_once(capsys, tmp_path):
    assert cli.main(['htpasswd', '--random', 'robot']) == 0
    line, password = capsys.readouterr()
    (tmp_path / 'htpasswd').write_text(line)

    assert re.fullmatch(r'[A-Za-z0-9_-]{43,72}\n', password) and password.strip() not in line
    assert htpasswd.Users(str(tmp_path / 'htpasswd')).check(b'robot', password.strip().encode())


def test_every_random_password_is_another_one(capsys):
    for _ in range(2):
        cli.main(['htpasswd', '--cost', '4', '--random', 'robot'])

    assert len(set(capsys.readouterr().err.split())) == 2


def test_a_random_password_that_expires_comes_with_the_line_for_the_rules(capsys, tmp_path):
    assert cli.main(['htpasswd', '--random', 'robot', '--expires', '2999-01-31']) == 0
    (tmp_path / 'rules').write_text(capsys.readouterr().err.splitlines()[1] + '\nallow robot pull **\n')

    assert Rules(str(tmp_path / 'rules')).expires('robot') == datetime.date(2999, 1, 31)


@pytest.mark.parametrize('day', ['2020-01-31', '2999-02-30', '29990131', '2999-W05-1', 'tomorrow', '2999-01-31\n', ''])
def test_a_password_expires_on_a_day_to_come(capsys, day):
    with pytest.raises(SystemExit):
        cli.main(['htpasswd', '--random', 'robot', '--expires', day])

    output = capsys.readouterr()
    assert output.out == '' and '2027-01-31' in output.err


@pytest.mark.parametrize(
    'name, password', [('a:b', 'x'), ('', 'x'), ('a b', 'x'), ('#a', 'x'), ('alice', 'x\udcff'), ('alice', ''), ('alice', 'x' * 73)]
)
def test_a_name_or_a_password_that_cannot_be(capsys, monkeypatch, name, password):
    monkeypatch.setattr('sys.stdin', io.StringIO(password + '\n'))

    assert cli.main(['htpasswd', name]) == 1
    output = capsys.readouterr()
    assert output.out == '' and output.err.count('\n') == 1 and 'xxx' not in output.err


# Help


def test_the_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(['--version'])

    assert (end.value.code, capsys.readouterr().out) == (0, f'registry-swift {__version__}\n')


@pytest.mark.parametrize('arguments', [['--help'], ['serve', '--help'], ['check', '--help']])
def test_the_help_names_every_variable(capsys, arguments):
    with pytest.raises(SystemExit):
        cli.main(arguments)
    text = capsys.readouterr().out

    names = [name for setting in SETTINGS for name in setting.environment]
    names += [name + '_FILE' for setting in SETTINGS if setting.secret for name in setting.environment[:1]]
    names += [
        config.environment_name(setting)
        for kind in (config.Config, config.Access, config.ServerSettings, Notifications)
        for setting in dataclasses.fields(kind)
    ]
    names += ['REGISTRY_UPLOAD_SECRET_FILE', 'REGISTRY_NOTIFICATIONS_URL_FILE', 'DOCKER_REGISTRY_CONFIG', 'SETTINGS_FLAVOR', 'LOGLEVEL']
    assert [name for name in names if name not in text] == []


# Commands that work on a container


@pytest.mark.parametrize(
    'command',
    [['survey'], ['gc', '--dry-run'], ['trash', 'list'], ['fsck'], ['rm', '--yes', 'app:v1'], ['undelete', 'app', 'sha256:' + '0' * 64]],
)
def test_a_command_creates_no_container_whose_name_is_wrong(fake, command):
    environ = environment(fake)

    status, output, errors = run(*command, environ=environ)

    assert (status, output) == (2 if command == ['fsck'] else 1, '')
    assert f'{environ["OS_CONTAINER"]} does not exist' in errors
    assert not [request for request in fake.requests if request.method == 'PUT']


@pytest.mark.parametrize('command', [['survey'], ['fsck'], ['gc', '--dry-run'], ['trash', 'empty']])
def test_a_database_that_cannot_be_written_is_named_in_one_line(fake, capsys, monkeypatch, command):
    monkeypatch.setattr('tempfile.tempdir', '/nowhere')  # as in a container whose root is read-only
    for name, text in environment(fake).items():
        monkeypatch.setenv(name, text)
    fake.create_container(os.environ['OS_CONTAINER'])

    status = cli.main(command)

    (line,) = capsys.readouterr().err.splitlines()
    assert status == (2 if command == ['fsck'] else 1)
    assert 'No such file or directory' in line and 'TMPDIR' in line


def test_a_folder_of_a_survey_that_cannot_be_written_is_named_in_one_line(fake):
    environ = environment(fake)
    fake.create_container(environ['OS_CONTAINER'])

    status, output, errors = run('survey', '--state', '/proc', environ=environ)

    assert (status, output, errors.count('\n')) == (1, '', 1)
    assert '--state' in errors


@pytest.mark.parametrize('command', [['survey'], ['fsck', '--json'], ['gc', '--dry-run'], ['trash', 'list']])
def test_a_reader_that_ends_early_ends_the_command_without_a_traceback(fake, command):
    environ = environment(fake, PYTHONUNBUFFERED='')
    fake.create_container(environ['OS_CONTAINER'])
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run([*COMMAND, *command], env=environ, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=DEADLINE)
    os.close(writer)

    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, '')


def test_no_command_is_an_error_that_names_the_commands(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])

    assert end.value.code == 2
    assert 'COMMAND' in capsys.readouterr().err


@pytest.mark.parametrize('words', [['gc'], ['undelete', 'app'], ['htpasswd', 'ada']], ids=lambda words: words[0])
def test_a_command_imports_only_what_it_needs(words):
    """The server and all other commands take longer to import than most commands run."""
    program = "import sys; sys.argv[0] = 'registry-swift'; from docker_registry.v2 import cli; cli.parser(sys.argv[1:2])"
    program += "; print(*{name.partition('.')[0] for name in sys.modules}, *(name for name in sys.modules if '.v2.cli.' in name))"
    done = subprocess.run([sys.executable, '-c', program, *words], capture_output=True, text=True, timeout=DEADLINE)
    modules = set(done.stdout.split())

    assert f'docker_registry.v2.cli.{cli.COMMANDS[words[0]]}' in modules
    assert not modules & {'gevent', 'gunicorn', 'werkzeug', 'jinja2', 'keystoneauth1', 'docker_registry.v2.cli.serving'}


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_its_help_and_is_in_the_help_of_all(capsys, name):
    for arguments in ([name, '--help'], ['--help']):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 0 and f'registry-swift {name} ' in capsys.readouterr().out


def test_the_driver_is_quiet_only_for_as_long_as_asked():
    logger = logging.getLogger('docker_registry.drivers.swift')
    before = logger.getEffectiveLevel()
    with storage_settings.quiet():
        assert not logger.isEnabledFor(logging.WARNING)

    assert logger.getEffectiveLevel() == before
