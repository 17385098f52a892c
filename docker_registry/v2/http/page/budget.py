"""A budget of requests to Swift: what a page may cost, however much there is to show.

A page first does what it must. What is left of the budget goes to what it can do without.
"""

import threading

from docker_registry.v2.http import tracing
from docker_registry.v2.registry.deletions import Deletions
from docker_registry.v2.registry.tags import Tags

MOST = 10  # requests to Swift for one page
LISTINGS = 6  # of repositories, or of the tags of one
CHECKS = 2  # looks whether a tag that a listing shows has ended
READS = 7  # of manifests and configurations, for a list of tags
PLATFORMS = 4  # reads of manifests for the page of an index
REFERRERS = 3  # reads for the referrers of a manifest
BEFORE_REFERRERS = 2  # requests that find out which there are


def left(most, needed=0):
    """Return how many of `most` requests the page may still send, if it needs some others as well."""
    return max(0, min(most, MOST - tracing.spent() - needed))


class Spent(Exception):
    """The budget has no more requests of this kind."""


class Limited:
    """The storage driver, with limited numbers of listings and of looks at objects. After these, every listing is at its end.

    `stopped` is the marker at which the first listing stopped that the budget did not allow, or None.
    """

    def __init__(self, storage, most=LISTINGS):
        self._storage, self._listings, self._checks = storage, most, CHECKS
        self._lock = threading.Lock()
        self.stopped = None

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def list_page(self, path=None, marker=None, limit=None, recursive=False):
        with self._lock:
            self._listings -= 1
            if self._listings < 0:
                self.stopped = self.stopped or marker
                return []
        return self._storage.list_page(path, marker, limit, recursive)

    def stat(self, path, newest=None):
        self._check()
        return self._storage.stat(path, newest)

    def get_object(self, path, newest=None):
        self._check()
        return self._storage.get_object(path, newest)

    def _check(self):
        """:raises Spent: it is one look too many"""
        with self._lock:
            self._checks -= 1
            if self._checks < 0:
                raise Spent


class LimitedDeletions(Deletions):
    def link(self, repository, digest, deleted):
        try:
            return super().link(repository, digest, deleted)
        except Spent:
            return NOT_ENDED


class LimitedTags(Tags):
    """Shows a tag if there was no look whether it has ended."""

    def now(self, repository, tag):
        try:
            return super().now(repository, tag)
        except Spent:
            return None, 0


class NotEnded:
    last_modified = 0


NOT_ENDED = NotEnded()  # stands for the link of a manifest that was not pushed again after it was deleted


def tags(domain, replication_cycle):
    """Return (the tags of all repositories, as far as a budget shows them, and the storage that keeps to the budget)."""
    storage = Limited(domain.storage)
    deletions = LimitedDeletions(storage, domain.together, domain.absence, replication_cycle)
    return LimitedTags(storage, domain.together, deletions), storage
