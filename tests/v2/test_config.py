"""Settings of the registry, from the environment."""
import pytest
from docker_registry.v2 import config


@pytest.mark.parametrize('environ, message', [
    ({'REGISTRY_SPARSE_MANIFESTS': 'maybe'}, 'REGISTRY_SPARSE_MANIFESTS should be true or false'),
    ({'REGISTRY_PAGE': '0'}, 'REGISTRY_PAGE should be a whole number of at least 1')])
def test_a_wrong_setting_is_named(environ, message):
    with pytest.raises(ValueError, match=message):
        config.from_environment(environ)


def test_settings_from_the_environment():
    found = config.from_environment({'REGISTRY_SPARSE_MANIFESTS': 'yes',
                                    'REGISTRY_UPLOAD_SECRET': 'hush', 'REGISTRY_PAGE': ''})

    assert (found.sparse_manifests, found.page) == (True, 1000)
    assert 'hush' not in repr(found)
