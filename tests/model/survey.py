"""The survey of a run, and what the run decides from it."""

import itertools

from .rules import OVER_L
from .store import NO_NAMES, PURGING, SHOWN, TRASH


def begin(turn):
    """Take the lock. Ages are those at this time."""
    state, rules = turn.state, turn.rules
    if rules.lock and any(run.at != 'idle' for run in state.runs) or rules.no_late and state.late:
        return
    ages = tuple(record.age for record in state.records)
    task = (ages, state.names, old_segments(turn), None, None)
    if turn.scene.late_blobs:
        yield from listings(turn, 'list blobs' if rules.blobs_first else 'list repositories', task)
    else:
        yield from listings(turn, 'list repositories', (*task[:3], tuple(map(bool, state.contents)), None))


def old_segments(turn):
    """Return the segments that may go if nothing names them, as bits."""
    scene, state, rules = turn.scene, turn.state, turn.rules
    if not scene.collects_segments:
        return 0
    bits = sum(bit for bit, age in state.unnamed if age >= OVER_L) if rules.twice else state.segments
    return bits if state.uploaded >= rules.old_segments else bits & ~scene.uploads


def list_next(turn):
    return listings(turn, turn.run.at, turn.task)


def listings(turn, what, task):
    """List what may be shown, in every way in which it may be shown.

    :param task: (ages of records, ages of recorded names, old segments, blobs that are shown, names below repositories that are shown)
    """
    *ages, blobs, repositories = task
    if what == 'list blobs':
        for blobs in itertools.product(*[SHOWN[row] for row in turn.state.data]):
            yield surveyed(turn, what, (*ages, blobs, repositories))
    else:
        count = len(turn.state.revisions)
        for rows in itertools.product(*[SHOWN[row] for row in turn.state.revisions + turn.state.links]):
            yield surveyed(turn, what, (*ages, blobs, (rows[:count], rows[count:])))


def surveyed(turn, what, task):
    if None in task:
        return what, turn.go('list repositories' if task[4] is None else 'list blobs', task=task)
    return f'{what}: shown {shown(*task[3:])}', Plan(turn, *task).begun()


def shown(blobs, repositories):
    def digits(rows):
        return ''.join(str(int(row)) for row in rows)

    return f'blobs {digits(blobs)}, manifests {digits(repositories[0])}, links {digits(repositories[1])}'


class Plan:
    """What a run does after its survey, in order."""

    def __init__(self, turn, ages, ages_of_names, old_segments, blobs, repositories):
        self.turn, self.ages, self.ages_of_names, self.old_segments, self.blobs = turn, ages, ages_of_names, old_segments, blobs
        self.scene, self.state, self.rules = turn.scene, turn.state, turn.rules
        revisions, self.links = repositories
        pairs = self.scene.pairs
        self.needed = [revisions[repository] and blob in self.scene.manifests[repository] for repository, blob in pairs]
        self.linked = [False] * self.scene.blobs
        for (_, blob), is_linked, is_needed in zip(pairs, self.links, self.needed):
            self.linked[blob] |= is_linked or (is_needed and self.rules.needed)

    def begun(self):
        tasks = [*self.trash(), *self.recorded_names(), *self.unreferenced()]
        segments = self.unnamed_segments() if self.scene.collects_segments else 0
        if segments:
            tasks.append(('delete segments', segments))
        return self.turn.end(self.state, tuple(tasks))

    def trash(self):
        rules = self.rules
        for blob, (record, age) in enumerate(zip(self.state.records, self.ages)):
            if record.state == TRASH and self.linked[blob] and rules.put_back:
                yield 'put data back', blob, age >= rules.keep_restored
            elif record.state == TRASH and (age >= rules.keep or not rules.from_start):
                yield 'expire', blob, age >= rules.keep, self.blobs
            elif record.state == PURGING and (age >= rules.purge or not rules.from_start):
                yield 'look', blob, age >= rules.purge, self.linked[blob], self.blobs

    def recorded_names(self):
        for link, age in enumerate(self.ages_of_names):
            is_needed, is_due = self.needed[link] and self.rules.put_back, age >= self.rules.keep_names
            if age != NO_NAMES and (is_needed or is_due or not self.rules.from_start):
                yield 'put link back', link, is_due, is_needed

    def unreferenced(self):
        """Links that no manifest needs, and data that is not linked."""
        for link, (is_linked, is_needed) in enumerate(zip(self.links, self.needed)):
            if is_linked and not is_needed:
                yield 'record name', link
        for blob, (is_shown, is_linked) in enumerate(zip(self.blobs, self.linked)):
            if is_shown and not is_linked and not self.state.records[blob].state:
                yield 'record data', blob

    def unnamed_segments(self):
        """Return old segments that nothing names which the listings show, as bits.

        Data that is shown is asked for its segments. A record that may not be shown is not: that is the worst that can happen.
        """
        named = 0
        for blob, is_shown in enumerate(self.blobs):
            if is_shown:
                named |= self.scene.segments_of(blob, self.state.contents[blob])
            record = self.state.records[blob]
            if record.state and all(SHOWN[record.row]):
                named |= self.scene.segments_of(blob, record.content)
        unnamed = self.state.segments & ~named
        going = unnamed & (self.old_segments if self.rules.from_start else old_segments(self.turn))
        since = dict(self.state.unnamed)
        bits = [1 << number for number in range(unnamed.bit_length()) if unnamed >> number & 1]
        self.state = self.state._replace(unnamed=tuple((bit, since.get(bit, 0)) for bit in bits if not going & bit))
        return going
