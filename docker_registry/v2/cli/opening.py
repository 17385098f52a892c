"""Opens the registry's container for a command that works on it without a server."""

from docker_registry.v2.cli.arguments import settings
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings


def domain(options, environ):
    """Return the `Domain` that the environment names.

    :raises UnspecifiedError: see `settings` and `storage_settings.log_in`
    """
    registry_config = settings(config.Config, options, environ)
    storage_config = storage_settings.read(environ)
    storage_settings.log_in(storage_config)
    return Domain(storage_settings.open_storage(storage_config), registry_config)
