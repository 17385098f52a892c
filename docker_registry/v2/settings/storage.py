"""Where images are stored: reads the driver's settings from the environment or from a v1 registry's configuration file."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from docker_registry.core import driver
from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers.swift import Settings

STORAGE_PATH = 'files'  # the default: CNCF distribution keeps its objects below this name
SECTION = 'swift'  # the default section of a configuration file; SETTINGS_FLAVOR names another

MOST_THREADS = 30  # for which the driver's pool is large enough by itself

#: Short timeouts for `serve` at its start and for `check`, because somebody is waiting for the outcome.
IMPATIENT = {'swift_retries': 1, 'swift_retry_max_wait': 1, 'swift_connect_timeout': 5, 'swift_read_timeout': 8}


class Text(yaml.SafeLoader):
    """A YAML loader that keeps all values as text: the password 0123 does not become a number, nor `no` a boolean.

    A tag that would make something else of a text, such as `!!timestamp`, is an error.
    """

    yaml_constructors = {
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(':')[2] in ('str', 'map', 'seq', 'null')
    }
    yaml_implicit_resolvers = {
        '<': [('tag:yaml.org,2002:merge', re.compile('^<<$'))],
        **dict.fromkeys(['', '~', 'n', 'N'], [('tag:yaml.org,2002:null', re.compile('^(~|null|Null|NULL|)$'))]),
    }


def read(environ: Mapping[str, str] | None = None) -> dict:
    """Return the driver's configuration as a dict.

    With DOCKER_REGISTRY_CONFIG set, it is the section of that file which SETTINGS_FLAVOR names. The driver itself replaces
    `_env:NAME:default` in its values. Without a file it is {}: the driver reads the environment.

    :raises ConfigError: the file or the section cannot be used; the text names the setting
    """
    environ = os.environ if environ is None else environ
    path = environ.get('DOCKER_REGISTRY_CONFIG')
    if not path:
        return {}
    sections = _sections(path)
    flavor = environ.get('SETTINGS_FLAVOR') or SECTION
    if not isinstance(sections.get(flavor), dict):
        there = ', '.join(name for name, section in sections.items() if is_swift(section)) or 'none'
        raise config_error(f'SETTINGS_FLAVOR: {path} has no section {flavor}. Sections with `storage: swift`: {there}')
    if not is_swift(sections[flavor]):
        raise config_error(
            f'SETTINGS_FLAVOR: section {flavor} of {path} has `storage: {sections[flavor].get("storage")}`. '
            'This registry needs a section with `storage: swift`'
        )
    return sections[flavor]


def _sections(path: str) -> dict:
    try:
        with open(path, encoding='utf-8') as file:
            sections = yaml.load(file, Text)
    except (OSError, UnicodeDecodeError) as error:
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # do not show its text: it may quote a line with a secret
        mark = getattr(error, 'problem_mark', None)
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} is not valid YAML' + (f', see line {mark.line + 1}' if mark else ''))
    if not isinstance(sections, dict):
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} has no sections')
    return sections


def is_swift(section: object) -> bool:
    return isinstance(section, dict) and section.get('storage') == 'swift'


def config_error(text: str) -> ConfigError:
    return ConfigError(text, message=text)


def open_storage(config: dict, **changes: Any):
    """Return the storage driver for a configuration from `read`. The driver has not logged in yet."""
    with quiet():
        root = Settings(config).storage_path or STORAGE_PATH
    return driver.fetch('swift')(path=root, config=dict(config, **changes))


def log_in(config: dict):
    """Return a storage driver that has logged in and has found or created its container.

    It uses the short timeouts of `IMPATIENT`, and so is not for serving.

    :raises ConfigError: a setting or the credentials are wrong
    :raises UnreachableError: Swift or the login service cannot be reached in time
    :raises BrokenError: Swift answers, but not as it should
    """
    with quiet():
        storage = open_storage(config, **IMPATIENT)
        storage.connect()
    return storage


def open_existing(environ: Mapping[str, str], threads: int = 0, **changes: Any):
    """Return the storage driver for a command that works on a container. It has proved that the login works.

    It creates no container: with a wrong name, a command would otherwise find an empty registry in which all is well.

    :param threads: requests that the command sends at a time
    :param changes: settings of the driver that count instead of those in the environment
    :raises ConfigError: there is no such container; and see `read` and `log_in`
    """
    config = read(environ) | {'swift_create_container': 'false'} | changes
    try:
        log_in(config)
    except ConfigError as error:
        if getattr(error, 'status', None) == 404 and str(error).startswith('swift_container'):
            name = Settings(config).container
            raise config_error(f'swift_container (OS_CONTAINER) {name} does not exist. Check the name: this command creates no container')
        raise
    return open_storage(config, **({'swift_pool_size': threads + 2} if threads > MOST_THREADS else {}))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the driver's warnings inside the block. The caller reports the outcome in one line."""
    logger = logging.getLogger('docker_registry.drivers.swift')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
