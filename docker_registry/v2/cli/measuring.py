"""What the options of `serve` about metrics mean together."""

import dataclasses
import logging

from docker_registry.v2.http import listening
from docker_registry.v2.http.metrics import folder
from docker_registry.v2.http.metrics.nothing import NO_METRICS
from docker_registry.v2.settings.storage import config_error


def require_sense(settings):
    """Check settings that depend on each other.

    :raises ConfigError: one needs another
    """
    if settings.metrics_repositories and not settings.metrics and settings.metrics_port is None:
        raise config_error(
            '--metrics-repositories (REGISTRY_METRICS_REPOSITORIES) is set, but neither --metrics (REGISTRY_METRICS) nor '
            '--metrics-port (REGISTRY_METRICS_PORT) is. Set one of them'
        )


def metrics(settings, access):
    """Return the metrics of a registry.

    :raises ConfigError: their port cannot be bound, or there is no room for their files; and see `require_sense`
    """
    require_sense(settings)
    if not settings.metrics and settings.metrics_port is None:
        return NO_METRICS
    from docker_registry.v2.http.metrics.counting import Metrics  # only now: it imports prometheus-client

    sock = None
    if settings.metrics_port is not None:
        place = dataclasses.replace(settings, host=settings.metrics_host, port=settings.metrics_port, tls_certificate='')
        sock = listening.listening_socket(place, '--metrics-host, --metrics-port (REGISTRY_METRICS_HOST, REGISTRY_METRICS_PORT)')
    try:
        about = {'read_only': int(access.read_only), 'workers': settings.workers}
        found = Metrics(settings.metrics_repositories, about, settings.metrics, sock)
    except OSError as error:
        raise config_error(f'there is no room for the files of metrics in {folder.MEMORY}: {error.strerror}')
    warn_of_names(settings, access)
    if sock:
        logging.info('metrics are at %s/metrics', place.url())
    return found


def warn_of_names(settings, access):
    if settings.metrics and settings.metrics_repositories and access.rules:
        logging.warning(
            'every user sees names of repositories at /metrics, whatever the rules say. Turn --metrics (REGISTRY_METRICS) off, and let '
            'Prometheus use --metrics-port (REGISTRY_METRICS_PORT)'
        )
