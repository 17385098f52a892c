"""Which settings are in force, and where each comes from. No value that comes from here shows a secret."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers import swift
from docker_registry.v2.settings import config, notifications, storage

OPTION, ENVIRONMENT, FILE, CONFIGURATION, DERIVED, DEFAULT = 'option', 'environment', 'file', 'configuration file', 'derived', 'default'
HIDDEN = '***'
TABLES = (config.ServerSettings, config.Access, config.Config, notifications.Notifications)

#: What Kubernetes sets in every container if a service is called `registry` or `registry-...`, and docker for links.
_OF_SERVICES = re.compile(r'REGISTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_\w+)?)')


@dataclass(frozen=True)
class Source:
    """Where a value comes from: the kind, the name of the option, variable or key, and the path of the file, if there is one."""

    kind: str
    name: str = ''
    path: str = ''


@dataclass(frozen=True)
class Row:
    """A setting, by the name of its variable, or of its first one.

    :param value: the value in force; None or a wrong one if there is a problem
    :param problem: what is wrong with the setting, or ''
    """

    name: str
    value: Any
    source: Source
    secret: bool = False
    problem: str = ''

    @property
    def shown(self) -> Any:
        """The value as JSON may show it: hidden if it is secret, and without the password of a URL. None if it is not set."""
        if self.problem or self.value in (None, '', ()):
            return None
        if self.secret:
            return HIDDEN
        if isinstance(self.value, tuple):
            return [_without_passwords(str(member)) for member in self.value]
        return _without_passwords(self.value) if isinstance(self.value, str) else self.value


def read(environ: Mapping[str, str], given: Mapping[str, Any]) -> list[Row]:
    """Return all settings of all tables.

    :param given: {name: text} from the command line, as for `config.read`
    :raises ConfigError: the configuration file of the v1 registry cannot be used
    """
    own = [row for kind in TABLES for row in _own(kind, environ, given)]
    read_only = next(row for row in own if row.name == 'REGISTRY_READ_ONLY')
    return [*_of_driver(environ, read_only), *own, *_variables(environ)]


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return the variables of an environment that look like settings, but are none. Perhaps somebody has misspelt them."""
    names = {name for row in read({}, {}) for name in (row.name, *([row.name + '_FILE'] if row.secret else []))}
    names.update(name for setting in swift.SETTINGS for name in setting.environment)
    return sorted(
        name for name in environ if re.fullmatch('REGISTRY_[A-Z0-9_]+', name) and name not in names and not _OF_SERVICES.fullmatch(name)
    )


def _own(kind: type, environ: Mapping[str, str], given: Mapping[str, Any]) -> Iterator[Row]:
    for setting in fields(kind):
        name, secret = config.environment_name(setting), setting.metadata['secret']
        value, source, problem = None, _of_file([name], environ) if secret else Source(DEFAULT), ''
        try:
            text, origin = config.look_up(setting, environ, given)
            source = _source(origin, [name], environ)
            value = config.parsed(kind, setting, text)
        except ValueError as error:
            problem = str(error)
        yield Row(name, value, source, secret, problem)


def _variables(environ: Mapping[str, str]) -> Iterator[Row]:
    for name, (_, default) in config.VARIABLES.items():
        problem = _problem_of_level(environ) if name == 'LOGLEVEL' else ''
        source = Source(ENVIRONMENT, name) if environ.get(name) else Source(DEFAULT)
        yield Row(name, environ.get(name) or default, source, problem=problem)


def _problem_of_level(environ: Mapping[str, str]) -> str:
    try:
        config.log_level(environ)
    except ValueError as error:
        return str(error)
    return ''


def _source(origin: str | None, names: Sequence[str], environ: Mapping[str, str]) -> Source:
    """Return the source of a setting with these variables. What comes from another variable comes from the file that it names."""
    if not origin:
        return Source(DEFAULT)
    if origin.startswith('--'):
        return Source(OPTION, origin)
    return Source(ENVIRONMENT, origin) if origin in names else Source(FILE, origin, environ[origin])


def _of_file(names: Sequence[str], environ: Mapping[str, str]) -> Source:
    """Return the source of a secret whose file cannot be read."""
    found = next((name + '_FILE' for name in names if environ.get(name + '_FILE')), '')
    return Source(FILE, found, environ[found]) if found else Source(DEFAULT)


# The driver's settings


def _of_driver(environ: Mapping[str, str], read_only: Row) -> list[Row]:
    section = storage.read(environ)
    rows = {setting.key: _of_setting(setting, section, environ) for setting in swift.SETTINGS}
    rows['storage_path'] = replace(rows['storage_path'], value=rows['storage_path'].value or storage.STORAGE_PATH)
    if read_only.value:
        rows['swift_create_container'] = replace(rows['swift_create_container'], value=False, source=Source(DERIVED, read_only.name))
    return list((rows if any(row.problem for row in rows.values()) else _completed(rows, section, environ)).values())


def _of_setting(setting: swift.Setting, section: dict, environ: Mapping[str, str]) -> Row:
    value, source, problem = None, _of_file_of(setting, section, environ) if setting.secret else Source(DEFAULT), ''
    try:
        text, origin = swift.look_up(setting, section, environ)
        source = _source_of(setting, origin, section, environ)
        value = swift.parsed(setting, text, origin)
    except ConfigError as error:
        problem = str(error)
    return Row(setting.environment[0], value, source, setting.secret, problem)


def _of_file_of(setting: swift.Setting, section: dict, environ: Mapping[str, str]) -> Source:
    key = next((key + '_file' for key in (setting.key, *setting.aliases) if section.get(key + '_file')), None)
    return _source_of(setting, key, section, environ) if key else _of_file(setting.environment, environ)


def _source_of(setting: swift.Setting, origin: str | None, section: dict, environ: Mapping[str, str]) -> Source:
    if origin is None or origin not in section:
        return _source(origin, setting.environment, environ)
    text = section[origin]
    variable = text.split(':')[1] if isinstance(text, str) and text.startswith('_env:') else ''
    name = f'{origin}, _env:{variable}' if environ.get(variable) else origin
    return Source(CONFIGURATION, name, environ['DOCKER_REGISTRY_CONFIG'])


def _completed(rows: dict[str, Row], section: dict, environ: Mapping[str, str]) -> dict[str, Row]:
    """Return the rows with the values that the driver derives from others, and with what is missing as a problem."""
    try:
        settings = vars(swift.Settings(section, environ))
    except ConfigError as error:
        key = str(error).split()[0]  # every such text begins with it
        key = key if key in rows else 'swift_authurl'
        return rows | {key: replace(rows[key], problem=str(error))}
    derived = {key: settings[key.replace('swift_', '', 1)] for key in rows if key not in ('storage_path', 'swift_create_container')}
    return rows | {
        key: replace(rows[key], value=value, source=Source(DERIVED)) for key, value in derived.items() if value != rows[key].value
    }


def _without_passwords(text: str) -> str:
    """Hide what may be a password in a URL: before the host, in the query, and after it."""
    scheme, is_url, rest = text.partition('://')
    if not is_url:
        return text
    if '@' in rest and re.search('[?#]', rest):  # each may be part of a password
        return f'{scheme}://{HIDDEN}'
    if '@' in rest:
        return f'{scheme}://{HIDDEN}@{rest.rpartition("@")[2]}'
    return re.sub('([?#]).*', rf'\1{HIDDEN}', text, count=1, flags=re.DOTALL)
