"""The collector: runs that survey, and then do what its time has come for. Each step is one request to Swift, or one listing."""

from . import survey
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
    if state.crashes and run.at not in ('idle', 'list blobs', 'list repositories'):  # a survey leaves nothing behind
        crashed = state._replace(crashes=state.crashes - 1, runs=at(state.runs, number, IDLE))
        found.append(('gc CRASHES', crashed))
        what, after = found[0]
        if what.startswith('gc DELETEs') and not state.late:
            deleted = state.segments & ~after.segments if 'segments' in what else run.task[1]
            found.append(('gc CRASHES, and its DELETE is on its way', crashed._replace(late=(what, deleted, 0))))
    return found


def late_delete(state):
    """Return [(what happens, next state)] of a DELETE that a crashed collector has sent."""
    what, which, _ = state.late
    lost = state._replace(late=())
    if 'segments' in what:
        landed = lost._replace(segments=state.segments & ~which)
    else:
        landed = drop_data(lost, which) if 'data' in what else drop_link(lost, which)
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


# The trash


def put_data_back(turn):
    """A blob that has a record is linked. The record goes when nothing can need it any more."""
    _, blob, due = turn.task
    state, record = turn.state, turn.state.records[blob]
    if not record.state:
        yield 'finds no record', turn.end()
    elif state.contents[blob]:
        is_settled = state.data[blob] == HERE or not turn.rules.settled
        goes = is_settled and turn.is_due(record.age, turn.rules.keep_restored, due)
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
    _, blob, due, *_ = turn.task
    state, record = turn.state, turn.state.records[blob]
    if not record.state or not turn.is_due(record.age, turn.rules.purge, due):
        yield 'leaves a record that has just become purging', turn.end()
        return
    yield looked(turn, state, state.contents[blob])
    if state.contents[blob] and state.lies and not (turn.rules.listed_too and all(SHOWN[state.data[blob]])):
        what, after = looked(turn, state._replace(lies=state.lies - 1), ABSENT)
        yield f'{what}, which is a lie', after


def looked(turn, state, there):
    _, blob, _, linked, blobs = turn.task
    record, again = state.records[blob], turn.rules.linked_again
    if there and turn.rules.look:
        # The record is written from the data: it may have other segments, and the old ones may be gone.
        return 'HEAD data: there, PUTs the record: trash again', turn.end(put_record(state, blob, TRASH, there))
    whole = not turn.scene.segments_of(blob, record.content) & ~state.segments
    if linked and (again == 'trash' or again == 'trash if whole' and whole):
        return 'HEAD data: 404, linked, PUTs the record: trash again', turn.end(put_record(state, blob, TRASH, record.content))
    return 'HEAD data: 404, purges', turn.go('purge', state, ('purge', blob, blobs))


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


# C: segments


def delete_segments(turn):
    _, segments = turn.task
    yield 'DELETEs segments that nothing names', turn.end(turn.state._replace(segments=turn.state.segments & ~segments))


STEPS = {
    'idle': survey.begin,
    'list blobs': survey.list_next,
    'list repositories': survey.list_next,
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
    'delete segments': delete_segments,
}
