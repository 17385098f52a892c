"""Compares the registry's answers with the ledger, and collects what it must not have answered."""

import collections
import dataclasses
import threading
import time

from api import Answer
from ledger import ACKNOWLEDGED, BLOB, MANIFEST, REFERRER, REFUSED, TAG, THERE, UNCERTAIN, Key

# Kinds of violations
FALSE_404 = '404 for something acknowledged'
BACK = 'something deleted is back'
OLD = 'a tag has an old value'
UNKNOWN = 'something that nobody pushed'
WRONG_BYTES = 'wrong or missing bytes in a complete answer'
WRONGLY_REFUSED = 'a valid request was refused'
NOT_LISTED = 'a listing leaves out something acknowledged'
LISTED = 'a listing names something deleted'
DISAGREE = 'a tag is listed but cannot be pulled, or the other way round'
UNAVAILABLE = 'no answer from a Swift that should be able to give one'
LEFT = 'the last collection has left something that nothing needs, or not all that is needed'

KINDS = (FALSE_404, BACK, OLD, UNKNOWN, WRONG_BYTES, WRONGLY_REFUSED, NOT_LISTED, LISTED, DISAGREE, UNAVAILABLE, LEFT)

LOAD = 'while clients push and pull'  # the first phase; the others are those of the check
#: Begins the phases in which replicas differ while a node is down. A delete or an overwrite may then be on one of three nodes, beside an
#: old replica, and Swift may answer with either. Nothing that was stored may be missing.
DIFFERING, UNDONE = 'before replication, without', (BACK, OLD, UNAVAILABLE)

FOUND, ABSENT, FAILED, UNSENT = 'found', 'absent', 'failed', 'not sent'


@dataclasses.dataclass
class Violation:
    """An answer that breaks a promise: what it is about, the answer, and what the ledger knew."""

    kind: str
    about: str
    answer: str
    allowed: str
    phase: str
    started: float  # seconds since the run began
    ended: float
    words: tuple  # that lines of logs about it contain
    history: list
    log: list = dataclasses.field(default_factory=list)


class Judge:
    """Judges answers. It counts everything, and is shared by all clients.

    :param contents: {digest: `Blob` or `Manifest`} of everything that was ever sent
    :param now: a clock, as `time.monotonic`
    """

    def __init__(self, ledger, contents, now=time.monotonic):
        self._ledger, self._contents, self.now = ledger, contents, now
        self._lock = threading.Lock()
        self.began = now()
        self.phase = LOAD
        self.counts = collections.defaultdict(collections.Counter)  # operation -> Counter of outcomes
        self.statuses = collections.Counter()
        self.stale_listings = collections.Counter()
        self.undone = collections.Counter()  # kind of violation -> answers of a Swift that could not know better
        self.acknowledged_bytes = 0
        self.longest = 0.0  # seconds of the longest request that wrote something
        self.missed = 0  # HEADs of blobs that were still in the trash
        self.violations = []
        self.undecided = set()  # tags that may or may not be there

    def count(self, operation, outcome, answer=None, size=0):
        """Count an outcome. Count its answer, too, if that was none or an error of the server."""
        with self._lock:
            unsent = answer is not None and answer.unsent
            self.counts[operation][UNSENT if unsent else outcome] += 1
            if answer is not None and not unsent and (answer.status or 500) >= 500:
                self.statuses[answer.status or answer.failure[:40]] += 1
            self.acknowledged_bytes += size

    def violation(self, kind, key, answer, allowed=(), detail=''):
        if self.phase.startswith(DIFFERING) and kind in UNDONE:
            with self._lock:
                self.undone[kind] += 1
            return
        allowed = ', '.join(sorted('nothing' if value is None else value[:19] for value in allowed))
        found = Violation(
            kind,
            str(key),
            f'{answer}{" " + detail if detail else ""}',
            allowed,
            self.phase,
            answer.started - self.began,
            answer.ended - self.began,
            words_about(key, answer),
            self._ledger.history(key, self.began),
        )
        with self._lock:
            # What one pass of the check has found, the next ones find again.
            known = {(violation.kind, violation.about) for violation in self.violations if violation.phase != LOAD}
            if self.phase == LOAD or (found.kind, found.about) not in known:
                self.violations.append(found)

    # Pulls

    def pulled(self, operation, key, answer, problem=''):
        """Judge a GET or HEAD of something.

        :param problem: what is wrong with the bytes or headers of a 200, if the caller found something
        :return: what the answer says is there: a value of the ledger, None for a 404, or False if it says nothing
        """
        if answer.status in (200, 206):
            seen = THERE if key.kind != TAG else answer.header('Docker-Content-Digest')
            self.count(operation, FOUND)
            if problem:
                self.violation(WRONG_BYTES, key, answer, detail=problem)
                return seen
        elif answer.status == 404:
            seen = None
            self.count(operation, ABSENT)
        else:
            self.count(operation, FAILED, answer)
            if answer.status and answer.status < 500:
                self.violation(WRONGLY_REFUSED, key, answer)
            return False
        self._compare(key, answer, seen)
        return seen

    def is_allowed(self, key, answer, linked=False):
        """Return whether an answer may be a 404."""
        return None in self._ledger.pullable(key, answer.started, answer.ended, linked=linked)

    def is_missed(self, key, answer):
        """Return whether a HEAD of a blob may have overlooked that it is in the trash: a process looks there once in a while."""
        missed = answer.status == 404 and self._ledger.collects and not self.is_allowed(key, answer, linked=True)
        self.missed += missed
        return missed

    def _compare(self, key, answer, seen):
        allowed = self._ledger.pullable(key, answer.started, answer.ended, linked=answer.method == 'HEAD')
        if seen in allowed:
            return
        if seen is None:
            kind = FALSE_404
        elif key.kind == TAG and seen not in self._contents:
            kind = UNKNOWN
        else:
            kind = BACK if allowed == {None} else OLD
        self.violation(kind, key, answer, allowed, f'says {seen}')

    def check_bytes(self, digest, content):
        """Return what is wrong with the content of a digest, or ''."""
        return '' if self._contents[digest].matches(content) else f'{len(content)} bytes are not those of {digest[:19]}'

    # Writes

    def written(self, operation, pending, answer, size=0):
        """Judge the answer to a request that writes, note its outcome in the ledger, and return that.

        :param size: bytes that are acknowledged if it is
        """
        if answer.status is not None and 200 <= answer.status < 300:
            outcome = ACKNOWLEDGED
        elif answer.unsent or answer.status is not None and answer.status < 500:
            outcome = REFUSED
        else:
            outcome = UNCERTAIN
        deleting = answer.status == 404 and answer.method == 'DELETE'
        if not answer.unsent:
            self.longest = max(self.longest, answer.ended - answer.started)
        # A DELETE may have been repeated after it took effect, so the thing may be gone after all.
        self._ledger.end(pending, UNCERTAIN if deleting else outcome, answer.ended, answer.request)
        self.count(operation, outcome, answer, size if outcome == ACKNOWLEDGED else 0)
        if deleting:
            self._judge_delete(pending, answer)
        elif outcome == REFUSED and not answer.unsent:
            self._judge_refusal(pending.writes[0][0], answer)
        return outcome

    def _judge_delete(self, pending, answer):
        """Judge the 404 to a DELETE: nothing may have been there before it."""
        key, write = pending.writes[0]
        allowed = self._ledger.pullable(key, answer.started, answer.ended, without=write, linked=True)
        if None not in allowed:
            self.violation(FALSE_404, key, answer, allowed)

    def _judge_refusal(self, key, answer):
        missing = self._missing(answer) if answer.status == 404 else None
        if not missing:
            return self.violation(WRONGLY_REFUSED, key, answer)
        for digest in missing:
            kind = BLOB if hasattr(self._contents.get(digest), 'size') else MANIFEST
            needed = Key(kind, key.repository, digest)
            allowed = self._ledger.pullable(needed, answer.started, answer.ended)
            if None not in allowed:
                self.violation(FALSE_404, needed, answer, allowed, 'as a reference of a manifest')

    @staticmethod
    def _missing(answer):
        """Return the digests that a registry misses, as it says when it refuses a manifest."""
        errors = (answer.json() or {}).get('errors', [])
        return [error['detail']['digest'] for error in errors if error.get('code') == 'MANIFEST_BLOB_UNKNOWN']

    def step(self, operation, key, answer):
        """Judge the answer to a request that writes nothing visible, as a step of an upload does. Return whether it was a success."""
        if answer.status is not None and answer.status < 300:
            return True
        self.count(operation, FAILED, answer)
        if answer.status is not None and answer.status < 500:
            self.violation(WRONGLY_REFUSED, key, answer)
        return False

    def unavailable(self, key, began):
        """Note that there was no answer for a long time, though Swift could have given one."""
        self.violation(UNAVAILABLE, key, Answer('GET', str(key), '', 0, began, self.now(), failure='no answer, again and again'))

    def left(self, examples):
        """Note what the last collection should have taken away, or should not have."""
        for example in examples:
            answer = Answer('LIST', example, '', 0, self.began, self.now(), failure='as the listing shows')
            self.violation(LEFT, Key(BLOB, '', example), answer)

    # Listings

    def listed(self, operation, place, keys, names, answer, since):
        """Judge a listing.

        :param place: a key in it, without a name
        :param keys: all registers that could be in it
        :param names: the names in it, or None if it could not be had
        :param since: when its first page was asked for
        :return: names, again
        """
        if names is None:
            self.count(operation, FAILED, answer)
            if answer.status is not None and answer.status < 500:
                self.violation(WRONG_BYTES if answer.status == 200 else WRONGLY_REFUSED, place, answer)
            return names
        self.count(operation, FOUND)
        for key in keys:
            self._judge_entry(key, key.name in names, answer, since)
        unknown = sorted(set(names) - {key.name for key in keys})
        if unknown:
            self.violation(UNKNOWN, place._replace(name=unknown[0]), answer)
        return names

    def _judge_entry(self, key, present, answer, since):
        if self._fits(self._ledger.possible(key, since, answer.ended), present):
            return
        listable = self._ledger.listable(key, since, answer.ended)
        if self._fits(listable, present):
            with self._lock:
                self.stale_listings['an entry is missing' if not present else 'an entry is named that is gone'] += 1
        else:
            kind = DISAGREE if key in self.undecided else LISTED if present else NOT_LISTED
            self.violation(kind, key, answer, listable)

    @staticmethod
    def _fits(values, present):
        return values != {None} if present else None in values


def words_about(key, answer):
    """Return words one of which is in each line of a registry's log that is about a violation."""
    if key.kind == TAG:
        names = [f'/{key.repository}/_manifests/tags/{key.name}/', f'/{key.repository}/manifests/{key.name} ']
    else:
        names = [word.rpartition(':')[2] for word in (key.name, key.subject) if word]
    return (*names, f'id={answer.request}', f'id {answer.request}')


def names_in(answer, kind):
    """Return the names in one page of a listing; [] for a 404, which says that there are none; None if it says nothing."""
    if answer.status == 404 and kind == TAG:
        return []
    document = answer.json() if answer.status == 200 else None
    if not isinstance(document, dict):
        return None
    if kind == REFERRER:
        return [entry['digest'] for entry in document.get('manifests', [])]
    return document.get('tags', None)
