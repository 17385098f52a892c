"""Leads clients to Swift itself for the bytes of large blobs: they get a signed URL (TempURL) that is good for one object and for GET.

https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html
"""

import logging
import time

from docker_registry.core import exceptions
from docker_registry.v2.access.addresses import address
from docker_registry.v2.registry import layout

logger = logging.getLogger(__name__)

PAUSE = 60  # seconds after trouble with the key in which blobs come through the registry
#: With these, the answer of Swift would be of no use: its ETags are others, and a browser would not show it to the page of another site.
OURS_ALONE = ('If-Match', 'If-Range', 'Origin')


class Redirects:
    """Decides which GET of a blob is led to Swift. While Swift accepts no URL that the registry signs, blobs come through the registry.

    :param storage: the driver
    :param clients: `values.Clients`
    :ivar smallest: bytes of the smallest blob that clients get from Swift
    """

    def __init__(self, storage, clients, smallest):
        self._storage, self._clients, self.smallest = storage, clients, smallest
        self._trouble, self._trouble_ends = None, 0.0

    def are_for(self, request):
        client = address(request.remote_addr or '')
        is_one_of_them = request.method == 'GET' and client is not None and client in self._clients
        return is_one_of_them and time.monotonic() >= self._trouble_ends and not any(name in request.headers for name in OURS_ALONE)

    def url(self, digest):
        """Return the URL of a blob, or None if there is none at the moment. It asks Swift again a minute later.

        The log says so once, and again only if it worked in the meantime or something else is wrong.
        """
        try:
            url = self._storage.content_redirect_url(layout.blob(digest))
            trouble = None if url else exceptions.ConfigError('SWIFT_TEMP_URL_KEY is not set')
        except exceptions.UnspecifiedError as error:
            url, trouble = None, error
        if trouble:
            self._trouble_ends = time.monotonic() + PAUSE
        self._tell(trouble)
        return url

    def _tell(self, trouble):
        if trouble and type(trouble) is not type(self._trouble):
            logger.warning('clients cannot get blobs from Swift itself, they come through the registry: %s', trouble)
        if self._trouble and not trouble:
            logger.info('clients get blobs from Swift itself again')
        self._trouble = trouble
