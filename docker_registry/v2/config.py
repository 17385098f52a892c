"""Settings of the registry itself; those of Swift are the storage driver's."""

import hmac
import os
from dataclasses import dataclass, field, fields


def _flag(text):
    known = {'true': True, 'yes': True, 'on': True, '1': True, 'false': False, 'no': False, 'off': False, '0': False}
    if text.lower() not in known:
        raise ValueError('should be true or false')
    return known[text.lower()]


def _count(least):
    def parse(text):
        if not text.isdigit() or int(text) < least:
            raise ValueError(f'should be a whole number of at least {least}')
        return int(text)
    return parse


def _setting(default, meaning, parse=str, secret=False):
    return field(default=default, repr=not secret, metadata={'meaning': meaning, 'parse': parse})


@dataclass(frozen=True)
class Config:
    """Every setting there is. The environment name of one is its own in capitals, after `REGISTRY_`."""

    sparse_manifests: bool = _setting(False, 'accept manifests that name blobs or manifests which are not there', _flag)
    manifest_limit: int = _setting(4 * 1024 ** 2, 'bytes a manifest may have', _count(1024))
    manifest_cache: int = _setting(16 * 1024 ** 2, 'bytes of manifests to remember, in each process', _count(0))
    upload_secret: str = _setting(
        '', 'what the key that signs uploads is made of; unset: of the Swift credentials. The same on all instances',
        secret=True)
    upload_lifetime: int = _setting(24 * 3600, 'seconds after which an upload has to be finished', _count(60))
    chunk_min_length: int = _setting(1024 ** 2, 'bytes that chunks of an upload should have at least; smaller ones work, '
                                                'slower', _count(0))
    storage_threads: int = _setting(16, 'requests to Swift beside those of the threads that serve, in each process',
                                    _count(1))
    retry_after: int = _setting(5, 'seconds after which a client is to come again when Swift is in trouble', _count(1))
    page: int = _setting(1000, 'most names in a page of the catalog', _count(1))


def from_environment(environ=None):
    """A `Config`; :raises ValueError: naming the setting that is wrong, and never a secret's value"""
    environ = os.environ if environ is None else environ
    values = {}
    for setting in fields(Config):
        name = 'REGISTRY_' + setting.name.upper()
        if environ.get(name):
            try:
                values[setting.name] = setting.metadata['parse'](environ[name])
            except ValueError as error:
                raise ValueError(f'{name} {error}') from None
    return Config(**values)


def upload_key(config, storage):
    """32 bytes to sign uploads with, on which all instances with the same secret, or credentials and container, agree."""
    purpose = b'uploads of the registry v2 API'
    if config.upload_secret:
        return hmac.digest(config.upload_secret.encode(), purpose, 'sha256')
    return storage.derive_key(purpose)
