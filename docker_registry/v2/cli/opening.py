"""Opens the registry's container for a command that works on it without a server."""

from docker_registry.core.exceptions import ConfigError
from docker_registry.v2.cli.arguments import settings
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

POOL = 30  # requests at a time for which the driver has enough connections by itself


def storage(environ, threads=0):
    """Return the storage driver that the environment names, logged in. Unlike a server, a command creates no container.

    :param threads: requests that the command sends at a time
    :raises UnspecifiedError: see `storage_settings.log_in`
    """
    found = storage_settings.read(environ) | {'swift_create_container': 'false'}
    if threads > POOL:
        found['swift_pool_size'] = threads + 2
    try:
        storage_settings.log_in(found)
    except ConfigError as error:
        if getattr(error, 'status', None) == 404:
            raise config_error('swift_container (OS_CONTAINER): there is no such container. Set it to the container of your registry')
        raise
    return storage_settings.open_storage(found)


def domain(options, environ):
    """Return the `Domain` that the environment names.

    :raises UnspecifiedError: see `settings` and `storage_settings.open_existing`
    """
    registry_config = settings(config.Config, options, environ)
    return Domain(storage_settings.open_existing(environ), registry_config)
