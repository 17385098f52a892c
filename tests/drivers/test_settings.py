# -*- coding: utf-8 -*-
"""Where settings come from, and the errors for wrong ones."""
import logging
import os
import sys

import pytest

from docker_registry.core import exceptions
from docker_registry.drivers.swift import SETTINGS, Settings, Storage

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools'))
import settings_tables

V1 = {'swift_authurl': 'https://swift.example.com/auth/v1.0', 'swift_user': 'account:user', 'swift_password': 'secret',
      'swift_container': 'registry'}


class Attributes(object):
    """The configuration object of docker-registry 0.8 and newer: an unset value is None, and YAML resolves `_env:`."""

    def __init__(self, config):
        self._config = config

    def __getattr__(self, key):
        return self._config.get(key)


class Dictlike(object):
    """The configuration object of docker-registry 0.7."""

    def __init__(self, config):
        self._config = config

    def get(self, key, default=None):
        return self._config.get(key, default)


def settings(environ=(), **config):
    return Settings(dict(V1, **config), dict(environ))


def refused(environ=(), **config):
    with pytest.raises(exceptions.ConfigError) as caught:
        settings(environ, **config)
    assert caught.value.message == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('kind', [dict, Attributes, Dictlike])
def test_every_kind_of_configuration_is_read(kind):
    read = Settings(kind(V1), {})

    assert (read.authurl, read.user, read.password, read.container) == (
        'https://swift.example.com/auth/v1.0', 'account:user', 'secret', 'registry')


def test_the_configuration_comes_before_the_environment():
    assert settings({'OS_CONTAINER': 'other', 'OS_REGION_NAME': 'north'}).container == 'registry'
    assert settings({'OS_CONTAINER': 'other', 'OS_REGION_NAME': 'north'}).region_name == 'north'


def test_the_environment_alone_will_do():
    read = Settings(None, {'OS_AUTH_URL': 'http://swift.example.com/auth/v1.0', 'OS_AUTH_VERSION': '1', 'OS_USERNAME': 'a:u',
                           'OS_PASSWORD': 'p', 'OS_CONTAINER': 'c'})

    assert (read.auth_version, read.user, read.password, read.container) == (1, 'a:u', 'p', 'c')


@pytest.mark.parametrize('raw', ['0123', 'yes', '1e5', '12345', 'null', '[x'])
@pytest.mark.parametrize('kind', [dict, Attributes])
def test_credentials_are_the_text_of_the_environment_not_what_yaml_makes_of_it(raw, kind):
    config = dict(V1, swift_password='_env:OS_PASSWORD', swift_user='_env:OS_USERNAME')
    read = Settings(kind(config), {'OS_PASSWORD': raw, 'OS_USERNAME': raw})

    assert (read.password, read.user) == (raw, raw)


def test_env_has_a_default_and_an_unset_one_counts_for_nothing():
    assert settings(storage_path='_env:STORAGE_PATH:/registry').storage_path == '/registry'
    assert settings({'OS_CONTAINER': 'c'}, swift_container='_env:OTHER').container == 'c'


@pytest.mark.parametrize('value', [12345, 12345.0, True])
def test_what_yaml_has_typed_is_text_again(value):
    assert settings(swift_password=value).password == str(value)


def test_project_is_another_name_of_tenant():
    assert settings(swift_project_name='p').tenant_name == 'p'
    assert settings({'OS_PROJECT_NAME': 'p', 'OS_TENANT_NAME': 't'}).tenant_name == 'p'


@pytest.mark.parametrize('value', [1, '1', '1.0', 1.0, 'v1', 'V1.0'])
def test_auth_version_1_has_many_spellings(value):
    assert settings(swift_authurl='https://keystone.example.com/v3', swift_auth_version=value).auth_version == 1


@pytest.mark.parametrize('name', ['OS_AUTH_VERSION', 'OS_IDENTITY_API_VERSION', 'ST_AUTH_VERSION'])
def test_auth_version_is_in_the_environment(name):
    assert settings({name: '3', 'OS_PROJECT_NAME': 'p'}).auth_version == 3


@pytest.mark.parametrize('path, version', [
    ('/auth/v1.0', 1), ('/auth/v1', 1), ('/v1.0/', 1), ('/v2.0', 2), ('/identity/v3', 3), ('/v3/', 3), ('', 2), ('/v3x', 2),
    ('/zxcv1', 2)])
def test_an_unset_auth_version_is_told_from_the_end_of_the_url(path, version):
    read = settings(swift_authurl='https://v1.example.com' + path, swift_tenant_name='t')

    assert read.auth_version == version


def test_an_application_credential_means_version_3():
    read = Settings({'swift_authurl': 'https://keystone.example.com', 'swift_application_credential_id': 'i',
                     'swift_application_credential_secret': 's', 'swift_container': 'c'}, {})

    assert read.auth_version == 3


@pytest.mark.parametrize('missing, named', [
    ('swift_authurl', 'OS_AUTH_URL'), ('swift_user', 'OS_USERNAME'), ('swift_password', 'OS_PASSWORD'),
    ('swift_container', 'OS_CONTAINER')])
def test_what_is_missing_is_named(missing, named):
    text = refused(**{missing: None})

    assert missing in text and named in text


def test_keystone_needs_a_project():
    assert 'swift_tenant_name' in refused(swift_authurl='https://keystone.example.com/v3')


def test_an_application_credential_needs_its_secret():
    assert 'swift_application_credential_secret' in refused(
        swift_authurl='https://keystone.example.com/v3', swift_application_credential_id='i')


@pytest.mark.parametrize('key, value', [
    ('swift_auth_version', '4'), ('swift_auth_version', 'one'), ('swift_authurl', 'swift.example.com'),
    ('swift_authurl', 'ftp://swift.example.com/'), ('swift_insecure', 'maybe'), ('swift_create_container', '2'),
    ('swift_segment_size', '1'), ('swift_segment_size', '6GiB'), ('swift_segment_size', 'large'), ('swift_retries', '-1'),
    ('swift_retries', 'x'), ('swift_pool_size', '0'), ('swift_read_timeout', '0'), ('swift_connect_timeout', 'nan'),
    ('swift_newest', 'sometimes'), ('swift_temp_url_digest', 'md5'), ('swift_temp_url_set_key', 'true'),
    ('swift_container', 'a/b'), ('swift_endpoint_type', 'private'), ('swift_cacert', '/no/such/file')])
def test_a_bad_value_is_refused_by_the_name_of_its_key(key, value):
    assert key in refused(**{key: value})


def test_a_bad_value_of_the_environment_is_named_by_its_variable():
    assert 'SWIFT_RETRIES' in refused({'SWIFT_RETRIES': 'many'})


@pytest.mark.parametrize('size, parsed', [('1MiB', 2 ** 20), ('64m', 2 ** 26), (33554432, 2 ** 25), ('5GiB', 5 * 2 ** 30)])
def test_sizes_have_units(size, parsed):
    assert settings(swift_segment_size=size).segment_size == parsed


def test_certificates_are_verified_unless_asked_otherwise():
    assert settings().insecure is False
    assert settings(swift_insecure='true').insecure is True


def test_secrets_may_stand_in_files(tmpdir):
    file = tmpdir.join('password')
    file.write('from a file\n')

    assert settings({'OS_PASSWORD_FILE': str(file)}, swift_password=None).password == 'from a file'
    assert settings(swift_password=None, swift_password_file=str(file)).password == 'from a file'
    assert 'OS_PASSWORD_FILE' in refused({'OS_PASSWORD_FILE': str(tmpdir.join('none'))}, swift_password=None)


def test_unknown_keys_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        settings(swift_auth_url='https://swift.example.com/auth/v1.0', swift_zzz='')

    assert 'swift_auth_url is ignored; did you mean swift_authurl?' in caplog.text
    assert 'swift_zzz is ignored' in caplog.text


@pytest.mark.parametrize('key', [setting.key for setting in SETTINGS if setting.secret])
def test_no_secret_is_shown(key, caplog):
    with caplog.at_level(logging.DEBUG):
        shown = repr(settings(**{key: 'sEcReT', 'swift_object_storage_url': 'https://swift.example.com/v1/A'}))

    assert 'sEcReT' not in shown + caplog.text


def test_version_2_takes_tenant_and_user_in_one_as_the_swift_command_does():
    read = settings(swift_authurl='https://keystone.example.com/v2.0', swift_user='tenant:user')

    assert (read.tenant_name, read.user) == ('tenant', 'user')


@pytest.mark.parametrize('value', ['sEcReT\n', 'sEc\rReT', 'sEcReT\0', ' sEcReT', 'sEcReT '])
@pytest.mark.parametrize('key', [setting.key for setting in SETTINGS if setting.secret] + ['swift_user', 'swift_container'])
def test_what_no_header_can_hold_is_refused_unseen(key, value):
    text = refused(**{key: value, 'swift_object_storage_url': 'https://swift.example.com/v1/A'})

    assert key in text and (key in ('swift_user', 'swift_container') or 'sEc' not in text)


@pytest.mark.parametrize('url', ['https://me:sEcReT@swift.example.com/auth/v1.0', 'https://sEcReT@swift.example.com/auth/v1.0',
                                 'http://[::1/auth', 'http:///auth', 'http://', '//swift.example.com', 'http://swift:port/'])
@pytest.mark.parametrize('key', ['swift_authurl', 'swift_object_storage_url', 'swift_public_url'])
def test_a_url_that_is_none_or_holds_a_password_is_refused_unseen(key, url):
    text = refused(**{key: url})

    assert key in text and 'sEcReT' not in text


@pytest.mark.parametrize('url', ['http://[::1]:8080/auth/v1.0', 'https://swift.example.com:443/auth/v1.0', 'HTTPS://SWIFT/v1'])
def test_a_url_may_have_a_port_and_an_address(url):
    assert settings(swift_authurl=url).authurl == url


@pytest.mark.parametrize('name', ['.', '..', 'a/b', 'x' * 257])
def test_a_container_that_cannot_be_is_refused(name):
    assert 'swift_container' in refused(swift_container=name)


@pytest.mark.parametrize('root', ['.', '..', './registry', '/registry/../x', 'a/./b'])
def test_a_root_that_http_would_resolve_to_another_is_refused(root):
    for more in (dict(path=root), dict()):
        with pytest.raises(exceptions.ConfigError) as caught:
            Storage(config=dict(V1, storage_path=root), **more)
        assert 'storage_path' in str(caught.value)


#: The flavor `swift` of config_sample.yml. It is the same in docker-registry 0.7.3 and 0.9.1.
SAMPLE = {'storage': 'swift', 'storage_path': '_env:STORAGE_PATH:/registry', 'swift_authurl': '_env:OS_AUTH_URL',
          'swift_container': '_env:OS_CONTAINER', 'swift_user': '_env:OS_USERNAME', 'swift_password': '_env:OS_PASSWORD',
          'swift_tenant_name': '_env:OS_TENANT_NAME', 'swift_region_name': '_env:OS_REGION_NAME', 'loglevel': 'info'}


def sample_0_7(environ):
    """As in docker-registry 0.7, which inserts the variables when it loads the file, and leaves out unset values."""
    resolved = {}
    for key, value in SAMPLE.items():
        _, name, default = (value.split(':', 2) + [None])[:3] if value.startswith('_env:') else (None, None, value)
        value = environ.get(name, default)
        if value or value == '':
            resolved[key] = value
    return Dictlike(resolved)


def sample_0_9(environ):
    """As in docker-registry 0.8 and newer, which inserts a variable when an attribute is read, and parses it as YAML."""
    class Config(Attributes):
        def __getattr__(self, key):
            raise AssertionError('%s was read through YAML' % key)
    return Config(dict(SAMPLE))


@pytest.mark.parametrize('sample', [sample_0_7, sample_0_9])
def test_the_stock_configuration_and_the_walk_throughs_environment_will_do(sample):
    environ = {'OS_AUTH_URL': 'https://dal05.objectstorage.service.networklayer.com/auth/v1.0', 'OS_AUTH_VERSION': '1',
               'OS_USERNAME': 'SLOS1234-1:SL1234', 'OS_PASSWORD': '0123', 'OS_CONTAINER': '0777', 'OS_TENANT_NAME': '1e5'}
    read = Settings(sample(environ), environ)

    assert (read.auth_version, read.user, read.password, read.container, read.tenant_name, read.storage_path) == (
        1, 'SLOS1234-1:SL1234', '0123', '0777', '1e5', '/registry')


@pytest.mark.parametrize('page, name', sorted(settings_tables.DRIVER_TABLES))
def test_the_docs_have_the_tables_of_the_drivers_settings(page, name):
    """If this fails: tools/settings_tables.py --write"""
    assert settings_tables.in_page(page, name) == settings_tables.DRIVER_TABLES[page, name]()
