#!/usr/bin/env python3
"""A complete OpenStack Swift on one machine, for tests, benchmarks and a first try; needs nothing but `pip install swift`.

The proxy, account, container and object servers of Swift itself, one replica on one folder, TempAuth (v1), on free
loopback ports.  It prints one line of JSON once it answers, and runs until SIGTERM, SIGINT or (with --stdin) the end of
its standard input; then it stops what it started.  As a module:

    with SwiftNode(data='/srv/swift') as node:
        swiftclient.Connection(node.auth_url, node.user, node.key)
"""

import argparse
import base64
import collections
import fcntl
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

SERVERS = ('proxy', 'object', 'container', 'account')
PIPELINE = ('request-log catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl ratelimit tempauth copy '
            'container-quotas account-quotas slo dlo versioned_writes symlink keymaster encryption proxy-server').split()
PART_POWER = 4  # of the rings; data written with another is not found
START_AGENT = 'swift-node-start'  # the requests that find out whether all is up are not logged

SWIFT_CONF = '''\
[swift-hash]
swift_hash_path_suffix = swift_node

[swift-constraints]
'''

# Timeouts between the servers are long: a loaded machine makes one slow, and with one replica there is no other to ask.
COMMON_CONF = '''\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = 0
swift_dir = {etc}
devices = {devices}
recon_cache_path = {etc}
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = WARNING
log_custom_handlers = swift_node.log_to_stderr
conn_timeout = 20
node_timeout = 60
container_update_timeout = 20

'''

STORAGE_CONF = '''\
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
'''

PROXY_CONF = '''\
[pipeline:main]
pipeline = {pipeline}

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_interval = 0

[filter:request-log]
paste.filter_factory = swift_node:request_log
path = {request_log}
delay_ms = {delay_ms}

[filter:cache]
paste.filter_factory = swift_node:cache

[filter:tempauth]
use = egg:swift#tempauth
token_life = {token_life}
{user} = {key} .admin

[filter:tempurl]
use = egg:swift#tempurl
allowed_digests = sha1 sha256 sha512

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true

[filter:keymaster]
use = egg:swift#keymaster
encryption_root_secret = {secret}

'''


class StartError(Exception):
    """Swift did not come up; the message says why, with the end of its log."""


class SwiftNode(object):
    """One Swift.  `start` returns once it answers requests; `stop` leaves no process, and no folder unless `data` was given.

    data        folder to keep objects in, made if missing, of a file system with user xattrs; None: a temporary one
    port        of the proxy; 0: a free one
    user, key   of TempAuth, user as account:name
    token_life  seconds until a token expires
    delay_ms    added to every client request
    without     names of filters to leave out, such as 'bulk'
    encryption  objects are encrypted on disk, so that the ETag in listings is all that Swift shows in the clear
    settings    Swift's own, as {(section, option): value}: sections of proxy-server.conf, or 'swift-constraints'

    Once started: auth_url, storage_url, user, key, request_log, swift_log, pid.
    """

    def __init__(self, data=None, port=0, user='test:tester', key='testing', token_life=86400, delay_ms=0, without=(),
                 encryption=False, settings=None, start_timeout=60):
        if user.count(':') != 1 or not all(user.split(':')):
            raise ValueError('the user must be account:name, not %r' % user)
        if not key or key.split() != [key]:
            raise ValueError('the key must not be empty nor contain blanks')
        self.user, self.key, self.port = user, key, port
        self._kept = data is not None
        self._data = os.path.abspath(data) if self._kept else None
        self._token_life, self._delay_ms = token_life, delay_ms
        self._without = set(without) | (set() if encryption else {'keymaster', 'encryption'})
        self._settings = dict(settings or {})
        self._start_timeout = start_timeout
        self._process = self._lock = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()

    # -- life

    def start(self):
        try:
            self._make_folders()
            self._launch()
            self._wait_until_up()
            self.auth_url = 'http://127.0.0.1:%d/auth/v1.0' % self.port
            self.storage_url = self._log_in()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop the servers; may be called again, and after a failed start."""
        if self._process:
            self._process.stdin.close()
            self._signal(signal.SIGTERM)
            if not self._output_ends(10):
                self._signal(signal.SIGKILL)
                self._output_ends(10)
            self._process.stdout.close()
            self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._data and not self._kept:
            shutil.rmtree(self._data, ignore_errors=True)
            self._data = None

    def wait(self, also=()):
        """Block until a server has died or one of the descriptors `also` can be read; True when Swift still runs."""
        ready = select.select([self._process.stdout] + list(also), [], [])[0]
        return self._process.stdout not in ready

    def _signal(self, number):
        """To all servers: they are a process group of their own, so that Ctrl-C in a terminal reaches only the node."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _output_ends(self, seconds):
        """True once every server process is gone: each holds the other end of the pipe."""
        deadline = time.monotonic() + seconds
        while select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            if not os.read(self._process.stdout.fileno(), 4096):
                return True
        return False

    # -- before the start

    def _make_folders(self):
        if not self._kept:
            self._data = tempfile.mkdtemp(prefix='swift-node-')
        self._etc, self._log = os.path.join(self._data, 'etc'), os.path.join(self._data, 'log')
        self.request_log, self.swift_log = os.path.join(self._log, 'requests.log'), os.path.join(self._log, 'swift.log')
        for folder in (self._etc, self._log, os.path.join(self._data, 'devices', 'd1')):
            os.makedirs(folder, exist_ok=True)
        self._lock = lock(os.path.join(self._data, 'lock'))
        check_xattrs(self._data)
        for log in (self.request_log, self.swift_log):
            open(log, 'w').close()

    def _write_configuration(self):
        values = {'etc': self._etc, 'devices': os.path.join(self._data, 'devices'), 'request_log': self.request_log,
                  'delay_ms': self._delay_ms, 'token_life': self._token_life, 'key': self.key,
                  'user': 'user64_' + '_'.join(base64.b64encode(part.encode()).decode().rstrip('=') for part in self.user.split(':')),
                  'secret': base64.b64encode(b'a key for tests: it hides nothing.').decode(),
                  'pipeline': ' '.join(name for name in PIPELINE if name not in self._without)}
        proxy = COMMON_CONF + PROXY_CONF
        for name in PIPELINE:
            if '[filter:%s]' % name not in proxy and name != 'proxy-server':
                proxy += '[filter:{0}]\nuse = egg:swift#{1}\n\n'.format(name, name.replace('-', '_'))
        self._write('swift.conf', SWIFT_CONF)
        self._write('proxy-server.conf', proxy.format(**values))
        for name in SERVERS[1:]:
            self._write('%s-server.conf' % name, (COMMON_CONF + STORAGE_CONF).format(name=name, **values))
        for (section, option), value in self._settings.items():
            self._set('swift.conf' if section == 'swift-constraints' else 'proxy-server.conf', section, option, value)

    def _set(self, name, section, option, value):
        with open(os.path.join(self._etc, name)) as conf:
            text = conf.read()
        header = '[%s]\n' % section
        if header not in text:
            raise ValueError('%s has no section [%s]' % (name, section))
        self._write(name, text.replace(header, '%sset %s = %s\n' % (header, option, value) if name != 'swift.conf' else '%s%s = %s\n' % (header, option, value)))

    def _write(self, name, text):
        with open(os.path.join(self._etc, name), 'w') as conf:
            conf.write(text)

    # -- the start

    def _launch(self):
        self._write_configuration()
        sockets = {name: listen(self.port if name == 'proxy' else 0) for name in SERVERS}
        try:
            self.port = sockets['proxy'].getsockname()[1]
            listeners = {name: sock.fileno() for name, sock in sockets.items()}
            with open(self.swift_log, 'a') as log:
                self._process = subprocess.Popen(
                    [sys.executable, '-W', 'ignore', os.path.abspath(__file__), '--serve', self._etc, json.dumps(listeners)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0, cwd=self._data,
                    start_new_session=True, pass_fds=list(listeners.values()) + [self._lock])
        finally:
            for sock in sockets.values():
                sock.close()
        self.pid = os.getpid()

    def _wait_until_up(self):
        """Each server writes its name and a newline when it accepts requests."""
        deadline, said = time.monotonic() + self._start_timeout, b''
        while said.count(b'\n') < len(SERVERS):
            if not select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                self._fail('not up after %d seconds' % self._start_timeout, said)
            news = os.read(self._process.stdout.fileno(), 4096)
            if not news:
                self._fail('ended while starting', said)
            said += news

    def _fail(self, what, said=b''):
        missing = sorted(set(SERVERS) - set(said.decode().split()))
        with open(self.swift_log, errors='replace') as log:
            tail = ''.join(log.readlines()[-40:])
        raise StartError('Swift (%s) %s; the end of its log:\n%s' % (', '.join(missing) or 'all servers', what, tail))

    def _log_in(self):
        """The storage URL, from a real login; and the account exists after it."""
        answer = self._request('GET', '/auth/v1.0', {'X-Auth-User': self.user, 'X-Auth-Key': self.key})
        url = answer.getheader('X-Storage-Url')
        if answer.status == 200:
            answer = self._request('POST', urllib.parse.urlsplit(url).path, {'X-Auth-Token': answer.getheader('X-Auth-Token')})
        if answer.status not in (200, 201, 204):
            self._fail('answers %s %s' % (answer.status, answer.reason))
        return url

    def _request(self, method, path, headers):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=self._start_timeout)
        try:
            connection.request(method, path, headers=dict(headers, **{'User-Agent': START_AGENT}))
            return connection.getresponse()
        finally:
            connection.close()


def listen(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(('127.0.0.1', port))
    except OSError as error:
        sock.close()
        raise StartError('cannot listen on 127.0.0.1:%d: %s' % (port, error.strerror))
    sock.listen(1024)
    return sock


def lock(path, seconds=5):
    """A descriptor that locks `path`; the servers inherit it, so that it is free only when all are gone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StartError('another Swift node runs on %s' % os.path.dirname(path))
            time.sleep(0.05)


def check_xattrs(folder):
    """Swift keeps the metadata of objects in extended attributes."""
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        try:
            os.setxattr(probe.name, 'user.swift.metadata', b'x' * 512)
        except OSError as error:
            raise StartError('%s is on a file system without user xattrs, which Swift needs (%s): '
                             'name another folder with --data or TMPDIR' % (folder, error.strerror))


# -- in the processes of Swift

def serve(etc, listeners):
    """The first process of Swift: writes the rings, forks the others, ends with the first of them that ends."""
    from swift.common import utils  # imported once, before the forks
    import swift.account.server, swift.container.server, swift.container.updater  # noqa: F401,E401
    import swift.obj.server, swift.obj.updater, swift.proxy.server  # noqa: F401,E401
    utils.set_swift_dir(etc)
    sockets = {name: socket.socket(fileno=descriptor) for name, descriptor in listeners.items()}
    for name in SERVERS[1:]:
        write_ring(etc, name, sockets[name].getsockname()[1])
    children = [fork(run_server, etc, name, sockets[name]) for name in SERVERS]
    os.wait()
    for child in children:
        try:
            os.kill(child, signal.SIGTERM)
        except ProcessLookupError:
            pass
    return 1


def fork(function, *args):
    child = os.fork()
    if child:
        return child
    try:
        function(*args)
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def write_ring(etc, name, port):
    """One replica, one device.  Only the port differs from start to start, and no data depends on it."""
    from swift.common.ring import RingData
    device = {'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': port, 'device': 'd1', 'weight': 1.0, 'meta': '',
              'replication_ip': '127.0.0.1', 'replication_port': port}
    RingData([[0] * 2 ** PART_POWER], [device], 32 - PART_POWER).save(os.path.join(etc, name + '.ring.gz'))


def run_server(etc, name, sock):
    """Serve until standard input ends, which it does when the node that started us ends, however it ends."""
    threading.Thread(target=exit_at_end_of_input, daemon=True).start()
    stdout = os.dup(1)
    os.dup2(2, 1)
    import eventlet
    from swift.common import utils, wsgi
    utils.monkey_patch()
    utils.disable_fallocate()
    if os.environ.get("NOFSYNC"): os.fsync = os.fdatasync = lambda fd: None
    conf = wsgi.appconfig(os.path.join(etc, name + '-server.conf'), name=name + '-server')
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ready():
        if name in CHORES:
            eventlet.spawn(CHORES[name], conf)
        os.write(stdout, name.encode() + b'\n')

    wsgi.run_server(conf, utils.get_logger(conf, name, log_route=name), eventlet.greenio.GreenSocket(sock),
                    global_conf={'log_name': name}, ready_callback=ready)


def exit_at_end_of_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


def keep_listings_complete(conf, interval=1.0):
    """Do the work of Swift's object updater: enter in the container what the object server could not, it being too busy."""
    import eventlet
    from swift.obj.updater import ObjectUpdater
    updater = ObjectUpdater(dict(conf, objects_per_second='1000'))
    device = os.path.join(updater.devices, 'd1')
    while True:
        eventlet.sleep(interval)
        if os.path.isdir(os.path.join(device, 'async_pending')):
            updater.begin = time.time()
            updater.object_sweep(device)


def keep_usage_current(conf, interval=2.0):
    """Do the work of Swift's container updater: tell the account how many objects and bytes its containers hold."""
    import eventlet
    from swift.container.updater import ContainerUpdater
    updater = ContainerUpdater(conf)
    while True:
        eventlet.sleep(interval)
        for path in updater.get_paths():
            updater.container_sweep(path)


CHORES = {'object': keep_listings_complete, 'container': keep_usage_current}


def log_to_stderr(conf, name, log_to_console, log_route, fmt, logger, adapted_logger):
    """Swift's hook for loggers of one's own (`log_custom_handlers`): standard error, which is the log file, not syslog."""
    import logging
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter('%(asctime)s ' + name + ': %(levelname)s %(message)s'))
    logger.addHandler(handler)


# -- filters of the proxy

def cache(global_conf, **local_conf):
    """Instead of memcached: there is only one proxy process, so a dict will do."""
    memory = Memory()

    def filter(app):
        def cached(environ, start_response):
            environ['swift.cache'] = memory
            return app(environ, start_response)
        return Layer(app, cached)
    return filter


class Memory(object):
    """What of MemcacheRing the proxy uses.  Values go through JSON as they do there, so nobody can change them in place."""

    def __init__(self):
        self._values = {}

    def get(self, key, raise_on_error=False):
        text, expires = self._values.get(key, ('null', 0))
        if expires and expires < time.time():
            del self._values[key]
            return None
        return json.loads(text)

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        self._values[key] = (json.dumps(value), expiry(time))

    def incr(self, key, delta=1, time=0):
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0):
        return self.incr(key, -int(delta), time)

    def delete(self, key, server_key=None):
        self._values.pop(key, None)

    def set_multi(self, mapping, server_key, serialize=True, time=0, min_compress_len=0):
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys, server_key):
        return [self.get(key) for key in keys]


def expiry(seconds):
    """Like memcached's: 0 is never, more than 30 days is a time of day."""
    if not seconds:
        return 0
    return seconds if seconds > 30 * 86400 else time.time() + seconds


def request_log(global_conf, path, delay_ms='0', **local_conf):
    """First in the pipeline: sees each request of a client once, and none that Swift makes inside."""
    log = open(path, 'a')
    delay = float(delay_ms) / 1000

    def filter(app):
        def logged(environ, start_response):
            if delay:
                import eventlet
                eventlet.sleep(delay)
            if environ.get('HTTP_USER_AGENT') == START_AGENT:
                return app(environ, start_response)
            return Exchange(log, environ, delay).run(app, start_response)
        return Layer(app, logged)
    return filter


class Layer(object):
    """A filter: Swift sets attributes on each, which a function of ours would have too, but says so in no interface."""

    def __init__(self, app, call):
        self.app, self.call = app, call

    def __call__(self, environ, start_response):
        return self.call(environ, start_response)


class Exchange(object):
    """A request and its answer, written to the log before the last byte goes out: who has the answer finds the line."""

    def __init__(self, log, environ, delay):
        self.log, self.environ, self.begun = log, environ, time.time() - delay
        self.input = environ['wsgi.input'] = CountedInput(environ['wsgi.input'])
        self.status, self.length, self.sent, self.written = '-', None, 0, False
        self.target = environ.get('RAW_PATH_INFO') or urllib.parse.quote(environ.get('PATH_INFO', ''))
        if environ.get('QUERY_STRING'):  # as it came: filters change it
            self.target += '?' + environ['QUERY_STRING']
        self.method = environ['REQUEST_METHOD']

    def run(self, app, start_response):
        def started(status, headers, exc_info=None):
            self.status = status.split()[0]
            lengths = [value for name, value in headers if name.lower() == 'content-length']
            self.length = int(lengths[0]) if lengths else None
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = app(self.environ, started)
        except BaseException:
            self.write()
            raise
        return self.counted(body)

    def counted(self, body):
        try:
            for chunk in body:
                self.sent += len(chunk)
                if self.sent == self.length:
                    self.write()
                yield chunk
            self.write()
        finally:
            self.write()
            if hasattr(body, 'close'):
                body.close()

    def write(self):
        if not self.written:
            self.written = True
            self.log.write('%s %s %s %d %d %.4f\n' % (self.method, self.target, self.status, self.input.count, self.sent,
                                                      time.time() - self.begun))
            self.log.flush()


class CountedInput(object):
    def __init__(self, stream):
        self._stream, self.count = stream, 0

    def read(self, *args):
        return self._counted(self._stream.read(*args))

    def readline(self, *args):
        return self._counted(self._stream.readline(*args))

    def _counted(self, data):
        self.count += len(data)
        return data

    def __iter__(self):
        return iter(self.readline, b'')

    def __getattr__(self, name):
        return getattr(self._stream, name)


# -- the program

def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__.rsplit('As a module', 1)[0])
    parser.add_argument('--data', metavar='DIR', help='keep everything in DIR; without it: a temporary folder, removed at the end')
    parser.add_argument('--port', type=int, default=0, help='port of the proxy (0, the default: a free one)')
    parser.add_argument('--user', default='test:tester', help='account:name that may log in (default %(default)s)')
    parser.add_argument('--key', default='testing', help='its key (default %(default)s)')
    parser.add_argument('--stdin', action='store_true', help='stop when standard input ends, so: when the parent does')
    parser.add_argument('--delay-ms', type=float, default=0, metavar='N', help='answer every request N milliseconds later')
    parser.add_argument('--token-life', type=int, default=86400, metavar='SECONDS', help='a token expires after SECONDS (default a day)')
    parser.add_argument('--listing-limit', type=int, metavar='N', help='at most N names in a page of a listing (default 10000)')
    parser.add_argument('--max-deletes', type=int, metavar='N', help='at most N names in a bulk delete (default 10000)')
    parser.add_argument('--without', action='append', default=[], metavar='FILTER', help='leave a filter out: bulk, slo, tempurl ... (repeatable)')
    parser.add_argument('--no-bulk', action='append_const', dest='without', const='bulk', help='the same as --without bulk')
    parser.add_argument('--encryption', action='store_true', help='encrypt objects on disk (with a key known to everybody)')
    parser.add_argument('--set', action='append', default=[], type=setting, dest='settings', metavar='SECTION:OPTION=VALUE',
                        help="any setting of Swift's proxy-server.conf or swift.conf, such as swift-constraints:max_file_size=9000000 "
                             'or filter:slo:max_manifest_segments=3 (repeatable)')
    options = parser.parse_args(argv)
    options.settings = dict(options.settings)
    if options.listing_limit:
        options.settings['swift-constraints', 'container_listing_limit'] = options.listing_limit
    if options.max_deletes:
        options.settings['filter:bulk', 'max_deletes_per_request'] = options.max_deletes
    return options


def setting(text):
    name, found, value = text.partition('=')
    section, also_found, option = name.rpartition(':')
    if not (found and also_found):
        raise argparse.ArgumentTypeError('%r is not SECTION:OPTION=VALUE' % text)
    return (section, option), value


def main(argv):
    if argv[:1] == ['--serve']:
        return serve(argv[1], json.loads(argv[2]))
    options = vars(parse_arguments(argv))
    until_stdin_ends = options.pop('stdin')
    for name in ('listing_limit', 'max_deletes'):
        del options[name]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop_once)
    try:
        with SwiftNode(**options) as node:
            print(json.dumps({'auth_url': node.auth_url, 'user': node.user, 'key': node.key, 'storage_url': node.storage_url,
                              'log': node.request_log, 'pid': node.pid}), flush=True)
            while node.wait([0] if until_stdin_ends else []):
                if not os.read(0, 4096):
                    return 0
            node._fail('ended')
    except (StartError, ValueError) as error:
        print('swift_node: %s' % error, file=sys.stderr)
        return 1


def stop_once(number, frame):
    """Leave through the `with`; a second signal must not cut short what it does at its end."""
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
