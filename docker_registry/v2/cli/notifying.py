"""Whom `registry-swift serve` notifies, by its settings."""

import logging
import os

from docker_registry.v2.access.watched import Broken
from docker_registry.v2.cli.arguments import settings
from docker_registry.v2.http.events import Events
from docker_registry.v2.settings.notifications import Notifications
from docker_registry.v2.settings.storage import config_error


def require_sense(environ):
    """Check names of variables.

    :raises ConfigError: one is meant for CNCF distribution
    """
    foreign = sorted(
        name for name in environ if name.startswith(('REGISTRY_NOTIFICATIONS_ENDPOINTS', 'REGISTRY_NOTIFICATIONS_EVENTCONFIG'))
    )
    if foreign:
        raise config_error(f'{foreign[0]} is a setting of CNCF distribution. Remove it, and set REGISTRY_NOTIFICATIONS_URL')


def read_events(options, environ, port, within):
    """Return `events.Events`, or None if nobody is to be told.

    :param port: of this registry
    :param within: see `listeners.Listener`
    :raises ConfigError: a setting is wrong or meant for CNCF distribution, or a file cannot be used
    """
    require_sense(environ)
    notifications = settings(Notifications, options, environ)
    if not notifications.notifications_url:
        return None
    if notifications.notifications_ca and not os.access(notifications.notifications_ca, os.R_OK):
        raise config_error(f'REGISTRY_NOTIFICATIONS_CA: {notifications.notifications_ca} cannot be read')
    try:
        return Events(notifications, port, within)
    except Broken as error:
        raise config_error(f'REGISTRY_NOTIFICATIONS_HEADERS_FILE: {error}')


def begin(registry, events):
    """Let a registry tell of its events, if there is somebody to tell."""
    registry.events = events
    if events:
        registry.metrics.watch(events)
        logging.info('notifications go to %s', events)
