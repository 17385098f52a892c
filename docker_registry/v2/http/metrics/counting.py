"""What the application and the server call when there is something to count."""

import atexit
import functools
import itertools
import logging
import os
import re
import time

from docker_registry.drivers.swift import __version__
from docker_registry.v2.http.metrics.exporter import Exporter
from docker_registry.v2.http.metrics.exposition import exposition
from docker_registry.v2.http.metrics.folder import Folder
from docker_registry.v2.http.metrics.notes import ABOUT, begin_to_read, leave
from docker_registry.v2.http.metrics.series import METHODS, NO_RESPONSE, OTHER, SWIFT_METHODS, Lost, Series, repositories_in
from docker_registry.v2.registry import tally
from docker_registry.v2.registry.concurrency import CommonCall

logger = logging.getLogger(__name__)

REMEMBERED = 1  # seconds for which one text is good for all that ask a worker
OTHERS = '_other'  # no repository can have this name
#: What has become of an upload, by the method and the status of a request. Other statuses say that the registry, or Swift, refused.
UPLOADS = {('POST', 202): 'begun', ('POST', 201): 'finished', ('PUT', 201): 'finished', ('PATCH', 202): None, ('DELETE', 204): 'cancelled'}
MANIFESTS = {'GET': 'pull', 'PUT': 'push', 'DELETE': 'delete'}


class Metrics:
    """Counts for all processes of a registry. Make it in the first process, before it forks.

    :param repositories: count for each of so many repositories, too
    :param about: facts for `notes.GAUGES`
    :param is_shown: serve metrics at /metrics
    :param sock: where to serve them in a process of their own, or None
    :raises OSError: there is no room for the files
    """

    def __init__(self, repositories, about, is_shown=True, sock=None):
        self._folder, self._owner = Folder(repositories), os.getpid()
        self._path, self.is_shown = self._folder.path, is_shown
        leave(self._path, ABOUT, {'version': __version__, 'started': time.time(), **about})
        self._all = Series(self._path)
        self._make_numbers(self._all)
        self._repositories, self._most = set(), repositories
        self._exporter = Exporter(self._path, sock) if sock else None
        self._text = CommonCall(functools.partial(exposition, self._path), REMEMBERED)
        atexit.register(self.close)  # also if the registry does not start after all

    def _make_numbers(self, series):
        self._requests, self._seconds = Numbers(series.http_requests), Numbers(series.http_request_duration_seconds)
        self._received, self._sent = Numbers(series.http_received_bytes), Numbers(series.http_sent_bytes)
        self._uploads, self._swift_requests = Numbers(series.uploads), Numbers(series.swift_requests)
        self._swift_seconds = Numbers(series.swift_request_duration_seconds)
        self._manifests = Numbers(series.repository_manifest_requests)
        self._repository_bytes = Numbers(series.repository_received_bytes), Numbers(series.repository_sent_bytes)
        self._events = {
            'retry': series.swift_retries.inc,
            'resumed download': series.swift_resumed_downloads.inc,
            'refused token': series.swift_refused_tokens.inc,
            'pool wait': series.swift_pool_wait_seconds.observe,
            'login': series.swift_logins.labels('right').inc,
            'failed login': series.swift_logins.labels('failed').inc,
        }

    def text(self):
        """Return the text for Prometheus: see `exposition`."""
        return self._text.result()

    # Requests of clients

    def begin(self):
        """A request begins. Call `end` or `drop` when it is over."""
        self._all.http_requests_in_progress.inc()

    def drop(self):
        self._all.http_requests_in_progress.dec()

    def end(self, request, status, sent, seconds):
        """The client has the response, or has gone. The request is in progress until all its numbers are there.

        :param sent: bytes of the body
        """
        try:
            self._count(request, status, sent, seconds)
        finally:
            self.drop()

    def _count(self, request, status, sent, seconds):
        route, method = label_of(request.route), request.method if request.method in METHODS else OTHER
        received = request.body.count if request.body else 0
        self._requests[route, method, str(status)].inc()
        self._seconds[route, method].observe(seconds)
        for numbers, count in ((self._received, received), (self._sent, sent)):
            if count:
                numbers[route,].inc(count)
        if '/blobs/uploads/' in route:
            self._end_upload(request, status)
        is_api = route.startswith('/v2/')
        if self._most and request.parts.get('repository') and (status < 300 or request.events and not is_api):
            self._end_of_repository(request, route, received, sent)

    def _end_upload(self, request, status):
        if status >= 500:
            outcome = 'failed'
        elif (request.method, status) == ('POST', 201) and 'mount' in request.args:
            outcome = 'mounted'
        else:  # after a 401, the client tries again with a login
            refused = 'refused' if status >= 400 and status != 401 and request.method in ('POST', 'PATCH', 'PUT') else None
            outcome = UPLOADS.get((request.method, status), refused)
        if outcome:
            self._uploads[outcome,].inc()

    def _end_of_repository(self, request, route, received, sent):
        name = request.parts['repository']
        if name not in self._repositories:
            if len(self._repositories) < self._most:
                self._repositories.add(name)
            else:
                name = OTHERS
        if route.startswith('/v2/') and '/manifests/' in route and request.method in MANIFESTS:
            self._manifests[name, MANIFESTS[request.method]].inc()
        elif route.startswith('/ui/') and request.events:  # a form of the page has deleted tags
            self._manifests[name, MANIFESTS['DELETE']].inc(len(request.events))
        for numbers, count in zip(self._repository_bytes, (received, sent)):
            if count:
                numbers[name,].inc(count)

    # Swift, and what happens inside

    def of(self, storage):
        """Count the requests of the storage driver, after its own hook, and what else it tells. From now on count occurrences, too.

        Return these metrics.
        """
        before = storage.on_request

        def on_request(method, status, seconds):
            before(method, status, seconds)
            self._count_swift(method, status, seconds)

        storage.on_request, storage.on_event = on_request, self._count_event
        tally.listen(self._count_occurrence)
        return self

    def _count_swift(self, method, status, seconds):
        if method != 'LOGIN':  # see `_count_event`
            method = method if method in SWIFT_METHODS else OTHER
            self._swift_requests[method, str(status) if status else NO_RESPONSE].inc()
            self._swift_seconds[method,].observe(seconds)

    def _count_event(self, event, amount):
        if 'login' in event:
            amount = 1  # and not its seconds
        if event in self._events:
            self._events[event](amount)

    def _count_occurrence(self, what):
        metric = getattr(self._all, what.kind)
        (metric.labels(what.outcome) if what.outcome else metric).inc()

    def watch(self, events):
        """Count what becomes of the events for listeners."""
        events.watch(self._count_notifications)

    def _count_notifications(self, listener, outcome, amount, pending):
        if outcome == 'failed':
            self._all.notification_failures.labels(listener).inc(amount)
        else:
            self._all.notifications.labels(listener, outcome).inc(amount)
        self._all.notifications_pending.labels(listener).set(pending)

    # Processes

    def before_fork(self, arbiter, worker):
        """gunicorn calls this in the first process. The new worker gets a place that no other one has."""
        taken = {other.place for other in arbiter.WORKERS.values()}
        worker.place = next(place for place in itertools.count() if place not in taken)
        try:
            self._folder.forget_gauges(worker.place)
            self._folder.make_room(worker.place)
        except OSError as error:  # clients need the worker more than anybody needs its metrics
            logger.error(
                'there is no room for the metrics of a new worker process in %s: it counts nothing (%s)', self._path, error.strerror
            )
            worker.place = None

    def after_fork(self, arbiter, worker):
        """gunicorn calls this in a new worker."""
        if worker.place is None:
            self._all = Lost()
            self._make_numbers(self._all)
        else:
            self._all.move(worker.place)
            self._repositories = repositories_in(self._folder.file('counter', worker.place)) - {OTHERS}
        if self._exporter:
            self._exporter.leave()

    def after_death(self, arbiter, worker):
        """gunicorn calls this in the first process when a worker has ended, however it did."""
        if worker.place is not None:
            self._folder.forget_gauges(worker.place)

    def begin_worker(self, storage):
        """Do in a worker what it does besides answering requests."""
        begin_to_read(self._path, storage)

    def keep(self):
        """Call this again and again in the first process."""
        if self._exporter:
            self._exporter.keep()

    def close(self):
        """Remove the files, if this is the first process."""
        if os.getpid() == self._owner:
            if self._exporter:
                self._exporter.end()
            self._folder.remove()


class Numbers(dict):
    """The numbers of one metric, by the values of its labels. `labels` of prometheus-client takes longer to find one."""

    def __init__(self, metric):
        self._metric = metric

    def __missing__(self, values):
        number = self[values] = self._metric.labels(*values)
        return number


@functools.cache
def label_of(pattern):
    """Return what stands for a route in a label: its pattern, with a word in brackets for each part that differs between requests."""
    return re.sub(r'\(\?P(<\w+>)[^()]*\)', r'\1', pattern).replace('/?', '/') if pattern else 'none'
