"""Sends events to a listener, in order, one at a time, and again until the listener accepts them. No request ever waits for that."""

import collections
import contextlib
import http.cookiejar
import logging
import os
import random
import re
import threading
import time
from urllib.parse import urlsplit

import requests

from docker_registry.drivers.swift import __version__
from docker_registry.v2.access.watched import Broken, File

logger = logging.getLogger(__name__)

MEDIA_TYPE = 'application/vnd.docker.distribution.events.v2+json'
FIRST_PAUSE = 0.5  # seconds after the first failure; each pause is twice the last
MOST_READ = 64 * 1024  # bytes of a response's body. If it has more, its connection is not used again
BODY_SECONDS = 1  # seconds for them. The status counts anyway, as for CNCF distribution, which reads no body
JITTER = random.SystemRandom()  # workers that were forked from one process must not all retry at once
SAID_EVERY = 60  # seconds between two lines of the log that say that events are dropped
#: The listener does not want this event, and will never: it is dropped, and does not hold up the others.
REFUSALS = (400, 413, 415, 422)
#: What becomes of an event for a listener: the last one, of an attempt to send it, which is repeated.
OUTCOMES = ('accepted', 'refused', 'dropped', 'lost', 'failed')
#: Fields of a POST that are ours.
OURS = ('connection', 'content-length', 'content-type', 'expect', 'host', 'te', 'trailer', 'transfer-encoding', 'upgrade')


def read_headers(path):
    """Return {name: value} of a file with a header field in each line. Empty lines and those that begin with # do not count.

    :raises Broken: the file cannot be read, or a line is wrong. The text never shows a value
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f'{path} cannot be read: {getattr(error, "strerror", None) or "not UTF-8"}')
    fields = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith('#'):
            continue
        match = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~\t]*[!-~])?)[ \t]*", line)
        if not match or match[1].lower() in OURS:
            raise Broken(
                f'{path}, line {number}: must be a header field such as Authorization: Bearer ..., and none that the registry sets'
            )
        fields[match[1]] = match[2]
    return fields


class Listener:
    """One URL that gets events, with the queue of this process for it. Each process sends its own.

    :param settings: `settings.notifications.Notifications`
    :param within: see `access.outside.Server`; ends a POST whose response never ends
    :ivar failures: attempts that failed since the listener last accepted an event
    :ivar on_change: a function that is called with one of `OUTCOMES`, how many events it is about, and `pending`, each time that one of
        these changes. It must not raise, and not wait
    :raises Broken: the file of header fields cannot be used
    """

    def __init__(self, url, settings, within):
        self._url, self._within = url, within
        self._timeout, self._backoff, self._most = (
            settings.notifications_timeout,
            settings.notifications_backoff,
            settings.notifications_queue,
        )
        self._verify = settings.notifications_ca or True
        path = settings.notifications_headers_file
        self._headers = path and File(path, read_headers, 'header fields', 'notifications wait until the file of header fields is right')
        self.on_change = lambda outcome, amount, pending: None
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def __str__(self):
        """Return host and port. The rest of the URL may be secret."""
        parts = urlsplit(self._url)
        return f'{parts.hostname}:{parts.port or {"http": 80, "https": 443}[parts.scheme]}'

    def _begin(self):
        """Start with an empty queue. A forked process does so, too: it has neither its parent's thread nor its events."""
        self._changed = threading.Condition()
        self._waiting = collections.deque()
        self._thread, self._session = None, None
        self._ending = self._ended = False
        self.failures, self._dropped, self._said = 0, 0, 0.0

    def add(self, body):
        """Send an event some time. This never waits. If too many events wait, drop the oldest."""
        with self._changed:
            self._waiting.append(body)
            is_full = len(self._waiting) > self._most
            if is_full:
                del self._waiting[min(1, self._most - 1)]  # the first is being sent
                self._dropped += 1
            self._tell('dropped', int(is_full))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f'notifications for {self}', daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def pending(self):
        """Events that the listener has not accepted yet."""
        return len(self._waiting)

    def _tell(self, outcome, amount=1):
        self.on_change(outcome, amount, self.pending)

    def end(self):
        """Pause no longer than at first from now on: the process ends soon."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def drain(self, seconds):
        """Wait until the queue is empty, but no longer than this. Events that are left are lost."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)
            self._say_dropped(0)
            if self._waiting:
                logger.error('%d notifications for %s are lost, because the process ends', len(self._waiting), self)
                self._tell('lost', len(self._waiting))
            self._ended = True
            self._changed.notify_all()

    # What the thread does

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    break
                body = self._waiting[0]
            problem = self._problem_with(body)
            with self._changed:
                if problem is None:
                    self._settled(body)
                else:
                    self._failed(problem)
        if self._session is not None:
            self._session.close()

    def _problem_with(self, body):
        """Send an event. Return None if that is done, or a text that says why it must be sent again."""
        try:
            response = self._within(self._timeout, self._post, body)
        except Broken as error:
            return str(error)
        except (TimeoutError, requests.Timeout):
            return f'no response within {self._timeout} seconds'
        except Exception as error:  # whatever it is: the thread must go on
            return _name_of(error)  # its text may have the URL
        status = response.status_code
        with response, contextlib.suppress(Exception):
            self._within(BODY_SECONDS, response.raw.read, MOST_READ)  # up to its end, so that the connection can be used again
        if 200 <= status < 300 or status in (303, 304):
            self._tell('accepted')
            return None
        if status in REFUSALS:
            logger.error('%s refuses a notification with status %d; it is dropped', self, status)
            self._tell('refused')
            return None
        return f'status {status}' + (': set the URL that it redirects to' if 300 <= status < 400 else '')

    def _post(self, body):
        """Send an event, and return the response. Its body is not read."""
        if self._session is None:
            self._session = _session(self._url, self._verify)
        headers = {**(self._headers.current() if self._headers else {}), 'Content-Type': MEDIA_TYPE}
        options = {'timeout': self._timeout, 'allow_redirects': False, 'stream': True}  # header fields are for no other server
        return self._session.post(self._url, data=body, headers=headers, **options)

    def _settled(self, body):
        if self._waiting and self._waiting[0] is body:
            self._waiting.popleft()
            self._tell('accepted', 0)
        if self.failures:
            logger.info('%s accepts notifications again; %d wait', self, len(self._waiting))
            self.failures = 0
        self._say_dropped(0)
        self._changed.notify_all()

    def _failed(self, problem):
        self.failures += 1
        self._tell('failed')
        level = logging.WARNING if self.failures == 1 else logging.DEBUG
        logger.log(level, '%s does not accept notifications: %s; %d wait', self, problem, len(self._waiting))
        self._say_dropped(SAID_EVERY)
        ending = self._ending
        self._changed.wait_for(lambda: self._ended or self._ending and not ending, self.pause(1 if ending else self.failures))

    def pause(self, failures):
        """Return how many seconds to wait after so many failures, one after the other."""
        return min(self._backoff, FIRST_PAUSE * 2 ** min(failures - 1, 20)) * JITTER.uniform(0.5, 1)

    def _say_dropped(self, every):
        if self._dropped and time.monotonic() - self._said >= every:
            logger.error('%d notifications for %s were dropped, because %d others wait', self._dropped, self, len(self._waiting))
            self._dropped, self._said = 0, time.monotonic()


def _name_of(error):
    """Return the name of an error, with that of its reason if it has one, as those of requests have."""
    reason = getattr(error.args[0], 'reason', None) if error.args else None
    return type(error).__name__ + (f' ({type(reason).__name__})' if reason else '')


def _session(url, verify):
    """Return a session that uses the proxies of the environment, but neither its .netrc nor the cookies of the listener."""
    session = requests.Session()
    session.trust_env, session.verify = False, verify
    session.proxies.update(requests.utils.get_environ_proxies(url))
    session.headers['User-Agent'] = f'registry-swift/{__version__}'
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=()))
    return session
