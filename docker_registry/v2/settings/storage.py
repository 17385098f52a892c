"""Where images are stored: the driver's settings, out of the environment or of a configuration file of the v1 registry."""

import contextlib
import logging
import os
import re

import yaml

from docker_registry.core import driver
from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers.swift import Settings

STORAGE_PATH = 'files'  # unless set: below it lies what CNCF distribution wrote into the same container
SECTION = 'swift'  # of a configuration file, unless SETTINGS_FLAVOR names another

#: What a start or a check waits for: whoever started it is looking on.
IMPATIENT = {'swift_retries': 1, 'swift_retry_max_wait': 1, 'swift_connect_timeout': 5, 'swift_read_timeout': 8}


class Text(yaml.SafeLoader):
    """YAML whose values stay the text that they are: the password 0123 is no number, and `no` is no boolean."""

    yaml_implicit_resolvers = {
        '<': [('tag:yaml.org,2002:merge', re.compile('^<<$'))],
        **dict.fromkeys(['', '~', 'n', 'N'], [('tag:yaml.org,2002:null', re.compile('^(~|null|Null|NULL|)$'))]),
    }


def read(environ=None):
    """The driver's configuration: {} for the environment alone, or the section that SETTINGS_FLAVOR names in the file
    DOCKER_REGISTRY_CONFIG, in which the driver itself replaces `_env:NAME:default`.

    :raises ConfigError: naming the setting that is wrong
    """
    environ = os.environ if environ is None else environ
    path = environ.get('DOCKER_REGISTRY_CONFIG')
    if not path:
        return {}
    sections = _sections(path)
    flavor = environ.get('SETTINGS_FLAVOR') or SECTION
    if not isinstance(sections.get(flavor), dict):
        there = ', '.join(name for name, section in sections.items() if is_swift(section)) or 'none'
        raise config_error(f'SETTINGS_FLAVOR: {path} has no section {flavor}; those with `storage: swift` are: {there}')
    if not is_swift(sections[flavor]):
        raise config_error(
            f'SETTINGS_FLAVOR: section {flavor} of {path} has `storage: {sections[flavor].get("storage")}`; '
            'this registry stores in swift only'
        )
    return sections[flavor]


def _sections(path):
    try:
        with open(path, encoding='utf-8') as file:
            sections = yaml.load(file, Text)
    except (OSError, UnicodeDecodeError) as error:
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
    except yaml.YAMLError as error:  # its text may quote a line of the file, and so a secret
        mark = getattr(error, 'problem_mark', None)
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} is no YAML' + (f', see line {mark.line + 1}' if mark else ''))
    if not isinstance(sections, dict):
        raise config_error(f'DOCKER_REGISTRY_CONFIG: {path} has no sections')
    return sections


def is_swift(section):
    return isinstance(section, dict) and section.get('storage') == 'swift'


def config_error(text):
    return ConfigError(text, message=text)


def open_storage(config, **changes):
    """The storage driver for a configuration that `read` gave; it does not log in yet."""
    with quiet():
        root = Settings(config).storage_path or STORAGE_PATH
    return driver.fetch('swift')(path=root, config=dict(config, **changes))


def log_in(config):
    """A storage that has logged in and has its container, for a look at it now: see `IMPATIENT`.

    :raises ConfigError, UnreachableError, BrokenError:
    """
    with quiet():
        storage = open_storage(config, **IMPATIENT)
        storage.connect()
    return storage


@contextlib.contextmanager
def quiet():
    """Without the driver's warnings: what comes of it is said in one line."""
    logger = logging.getLogger('docker_registry.drivers.swift')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
