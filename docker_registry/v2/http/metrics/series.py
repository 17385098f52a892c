"""Every metric that the processes of a registry count, as objects of prometheus-client.

Names and units: https://prometheus.io/docs/practices/naming/. The values of each label come from a fixed set, whatever clients send. The
texts are short, because prometheus-client keeps one beside each number.
"""

import json
import os

from prometheus_client import Counter, Gauge, Histogram, Summary, values
from prometheus_client.mmap_dict import MmapedDict

from docker_registry.v2.http.metrics.folder import FIRST

OTHER = 'other'
METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS')
SWIFT_METHODS = ('GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'COPY')
NO_RESPONSE = 'none'  # the status of a request that Swift did not answer
REQUEST_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)  # the last two are for the bodies of layers
SWIFT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)

#: {metric: (kind, text, labels, what else its class takes)}
TABLE = {
    'registry_http_requests_total': (Counter, 'Requests of clients.', ('route', 'method', 'status'), {}),
    'registry_http_request_duration_seconds': (
        Histogram,
        'Time until the client had the whole response.',
        ('route', 'method'),
        {'buckets': REQUEST_SECONDS},
    ),
    'registry_http_received_bytes_total': (Counter, 'Bytes of the bodies of requests.', ('route',), {}),
    'registry_http_sent_bytes_total': (Counter, 'Bytes of the bodies of responses.', ('route',), {}),
    'registry_http_requests_in_progress': (Gauge, 'Requests that are being answered.', (), {'multiprocess_mode': 'livesum'}),
    'registry_http_unreadable_requests_total': (Counter, 'What clients sent that was no request, or came too late.', (), {}),
    'registry_workers': (Gauge, 'Worker processes that run.', (), {'multiprocess_mode': 'livesum'}),
    'registry_uploads_total': (Counter, 'Uploads of blobs, by what became of them.', ('outcome',), {}),
    'registry_logins_total': (Counter, 'Passwords that were checked.', ('outcome',), {}),
    'registry_tokens_total': (Counter, 'Tokens that users got.', (), {}),
    'registry_manifest_cache_requests_total': (Counter, 'Looks for a manifest in memory.', ('outcome',), {}),
    'registry_swift_requests_total': (Counter, 'Requests to Swift.', ('method', 'status'), {}),
    'registry_swift_request_duration_seconds': (
        Histogram,
        'Time until Swift answered, without the body.',
        ('method',),
        {'buckets': SWIFT_SECONDS},
    ),
    'registry_swift_retries_total': (Counter, 'Requests to Swift that were sent again.', (), {}),
    'registry_swift_resumed_downloads_total': (Counter, 'Downloads that broke and went on.', (), {}),
    'registry_swift_refused_tokens_total': (Counter, 'Tokens of the registry that Swift refused.', (), {}),
    'registry_swift_logins_total': (Counter, 'Logins of the registry to Swift.', ('outcome',), {}),
    'registry_swift_pool_wait_seconds': (Summary, 'Time that requests to Swift waited for a free connection.', (), {}),
    'registry_notifications_total': (Counter, 'Events for listeners, by what became of them.', ('listener', 'outcome'), {}),
    'registry_notification_failures_total': (Counter, 'Attempts to send an event that failed.', ('listener',), {}),
    'registry_notifications_pending': (Gauge, 'Events that wait for a listener.', ('listener',), {'multiprocess_mode': 'livesum'}),
    'registry_repository_manifest_requests_total': (
        Counter,
        'Manifests that clients got, pushed or deleted.',
        ('repository', 'action'),
        {},
    ),
    'registry_repository_sent_bytes_total': (Counter, 'Bytes of layers and manifests that clients got.', ('repository',), {}),
    'registry_repository_received_bytes_total': (Counter, 'Bytes of layers and manifests that clients sent.', ('repository',), {}),
}
#: Values of labels that are there from the start: without them, the first increase of a counter would look like none.
FIRST_VALUES = {
    'registry_uploads_total': ('begun', 'finished', 'mounted', 'cancelled', 'refused', 'failed'),
    'registry_logins_total': ('right', 'wrong', 'delayed'),
    'registry_manifest_cache_requests_total': ('hit', 'miss'),
    'registry_swift_logins_total': ('right', 'failed'),
}


class Series:
    """All metrics of this process. Each is an attribute with its name, without `registry_` and `_total`.

    It changes how prometheus-client stores numbers, for this process and those that it forks: in the files of a folder.

    :param path: of a `Folder`
    """

    def __init__(self, path):
        self._place = FIRST
        os.environ['PROMETHEUS_MULTIPROC_DIR'] = path  # prometheus-client reads it each time that it opens a file
        values.ValueClass = values.MultiProcessValue(lambda: self._place)
        for name, (kind, text, labels, more) in TABLE.items():
            metric = kind(name, text, labels, registry=None, **more)
            setattr(self, name.removeprefix('registry_').removesuffix('_total'), metric)
            for value in FIRST_VALUES.get(name, ()):
                metric.labels(value)

    def move(self, place):
        """Count in the files of a place from now on. Call it in a new process before it counts anything."""
        self._place = place
        self.workers.set(1)


class Lost:
    """Stands for all metrics of a process for which there is no room. It takes every number, and keeps none."""

    def __getattr__(self, name):
        return self

    def __call__(self, *arguments):
        return self


def repositories_in(file):
    """Return the names of repositories for which a file of counters has numbers, so that a new worker knows what others counted in it."""
    labels = (json.loads(key)[2] for key, *_ in MmapedDict.read_all_values_from_file(file))
    return {found['repository'] for found in labels if 'repository' in found}
