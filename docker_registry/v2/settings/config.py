"""The registry's own settings, one table per purpose. The storage driver defines the settings for Swift."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from docker_registry.v2.settings import values

Kind = TypeVar('Kind', bound='Config | Access | ServerSettings')


def _setting(
    default: Any, meaning: str, parse: Callable[[str], Any] = str, environment: str | None = None, secret: bool = False, unit: str = ''
) -> Any:
    metadata = {'meaning': meaning, 'parse': parse, 'environment': environment, 'secret': secret, 'unit': unit}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """What the registry accepts from clients, and how it handles it."""

    sparse_manifests: bool = _setting(
        False, 'accept a manifest even if its repository lacks blobs or manifests that the manifest names', values.flag
    )
    manifest_limit: int = _setting(4 * 1024**2, 'size of the largest manifest that the registry accepts', values.number(1024), unit='bytes')
    manifest_references: int = _setting(
        2000,
        'blobs and manifests that one manifest may name; the registry looks for each of them before it accepts the manifest',
        values.number(1),
    )
    manifest_cache: int = _setting(16 * 1024**2, 'size of the cache for manifests in each process', values.number(0), unit='bytes')
    upload_secret: str = _setting(
        '',
        'secret of at least 32 characters that makes the keys which sign uploads and logins; must be the same on all instances. '
        'Unset: a random secret that lies in the container',
        values.secret,
        secret=True,
    )
    upload_lifetime: int = _setting(24 * 3600, 'time that a client has to finish an upload', values.number(60), unit='seconds')
    chunk_min_length: int = _setting(
        1024**2,
        'smallest size for chunks of an upload that the registry asks clients for; smaller chunks work, but slower',
        values.number(0),
        unit='bytes',
    )
    storage_threads: int = _setting(
        16, 'extra requests that each process can send to Swift at a time, besides one for each request that it works on', values.number(1)
    )
    retry_after: int = _setting(
        5, 'time after which the registry asks clients to retry when Swift is unavailable', values.number(1), unit='seconds'
    )
    replication_cycle: int = _setting(
        24 * 3600,
        'time after which every node of Swift has what was written before. A younger blob that a client pushes again is stored again, '
        'unless its repository has it',
        values.number(0),
        unit='seconds',
    )
    page: int = _setting(1000, 'most repository names on one page of the catalog', values.number(1))


@dataclass(frozen=True)
class Access:
    """Who may do what. The command `serve` also takes these settings as options."""

    htpasswd: str = _setting(
        '',
        'file of users and their bcrypt password hashes, as `registry-swift htpasswd` or `htpasswd -B` writes it; '
        're-read when it changes. Unset, and no other logins: everybody may do everything',
    )
    rules: str = _setting(
        '',
        'file with the rights of users, groups and everybody in repositories; re-read when it changes. '
        'Unset: users may do everything. See `registry-swift rules --help`',
    )
    logins: tuple[str, ...] = _setting(
        (),
        'places that know passwords, separated by commas, in the order in which they are asked: htpasswd (the file), keystone (users and '
        'application credentials of the cloud), swift (users of the Swift account, with OS_AUTH_VERSION=1). Unset: htpasswd, if there is a '
        'file. keystone and swift need rules',
        values.logins,
    )
    keystone_url: str = _setting('', 'URL of the Keystone that checks passwords, up to and with /v3. Unset: OS_AUTH_URL', values.url)
    anonymous_pull: bool = _setting(
        False, 'let everybody pull without a password; pushing, deleting and listing repositories still need a user', values.flag
    )
    bearer_tokens: bool = _setting(
        False,
        'ask clients for tokens (Bearer) instead of passwords (Basic), so that CNCF distribution as a pull-through cache can log in, and '
        'docker keeps no password; Basic works as well. Anonymous pulls imply it',
        values.flag,
    )
    read_only: bool = _setting(
        False,
        'serve pulls only: refuse every push and delete, also of users, and write nothing to Swift, not even a container',
        values.flag,
    )
    ui: bool = _setting(
        True,
        'show a page to browsers: repositories, tags and images. It asks for the same logins and follows the same rules as the API',
        values.flag,
    )
    ui_delete: bool = _setting(False, 'let users who may delete a tag delete it on the page, too', values.flag)
    login_failures: int = _setting(
        10,
        'wrong passwords that an address may send for one user before it must wait; for all users together, ten times as many. '
        'The registry forgets them within five minutes',
        values.number(1),
    )
    token_lifetime: int = _setting(
        300, 'lifetime of tokens; the registry accepts them one minute longer', values.number(60, 86400), unit='seconds'
    )
    trusted_proxies: tuple[values.Network, ...] = _setting(
        (),
        'addresses or networks of your proxies, separated by commas; list every proxy between clients and the registry. '
        'The registry believes X-Forwarded-For, -Proto and -Host only from these',
        values.networks,
    )
    redirect: values.Clients = _setting(
        values.Clients(),
        'clients that get large blobs from Swift itself: yes, no, or networks, separated by commas; those with ! do not. They must reach '
        'Swift, or SWIFT_PUBLIC_URL. Needs SWIFT_TEMP_URL_KEY. See docs/redirects.rst',
        values.clients,
    )
    redirect_size: int = _setting(1024**2, 'smallest blob that these clients get from Swift', values.number(1), unit='bytes')
    cors_origins: tuple[str, ...] = _setting(
        (),
        'sites whose web pages may use the API (CORS), separated by commas, such as https://ui.example.com. They may do what their user '
        'may, with the password that the browser knows. Or `*`: pages of all sites may read, but without that password. Unset: none',
        values.origins,
    )


@dataclass(frozen=True)
class ServerSettings:
    """How the server runs. The command `serve` also takes these settings as options.

    Where the v1 registry has the same setting, the environment variable has its name.
    """

    host: str = _setting('127.0.0.1', 'address to listen on; 0.0.0.0 means all IPv4 addresses, :: means all addresses')
    port: int = _setting(5000, 'port to listen on', values.number(0, 65535))
    workers: int = _setting(4, 'number of worker processes', values.number(1, 1000), 'GUNICORN_WORKERS')
    threads: int = _setting(
        16,
        'blobs that each worker process receives from or sends to one client address at a time. It works on a quarter as many of its other '
        'requests, which are short, and on a sixteenth as many pages for browsers. More of them wait. A request that waits for its client '
        'does not count',
        values.number(1, 1000),
        'GUNICORN_THREADS',
    )
    connections: int = _setting(
        500,
        'connections of one client address that each worker process keeps open; trusted proxies may have any number',
        values.number(1, 100000),
    )
    tls_certificate: str = _setting(
        '', 'file with the TLS certificate and its chain (PEM), to serve HTTPS; re-read when it changes. Unset: serve HTTP'
    )
    tls_key: str = _setting('', "file with the certificate's private key (PEM). Unset: the key is in the certificate's file")
    metrics: bool = _setting(
        False, 'serve metrics for Prometheus at /metrics, to everybody who has logged in; without passwords, to everybody', values.flag
    )
    metrics_port: int | None = _setting(
        None, 'port on which a process of its own serves metrics, to everybody who can reach it. Unset: none', values.number(1, 65535)
    )
    metrics_host: str = _setting('127.0.0.1', 'address of that port; Prometheus on another machine needs one that it can reach')
    metrics_repositories: int = _setting(
        0, 'count requests and bytes of each repository, too, of so many repositories at most in each process', values.number(0, 100000)
    )
    graceful_timeout: int = _setting(
        600, 'time that running requests have to finish after SIGTERM', values.number(0, 86400), 'GUNICORN_GRACEFUL_TIMEOUT', unit='seconds'
    )

    log_format: str = _setting(
        'text', 'format of the log: text, or json for one JSON object a line, with more facts', values.one_of('text', 'json')
    )

    def url(self, host: str | None = None) -> str:
        """Return the server's URL, for the address it listens on or for another host."""
        host = host or self.host
        host = f'[{host}]' if ':' in host else host
        return f'{"https" if self.tls_certificate else "http"}://{host}:{self.port}'


setting, number = _setting, values.number  # for tables that have a module of their own

LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR')

#: {variable: (meaning, default)} of those that belong to no class: the command reads them itself.
VARIABLES = {
    'LOGLEVEL': (f'lowest level of messages to log: {", ".join(LOG_LEVELS)}', 'INFO'),
    'DOCKER_REGISTRY_CONFIG': (
        'path of a configuration file of the v1 registry; in it, _env:NAME:default stands for the variable NAME',
        '',
    ),
    'SETTINGS_FLAVOR': ("section of the configuration file to use; it must have 'storage: swift'. Ignored without a file", 'swift'),
}


def log_level(environ: Mapping[str, str]) -> str:
    """Return LOGLEVEL in upper case. :raises ValueError: it is wrong"""
    text = environ.get('LOGLEVEL') or 'INFO'
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f'LOGLEVEL must be one of {", ".join(LOG_LEVELS)}{values.quoted(text)}')
    return text.upper()


OPTIONS = (ServerSettings, Access)  # the tables whose settings are command line options, too


def environment_name(setting: Field) -> str:
    """Return the name of the environment variable for a field of one of these classes."""
    return setting.metadata['environment'] or 'REGISTRY_' + setting.name.upper()


def default_text(setting: Field) -> str:
    """Return the default as help shows it."""
    return shown(setting.default, setting.metadata['unit'])


def shown(default: Any, unit: str) -> str:
    """Return a default with its unit, or '' if there is none."""
    if isinstance(default, bool):
        return str(default).lower()
    if default in (None, '', ()):
        return ''
    return f'{default:g} {unit}'.strip() if isinstance(default, float) else f'{default} {unit}'.strip()


def option_name(setting: Field) -> str:
    """Return the option for a field. What is on by default has an option that turns it off."""
    return ('--no-' if setting.default is True else '--') + setting.name.replace('_', '-')


def read(kind: type[Kind], environ: Mapping[str, str] | None = None, given: Mapping[str, Any] | None = None) -> Kind:
    """Return an instance of one of these classes.

    The command line comes first, then the environment, then the default.

    :param given: {name: text} from the command line
    :raises ValueError: a value is wrong; the text names the setting and never shows a secret
    """
    environ = os.environ if environ is None else environ
    return kind(**{setting.name: parsed(kind, setting, look_up(setting, environ, given or {})[0]) for setting in fields(kind)})


def look_up(setting: Field, environ: Mapping[str, str], given: Mapping[str, Any]) -> tuple[str, str]:
    """Return (text, the option or variable that it comes from), or ('', '') if a setting is not set.

    :raises ValueError: the file of a secret cannot be read
    """
    if text := given.get(setting.name):
        return text, option_name(setting)
    name = environment_name(setting)
    text = environ.get(name, '')
    if not text and setting.metadata['secret'] and environ.get(name + '_FILE'):
        return _content(environ[name + '_FILE'], name + '_FILE'), name + '_FILE'
    # If another container or service is named `registry`, Docker and Kubernetes set REGISTRY_PORT to its address.
    return (text, name) if text and not (name.endswith('_PORT') and text.startswith('tcp://')) else ('', '')


def parsed(kind: type, setting: Field, text: str) -> Any:
    """Return the value of a setting from the text that `look_up` returns.

    :raises ValueError: the text is wrong. The message names the setting, and shows neither a secret nor a URL with a password
    """
    if not text:
        return setting.default
    try:
        return setting.metadata['parse'](text)
    except ValueError as error:
        name = environment_name(setting)
        name = f'{option_name(setting)} ({name})' if kind in OPTIONS else name
        raise ValueError(f'{name} {error}' + ('' if setting.metadata['secret'] else values.quoted(text))) from None


def _content(path: str, name: str) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().rstrip('\r\n')
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{name}: {path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
