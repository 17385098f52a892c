"""The registry's own settings, one table per purpose. The storage driver defines the settings for Swift."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SHORTEST_SECRET = 32  # characters
LOGINS = ('htpasswd', 'keystone', 'swift')
Kind = TypeVar('Kind', bound='Config | Access | ServerSettings')


def _flag(text: str) -> bool:
    known = {'true': True, 'yes': True, 'on': True, '1': True, 'false': False, 'no': False, 'off': False, '0': False}
    if text.lower() not in known:
        raise ValueError('must be true or false')
    return known[text.lower()]


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch('[0-9]{1,15}', text) or int(text) < least or most is not None and int(text) > most:
            raise ValueError('must be a whole number ' + (f'of at least {least}' if most is None else f'from {least} to {most}'))
        return int(text)

    return parse


def _secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:  # somebody who has a token could guess a short secret
        raise ValueError(f'must have at least {SHORTEST_SECRET} characters. Make one with: openssl rand -hex 32')
    return text


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word) for word in text.replace(',', ' ').split())
    except ValueError as error:
        raise ValueError(f'must be addresses or networks, separated by commas (10.0.0.5, 192.168.0.0/24): {error}')


def _logins(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(',', ' ').split())
    if not set(words) <= set(LOGINS) or len(set(words)) < len(words):
        raise ValueError(f'must be some of {", ".join(LOGINS)}, each once, separated by commas')
    return words


def _setting(
    default: Any, meaning: str, parse: Callable[[str], Any] = str, environment: str | None = None, secret: bool = False, unit: str = ''
) -> Any:
    metadata = {'meaning': meaning, 'parse': parse, 'environment': environment, 'secret': secret, 'unit': unit}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """What the registry accepts from clients, and how it handles it."""

    sparse_manifests: bool = _setting(
        False, 'accept a manifest even if its repository lacks blobs or manifests that the manifest names', _flag
    )
    manifest_limit: int = _setting(4 * 1024**2, 'size of the largest manifest that the registry accepts', _number(1024), unit='bytes')
    manifest_references: int = _setting(
        2000,
        'blobs and manifests that one manifest may name; the registry looks for each of them before it accepts the manifest',
        _number(1),
    )
    manifest_cache: int = _setting(16 * 1024**2, 'size of the cache for manifests in each process', _number(0), unit='bytes')
    upload_secret: str = _setting(
        '',
        'secret of at least 32 characters that makes the keys which sign uploads and logins; must be the same on all instances. '
        'Unset: a random secret that lies in the container',
        _secret,
        secret=True,
    )
    upload_lifetime: int = _setting(24 * 3600, 'time that a client has to finish an upload', _number(60), unit='seconds')
    chunk_min_length: int = _setting(
        1024**2,
        'smallest size for chunks of an upload that the registry asks clients for; smaller chunks work, but slower',
        _number(0),
        unit='bytes',
    )
    storage_threads: int = _setting(
        16, 'extra requests that each process can send to Swift at a time, besides one for each request that it works on', _number(1)
    )
    retry_after: int = _setting(
        5, 'time after which the registry asks clients to retry when Swift is unavailable', _number(1), unit='seconds'
    )
    replication_cycle: int = _setting(
        24 * 3600,
        'time after which every node of Swift has what was written before. A younger blob that a client pushes again is stored again, '
        'unless its repository has it',
        _number(0),
        unit='seconds',
    )
    page: int = _setting(1000, 'most repository names on one page of the catalog', _number(1))


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
        _logins,
    )
    keystone_url: str = _setting('', 'URL of the Keystone that checks passwords, up to and with /v3. Unset: OS_AUTH_URL')
    anonymous_pull: bool = _setting(
        False, 'let everybody pull without a password; pushing, deleting and listing repositories still need a user', _flag
    )
    bearer_tokens: bool = _setting(
        False,
        'ask clients for tokens (Bearer) instead of passwords (Basic), so that CNCF distribution as a pull-through cache can log in, and '
        'docker keeps no password; Basic works as well. Anonymous pulls imply it',
        _flag,
    )
    read_only: bool = _setting(
        False, 'serve pulls only: refuse every push and delete, of users as well, and write nothing to Swift, not even a container', _flag
    )
    login_failures: int = _setting(
        10,
        'wrong passwords that an address may send for one user before it must wait; for all users together, ten times as many. '
        'The registry forgets them within five minutes',
        _number(1),
    )
    token_lifetime: int = _setting(
        300, 'lifetime of tokens; the registry accepts them one minute longer', _number(60, 86400), unit='seconds'
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        (),
        'addresses or networks of your proxies, separated by commas; list every proxy between clients and the registry. '
        'The registry believes X-Forwarded-For, -Proto and -Host only from these',
        _networks,
    )


@dataclass(frozen=True)
class ServerSettings:
    """How the server runs. The command `serve` also takes these settings as options.

    Where the v1 registry has the same setting, the environment variable has its name.
    """

    host: str = _setting('127.0.0.1', 'address to listen on; 0.0.0.0 means all IPv4 addresses, :: means all addresses')
    port: int = _setting(5000, 'port to listen on', _number(0, 65535))
    workers: int = _setting(4, 'number of worker processes', _number(1, 1000), 'GUNICORN_WORKERS')
    threads: int = _setting(
        16,
        'blobs that each worker process receives from or sends to one client address at a time. It works on a quarter as many of its other '
        'requests, which are short. More of them wait. A request that waits for its client does not count',
        _number(1, 1000),
        'GUNICORN_THREADS',
    )
    connections: int = _setting(
        500,
        'connections of one client address that each worker process keeps open; trusted proxies may have any number',
        _number(1, 100000),
    )
    tls_certificate: str = _setting(
        '', 'file with the TLS certificate and its chain (PEM), to serve HTTPS; re-read when it changes. Unset: serve HTTP'
    )
    tls_key: str = _setting('', "file with the certificate's private key (PEM). Unset: the key is in the certificate's file")
    graceful_timeout: int = _setting(
        600, 'time that running requests have to finish after SIGTERM', _number(0, 86400), 'GUNICORN_GRACEFUL_TIMEOUT', unit='seconds'
    )

    def url(self, host: str | None = None) -> str:
        """Return the server's URL, for the address it listens on or for another host."""
        host = host or self.host
        host = f'[{host}]' if ':' in host else host
        return f'{"https" if self.tls_certificate else "http"}://{host}:{self.port}'


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
    return '--' + setting.name.replace('_', '-')


def read(kind: type[Kind], environ: Mapping[str, str] | None = None, given: Mapping[str, Any] | None = None) -> Kind:
    """Return an instance of one of these classes.

    The command line comes first, then the environment, then the default.

    :param given: {name: text} from the command line
    :raises ValueError: a value is wrong; the text names the setting and never shows a secret
    """
    environ = os.environ if environ is None else environ
    values = {}
    for setting in fields(kind):
        text = (given or {}).get(setting.name) or _from_environment(setting, environ)
        if text:
            try:
                values[setting.name] = setting.metadata['parse'](text)
            except ValueError as error:
                shown = '' if setting.metadata['secret'] else f', not {text!r}'
                raise ValueError(f'{_called(kind, setting)} {error}{shown}') from None
    return kind(**values)


def _called(kind: type, setting: Field) -> str:
    name = environment_name(setting)
    return f'{option_name(setting)} ({name})' if kind in OPTIONS else name


def _from_environment(setting: Field, environ: Mapping[str, str]) -> str:
    name = environment_name(setting)
    text = environ.get(name, '')
    if not text and setting.metadata['secret'] and environ.get(name + '_FILE'):
        return _content(environ[name + '_FILE'], name + '_FILE')
    # If another container or service is named `registry`, Docker and Kubernetes set REGISTRY_PORT to its address.
    return '' if name == 'REGISTRY_PORT' and text.startswith('tcp://') else text


def _content(path: str, name: str) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().rstrip('\r\n')
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{name}: {path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
