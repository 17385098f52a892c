#!/usr/bin/env python3
"""Runs a real Ceph RADOS Gateway on this machine, for tests. It speaks the Swift API, and has v1 logins.

It starts a Ceph cluster of one monitor and one OSD, which stores objects in one file of a temporary folder, and a gateway
(radosgw) on a free loopback port. It needs Debian's packages ceph-mon, ceph-osd, ceph-common and radosgw (apt-get install
--no-install-recommends), but no root and no systemd. A start takes about ten seconds.

When the gateway is ready, this program prints one line of JSON: where to log in, and as whom. It runs until SIGTERM or SIGINT, or
with --stdin until its standard input ends, but no longer than --life. Then it stops everything that it started and removes the
folder. If it is killed itself, the kernel kills what it started, and the folder stays.

    rgw_node.py                                             storage URLs end in /swift/v1, as with Ceph's defaults
    rgw_node.py --set 'rgw swift account in url=true'       they end in /swift/v1/AUTH_<account>
    rgw_node.py --set 'rgw swift account in url=true' --set 'rgw swift url prefix=/' --set 'rgw enable apis=swift,swift_auth'
                                                            they end in /v1/AUTH_<account>

To try it:

    $ python3 tools/rgw_node.py
    {"auth_url": "http://127.0.0.1:21734/auth/v1", "user": "test:tester", "key": "testing", ...}
    $ OS_AUTH_URL=http://127.0.0.1:21734/auth/v1 OS_USERNAME=test:tester OS_PASSWORD=testing OS_CONTAINER=registry registry-swift check

A node needs about 300 MB of memory, and as much disk as the objects take. Ceph opens their file with O_DIRECT, which the tmpfs of older
kernels does not have: then choose another folder with TMPDIR. No limit of a plain Debian needs to be raised.
"""
# As a module:
#
#     with RgwNode() as node:
#         swiftclient.Connection(node.auth_url, node.user, node.key)

import argparse
import configparser
import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

from swift_node import STOPPING, signals_held, stop

PROGRAMS = ('ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin')
GATEWAY = 'client.rgw'
NAMES = {'mon.': ('mon',), 'client.admin': ('mon', 'osd'), 'osd.0': ('mon', 'osd'), GATEWAY: ('mon', 'osd')}
CEILING = 32 << 30  # bytes; the size of the OSD's file, which takes no more disk than what is written to it
#: Below the ports that Linux gives to connections and to whoever binds port 0, and below those of tests/ports.py: while a daemon starts,
#: those may be given away.
PORTS = range(6000, 10000)

EVERYTHING = {  # https://docs.ceph.com/en/pacific/rados/configuration/
    'public addr': '127.0.0.1',
    'cluster addr': '127.0.0.1',
    'ms bind ipv6': 'false',
    'admin socket': '',
    'log to stderr': 'true',
    'err to stderr': 'true',
    'log to file': 'false',
    # One copy of everything, on one OSD.
    'osd pool default size': '1',
    'osd pool default min size': '1',
    'osd pool default pg num': '8',
    'osd pool default pgp num': '8',
    'osd pool default pg autoscale mode': 'off',
    'osd crush chooseleaf type': '0',
    'mon allow pool size one': 'true',
    # The disk of a test machine may be almost full.
    'mon data avail crit': '1',
    # The monitor writes each change at once: by default it collects changes for a second, and the start has a dozen of them.
    'paxos propose interval': '0.05',
    'paxos min wait': '0.01',
}
EVERYTHING.update({'debug ' + part: '0/0' for part in 'bdev bluefs bluestore mon osd paxos rocksdb'.split()})

GATEWAY_SETTINGS = {
    'rgw thread pool size': '64',
    'rgw dynamic resharding': 'false',
    'rgw enable lc threads': 'false',
    # Give the space of deleted objects back within a minute or two, not after two hours.
    'rgw gc obj min wait': '60',
    'rgw gc processor period': '60',
}


class StartError(Exception):
    """Ceph did not start, or ended by itself. The message says why and has the end of its log."""


class RgwNode:
    """One gateway with its cluster. `start` returns when it is ready; `stop` ends all processes and removes the folder.

    port        port of the gateway; 0: a free port
    user, key   credentials that can log in; the user has the form account:name
    settings    more settings of the gateway, {name: value}, as in ceph.conf

    Attributes after the start: auth_url, storage_url, user, key, port, version and rgw_log (a path: it has a line for each request).
    """

    def __init__(self, port=0, user='test:tester', key='testing', settings=None, start_timeout=120):
        if user.count(':') != 1 or not all(user.split(':')):
            raise ValueError('the user must be account:name, not %r' % user)
        self.user, self.key, self.port = user, key, port
        self._settings = settings or {}
        self._deadline = time.monotonic() + start_timeout
        self._folder, self._daemons = None, {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()

    def start(self):
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing:
            raise StartError('no %s: apt-get install --no-install-recommends ceph-mon ceph-osd ceph-common radosgw' % ', '.join(missing))
        try:
            with signals_held():  # a signal in between would leave a folder or process behind
                self._folder = tempfile.mkdtemp(prefix='rgw-node-')
                self._write_configuration()
            self._make_keys()
            self._start_cluster()
            self._start_gateway()
            self._wait_for_gateway()
            self._make_user()
            self.storage_url = self._log_in()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop Ceph. Can be called again, and after a failed start. Nothing is kept, so nothing needs an orderly end."""
        for daemon in self._daemons.values():
            daemon.kill()
        for daemon in self._daemons.values():
            daemon.wait()
        self._daemons = {}
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def wait(self, seconds, descriptor=None):
        """Block until `descriptor` is readable, but not longer than so many seconds. Returns whether it is.

        :raises StartError: a daemon ended meanwhile
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._check_daemons()
            if select.select([] if descriptor is None else [descriptor], [], [], min(1, max(0, deadline - time.monotonic())))[0]:
                return True
        return False

    # -- folders and configuration

    def _path(self, *names):
        return os.path.join(self._folder, *names)

    def _write_configuration(self):
        check_direct_io(self._folder)
        for name in ('mon', 'osd', 'rgw', 'crash'):
            os.mkdir(self._path(name))
        self._fsid, self._monitor = str(uuid.uuid4()), free_port()
        self.port = self.port or free_port()
        self.rgw_log = self._path(GATEWAY + '.log')
        conf = configparser.RawConfigParser()
        conf.read_dict(
            {
                'global': dict(
                    EVERYTHING,
                    **{
                        'fsid': self._fsid,
                        'mon host': '[v2:127.0.0.1:%d]' % self._monitor,
                        'keyring': self._path('keyring'),
                        'run dir': self._folder,
                        'crash dir': self._path('crash'),
                    },
                ),
                'mon': {'mon data': self._path('mon'), 'mon cluster log to file': 'false'},
                'osd': {
                    'osd data': self._path('osd'),
                    'osd objectstore': 'bluestore',
                    'osd memory target': str(896 << 20),  # the least that Ceph accepts; a small cluster stays far below
                    'bluestore block size': str(CEILING),
                },
                GATEWAY: dict(
                    GATEWAY_SETTINGS,
                    **{'rgw data': self._path('rgw'), 'rgw frontends': 'beast endpoint=127.0.0.1:%d' % self.port},
                    **self._settings,
                ),
            }
        )
        with open(self._path('ceph.conf'), 'w') as file:
            conf.write(file)

    def _make_keys(self):
        """Make a key for each name. The monitor takes them over when it is made. Without cephx, radosgw never connects."""
        for number, (name, caps) in enumerate(NAMES.items()):
            words = [word for cap in caps for word in ('--cap', cap, 'allow *')]
            create = [] if number else ['--create-keyring']
            self._run('ceph-authtool', self._path('keyring'), *create, '--gen-key', '--name', name, *words)

    # -- processes

    def _start_cluster(self):
        monmap, osd = self._path('monmap'), str(uuid.uuid4())
        self._run('monmaptool', '--create', '--fsid', self._fsid, '--addv', 'a', '[v2:127.0.0.1:%d]' % self._monitor, monmap)
        self._run('ceph-mon', '--id', 'a', '--mkfs', '--monmap', monmap)
        self._launch('mon', 'ceph-mon', '--id', 'a')
        self._run('ceph', 'osd', 'new', osd, '0')
        self._run('ceph-osd', '--id', '0', '--mkfs', '--osd-uuid', osd)
        self._launch('osd', 'ceph-osd', '--id', '0')

    def _start_gateway(self):
        self._launch(GATEWAY, 'radosgw', '--name', GATEWAY)

    def _wait_for_gateway(self):
        while True:
            self._check_daemons()
            try:
                self._request('GET', '/', {})
                return
            except OSError:
                time.sleep(0.1)
            if time.monotonic() > self._deadline:
                raise self._error('the gateway does not respond')

    def _make_user(self):
        self.version = self._run('radosgw', '--version').split()[2]
        account, _ = self.user.split(':')
        self._run(
            *['radosgw-admin', '--name', GATEWAY, 'user', 'create', '--uid', account, '--display-name', account],
            *['--subuser', self.user, '--key-type', 'swift', '--secret', self.key, '--access', 'full', '--max-buckets', '0'],
        )

    def _log_in(self):
        self.auth_url = 'http://127.0.0.1:%d/auth/v1' % self.port
        answer = self._request('GET', '/auth/v1', {'X-Auth-User': self.user, 'X-Auth-Key': self.key})
        if answer.status // 100 != 2:
            raise self._error('the gateway returned %d to the login' % answer.status)
        return answer.getheader('X-Storage-Url')

    def _request(self, method, path, headers):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=max(1, self._deadline - time.monotonic()))
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse()
        finally:
            connection.close()

    def _words(self, program, words):
        """The kernel kills a process of ours when this one is gone, however it ended: `stop` does not run if it is killed."""
        return ['setpriv', '--pdeathsig', 'KILL', program, '--conf', self._path('ceph.conf'), *words]

    def _run(self, program, *words):
        """Run a command and return what it prints."""
        try:
            done = subprocess.run(
                self._words(program, words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors='replace',
                timeout=max(1, self._deadline - time.monotonic()),
            )
        except subprocess.TimeoutExpired:
            raise self._error('%s takes too long' % program)
        if done.returncode:
            raise self._error('%s failed: %s' % (program, done.stderr[-2000:]))
        return done.stdout

    def _launch(self, name, program, *words):
        """Start a daemon. It has a session of its own, so that Ctrl-C reaches only the node, which then stops it."""
        with signals_held(), open(self._path(name + '.log'), 'wb') as log:
            self._daemons[name] = subprocess.Popen(
                self._words(program, [*words, '--foreground']),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=signals_passed,
            )

    def _check_daemons(self):
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise self._error('%s ended with status %d' % (name, daemon.returncode), [name])

    def _error(self, what, names=None):
        tails = []
        for name in names or self._daemons:
            with open(self._path(name + '.log'), errors='replace') as log:
                tails += ['%s: %s' % (name, line) for line in log.read()[-4000:].splitlines() if line][-10:]
        return StartError('\n'.join(['Ceph: %s; the last lines of its log:' % what, *tails]))


def signals_passed():
    """Undo `signals_held` in a child, which would inherit it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def free_port():
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as attempt:
            try:
                attempt.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass


def check_direct_io(folder):
    """Check for O_DIRECT, with which Ceph opens the file that has the objects."""
    path = os.path.join(folder, 'probe')
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT))
    except OSError as error:
        raise StartError('Ceph cannot keep objects in %s (%s): choose another folder with TMPDIR' % (folder, error.strerror))
    os.unlink(path)


# -- the program


def parse_arguments(argv):
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    add = parser.add_argument
    add('--port', type=int, default=0, help='port of the gateway (default: a free port)')
    add('--user', default='test:tester', help='account:name that can log in (default %(default)s)')
    add('--key', default='testing', help='key of the user (default %(default)s)')
    add('--stdin', action='store_true', help='also stop when standard input ends, for example because the parent process ended')
    add('--life', type=float, default=3600, metavar='SECONDS', help='stop after this time at the latest (default: an hour)')
    add(
        '--set',
        action='append',
        default=[],
        type=setting,
        dest='settings',
        metavar='OPTION=VALUE',
        help='a setting of the gateway, as in ceph.conf (repeatable)',
    )
    return parser.parse_args(argv)


def setting(text):
    name, found, value = text.partition('=')
    if not found or not name.strip():
        raise argparse.ArgumentTypeError('%r is not OPTION=VALUE' % text)
    return name.strip(), value.strip()


def run(options):
    with RgwNode(options.port, options.user, options.key, dict(options.settings)) as node:
        facts = {
            'auth_url': node.auth_url,
            'user': node.user,
            'key': node.key,
            'storage_url': node.storage_url,
            'version': node.version,
            'rgw_log': node.rgw_log,
            'pid': os.getpid(),
        }
        print(json.dumps(facts), flush=True)
        end = time.monotonic() + options.life
        while node.wait(end - time.monotonic(), 0 if options.stdin else None) and os.read(0, 4096):
            pass


def main(argv):
    options = parse_arguments(argv)
    for number in STOPPING:
        signal.signal(number, stop)
    try:
        run(options)
    except (StartError, ValueError) as error:
        print('rgw_node: %s' % error, file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
