# -*- coding: utf-8 -*-
# Licensed under the Apache License, Version 2.0: see LICENSE.
"""A storage driver for docker-registry that keeps all its state in one OpenStack Swift container.

The sections of this file, from top to bottom. Start reading at the end, with `Storage`:

    Settings        the table `SETTINGS`, and `Settings`, which reads and checks the values
    Errors          how exceptions are made, and which failures are worth a retry
    Connections     `_Pool`, a bounded pool of connections, and `_Response`, one response of Swift
    Bodies to send  `_Blocks`, the bytes of a request; `_Segments`, which reads them from a file, and the `_Memory` for them
    Login           `_Login`, one token for all connections, by v1 auth or Keystone
    Requests        `_Swift`, which sends requests: it retries, renews the token, and turns statuses into errors
    Signed URLs     `_TempUrls`, which signs them, and sees to it that Swift accepts them
    Reading         `Stream`, the bytes of one object; it resumes after a broken connection
    Cache           `_Cache`, the Redis LRU cache of the v1 registry
    The driver      `Storage`, the interface that a registry uses
    Path helpers    a repair of docker-registry-core's own helpers on Python 3

The driver raises these errors, all from `docker_registry.core.exceptions`:

    FileNotFoundError     Swift returned 404 for the object; no other failure raises this
    WrongArgumentsError   no object can have this path or range, or the method does not take this kind of object
    ConfigError           a setting is missing, wrong, or refused by Swift; the text names it, and never a secret
    UnreachableError      the connection failed, Swift did not respond in time, or the pool had no free connection
    BrokenError           Swift's response was an error or wrong, after all retries; has .status, .trans_id, .retry_after

It runs on Python 2.7 (for the v1 registry) and on Python 3.10 and newer.
"""

import calendar
import collections
import copy
import difflib
import email.utils
import functools
import hashlib
import hmac
import io
import json
import logging
import os
import random
import re
import socket
import ssl
import sys
import threading
import time
import uuid

import requests
from swiftclient import client as swiftclient

from docker_registry.core import driver, exceptions

try:
    from http.client import HTTPException
    from urllib.parse import quote, quote_plus, unquote, urlencode, urlsplit
except ImportError:  # Python 2
    from urllib import quote, quote_plus, unquote, urlencode

    from httplib import HTTPException
    from urlparse import urlsplit

try:
    from contextvars import copy_context
except ImportError:  # Python 2
    copy_context = None

try:
    # docker-registry-core brings redis, but the version that it pins cannot be imported on Python 3.12 and newer.
    from redis.exceptions import RedisError, WatchError

    from docker_registry.core import lru
except Exception:  # an old redis can fail in any way on a new Python; the driver then runs without a cache
    lru = None

__all__ = ['LargeObject', 'Part', 'SETTINGS', 'Settings', 'Stat', 'Storage', 'Stream', 'look_up', 'parsed']
__version__ = '0.3.0'
__url__ = 'https://pypi.org/project/docker-registry-driver-swift/'

logger = logging.getLogger(__name__)

PYTHON2 = sys.version_info[0] == 2
text_type = type(u'')

MiB = 1024 * 1024
# The limits of swift_segment_size. Swift itself allows segments of 1 byte to 5 GiB, but it limits the rate of reads of
# segments below 1 MiB (https://docs.openstack.org/swift/latest/middleware.html#static-large-objects,
# rate_limit_under_size).
SMALLEST_SEGMENT, LARGEST_SEGMENT = MiB, 5 * 1024 * MiB
# A manifest names at most 1000 segments (max_manifest_segments, the same page). So segments double, up to 128 MiB, each
# time that the object has as many bytes as 128 of them.
MOST_SEGMENTS, SEGMENTS_BEFORE_DOUBLING, LARGEST_GROWN = 1000, 128, 128 * MiB
# Segments that a process sends at a time. Among those of 40 uploads, Swift would serve a small request of somebody else late.
SEGMENTS_AT_A_TIME = 4
# Segments of one writer in memory. While there are two, it reads no more.
SEGMENTS_HELD = 2
# Other segments may have to be shorter, to save memory. But an object has at least 32 times the bytes of such a segment.
SHARE_OF_STORED = 32
ETAG_OF_NOTHING = 'd41d8cd98f00b204e9800998ecf8427e'
LONGEST_EXTRA = 32  # characters of an X-Trans-Id-Extra that Swift's catch_errors takes into its X-Trans-Id
LONGEST_QUOTED = 100  # characters of a wrong value in a message
LONGEST_NAME = 1024  # bytes of UTF-8, Swift's max_object_name_length
READ_SIZE = 256 * 1024  # bytes that one read of a body asks for
# Socket buffers take a body of this size at once. A larger one may have to wait for Swift while it is being sent.
SENT_AT_ONCE = 64 * 1024
# To hash a larger body takes longer than to wait for another thread that does.
HASHED_AT_ONCE = 256 * 1024
HASHING_THREADS = 4
# The processes of a server would wait equally long if they shared the numbers of the one that they were forked from, and retry at once.
JITTER = random.SystemRandom()
RENEWED_AHEAD, RENEWAL_PAUSE = 60, 10  # seconds: renew a token this long before it expires; wait between attempts
# Ceph does not say when a token expires: after 24 hours, unless the site says otherwise. A login an hour costs nothing.
RENEWED_AFTER = 3600  # seconds
# Keystone's timestamps count whole seconds. A revocation therefore also revokes a token issued in the same second.
SAME_SECOND = 1.1
CONTAINER_CHECK_SECONDS = 60  # after a 404, the driver checks that the container exists, at most this often
# Somebody may replace the TempURL keys of Swift at any time, so the driver tries this often whether Swift accepts what it signs.
TEMP_URL_CHECK_SECONDS = 60
# Its servers may go on for so long with what they remember of the keys (recheck_container_existence).
TEMP_URL_SETTLED_SECONDS = 60
NO_OBJECT = '_no_object'  # what it tries it with: a URL that opens nothing
CEPH_HEADER = 'X-Container-Bytes-Used-Actual'  # Ceph returns it with a container, and Swift does not
SEGMENTS = '_segments'  # the folder of all segments, below the root
HELD = '_held'  # below this folder of the container, each object says that the one with the rest of its name must stay: see `hold`
METADATA = 'X-Object-Meta-'  # begins the headers that Swift stores with an object
# On each large object: its segments, as "<upload id> <count> <first number>" for each run of them, joined by commas. The
# first number is left out if it is 0. Ceph does not return manifests. If it would be longer than a header may be, there
# is SEGMENT_LIST_HEADER on Ceph instead, and nothing on Swift. It has the id of a list in an object of its own.
SEGMENTS_HEADER, SEGMENT_LIST_HEADER = METADATA + 'Segments', METADATA + 'Segment-List'
LONGEST_METADATA = 256  # bytes of one value, Swift's max_meta_value_length
MOST_NAMED = 10000  # segments that SEGMENTS_HEADER may name; more is not ours: a manifest names at most MOST_SEGMENTS


# --- Settings -------------------------------------------------------------------------------------------------


def _text(value):
    return value


def _url(value):
    try:
        parts = urlsplit(value)
        good = parts.scheme in ('http', 'https') and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError('must be an http or https URL without a password')
    return value


def _path(value):
    if not os.path.exists(value):
        raise ValueError('does not exist')
    return value


def _flag(value):
    known = {'true': True, 'yes': True, 'on': True, '1': True, 'false': False, 'no': False, 'off': False, '0': False}
    if value.lower() not in known:
        raise ValueError('must be true or false')
    return known[value.lower()]


def _one_of(*words):
    def parse(value):
        if value.lower() not in words:
            raise ValueError('must be one of ' + ', '.join(words))
        return value.lower()
    return parse


def _number(least, kind=int):
    def parse(value):
        try:
            number = kind(value)
        except ValueError:
            raise ValueError('must be a number')
        if not least <= number < float('inf'):
            raise ValueError('must be a number of at least %s' % least)
        return number
    return parse


def _size(value):
    match = re.match(r'(\d+)\s*([kmg]?)(i?b)?$', value.lower())
    if not match:
        raise ValueError('must be a size such as 16777216 or 16MiB')
    size = int(match.group(1)) * 1024 ** ' kmg'.index(match.group(2) or ' ')
    if not SMALLEST_SEGMENT <= size <= LARGEST_SEGMENT:
        raise ValueError('must be between 1 MiB and 5 GiB')
    return size


def _auth_version(value):
    """1, 2 or 3, from '1', '1.0', 'v1', 'v3', '2.0', ..."""
    match = re.match(r'v?([123])(\.\d+)?$', value.lower())
    if not match:
        raise ValueError('must be 1, 2 or 3')
    return int(match.group(1))


Setting = collections.namedtuple('Setting', 'key environment default unit meaning parse secret aliases')


def _setting(key, environment, default, meaning, parse=_text, unit='', secret=False, aliases=()):
    names = tuple(environment.split()) or (key.upper(),)
    return Setting(key, names, default, unit, meaning, parse, secret, tuple(aliases))


#: All settings. `Settings` reads this table, and a test compares docs/settings.rst with it.
SETTINGS = (
    _setting('swift_authurl', 'OS_AUTH_URL ST_AUTH', None, 'URL of the login service (v1 auth or Keystone)', _url),
    _setting('swift_auth_version', 'OS_AUTH_VERSION OS_IDENTITY_API_VERSION ST_AUTH_VERSION', None,
             '1 (SoftLayer, TempAuth), 2 or 3 (Keystone). Default: the version at the end of the URL; else 3 with an '
             'application credential, else 2', _auth_version),
    _setting('swift_user', 'OS_USERNAME ST_USER', None, 'user name; for v1 auth the whole `account:user`'),
    _setting('swift_user_id', 'OS_USER_ID', None, 'user id, instead of the user name (v3)'),
    _setting('swift_password', 'OS_PASSWORD ST_KEY', None, 'password; for v1 auth the API key', secret=True),
    _setting('swift_tenant_name', 'OS_PROJECT_NAME OS_TENANT_NAME', None, 'name of the project (tenant)',
             aliases=['swift_project_name']),
    _setting('swift_tenant_id', 'OS_PROJECT_ID OS_TENANT_ID', None, 'id of the project (tenant)',
             aliases=['swift_project_id']),
    _setting('swift_user_domain_name', 'OS_USER_DOMAIN_NAME', None, "name of the user's domain (v3)"),
    _setting('swift_user_domain_id', 'OS_USER_DOMAIN_ID', None,
             "id of the user's domain (v3); `default` if you set neither the id nor the name"),
    _setting('swift_project_domain_name', 'OS_PROJECT_DOMAIN_NAME', None, "name of the project's domain (v3)"),
    _setting('swift_project_domain_id', 'OS_PROJECT_DOMAIN_ID', None,
             "id of the project's domain (v3); `default` if you set neither the id nor the name"),
    _setting('swift_application_credential_id', 'OS_APPLICATION_CREDENTIAL_ID', None,
             'id of an application credential (v3)'),
    _setting('swift_application_credential_name', 'OS_APPLICATION_CREDENTIAL_NAME', None,
             'name of an application credential (v3); you must also set the user'),
    _setting('swift_application_credential_secret', 'OS_APPLICATION_CREDENTIAL_SECRET', None,
             'secret of the application credential', secret=True),
    _setting('swift_trust_id', 'OS_TRUST_ID', None, 'id of a trust to act under, instead of a project (v3)'),
    _setting('swift_auth_token', 'OS_AUTH_TOKEN', None,
             'an existing token, instead of a login; needs swift_object_storage_url; the driver cannot renew it',
             secret=True),
    _setting('swift_region_name', 'OS_REGION_NAME', None, 'region of the Swift to use (v2, v3)'),
    _setting('swift_endpoint_type', 'OS_ENDPOINT_TYPE OS_INTERFACE', 'public',
             'endpoint to use from the catalog: public, internal or admin (v2, v3)',
             lambda value: _one_of('public', 'internal', 'admin')(re.sub('url$', '', value.lower()))),
    _setting('swift_service_type', 'OS_SERVICE_TYPE', 'object-store', 'service type of Swift in the catalog (v2, v3)'),
    _setting('swift_object_storage_url', 'OS_STORAGE_URL', None,
             'storage URL to use instead of the one that the login returns', _url),
    _setting('swift_public_url', '', None,
             'storage URL to redirect clients to; set it if clients need another URL than the registry', _url),
    _setting('swift_cacert', 'OS_CACERT', None, 'file of CA certificates to trust instead of the default ones', _path),
    _setting('swift_insecure', 'SWIFTCLIENT_INSECURE', False,
             'the driver verifies TLS certificates; `true` turns this off', _flag),
    _setting('swift_cert', 'OS_CERT', None, 'file of the client certificate', _path),
    _setting('swift_cert_key', 'OS_KEY', None, 'file of the key of the client certificate', _path),
    _setting('swift_container', 'OS_CONTAINER', None, 'container that stores the registry'),
    _setting('swift_create_container', '', True,
             'the driver creates the container if it is missing; `false`: it fails instead', _flag),
    _setting('swift_storage_policy', '', None, 'storage policy of the container, if the driver creates it'),
    _setting('storage_path', 'STORAGE_PATH', '', 'root: the name of every object begins with this path'),
    _setting('swift_segment_size', '', 16 * MiB,
             'size of the segments of static large objects, which grow after the first 128; each writer holds two segments '
             'in memory', _size, 'bytes'),
    _setting('swift_write_memory', '', 256 * MiB,
             'memory for the segments of all writers of a process, at least four segments. If it gets short, segments become '
             'shorter, but not below 1 MiB', _size, 'bytes'),
    _setting('swift_connect_timeout', '', 10.0, 'time to wait for a connection', _number(0.001, float), 'seconds'),
    _setting('swift_read_timeout', '', 120.0,
             "time to wait for a response; keep it above 60 seconds, Swift's rate limit pause",
             _number(0.001, float), 'seconds'),
    _setting('swift_retries', '', 5, 'how often the driver retries a failed request', _number(0), 'times'),
    _setting('swift_retry_max_wait', '', 30.0,
             'longest pause before a retry; if Retry-After asks for more, the request fails at once',
             _number(0, float), 'seconds'),
    _setting('swift_pool_size', '', 32, 'maximum number of connections to Swift, in each process', _number(1)),
    _setting('swift_pool_timeout', '', 60.0, 'time to wait for a free connection of the pool',
             _number(0.001, float), 'seconds'),
    _setting('swift_newest', '', 'mutable',
             'when to ask all replicas for the newest version (X-Newest): `mutable`, for names that can change; '
             '`always`; or `never`', _one_of('mutable', 'always', 'never')),
    _setting('swift_temp_url_key', '', None, 'TempURL key of the container or the account, to sign redirects; on Ceph, of the account',
             secret=True),
    _setting('swift_temp_url_old_key', '', None,
             'TempURL key that was used before; while you change the key, the driver leaves this one in Swift', secret=True),
    _setting('swift_temp_url_set_key', '', 'no',
             '`no`: Swift already has the key; `container` or `account`: the driver sets it there if Swift refuses what it signs',
             _one_of('no', 'container', 'account')),
    _setting('swift_temp_url_ttl', '', 1200, 'time for which a redirect is valid', _number(1), 'seconds'),
    _setting('swift_temp_url_digest', '', 'auto',
             'digest that signs redirects: `auto`, the best one that /info lists; or sha1, sha256, sha512',
             _one_of('auto', 'sha1', 'sha256', 'sha512')),
)


class Settings(object):
    """All settings as attributes, named as in `SETTINGS` but without `swift_`.

    :param config: the registry's configuration: a dict, or an object with attributes that are None if unset
    :param environ: the environment, for settings that the configuration does not have
    :raises ConfigError: a setting is missing or wrong; the text names it and never shows a secret
    """

    def __init__(self, config=None, environ=None):
        environ = os.environ if environ is None else environ
        for setting in SETTINGS:
            value, origin = look_up(setting, config, environ)
            setattr(self, setting.key.replace('swift_', '', 1), parsed(setting, value, origin))
        for key in _unknown_keys(config):
            close = difflib.get_close_matches(key, [setting.key for setting in SETTINGS], 1)
            logger.warning('unknown setting %s is ignored%s', key, '; did you mean %s?' % close[0] if close else '')
        self._complete()

    def __repr__(self):
        secret = set(setting.key.replace('swift_', '', 1) for setting in SETTINGS if setting.secret)
        return 'Settings(%s)' % ', '.join(
            '%s=%s' % (name, '***' if name in secret else repr(value))
            for name, value in sorted(vars(self).items()) if value is not None)

    def _complete(self):
        """Work out the settings that depend on others. :raises ConfigError: a required setting is missing"""
        self._need(self.container, 'swift_container')
        if '/' in self.container or self.container in ('.', '..') or len(self.container) > 256:
            raise _config_error('swift_container (OS_CONTAINER) is not a valid container name: %s' % self.container)
        if self.auth_token:
            return self._need(self.object_storage_url, 'swift_object_storage_url')
        self._need(self.authurl, 'swift_authurl')
        application = self.application_credential_id or self.application_credential_name
        self.auth_version = self.auth_version or _version_of(self.authurl) or (3 if application else 2)
        if application and self.auth_version == 3:
            self._need(self.application_credential_secret, 'swift_application_credential_secret')
            return self._need(self.application_credential_id or self.user or self.user_id, 'swift_user')
        self._need(self.user or self.user_id and self.auth_version == 3, 'swift_user')
        self._need(self.password, 'swift_password')
        if self.auth_version == 2 and self.tenant_name is None and self.tenant_id is None and ':' in self.user:
            self.tenant_name, self.user = self.user.split(':', 1)  # as the `swift` command does
        if self.auth_version > 1:
            self._need(self.tenant_name or self.tenant_id or self.trust_id, 'swift_tenant_name')

    def _need(self, value, key):
        if not value:
            names = next(setting.environment for setting in SETTINGS if setting.key == key)
            raise _config_error('%s (%s) is not set. Set it in the configuration file or in the environment'
                                % (key, ', '.join(names)))


def look_up(setting, config, environ):
    """Return (text, the key or variable that it comes from), or (None, None) if a setting of `SETTINGS` is not set.

    The configuration wins over the environment.

    :raises ConfigError: the file of a secret cannot be read
    """
    keys = (setting.key,) + setting.aliases
    for read, names, suffix in ((functools.partial(_configured, config, environ), keys, '_file'),
                                (environ.get, setting.environment, '_FILE')):
        for name in names:
            value = read(name)
            if value is not None and value != '':
                return _as_text(value), name
            path = read(name + suffix) if setting.secret else None
            if path:
                return _file_content(path, name + suffix), name + suffix
    return None, None


def _configured(config, environ, key):
    """The value of one key. `_env:NAME:default` is looked up in the environment and stays plain text.

    The registry itself reads `_env:` through YAML, which turns the password 0123 into 83.
    """
    raw = getattr(config, '_config', config)
    value = raw.get(key) if isinstance(raw, dict) else getattr(config, key, None)
    if isinstance(value, (str, text_type)) and value.startswith('_env:'):
        name, _, default = value[len('_env:'):].partition(':')
        return environ.get(name) or default
    return value


def _unknown_keys(config):
    raw = getattr(config, '_config', config)
    keys = raw if isinstance(raw, dict) else vars(raw) if hasattr(raw, '__dict__') else ()
    known = set()
    for setting in SETTINGS:
        for key in (setting.key,) + setting.aliases:
            known.update([key, key + '_file'] if setting.secret else [key])
    return sorted(key for key in keys if str(key).startswith('swift_') and key not in known)


def _as_text(value):
    if isinstance(value, bytes) and not PYTHON2:
        return value.decode('utf-8')
    return value.encode('utf-8') if PYTHON2 and isinstance(value, text_type) else str(value)


def _file_content(path, name):
    try:
        with io.open(path, encoding='utf-8') as file:
            return _as_text(file.read().strip())
    except (IOError, OSError, UnicodeDecodeError) as error:
        raise _config_error('the file that %s names cannot be read: %s' % (
            name, getattr(error, 'strerror', None) or 'it is not UTF-8'))


def parsed(setting, value, origin):
    """Return the value of a setting from what `look_up` returns. :raises ConfigError: it is wrong; the text shows no secret"""
    if value is None:
        return setting.default
    try:
        if re.search(r'[\0-\x1f\x7f]|^ | $', value):  # headers cannot hold these, and HTTP libraries would show the value
            raise ValueError('must not contain a line break or control character, or begin or end with a blank')
        return setting.parse(value)
    except ValueError as error:
        shown = '' if setting.secret or re.search('[@?#]', value) else ' %r' % value[:LONGEST_QUOTED]
        raise _config_error('%s%s (from %s) %s' % (setting.key, shown, origin, error))


def _version_of(url):
    """The auth version at the end of a URL (`/v1.0`, `/v2.0`, `/v3`), or None."""
    match = re.search(r'/v([123])(\.\d+)?/*$', urlsplit(url).path)
    return match and int(match.group(1))


# --- Errors ---------------------------------------------------------------------------------------------------


def _error(kind, text, status=None, trans_id=None, retry_after=None):
    error = kind(text, message=text)  # core's exceptions print .message, everything else prints str()
    error.status, error.trans_id, error.retry_after = status, trans_id, retry_after
    return error


def _config_error(text, status=None):
    return _error(exceptions.ConfigError, text, status)


def _not_found(path):
    return _error(exceptions.FileNotFoundError, '%s does not exist' % (path or '/'))


#: Exceptions of a failed connection. requests and urllib3 let some exceptions of the standard library through.
_NETWORK_ERRORS = (requests.exceptions.RequestException, socket.error, ssl.SSLError, HTTPException)
try:
    import urllib3
    _NETWORK_ERRORS += (urllib3.exceptions.HTTPError,)
except ImportError:
    pass
try:
    from requests.packages.urllib3.exceptions import HTTPError as _BundledError  # requests < 2.16 bundles urllib3
    _NETWORK_ERRORS += (_BundledError,)
except ImportError:
    pass

#: Statuses worth a retry: https://docs.openstack.org/swift/latest/api/; 498 comes from the ratelimit middleware.
_TRANSIENT_STATUSES = (408, 429, 498, 499, 500, 502, 503, 504)
#: A PUT of an object is done at 201 and at nothing else. Swift returns 202 if it has a newer object or a newer tombstone, by the
#: clocks of its proxies, and then it has stored nothing.
_NOT_STORED = tuple(status for status in range(200, 300) if status != 201)


# --- Connections ----------------------------------------------------------------------------------------------


class _Pool(object):
    """At most `swift_pool_size` connections. Each belongs to one operation until that operation gives it back.

    Operations that wait for a connection get one in the order in which they came.

    Two operations must never share a connection, or their bytes mix: a response of swiftclient reads the answer to
    the latest request on its connection.
    """

    def __init__(self, settings, told):
        self._settings = settings
        self._told = told
        self._dropped = collections.deque()
        self._lock = threading.Lock()
        self._places = [None] * settings.pool_size  # the last connection was used last, and is most likely still open
        self._waiting = collections.deque()  # the first one has waited longest

    def take(self, url):
        parts = urlsplit(url)
        server = '%s://%s' % (parts.scheme, parts.netloc)
        connection = self._place()
        try:
            if connection is not None and connection.url != server:
                connection.close()
                connection = None
            return connection or _connection(server, self._settings)
        except BaseException:
            self._put(None)
            raise

    def _place(self):
        began = time.time()
        deadline = began + self._settings.pool_timeout
        waiter, waited = _Waiter(), False
        self._waiting.append(waiter)
        try:
            while True:
                self._hand_out()
                left = deadline - time.time()
                waited = waited or not waiter.ready.is_set()
                if waiter.ready.wait(max(0, min(left, 1))):  # look again each second: `drop` wakes nobody
                    return waiter.place
                if left <= 1:
                    raise _error(exceptions.UnreachableError, 'all %d connections to Swift are in use: raise '
                                 'swift_pool_size (SWIFT_POOL_SIZE)' % self._settings.pool_size)
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            if waited:
                self._told('pool wait', time.time() - began)

    def _hand_out(self):
        """Give free places to those who have waited longest."""
        with self._lock:
            while self._dropped:
                self._places.append(self._dropped.popleft())
            while self._places and self._waiting:
                waiter = self._waiting.popleft()
                waiter.place = self._places.pop()
                waiter.ready.set()

    def _leave(self, waiter):
        with self._lock:
            if waiter in self._waiting:
                return self._waiting.remove(waiter)
        if waiter.ready.is_set():
            self._put(waiter.place)

    def _put(self, connection):
        with self._lock:
            self._places.append(connection)
        self._hand_out()

    def give_back(self, connection, reusable):
        if not reusable:
            connection.close()
        self._put(connection if reusable else None)

    def drop(self, connection):
        """`give_back` for the garbage collector, which may run in a thread that already holds the lock."""
        connection.close()
        self._dropped.append(None)

    def free(self):
        """The number of connections that can be taken, including dropped ones."""
        self._hand_out()
        return len(self._places)


class _Waiter(object):
    """Somebody who waits for a place in the pool. Once `ready` is set, `place` is a connection, or None for a new one."""

    def __init__(self):
        self.ready, self.place = threading.Event(), None


def _connection(url, settings):
    connection = swiftclient.HTTPConnection(
        url, cacert=settings.cacert, insecure=settings.insecure, cert=settings.cert, cert_key=settings.cert_key,
        default_user_agent='docker-registry-driver-swift/' + __version__)
    # Following a redirect would send the token to another host.
    connection.requests_args['allow_redirects'] = False
    return connection


def _timeout(settings, sent):
    """The `timeout` argument of requests, for a request whose body has `sent` bytes."""
    old = tuple(int(n) for n in requests.__version__.split('.')[:2]) < (2, 4)  # takes only one number
    if old or sent > SENT_AT_ONCE:  # urllib3 applies the connect timeout to sending as well
        return settings.read_timeout
    return (settings.connect_timeout, settings.read_timeout)


def _let_others_run():
    """Let other greenlets run, if gevent has replaced threads. A fast Swift never makes this one wait."""
    time.sleep(0)


class _Response(object):
    """One response of Swift: `.status`, `.headers` (case-insensitive), and the body as `.body` or through `read`.

    It holds its connection until the body has been read to the end or `close` is called.
    """

    body = None

    def __init__(self, raw, pool, connection):
        self.status = raw.status_code
        self.headers = raw.headers
        self._raw = raw
        self._pool, self._connection = pool, connection

    def read(self, size=None, at_once=False):
        """Up to `size` bytes, or all of them; b'' at the end.

        :param at_once: return what has arrived instead of waiting for the rest of `size`, if the HTTP library can do that
        """
        if self._connection is None:
            return b''
        read = at_once and getattr(self._raw.raw, 'read1', None) or self._raw.raw.read
        try:
            if size is not None:
                _let_others_run()
            data = read() if size is None else read(size)
        except BaseException:
            self.close()
            raise
        if size is None or not data:
            self._finish(True)
        return data

    def close(self):
        """Give the connection back. It is closed if part of the body has not been read."""
        if self._connection is not None:
            self._raw.close()
            self._finish(False)

    def drop(self):
        """`close`, for the garbage collector."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.drop(connection)

    def _finish(self, reusable):
        connection, self._connection = self._connection, None
        self._pool.give_back(connection, reusable and self.headers.get('Connection', '').lower() != 'close')

    def read_body(self, bodiless):
        """Read the whole body. :raises HTTPException: it is too short, which old versions of requests do not report"""
        # In blocks: to read all at once, Python first takes the memory that Content-Length claims.
        self.body = b''.join(iter(functools.partial(self.read, READ_SIZE), b''))
        if not bodiless and len(self.body) < (self.int_header('Content-Length') or 0):
            raise HTTPException('the body ended early')

    def int_header(self, name):
        return _whole_number(self.headers.get(name, ''))


# --- Bodies to send -------------------------------------------------------------------------------------------


_system_threads = None, None  # gevent's pool of them, and the process that it belongs to


def _beside(call, *arguments):
    """Start a call that takes the processor in a thread of the system, and return an object whose `get` waits for it.

    Returns None if gevent has not replaced threads: then the caller has a thread already. gevent before 1.1 does not tell.
    """
    global _system_threads
    monkey = sys.modules.get('gevent.monkey')
    if not (hasattr(monkey, 'is_module_patched') and monkey.is_module_patched('threading')):
        return None
    pool, process = _system_threads
    if process != os.getpid():
        from gevent.threadpool import ThreadPool
        pool = ThreadPool(HASHING_THREADS)  # not the one in which gevent looks up hosts: a name server may be slow
        _system_threads = pool, os.getpid()
    return pool.spawn(call, *arguments)


def _md5():
    try:
        return hashlib.new('md5', usedforsecurity=False)  # Swift's ETag is an MD5; FIPS forbids it only for security
    except TypeError:  # Python 2
        return hashlib.md5()


class _Blocks(object):
    """Bytes in memory, sent block by block. They can be sent again for a retry."""

    def __init__(self, blocks=()):
        self._blocks = list(blocks)
        self._next = 0
        self.size = sum(len(block) for block in self._blocks)
        self._digest, self._hashed = _md5(), 0
        self._hashing = None

    def __len__(self):
        return self.size

    def __iter__(self):  # tells requests that this is a stream
        return iter(self.read, b'')

    def read(self, _=None):
        """The whole next block. http.client asks for 8 or 16 KiB at a time, but each read costs a system call."""
        block = bytes(self._blocks[self._next]) if self._next < len(self._blocks) else b''
        self._next += 1
        if self._hashing is None:
            self._hash(self._next)
        else:
            _let_others_run()
        return block

    def rewind(self):
        self._next = 0

    def start_hashing(self):
        """Begin to hash a large body in a thread of the system, if gevent has replaced threads."""
        if self._hashing is None and self.size > HASHED_AT_ONCE:
            self._hashing = _beside(self._hash, len(self._blocks), False)

    @property
    def etag(self):
        """The MD5 of all bytes. Blocks that were sent are hashed already, while the network was busy."""
        self.start_hashing()
        if self._hashing is None:
            self._hash(len(self._blocks))
        else:
            self._hashing.get()
        return self._digest.hexdigest()

    def _hash(self, upto, among_greenlets=True):
        for block in self._blocks[self._hashed:upto]:
            if among_greenlets:
                _let_others_run()
            self._digest.update(block)
            self._hashed += 1


class _Memory(object):
    """Counts the bytes in the segments of all writers of a process, which share `swift_write_memory`."""

    def __init__(self, settings):
        self._budget = max(settings.write_memory, 4 * settings.segment_size)
        self._lock = threading.Lock()
        self.held = 0

    def add(self, writer, count):
        """Count bytes that a writer has read, or, if `count` is negative, has sent."""
        with self._lock:
            count = max(count, -writer.held)
            writer.held += count
            self.held += count

    def share(self, writer):
        """The size at which a writer must send its segment: a quarter of what the others leave free.

        A writer holds up to two segments. So there is always something left for the next writer, although nobody takes from
        a writer what it has: its client may be silent for long.
        """
        return (self._budget - self.held + writer.held) // 4


class _Segments(object):
    """Reads the segments of one object from a file. The writer calls `sent` for each, and `close` at the end."""

    def __init__(self, memory, file):
        self._memory, self._file = memory, file
        self._ahead, self._again = b'', None
        self.held = 0  # bytes, of the segment that is being read and of the one that is being sent
        self.ended = False

    def read(self, least, most):
        """A segment of up to `most` bytes, as a list of blocks. It has at least `least`, unless the file ends: see `ended`."""
        if self._again:
            blocks, self._again = self._again, None
            return blocks
        blocks, size = [], 0
        while size < most and (size < least or size < self._memory.share(self)):
            block = self._read(min(READ_SIZE, most - size))
            if not block:
                break
            size += len(block)
            if blocks and len(blocks[-1]) + len(block) <= READ_SIZE:  # many small blocks would take much more memory
                blocks[-1] = blocks[-1] if isinstance(blocks[-1], bytearray) else bytearray(blocks[-1])
                blocks[-1] += block
            else:
                blocks.append(block)
        return blocks

    def has_more(self):
        self._ahead = self._ahead or self._read(READ_SIZE)
        return bool(self._ahead)

    def put_back(self, blocks):
        """Let the next `read` return this segment."""
        self._again = blocks

    def _read(self, size):
        if self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        block = b'' if self.ended else self._file.read(size)
        self.ended = not block
        self._memory.add(self, len(block))
        return block

    def sent(self, count):
        """Count bytes as free. The thread that sent them calls it."""
        self._memory.add(self, -count)

    def close(self):
        self.sent(self.held)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- Login ----------------------------------------------------------------------------------------------------


class _Shared(object):
    """Runs one call at a time. Whoever comes while it runs waits for it, and gets its result or its error.

    If each of many threads made its own call behind a lock, the last one would wait for the retries of all.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._running = None

    def __call__(self, call):
        """(the result, whether this thread made the call)"""
        while True:
            with self._lock:
                others = self._running
                if others is None:
                    own = self._running = _Outcome()
            if others is None:
                return self._run(own, call), True
            others.ended.wait()
            if others.error is not None:
                raise others.error
            if not others.killed:
                return others.value, False

    def _run(self, own, call):
        try:
            own.value = call()
            return own.value
        except Exception as error:
            own.error = error
            raise
        except BaseException:  # the thread is to end, and that is nothing to the others
            own.killed = True
            raise
        finally:
            with self._lock:
                self._running = None
            own.ended.set()


class _Outcome(object):
    value, error, killed = None, None, False

    def __init__(self):
        self.ended = threading.Event()


# expires: seconds since the epoch; infinity if it does not expire; None if nobody says
# project: id of the project (Keystone), name of the account (v1 auth), or '' for a ready token
_Token = collections.namedtuple('_Token', 'storage_url value expires project')


class _Login(object):
    """One token for all connections. It is renewed a minute before it expires, and when Swift refuses it.

    Before it expires, one thread tries to renew it, at most every 10 seconds. All other threads keep using the old
    token. A token that does not say when it expires is renewed each hour.
    """

    def __init__(self, settings, retrying, sent, told):
        self._settings = settings
        self._retrying = retrying
        self._sent = sent
        self._told = told
        self._log_in = _login_of(settings)
        self._lock, self._logging_in = threading.Lock(), _Shared()
        self._token = None
        self._renewal = 0  # the time of the next attempt to renew it

    def token(self):
        token = self._valid()
        if token is None:
            return self._logging_in(lambda: self._valid() or self._keep(self._retrying(self._counted)))[0]
        with self._lock:
            now = time.time()
            if now < self._renewal:
                return token
            self._renewal = now + RENEWAL_PAUSE
        try:
            return self._keep(self._counted())
        except exceptions.UnspecifiedError as error:
            logger.warning('%s; the driver keeps using the old token, %s', error, 'which does not say when it expires'
                           if token.expires is None else 'which is valid for %d more seconds' % (token.expires - now))
            return token

    def _valid(self):
        """The token, or None if there is none or it has expired."""
        token = self._token
        if token is None or token.expires is not None and token.expires <= time.time():
            return None
        return token

    def forget(self, token):
        """Drop a token that Swift refused, so that the next request logs in, unless another thread has done so."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _keep(self, token):
        url = self._settings.object_storage_url or token.storage_url
        now = time.time()
        # v1 auth returns the same token until it expires, so do not ask for it at each request in its last minute.
        self._renewal = now + RENEWED_AFTER if token.expires is None else max(token.expires - RENEWED_AHEAD, now + RENEWAL_PAUSE)
        self._token = token._replace(storage_url=url.rstrip('/'))
        return self._token

    def _counted(self):
        started, outcome = time.time(), 'failed login'
        try:
            token = self._log_in(self._settings)
            outcome = 'login'
            return token
        finally:
            self._sent('LOGIN', None, started)
            self._told(outcome, time.time() - started)


def _login_of(settings):
    if settings.auth_token:
        return lambda settings: _Token(settings.object_storage_url, settings.auth_token, float('inf'), '')
    return _log_in_v1 if settings.auth_version == 1 else _KeystoneLogin(settings)


def _log_in_v1(settings):
    """v1 auth, of TempAuth and SoftLayer: https://docs.openstack.org/swift/latest/overview_auth.html#tempauth"""
    path = urlsplit(settings.authurl).path or '/'
    headers = {'X-Auth-User': settings.user, 'X-Auth-Key': settings.password}
    if not PYTHON2:  # requests sends text as Latin-1 and fails on other characters
        headers = dict((name, value.encode('utf-8')) for name, value in headers.items())
    connection = _connection(settings.authurl, settings)
    connection.requests_args['timeout'] = _timeout(settings, 0)
    try:
        answer = connection.request('GET', path, None, headers)
        answer.close()  # swiftclient's `close` does not close an error response
    except _NETWORK_ERRORS as error:
        raise _unreachable('swift_authurl (OS_AUTH_URL) %s' % settings.authurl, error, transient=True)
    finally:
        connection.close()
    return _v1_token(answer, settings)


def _v1_token(answer, settings):
    status, headers = answer.status_code, answer.headers
    token = headers.get('X-Storage-Token') or headers.get('X-Auth-Token')
    if status in (401, 403):
        raise _config_error('Swift refuses the credentials (status %d): check swift_user (OS_USERNAME) and '
                            'swift_password (OS_PASSWORD)' % status, status)
    if status in _TRANSIENT_STATUSES:
        raise _broken('login', settings.authurl, status, headers)
    if not 200 <= status < 300 or not token or not headers.get('X-Storage-Url'):
        raise _config_error('swift_authurl (OS_AUTH_URL) %s does not respond like v1 auth (status %d): check it and '
                            'swift_auth_version (OS_AUTH_VERSION)' % (settings.authurl, status), status)
    lifetime = _whole_number(headers.get('X-Auth-Token-Expires', ''))
    expires = None if lifetime is None else time.time() + lifetime
    return _Token(headers['X-Storage-Url'], token, expires, settings.user.partition(':')[0])


# Keystone does not say which of these is wrong, so the error names them all.
_CREDENTIALS = (
    'swift_user (OS_USERNAME)', 'swift_password (OS_PASSWORD)', 'swift_tenant_name (OS_PROJECT_NAME)',
    'swift_user_domain_name (OS_USER_DOMAIN_NAME)', 'swift_project_domain_name (OS_PROJECT_DOMAIN_NAME)')
_APPLICATION_CREDENTIAL = (
    'swift_application_credential_id (OS_APPLICATION_CREDENTIAL_ID) or _name (_NAME)',
    'swift_application_credential_secret (OS_APPLICATION_CREDENTIAL_SECRET)')


class _KeystoneLogin(object):
    """Keystone v2 and v3, through keystoneauth1.

    v1 auth does not need it. The v1 registry pins a version of requests that is too old for keystoneauth1.
    """

    def __init__(self, settings):
        try:
            from keystoneauth1 import exceptions as errors
            from keystoneauth1 import identity, session
        except (ImportError, SyntaxError) as error:  # 5.0 installs on Python 2 but cannot be imported
            raise _config_error('swift_auth_version (OS_AUTH_VERSION) %d needs keystoneauth1, which cannot be imported '
                                "(%s): pip install 'docker-registry-driver-swift[keystone]'" % (settings.auth_version, error))
        self._errors = errors
        self._plugin = _keystone_plugin(settings, identity.v2, identity.v3)
        self._session = session.Session(
            verify=False if settings.insecure else settings.cacert or True, timeout=settings.read_timeout,
            cert=(settings.cert, settings.cert_key) if settings.cert and settings.cert_key else settings.cert)

    def __call__(self, settings):
        try:
            self._plugin.invalidate()
            access = self._plugin.get_access(self._session)
            url = settings.object_storage_url or access.service_catalog.url_for(
                service_type=settings.service_type, interface=settings.endpoint_type,
                region_name=settings.region_name)
        except self._errors.CatalogException:
            raise _config_error("Keystone's catalog has no such endpoint of Swift: check swift_region_name "
                                '(OS_REGION_NAME), swift_endpoint_type (OS_ENDPOINT_TYPE) and swift_service_type '
                                '(OS_SERVICE_TYPE)')
        except self._errors.HttpError as error:
            raise self._refused(error, settings)
        except self._errors.InvalidResponse as error:
            error.http_status = 200
            raise self._refused(error, settings)
        except self._errors.ClientException as error:
            raise _unreachable('swift_authurl (OS_AUTH_URL) %s' % settings.authurl, error, transient=True)
        return _Token(url, access.auth_token, calendar.timegm(access.expires.utctimetuple()), _native(access.project_id or ''))

    @staticmethod
    def _refused(error, settings):
        if error.http_status in _TRANSIENT_STATUSES:
            return _broken('login', settings.authurl, error.http_status, getattr(error.response, 'headers', {}))
        application = settings.application_credential_secret
        # For an unknown or revoked credential, Keystone returns 404 with its error as JSON. The 404 of a wrong URL has no JSON.
        unknown = application and error.http_status == 404 and 'json' in getattr(
            error.response, 'headers', {}).get('Content-Type', '')
        if error.http_status in (401, 403) or unknown:
            return _config_error('Keystone refuses the credentials (status %d): check %s' % (
                error.http_status, ', '.join(_APPLICATION_CREDENTIAL if application else _CREDENTIALS)), error.http_status)
        return _config_error(
            'swift_authurl (OS_AUTH_URL) %s does not respond like Keystone v%d (status %d): check it and '
            'swift_auth_version (OS_AUTH_VERSION)' % (settings.authurl, settings.auth_version, error.http_status),
            error.http_status)


def _keystone_plugin(settings, v2, v3):
    url = settings.authurl if _version_of(settings.authurl) else '%s/v%s' % (
        settings.authurl.rstrip('/'), {2: '2.0', 3: '3'}[settings.auth_version])
    if settings.auth_version == 2:
        return v2.Password(url, username=settings.user, password=settings.password, trust_id=settings.trust_id,
                           tenant_name=settings.tenant_name, tenant_id=settings.tenant_id)
    user = dict(username=settings.user, user_id=settings.user_id, user_domain_name=settings.user_domain_name,
                user_domain_id=settings.user_domain_id)
    if settings.user and not settings.user_id and not (settings.user_domain_name or settings.user_domain_id):
        user['user_domain_id'] = 'default'
    if settings.application_credential_secret:
        return v3.ApplicationCredential(
            url, application_credential_secret=settings.application_credential_secret,
            application_credential_id=settings.application_credential_id,
            application_credential_name=settings.application_credential_name, **user)
    project = dict(project_name=settings.tenant_name, project_id=settings.tenant_id,
                   project_domain_name=settings.project_domain_name, project_domain_id=settings.project_domain_id)
    if settings.tenant_name and not (settings.project_domain_name or settings.project_domain_id):
        project['project_domain_id'] = 'default'
    if settings.trust_id:  # Keystone refuses a login with a trust and a project
        project = {'trust_id': settings.trust_id}
    return v3.Password(url, password=settings.password, **dict(user, **project))


# --- Requests -------------------------------------------------------------------------------------------------


def _unreachable(what, error, transient):
    if 'certificate verify failed' in str(error).lower() or 'certificate_verify_failed' in str(error).lower():
        return _config_error('the TLS certificate of %s is not trusted: set swift_cacert (OS_CACERT) to the file of '
                             'its CA' % what)
    failure = _error(exceptions.UnreachableError, '%s cannot be reached: %s' % (what, type(error).__name__))
    failure.transient = transient
    return failure


def _broken(method, path, status, headers, text='', transient=True):
    trans_id = headers.get('X-Trans-Id')
    failure = _error(exceptions.BrokenError, 'Swift returned %s for %s %s%s%s' % (
        status, method, path, text and ': ' + text, trans_id and ' (X-Trans-Id %s)' % trans_id or ''),
        status, trans_id, _seconds_of(headers.get('Retry-After')))
    failure.transient = transient
    return failure


def _seconds_of(retry_after):
    """The seconds that a Retry-After header asks for, or None. It may also be a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    seconds = _whole_number(retry_after.strip())
    if seconds is not None:
        return seconds
    date = _date(retry_after)
    return None if date is None else max(0, date - time.time())


def _retrying(settings, told, attempt):
    """Call `attempt` until it succeeds, and return its result.

    only transient failures are retried, after the time in Retry-After or an exponential backoff with jitter.

    :raises UnreachableError, BrokenError: the failure is not transient, all retries failed, or Retry-After is too long
    """
    tried = 0
    while True:
        try:
            return attempt()
        except (exceptions.UnreachableError, exceptions.BrokenError) as error:
            wait = getattr(error, 'retry_after', None)
            if wait is None:
                wait = min(settings.retry_max_wait, 0.5 * 2 ** tried) * JITTER.uniform(0.5, 1)
            if not getattr(error, 'transient', False) or tried >= settings.retries or wait > settings.retry_max_wait:
                error.transient = False  # a request must not repeat the retries of a login that failed for good
                raise
            tried += 1
            told('retry', 1)
            logger.warning('%s; retry %d of %d in %.1f seconds', error, tried, settings.retries, wait)
            time.sleep(wait)


class _Swift(object):
    """Sends requests to one Swift account and container. It retries, renews the token, and turns statuses into errors."""

    def __init__(self, settings):
        self.settings = settings
        self.container_path = '/' + quote(settings.container)
        self._checked = 0
        self._kind = None
        self._info = None
        self.on_request = self.on_event = self.on_failure = self.request_id = None
        self._process = None
        self._start()

    def _start(self):
        """Start with new connections, locks and no token. A forked child does so too: it must not use its parent's."""
        if self._process != os.getpid():
            self._checking = _Shared()
            self._pool = _Pool(self.settings, self.told)
            self._memory = _Memory(self.settings)
            self._temp_urls = _TempUrls(self)
            # No more than there are connections: whoever waits here waits for ever, but for a connection only so long.
            self.sending = threading.BoundedSemaphore(min(SEGMENTS_AT_A_TIME, self.settings.pool_size))
            self._login = _Login(self.settings, self.retrying, self._sent, self.told)
            self._process = os.getpid()  # last: a thread that sees it uses the rest at once

    def _sent(self, method, status, started):
        if self.on_request is not None:
            self.on_request(method, status, time.time() - started)

    def told(self, event, amount):
        if self.on_event is not None:
            self.on_event(event, amount)

    def retrying(self, attempt):
        return _retrying(self.settings, self.told, attempt)

    def failed(self, error):
        if self.on_failure is not None:
            self.on_failure(error)
        return error

    def token(self):
        self._start()
        return self._login.token()

    def storage_url(self):
        return self.token().storage_url

    def temp_url(self, name, may_set_key):
        self._start()
        return self._temp_urls.url(name, may_set_key)

    def segments(self, file):
        self._start()
        return _Segments(self._memory, file)

    def object_path(self, name):
        return '%s/%s' % (self.container_path, quote(name))

    def request(self, method, path='', query=None, headers=None, body=None, expected=(), below_account=True,
                stream=False, again=()):
        """Send a request and return the response. Its status is 2xx or one of `expected`; any other status raises.

        :param path: percent-encoded; below the account's URL, or below the server's for /info
        :param stream: do not read the body of a 2xx response; the caller does
        :param again: more statuses after which the request is sent again, as after a 503
        :raises: the errors in the module's docstring. An unexpected 404 raises FileNotFoundError, or ConfigError if the
            container is missing and may not be created.
        """
        self._start()
        target = path + ('?' + urlencode(query) if query else '')

        response = self.retrying(lambda: self._attempt(
            method, target, below_account, headers, body, expected, stream, again))
        if not (200 <= response.status < 300 or response.status in expected):
            raise self._refusal(method, path, response)
        return response

    def _attempt(self, method, target, below_account, headers, body, expected, stream, again, refused=0):
        """One attempt; a second one if the token had expired, and a third if it was revoked just now."""
        if body is not None:
            body.rewind()
        token = self._login.token()
        response = self._send(token, method, target, below_account, headers, body, stream)
        if response.status == 401 and 'X-Auth-Token' not in (headers or ()):
            self._login.forget(token)
            self.told('refused token', 1)
            if self.settings.auth_token or refused == (1 if self.settings.auth_version == 1 else 2):
                raise self._unauthorized()
            if refused:
                time.sleep(SAME_SECOND)
            return self._attempt(method, target, below_account, headers, body, expected, stream, again, refused + 1)
        unasked = [problem for problem in _problems(response) if _is_unasked(problem)]
        if any(problem.startswith('401') for problem in unasked):
            self._login.forget(token)
            self.told('refused token', 1)
        if unasked or response.status in again or response.status in _TRANSIENT_STATUSES and response.status not in expected:
            raise self.failed(_broken(method, _shown(target), response.status, response.headers, ', '.join(unasked[:3])))
        return response

    def _send(self, token, method, target, below_account, headers, body, stream):
        full_path = (urlsplit(token.storage_url).path if below_account else '') + target
        headers = dict({'X-Auth-Token': token.value}, **(headers or {}))
        client = self.request_id() if self.request_id is not None else None
        if client:
            headers['X-Trans-Id-Extra'] = client[:LONGEST_EXTRA]
        if body is not None:
            headers['Content-Length'] = str(body.size)
        pool = self._pool
        connection = pool.take(token.storage_url)
        connection.requests_args['timeout'] = _timeout(self.settings, body.size if body is not None else 0)
        started = time.time()
        try:
            raw = connection.request(method, full_path, body if body is not None and body.size else b'', headers)
            raw.request.body = None  # otherwise an idle connection keeps its last segment in memory
            response = _Response(raw, pool, connection)
        except BaseException as error:
            pool.give_back(connection, False)
            self._sent(method, None, started)
            raise self._failure(error, token, method, target, body)
        self._sent(method, response.status, started)
        logger.debug('%s %s: %s after %.3f seconds (X-Trans-Id %s)', method, _shown(full_path), response.status, time.time() - started,
                     response.headers.get('X-Trans-Id'))
        if stream and response.status < 300:
            return response
        try:
            # requests has already read the body of a redirect
            response.read_body(bodiless=method == 'HEAD' or response.status == 204 or response.status // 100 == 3)
        except BaseException as error:
            response.close()
            raise self._failure(error, token, method, target, body)
        return response

    def _failure(self, error, token, method, target, body):
        """The exception to raise for an error during a request: one of ours if the connection failed."""
        if not isinstance(error, _NETWORK_ERRORS):
            return error
        if body is not None:
            # A server that refuses the token may close the connection before it has read the body, and its 401 is lost.
            self._login.forget(token)
        return self.failed(_unreachable('Swift (%s %s)' % (method, _shown(target)), error, transient=True))

    def _unauthorized(self):
        if self.settings.auth_token:
            return _config_error('Swift refuses the token in swift_auth_token (OS_AUTH_TOKEN): set a new one', 401)
        return _config_error('Swift refuses a token that was issued just now: check swift_user (OS_USERNAME) and its '
                             'rights', 401)

    def _refusal(self, method, path, response):
        """The exception for an unexpected status."""
        status, kind = response.status, response.headers.get('Content-Type', '')
        if status == 404:
            self.check_container()
            return _not_found(path)
        if status == 403:
            return _config_error('Swift forbids %s %s: swift_user (OS_USERNAME) needs read and write access to '
                                 'swift_container (OS_CONTAINER)' % (method, path), 403)
        # Swift explains an error in text or JSON. HTML comes from a gateway, and users should not see it.
        text = response.body[:1000].decode('utf-8', 'replace').strip() if 'json' in kind or 'plain' in kind else ''
        failure = _broken(method, path, status, response.headers, text, transient=False)
        failure.problems = _problems(response)
        return self.failed(failure)

    def check_container(self, at_once=False):
        """Create the container if it is missing and the settings allow it. Returns whether this call has created it.

        A 404 does not say whether the object or the container is missing. So every 404 leads here, and the driver asks
        Swift once a minute at most.

        Threads that need this at the same time share one check.

        :param at_once: ask now, even if the last check was less than a minute ago
        :raises ConfigError: it is missing and may not be created
        :raises BrokenError: Swift says both that it exists and that it does not. A Swift whose account servers do not
            respond returns 404 for every container, and 202 for the PUT of an existing one.
        """
        self._start()
        if not at_once and time.time() - self._checked < CONTAINER_CHECK_SECONDS:
            return False
        created, is_own = self._checking(self._check_container)
        return created and is_own

    def _check_container(self):
        created, response = False, self.head_container()
        if response.status == 404:
            created, response = self._create_container(), self.head_container()
            if response.status == 404 and not created:
                raise _broken('HEAD', self.container_path, 404, {}, 'the container exists, but Swift does not find it', transient=False)
        if response.status == 400:
            raise self._bad_container()
        if response.status != 404:  # of a container that was created just now
            self._kind = 'hidden' if response.status == 403 else 'ceph' if CEPH_HEADER in response.headers else 'swift'
        self._checked = time.time()
        return created

    def head_container(self):
        # 403: a user with access to the objects may have no access to the container itself.
        return self.request('HEAD', self.container_path, expected=(400, 403, 404))

    def kind(self):
        """'ceph', 'swift', or 'hidden' if the user may not see the container. What is done for Ceph works on Swift, too."""
        if self._kind is None:
            self.check_container(at_once=True)
        return self._kind

    def _bad_container(self):
        return _config_error('Swift refuses the name of the container: check swift_container (OS_CONTAINER) %s. Ceph wants at '
                             'least three characters' % self.settings.container, 400)

    def _create_container(self):
        """Returns False if somebody else has created it."""
        if not self.settings.create_container:
            raise _config_error('swift_container (OS_CONTAINER) %s does not exist, and swift_create_container '
                                '(SWIFT_CREATE_CONTAINER) is off' % self.settings.container, 404)
        policy = self.settings.storage_policy
        response = self.request('PUT', self.container_path, headers={'X-Storage-Policy': policy} if policy else {},
                                body=_Blocks(), expected=(400, 404))
        if response.status == 400:
            raise _config_error('Swift has no storage policy %s: check swift_storage_policy (SWIFT_STORAGE_POLICY)' % policy,
                                400) if policy else self._bad_container()
        if response.status == 404:
            raise _config_error('the account at %s does not exist: check swift_user (OS_USERNAME) or '
                                'swift_object_storage_url (OS_STORAGE_URL)' % self.storage_url(), 404)
        if response.status == 201:
            logger.info('created container %s', self.settings.container)
        return response.status == 201

    def info(self):
        """The response to `/info`, as a dict. It is empty if the site has disabled `/info`.

        https://docs.openstack.org/swift/latest/api/discoverability.html
        """
        if self._info is None:
            # Ceph has it next to the version: its storage URL is /swift/v1/..., and then this is /swift/info.
            prefix = re.match(r'(.*?)(/v1(\.0)?(/|$)|$)', urlsplit(self.storage_url()).path).group(1)
            self._info = self._info_at(prefix + '/info') or prefix and self._info_at('/info') or {}
        return self._info

    def forget_info(self):
        self._info = None

    def _info_at(self, path):
        response = self.request('GET', path, below_account=False, expected=range(400, 408))
        try:
            info = _from_json(response.body) if response.status == 200 else {}
        except ValueError:
            info = {}
        return info if isinstance(info, dict) else {}

    def limit(self, middleware, name, default=None):
        found = self.info().get(middleware)
        value = found.get(name) if isinstance(found, dict) else None
        return value if isinstance(value, int) and value > 0 else default

    # Objects

    def head(self, name, newest, query=None):
        """The response to HEAD of an object. :raises FileNotFoundError:"""
        return self.request('HEAD', self.object_path(name), query, _newest(newest))

    def has(self, name):
        """Whether there is an object. On Ceph, a plain HEAD is 404 for a large object whose first segment is missing."""
        try:
            return bool(self.head(name, True, MANIFEST_ITSELF))
        except exceptions.FileNotFoundError:
            return False

    def put(self, name, body, headers=None, query=None, new=False, etag_first=True):
        """Store a whole object. Returns False if `new` is set and the name exists already.

        Two that store the same new name at the same moment may both get True, and the later object stays: Swift compares
        If-None-Match before it has the bytes, and Ceph ignores it.

        :param etag_first: send the ETag, so that Swift stores no other bytes; they are then hashed before they are sent
        :raises BrokenError: also if Swift returns another ETag than that of the bytes sent
        """
        etag_first = etag_first and query is None
        headers = dict(headers or {})
        if new:
            if self.kind() != 'swift' and self.has(name):
                return False
            headers['If-None-Match'] = '*'
        if etag_first:
            headers['ETag'] = body.etag
        try:
            response = self._put(name, body, headers, query)
        except exceptions.BrokenError as error:
            if error.status in _NOT_STORED and query is None and self._holds(name, body):
                return True
            raise
        etag = response.headers.get('Etag', '').strip('"')
        if response.status != 412 and query is None and etag and etag != body.etag:
            if not etag_first:
                self.delete(name)
            raise _broken('PUT', self.object_path(name), response.status, response.headers,
                          'the ETag is %s, but the MD5 of the bytes is %s' % (etag, body.etag), transient=False)
        return response.status != 412

    def copy(self, source, name, new=False, etag=None):
        """Store a copy of a plain object. Returns False if `new` is set and the name exists already. See `Storage.copy`.

        Swift compares the conditions of such a PUT with the source, so If-None-Match cannot protect the name.
        """
        headers = self.head(source, True, MANIFEST_ITSELF).headers
        if _kind(headers) != 'plain':
            raise _error(exceptions.WrongArgumentsError, '%s is a large object. Swift can only copy plain ones as they are' % source)
        found = headers.get('Etag', '')
        if etag not in (None, found):
            raise _error(exceptions.FileNotFoundError, '%s has the ETag %s, and not %s' % (source, found, etag))
        if new and self.has(name):
            return False
        response = self.retrying(lambda: self._copy(source, name))
        if response.headers.get('Etag', '').strip('"') != found:
            raise _broken('PUT', self.object_path(name), response.status, response.headers,
                          'the copy does not have the ETag %s' % found, transient=False)
        return True

    def _copy(self, source, name):
        path, headers = self.object_path(name), {'X-Copy-From': self.object_path(source)}
        response = self.request('PUT', path, headers=headers, body=_Blocks(), expected=(404,), again=_NOT_STORED)
        if response.status == 404:
            if self.has(source):  # another node has it, or the proxies still remember that the container was missing
                raise _broken('PUT', path, 404, response.headers, 'but the object to copy is there')
            raise _not_found(source)
        return response

    def _put(self, name, body, headers, query):
        path, expected = self.object_path(name), (404, 412) if 'If-None-Match' in headers else (404,)

        def attempt():
            response = self.request('PUT', path, query, headers, body, expected, again=_NOT_STORED)
            if response.status == 404 and not _is_missing_part(response, query):
                raise _broken('PUT', path, 404, response.headers, 'the container was missing')
            return response

        try:
            response = attempt()
        except exceptions.BrokenError as error:
            if error.status != 404:
                raise
            self.check_container(at_once=True)
            # Swift's proxies remember for seconds that a container was missing.
            response = self.retrying(attempt)
        if response.status == 404:
            raise _not_found('a part of %s' % name)
        return response

    def _holds(self, name, body):
        """Whether an object with the bytes of `body`, which have been sent, is stored."""
        try:
            response = self.head(name, newest=True)
        except exceptions.FileNotFoundError:
            return False
        return response.headers.get('Etag', '').strip('"') == body.etag and response.int_header('Content-Length') == body.size

    def delete(self, name):
        """Delete one name. False if there was none; after a retry that may mean that the first attempt succeeded.

        Swift may return 404 for an object that is there: while its account servers do not respond, it does so for every
        DELETE. So a 404 is believed only if a HEAD returns 404, too.

        :raises BrokenError: the object is still there
        """
        return self.retrying(lambda: self._delete(name))

    def _delete(self, name):
        path = self.object_path(name)
        # 409: by Swift's clocks, the object is newer than this request.
        response = self.request('DELETE', path, expected=(404,), again=(409,))
        if response.status == 404 and self.has(name):
            raise _broken('DELETE', path, 404, response.headers, 'but the object is still there')
        return response.status != 404

    def delete_all(self, names, certainly=False):
        """Delete many names, with bulk requests if the server supports them. A missing name is no error.

        :param certainly: look for names that Swift did not find; else they may be left behind, as segments may
        :raises BrokenError: an object is still there
        https://docs.openstack.org/swift/latest/middleware.html#bulk-delete
        """
        names = list(names)
        most = self.limit('bulk_delete', 'max_deletes_per_request', 1000)
        bulk = 'bulk_delete' in self.info() or not self.info()
        while names:
            page, names = names[:most], names[most:]
            left = self._bulk_delete(page, certainly) if bulk and len(page) > 1 else None
            if left:  # Swift may report an expired token inside the body of a 200
                self._login.forget(self._login.token())
                left = self._bulk_delete(left, certainly)
            bulk = bulk and (left is not None or len(page) == 1)
            for name in page if left is None else left:
                self.delete(name)

    def _bulk_delete(self, names, certainly):
        """Send one bulk delete. Returns the names it left, or None if the server does not support bulk deletes."""
        body = _Blocks(['\n'.join(self.object_path(name) for name in names).encode('ascii')])
        response = self.request('POST', '', {'bulk-delete': ''}, {
            'Content-Type': 'text/plain', 'Accept': 'application/json'}, body, expected=set(range(400, 417)) - {408})
        try:
            answer = _from_json(response.body)
            done = answer['Number Deleted'] + answer['Number Not Found']
            failed = set(unquote(_native(error[0])).strip('/') for error in answer['Errors'])
        except (ValueError, KeyError, TypeError, IndexError):
            return None
        left = [name for name in names if '%s/%s' % (self.settings.container, name) in failed]
        if certainly and answer['Number Not Found']:  # see `delete`; the response does not say which
            left = [name for name in names if name in left or self.has(name)]
        # A server that stops half-way does not name the rest. Deleting all again costs little.
        return left if done + len(left) >= len(names) else names

    def list(self, prefix, delimiter=None, marker=None, limit=None):
        """One page of a listing, as Swift's own dicts (`name`, `bytes`, `hash`, ... or `subdir`)."""
        query = [('format', 'json'), ('prefix', prefix)]
        query += [(key, value) for key, value in (
            ('delimiter', delimiter), ('marker', marker), ('limit', limit)) if value]
        response = self.request('GET', self.container_path, query, expected=(404,))
        if response.status == 404:
            if self.check_container(at_once=True):
                return []
            # The container is there, so the 404 was wrong. An empty page would say that there are no objects.
            response = self.request('GET', self.container_path, query, again=(404,))
        try:
            page = _from_json(response.body) if response.body.strip() else []
        except ValueError:
            raise _broken('GET', self.container_path, response.status, response.headers, 'the body is not JSON', transient=False)
        if not isinstance(page, list) or not all(map(_is_entry, page)):
            raise _broken('GET', self.container_path, response.status, response.headers, 'the body is not a listing', transient=False)
        return page

    def list_all(self, prefix, delimiter=None, marker=None, limit=None):
        """All pages of a listing, each as a list.

        Only an empty page is the end: a Ceph RADOS Gateway may return fewer names than the limit although there are more.
        """
        while True:
            page = self.list(prefix, delimiter, marker, limit)
            if not page:
                return
            yield page
            last = _native(page[-1].get('name') or page[-1].get('subdir'))
            if last == marker:
                raise _error(exceptions.BrokenError, 'Swift keeps returning the same page of the listing of %s' % prefix)
            marker = last


MANIFEST_ITSELF = {'multipart-manifest': 'get'}  # the query for the manifest of a large object, not for its content


def _kind(headers):
    """plain, static or dynamic: what an object is, from a HEAD with MANIFEST_ITSELF."""
    # The second sign is Ceph's, if the manifest itself is asked for.
    if 'true' in [headers.get(sign, '').lower() for sign in ('X-Static-Large-Object', 'X-Object-Meta-Static-Large-Object')]:
        return 'static'
    return 'dynamic' if headers.get('X-Object-Manifest') else 'plain'


def _is_missing_part(response, query):
    """Whether a 404 to the PUT of a manifest is about a part. Ceph says NoSuchKey then, and NoSuchBucket of a container."""
    return query is not None and b'NoSuchKey' in response.body


def _problems(response):
    """What Swift found wrong with the segments of a manifest: texts such as `404 Not Found` or `Etag Mismatch`. [] if nothing.

    https://docs.openstack.org/swift/latest/middleware.html#static-large-objects
    """
    try:
        return [text_type(problem) for _, problem in _from_json(response.body)['Errors']] if response.status == 400 else []
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _is_unasked(problem):
    """Whether a problem says that Swift could not look at the segment, and nothing about the segment itself."""
    status = _whole_number(problem[:3]) or 0
    return status == 401 or status >= 500 or status in _TRANSIENT_STATUSES


def _newest(newest):
    return {'X-Newest': 'true'} if newest else {}


def _shown(path):
    """What logs and messages show of a path: no signature, because whoever has it may get the object."""
    return re.sub('(temp_url_sig=)[^&]*', r'\1...', path)


def _native(name):
    """A name as `str`. On Python 2, JSON gives unicode."""
    return name.encode('utf-8') if PYTHON2 and isinstance(name, text_type) else name


# --- Signed URLs ----------------------------------------------------------------------------------------------


class _TempUrls(object):
    """Signs URLs with which anyone can GET an object, and sees to it that Swift accepts them.

    The container has two slots for keys, and so has the account. The new key goes into one, and the old key stays in the other: what it
    has signed is still good. https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html
    """

    def __init__(self, swift):
        self._swift, self._settings = swift, swift.settings
        self._checking, self._checking_again = _Shared(), threading.Lock()
        self._accepted = 0  # when Swift last accepted a signature, or 0
        self._key, self._is_settled = self._settings.temp_url_key, False

    def url(self, name, may_set_key):
        if not self._accepted:
            self._checking(lambda: self._check(may_set_key))
        elif time.time() - self._accepted > TEMP_URL_CHECK_SECONDS and self._checking_again.acquire(False):
            try:  # the others sign meanwhile: Swift may keep this thread waiting
                self._check(may_set_key)
            finally:
                self._checking_again.release()
        base = self._settings.public_url or self._swift.storage_url()
        return '%s%s?%s' % (base.rstrip('/'), self._swift.object_path(name), urlencode(self._signature(name)))

    def _signature(self, name):
        expires = int(time.time()) + self._settings.temp_url_ttl
        # The signature is made of the plain path, but the URL has the percent-encoded one.
        path = '%s/%s/%s' % (urlsplit(self._swift.storage_url()).path.rstrip('/'), self._settings.container, name)
        signature = hmac.new(_as_bytes(self._key), _as_bytes('GET\n%d\n%s' % (expires, path)),
                             getattr(hashlib, self._digest())).hexdigest()
        return [('temp_url_sig', signature), ('temp_url_expires', expires)]

    def _digest(self):
        if self._settings.temp_url_digest != 'auto':
            return self._settings.temp_url_digest
        tempurl = self._swift.info().get('tempurl')
        allowed = tempurl.get('allowed_digests') if isinstance(tempurl, dict) else None
        # Swift before 2.17 and Ceph list no digests. SHA-1 is what all of them support; Ceph 16 nothing else.
        return next((name for name in ('sha256', 'sha512', 'sha1') if name in (allowed or ['sha1'])), 'sha1')

    def _check(self, may_set_key):
        """Try what clients will do, and set the key if Swift refuses that. One of Swift's proxies may learn of the key late."""
        is_ours = may_set_key and self._settings.temp_url_set_key != 'no'
        for remaining in (2, 1, 0):
            if is_ours and not self._is_settled:
                self._choose_key()
            refusal = self._refusal()
            if not refusal:
                break
            self._swift.forget_info()  # Swift may no longer allow the digest
            if not remaining:
                self._accepted = 0
                raise _config_error(self._advice(refusal), refusal.status)
            if is_ours:
                self._set_key()
        self._accepted = time.time()

    def _refusal(self):
        """Swift's response if it refuses a signed URL, or None. It is a GET, because a site may allow nothing else."""
        response = self._swift.request('GET', self._swift.object_path(NO_OBJECT), self._signature(NO_OBJECT),
                                       {'X-Auth-Token': ''}, expected=(401, 403, 404))
        return response if response.status in (401, 403) else None

    def _advice(self, refusal):
        info, is_ceph = self._swift.info(), self._swift.kind() == 'ceph'
        slow = (_date(refusal.headers.get('Date', '')) or time.time()) - time.time()
        text = 'Swift returns %d for a signed URL. ' % refusal.status
        if info and 'tempurl' not in info:
            return text + 'This Swift has no temporary URLs (tempurl). Ask its operators to enable them'
        if abs(slow) > self._settings.temp_url_ttl / 2.0:
            return text + 'The clock of this machine differs from that of Swift by %d seconds' % abs(slow)
        return text + (
            'swift_temp_url_key (SWIFT_TEMP_URL_KEY) is not a key of %s, or Swift does not know the digest. To set the key, set '
            'swift_temp_url_set_key (SWIFT_TEMP_URL_SET_KEY) to %s. Unset swift_temp_url_digest (SWIFT_TEMP_URL_DIGEST)%s' % (
                ('the account', 'account', ', or set it to sha1') if is_ceph else ('the container or the account', 'container', '')))

    def _choose_key(self):
        """Sign with the old key as long as some servers of Swift may not know the new one."""
        keys, since, now = self._slots()
        new, old = self._settings.temp_url_key, self._settings.temp_url_old_key
        is_young = new in keys and now - since[keys.index(new)] < TEMP_URL_SETTLED_SECONDS
        self._key = old if is_young and old in keys else new
        self._is_settled = new in keys and self._key == new

    def _slots(self):
        """What is in the two slots: the keys ('' for none), since when (0 if nobody knows), and the time now. Swift's clock counts."""
        response = self._swift.request('HEAD', self._path(), headers={'X-Newest': 'true'}, expected=(403, 404))
        found = [[response.headers.get(name, '') for name in self._names(number)] for number in (0, 1)]
        keys, since = zip(*found)
        now = _date(response.headers.get('Date', '')) or time.time()
        return keys, [_whole_number(text) or 0 for text in since], now

    def _names(self, number):
        """The headers of a slot: the key, and the time at which the driver set it."""
        scope = self._settings.temp_url_set_key.capitalize()
        return ['X-%s-Meta-Temp-Url-%s%s' % (scope, name, ('', '-2')[number]) for name in ('Key', 'Since')]

    def _path(self):
        return self._swift.container_path if self._settings.temp_url_set_key == 'container' else ''

    def _set_key(self):
        if self._settings.temp_url_set_key == 'container' and self._swift.kind() == 'ceph':
            raise _config_error('Ceph signs URLs with the keys of the account only: set swift_temp_url_set_key '
                                '(SWIFT_TEMP_URL_SET_KEY) to account')
        self._swift.check_container()
        keys, _, now = self._slots()
        if self._settings.temp_url_key not in keys:
            headers = dict(zip(self._names(self._slot(keys)), [self._settings.temp_url_key, str(int(now))]))
            self._swift.request('POST', self._path(), headers=headers, body=_Blocks())

    def _slot(self, keys):
        """The number of the slot that the key may go into. A key that is not ours is overwritten only if the old key is in the other slot.

        Instances with the same settings choose the same slot. If there is no key at all, those that know only the old key choose the
        first slot, and those that know both choose the second one.
        """
        old = self._settings.temp_url_old_key
        free = [number for number, key in enumerate(keys) if not key]
        if old in keys and not free:
            free = [1 - keys.index(old)]
        if not free:
            raise _config_error('both TempURL keys of the %s are in use already. Set swift_temp_url_old_key (SWIFT_TEMP_URL_OLD_KEY) to '
                                'the one that may still be in use, and the driver replaces the other one' % self._settings.temp_url_set_key)
        return free[-1 if old else 0]


# --- Reading --------------------------------------------------------------------------------------------------


class Stream(object):
    """The bytes of an object, or of a range of it, in blocks. Iterate over it; call `close()` to stop early.

    If the connection breaks, the stream resumes at the next byte of the same version of the object: it sends a Range, and
    compares the ETag and the size of the answer. So the reader gets every byte or an exception. The connection goes back
    to the pool at the end, or when the stream is closed or dropped. `release` gives it back in the middle.

    .size is the size of the object. .first and .length are the first byte and the length of the range. All are in
    bytes. .size and .length are None if Swift does not tell them: for a dynamic large object whose segments fill more
    than one page of a listing. .etag and .content_type are as Swift returns them.
    .last_modified is in seconds since the epoch, or None. .metadata is as in `Stat`.

    :raises UnreachableError, BrokenError: the bytes cannot be read, or the object changed while it was being read
    """

    def __init__(self, swift, name, bytes_range=None, newest=False):
        self._swift, self._path = swift, swift.object_path(name)
        self._response = self._open(_range_header(bytes_range), _newest(newest))
        headers = self._response.headers
        self.first, self.length, self.size = _extent(self._response)
        self.etag, self.content_type = headers.get('Etag'), headers.get('Content-Type')
        self.last_modified, self.metadata = _modified(headers), _metadata(headers)
        self._done = 0
        self._failures, self._failed_at = 0, 0
        self._released = False

    def _open(self, range_header, headers):
        if range_header:
            headers['Range'] = range_header
        response = self._swift.request('GET', self._path, headers=headers, expected=(416,), stream=True)
        if response.status == 416:
            raise _error(exceptions.WrongArgumentsError, '%s has no such range: %s' % (self._path, range_header), 416)
        if range_header and response.status == 200 and response.int_header('Content-Length') != 0:
            response.close()
            raise _broken('GET', self._path, 200, response.headers, 'the whole object, not ' + range_header, transient=False)
        return response

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            if self._released:
                self._response = self._rest()
                self._released = False
            if self._response is None:
                raise StopIteration
            try:
                # After a failure, lose no byte of a block that does not come to its end: Ceph stops sending where a segment
                # is missing. Only a request for what is missing gets an error at once.
                block = self._response.read(READ_SIZE, self._failures and self._done - self._failed_at < READ_SIZE)
            except _NETWORK_ERRORS as error:
                self._resume(error)
                continue
            self._done += len(block)
            if block:
                if self._done == self.length:
                    self._response.read(1)  # reads the end of the body, which gives the connection back
                return block
            if self.length is None or self._done >= self.length:
                self.close()
            else:
                self._resume(HTTPException('the body ended early'))

    next = __next__

    def _resume(self, error):
        """Request the rest. Once another MiB has arrived, earlier failures no longer count."""
        trans_id = self._response.headers.get('X-Trans-Id')
        self._drop_response()
        if self._done - self._failed_at >= MiB:
            self._failures = 0
        self._failures, self._failed_at = self._failures + 1, self._done
        failure = _unreachable('the rest of %s after %d bytes' % (self._path, self._done), error, transient=False)
        failure.trans_id = trans_id
        self._swift.failed(failure)
        if self._failures > self._swift.settings.retries or self.length is None or not self.etag:
            raise failure
        self._swift.told('resumed download', 1)
        logger.warning('the connection for %s broke after %d of %d bytes (%s); resuming', self._path, self._done,
                       self.length, type(error).__name__)
        self._response = self._rest()

    def _rest(self):
        """The response to a request for the bytes that the reader does not have yet."""
        first, last = self.first + self._done, self.first + self.length - 1
        try:
            response = self._open('bytes=%d-%d' % (first, last), {})
        except (exceptions.FileNotFoundError, exceptions.WrongArgumentsError) as error:
            raise _broken('GET', self._path, error.status or 404, {}, 'the rest of the object is gone', transient=False)
        return self._same(response, first)

    def _same(self, response, first):
        """The response, if it continues at byte `first` of the same object. Ceph answers 412 to any If-Match of a large object."""
        begin, _, size = _extent(response)
        if response.headers.get('Etag') != self.etag or None not in (size, self.size) and size != self.size:
            wrong = 'the object changed during the read'
        elif begin != first:
            wrong = 'the bytes do not begin at byte %d' % first
        else:
            return response
        response.close()
        raise _broken('GET', self._path, response.status, response.headers, wrong, transient=False)

    def read_all(self):
        with self:
            return b''.join(self)

    def release(self):
        """Give the connection back while the reader pauses. The next block costs another request, for the rest.

        The thread or greenlet that reads may call it between two blocks, as often as it likes. Returns whether the stream now
        holds no connection. It keeps it, and returns False, if Swift did not say the length or the ETag, because then the
        stream cannot be resumed.
        """
        if self._response is None:
            return True
        if self.length is None or not self.etag:
            return False
        self._released = self._done < self.length
        self._drop_response()
        return True

    def close(self):
        self._released = False
        self._drop_response()

    def _drop_response(self):
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, '_response', None) is not None:
            self._response.drop()


def _range_header(bytes_range):
    """The Range header (RFC 9110, 14.1.2), or None for the whole object.

    :raises WrongArgumentsError: no object has this range. Swift would ignore a range that ends before it begins, and
        return the whole object.
    """
    if bytes_range is None:
        return None
    first, last = bytes_range
    if first is None:
        wrong, header = not last or last < 0, 'bytes=-%s' % last
    elif last is None or last == -1:  # the v1 registry says -1 for "to the end"
        wrong, header = first < 0, 'bytes=%d-' % first
    else:
        wrong, header = not 0 <= first <= last, 'bytes=%d-%d' % (first, last)
    if wrong:
        raise _error(exceptions.WrongArgumentsError, 'not a valid range of bytes: %s to %s' % (first, last))
    return header


def _extent(response):
    """(first byte, length, size of the object) of a response to GET."""
    length = response.int_header('Content-Length')
    match = re.match(r'bytes (\d+)-(\d+)/(\d+|\*)$', response.headers.get('Content-Range', ''))
    if response.status != 206 or not match:
        return 0, length, length
    first, last = int(match.group(1)), int(match.group(2))
    return first, last - first + 1, _whole_number(match.group(3))


# --- Cache ----------------------------------------------------------------------------------------------------


class _Cache(object):
    """The v1 registry's Redis LRU cache around `get_content`, if it is on. It is never ahead of Swift, nor behind it.

    The decorators of docker-registry-core write to Redis first, so they remember a failed write as done. They also
    know the path only as a positional argument. This cache works differently:

    - A writer marks the key before it changes the object. Readers treat a marked key as a miss, and leave it as it is.
    - A reader stores what it read only if the key has not changed since before the read.

    Without Redis, or if Redis fails, everything goes to Swift. The keys contain the names of the container and of the root,
    unlike those of docker-registry-core, so registries of several places can share one Redis.
    """

    MARK = b'\0docker-registry-driver-swift: being written'
    MARK_SECONDS = 3600  # if a writer dies, its mark stays and the path is not cached for this long

    def __init__(self, container, root):
        self._place = _joined(container, root)

    def read(self, path, fetch):
        """The cached content, or else the result of `fetch()`."""
        if not self._on():
            return fetch()
        key = self.key(path)
        try:
            with lru.redis_conn.pipeline() as pipe:
                pipe.watch(key)
                content = pipe.get(key)
                if content is not None and content != self.MARK:
                    return content
                fetched = fetch()
                if content is None:
                    self._fill(pipe, key, fetched)
                return fetched
        except RedisError as error:
            logger.warning('the Redis LRU cache failed: %s', error)
            return fetch()

    @staticmethod
    def _fill(pipe, key, content):
        try:
            pipe.multi()
            pipe.set(key, content)
            pipe.execute()
        except WatchError:
            pass  # somebody changed the key meanwhile
        except RedisError as error:
            logger.warning('the Redis LRU cache failed: %s', error)

    def changing(self, paths):
        return _Change(self, paths)

    def key(self, path):
        return lru.cache_key('%s/%s' % (self._place, _as_text(path).strip('/')))

    def do(self, command, *arguments):
        if self._on():
            try:
                return getattr(lru.redis_conn, command)(*arguments)
            except RedisError as error:
                logger.warning('the Redis LRU cache failed: %s', error)

    @staticmethod
    def _on():
        return lru is not None and lru.redis_conn is not None


class _Change(object):
    """Wraps a change of some paths in Swift: marks their keys before, and deletes them after, also if the change fails."""

    def __init__(self, cache, paths):
        self._cache, self._paths = cache, paths

    def __enter__(self):
        for path in self._paths if self._cache._on() else ():
            self._mark(path)

    def __exit__(self, *_):
        for path in self._paths if self._cache._on() else ():
            if self._cache.do('delete', self._cache.key(path)) == 0:
                # Another writer has deleted the key already. To delete nothing does not stop a reader that began since.
                self._mark(path)
                self._cache.do('delete', self._cache.key(path))

    def _mark(self, path):
        self._cache.do('set', self._cache.key(path), self._cache.MARK, self._cache.MARK_SECONDS)


# --- The driver -----------------------------------------------------------------------------------------------


_MANIFEST_QUERY = {'multipart-manifest': 'put'}

#: One segment of a large object: its path, its size in bytes and its ETag.
Part = collections.namedtuple('Part', 'path size etag')

#: What an object consists of. `kind` is plain, static or dynamic. `prefix` is that of the segments of a dynamic large object,
#: as container/prefix, else None. `names` has the segments of a static one that are in this container. They are whole names:
#: they begin with the root. The list of the segments, if there is one (see SEGMENT_LIST_HEADER), is among them.
LargeObject = collections.namedtuple('LargeObject', 'kind prefix names')

#: What is known about an object. size is in bytes, last_modified in seconds since the epoch. Every field but the path
#: can be None. A pseudo-folder in a listing has only a path. Ceph lists large objects without size and ETag. metadata is
#: {name in lower case: text}, and None in a listing.
Stat = collections.namedtuple('Stat', 'path size etag last_modified content_type metadata')


class Storage(driver.Base):
    """The registry's storage interface, on one Swift container. All threads and greenlets can share one `Storage`.

    A path is text, relative to `storage_path`, with `/` between its parts. The errors are in the module's docstring.
    """

    supports_bytes_range = True
    scheme = 'swift'

    def __init__(self, path=None, config=None):
        self.settings = Settings(config)
        self._root = _joined(_as_text(path) if path is not None else self.settings.storage_path)
        if _has_dots(self._root):
            raise _config_error('storage_path (STORAGE_PATH) must not contain the folders . or ..: %s' % self._root)
        self._others = []  # the roots of those that `at` made this one from
        self._swift = _Swift(self.settings)
        self._cache = _Cache(self.settings.container, self._root)
        self._plain = _Names()
        self._emptied = _Emptied()

    @property
    def on_request(self):
        """None, or a function to call with (method, status, seconds) after each request to Swift, logins included.

        The thread that sent the request calls it. The status is None for a login, and if Swift did not respond.
        """
        return self._swift.on_request

    @on_request.setter
    def on_request(self, called):
        self._swift.on_request = called

    @property
    def on_event(self):
        """None, or a function to call with (event, amount) when something happens that `on_request` does not tell:

            'retry'             a request, or a login, is about to be sent again; the amount is 1
            'pool wait'         a request had to wait for a connection of the pool; the amount is in seconds
            'resumed download'  the connection of a download broke, and it goes on with another one; 1
            'login'             a login succeeded; the amount is in seconds
            'failed login'      a login failed; the amount is in seconds
            'refused token'     the driver no longer uses a token that Swift refused; 1

        The function must not raise, wait, or use this object.
        """
        return self._swift.on_event

    @on_event.setter
    def on_event(self, called):
        self._swift.on_event = called

    @property
    def on_failure(self):
        """None, or a function to call with the error of each request to Swift that failed, also if it is sent again.

        The errors are in the module's docstring. The .trans_id of one is the X-Trans-Id of Swift's response, or None if there was
        none. The thread that sent the request calls it. Logins do not count, nor does a 404 or a 401.
        """
        return self._swift.on_failure

    @on_failure.setter
    def on_failure(self, called):
        self._swift.on_failure = called

    @property
    def request_id(self):
        """None, or a function that returns the id of the request that the calling thread works on, or None.

        Swift ends its X-Trans-Id, and so each line of its logs, with the first 32 characters of it. They must be letters, digits, `.`,
        `_` or `-`. https://docs.openstack.org/swift/latest/api/object_api_v1_overview.html, X-Trans-Id-Extra
        """
        return self._swift.request_id

    @request_id.setter
    def request_id(self, called):
        self._swift.request_id = called

    def connect(self):
        """Log in and check the container now, instead of at the first use. Create it if it is missing and may be."""
        self._swift.check_container(at_once=True)

    def impatient(self, seconds):
        """A second `Storage` at the same place. It waits `seconds` for an answer of Swift, and never retries.

        It has one connection, logs in by itself, and shares no lock with this one. So trouble of one does not hold up the other.
        """
        twin = copy.copy(self)
        twin.settings = copy.copy(self.settings)
        twin.settings.retries, twin.settings.pool_size = 0, 1
        twin.settings.connect_timeout = twin.settings.read_timeout = twin.settings.pool_timeout = seconds
        twin._swift = _Swift(twin.settings)
        twin.on_request, twin.on_event = self.on_request, self.on_event
        twin.on_failure, twin.request_id = self.on_failure, self.request_id
        return twin

    def at(self, root):
        """A second `Storage`, for the objects below another root of the same container. '' is the whole container.

        It shares connections, token and caches with this one. Its listings hide nothing: they have segments, too. It finds the
        segments of large objects that this one wrote. Let this one write them: it would not find those of the other.
        """
        twin = copy.copy(self)
        twin._root = _joined(_as_text(root))
        if _has_dots(twin._root):
            raise _error(exceptions.WrongArgumentsError, 'not a valid root: %r' % root)
        twin._others = [self._root] + self._others
        twin._cache = _Cache(self.settings.container, twin._root)
        return twin

    def storage_url(self):
        """The URL of the account: the one in the settings, or else the one that the login returns."""
        return self._swift.storage_url()

    def info(self):
        """What Swift can do: its response to `/info`, a dict by middleware. {} if the site has disabled `/info`.

        https://docs.openstack.org/swift/latest/api/discoverability.html
        """
        return self._swift.info()

    def is_ceph(self):
        """Whether the server is a Ceph RADOS Gateway. False also if the user may not see the container, which would tell."""
        return self._swift.kind() == 'ceph'

    def clock(self):
        """The time by Swift's clock, in whole seconds since the epoch. Our own time if Swift's response has no date."""
        return _date(self._swift.head_container().headers.get('Date', '')) or time.time()

    def identity(self):
        """Texts that together name this place and no other: auth URL, project, account, container and root. Logs in if necessary.

        The host of Swift is not among them: instances may reach the same Swift by its public and by its internal endpoint.
        """
        token, settings = self._swift.token(), self.settings
        account = token.storage_url.rpartition('/')[2]
        return [(settings.authurl or settings.object_storage_url).rstrip('/'), token.project, account, settings.container, self._root]

    # Whole objects

    def get_content(self, path, newest=None):
        """The bytes of an object, in one request. For `newest` see `stat`."""
        return self._cache.read(path, lambda: self.get_object(path, newest)[0])

    def get_object(self, path, newest=None):
        """(the bytes of an object, its `Stat`), in one request to Swift."""
        def attempt():
            stream = Stream(self._swift, self._name(path), newest=self._is_newest(path, newest))
            content = stream.read_all()
            etag = stream.etag or ''
            if re.match('[0-9a-f]{32}$', etag) and etag != _Blocks([content]).etag:
                raise _broken('GET', path, 200, {}, 'the MD5 of the bytes is not the ETag')
            return content, Stat(path, len(content), stream.etag, stream.last_modified, stream.content_type, stream.metadata)
        return self._swift.retrying(attempt)

    def put_content(self, path, content):
        """Store a whole object, replacing what the path held. Returns the path."""
        self._put(path, _Blocks([_as_bytes(content)]))
        return path

    def put_new(self, path, content):
        """Store a whole object, in one request. Returns False, and changes nothing, if the name exists already."""
        with self._cache.changing([path]):
            return self._swift.put(self._name(path), _Blocks([_as_bytes(content)]), new=True)

    def replace(self, path, content, metadata=None):
        """`put_content` that always takes one request. Use it only for names that never hold a large object.

        :param metadata: {name: text} to store with it; see `Stat`
        """
        headers = dict((METADATA + name, value) for name, value in (metadata or {}).items())
        with self._cache.changing([path]):
            self._swift.put(self._name(path), _Blocks([_as_bytes(content)]), headers)

    def _put(self, path, body, **more):
        """Store an object. If it replaces a large object, delete the old segments."""
        name = self._name(path)
        with self._cache.changing([path]):
            # If this process has stored a plain object here, it assumes that the object is still a plain one. If another
            # process has replaced it by a large one, the segments of that are left behind, which costs little.
            if self._plain.discard(name) and not more and not self._may_be_held(path):
                self._swift.put(name, body)
            elif not self._swift.put(name, body, new=True, **more):
                self._require_free(path)
                self._put_over(name, body, more)
            if not more:
                self._plain.add(name)

    def _put_over(self, name, body, more):
        """Replace an existing object. A PUT alone would leave its segments behind."""
        old = self._segments_of(name)
        try:
            self._swift.put(name, body, **more)
        finally:  # also after an error: Swift may have stored the object although its response was lost
            self._abandon(old, name)

    # Streams

    def stream_read(self, path, bytes_range=None, newest=None):
        """A `Stream` of an object, or of the inclusive range (first, last) of it, clamped at the end of the object.

        (first, None) goes to the end; (None, n) is the last n bytes. The request is sent here, so errors come before
        the first byte.

        :raises WrongArgumentsError: the range begins after the end of the object, or ends before it begins
        """
        return Stream(self._swift, self._name(path), bytes_range, self._is_newest(path, newest))

    def stream_write(self, path, fp):
        """Store everything that `fp.read` returns, replacing what the path held. Two segments are in memory at a time.

        Up to the segment size, the result is one object. Above it, it is a static large object. If anything fails, the
        path keeps what it held, and the segments are deleted.
        """
        with self._swift.segments(fp) as source:
            blocks = source.read(*self._segment_sizes(0, 0))
            if not source.has_more():
                return self._put(path, _Blocks(blocks))
            source.put_back(blocks)
            del blocks  # otherwise three segments would be in memory
            parts = self._write_parts(uuid.uuid4().hex, source)
        segments = self._segment_names(parts)
        try:
            self._put(path, _manifest(self._swift, segments, parts), headers=self._manifest_headers(parts), query=_MANIFEST_QUERY)
        except BaseException as error:
            # If only the response was lost and Swift has stored the manifest, this is not a failure.
            if not (self._abandon(segments, self._name(path)) and isinstance(error, exceptions.ConnectionError)):
                raise

    # Large objects in parts

    def write_parts(self, upload_id, fp, first=0, stored=0):
        """Store everything that `fp.read` returns as segments of an upload. Returns a list of `Part`.

        Each segment is written once; their numbers begin at `first`. No object refers to them until `compose`. If
        anything fails, the segments written here are deleted.

        :param stored: bytes in the segments before `first`
        """
        with self._swift.segments(fp) as source:
            return self._write_parts(upload_id, source, first, stored)

    def _write_parts(self, upload_id, source, first=0, stored=0):
        parts, paths = [], []  # the last paths may be those of segments whose responses were lost
        sending = collections.deque()
        try:
            while True:
                blocks = source.read(*self._segment_sizes(first + len(paths), stored))
                if not blocks:
                    parts.extend(one.result() for one in sending)
                    return parts
                paths.append(self.part_path(upload_id, first + len(paths)))
                stored += sum(map(len, blocks))
                # Send a segment while reading the next, and while Swift writes the last one to its disk: a push then takes as
                # long as its slowest side, not as all of them.
                start = _Foreground if source.ended else _Background
                sending.append(start(self._write_part, paths[-1], blocks, source))
                del blocks  # otherwise three segments would be in memory
                if len(sending) == SEGMENTS_HELD:
                    parts.append(sending[0].result())
                    sending.popleft()  # not before: if this thread is killed, it still has to wait for that segment
        except BaseException:
            for one in sending:
                one.wait()
            self._abandon([self._name(path) for path in paths])
            raise

    def _write_part(self, path, blocks, source):
        body = _Blocks(blocks)
        del blocks
        body.start_hashing()
        try:
            with self._swift.sending:
                self._swift.put(self._name(path), body, etag_first=False)
        finally:
            source.sent(body.size)
        return Part(path, body.size, body.etag)

    @staticmethod
    def part_path(upload_id, number):
        """The path that `write_parts` gives to a part. The id consists of letters, digits and `-`."""
        return '%s/%s/%08d' % (SEGMENTS, upload_id, number)

    def _segment_sizes(self, number, stored):
        """(smallest, largest) size of the next segment of an object that has `number` segments with `stored` bytes so far.

        The smallest one is so large that the segments that a manifest may still name can hold as much again.
        """
        largest = self.settings.segment_size
        while largest < LARGEST_GROWN and stored >= SEGMENTS_BEFORE_DOUBLING * largest:
            largest = min(LARGEST_GROWN, 2 * largest)
        left = MOST_SEGMENTS - number
        smallest = min(stored // left, stored // SHARE_OF_STORED, LARGEST_GROWN) if left > 0 else 0
        smallest = max(SMALLEST_SEGMENT, smallest)
        return smallest, max(smallest, largest)

    def _abandon(self, segments, name=None):
        """Delete segments, unless the object at `name` consists of them. Returns whether it does.

        If Swift does not tell, the segments stay. An unused segment costs little, but an object with a hole is lost.
        """
        try:
            named = bool(segments and name and set(segments) & set(self._segments_of(name) or ()))
            if segments and not named:
                self._swift.delete_all(segments)
            return named
        except exceptions.UnspecifiedError as error:
            logger.warning('%d segments are left behind, starting with %s: %s', len(segments), segments[0], error)
            return False

    def compose(self, path, parts, new=False):
        """Commit parts as one object, in one request that moves no bytes. False if `new` is set and the name exists.

        It replaces what the path held, but does not delete the segments of an old large object.

        :raises FileNotFoundError: a part does not exist, or has other bytes
        https://docs.openstack.org/swift/latest/middleware.html#static-large-objects
        """
        parts = [part for part in parts if part.size]  # Ceph answers with broken HTTP for a large object without bytes
        with self._cache.changing([path]):
            if not parts:
                return self._swift.put(self._name(path), _Blocks(), new=new)
            self._plain.discard(self._name(path))
            body, headers = _manifest(self._swift, self._segment_names(parts), parts), self._manifest_headers(parts)
            try:
                return self._swift.put(self._name(path), body, headers, _MANIFEST_QUERY, new)
            except exceptions.BrokenError as error:
                if any(problem.startswith('404') or 'Mismatch' in problem for problem in getattr(error, 'problems', ())):
                    raise _not_found('a part of %s' % path)
                raise

    def put_stream(self, path, fp, upload_id):
        """Store everything that `fp.read` returns: in one request if it fits into a segment, else by `write_parts` and `compose`.

        It replaces what the path held, but does not delete the segments of an old large object. If `fp.read` raises, this
        raises the same error, and the path keeps what it held.
        """
        with self._swift.segments(fp) as source:
            blocks = source.read(*self._segment_sizes(0, 0))
            if not source.has_more():
                with self._cache.changing([path]):
                    self._swift.put(self._name(path), _Blocks(blocks))
                return
            source.put_back(blocks)
            del blocks
            parts = self._write_parts(upload_id, source)
        self.compose(path, parts)

    def _manifest_headers(self, parts):
        return dict(self._segment_headers(parts), Accept='application/json')  # Swift then says in JSON what is wrong with segments

    def _segment_headers(self, parts):
        """The headers of a large object from which `_segments_of` learns its parts. {} if it has to read the manifest.

        A list in an object of its own is written before the large object, and deleted after it with the segments.
        """
        if self._others and self._swift.kind() == 'swift':
            return {}  # the names would be relative to another root than that of the reader
        value = _written_runs(part.path for part in parts)
        if value and len(value) <= LONGEST_METADATA:
            return {SEGMENTS_HEADER: value}
        if self._swift.kind() == 'swift':
            return {}
        list_id = uuid.uuid4().hex
        content = json.dumps([_unicode(part.path) for part in parts]).encode('ascii')
        self._swift.put(self._name(self._list_path(list_id)), _Blocks([content]))
        return {SEGMENT_LIST_HEADER: list_id}

    @staticmethod
    def _list_path(list_id):
        return '%s/%s/list' % (SEGMENTS, list_id)

    def remove_parts(self, parts):
        """Delete segments that no object refers to."""
        if parts:
            self._swift.delete_all(self._segment_names(parts))

    def _segment_names(self, parts):
        return [self._name(part.path) for part in parts]

    def large_object(self, path):
        """What an object consists of, as a `LargeObject`. One request for a plain object, and for a large one that names its segments.

        :raises FileNotFoundError: there is no object
        :raises BrokenError: Swift does not return the manifest, as Ceph for a large object of another client
        """
        return self._large_object(self._name(path))

    def parts_of(self, path):
        """The `Part`s of a static large object, in order, for `compose`. [] for any other object.

        Two requests, or on Ceph one and one for each part.

        :raises FileNotFoundError: there is no object, or (on Ceph) a part is missing
        :raises WrongArgumentsError: `compose` could not make the same object again, because it has segments that are not below
            this root, or that are large objects, or only ranges of segments, or bytes in its manifest
        :raises BrokenError: as `large_object`
        """
        name = self._name(path)
        headers = self._swift.head(name, True, MANIFEST_ITSELF).headers
        if _kind(headers) != 'static':
            return []
        manifest = [] if self._swift.kind() == 'ceph' else self._manifest_of(name)
        parts = self._parts_in(manifest) or [
            self._part(segment) for segment in self._static_segments(name, headers) if not segment.endswith('/list')]
        if None in parts:
            raise _error(exceptions.WrongArgumentsError,
                         'not all segments of %s are whole plain objects below %s' % (path, self._prefix(None) or '/'))
        return parts

    def _parts_in(self, manifest):
        """The `Part` of each entry of a manifest. None for one that `compose` could not write."""
        place = '/%s/%s' % (self.settings.container, self._prefix(None))
        return [None if {'range', 'sub_slo', 'data'} & set(entry) or not _native(entry['name']).startswith(place) else
                Part(_native(entry['name'])[len(place):], entry['bytes'], _native(entry['hash'])) for entry in manifest]

    def _part(self, name):
        """The `Part` of a segment. None if `compose` could not name it."""
        response = self._swift.head(name, True, MANIFEST_ITSELF)
        if _kind(response.headers) != 'plain' or not name.startswith(self._prefix(None)):
            return None
        return Part(self._path(name), response.int_header('Content-Length'), response.headers.get('Etag', '').strip('"'))

    def _segments_of(self, name):
        """The names of a static large object's segments, of those in this container. [] for any other object.

        None if there is no object. A dynamic large object (X-Object-Manifest) owns no segments: others may share them.
        """
        try:
            return self._large_object(name).names
        except exceptions.FileNotFoundError:
            return None

    def _large_object(self, name):
        headers = self._swift.head(name, True, MANIFEST_ITSELF).headers
        kind = _kind(headers)
        prefix = _unquoted(headers['X-Object-Manifest']) if kind == 'dynamic' else None
        return LargeObject(kind, prefix, self._static_segments(name, headers) if kind == 'static' else [])

    def _static_segments(self, name, headers):
        runs = _runs(headers.get(SEGMENTS_HEADER, ''))
        if runs:  # saves a request, and Ceph does not return manifests
            paths = [self.part_path(upload_id, number) for upload_id, number in runs]
            root = self._writer(paths[0])
            if root is not None:
                return [_joined(root, path) for path in paths]
        if SEGMENT_LIST_HEADER in headers:
            return self._listed_segments(name, headers[SEGMENT_LIST_HEADER])
        container = '/%s/' % self.settings.container
        named = [_native(entry.get('name', '')) for entry in self._manifest_of(name, certainly=True)]
        return [segment[len(container):] for segment in named if segment.startswith(container)]

    def _listed_segments(self, name, list_id):
        """The names of the segments in a list of its own, and of that list."""
        path = self._list_path(list_id)
        root = self._writer(path)
        listed = _joined(self._root if root is None else root, path)
        try:
            return [_joined(root, path) for path in map(_native, _from_json(Stream(self._swift, listed).read_all()))] + [listed]
        except exceptions.FileNotFoundError:  # to be told from a large object that is not there
            raise _error(exceptions.BrokenError, 'the list of the segments of %s is missing: %s' % (name, listed))
        except (ValueError, TypeError, AttributeError):
            raise _error(exceptions.BrokenError, 'the list of the segments of %s is none: %s' % (name, listed))

    def _writer(self, path):
        """The root of the `Storage` that wrote the segment or the list at `path`, which is relative to it. None if no one did.

        It is this root, unless `at` made this `Storage`.
        """
        roots = [self._root] + self._others
        return roots[0] if len(roots) == 1 else next((root for root in roots if self._swift.has(_joined(root, path))), None)

    def _manifest_of(self, name, certainly=False):
        """The entries of the manifest of a static large object.

        :param certainly: raise if Swift does not return it; else [], because Ceph never does
        """
        response = self._swift.request('GET', self._swift.object_path(name), MANIFEST_ITSELF, _newest(True))
        if not response.body and not certainly:
            return []
        try:
            entries = _from_json(response.body)
        except ValueError:
            entries = None
        if not isinstance(entries, list) or not all(map(_is_segment, entries)):
            raise _error(exceptions.BrokenError, 'Swift did not return the manifest of %s' % name)
        return entries

    def copy(self, path, to, new=False, etag=None):
        """Copy a plain object inside Swift, with its metadata. Returns False if `new` is set and `to` exists already.

        It takes a HEAD and a PUT, and another HEAD for `new`. If somebody stores `to` after this HEAD, the copy replaces it. A
        large object at `to` leaves its segments behind, as with `compose`.

        :param etag: the ETag that the object must have
        :raises FileNotFoundError: there is no object at `path`, or it has another ETag
        :raises WrongArgumentsError: it is a large object, which Swift would copy as one plain object, and Ceph as another manifest
        :raises BrokenError: the copy has another ETag
        https://docs.openstack.org/swift/latest/middleware.html#server-side-copy
        """
        with self._cache.changing([to]):
            return self._swift.copy(self._name(path), self._name(to), new, etag)

    # Names

    def exists(self, path, newest=None):
        """Whether the object exists. False only if Swift returned 404; any other failure raises."""
        try:
            return bool(self.stat(path, newest))
        except exceptions.FileNotFoundError:
            return False

    def get_size(self, path):
        """The size of an object in bytes, as an int."""
        size = self.stat(path).size
        if size is None:
            raise _error(exceptions.BrokenError, 'Swift did not return the size of %s' % path)
        return size

    def stat(self, path, newest=None):
        """The `Stat` of an object, in one request.

        :param newest: whether to ask all replicas for the newest version; None: as `swift_newest` says
        """
        response = self._swift.head(self._name(path), self._is_newest(path, newest))
        headers = response.headers
        return Stat(path, response.int_header('Content-Length'), headers.get('Etag'), _modified(headers),
                    headers.get('Content-Type'), _metadata(headers))

    def list_directory(self, path=None):
        """The paths of all direct children, objects and pseudo-folders, page by page.

        :raises FileNotFoundError: there are none; raised during iteration, not by the call
        """
        prefix = self._prefix(path)
        found = False
        waiting = []
        for page in self._swift.list_all(prefix, delimiter='/'):
            for child, _ in self._entries(page, prefix):
                # `a` and `a/` are one child. All names that sort between them begin with `a`, too.
                waiting = [name for name in waiting if child.startswith(name)]
                if child not in waiting:
                    waiting.append(child)
                    found = True
                    yield child
        if not found:
            raise _not_found(path)

    def list_page(self, path=None, marker=None, limit=None, recursive=False):
        """One page of `Stat`s below a path, sorted by path, after the path `marker`. An empty page is the end.

        Any other page may have fewer than `limit` entries although there are more. It has the direct children, in which
        pseudo-folders have nothing but a path, or everything if `recursive` is set.
        """
        prefix = self._prefix(path)
        for page in self._swift.list_all(prefix, None if recursive else '/', marker and self._name(marker), limit):
            stats = list(self._stats(page, prefix))
            if stats:  # else the page has only names that are not ours
                return stats
        return []

    def walk(self, path=None, marker=None):
        """The `Stat`s of all objects below a path, sorted by path, after the path `marker`. Reads page by page."""
        prefix = self._prefix(path)
        for page in self._swift.list_all(prefix, marker=marker and self._name(marker)):
            for stat in self._stats(page, prefix):
                yield stat

    def _entries(self, page, prefix):
        """(path, Swift's dict) of each entry, without our segments and the folder markers that other clients create."""
        for entry in page:
            name = _native(entry.get('name') or entry.get('subdir'))
            path = self._path(name).rstrip('/')
            if name != prefix and (self._others or not (path + '/').startswith(SEGMENTS + '/')):
                yield path, entry

    def _stats(self, page, prefix):
        for path, entry in self._entries(page, prefix):
            if _is_ceph_manifest(entry):
                entry = dict(entry, bytes=None, hash=None)
            yield Stat(path, entry.get('bytes'), entry.get('hash'), _listed_time(entry.get('last_modified')),
                       entry.get('content_type'), None)

    # Removing

    def discard(self, path):
        """Delete an object that has no segments, in one request if it exists. Returns whether it existed.

        Use it only for names that never hold a large object, as `replace`.
        """
        with self._cache.changing([path]):
            return self._swift.delete(self._name(path))

    def discard_all(self, paths):
        """`discard` for many paths, with bulk requests if the server supports them. A missing one is no error."""
        paths = list(paths)
        with self._cache.changing(paths):
            self._swift.delete_all([self._name(path) for path in paths], certainly=True)

    def remove(self, path):
        """Delete an object with its segments, or everything below a pseudo-folder.

        The manifest is deleted first. A crash after that leaves unused segments, but never an object with holes.

        A pseudo-folder from which this `Storage` has just removed the last object counts as an empty folder: it can be
        removed once.

        :raises FileNotFoundError: there was nothing to delete
        """
        try:
            self._remove(path)
        except exceptions.FileNotFoundError:
            if not self._emptied.discard(self._name(path)):
                raise
        self._emptied.removed(self._name(path))

    def _remove(self, path):
        name = self._name(path)
        self._require_free(path)
        with self._cache.changing([path]):
            segments = self._segments_of(name)
            if segments is not None:
                self._swift.delete(name)
                return self._swift.delete_all(segments)
        if not self._remove_below(path):
            raise _not_found(path)

    def _remove_below(self, path):
        found = False
        for page in self._swift.list_all(self._prefix(path)):
            names = [_native(entry['name']) for entry in page if 'name' in entry]
            for name in names:
                self._require_free(self._path(name))
            found = True
            # `slo_etag` marks a large object. If the server does not list it, only the size shows a possible one.
            large = [_native(entry['name']) for entry in page
                     if 'slo_etag' in entry or entry.get('bytes', 0) > SMALLEST_SEGMENT or _is_ceph_manifest(entry)]
            segments = [segment for name in large for segment in self._segments_of(name) or ()]
            with self._cache.changing([self._path(name) for name in names]):
                self._swift.delete_all(names, certainly=True)
            self._swift.delete_all(segments)
        return found

    # Holding

    def hold(self, path, why):
        """Let no driver remove or replace the layer of an image of the v1 registry: others need its bytes, or those of its segments.

        Drivers before 0.3 do not know this. The v1 registry itself removes no layers, but scripts do.

        :param why: a text for whoever finds the object that says so
        """
        if not self._may_be_held(path):
            raise _error(exceptions.WrongArgumentsError, 'not the layer of an image: %s' % path)
        self._swift.put(self._held_name(path), _Blocks([_as_bytes(why)]))

    def is_held(self, path):
        """Whether `hold` has been called for a path, by any driver on this container."""
        return self._may_be_held(path) and self._swift.has(self._held_name(path))

    def held(self):
        """Yield the paths below this root for which `hold` has been called, as far as a listing shows them."""
        prefix = self._held_name(self.images)[:-len(self.images)]
        for page in self._swift.list_all(prefix + self.images + '/'):
            for entry in page:
                if 'name' in entry:
                    yield _native(entry['name'])[len(prefix):]

    def why_held(self, path):
        """The text that `hold` was given. :raises FileNotFoundError: the path is not held"""
        return _unicode(Stream(self._swift, self._held_name(path), newest=True).read_all())

    def release(self, path):
        """Undo `hold`: nobody else needs the bytes any more."""
        self._swift.delete(self._held_name(path))

    def _is_listed(self, name):
        """Whether a listing shows an object. A 404 for it alone is no proof that it is gone: its servers may be away."""
        return [_native(entry['name']) for entry in self._swift.list(name, limit=1)] == [name]

    def _held_name(self, path):
        return _joined(HELD, self._name(path))

    def _may_be_held(self, path):
        return path.startswith(self.images + '/') and path.endswith('/layer')

    def _require_free(self, path):
        if self.is_held(path) or self._may_be_held(path) and self._is_listed(self._held_name(path)):
            raise _error(exceptions.WrongArgumentsError, 'the bytes of %s belong to an image of the registry v2 API, too, as %s says' % (
                path, self._held_name(path)))

    # Redirects

    def content_redirect_url(self, path, may_set_key=True):
        """A signed URL with which anyone can GET the object for `swift_temp_url_ttl` seconds.

        None if `swift_temp_url_key` is not set.

        :param may_set_key: False: change nothing in Swift, whatever `swift_temp_url_set_key` says
        :raises ConfigError: Swift refuses what the key signs, and the driver could not set the key
        """
        return self._swift.temp_url(self._name(path), may_set_key) if self.settings.temp_url_key else None

    # Paths

    def _name(self, path):
        """The name of the object at a path. :raises WrongArgumentsError: no object can have this path"""
        path = _as_text(path).strip('/')
        if any(part in ('', '.', '..') for part in path.split('/')) or '\0' in path:
            # HTTP libraries resolve dots, so the request would be for another object.
            raise _error(exceptions.WrongArgumentsError, 'not a valid path of an object: %r' % path)
        name = _joined(self._root, path)
        if len(_as_bytes(name)) > LONGEST_NAME:
            raise _error(exceptions.WrongArgumentsError, 'the name of an object is longer than the %d bytes that Swift allows: %s' % (
                LONGEST_NAME, name))
        return name

    def _path(self, name):
        return name[len(self._root) + 1:] if self._root else name

    def _prefix(self, path):
        """The prefix of all names below a path. Its slash excludes siblings whose names begin with the same letters."""
        prefix = self._name(path) if path and _as_text(path).strip('/') else self._root
        return prefix and prefix + '/'

    def _is_newest(self, path, newest):
        """Whether to ask for the newest version. In an image's folder, only the marks of its upload ever change."""
        if newest is None:
            written_once = path.startswith(self.images + '/') and not path.endswith(('/_inprogress', '/_checksum'))
            newest = {'always': True, 'never': False, 'mutable': not written_once}[self.settings.newest]
        return newest


class _Names(object):
    """The names of up to 10,000 objects. The least recently used name is forgotten first."""

    MOST = 10000

    def __init__(self):
        self._names = collections.OrderedDict()
        self._lock = threading.Lock()

    def discard(self, name):
        """Forget a name. Returns whether it was known."""
        with self._lock:
            return self._names.pop(name, False)

    def add(self, name):
        with self._lock:
            self._names[name] = True
            if len(self._names) > self.MOST:
                self._names.popitem(last=False)


class _Emptied(object):
    """The folders from which something was removed in the last minute: up to 1000, the oldest is forgotten first.

    The v1 registry deletes the tags of a repository one by one, and then the folder of the repository. A file system
    still has that folder, but Swift has no folders. Without this memory, the registry would tell its client that the
    repository it has just deleted did not exist.
    """

    MOST, SECONDS = 1000, 60

    def __init__(self):
        self._times = collections.OrderedDict()
        self._lock = threading.Lock()

    def removed(self, name):
        """Remember the folders that `name` was in. Forget it and those below it: they are gone for good."""
        parts = name.split('/')
        with self._lock:
            for folder in [folder for folder in self._times if (folder + '/').startswith(name + '/')]:
                del self._times[folder]
            for depth in range(1, len(parts)):
                folder = '/'.join(parts[:depth])
                self._times.pop(folder, None)  # so that it is the newest
                self._times[folder] = time.time()
            while len(self._times) > self.MOST:
                self._times.popitem(last=False)

    def discard(self, name):
        """Forget a folder. Returns whether it was known."""
        with self._lock:
            return time.time() - self._times.pop(name, 0) < self.SECONDS


class _Foreground(object):
    """A call in this thread, and its result."""

    def __init__(self, call, *arguments):
        self._value = call(*arguments)

    def wait(self):
        pass

    def result(self):
        return self._value


class _Background(object):
    """A call in another thread (a greenlet, if gevent has replaced threads), and its result or its error."""

    def __init__(self, call, *arguments):
        self._value = self._error = None
        run = copy_context().run if copy_context else lambda call, *arguments: call(*arguments)
        self._thread = threading.Thread(target=self._run, args=(run, call) + arguments)
        self._thread.daemon = True
        self._thread.start()

    def _run(self, run, call, *arguments):
        try:
            self._value = run(call, *arguments)
        except BaseException as error:
            self._error = error

    def wait(self):
        self._thread.join()

    def result(self):
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value


def _manifest(swift, names, parts):
    """The body of a manifest PUT. It has the ETag and the size of each part, and Swift checks them."""
    return _Blocks([json.dumps([
        {'path': '/%s/%s' % (swift.settings.container, name), 'etag': part.etag, 'size_bytes': part.size}
        for name, part in zip(names, parts)]).encode('ascii')])


def _written_runs(paths):
    """The value of SEGMENTS_HEADER, or None if a path is not one that `part_path` makes."""
    runs = []
    for path in paths:
        match = re.match(SEGMENTS + r'/([\w-]+)/(\d{8})$', path)
        if not match:
            return None
        upload_id, number = match.group(1), int(match.group(2))
        if runs and runs[-1][0] == upload_id and sum(runs[-1][1:]) == number:
            runs[-1][1] += 1
        else:
            runs.append([upload_id, 1, number])
    return ', '.join('%s %d %d' % tuple(run) if run[2] else '%s %d' % tuple(run[:2]) for run in runs)


def _runs(value):
    """The (upload id, number) of each segment that a SEGMENTS_HEADER names. [] if it is empty or not ours."""
    runs = [re.match(r'([\w-]+) (\d{1,8})(?: (\d{1,8}))?$', run.strip()) for run in value.split(',')]
    if not all(runs) or sum(int(run.group(2)) for run in runs) > MOST_NAMED:
        return []
    return [(run.group(1), int(run.group(3) or 0) + number) for run in runs for number in range(int(run.group(2)))]


def _unicode(text):
    return text.decode('utf-8') if isinstance(text, bytes) else text


def _unquoted(header):
    """What a percent-encoded header says."""
    return unquote(header if PYTHON2 else header.encode('latin-1'))


def _as_bytes(content):
    return content.encode('utf-8') if isinstance(content, text_type) else content


def _joined(*paths):
    return '/'.join(filter(None, (path.strip('/') for path in paths)))


def _has_dots(path):
    return bool(set(path.split('/')) & {'.', '..'})


def _metadata(headers):
    return dict((name[len(METADATA):].lower(), value) for name, value in headers.items() if name.lower().startswith(METADATA.lower()))


def _whole_number(text):
    """The number that some digits are, or None. int() and isdigit() also take digits that are not ASCII, and any number of them."""
    return int(text) if re.match(r'[0-9]{1,18}$', text) else None


def _from_json(content):
    """What a JSON document holds. :raises ValueError: it is not JSON in UTF-8, or is nested too deeply"""
    try:
        return json.loads(content.decode('utf-8'))
    except RuntimeError:  # on Python 3, a RecursionError
        raise ValueError('it is nested too deeply')


def _is_entry(entry):
    """Whether this is an entry of a listing."""
    return (isinstance(entry, dict) and isinstance(entry.get('name') or entry.get('subdir'), text_type)
            and isinstance(entry.get('bytes', 0), int) and isinstance(entry.get('last_modified', u''), text_type))


def _is_segment(entry):
    """Whether this is an entry of a manifest: it names a segment, or has bytes itself."""
    return isinstance(entry, dict) and ('data' in entry or isinstance(entry.get('bytes'), int) and all(
        isinstance(entry.get(key), text_type) for key in ('name', 'hash')))


def _date(text):
    """Seconds since the epoch, from a date of HTTP. None if it is not one."""
    date = email.utils.parsedate_tz(text)
    try:
        return email.utils.mktime_tz(date) if date else None
    except (ValueError, OverflowError):
        return None


def _modified(headers):
    try:
        stamp = float(headers.get('X-Timestamp', ''))
    except ValueError:
        return _date(headers.get('Last-Modified', ''))
    return stamp if 0 <= stamp < float('inf') else None


def _is_ceph_manifest(entry):
    """Whether this is a large object in a listing of Ceph: it has the size of the manifest, and the ETag of nothing."""
    return entry.get('hash') == ETAG_OF_NOTHING and entry.get('bytes', 0) > 0


def _listed_time(text):
    """Seconds since the epoch, from a listing's `2026-01-31T12:00:00.123456`, which is in UTC."""
    match = re.match(r'(\d{4})-([01]\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?', text or '')
    if not match or not 1 <= int(match.group(2)) <= 12 or match.group(1) == '0000':
        return None
    return calendar.timegm(tuple(map(int, match.groups()[:6]))) + float(match.group(7) or 0)


# --- core's path helpers on Python 3 --------------------------------------------------------------------------
#
# docker-registry-core 2.0.3 wraps each helper in `filter_args`, which calls `urllib.quote_plus` and `dict.iteritems`.
# Neither exists on Python 3. The wrapped functions themselves work, so the same filter is put around them here.


def _filtered(helper):
    @functools.wraps(helper)
    def filtered(self, *names, **named):
        return helper(self, *map(_checked, names), **dict((key, _checked(name)) for key, name in named.items()))
    return filtered


def _checked(name):
    name = str(name)
    return quote_plus({'.': '%2E', '..': '%2E%2E'}.get(name, name))


if not PYTHON2:
    for _helper_name, _helper in list(vars(driver.Base).items()):
        if hasattr(_helper, '__wrapped__'):
            setattr(Storage, _helper_name, _filtered(_helper.__wrapped__))
