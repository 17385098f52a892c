"""Independent requests to storage go out together."""

import contextvars
from concurrent.futures import ThreadPoolExecutor


class Together:
    """Runs calls at the same time, in a bounded number of threads.

    What runs here must not use it again: calls that wait for calls could take all threads.
    """

    def __init__(self, threads):
        # Threads start at first use, and so after a server's fork.
        self._pool = ThreadPoolExecutor(threads, 'storage')

    def start(self, call, *arguments):
        """A future; the call sees the caller's context variables."""
        return self._pool.submit(contextvars.copy_context().run, call, *arguments)

    def all(self, *calls):
        """The results of calls without arguments, in their order, once all are done; else the first error."""
        if not calls:
            return []
        futures = [self.start(call) for call in calls[1:]]
        try:
            first = calls[0]()
        finally:
            for future in futures:
                future.exception()  # waits: nothing goes on behind the back of an error
        return [first] + [future.result() for future in futures]

    def map(self, call, items):
        """`[call(item) for item in items]`, at the same time."""
        return self.all(*[lambda item=item: call(item) for item in items])
