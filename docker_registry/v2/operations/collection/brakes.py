"""Brakes: a collection stops before it deletes anything if the container has changed strangely since the last one.

Then a listing probably does not show all that is there, as during a resharding, or somebody has lost a part of the container.
"""

import dataclasses
import sqlite3

from docker_registry.v2.operations.collection import links
from docker_registry.v2.operations.collection.blobs import candidates
from docker_registry.v2.operations.collection.problems import Stopped
from docker_registry.v2.operations.collection.work import Report, Work
from docker_registry.v2.registry import layout, trash

MOST_LOST = 0.2  # of what the last collection has counted
MOST_SHARE = 0.5  # of all bytes that one collection may move to the trash
FEW = 20  # a loss of fewer is never strange
SMALL = 100  # blobs; in a smaller container any share of the bytes may go
MOST_SKEW = 60  # seconds between Swift's clock and ours


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Return how many there are of each, to be compared with the next survey."""
    tables = {'repositories': 'repository', 'manifests': 'revision', 'links': 'layer', 'blobs': 'blob'}
    return {name: db.execute(f'SELECT count(*) FROM {table}').fetchone()[0] for name, table in tables.items()}


def require_clock(swift: float, ours: float) -> None:
    """:raises Stopped: Swift's clock and ours differ"""
    if abs(swift - ours) > MOST_SKEW:
        raise Stopped(
            f'the clock of this machine and that of Swift differ by {abs(swift - ours):.0f} seconds. Correct them: a registry with a wrong '
            'clock may accept uploads whose segments a collection takes for abandoned'
        )


def require_no_loss(work: Work) -> None:
    """:raises Stopped: the listings show far less than the last collection has left, and nothing explains that"""
    before = dict(work.db.execute('SELECT name, value FROM count'))
    for name, now in counts(work.db).items():
        lost, most = before.get(name, 0) - now, max(FEW, MOST_LOST * before.get(name, 0))
        if lost > most and lost - _explained(work, name) > most:
            raise Stopped(
                f'the listings show {now} {name}, and the last collection left {before[name]}. If you have deleted that many, run this '
                'again with --force. If not, find out what has happened to the container'
            )


def _explained(work: Work, name: str) -> int:
    """Return how many are gone because clients deleted manifests, or because a collection that crashed has moved them to the trash."""

    def count(query: str) -> int:
        return work.db.execute(f'SELECT count(*) FROM {query}').fetchone()[0]

    if name == 'manifests':
        return count('deletion')
    if name == 'links':
        shards = work.db.execute('SELECT repository, shard FROM trash_names').fetchall()
        trashed = sum(len(trash.names_at(work.storage, layout.trashed_shard(*shard)).layers) for shard in shards)
        return trashed + count('reference WHERE manifest IN (SELECT digest FROM deletion)')
    return count('trash_record') if name == 'blobs' else 0


def require_small_share(work: Work) -> None:
    """:raises Stopped: most of the bytes would go to the trash"""
    blobs, size = work.db.execute('SELECT count(*), ifnull(sum(size), 0) FROM blob').fetchone()
    garbage = _garbage(work)
    if blobs > SMALL and not work.bounds.is_quiet and garbage > MOST_SHARE * size:
        raise Stopped(
            f'{garbage / size:.0%} of the bytes of all blobs would go to the trash. Look at them with --dry-run. If that is right, '
            'run this again with --force'
        )


def _garbage(work: Work) -> int:
    """Return the bytes that would go: links go first, then the blobs that they linked."""
    work.db.execute('SAVEPOINT trial')
    try:
        trial = dataclasses.replace(work, dry_run=True, report=Report())
        links.collect(trial)
        return sum(size for _, size in candidates(trial))
    finally:
        work.db.execute('ROLLBACK TO trial')
        work.db.execute('RELEASE trial')
