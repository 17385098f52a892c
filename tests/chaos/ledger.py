"""The ledger: what the registry has promised, and which answers these promises allow.

Everything that a client can ask for is a register: a blob or a manifest of a repository, a tag, or an entry in a list of referrers. Each
write of a register has a time at which its request began, and one at which its response came. In between it may take effect at any moment.

- A write is acknowledged (2xx). From its end on, it is in effect.
- A write is refused (4xx, or never sent). It has no effect.
- A write is uncertain (5xx, or no response). It may take effect at any moment, up to `LATE` seconds after its end, or never.

A collector may take away a blob that no manifest of its repository needs for certain, when nobody has pushed it for a while. A client may
rely on what it has found for as long as a push may take.

A read may return what was current at some moment between its beginning and its end. A write stays current until another one has ended that
was acknowledged, and that began after the first was settled. Writes that overlap may take effect in either order.
"""

import bisect
import collections
import itertools
import math
import threading
import typing

from hurried import BOUNDS, UPLOAD

#: Seconds after its end in which an uncertain write may still take effect. Its request may wait in a stopped proxy of Swift, and the
#: processes of Swift go on with it when the registry that sent it is dead. This is longer than `faults.py` stops a proxy, and longer than
#: Swift waits for a node.
LATE = 20.0

OLD, KEPT = BOUNDS['older_than'], BOUNDS['keep_trash']
BLOB, MANIFEST, TAG, REFERRER = 'blob', 'manifest', 'tag', 'referrer'
ACKNOWLEDGED, REFUSED, UNCERTAIN = 'acknowledged', 'refused', 'uncertain'

BEGINNING, CHECK = 'the beginning', 'the check'  # in place of a request

#: What a register contains where only its presence matters.
THERE = 'there'


class Key(typing.NamedTuple):
    """The name of a register. `name` is a digest or a tag; `subject` is that of a referrer."""

    kind: str
    repository: str
    name: str
    subject: str = ''

    def __str__(self):
        return f'{self.kind} {self.repository} {self.name[:19]}' + (f' of {self.subject[:19]}' if self.subject else '')


class Write:
    """One write of a register. `value` is None if it deletes."""

    def __init__(self, value, start, request='', end=None, acknowledged=False):
        self.value, self.start, self.request = value, start, request
        self.end, self.acknowledged = end, acknowledged

    @property
    def settled(self):
        """When it cannot take effect any more."""
        if self.end is None:
            return math.inf
        return self.end if self.acknowledged else self.end + LATE

    def told(self):
        """Return what it did, as text."""
        state = ACKNOWLEDGED if self.acknowledged else UNCERTAIN
        return f'{"delete" if self.value is None else self.value[:19]}, {state}, id {self.request}'


def nothing():
    """Return the first write of every register: it is empty."""
    return Write(None, -math.inf, BEGINNING, -math.inf, True)


class Overwrites:
    """Answers when the acknowledged ones among some writes have ended."""

    def __init__(self, writes):
        done = sorted((write.start, write.end) for write in writes if write.acknowledged)
        self._starts = [start for start, _ in done]
        self._ends = list(itertools.accumulate((end for _, end in reversed(done)), min))[::-1]

    def after(self, moment):
        """Return when the first of those has ended that began after a moment; infinity if there is none."""
        place = bisect.bisect_right(self._starts, moment)
        return self._ends[place] if place < len(self._ends) else math.inf


def current(writes, since, until, deletes=()):
    """Return the set of values that a register may have had at some moment between two.

    :param deletes: (value, `Write`) of those that empty the register if it contains that value: deletes of a tag's manifest
    """
    over = Overwrites(writes)

    def last_moment(write):
        ends = [delete.end for value, delete in deletes if value == write.value and delete.acknowledged and delete.start > write.settled]
        return min([over.after(write.settled), *ends])

    def may_act(value, delete):
        return any(write.value == value and write.start <= delete.settled and over.after(write.settled) >= delete.start for write in writes)

    found = {write.value for write in writes if write.start <= until and last_moment(write) >= since}
    if any(delete.start <= until and over.after(delete.settled) >= since and may_act(value, delete) for value, delete in deletes):
        found.add(None)
    return found


class Pending:
    """Writes of one request, until its outcome is known."""

    def __init__(self, writes):
        self.writes = writes  # [(Key, Write)]


class Ledger:
    """All registers. Every method may be called from any thread."""

    def __init__(self, collects=False):
        self._lock = threading.RLock()
        self.collects = collects  # whether a collector takes away blobs that no manifest of their repository needs
        self._needed_by = collections.defaultdict(set)  # Key of a blob -> {Key of a manifest that names it}
        self._found = collections.defaultdict(list)  # Key of a blob -> [when a client found it]
        self._all_collected = False
        self._writes = {}  # Key -> [Write]
        self._keys = collections.defaultdict(list)  # kind -> [Key], in the order of their first writes
        self._of_repository = collections.defaultdict(list)  # (kind, repository, subject) -> [Key]
        self._agreed = -math.inf

    def begin(self, changes, moment):
        """Note that a request begins that writes registers.

        :param changes: [(Key, value)]
        :return: what `end` needs
        """
        with self._lock:
            pending = Pending([(key, Write(value, moment)) for key, value in changes])
            for key, write in pending.writes:
                self._register(key).append(write)
            return pending

    def end(self, pending, outcome, moment, request=''):
        """Note the outcome of a request. `request` is its id."""
        with self._lock:
            for key, write in pending.writes:
                write.end, write.acknowledged, write.request = moment, outcome == ACKNOWLEDGED, request
                if outcome == REFUSED:
                    self._writes[key].remove(write)

    def pin(self, key, value, moment):
        """Note what a register contains now, after all writes."""
        with self._lock:
            self._register(key).append(Write(value, moment, CHECK, moment, True))

    def set_agreed(self, moment):
        """Note that all container servers of Swift agree on what was written before this moment. Listings are not older than it."""
        self._agreed = moment

    def need(self, repository, manifest, blobs):
        """Note that a manifest names blobs, all by their digests."""
        with self._lock:
            for blob in blobs:
                self._needed_by[Key(BLOB, repository, blob)].add(Key(MANIFEST, repository, manifest))

    def found(self, key, moment):
        """Note that a client asked for a blob and found it. It may rely on that for a while."""
        with self._lock:
            self._found[key].append(moment)

    def collected(self):
        """Note that a collection has taken away all that nothing needs."""
        self._all_collected = True

    def _register(self, key):
        if key not in self._writes:
            self._writes[key] = [nothing()]
            self._keys[key.kind].append(key)
            self._of_repository[key.kind, key.repository, key.subject].append(key)
        return self._writes[key]

    # Questions

    def possible(self, key, since, until, without=None):
        """Return the set of values that a read between two moments may see. None in it: nothing may be there.

        :param without: a `Write` to leave out, because it is the one that asks
        """
        with self._lock:
            writes = [write for write in self._writes.get(key) or [nothing()] if write is not without]
            return current(writes, since, until, self._deletes(key, writes))

    def _deletes(self, key, writes):
        """Return [(digest, `Write`)] for the deletes of manifests that this tag may have pointed to. They delete the tag, too."""
        if key.kind != TAG:
            return []
        digests = {write.value for write in writes} - {None}
        return [
            (digest, write)
            for digest in digests
            for write in self._writes.get(Key(MANIFEST, key.repository, digest), ())
            if write.value is None and write.start > -math.inf
        ]

    def pullable(self, key, since, until, without=None, linked=False):
        """Like `possible`, for a pull. A tag cannot be pulled while its manifest is deleted. A blob may be collected.

        :param linked: whether it counts as missing, too, what is in the trash
        """
        values = self.possible(key, since, until, without)
        if key.kind == BLOB and self.collects and self._may_be_collected(key, since, until, linked):
            values.add(None)
        if key.kind == TAG:
            manifests = [Key(MANIFEST, key.repository, value) for value in values if value]
            if any(None in self.possible(manifest, since, until) for manifest in manifests):
                values.add(None)
        return values

    def _may_be_collected(self, key, since, until, linked):
        """Return whether a blob may be missing because no manifest needs it, and nobody has pushed or found it for long."""
        age = OLD if linked else OLD + KEPT
        with self._lock:
            if any(None not in self.possible(manifest, since, until) for manifest in self._needed_by[key]):
                return False
            if self._all_collected:
                return True
            pushed = [w.start for w in self._writes.get(key, ()) if w.acknowledged and w.value and w.request != CHECK and w.end < since]
            found = [] if linked else [moment for moment in self._found[key] if moment < since]
        return until - max(pushed, default=-math.inf) > age and until - max(found, default=-math.inf) > UPLOAD

    def listable(self, key, since, until):
        """Like `possible`, for a listing, which may be old: see `set_agreed`."""
        return self.possible(key, min(since, self._agreed), until)

    def keys(self, kind, repository=None, subject=''):
        with self._lock:
            return list(self._keys[kind] if repository is None else self._of_repository[kind, repository, subject])

    def history(self, key, began):
        """Return [(start, end, text)] of the last writes of a register, for the story of a violation.

        Times are in seconds since `began`; the end is None while there is no answer.
        """
        with self._lock:
            writes = self._writes.get(key, ())
            told = [(write, write.told()) for write in writes]
            told += [(write, f'manifest {digest[:19]}: {write.told()}') for digest, write in self._deletes(key, writes)]
        real = sorted(
            (write.start - began, write.end and write.end - began, text) for write, text in told if write.request not in (BEGINNING, CHECK)
        )
        return real[-8:]

    def last_uncertain_end(self):
        """Return when the last uncertain write is settled, at the latest."""
        with self._lock:
            every = [write for writes in self._writes.values() for write in writes if not write.acknowledged]
            return max((write.settled for write in every), default=-math.inf)
