"""Settings of the registry itself, a table for each purpose; those of Swift are the storage driver's."""

import hmac
import ipaddress
import os
import re
from dataclasses import dataclass, field, fields


def _flag(text):
    known = {'true': True, 'yes': True, 'on': True, '1': True, 'false': False, 'no': False, 'off': False, '0': False}
    if text.lower() not in known:
        raise ValueError('should be true or false')
    return known[text.lower()]


def _number(least, most=None):
    def parse(text):
        if not re.fullmatch('[0-9]{1,15}', text) or int(text) < least or most is not None and int(text) > most:
            raise ValueError('should be a whole number ' + (f'of at least {least}' if most is None else f'from {least} to {most}'))
        return int(text)

    return parse


def _networks(text):
    try:
        return tuple(ipaddress.ip_network(word) for word in text.replace(',', ' ').split())
    except ValueError as error:
        raise ValueError(f'should be addresses or networks, with commas between them (10.0.0.5, 192.168.0.0/24): {error}')


def _setting(default, meaning, parse=str, environment=None, secret=False):
    return field(
        default=default, repr=not secret, metadata={'meaning': meaning, 'parse': parse, 'environment': environment, 'secret': secret}
    )


@dataclass(frozen=True)
class Config:
    """What the registry accepts, and how it goes about it."""

    sparse_manifests: bool = _setting(False, 'accept manifests that name blobs or manifests which are not there', _flag)
    manifest_limit: int = _setting(4 * 1024**2, 'bytes a manifest may have', _number(1024))
    manifest_cache: int = _setting(16 * 1024**2, 'bytes of manifests to remember, in each process', _number(0))
    upload_secret: str = _setting(
        '',
        'what the keys that sign uploads and logins are made of; unset: of the Swift credentials. The same on all instances',
        secret=True,
    )
    upload_lifetime: int = _setting(24 * 3600, 'seconds after which an upload has to be finished', _number(60))
    chunk_min_length: int = _setting(1024**2, 'bytes that chunks of an upload should have at least; smaller ones work, slower', _number(0))
    storage_threads: int = _setting(16, 'requests to Swift beside those of the threads that serve, in each process', _number(1))
    retry_after: int = _setting(5, 'seconds after which a client is to come again when Swift is in trouble', _number(1))
    page: int = _setting(1000, 'most names in a page of the catalog', _number(1))


@dataclass(frozen=True)
class Access:
    """Who may do what. Options of `serve`, too."""

    htpasswd: str = _setting(
        '',
        'file of users and their passwords, as `registry-swift htpasswd` or `htpasswd -B` write it '
        '(bcrypt); re-read when it changes. Unset: everybody may do everything',
    )
    anonymous_pull: bool = _setting(False, 'let everybody pull, and only users push, delete and list repositories', _flag)
    login_failures: int = _setting(
        10,
        'wrong passwords that an address may send for a user, and ten times as many for all, '
        'before it has to wait; they are forgotten within five minutes',
        _number(1),
    )
    trusted_proxies: tuple = _setting(
        (),
        'addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are believed; name all that clients come through',
        _networks,
    )


@dataclass(frozen=True)
class ServerSettings:
    """How to serve. Options of `serve`, too; names in the environment are those of the v1 registry, where it had one."""

    host: str = _setting('127.0.0.1', 'address to listen on; 0.0.0.0 is all of IPv4, :: is all')
    port: int = _setting(5000, 'port to listen on', _number(0, 65535))
    workers: int = _setting(4, 'processes', _number(1, 1000), 'GUNICORN_WORKERS')
    threads: int = _setting(16, 'requests that each process serves at a time', _number(1, 1000), 'GUNICORN_THREADS')
    tls_certificate: str = _setting('', 'file of the certificate and its chain (PEM): serve HTTPS; re-read when it changes')
    tls_key: str = _setting('', "file of the certificate's key (PEM), if it is not in the same file")
    graceful_timeout: int = _setting(
        600, 'seconds that running requests have to finish after SIGTERM', _number(0, 86400), 'GUNICORN_GRACEFUL_TIMEOUT'
    )

    def url(self, host=None):
        """Of the server, at the address it listens on, or at another one."""
        host = host or self.host
        host = f'[{host}]' if ':' in host else host
        return f'{"https" if self.tls_certificate else "http"}://{host}:{self.port}'


OPTIONS = (ServerSettings, Access)  # what may stand on the command line, too


def environment_name(setting):
    """The variable that a field of one of these classes is read from."""
    return setting.metadata['environment'] or 'REGISTRY_' + setting.name.upper()


def option_name(setting):
    return '--' + setting.name.replace('_', '-')


def read(kind, environ=None, given=None):
    """The settings of one of these classes: from the command line, then the environment, then their defaults.

    :param given: {name: text} of the command line
    :raises ValueError: naming the setting that is wrong, and never a secret's value
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


def _called(kind, setting):
    name = environment_name(setting)
    return f'{option_name(setting)} ({name})' if kind in OPTIONS else name


def _from_environment(setting, environ):
    name = environment_name(setting)
    text = environ.get(name, '')
    if not text and setting.metadata['secret'] and environ.get(name + '_FILE'):
        return _content(environ[name + '_FILE'], name + '_FILE')
    # Docker and Kubernetes put an address into REGISTRY_PORT if another container, or service, is named `registry`.
    return '' if name == 'REGISTRY_PORT' and text.startswith('tcp://') else text


def _content(path, name):
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().rstrip('\r\n')
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{name}: {path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')


def signing_key(config, storage, purpose):
    """32 bytes to sign something with, on which all instances with the same secret, or credentials and container, agree."""
    if config.upload_secret:
        return hmac.digest(config.upload_secret.encode(), purpose, 'sha256')
    return storage.derive_key(purpose)
