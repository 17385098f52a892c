"""Whether this registry can serve: whether Swift answers now. Load balancers ask often, and must not wait long."""

from concurrent import futures

from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.concurrency import CommonCall

PATIENCE = 3  # seconds in which /readyz answers
REMEMBERED = 1  # seconds for which the outcome of a look at Swift is good


class Readiness:
    """Looks whether Swift accepts the credentials and lists the container.

    There is one look at a time, and all that ask meanwhile wait for it. It neither waits for what clients do in Swift, nor holds that up.

    :param retry_after: seconds after which clients should ask again
    """

    def __init__(self, storage, retry_after):
        self._storage, self._retry_after = storage.impatient(PATIENCE), retry_after
        self._look = CommonCall(self._list, REMEMBERED)

    def require(self):
        """Return if Swift answers.

        :raises Unavailable: it has not answered in `PATIENCE` seconds. The look goes on, and others wait for it.
        :raises: the errors of the driver, if Swift refuses or cannot be reached
        """
        try:
            self._look.result(PATIENCE)
        except futures.TimeoutError:
            raise errors.Unavailable(
                f'storage has not answered in {PATIENCE} seconds; retry later', headers={'Retry-After': str(self._retry_after)}
            )

    def _list(self):
        self._storage.list_page(layout.ROOT, limit=1)
