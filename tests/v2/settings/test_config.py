"""The registry's own settings, read from the environment."""

import pytest

from docker_registry.v2.settings import config

SECRET = 'hush' * 8


@pytest.mark.parametrize(
    'kind, environ, message',
    [
        (config.Config, {'REGISTRY_SPARSE_MANIFESTS': 'maybe'}, 'REGISTRY_SPARSE_MANIFESTS must be true or false'),
        (config.Access, {'REGISTRY_TOKEN_LIFETIME': '59'}, r'\(REGISTRY_TOKEN_LIFETIME\) must be a whole number from 60 to'),
        (config.Config, {'REGISTRY_PAGE': '0'}, 'REGISTRY_PAGE must be a whole number of at least 1'),
        (
            config.Config,
            {'REGISTRY_UPLOAD_SECRET': SECRET[1:]},
            'REGISTRY_UPLOAD_SECRET must have at least 32 characters. Make one with: open',
        ),
        (config.Config, {'REGISTRY_UPLOAD_SECRET_FILE': '/nowhere'}, 'REGISTRY_UPLOAD_SECRET_FILE: /nowhere cannot be read'),
        (config.Access, {'REGISTRY_TRUSTED_PROXIES': '10.0.0.0/33'}, r'--trusted-proxies \(REGISTRY_TRUSTED_PROXIES\) must be addresses'),
        (config.Access, {'REGISTRY_TRUSTED_PROXIES': '10.0.0.1/8'}, 'REGISTRY_TRUSTED_PROXIES'),
        (config.ServerSettings, {'GUNICORN_WORKERS': 'many'}, r'--workers \(GUNICORN_WORKERS\) .*, not .many'),
    ],
)
def test_a_wrong_setting_is_named(kind, environ, message):
    with pytest.raises(ValueError, match=message):
        config.read(kind, environ)


def test_settings_from_the_environment():
    found = config.read(config.Config, {'REGISTRY_SPARSE_MANIFESTS': 'yes', 'REGISTRY_UPLOAD_SECRET': SECRET, 'REGISTRY_PAGE': ''})

    assert (found.sparse_manifests, found.page) == (True, 1000)
    assert SECRET not in repr(found)


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / 'secret').write_text(SECRET + '\n')

    assert config.read(config.Config, {'REGISTRY_UPLOAD_SECRET_FILE': str(tmp_path / 'secret')}).upload_secret == SECRET


def test_proxies_are_addresses_and_networks():
    found = config.read(config.Access, {'REGISTRY_TRUSTED_PROXIES': '127.0.0.1, 10.0.0.0/8 ::1'})

    assert [str(network) for network in found.trusted_proxies] == ['127.0.0.1/32', '10.0.0.0/8', '::1/128']


def test_a_secret_that_is_too_short_is_not_shown():
    with pytest.raises(ValueError) as raised:
        config.read(config.Config, {'REGISTRY_UPLOAD_SECRET': SECRET[1:]})

    assert 'hush' not in str(raised.value)
