"""Which settings are in force and where each comes from: every setting of every table, from every place that it can come from."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers import swift
from docker_registry.v2 import settings as package
from docker_registry.v2.settings import config, in_force, storage

OWN = [(kind, setting) for kind in in_force.TABLES for setting in dataclasses.fields(kind)]
OPTIONS = [(kind, setting) for kind, setting in OWN if kind in config.OPTIONS]
#: What a login needs, so that only what a test is about can be missing.
LOGIN = {
    'OS_AUTH_URL': 'https://swift.example.com/v3',
    'OS_USERNAME': 'ada',
    'OS_PASSWORD': 'p',
    'OS_PROJECT_NAME': 'p',
    'OS_CONTAINER': 'c',
}
#: Values that some setting has. Each setting is tested with the first one that it accepts, and that is not its default.
VALUES = (
    'true false 2 7 70 4096 20MiB https://other.example.com/v3 https://other.example.com /dev/null keystone 10.0.0.0/8 internal never '
    'account sha256 yes json pull a-long-text-that-is-as-long-as-a-secret-must-be'
).split()


def value_for(parse, default):
    for text in VALUES:
        try:
            if parse(text) != default:
                return text
        except ValueError:
            continue
    raise AssertionError('VALUES has nothing for this setting: add something')


def row(name, environ, **given):
    return next(row for row in in_force.read(environ, given) if row.name == name)


own = pytest.mark.parametrize('kind, setting', OWN, ids=lambda found: getattr(found, 'name', None))
drivers = pytest.mark.parametrize('setting', swift.SETTINGS, ids=lambda setting: setting.key)


# The registry's own settings


def test_every_table_of_the_registry_is_shown():
    names = [f'{package.__name__}.{module.name}' for module in pkgutil.iter_modules(package.__path__)]
    classes = {found for name in names for _, found in inspect.getmembers(importlib.import_module(name), dataclasses.is_dataclass)}

    assert {found for found in classes if any('parse' in field.metadata for field in dataclasses.fields(found))} == set(in_force.TABLES)


@own
def test_a_setting_from_the_environment(kind, setting):
    name, text = config.environment_name(setting), value_for(setting.metadata['parse'], setting.default)
    found = row(name, {name: text})

    assert (found.value, found.source) == (setting.metadata['parse'](text), in_force.Source('environment', name))
    assert found.secret == setting.metadata['secret']


@own
def test_a_default_of_the_registry(kind, setting):
    found = row(config.environment_name(setting), {})

    assert (found.value, found.source, found.problem) == (setting.default, in_force.Source('default'), '')


@pytest.mark.parametrize('kind, setting', OPTIONS, ids=lambda found: getattr(found, 'name', None))
def test_an_option_comes_first(kind, setting):
    name, text = config.environment_name(setting), value_for(setting.metadata['parse'], setting.default)
    found = row(name, {name: 'x'}, **{setting.name: text})

    assert (found.value, found.source) == (setting.metadata['parse'](text), in_force.Source('option', config.option_name(setting)))


@pytest.mark.parametrize(
    'name, default', [(name, default) for name, (_, default) in config.VARIABLES.items() if name != 'DOCKER_REGISTRY_CONFIG']
)
def test_a_variable_that_belongs_to_no_table(name, default):
    assert (row(name, {}).value, row(name, {name: 'x'}).value) == (default, 'x')
    assert row(name, {name: 'x'}).source == in_force.Source('environment', name)


# The driver's settings


@drivers
def test_every_variable_of_the_driver(setting):
    for name in setting.environment:
        text = value_for(setting.parse, setting.default)
        environ = {known: value for known, value in LOGIN.items() if known not in setting.environment}
        found = row(setting.environment[0], {**environ, name: text})

        assert (found.value, found.source) == (setting.parse(text), in_force.Source('environment', name))
        assert found.secret == setting.secret


@drivers
def test_every_key_of_a_configuration_file(setting, tmp_path):
    path, text = tmp_path / 'config.yml', value_for(setting.parse, setting.default)
    for key in (setting.key, *setting.aliases):
        path.write_text(f'swift:\n  storage: swift\n  {key}: {text}\n')
        found = row(setting.environment[0], {**LOGIN, 'DOCKER_REGISTRY_CONFIG': str(path)})

        assert (found.value, found.source) == (setting.parse(text), in_force.Source('configuration file', key, str(path)))


@drivers
def test_a_key_that_stands_for_a_variable_names_both(setting, tmp_path):
    path, text = tmp_path / 'config.yml', value_for(setting.parse, setting.default)
    path.write_text(f'swift:\n  storage: swift\n  {setting.key}: _env:MINE:{text}\n')
    environ = {**LOGIN, 'DOCKER_REGISTRY_CONFIG': str(path)}

    assert row(setting.environment[0], environ).source == in_force.Source('configuration file', setting.key, str(path))
    found = row(setting.environment[0], {**environ, 'MINE': text})
    assert (found.value, found.source.name) == (setting.parse(text), f'{setting.key}, _env:MINE')


def test_defaults_of_the_driver():
    derived = {'OS_AUTH_VERSION', 'STORAGE_PATH'}
    for setting in swift.SETTINGS:
        found = row(setting.environment[0], LOGIN)
        if found.name not in {*LOGIN, *derived}:
            assert (found.value, found.source) == (setting.default, in_force.Source('default')), setting.key
    assert row('STORAGE_PATH', LOGIN).value == storage.STORAGE_PATH


def test_what_the_driver_derives_from_other_settings():
    assert row('OS_AUTH_VERSION', LOGIN) == in_force.Row('OS_AUTH_VERSION', 3, in_force.Source('derived'))
    old = {**LOGIN, 'OS_AUTH_URL': 'https://k.example.com/v2.0', 'OS_USERNAME': 'project:ada'}
    del old['OS_PROJECT_NAME']
    assert (row('OS_PROJECT_NAME', old).value, row('OS_USERNAME', old).value) == ('project', 'ada')


def test_a_read_only_registry_creates_no_container():
    found = row('SWIFT_CREATE_CONTAINER', {**LOGIN, 'REGISTRY_READ_ONLY': 'yes', 'SWIFT_CREATE_CONTAINER': 'true'})

    assert (found.value, found.source) == (False, in_force.Source('derived', 'REGISTRY_READ_ONLY'))


def test_what_is_shown_is_what_the_registry_uses(tmp_path):
    path = tmp_path / 'config.yml'
    path.write_text('mine: {storage: swift, swift_retries: 3, swift_container: _env:MINE}\n')
    environ = {
        **LOGIN,
        'DOCKER_REGISTRY_CONFIG': str(path),
        'SETTINGS_FLAVOR': 'mine',
        'MINE': 'mine',
        'REGISTRY_PAGE': '7',
        'REGISTRY_PORT': 'tcp://x',
    }
    rows = {row.name: row.value for row in in_force.read(environ, {'port': '1'})}

    used = swift.Settings(storage.read(environ), environ)
    for setting in swift.SETTINGS:
        if setting.key != 'storage_path':
            assert rows[setting.environment[0]] == getattr(used, setting.key.replace('swift_', '', 1))
    for kind in in_force.TABLES:
        read = config.read(kind, environ, {'port': '1'})
        assert {rows[config.environment_name(setting)] == getattr(read, setting.name) for setting in dataclasses.fields(kind)} == {True}


# Secrets


def secrets():
    """Yield (name of the row, table or None, name in the table, variables) of every secret setting."""
    for kind, setting in OWN:
        if setting.metadata['secret']:
            yield config.environment_name(setting), kind, setting.name, [config.environment_name(setting)]
    for setting in swift.SETTINGS:
        if setting.secret:
            yield setting.environment[0], None, (setting.key, *setting.aliases), setting.environment


SECRET = 'hush-hush-hush-hush-hush-hush-hush'
SECRET_URL = f'https://ada:{SECRET}@listener.example.com/?token={SECRET}'


def secret_for(name):
    return SECRET_URL if name.endswith('_URL') else SECRET


def as_tuple(value):
    return value if isinstance(value, (list, tuple)) else (value,)


@pytest.mark.parametrize('name, kind, names, variables', list(secrets()), ids=lambda found: found if isinstance(found, str) else '')
def test_a_secret_is_hidden_wherever_it_comes_from(tmp_path, name, kind, names, variables):
    secret = secret_for(name)
    (tmp_path / 'secret').write_text(secret)
    places = [({variable: secret}, {}) for variable in variables]
    places += [({variable + '_FILE': str(tmp_path / 'secret')}, {}) for variable in variables]
    if kind in config.OPTIONS:
        places.append(({}, {names: secret}))
    if kind is None:
        for number, line in enumerate(
            f'{key}{end}: {value}' for key in names for end, value in (('', SECRET), ('_file', tmp_path / 'secret'))
        ):
            path = tmp_path / f'{number}.yml'
            path.write_text(f'swift:\n  storage: swift\n  {line}\n')
            places.append(({'DOCKER_REGISTRY_CONFIG': str(path)}, {}))
    for environ, given in places:
        login = {known: value for known, value in LOGIN.items() if known not in variables}
        rows = in_force.read({**login, **environ}, given)
        found = next(row for row in rows if row.name == name)

        assert SECRET in str(found.value) and {*as_tuple(found.shown)} == {'***'} and found.source.kind != 'default'
        assert not [row for row in rows if SECRET in f'{row.shown} {row.source} {row.problem}']


@pytest.mark.parametrize('text', [SECRET + '\x01', ' ' + SECRET, 'hush', 'redis://ada:hush@h', 'hush' * 25000], ids=lambda text: text[:20])
def test_a_wrong_secret_is_not_quoted(text):
    for name, *_ in secrets():
        found = row(name, {**LOGIN, name: text})
        assert 'hush' not in f'{found.shown} {found.source} {found.problem}'


def test_a_secret_that_is_not_set_is_not_hidden():
    assert row('OS_AUTH_TOKEN', LOGIN).shown is None


def test_no_message_quotes_what_may_be_a_password_in_a_url():
    """Somebody has put it where no URL with a password may be, or misspelt the URL."""
    names = [config.environment_name(setting) for _, setting in OWN] + [setting.environment[0] for setting in swift.SETTINGS]
    names.remove('OS_CONTAINER')  # whose name has no place for a password
    for name in names:
        for text in ('ftp://ada:hush@h.example.com/', 'ftp://h.example.com/?token=hush', 'ftp://h.example.com/#hush'):
            found = row(name, {**LOGIN, name: text})
            assert 'hush' not in f'{found.shown} {found.problem}', name


def test_a_message_quotes_the_beginning_of_a_long_value():
    for name in ('REGISTRY_PORT', 'SWIFT_RETRIES', 'LOGLEVEL', 'REGISTRY_TRUSTED_PROXIES'):
        assert 50 < len(row(name, {**LOGIN, name: 'x' * 100000}).problem) < 500, name


@pytest.mark.parametrize('name', ['OS_PASSWORD', 'REGISTRY_UPLOAD_SECRET'])
def test_the_source_of_a_secret_is_its_file_also_if_that_cannot_be_read(name):
    environ = {known: value for known, value in LOGIN.items() if known != name} | {name + '_FILE': '/nowhere'}

    assert row(name, environ).problem and row(name, environ).source == in_force.Source('file', name + '_FILE', '/nowhere')


def test_the_source_of_a_secret_is_its_key_also_if_its_file_cannot_be_read(tmp_path):
    path = tmp_path / 'config.yml'
    path.write_text('swift: {storage: swift, swift_password_file: /nowhere}')
    found = row('OS_PASSWORD', {'DOCKER_REGISTRY_CONFIG': str(path)})

    assert found.problem and found.source == in_force.Source('configuration file', 'swift_password_file', str(path))


@pytest.mark.parametrize(
    'url, is_right',
    [
        ('https://keystone.example.com:5000/v3', True),
        ('http://[::1]:5000/v3', True),
        ('HTTP://10.0.0.1', True),
        ('https://k.example.com:0/v3', False),
        ('https://k.example.com:70000/v3', False),
        ('https:///v3', False),
        ('keystone.example.com/v3', False),
        ('https://k.example.com/v 3', False),
    ],
)
def test_the_url_of_keystone(url, is_right):
    assert (row('REGISTRY_KEYSTONE_URL', {'REGISTRY_KEYSTONE_URL': url}).problem == '') == is_right


def test_a_url_without_its_scheme_is_refused_and_not_shown():
    """It may begin with a password."""
    found = row('REGISTRY_KEYSTONE_URL', {'REGISTRY_KEYSTONE_URL': 'ada:hush@k.example.com/v3'})

    assert 'must be an http or https URL without a password' in found.problem and 'hush' not in f'{found.shown}{found.problem}'


def test_the_password_of_a_url_is_hidden():
    def shown(url):
        return in_force.Row('URL', url, in_force.Source('environment', 'URL')).shown

    assert shown('https://ada:hu/sh@k.example.com/v3') == 'https://***@k.example.com/v3'
    assert shown('https://k.example.com/v3?token=hush') == 'https://k.example.com/v3?***'
    assert shown('https://k.example.com/v3#hush?hush') == 'https://k.example.com/v3#***'
    assert shown('https://ada:hu?sh@k.example.com/v3') == shown('https://k.example.com/?token=hu@sh') == 'https://***'
    assert shown('https://k.example.com/v3') == 'https://k.example.com/v3'
    assert 'hush' not in row('OS_AUTH_URL', {**LOGIN, 'OS_AUTH_URL': 'https://ada:hush@swift.example.com'}).problem
    assert 'hush' not in row('REGISTRY_CORS_ORIGINS', {'REGISTRY_CORS_ORIGINS': 'https://ada:hush@ui.example.com'}).problem


# What is wrong


@pytest.mark.parametrize(
    'changes, named',
    [
        ({'OS_CONTAINER': ''}, 'OS_CONTAINER'),
        ({'OS_PASSWORD': ''}, 'OS_PASSWORD'),
        ({'OS_PASSWORD': '', 'OS_PASSWORD_FILE': '/nowhere'}, 'OS_PASSWORD'),
        ({'SWIFT_RETRIES': 'many'}, 'SWIFT_RETRIES'),
        ({'REGISTRY_PORT': 'http'}, 'REGISTRY_PORT'),
        ({'REGISTRY_UPLOAD_SECRET_FILE': '/nowhere'}, 'REGISTRY_UPLOAD_SECRET'),
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_a_problem_of_its_setting(changes, named):
    rows = in_force.read({**LOGIN, **changes}, {})

    assert [row.name for row in rows if row.problem] == [named]
    assert row(named, {**LOGIN, **changes}).shown is None


def test_a_broken_configuration_file_is_named():
    with pytest.raises(ConfigError, match='DOCKER_REGISTRY_CONFIG'):
        in_force.read({'DOCKER_REGISTRY_CONFIG': '/nowhere'}, {})


# What is no setting


def test_variables_that_look_like_settings():
    services = [
        'REGISTRY_SERVICE_HOST',
        'REGISTRY_SERVICE_PORT',
        'REGISTRY_SERVICE_PORT_HTTP',
        'REGISTRY_PORT_5000_TCP_ADDR',
        'REGISTRY_AUTH_PORT',
    ]
    known = [config.environment_name(setting) for _, setting in OWN] + ['REGISTRY_UPLOAD_SECRET_FILE', 'OS_PASSWORD_FILE', 'LOGLEVEL']

    assert in_force.unknown(dict.fromkeys([*services, *known, 'REGISTRY_HTPASWD', 'REGISTRY_STORAGE_SWIFT_USERNAME', 'HOME'], 'x')) == [
        'REGISTRY_HTPASWD',
        'REGISTRY_STORAGE_SWIFT_USERNAME',
    ]
