"""Events: what requests have done, in the form in which CNCF distribution tells its listeners.

https://distribution.github.io/distribution/about/notifications/
"""

import datetime
import functools
import json
import socket
import time
import uuid
from dataclasses import dataclass

from docker_registry.v2.http.listeners import OUTCOMES, Listener

BLOBS, MANIFESTS = 'blobs', 'manifests'
PULLED = (200, 206, 307)  # the last one leads to Swift, which has the bytes
BLOB_TYPE = 'application/octet-stream'  # the media type of all blobs, as distribution has it: it does not know another
LONGEST_AGENT = 512  # characters of a User-Agent
LAST_SECONDS = 5  # seconds that a process has to send the events that wait, when it ends


@dataclass(frozen=True)
class Event:
    """What a request has done.

    :param action: pull, push, mount or delete
    :param kind: `BLOBS` or `MANIFESTS`
    :param size: in bytes, or None if nobody knows
    :param source: the repository that a blob was mounted from, or None
    """

    action: str
    kind: str
    repository: str
    digest: object = None
    tag: str | None = None
    media_type: str = BLOB_TYPE
    size: int | None = None
    source: str | None = None

    def target(self, base_url):
        """Return the member `target`. Of what was deleted, distribution names only the digest or the tag."""
        if self.action == 'delete':
            return _present(digest=self.digest and str(self.digest), repository=self.repository, tag=self.tag)
        return _present(
            mediaType=self.media_type,
            size=self.size,
            digest=str(self.digest),
            length=self.size,
            repository=self.repository,
            fromRepository=self.source,
            url=f'{base_url}v2/{self.repository}/{self.kind}/{self.digest}',
            tag=self.tag,
        )


def _present(**members):
    """Return the members that have a value, as Go's `omitempty` does: 0 is none."""
    return {name: value for name, value in members.items() if value}


class Events:
    """Tells listeners of events.

    :param settings: `settings.notifications.Notifications`
    :param port: of this registry
    :param within: see `Listener`
    :raises Broken: the file of header fields cannot be used
    """

    def __init__(self, settings, port, within):
        self._listeners = [Listener(url, settings, within) for url in settings.notifications_url]
        self._ignored, self._ignored_types = settings.notifications_ignore_actions, settings.notifications_ignore_media_types
        self._source = {'addr': f'{socket.gethostname()}:{port}', 'instanceID': str(uuid.uuid4())}

    def __str__(self):
        return ', '.join(map(str, self._listeners))

    def watch(self, on_change):
        """From now on, call a function with the name of a listener and what `Listener.on_change` gets. At once, call it for all outcomes.

        The name is host and port, with a number if there are several with these.
        """
        names = list(map(str, self._listeners))
        for number, (name, listener) in enumerate(zip(names, self._listeners), 1):
            listener.on_change = functools.partial(on_change, name if names.count(name) == 1 else f'{name} ({number})')
            for outcome in OUTCOMES:
                listener.on_change(outcome, 0, 0)

    def tell(self, request, response, is_complete, from_proxy):
        """Tell of what an answered request has done: its `events`.

        :param is_complete: whether all of the response has been sent. If not, or if it is an error, there was no pull
        """
        for event in request.events:
            is_done = event.action != 'pull' or is_complete and response.status_code in PULLED
            if is_done and not self._is_ignored(event):
                document = self._document(event, request, from_proxy)
                body = json.dumps({'events': [document]}).encode()
                for listener in self._listeners:
                    listener.add(body)

    def _is_ignored(self, event):
        return event.action in self._ignored or event.action != 'delete' and event.media_type in self._ignored_types

    def _document(self, event, request, from_proxy):
        address, port = request.remote_addr or '', request.environ.get('REMOTE_PORT')
        if port and not from_proxy:  # the port of a proxy is not that of the client
            address = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
        return {
            'id': str(uuid.uuid4()),
            'timestamp': datetime.datetime.now(datetime.timezone.utc).isoformat().replace('+00:00', 'Z'),
            'action': event.action,
            'target': event.target(f'{request.scheme}://{request.host}/' if request.host else '/'),
            'request': {
                'id': request.id,
                **_present(addr=address, host=request.host),
                'method': request.method,
                'useragent': request.headers.get('User-Agent', '')[:LONGEST_AGENT],
            },
            'actor': _present(name=request.identity.name),
            'source': self._source,
        }

    def drain(self, seconds=LAST_SECONDS):
        """Send what waits, for at most so many seconds: the process ends."""
        deadline = time.monotonic() + seconds
        for listener in self._listeners:
            listener.end()
        for listener in self._listeners:
            listener.drain(max(0, deadline - time.monotonic()))
