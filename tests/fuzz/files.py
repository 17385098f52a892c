"""Targets: files and variables that an operator writes."""

import atexit
import functools
import logging
import os
import tempfile

import bcrypt

from docker_registry.core.exceptions import ConfigError
from docker_registry.drivers import swift
from docker_registry.v2.access import htpasswd, rule_lines
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.access.rulebook import Rulebook
from docker_registry.v2.access.watched import Broken
from docker_registry.v2.http import listeners
from docker_registry.v2.operations import retention_rules
from docker_registry.v2.settings import config, storage
from docker_registry.v2.settings.notifications import Notifications
from signed import PASSWORD_HASH
from target import target

logging.getLogger('docker_registry').addHandler(logging.NullHandler())
logging.getLogger('docker_registry').propagate = False


@functools.cache
def path_of_file():
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    atexit.register(os.unlink, path)
    return path


def written(data):
    path = path_of_file()
    with open(path, 'wb') as file:
        file.write(data)
    return path


@target(
    b'alice:' + PASSWORD_HASH + b'\n# a comment\n\nbob:' + PASSWORD_HASH.replace(b'2y', b'2b'),
    b'alice:' + PASSWORD_HASH.replace(b'$04', b'$31'),
    b'alice:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=',
    b'a b:' + PASSWORD_HASH + b'\r\n',
    b'alice:' + PASSWORD_HASH + b'\nalice:' + PASSWORD_HASH,
    words=(PASSWORD_HASH, b':$2y$04$'),
)
def htpasswd_file(data):
    """A file is refused, or bcrypt can compute each of its hashes and each name can be logged."""
    try:
        hashes = htpasswd.read(written(data))
    except htpasswd.Broken as error:
        assert PASSWORD_HASH.decode()[7:] not in str(error)
        return
    for name, stored in hashes.items():
        assert name.decode().isprintable() and b':' not in name
        assert htpasswd.LEAST_COST <= htpasswd.cost_of(stored) <= htpasswd.MOST_COST
        bcrypt.checkpw(b'password', stored[:4] + b'04' + stored[6:])  # with the lowest cost, to save time


@target(
    b'# a listener\nAuthorization: Bearer one\n\nX-Other:\t two words \r\n',
    b'A b: c',
    b'Content-Type: a',
    b'A: \xe4',
    words=(b': ', b'Host'),
)
def header_file(data):
    """A file is refused, or requests can send each of its fields."""
    try:
        fields = listeners.read_headers(written(data))
    except Broken as error:
        assert '\n' not in str(error)
        return
    for name, value in fields.items():
        assert name.isascii() and value.isascii() and value.strip() == value != '' and not set('\r\n\0') & set(name + value)
        assert name.lower() not in listeners.OURS


def variables(data):
    """Return {name: value} of lines with `name=value`."""
    pairs = [line.partition('=')[::2] for line in data.decode(errors='surrogateescape').split('\n')]
    return {name: value for name, value in pairs if name and '\0' not in name + value}


KINDS = (config.Config, Notifications, *config.OPTIONS)
NAMES = [config.environment_name(setting).encode() for kind in KINDS for setting in config.fields(kind)]


@target(
    b'REGISTRY_MANIFEST_LIMIT=1024\nREGISTRY_UPLOAD_SECRET=a secret of some length\nREGISTRY_SPARSE_MANIFESTS=on',
    b'REGISTRY_TRUSTED_PROXIES=10.0.0.0/8, ::1\nREGISTRY_PORT=tcp://10.0.0.1:5000',
    b'GUNICORN_WORKERS=' + b'9' * 5000,
    b'REGISTRY_NOTIFICATIONS_URL=http://a:b@[::1]:80/x?y https://c\nREGISTRY_NOTIFICATIONS_IGNORE_MEDIA_TYPES=a/b,c/d+json',
    b'REGISTRY_HTPASSWD_FILE=/\nREGISTRY_UPLOAD_SECRET_FILE=/nowhere',
    words=tuple(name + b'=' for name in NAMES),
)
def registry_settings(data):
    """Wrong settings raise an error of one line that names the variable, and never shows the secret."""
    environ = variables(data)
    for kind in KINDS:
        try:
            config.read(kind, environ)
        except ValueError as error:
            assert any(name.decode() in str(error) for name in NAMES)
            secret = environ.get('REGISTRY_UPLOAD_SECRET', '')
            others = [value for name, value in environ.items() if name != 'REGISTRY_UPLOAD_SECRET']
            assert len(secret) < 20 or secret not in str(error) or any(secret in value for value in others)


V1 = b"""\
common: &common
    loglevel: info
swift: &swift
    <<: *common
    storage: swift
    storage_path: registry
    swift_authurl: _env:OS_AUTH_URL:http://127.0.0.1/auth/v1.0
    swift_container: _env:OS_CONTAINER
    swift_user: 'account:user'
    swift_password: 0123
    swift_retries: 3
"""


@target(
    V1,
    V1 + b'    swift_segment_size: 16MiB\n    swift_paswort: typo\n',
    b'swift: {storage: swift, swift_authurl: 5, swift_container: [a], swift_user: {a: b}, swift_password: ~}',
    b'swift: [',
    b'swift: {storage: swift, swift_retries: !!int x}',
    b'!!timestamp swift: {storage: swift}',
    b'swift: {storage: swift, swift_user: !!binary u, swift_password: !!bool p, swift_container: !!omap c}',
    b'swift: !!python/object:os.system {}',
    b'a: &a [*a]\nswift: *a',
    b'{' * 3000,
    b'? [a, b]\n: c\n',
    b'swift: {storage: swift, swift_authurl: "http://[::1", swift_user: u, swift_password: p, swift_container: c}',
    words=(
        b'!!int ',
        b'!!float ',
        b'!!timestamp ',
        b'!!binary ',
        b'!!set ',
        b'<<: *',
        b'&a ',
        b'_env:',
        *(s.key.encode() + b': ' for s in swift.SETTINGS),
    ),
    most_seconds=10,  # PyYAML takes long, and clients cannot write this file
)
def v1_configuration(data):
    """A configuration file of the v1 registry is refused with one error, or gives settings for the driver."""
    try:
        section = storage.read({'DOCKER_REGISTRY_CONFIG': written(data)})
    except ConfigError as error:
        assert '\n' not in str(error)
        return
    driver_settings(section, {})


@target(
    b'rules:\n- repositories: [team/*, "**"]\n  tags: v*\n  keep:\n    newest: 10\n    younger-than: 3d\n    matching: a\n  untagged: 7d\n',
    b'rules: [{repositories: a, keep: none}, {repositories: b, keep: all, orphans: 0}]',
    b'rules: &a [*a]',
    b'rules:\n- \0',
    b'rules: [{repositories: a, keep: {}}]',
    b'{' * 3000,
    words=(
        b'repositories: ',
        b'tags: ',
        b'keep: ',
        b'newest: ',
        b'younger-than: ',
        b'matching: ',
        b'untagged: ',
        b'orphans: ',
        b'&a ',
        b'*a',
    ),
    most_seconds=10,  # PyYAML takes long, and clients cannot write this file
)
def retention_file(data):
    """A file of rules is refused with one line that names it, or each rule says what to keep."""
    try:
        rules = retention_rules.read(written(data)).of('a')
    except retention_rules.Broken as error:
        assert '\n' not in str(error) and path_of_file() in str(error)
        return
    for rule in rules:
        assert rule.repositories and rule.tags and not (rule.keeps_all and rule.newest)
        assert rule.newest >= 0 and (rule.younger_than is None or rule.younger_than > 0)


@target(
    b'group a = alice keystone:p%20q@d/r\nallow users,@a pull,push x/** !x/y # why\r\ndeny everybody delete **:v*\nexpires bob 2027-01-31',
    b'allow everybody pull **\nallow users push {user}/**\ndeny alice pull *a*/?',
    b'allow swift-user:u@AUTH_a push **a*b:*c !**:v',
    b'allow alice, bob pull a\nallow @b pull \xc2\xa0\nexpires a 2027-W05-1\ngroup b = b',
    b'\xef\xbb\xbfallow everybody pull **',
    words=(
        b'allow ',
        b'deny ',
        b'group ',
        b'expires ',
        b' = ',
        b'everybody ',
        b'users',
        b'@',
        b'keystone:',
        b'%2F',
        b'{user}',
        b' !',
        b':v*',
        b'**',
    ),
    most_seconds=1,  # clients cannot write this file
)
def rules_file(data):
    """A file of rules is refused with lines that say where, or answers every question. Who may push may pull."""
    try:
        statements = rule_lines.load(written(data))
    except Broken as error:
        assert '\n' not in str(error) and path_of_file() in str(error)
        return
    for number, why in statements.errors:
        assert 1 <= number <= data.count(b'\n') + 1 and '\n' not in why and len(why) < 300
    if statements.errors:
        return
    rules = Rulebook(statements)
    for identity in (ANONYMOUS, Identity('alice', frozenset(['alice']), 'htpasswd')):
        visible = rules.visible(identity)
        for repository, tag in (('x/y', 'v1'), ('alice/a', None), ('b', 'latest')):
            rights = rules.rights(identity, repository)
            for action in ('push', 'delete', 'overwrite'):
                assert rights.may('pull') or not rights.may(action, tag)
                assert rights.has_tag_rules(action) or rights.may(action, tag) == rights.may(action, 'other')
            assert visible.sees(repository) == rights.may('pull')
            assert not rights.may('pull') or visible.after(f'{repository}/_layers') == f'{repository}/_layers'


@target(
    b'OS_AUTH_URL=http://127.0.0.1/auth/v1.0\nOS_USERNAME=a:b\nOS_PASSWORD=a secret of some length\nOS_CONTAINER=images',
    b'OS_AUTH_URL=https://keystone/v3\nOS_USERNAME=a\nOS_PASSWORD_FILE=/nowhere\nOS_CONTAINER=images\nOS_PROJECT_NAME=p',
    b'OS_AUTH_URL=http://[::1\nOS_USERNAME=a\nOS_PASSWORD=a secret of some length\nOS_CONTAINER=a/b\nSWIFT_SEGMENT_SIZE=1.5GiB',
    words=tuple(name.encode() + b'=' for setting in swift.SETTINGS for name in setting.environment),
)
def swift_settings(data):
    driver_settings({}, variables(data))


def driver_settings(section, environ):
    try:
        settings = swift.Settings(section, environ)
    except ConfigError as error:
        text = str(error)
    else:
        text = repr(settings)
    secrets = [
        value
        for setting in swift.SETTINGS
        if setting.secret
        for value in [section.get(setting.key), *map(environ.get, setting.environment)]
    ]
    shown = [str(value) for value in (*section.values(), *environ.values()) if value not in secrets]
    for secret in secrets:
        if isinstance(secret, str) and len(secret) >= 20 and not any(secret in value for value in shown):
            assert secret not in text
