"""Runs a real OpenStack Keystone (v3) on a free loopback port, so that clients log in to Swift as on an OpenStack cloud.

One folder has its database (SQLite), keys (Fernet) and log. A node needs the packages in tools/requirements-keystone.txt; this
module can be imported without them. tools/swift_node.py uses it:

    with KeystoneNode(folder) as keystone:
        keystone.register('http://127.0.0.1:8080', 'project', 'user', 'password')
        keystone.log_in()               # (storage URL, token), as for any client that has `facts()`
"""

import configparser
import importlib.util
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import threading

REGION, REGION_WITHOUT_SWIFT = 'RegionOne', 'RegionTwo'
USER_DOMAIN, PROJECT_DOMAIN = 'people', 'cloud'  # two domains, neither is the default: a client that mixes them up fails
ADMIN, ADMIN_KEY = 'admin', 'keystone'  # the user `admin` and the project `admin`, both in the default domain
LOCKOUT_FAILURES = 12  # wrong passwords after which Keystone lets a user no longer in
ROLE = 'swiftoperator'  # https://docs.openstack.org/swift/latest/overview_auth.html#configuring-swift-to-use-keystone


class KeystoneError(Exception):
    """Keystone did not start, or refused a request of the node. The message has the end of its log."""


class KeystoneNode:
    """One Keystone. `start` returns at once; `register` waits until Keystone responds; `stop` ends all its processes.

    token_life      seconds until a token expires
    start_timeout   seconds to wait for the first response
    """

    def __init__(self, folder, token_life=3600, start_timeout=60):
        self._folder, self._token_life, self._start_timeout = folder, token_life, start_timeout
        self._log_path = os.path.join(folder, 'keystone.log')
        self._process = self._application_credential = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()

    def start(self):
        if not all(importlib.util.find_spec(name) for name in ('keystone', 'keystonemiddleware')):
            raise KeystoneError('Keystone is not installed: pip install -r tools/requirements-keystone.txt')
        os.makedirs(self._folder, exist_ok=True)
        with socket.create_server(('127.0.0.1', 0), backlog=128) as listening, open(self._log_path, 'w') as log:
            self.auth_url = 'http://127.0.0.1:%d/v3' % listening.getsockname()[1]
            path = self._write_configuration()
            self._process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', os.path.abspath(__file__), path, self.auth_url, str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd=self._folder,
                start_new_session=True,
                pass_fds=[listening.fileno()],
            )
        self.output = self._process.stdout  # becomes readable when Keystone is ready, and when it ends

    def stop(self):
        """Stop Keystone. Can be called again, and after a failed start."""
        if self._process:
            self._process.stdin.close()
            os.killpg(self._process.pid, signal.SIGKILL)  # also ends a keystone-manage that it waits for
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def register(self, swift_url, project, user, key):
        """Create the user, its role in the project, an application credential, and the catalog with this Swift."""
        self._wait_until_ready()
        self._user, self._key, self._project = user, key, project
        try:
            self._admin = self._session(ADMIN, ADMIN_KEY, ADMIN, 'Default', 'Default')
            user_id = self._make_user()
            self._make_catalog(swift_url)
            self._client = self._session(user, key, project, USER_DOMAIN, PROJECT_DOMAIN)
            self._application_credential = self._create(
                self._client, '/users/%s/application_credentials' % user_id, 'application_credential', name='registry'
            )
        except Exception as error:  # of keystoneauth1, which may be missing
            raise self.error('could not be set up (%s)' % error)

    def log_in(self):
        return self._client.get_endpoint(service_type='object-store', region_name=REGION), self._client.get_token()

    def facts(self):
        """What a client needs to log in, as in an openrc file, and the administrator's name and password."""
        return {
            'auth_url': self.auth_url,
            'user': self._user,
            'key': self._key,
            'project': self._project,
            'user_domain': USER_DOMAIN,
            'project_domain': PROJECT_DOMAIN,
            'region': REGION,
            'application_credential_id': self._application_credential['id'],
            'application_credential_secret': self._application_credential['secret'],
            'admin': ADMIN,
            'admin_key': ADMIN_KEY,
            'lockout_failures': LOCKOUT_FAILURES,
        }

    def authtoken(self):
        """Settings of keystonemiddleware's filter. Without its cache, Swift refuses a revoked token at once."""
        return {
            'paste.filter_factory': 'keystonemiddleware.auth_token:filter_factory',
            'delay_auth_decision': 'true',
            'token_cache_time': '-1',
            'www_authenticate_uri': self.auth_url,
            'auth_url': self.auth_url,
            'auth_type': 'password',
            'username': ADMIN,
            'password': ADMIN_KEY,
            'project_name': ADMIN,
            'user_domain_id': 'default',
            'project_domain_id': 'default',
            'service_token_roles_required': 'true',
        }

    def error(self, what):
        with open(self._log_path, errors='replace') as log:
            return KeystoneError('Keystone %s; the last lines of its log:\n%s' % (what, ''.join(log.readlines()[-20:])))

    def _write_configuration(self):
        conf = configparser.RawConfigParser()
        keys = {'key_repository': os.path.join(self._folder, 'keys')}
        conf.read_dict(
            {
                'database': {'connection': 'sqlite:///%s' % os.path.join(self._folder, 'keystone.db')},
                'token': {'expiration': str(self._token_life)},
                'fernet_tokens': keys,
                'fernet_receipts': keys,
                'identity': {'password_hash_rounds': '4'},  # the minimum, since the password is no secret
                # Many clouds lock out a user after wrong passwords. Ours allows a few more than a registry does by default.
                'security_compliance': {'lockout_failure_attempts': str(LOCKOUT_FAILURES), 'lockout_duration': '1800'},
                # The default and totp, so that a user can need a second factor.
                'auth': {'methods': 'external,password,token,oauth1,mapped,application_credential,totp'},
                'cache': {'backend': 'dogpile.cache.memory'},  # without a cache, a token takes hundreds of queries
            }
        )
        path = os.path.join(self._folder, 'keystone.conf')
        with open(path, 'w') as file:
            conf.write(file)
        return path

    def _wait_until_ready(self):
        if not select.select([self.output], [], [], self._start_timeout)[0]:
            raise self.error('did not start within %d seconds' % self._start_timeout)
        if not os.read(self.output.fileno(), 4096):
            raise self.error('ended while starting')

    def _session(self, user, key, project, user_domain, project_domain):
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        return session.Session(
            v3.Password(
                self.auth_url,
                username=user,
                password=key,
                user_domain_name=user_domain,
                project_name=project,
                project_domain_name=project_domain,
            )
        )

    def _create(self, session, path, kind, **values):
        """https://docs.openstack.org/api-ref/identity/v3/"""
        return session.post(path, json={kind: values}, endpoint_override=self.auth_url).json()[kind]

    def _make(self, kind, **values):
        return self._create(self._admin, '/%ss' % kind, kind, **values)['id']

    def _make_user(self):
        project = self._make('project', name=self._project, domain_id=self._make('domain', name=PROJECT_DOMAIN))
        user = self._make('user', name=self._user, password=self._key, domain_id=self._make('domain', name=USER_DOMAIN))
        self._admin.put('/projects/%s/users/%s/roles/%s' % (project, user, self._make('role', name=ROLE)), endpoint_override=self.auth_url)
        return user

    def _make_catalog(self, swift_url):
        self._make('region', id=REGION_WITHOUT_SWIFT)
        service = self._make('service', type='object-store', name='swift')
        for interface in ('public', 'internal'):
            self._make('endpoint', service_id=service, interface=interface, region_id=REGION, url=swift_url + '/v1/AUTH_$(project_id)s')


# -- inside the process of Keystone


def serve(conf, auth_url, descriptor):
    """Import Keystone once and fork a process for each command, because Keystone allows one command a process."""
    threading.Thread(target=exit_at_end_of, args=(0,), daemon=True).start()
    ready = os.dup(1)
    os.dup2(2, 1)
    from keystone.cmd import cli

    keystone_manage(cli, conf, 'db_sync')
    keystone_manage(cli, conf, 'fernet_setup', '--keystone-user', str(os.getuid()), '--keystone-group', str(os.getgid()))
    keystone_manage(
        cli,
        conf,
        'bootstrap',
        '--bootstrap-username',
        ADMIN,
        '--bootstrap-password',
        ADMIN_KEY,
        '--bootstrap-project-name',
        ADMIN,
        '--bootstrap-region-id',
        REGION,
        '--bootstrap-public-url',
        auth_url,
        '--bootstrap-internal-url',
        auth_url,
    )
    os.environ['OS_KEYSTONE_CONFIG_FILES'] = conf
    sys.argv = ['keystone']  # otherwise Keystone parses our arguments
    from keystone.server import wsgi
    from werkzeug.serving import make_server

    server = make_server('127.0.0.1', 0, wsgi.initialize_public_application(), threaded=True, fd=descriptor)
    os.write(ready, b'ready\n')
    server.serve_forever()


def keystone_manage(cli, conf, *words):
    """https://docs.openstack.org/keystone/latest/cli/"""
    command = multiprocessing.get_context('fork').Process(target=cli.main, args=(['keystone-manage', '--config-file', conf] + list(words),))
    command.start()
    command.join()
    if command.exitcode:
        raise SystemExit('keystone-manage %s failed' % words[0])


def exit_at_end_of(descriptor):
    while os.read(descriptor, 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == '__main__':
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
