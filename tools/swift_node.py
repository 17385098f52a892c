#!/usr/bin/env python3
"""Runs a complete OpenStack Swift on this machine, for tests, benchmarks and a first try.  It only needs `pip install swift`.

It starts Swift's own proxy, account, container and object servers on free loopback ports, with one replica in one folder and
TempAuth (v1).  When Swift is ready, it prints one line of JSON with the URLs and the credentials.  It runs until SIGTERM or
SIGINT, or with --stdin until its standard input ends.  Then it stops everything that it started.

    swift_node.py                               a temporary Swift
    swift_node.py --data /srv/swift --port 8080 keeps its objects for the next start, which may use another port
    swift_node.py --keystone                    logs in as on an OpenStack cloud (also needs requirements-keystone.txt)
    swift_node.py --nodes 4 --replicas 3 --stdin
                                                several nodes, which can be killed, stopped and started (see below)
"""
# As a module:
#
#     with SwiftNode(data='/srv/swift') as node:
#         swiftclient.Connection(node.auth_url, node.user, node.key)

import argparse
import base64
import configparser
import contextlib
import fcntl
import functools
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from keystone_node import KeystoneError, KeystoneNode

SERVERS = ('proxy', 'object', 'container', 'account')
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PART_POWER = 4  # of the rings; if it changes, Swift no longer finds objects that were written before
START_AGENT = 'swift-node-start'  # User-Agent of our own first requests, which are not logged

PIPELINE = (
    'request-log catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl ratelimit tempauth copy '
    'container-quotas account-quotas slo dlo versioned_writes symlink keymaster encryption proxy-server'
).split()
ENCRYPTION = ('keymaster', 'encryption')
KEYSTONE_AUTH = ['authtoken', 'keystoneauth']  # in place of tempauth

FILTERS = {  # filters that differ from Swift's defaults
    'request-log': {'paste.filter_factory': 'swift_node:request_log'},
    'cache': {'paste.filter_factory': 'swift_node:cache'},
    'tempurl': {'allowed_digests': 'sha1 sha256 sha512'},
    'versioned_writes': {'allow_versioned_writes': 'true'},
    'keymaster': {'encryption_root_secret': base64.b64encode(b'a key for tests: it hides nothing.').decode()},
}

# Clients see Swift's defaults.  Only the timeouts between the servers are longer: on a loaded machine a server can be slow, and
# with a single replica there is no other server to ask.
EVERY_SERVER = {
    'mount_check': 'false',
    'disable_fallocate': 'true',
    'fallocate_reserve': '0',
    'log_level': 'WARNING',
    'log_custom_handlers': 'swift_node.log_to_stderr',
    'conn_timeout': '20',
    'node_timeout': '60',
    'container_update_timeout': '20',
    'error_suppression_interval': '0',
    'account_autocreate': 'true',
}


class StartError(Exception):
    """Swift did not start, or ended by itself.  The message says why and has the end of its log."""


class SwiftNode:
    """One Swift.  `start` returns when it is ready; `stop` ends all processes, and removes the folder unless `data` was given.

    data        folder for the objects, created if missing, on a file system with user xattrs; None: a temporary folder
    port        port of the proxy; 0: a free port
    user, key   credentials that can log in; the user has the form account:name
    token_life  seconds until a token expires
    delay_ms    milliseconds that each client request waits before Swift receives it
    without     names of filters to leave out, such as 'bulk'
    encryption  whether Swift encrypts objects on disk
    keystone    whether to run a Keystone instead of TempAuth; the user then has the form project:name; not with `data`
    settings    more settings of Swift, {(section, option): value}; a section is swift-constraints, or one of
                proxy-server.conf, including DEFAULT

    Attributes after the start: auth_url, storage_url, user, key, port, request_log and swift_log (paths), and keystone, which
    is None or a KeystoneNode.
    """

    def __init__(
        self,
        data=None,
        port=0,
        user='test:tester',
        key='testing',
        token_life=86400,
        delay_ms=0,
        without=(),
        encryption=False,
        settings=None,
        start_timeout=60,
        keystone=False,
    ):
        if user.count(':') != 1 or not all(user.split(':')):
            raise ValueError('the user must be account:name, not %r' % user)
        if key.split() != [key] or '%(' in key:
            raise ValueError('the key must be one word, without %( in it')
        if keystone and data is not None:
            raise ValueError('Keystone does not keep its data: do not give a data folder with it')
        unknown = sorted(set(without) - set(PIPELINE[:-1]))
        if unknown:
            raise ValueError('no such filter: %s' % ', '.join(unknown))
        self.user, self.key, self.port = user, key, port
        self._folder, self._kept = None if data is None else os.path.abspath(data), data is not None
        self._pipeline = [name for name in PIPELINE if name not in without and (encryption or name not in ENCRYPTION)]
        if keystone:
            tempauth = self._pipeline.index('tempauth')
            self._pipeline[tempauth : tempauth + 1] = KEYSTONE_AUTH
        self._with_keystone, self._token_life, self.keystone = keystone, token_life, None
        self._settings = {('filter:request-log', 'delay_ms'): delay_ms, ('filter:tempauth', 'token_life'): token_life}
        self._settings.update(settings or {})
        self._start_timeout = start_timeout
        self._process = self._lock = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()

    def start(self):
        try:
            with signals_held():  # a signal in between would leave a folder or process behind
                self._make_folders()
                self._launch_keystone()
                self._write_configuration()
                self._launch()
            self._wait_for_servers()
            self.storage_url = self._make_account(*self._keystone_login() if self.keystone else self._log_in())
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop the servers.  Can be called again, and after a failed start."""
        if self.keystone:
            self.keystone.stop()
            self.keystone = None
        if self._process:
            self._process.stdin.close()
            self._signal(signal.SIGTERM)
            if not self._servers_end(10):
                self._signal(signal.SIGKILL)
                self._servers_end(10)
            self._process.stdout.close()
            self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._folder and not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def facts(self):
        """More for the line of JSON."""
        return self.keystone.facts() if self.keystone else {}

    def wait(self, descriptor=None):
        """Block until `descriptor` ends; without one, for ever.  :raises StartError, KeystoneError: a server ended meanwhile"""
        ends = [self._process.stdout] + ([self.keystone.output] if self.keystone else [])
        while True:
            ended = select.select(ends + ([] if descriptor is None else [descriptor]), [], [])[0]
            if self._process.stdout in ended:
                raise self._error('ended')
            if self.keystone and self.keystone.output in ended:
                raise self.keystone.error('ended')
            if not os.read(descriptor, 4096):
                return

    # -- folders and configuration

    def _make_folders(self):
        if not self._kept:
            self._folder = tempfile.mkdtemp(prefix='swift-node-')
        self._etc, self._devices = os.path.join(self._folder, 'etc'), os.path.join(self._folder, 'devices')
        log = os.path.join(self._folder, 'log')
        for folder in [self._etc, log] + [os.path.join(self._devices, device) for device in self._device_names()]:
            os.makedirs(folder, exist_ok=True)
        self._lock = lock(os.path.join(self._folder, 'lock'))
        check_xattrs(self._devices)
        self.request_log, self.swift_log = os.path.join(log, 'requests.log'), os.path.join(log, 'swift.log')
        for path in (self.request_log, self.swift_log):
            open(path, 'w').close()

    def _device_names(self):
        """Folders below the folder `devices`."""
        return ['d1']

    def _write_configuration(self):
        swift, proxy = self._swift_conf(), self._proxy_conf()
        for (section, option), value in self._settings.items():
            conf = swift if section in swift else proxy
            if section not in conf:
                raise ValueError('Swift has no section [%s] here' % section)
            conf[section][option] = str(value)
        self._write('swift.conf', swift)
        self._write('proxy-server.conf', proxy)
        self._write_servers()

    def _write_servers(self):
        for name in SERVERS[1:]:
            self._write(
                name + '-server.conf',
                {
                    'DEFAULT': self._defaults(),
                    'pipeline:main': {'pipeline': name + '-server'},
                    'app:%s-server' % name: {'use': 'egg:swift#' + name},
                },
            )

    def _defaults(self):
        return dict(EVERY_SERVER, swift_dir=self._etc, devices=self._devices, recon_cache_path=self._etc)

    def _swift_conf(self):
        return {'swift-hash': {'swift_hash_path_suffix': 'swift_node'}, 'swift-constraints': {}}

    def _proxy_conf(self):
        conf = {
            'DEFAULT': self._defaults(),
            'pipeline:main': {'pipeline': ' '.join(self._pipeline)},
            'app:proxy-server': {'use': 'egg:swift#proxy'},
        }
        for name in PIPELINE[:-1] + (KEYSTONE_AUTH if self.keystone else []):
            ours = self.keystone.authtoken() if name == 'authtoken' else FILTERS.get(name, {})
            used = {} if 'paste.filter_factory' in ours else {'use': 'egg:swift#' + name.replace('-', '_')}
            conf['filter:' + name] = dict(used, **ours)
        conf['filter:request-log']['path'] = self.request_log
        account_and_name = [base64.b64encode(part.encode()).decode().rstrip('=') for part in self.user.split(':')]
        conf['filter:tempauth']['user64_' + '_'.join(account_and_name)] = self.key + ' .admin'
        return conf

    def _write(self, name, sections):
        conf = configparser.RawConfigParser()
        conf.optionxform = str
        conf.read_dict(sections)
        with open(os.path.join(self._etc, name), 'w') as file:
            conf.write(file)

    # -- processes

    def _launch_keystone(self):
        """Start Keystone if it is wanted.  It gets ready while Swift does."""
        if self._with_keystone:
            self.keystone = KeystoneNode(os.path.join(self._folder, 'keystone'), self._token_life, self._start_timeout)
            self.keystone.start()

    def _launch(self):
        """Start the servers on sockets that listen already, so that no other program can take a port in between."""
        sockets = {}
        try:
            for name in SERVERS:
                sockets[name] = listen(self.port if name == 'proxy' else 0)
            self.port = sockets['proxy'].getsockname()[1]
            descriptors = {name: sock.fileno() for name, sock in sockets.items()}
            with open(self.swift_log, 'a') as log:
                self._process = subprocess.Popen(
                    [sys.executable, '-W', 'ignore', os.path.abspath(__file__), '--serve', self._etc, json.dumps(descriptors)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    cwd=self._folder,
                    start_new_session=True,
                    pass_fds=list(descriptors.values()) + [self._lock],
                )
        finally:
            for sock in sockets.values():
                sock.close()

    def _wait_for_servers(self):
        """Wait until each server has written its name, which it does when it accepts requests."""
        deadline, said = time.monotonic() + self._start_timeout, b''
        while len(said.split()) < len(SERVERS):
            if not self._readable(deadline):
                raise self._error('did not start within %d seconds' % self._start_timeout, said)
            news = os.read(self._process.stdout.fileno(), 4096)
            if not news:
                raise self._error('ended while starting', said)
            said += news

    def _servers_end(self, seconds):
        """Whether all servers have ended in time.  Each holds the other end of the pipe while it runs."""
        deadline = time.monotonic() + seconds
        while self._readable(deadline):
            if not os.read(self._process.stdout.fileno(), 4096):
                return True
        return False

    def _readable(self, deadline):
        return select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]

    def _signal(self, number):
        """Send a signal to all servers.  They are their own process group, so that Ctrl-C reaches only the node."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _error(self, what, said=b''):
        missing = [name for name in SERVERS if name not in said.decode().split()]
        return StartError('Swift (%s) %s; the last lines of its log:\n%s' % (', '.join(missing), what, tail(self.swift_log)))

    # -- the first requests

    def _log_in(self):
        """The storage URL and the token, from a login as any client does it."""
        self.auth_url = 'http://127.0.0.1:%d/auth/v1.0' % self.port
        answer = self._request('GET', '/auth/v1.0', {'X-Auth-User': self.user, 'X-Auth-Key': self.key})
        return answer.getheader('X-Storage-Url'), answer.getheader('X-Auth-Token')

    def _keystone_login(self):
        self.auth_url = self.keystone.auth_url
        project, self.user = self.user.split(':')
        self.keystone.register('http://127.0.0.1:%d' % self.port, project, self.user, self.key)
        return self.keystone.log_in()

    def _make_account(self, url, token):
        self._request('POST', urllib.parse.urlsplit(url).path, {'X-Auth-Token': token, 'Content-Length': '0'})
        return url

    def _request(self, method, path, headers):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=self._start_timeout)
        try:
            connection.request(method, path, headers=dict(headers, **{'User-Agent': START_AGENT}))
            answer = connection.getresponse()
        finally:
            connection.close()
        if answer.status not in (200, 201, 204):
            raise self._error('returned %s %s' % (answer.status, answer.reason))
        return answer


@contextlib.contextmanager
def signals_held():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tail(path):
    with open(path, errors='replace') as log:
        return ''.join(log.readlines()[-40:])


def listen(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(('127.0.0.1', port))
        sock.listen(1024)
    except (OSError, OverflowError) as error:
        sock.close()
        raise StartError('cannot listen on 127.0.0.1:%d: %s' % (port, getattr(error, 'strerror', error)))
    return sock


def lock(path, seconds=3):
    """A descriptor that locks the file.  The servers inherit it, so the lock is free only when all of them have ended."""
    descriptor, deadline = os.open(path, os.O_RDWR | os.O_CREAT, 0o644), time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StartError('another node runs in %s' % os.path.dirname(path))
            time.sleep(0.05)


def check_xattrs(folder):
    """Check for extended attributes, in which Swift stores the metadata of an object."""
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        try:
            os.setxattr(probe.name, 'user.swift.metadata', b'x' * 1024)
        except OSError as error:
            raise StartError(
                'the file system of %s has no user xattrs (%s), which Swift needs: '
                'choose another folder with --data or TMPDIR' % (folder, error.strerror)
            )


# -- inside the processes of Swift


def serve(etc, descriptors):
    """Import Swift once and fork the servers.  When one server ends, this process stops the others and ends."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # the parent blocked them when it started us
    from swift.common.utils import set_swift_dir

    set_swift_dir(etc)  # before the imports below, which read their limits from swift.conf at once
    sockets = {name: socket.socket(fileno=descriptor) for name, descriptor in descriptors.items()}
    for name in SERVERS[1:]:
        write_ring(etc, name, sockets[name].getsockname()[1])
    lifeline = os.pipe()
    servers = [fork(run_server, etc, name, sockets, lifeline) for name in SERVERS]
    os.wait()
    for server in servers:
        try:
            os.kill(server, signal.SIGTERM)
        except ProcessLookupError:
            pass
    return 1


def write_ring(etc, name, port):
    """Write a ring with one replica on one device.  The port may differ at each start, since no object depends on it."""
    from swift.common.ring import RingData

    device = {
        'id': 0,
        'region': 1,
        'zone': 1,
        'weight': 1.0,
        'device': 'd1',
        'meta': '',
        'ip': '127.0.0.1',
        'port': port,
        'replication_ip': '127.0.0.1',
        'replication_port': port,
    }
    RingData([[0] * 2**PART_POWER], [device], 32 - PART_POWER).save(os.path.join(etc, name + '.ring.gz'))


def fork(function, *args):
    """Start a process that calls the function and then ends.  Returns its id."""
    process = os.fork()
    if process:
        return process
    try:
        function(*args)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(1)


def run_server(etc, name, sockets, lifeline):
    """Serve until standard input or the lifeline ends.

    The node holds the other end of standard input, and the forking process that of the lifeline.  So a server ends with
    either of them, even if one is killed.
    """
    os.close(lifeline[1])
    for descriptor in (0, lifeline[0]):
        threading.Thread(target=exit_at_end_of, args=(descriptor,), daemon=True).start()
    node = os.dup(1)
    os.dup2(2, 1)  # anything that Swift prints goes to the log
    sock = sockets.pop(name)
    for other in sockets.values():
        other.close()

    def ready(conf):
        if name in CHORES:
            import eventlet

            eventlet.spawn(CHORES[name], conf)
        os.write(node, name.encode() + b'\n')

    answer_requests(os.path.join(etc, name + '-server.conf'), name, sock, ready)


def answer_requests(conf_path, name, sock, ready=lambda conf: None, log_name=None):
    """Be the server `name` on a socket that listens, for ever.  Calls `ready` with the configuration when it accepts requests."""
    import eventlet
    from swift.common import utils, wsgi

    utils.monkey_patch()
    utils.disable_fallocate()
    conf = wsgi.appconfig(conf_path, name=name + '-server')
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wsgi.run_server(
        conf,
        utils.get_logger(conf, log_name or name, log_route=name),
        eventlet.greenio.GreenSocket(sock),
        global_conf={'log_name': log_name or name},
        ready_callback=lambda: ready(conf),
    )


def exit_at_end_of(descriptor):
    while os.read(descriptor, 4096):
        pass
    os._exit(0)


def complete_listings(conf, interval=1):
    """Do the work of Swift's object updater: add objects to listings that a busy container server did not accept."""
    import eventlet
    from swift.obj.updater import ObjectUpdater

    updater = ObjectUpdater(dict(conf, objects_per_second='1000'))
    device = os.path.join(updater.devices, 'd1')
    while True:
        eventlet.sleep(interval)
        if os.path.isdir(os.path.join(device, 'async_pending')):
            updater.begin = time.time()
            updater.object_sweep(device)


def report_usage(conf, interval=2):
    """Do the work of Swift's container updater: report each container's objects and bytes to the account."""
    import eventlet
    from swift.container.updater import ContainerUpdater

    updater = ContainerUpdater(conf)
    while True:
        eventlet.sleep(interval)
        for path in updater.get_paths():
            updater.container_sweep(path)


CHORES = {'object': complete_listings, 'container': report_usage}


def log_to_stderr(conf, name, log_to_console, log_route, fmt, logger, adapted_logger):
    """Swift's hook `log_custom_handlers`.  Loggers write to standard error, which is the log file, instead of syslog."""
    import logging

    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter('%(asctime)s ' + name + ' %(levelname)s %(message)s'))
    logger.addHandler(handler)


# -- filters of the proxy's pipeline


class Filter:
    """A filter.  It is a class, not a function, because Swift sets attributes on each part of its pipeline."""

    def __init__(self, app, call):
        self._app, self._call = app, call

    def __call__(self, environ, start_response):
        return self._call(self._app, environ, start_response)


def cache(global_conf, **conf):
    """Takes the place of memcached.  A single proxy process can use its own memory."""
    memory = Memory()

    def with_cache(app, environ, start_response):
        environ['swift.cache'] = memory
        return app(environ, start_response)

    return lambda app: Filter(app, with_cache)


class Memory:
    """The part of swift.common.memcached.MemcacheRing that the proxy uses.  Values are stored as JSON, so none is shared."""

    def __init__(self):
        self._entries = {}

    def get(self, key, raise_on_error=False):
        value, end = self._entries.get(key, ('null', 0))
        return json.loads(value) if not end or time.time() < end else None

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        self._entries[key] = json.dumps(value), end_of(time)

    def incr(self, key, delta=1, time=0):
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0):
        return self.incr(key, -int(delta), time)

    def delete(self, key, server_key=None):
        self._entries.pop(key, None)


def end_of(seconds):
    """When an entry expires, as in memcached: 0 means never, and more than 30 days is an absolute time."""
    return seconds if not seconds or seconds > 30 * 86400 else time.time() + seconds


def request_log(global_conf, path, delay_ms='0', **conf):
    """The log of requests.  It is first in the pipeline, so it sees each client request once and no internal ones."""
    log, delay = open(path, 'a'), float(delay_ms) / 1000

    def logged(app, environ, start_response):
        if environ.get('HTTP_USER_AGENT') == START_AGENT:
            return app(environ, start_response)
        exchange = Exchange(log, environ)
        if delay:
            import eventlet

            eventlet.sleep(delay)
        return exchange.answer(app, environ, start_response)

    return lambda app: Filter(app, logged)


class Exchange:
    """A request and its response.  The line is in the log before the last byte is sent, so a client finds its own line."""

    def __init__(self, log, environ):
        self._log, self._begun = log, time.time()
        self._method, self._target = environ['REQUEST_METHOD'], environ['RAW_PATH_INFO']
        if environ.get('QUERY_STRING'):
            self._target += '?' + environ['QUERY_STRING']
        self._input = environ['wsgi.input'] = CountedInput(environ['wsgi.input'])
        self._status, self._length, self._sent = '-', None, 0

    def answer(self, app, environ, start_response):
        def started(status, headers, exc_info=None):
            self._status = status.split()[0]
            lengths = [int(value) for name, value in headers if name.lower() == 'content-length']
            self._length = lengths[0] if lengths else None
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            chunks = app(environ, started)
        except BaseException:
            self.end()
            raise
        if isinstance(chunks, (list, tuple)):
            self.count(b''.join(chunks))
            self.end()
            return chunks
        return (SizedBody if hasattr(chunks, '__len__') else Body)(chunks, self)

    def count(self, chunk):
        self._sent += len(chunk)
        if self._sent == self._length:
            self.end()

    def end(self):
        """Write the line, if it has not been written yet."""
        if self._log:
            self._log.write(
                '%s %s %s %d %d %.4f\n'
                % (self._method, self._target, self._status, self._input.count, self._sent, time.time() - self._begun)
            )
            self._log.flush()
            self._log = None


class Body:
    """The body of a response.  Counts its bytes."""

    def __init__(self, chunks, exchange):
        self._chunks, self._exchange = chunks, exchange

    def __iter__(self):
        for chunk in self._chunks:
            self._exchange.count(chunk)
            yield chunk
        self._exchange.end()

    def close(self):
        self._exchange.end()
        if hasattr(self._chunks, 'close'):
            self._chunks.close()


class SizedBody(Body):
    """A body with a length.  It keeps the length because the server frames the response, and may close, by it."""

    def __len__(self):
        return len(self._chunks)


class CountedInput:
    def __init__(self, stream):
        self._stream, self.count = stream, 0

    def read(self, *args):
        return self._counted(self._stream.read(*args))

    def readline(self, *args):
        return self._counted(self._stream.readline(*args))

    def __iter__(self):
        return iter(self.readline, b'')

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def _counted(self, data):
        self.count += len(data)
        return data


# -- the program


def parse_arguments(argv):
    import swift_commands  # which imports this module

    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__, epilog=swift_commands.__doc__
    )
    add = parser.add_argument
    add('--nodes', type=int, default=1, metavar='N', help='number of nodes, each with its own servers (default %(default)s)')
    add('--replicas', type=int, default=1, metavar='N', help='on how many nodes each object is stored (default %(default)s)')
    add('--data', metavar='DIR', help='keep everything in DIR (default: a temporary folder, removed at the end)')
    add('--port', type=int, default=0, help='port of the proxy (default: a free port)')
    add('--user', default='test:tester', help='account:name that can log in (default %(default)s)')
    add('--key', default='testing', help='key of the user (default %(default)s)')
    add('--stdin', action='store_true', help='also stop when standard input ends, for example because the parent process ended')
    add('--token-life', type=int, default=86400, metavar='SECONDS', help='how long a token is valid (default: a day)')
    add('--delay-ms', type=float, default=0, metavar='N', help='delay every request by N milliseconds, like a network')
    add('--keystone', action='store_true', help='run a Keystone (v3) instead of TempAuth (v1); not with --data')
    add('--encryption', action='store_true', help='encrypt objects on disk, with a key that is not secret')
    add('--without', action='append', default=[], metavar='FILTER', help='leave out a filter: bulk, slo, tempurl, ... (repeatable)')
    add('--no-bulk', action='append_const', dest='without', const='bulk', help='same as --without bulk')
    add(
        '--set',
        action='append',
        default=[],
        type=setting,
        dest='settings',
        metavar='SECTION:OPTION=VALUE',
        help="change a setting in Swift's proxy-server.conf or swift.conf, such as swift-constraints:max_file_size=9000000, "
        'filter:slo:max_manifest_segments=3 or DEFAULT:client_timeout=5 (repeatable)',
    )
    add(
        '--listing-limit',
        type=int,
        action=Setting,
        const=('swift-constraints', 'container_listing_limit'),
        metavar='N',
        help='maximum number of names in a page of a listing (default 10000)',
    )
    add(
        '--max-deletes',
        type=int,
        action=Setting,
        const=('filter:bulk', 'max_deletes_per_request'),
        metavar='N',
        help='maximum number of names in a bulk delete (default 10000)',
    )
    return parser.parse_args(argv)


class Setting(argparse.Action):
    """An option that changes one setting of Swift."""

    def __call__(self, parser, options, value, option_string=None):
        options.settings = options.settings + [(self.const, value)]


def setting(text):
    name, found, value = text.partition('=')
    section, colon, option = name.rpartition(':')
    if not (found and section and option):
        raise argparse.ArgumentTypeError('%r is not SECTION:OPTION=VALUE' % text)
    return (section, option), value


def run(options):
    import swift_cluster

    several = options.nodes > 1 or options.replicas > 1
    make = functools.partial(swift_cluster.SwiftCluster, options.nodes, options.replicas) if several else SwiftNode
    with make(
        data=options.data,
        port=options.port,
        user=options.user,
        key=options.key,
        token_life=options.token_life,
        delay_ms=options.delay_ms,
        without=options.without,
        encryption=options.encryption,
        settings=dict(options.settings),
        keystone=options.keystone,
    ) as node:
        facts = {
            'auth_url': node.auth_url,
            'user': node.user,
            'key': node.key,
            'storage_url': node.storage_url,
            'log': node.request_log,
            'swift_log': node.swift_log,
            'pid': os.getpid(),
        }
        print(json.dumps(dict(facts, **node.facts())), flush=True)
        node.wait(0 if options.stdin else None)


def main(argv):
    if argv[:1] == ['--serve']:
        return serve(argv[1], json.loads(argv[2]))
    options = parse_arguments(argv)
    for number in STOPPING:
        signal.signal(number, stop)
    try:
        run(options)
    except (StartError, KeystoneError, ValueError) as error:
        print('swift_node: %s' % error, file=sys.stderr)
        return 1


def stop(number, frame):
    """Exit through the `with` in `run`.  Further signals are ignored so that it can finish."""
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == '__main__':
    import swift_node  # this file, under the name by which Swift and swift_cluster know it

    sys.exit(swift_node.main(sys.argv[1:]))
