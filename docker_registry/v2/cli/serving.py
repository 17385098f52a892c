"""The command `registry-swift serve`."""

import dataclasses
import logging
import secrets
import signal
import sys
from logging.config import dictConfig

from docker_registry.core.exceptions import ConfigError, UnspecifiedError
from docker_registry.v2.access import addresses
from docker_registry.v2.cli import measuring, notifying, rights
from docker_registry.v2.cli.arguments import add_serve_options, environment, new_parser, settings
from docker_registry.v2.http import app, listening, logs, server, worker
from docker_registry.v2.registry import keys
from docker_registry.v2.registry.absence import Absence
from docker_registry.v2.registry.errors import RegistryError
from docker_registry.v2.registry.trash import Trash
from docker_registry.v2.settings import config
from docker_registry.v2.settings import storage as storage_settings
from docker_registry.v2.settings.storage import config_error

SERVE = """\
Run the registry until SIGTERM or SIGINT. After SIGTERM, running requests may finish; after SIGINT, they may not.

If a setting is missing or wrong, or Swift cannot be reached, the registry does not start. It prints one line that says what is wrong,
and exits with status 1.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'serve', help='run the registry', description=SERVE, epilog=environment())
    add_serve_options(command)
    command.set_defaults(run=serve)


def serve(options, environ):
    if (options.log_format or environ.get('REGISTRY_LOG_FORMAT')) != 'json':
        return start(options, environ)
    dictConfig(server.logging_config('INFO', 'json'))  # also for an error in a setting
    try:
        return start(options, environ)
    except (UnspecifiedError, RegistryError) as error:
        logging.critical('%s', ' '.join(str(error).split()))
        return 1


def start(options, environ):
    """Run the registry.

    :raises UnspecifiedError: it cannot start
    """
    # gunicorn sets its own handler later. Until then, the first process of a container would ignore SIGTERM without a handler.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    level = log_level(environ)
    server_settings, access = settings(config.ServerSettings, options, environ), settings(config.Access, options, environ)
    log_config = server.logging_config(level, server_settings.log_format)
    dictConfig(log_config)
    logs.take_everything()
    rights.require_sense(server_settings, access, options, environ)
    users, rules = rights.read_users(access, worker.in_thread), rights.read_rules(access)
    registry_config = settings(config.Config, options, environ)
    storage_config = storage_settings.read(environ) | ({'swift_create_container': 'false'} if access.read_only else {})
    storage = storage_settings.open_storage(storage_config)
    logins = rights.read_logins(access, users, storage, worker.within)
    certificates = server_settings.tls_certificate and listening.Certificates(server_settings.tls_certificate, server_settings.tls_key)
    if certificates:
        certificates.check()
    sock = listening.listening_socket(server_settings)
    events = notifying.read_events(options, environ, sock.getsockname()[1], worker.within)
    logged_in = log_in(storage_config, access)
    registry_config = with_secret(registry_config, access, logged_in)
    warn_of_small_pool(storage, server_settings.threads + registry_config.storage_threads)
    rights.warn_of_open_passwords(logins, certificates, sock.getsockname()[0], access.trusted_proxies)
    loopback_only = is_open_to_this_machine_only(sock, users or rules, certificates)
    metrics = measuring.metrics(server_settings, access)
    registry = app.create_app(registry_config, storage, users, access, server_settings.threads, loopback_only, rules, logins, metrics)
    notifying.begin(registry, events)
    registry.trash.know(Trash(logged_in).look())
    listening.begin_to_listen(sock, server_settings)
    logging.info('%s', rights.described(users, rules, access))
    return server.Server(registry, storage, server_settings, sock, certificates, log_config, access.trusted_proxies).run()


def log_in(storage_config, access):
    """Return `storage.log_in`, which says why the container is not created if that is because of --read-only."""
    try:
        return storage_settings.log_in(storage_config)
    except ConfigError as error:
        if access.read_only and getattr(error, 'status', None) == 404:
            raise config_error(f'{error}: --read-only (REGISTRY_READ_ONLY) turns it off')
        raise


def with_secret(registry_config, access, storage):
    """Return the settings of the registry. If it is read-only and finds no secret, all its workers get the same random one."""
    if (
        not access.read_only
        or registry_config.upload_secret
        or keys.is_stored(storage, Absence(storage, registry_config.replication_cycle))
    ):
        return registry_config
    if access.anonymous_pull or access.bearer_tokens or access.rules:
        logging.warning(
            'the container has no secret, and a read-only registry stores none: logins end when it restarts, and no other registry '
            'accepts them. Set REGISTRY_UPLOAD_SECRET to change that'
        )
    return dataclasses.replace(registry_config, upload_secret=secrets.token_hex())


def is_open_to_this_machine_only(sock, has_rights, certificates):
    """Return whether the registry has no passwords and can be reached from this machine only.

    With TLS, it does not matter which names lead here: a browser compares the name with the certificate.
    """
    return not has_rights and not certificates and addresses.is_loopback(sock.getsockname()[0])


def warn_of_small_pool(storage, threads):
    if storage.settings.pool_size < threads:
        logging.warning(
            'swift_pool_size (SWIFT_POOL_SIZE) is %d, less than GUNICORN_THREADS and REGISTRY_STORAGE_THREADS together (%d): '
            'the requests of one client may wait for each other',
            storage.settings.pool_size,
            threads,
        )


def log_level(environ):
    try:
        return config.log_level(environ)
    except ValueError as error:
        raise config_error(str(error))
