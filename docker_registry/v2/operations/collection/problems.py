"""Why a collection stops. The texts are for the operator, and say what to do."""


class Problem(Exception):
    """A collection has stopped by itself, with no request under way."""


class Locked(Problem):
    """Another collection has the lock, or has taken it."""


class Stopped(Problem):
    """A brake has stopped the collection before it deleted anything."""


class LyingListing(Problem):
    """A listing did not show a link that is there. So nothing that it does not show is garbage for certain."""
