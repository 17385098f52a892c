"""Opens the registry's container for a command that works on it without a server."""

import contextlib
import sqlite3
from collections.abc import Iterator

from docker_registry.v2.cli.arguments import settings
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error


def domain(options, environ):
    """Return the `Domain` that the environment names.

    :raises UnspecifiedError: see `settings` and `storage_settings.open_existing`
    """
    registry_config = settings(config.Config, options, environ)
    return Domain(storage_settings.open_existing(environ), registry_config)


@contextlib.contextmanager
def local_database() -> Iterator[None]:
    """Say what to do if a command cannot write its database inside the block.

    :raises ConfigError: the folder cannot be written, or its disk is full
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        text = getattr(error, 'strerror', None) or error
        raise config_error(f'cannot write a temporary database: {text}. TMPDIR names the folder for it, and --state that of a survey')
