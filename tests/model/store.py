"""What Swift has, what its listings show, and how time passes.

Single objects are read as they are (`X-Newest`), except for the lies of `State.lies`. A listing may show what is, or what was until the
last change, and a second look may again show what was: a container has several replicas. It is right when the last change is older than L.
"""

from typing import NamedTuple

# A name in a listing: whether the object is there, and how long ago that has changed.
GONE, HERE, NEW, NEWER_THAN_L, DELETED, DELETED_WITHIN_L = range(6)
THERE = (False, True, True, True, False, False)
SHOWN = ((False,), (True,), (True, False), (True, False), (False, True), (False, True))
LATER = (GONE, HERE, NEWER_THAN_L, HERE, DELETED_WITHIN_L, GONE)
PUT = (NEW, HERE, NEW, NEW, NEW, NEW)
DROPPED = (GONE, DELETED, DELETED, DELETED, DELETED, DELETED)

NONE, TRASH, PURGING = range(3)  # states of a record
NO_NAMES = -1
MOST = 3  # ages are not told apart from here
MOST_UPLOADED = 4

ABSENT, OLD = 0, 1  # contents of a blob; the writer with the number n uploads content 2 + n


class Record(NamedTuple):
    state: int = NONE
    age: int = 0
    content: int = ABSENT  # which content it brings back
    row: int = GONE


class Run(NamedTuple):
    """Where a collector is."""

    at: str = 'idle'
    task: tuple = ()
    tasks: tuple = ()


class State(NamedTuple):
    contents: tuple  # of each blob: ABSENT, OLD, or who uploaded it
    data: tuple  # row of each blob
    links: tuple  # row of each blob in each repository
    revisions: tuple  # row of the manifest of each repository
    records: tuple  # a Record of each blob
    names: tuple  # age of the recorded name of each link, or NO_NAMES
    segments: int  # the bits of the segments that are there
    writers: tuple  # (where it is, age of what it relies on)
    runs: tuple  # a Run of each collector
    unnamed: tuple = ()  # (bit, age) of segments that nothing named in the last survey, and since when
    uploaded: int = 0  # age of the segments that the uploader has stored
    crashes: int = 0  # how many may still come
    lies: int = 0  # how many HEADs may still not find what is there
    late: tuple = ()  # a DELETE of a collector that has crashed, and its age


def at(items, number, value):
    """Return a copy of a tuple with another value in one place."""
    return (*items[:number], value, *items[number + 1 :])


def put_data(state, blob, content, segments=0):
    return state._replace(
        contents=at(state.contents, blob, content), data=at(state.data, blob, PUT[state.data[blob]]), segments=state.segments | segments
    )


def drop_data(state, blob):
    return state._replace(contents=at(state.contents, blob, ABSENT), data=at(state.data, blob, DROPPED[state.data[blob]]))


def put_link(state, link):
    return state._replace(links=at(state.links, link, PUT[state.links[link]]))


def drop_link(state, link):
    return state._replace(links=at(state.links, link, DROPPED[state.links[link]]))


def put_record(state, blob, record_state, content):
    record = Record(record_state, 0, content, PUT[state.records[blob].row])
    return state._replace(records=at(state.records, blob, record))


def drop_record(state, blob):
    row = DROPPED[state.records[blob].row]
    return state._replace(records=at(state.records, blob, Record(row=row)))


def later(state):
    """Return the state after a boundary of time."""
    late = state.late and (*state.late[:-1], state.late[-1] + 1)
    return state._replace(
        data=tuple(LATER[row] for row in state.data),
        links=tuple(LATER[row] for row in state.links),
        revisions=tuple(LATER[row] for row in state.revisions),
        records=tuple(
            record._replace(age=min(record.age + 1, MOST) if record.state else 0, row=LATER[record.row]) for record in state.records
        ),
        names=tuple(age if age == NO_NAMES else min(age + 1, MOST) for age in state.names),
        writers=tuple(older(writer) for writer in state.writers),
        unnamed=tuple((bit, min(age + 1, MOST)) for bit, age in state.unnamed),
        uploaded=min(state.uploaded + 1, MOST_UPLOADED),
        late=late,
    )


#: Where a writer waits for its client, and time may pass without a bound.
RESTING = {'start', 'sent', 'seen', 'again', 'done', 'refused'}


def older(writer):
    where, age = writer
    if where == 'sent':  # the upload's token ends
        return ('sent', 1) if age == 0 else ('refused', 0)
    if where == 'seen':
        return ('seen', 1) if age == 0 else ('again', 0)
    return (where, age) if where in RESTING else (where, age + 1)
