"""How old something must be before a collection touches it, and for how long it can be put back."""

from dataclasses import dataclass

from docker_registry.v2.operations import duration
from docker_registry.v2.registry import linked

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Bounds:
    """All are in seconds.

    :param older_than: age of what may go to the trash
    :param keep_trash: how long things stay in the trash at least
    :param listing_lag: how late a listing of Swift may be
    :param request: the longest time from a look at something to the write that relies on it
    :param skew: how much the clocks of Swift's proxies may differ
    :param upload: how long an upload may take
    :param commit: how long the last request of an upload may run
    :param is_quiet: whether nobody pushes or deletes anything meanwhile
    """

    older_than: float = 7 * DAY
    keep_trash: float = 7 * DAY
    listing_lag: float = DAY
    request: float = HOUR
    skew: float = 5 * MINUTE
    upload: float = DAY
    commit: float = DAY
    is_quiet: bool = False

    @classmethod
    def quiet(cls, older_than: float = 0, keep_trash: float = 0, listing_lag: float = 0) -> 'Bounds':
        """The bounds while nobody pushes or deletes anything: nothing has to wait, unless the caller wants it to."""
        return cls(older_than, keep_trash, listing_lag, 0, 0, 0, 0, is_quiet=True)

    @property
    def settled(self) -> float:
        """After this, every request that saw the old state has ended, and every listing shows what it wrote. It is the sum: a request
        may write at its end, and only then does the listing begin to be late."""
        return self.request + self.listing_lag + self.skew

    @property
    def kept(self) -> float:
        """Age at which something in the trash can no longer be put back. A push may rely for `upload` on what it found."""
        return max(self.keep_trash, self.upload + self.settled)

    @property
    def abandoned(self) -> float:
        """Age after which a segment that nothing names stays so: its upload's token has expired, the last commit has ended, and the
        listing shows it."""
        return self.upload + self.commit + self.listing_lag + self.skew

    def require_sense(self) -> None:
        """:raises ValueError: a push could rely on something that is about to be deleted; the text names the option"""
        least = linked.VERIFIED_SECONDS + self.request
        if not self.is_quiet and self.older_than < least:
            raise ValueError(
                f'--older-than must be at least {duration.text(least)}, because the registry relies that long on what it has seen. '
                'If nobody pushes or deletes anything meanwhile, use --quiet-registry'
            )
