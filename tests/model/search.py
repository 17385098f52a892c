"""Visits every state that a scene can reach, breadth first, so that the way to a violation is a shortest one."""

import collections
import contextlib
import dataclasses
import gc
import itertools

from . import collector, writers
from .store import GONE, HERE, NO_NAMES, RESTING, THERE, TRASH, later

ROUNDS = 12  # of a wait and a run, after which everything must have settled


@dataclasses.dataclass(frozen=True)
class Result:
    states: int
    violation: str = ''
    way: tuple = ()  # what happens before it
    complete: bool = True

    def __str__(self):
        if not self.violation:
            return f'{self.states} states, ' + ('ok' if self.complete else 'NOT ALL')
        return f'{self.states} states, VIOLATION: {self.violation}\n    ' + '\n    '.join(self.way)


def search(scene, most=10_000_000):
    with without_collecting():
        return visited(scene, most)


@contextlib.contextmanager
def without_collecting():
    """Python looks for garbage each time that it has made some tuples, and a search keeps all that it makes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def visited(scene, most):
    first = scene.first()
    came_from = {first: None}
    queue = collections.deque([first])
    settling = set()
    while queue:
        state = queue.popleft()
        for what, after in steps(scene, state):
            after = scene.canonical(after)
            if after in came_from:
                continue
            came_from[after] = state, what
            violation = wrong_step(state, after) or wrong(scene, after) or unsettled(scene, after, settling)
            if violation:
                return Result(len(came_from), violation, way_to(after, came_from))
            if len(came_from) >= most:
                return Result(len(came_from), complete=False)
            queue.append(after)
    return Result(len(came_from))


def way_to(state, came_from):
    way = []
    while came_from[state]:
        state, what = came_from[state]
        way.append(what)
    return tuple(reversed(way))


def steps(scene, state):
    """Return [(what happens, next state)] of everybody."""
    found = []
    for number in range(len(scene.writers)):
        found += writers.steps(scene, state, number)
    for number in range(scene.collectors):
        found += collector.steps(scene, state, number)
    if state.late:
        found += collector.late_delete(state)
    if may_pass(scene, state):
        after = later(state)
        if after != state:
            found.append(('time passes', after))
    return found


def may_pass(scene, state):
    """No request takes longer than T."""
    if state.late and state.late[-1] >= scene.rules.late:
        return False
    return all(age == 0 or where in RESTING for where, age in state.writers)


# What must hold


def wrong(scene, state):
    """Return what is wrong in a state, or ''."""
    for blob, content in enumerate(state.contents):
        if scene.segments_of(blob, content) & ~state.segments:
            return 'a large object has lost segments'
    for repository, row in enumerate(state.revisions):
        for blob in scene.manifests[repository] if THERE[row] else ():
            link, record = scene.link(repository, blob), state.records[blob]
            if not THERE[state.links[link]] and not can_relink(scene, state.names[link]):
                return 'an acknowledged manifest names a blob without a link'
            if not state.contents[blob]:
                is_kept = scene.rules.read_through and record.state == TRASH
                if not is_kept or scene.segments_of(blob, record.content) & ~state.segments:
                    return 'an acknowledged manifest names a blob without data'
    return ''


def can_relink(scene, age):
    return scene.rules.names_read and age != NO_NAMES and (scene.rules.names_at_once or age >= 2)


def wrong_step(state, after):
    """Return what is wrong with a step, or ''."""
    for old, new, record in zip(state.contents, after.contents, state.records):
        if old and not new and not record.state:
            return 'data was deleted without a record'
        if old > new > 0:
            return 'data was put back over newer data'
    return ''


def unsettled(scene, state, settling):
    """Return what is not in its place, or not gone, long after the writers have ended, or ''.

    :param settling: states of which it is known that everything settles
    """
    if state.late or any(run != collector.IDLE for run in state.runs):
        return ''
    if any(where not in ('start', 'done', 'refused') for where, _ in state.writers):
        return ''
    seen = []
    for _ in range(ROUNDS):
        state = rested(state)
        if state in settling:
            break
        seen.append(state)
        if is_settled(scene, state):
            break
        state = after_run(scene, state)
    else:
        return 'does not settle'
    settling.update(seen)
    return ''


def rested(state):
    """Return the state after a long time in which nothing happens. What has crashed is forgotten."""
    state = state._replace(crashes=0, lies=0, writers=())
    for _ in itertools.count():
        after = later(state)
        if after == state:
            return state
        state = after


def after_run(scene, state):
    while True:
        (_, state), *_ = collector.steps(scene, state, 0)
        if state.runs[0] == collector.IDLE:
            return state


def is_settled(scene, state):
    needed = {
        (repository, blob) for repository, blob in scene.pairs if THERE[state.revisions[repository]] and blob in scene.manifests[repository]
    }
    links = all(row == (HERE if pair in needed else GONE) for pair, row in zip(scene.pairs, state.links))
    blobs = {blob for _, blob in needed}
    data = all(bool(content) == (blob in blobs) for blob, content in enumerate(state.contents))
    trash = any(record.state for record in state.records) or any(age != NO_NAMES for age in state.names)
    named = 0
    for blob, content in enumerate(state.contents):
        named |= scene.segments_of(blob, content)
    return links and data and not trash and (state.segments == named or not scene.collects_segments)
