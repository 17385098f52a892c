"""The collector: runs that survey, and then do what its time has come for. Each step is one request to Swift, or one listing."""

import itertools

from .store import (
    ABSENT,
    HERE,
    NO_NAMES,
    PURGING,
    SHOWN,
    THERE,
    TRASH,
    Run,
    at,
    drop_data,
    drop_link,
    drop_record,
    put_data,
    put_link,
    put_record,
)

IDLE = Run()


def steps(scene, state, number):
    """Return [(what happens, next state)] of one collector, and its crashes."""
    run = state.runs[number]
    found = [(f'gc {what}', after) for what, after in STEPS[run.at](Turn(scene, state, number))]
    if run.at != 'idle' and state.crashes:
        crashed = state._replace(crashes=state.crashes - 1, runs=at(state.runs, number, IDLE))
        found.append(('gc CRASHES', crashed))
        what, after = found[0]
        if what.startswith('gc DELETEs') and not state.late:
            deleted = state.segments & ~after.segments if run.at == 'purge' else run.task[1]
            found.append(('gc CRASHES, and its DELETE is on its way', crashed._replace(late=(run.at, deleted, 0))))
    return found


def late_delete(state):
    """Return [(what happens, next state)] of a DELETE that a crashed collector has sent."""
    what, which, _ = state.late
    lost = state._replace(late=())
    if what == 'purge':
        landed = lost._replace(segments=state.segments & ~which)
    else:
        landed = drop_data(lost, which) if what == 'delete data' else drop_link(lost, which)
    return [('a late DELETE lands', landed), ('a late DELETE is lost', lost)]


class Turn:
    """A collector that is about to do its next request."""

    def __init__(self, scene, state, number):
        self.scene, self.state, self.number, self.rules = scene, state, number, scene.rules
        self.run = state.runs[number]
        self.task = self.run.task

    def go(self, where, state=None, task=None):
        return self._with(state, Run(where, self.task if task is None else task, self.run.tasks))

    def end(self, state=None, tasks=None):
        """Return the state in which the collector has ended a task, and begins the next."""
        tasks = self.run.tasks if tasks is None else tasks
        return self._with(state, Run(tasks[0][0], tasks[0], tasks[1:]) if tasks else IDLE)

    def _with(self, state, run):
        state = state or self.state
        return state._replace(runs=at(state.runs, self.number, run))

    def is_due(self, age, least, at_start):
        """Whether something is old enough. Times count to the beginning of the run."""
        return at_start if self.rules.from_start else age >= least


# The survey


def begin(turn):
    """Take the lock. What is due is what was old enough at this time."""
    if turn.rules.lock and any(run.at != 'idle' for run in turn.state.runs):
        return
    if turn.rules.no_late and turn.state.late:
        return
    order = ('list blobs', 'list repositories') if turn.rules.blobs_first else ('list repositories', 'list blobs')
    state, rules = turn.state, turn.rules
    due = tuple(record.age >= (rules.purge if record.state == PURGING else rules.keep) for record in state.records)
    due_names = tuple(age >= rules.keep_names for age in state.names)
    task = (due, due_names, None, None)
    yield from listings(turn, order[0], task)


def list_next(turn):
    return listings(turn, turn.run.at, turn.task)


def listings(turn, what, task):
    """List what may be shown, in every way in which it may be shown."""
    due, due_names, blobs, repositories = task
    if what == 'list blobs':
        for blobs in itertools.product(*[SHOWN[row] for row in turn.state.data]):
            yield surveyed(turn, what, (due, due_names, blobs, repositories))
    else:
        count = len(turn.state.revisions)
        for rows in itertools.product(*[SHOWN[row] for row in turn.state.revisions + turn.state.links]):
            yield surveyed(turn, what, (due, due_names, blobs, (rows[:count], rows[count:])))


def surveyed(turn, what, task):
    if None not in task:
        return f'{what}: shown {shown(task)}', planned(turn, *task)
    other = 'list blobs' if task[2] is None else 'list repositories'
    return what, turn.go(other, task=task)


def shown(task):
    def digits(rows):
        return ''.join(str(int(row)) for row in rows)

    return f'blobs {digits(task[2])}, manifests {digits(task[3][0])}, links {digits(task[3][1])}'


def planned(turn, due, due_names, blobs, repositories):
    """Decide from a survey what this run does, in order."""
    scene, state, rules = turn.scene, turn.state, turn.rules
    revisions, links = repositories
    needed = [revisions[repository] and blob in scene.manifests[repository] for repository, blob in scene.pairs]
    linked = [False] * scene.blobs
    for (_, blob), is_linked, is_needed in zip(scene.pairs, links, needed):
        linked[blob] |= is_linked or (is_needed and rules.needed)
    tasks = []
    for blob, record in enumerate(state.records):
        if record.state == TRASH and linked[blob] and rules.put_back:
            tasks.append(('put data back', blob, due[blob]))
        elif record.state == TRASH and (due[blob] or not rules.from_start):
            tasks.append(('expire', blob, due[blob], blobs))
        elif record.state == PURGING and (due[blob] or not rules.from_start):
            tasks.append(('look', blob, due[blob], linked[blob], blobs))
    for link, age in enumerate(state.names):
        if age != NO_NAMES and (needed[link] and rules.put_back or due_names[link] or not rules.from_start):
            tasks.append(('put link back', link, due_names[link], needed[link]))
    before, marks = state.marks[0] if state.marks else None, [None, None]
    marks[0] = tuple(is_linked and not is_needed for is_linked, is_needed in zip(links, needed))
    marks[1] = tuple(is_shown and not is_linked for is_shown, is_linked in zip(blobs, linked))
    for link, is_candidate in enumerate(marks[0]):
        if is_candidate and (not rules.again or before and before[0][link]):
            tasks.append(('record name', link))
    for blob, is_candidate in enumerate(marks[1]):
        if is_candidate and not state.records[blob].state and (not rules.again or before and before[1][blob]):
            tasks.append(('record data', blob))
    if rules.again:
        state = state._replace(marks=((tuple(marks), 0),))
    return turn.end(state, tuple(tasks))


# The trash


def put_data_back(turn):
    """A blob that has a record is linked. The record goes when nothing can need it any more."""
    _, blob, due = turn.task
    state, record = turn.state, turn.state.records[blob]
    if not record.state:
        yield 'finds no record', turn.end()
    elif state.contents[blob]:
        is_settled = state.data[blob] == HERE or not turn.rules.settled
        goes = is_settled and turn.is_due(record.age, turn.rules.keep, due)
        if goes:
            yield 'removes the record of data that is back', turn.end(drop_record(state, blob))
        else:
            yield 'keeps the record of data that is back', turn.end()
    elif not turn.scene.segments_of(blob, record.content) & ~state.segments:
        yield 'PUTs data back', turn.end(put_data(state, blob, record.content))
    else:
        yield 'cannot put data back', turn.end()


def expire(turn):
    """A record is old, and its blob is not linked."""
    _, blob, due, blobs = turn.task
    state = turn.state
    if not state.records[blob].state or not turn.is_due(state.records[blob].age, turn.rules.keep, due):
        yield 'leaves a young record', turn.end()
    elif state.contents[blob] and turn.rules.look:
        yield 'finds data that is still there', turn.go('record data', task=('record data', blob))
    elif turn.rules.purging:
        after = put_record(state, blob, PURGING, state.records[blob].content)
        yield 'PUTs the record: purging', turn.end(after)
    else:
        yield 'purges at once', turn.go('purge', task=('purge', blob, blobs))


def look(turn):
    """A record has been purging for long enough. Segments go only if the data is still not there."""
    _, blob, due, linked, blobs = turn.task
    state, rules = turn.state, turn.rules
    back = put_record(state, blob, TRASH, state.records[blob].content)
    if not state.records[blob].state or not turn.is_due(state.records[blob].age, rules.purge, due):
        yield 'leaves a record that has just become purging', turn.end()
        return
    if linked:
        yield 'PUTs the record: trash again, linked', turn.end(back)
        return
    if not rules.look or not state.contents[blob]:
        yield 'HEAD data: 404, purges', turn.go('purge', task=('purge', blob, blobs))
        return
    yield 'PUTs the record: trash again, data is there', turn.end(back)
    if state.lies and not (rules.listed_too and all(SHOWN[state.data[blob]])):
        liar = state._replace(lies=state.lies - 1)
        yield 'HEAD data: 404, a lie, purges', turn.go('purge', liar, task=('purge', blob, blobs))


def purge(turn):
    """Delete segments. Those stay that other objects, which the survey has shown, or other records name."""
    _, blob, blobs = turn.task
    scene, state = turn.scene, turn.state
    segments = scene.segments_of(blob, state.records[blob].content)
    kept = 0
    for other in range(scene.blobs):
        if other != blob and blobs[other]:
            kept |= scene.segments_of(other, state.contents[other])
        if other != blob and state.records[other].state:
            kept |= scene.segments_of(other, state.records[other].content)
    if not turn.rules.others:
        kept = 0
    # If somebody has stored the blob with other segments, the record names the old ones only.
    after = state._replace(segments=state.segments & ~(segments & ~kept))
    yield 'DELETEs segments', turn.go('remove', after)


def remove(turn):
    yield 'removes the record', turn.end(drop_record(turn.state, turn.task[1]))


def put_link_back(turn):
    _, link, due, needed = turn.task
    state = turn.state
    if needed and not THERE[state.links[link]]:
        yield 'PUTs a link back', turn.end(put_link(state, link))
        return
    if turn.is_due(state.names[link], turn.rules.keep_names, due) and (not needed or state.links[link] == HERE):
        yield 'removes a recorded name', turn.end(state._replace(names=at(state.names, link, NO_NAMES)))
    else:
        yield 'keeps a recorded name', turn.end()


# A: links


def record_name(turn):
    _, link = turn.task
    state = turn.state
    if not THERE[state.links[link]]:
        yield 'HEAD link: 404', turn.end()
    elif turn.rules.names:
        yield 'records the name of a link', turn.go('delete link', state._replace(names=at(state.names, link, 0)))
    else:
        yield 'HEAD link: there', turn.go('delete link')


def delete_link(turn):
    _, link = turn.task
    state = turn.state
    if turn.rules.fresh and state.names[link] > 0:
        yield 'finds that it recorded the name too long ago', turn.go('record name')
    elif turn.rules.look_after:
        yield 'DELETEs a link', turn.go('look after', drop_link(state, link))
    else:
        yield 'DELETEs a link', turn.end(drop_link(state, link))


def look_after(turn):
    _, link = turn.task
    repository, blob = turn.scene.pairs[link]
    for is_shown in SHOWN[turn.state.revisions[repository]]:
        if is_shown and blob in turn.scene.manifests[repository]:
            yield 'looks after: the link is needed', turn.end(put_link(turn.state, link))
        else:
            yield 'looks after: the link is not needed', turn.end()


# B: data


def record_data(turn):
    _, blob = turn.task
    state = turn.state
    content = state.contents[blob]
    if content == ABSENT:
        yield 'HEAD data: 404', turn.end()
    elif turn.rules.record:
        yield 'PUTs the record: trash', turn.go('delete data', put_record(state, blob, TRASH, content), ('delete data', blob))
    else:
        yield 'HEAD data: there', turn.go('delete data', task=('delete data', blob))


def delete_data(turn):
    _, blob = turn.task
    if turn.rules.fresh and turn.state.records[blob].age > 0:
        yield 'finds that the record is too old', turn.go('record data', task=('record data', blob))
    else:
        yield 'DELETEs data', turn.end(drop_data(turn.state, blob))


STEPS = {
    'idle': begin,
    'list blobs': list_next,
    'list repositories': list_next,
    'put data back': put_data_back,
    'expire': expire,
    'look': look,
    'purge': purge,
    'remove': remove,
    'put link back': put_link_back,
    'record name': record_name,
    'delete link': delete_link,
    'look after': look_after,
    'record data': record_data,
    'delete data': delete_data,
}
