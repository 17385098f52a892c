"""Which repositories of a listing a client may see, and how to get past those that the client may not see."""

import bisect
from collections.abc import Callable

from docker_registry.v2.access.spans import Spans


class Visible:
    """The repositories that a client may see.

    :param sees: returns whether the client may see a repository
    :param spans: outside these, no path belongs to a repository that the client may see
    """

    def __init__(self, sees: Callable[[str], bool], spans: Spans):
        self.sees = sees
        self._spans = spans
        self._ends = [end for _, end in spans]

    def after(self, text: str) -> str | None:
        """Return the first text, from this one on, that may begin a path of a repository which the client may see.

        Nothing between the two belongs to one. So a listing can go on there.

        :returns: None if there is nothing more to see. The text itself if it is not known to be outside
        """
        at = bisect.bisect_right(self._ends, text)
        return max(text, self._spans[at][0]) if at < len(self._spans) else None
