"""The rules of the protocol. The tests switch each of them off, to see that the search finds what the rule prevents."""

import dataclasses

# Times are boundaries between stretches of time. A request crosses at most one (T), a listing is behind for at most one (L). So two
# are certainly more than T, and three more than T and then L.
OVER_T = 2
OVER_L = 2
OVER_T_L = 3


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is done, and how long is waited. Times are the least age, in boundaries, at which something may be done."""

    record: bool = True  # a record exists before data is deleted
    names: bool = True  # names of links are recorded before the links are deleted
    names_read: bool = True  # who misses a link looks at the names, and puts the link back
    names_at_once: bool = True  # the names are found without a listing
    read_through: bool = True  # who misses data looks at the record, and puts the data back
    keep: int = OVER_T_L  # age of a record at which data may be purged
    keep_restored: int = OVER_T_L  # age of a record at which it may go when its data was put back
    keep_names: int = OVER_T_L  # age of recorded names at which they may go
    from_start: bool = True  # ages are those at the beginning of the run, before its survey
    purging: bool = True  # a record says for a while that it cannot be used any more, before segments go
    purge: int = OVER_T_L  # age of a record at which purging ends
    linked_again: str = 'trash if whole'  # what a record becomes whose blob is linked when purging ends; or `trash`, or `purging`
    look: bool = True  # the collector looks for data before it purges, and before it says so
    needed: bool = True  # data that a manifest names counts as linked, also without a link
    put_back: bool = True  # the collector puts back what is linked, or what a manifest names
    settled: bool = True  # a record stays until the data that was put back is older than L
    fresh: bool = True  # DELETE follows its record at once, or the record is written again
    lock: bool = True  # one collector at a time
    new_only: bool = True  # data is put back with If-None-Match: *
    others: bool = True  # segments stay that another object or record names
    blobs_first: bool = True  # a survey lists blobs before repositories
    look_after: bool = False  # the collector looks again at the manifests when it has deleted a link
    listed_too: bool = True  # absence is believed before a purge only if neither HEAD nor listing shows the name
    twice: bool = True  # a segment goes only if surveys more than L apart found it unnamed
    old_segments: int = 4  # age of the youngest segment of an upload at which it may go: over P, T and then L
    no_late: bool = True  # a run begins only when no DELETE of one that crashed can land any more
    late: int = 0  # boundaries that such a DELETE crosses at most
