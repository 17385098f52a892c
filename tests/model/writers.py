"""Who reads and writes while the collector runs. Each step is one request to Swift.

A writer is (where it is, age): the age is that of the oldest look at Swift that it relies on.
"""

from typing import NamedTuple

from .store import DROPPED, NO_NAMES, PUT, THERE, TRASH, at, put_data, put_link


class Writer(NamedTuple):
    """Pushes the manifest of a repository, whose blob is `blob`; or reads or deletes it.

    ours         our registry: looks for the blob, uploads it, pushes the manifest; it does not look again for what it saw within T
    mount        the same, and it mounts the blob from the repository `source` if it can
    monolithic   the same with a small blob, which our registry stores without a look
    uploader     our registry, which stores segments and commits them later
    distribution CNCF distribution 2.8: looks at the link and the data again for the manifest; knows no trash
    reader       our registry, again and again: pulls the manifest and then the blob
    deleter      deletes the manifest
    """

    kind: str
    repository: int = 0
    blob: int = 0
    source: int = 0


def steps(scene, state, number):
    """Return [(what happens, next state)] of one writer."""
    writer, where = scene.writers[number], state.writers[number][0]
    if where in ('done', 'refused'):
        return []
    if writer.kind == 'deleter':
        return delete_manifest(scene, state, number)
    if writer.kind == 'reader' and where == 'start' and not THERE[state.revisions[writer.repository]]:
        return []
    return [(f'{writer.kind} {number}: {what}', after) for what, after in STEPS[where.partition(' ')[0]](Turn(scene, state, number))]


def delete_manifest(scene, state, number):
    repository = scene.writers[number].repository
    row = state.revisions[repository]
    if not THERE[row]:
        return []
    after = state._replace(revisions=at(state.revisions, repository, DROPPED[row]), writers=at(state.writers, number, ('done', 0)))
    return [(f'deleter {number}: deletes the manifest', after)]


class Turn:
    """One writer that is about to do its next request."""

    def __init__(self, scene, state, number):
        self.scene, self.state, self.number = scene, state, number
        self.writer = scene.writers[number]
        self.where, self.age = state.writers[number]
        self.blob = self.writer.blob
        self.link = scene.link(self.writer.repository, self.blob)
        _, _, self.phase = self.where.partition(' ')  # what the request is for: 'blob' or 'manifest'

    def go(self, where, state=None, age=None):
        """Return the next state, in which the writer is somewhere else."""
        state = state or self.state
        return state._replace(writers=at(state.writers, self.number, (where, self.age if age is None else age)))

    def fail(self):
        """The blob is not there, and the client is told so. A client that looked for the blob uploads it."""
        if self.writer.kind == 'reader':
            return self.go('start', age=0)
        return self.go('upload blob') if self.phase == 'blob' else self.go('refused', age=0)

    def succeed(self):
        """The blob is there and linked."""
        if self.writer.kind == 'reader':
            return self.go('start', age=0)
        return self.go('seen') if self.phase == 'blob' else self.go('write')


def start(turn):
    if turn.writer.kind == 'monolithic':
        yield from upload(turn)
    elif turn.writer.kind == 'uploader':
        segments = turn.scene.segments_of(turn.blob, 2 + turn.number)
        yield 'PUT segments', turn.go('sent', turn.state._replace(segments=turn.state.segments | segments, uploaded=0), age=0)
    elif turn.writer.kind == 'mount':
        linked = THERE[turn.state.links[turn.scene.link(turn.writer.source, turn.blob)]]
        yield 'HEAD link to mount', turn.go('mount blob' if linked else 'upload blob', age=0)
    elif turn.writer.kind == 'reader':
        turn.phase = 'pull'
        if not THERE[turn.state.links[turn.link]] or not turn.state.contents[turn.blob]:
            yield from look(turn)
    else:
        turn.phase = 'blob'
        yield from look(turn)


def again(turn):
    """The manifest is pushed, and its references are looked for."""
    turn.phase = 'manifest'
    return look(turn)


def look(turn):
    turn.age = 0
    if THERE[turn.state.links[turn.link]]:
        yield 'HEAD link: there', turn.go(f'data {turn.phase}')
    elif turn.writer.kind == 'distribution' or not turn.scene.rules.names_read:
        yield 'HEAD link: 404', turn.fail()
    else:
        yield 'HEAD link: 404', turn.go(f'names {turn.phase}')


def names(turn):
    if turn.state.names[turn.link] == NO_NAMES:
        yield 'names: none', turn.fail()
        return
    yield 'names: recorded', turn.go(f'relink {turn.phase}')
    if not turn.scene.rules.names_at_once and turn.state.names[turn.link] < 2:
        yield 'names: not listed yet', turn.fail()


def relink(turn):
    yield 'PUT link that was recorded', turn.go(f'data {turn.phase}', put_link(turn.state, turn.link))


def data(turn):
    if turn.state.contents[turn.blob]:
        yield 'HEAD data: there', turn.succeed()
        if turn.state.lies:
            turn.state = turn.state._replace(lies=turn.state.lies - 1)
            yield 'HEAD data: 404, a lie', missed(turn)
    else:
        yield 'HEAD data: 404', missed(turn)


def missed(turn):
    return turn.go(f'record {turn.phase}') if knows_trash(turn) else turn.fail()


def knows_trash(turn):
    return turn.writer.kind != 'distribution' and turn.scene.rules.read_through


def mount(turn):
    if turn.state.contents[turn.blob]:
        yield 'HEAD data to mount: there', turn.go('link blob')
    else:
        yield 'HEAD data to mount: 404', turn.go('record mount') if knows_trash(turn) else turn.go('upload blob')


def record(turn):
    found = turn.state.records[turn.blob]
    if found.state == TRASH:
        yield 'GET record: trash', turn.go(f'restore {turn.phase} {found.content}')
    elif turn.phase == 'mount':
        yield 'GET record: none', turn.go('upload blob')
    else:
        yield 'GET record: none', turn.fail()


def restore(turn):
    turn.phase, _, content = turn.phase.partition(' ')
    scene, content = turn.scene, int(content)
    there = turn.state.contents[turn.blob]
    whole = not scene.segments_of(turn.blob, content) & ~turn.state.segments
    if there and scene.rules.new_only:
        yield 'PUT data back: 412', restored(turn, turn.state)
    elif whole or scene.dynamic:
        yield 'PUT data back: 201', restored(turn, put_data(turn.state, turn.blob, content))
    elif turn.phase == 'mount':
        yield 'PUT data back: 400', turn.go('upload blob')
    else:
        yield 'PUT data back: 400', turn.fail()


def restored(turn, state):
    if turn.phase == 'mount':
        return turn.go('link blob', state)
    turn.state = state
    return turn.succeed()


def sent(turn):
    yield 'begins to commit', turn.go('commit', age=0)


def commit(turn):
    content = 2 + turn.number
    if turn.state.contents[turn.blob]:
        yield 'commit: data is there', turn.go('link blob', age=0)
    elif turn.scene.segments_of(turn.blob, content) & ~turn.state.segments:
        yield 'commit: 400, segments are gone', turn.go('refused', age=0)
    else:
        yield 'commit: PUT data', turn.go('link blob', put_data(turn.state, turn.blob, content), age=0)


def upload(turn):
    """Commit an upload. What is there already is not stored again, and is looked at last of all."""
    if turn.state.contents[turn.blob] and turn.writer.kind != 'monolithic':
        yield 'upload: data is there', turn.go('link blob', age=0)
        return
    content = 2 + turn.number
    after = put_data(turn.state, turn.blob, content, turn.scene.segments_of(turn.blob, content))._replace(uploaded=0)
    yield 'upload: PUT data', turn.go('link blob', after, age=0)


def link(turn):
    after = put_link(turn.state, turn.link)
    if turn.writer.kind == 'distribution':
        yield 'PUT link', turn.go('again', after, age=0)
    else:
        yield 'PUT link', turn.go('seen', after)


def seen(turn):
    """The manifest is pushed while this process remembers that it saw the blob."""
    yield from write(turn)
    yield from again(turn)


def write(turn):
    repository = turn.writer.repository
    after = turn.state._replace(revisions=at(turn.state.revisions, repository, PUT[turn.state.revisions[repository]]))
    yield 'PUT manifest, 201', turn.go('done', after, age=0)


STEPS = {
    function.__name__: function
    for function in (start, again, names, relink, data, mount, record, restore, sent, commit, upload, link, seen, write)
}
