"""One run of a collection, from the survey to the report. A run waits for nothing: each step does what its time has come for."""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from docker_registry.v2.operations import recording
from docker_registry.v2.operations.collection import aside, blobs, brakes, emptying, links, memory, segments, v1
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.lock import Lock
from docker_registry.v2.operations.collection.problems import LyingListing, Stopped
from docker_registry.v2.operations.collection.work import Report, Work
from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey.survey import Survey, take
from docker_registry.v2.registry.concurrency import Together

MOST_ROUNDS = 6  # of a quiet registry: a blob goes through the trash in three


@dataclass
class Options:
    """How to run. See the options of `registry-swift gc`."""

    bounds: Bounds = Bounds()
    dry_run: bool = False
    force: bool = False
    take_lock: bool = False
    only_trash: bool = False
    threads: int = 16
    v1_path: str | None = None
    v1_images: bool = False


def collect(storage: Any, options: Options, pace: Pace | None = None, progress: Progress | None = None) -> Report:
    """Collect garbage, and return what was done.

    In a quiet registry, everything goes through all states at once.

    :raises Problem: see there
    """
    report = Report(dry_run=options.dry_run)
    with _lock(storage, options) as lock:
        brakes.require_clock(lock.now(), time.time())
        for _ in range(MOST_ROUNDS if options.bounds.is_quiet and not options.dry_run else 1):
            before = report.changes
            _round(storage, options, lock, report, pace, progress)
            if report.changes == before:
                break
    return report


def _lock(storage: Any, options: Options) -> Any:
    return contextlib.nullcontext(_NoLock(storage)) if options.dry_run else Lock(storage, options.take_lock)


class _NoLock:
    """Stands for the lock in a dry run, which writes nothing."""

    run = 'dry run'
    was_left = False

    def __init__(self, storage: Any):
        self._now, self._started = storage.clock(), time.monotonic()

    def now(self) -> float:
        return self._now + time.monotonic() - self._started

    def check(self) -> None:
        raise AssertionError('a dry run deletes nothing')


def _round(storage: Any, options: Options, lock: Any, report: Report, pace: Pace | None, progress: Progress | None) -> None:
    report.run = lock.run
    with _surveyed(storage, options, lock, pace, progress) as (survey, folder):
        work = Work(
            storage=storage,
            db=survey.db,
            bounds=options.bounds,
            now=survey.started,
            run=lock.run,
            root=survey.root,
            guard=lock.check,
            clock=lock.now,
            together=Together(2 * options.threads),
            report=report,
            dry_run=options.dry_run,
        )
        work.find_unsure()
        work.weigh()
        if not options.force:
            _brake(work)
        before, sizes = report.counts.get('blob_bytes', 0), [] if options.dry_run else work.sizes()
        try:
            _go_through(work, options)
        except LyingListing:
            memory.forget_marks(work.db)  # and no links: the next collection is to look at them, too
            memory.save(storage, work.db, folder)
            raise
        report.trash_bytes = emptying.size(work) + report.counts.get('blob_bytes', 0) - before
        if not options.dry_run:
            memory.remember(work.db, brakes.counts(work.db))
            lock.check()
            memory.save(storage, work.db, folder)
            recording.keep_sizes(storage, sizes, survey.started)


def _brake(work: Work) -> None:
    """:raises Stopped: see `brakes`. A dry run goes on and says so: the text asks the operator to look at one."""
    try:
        brakes.require_no_loss(work)
        brakes.require_small_share(work)
    except Stopped as problem:
        if not work.dry_run:
            raise
        work.report.remark(f'a run would stop here: {problem}')


def _go_through(work: Work, options: Options) -> None:
    emptying.read(work)
    aside.collect(work)
    emptying.empty(work)
    if options.only_trash:
        return
    links.collect(work)
    blobs.collect(work)
    if options.v1_images:
        v1.collect_images(work)
    segments.collect(work)


@contextlib.contextmanager
def _surveyed(storage: Any, options: Options, lock: Any, pace: Pace | None, progress: Progress | None) -> Iterator[tuple[Survey, str]]:
    with tempfile.TemporaryDirectory(prefix='registry-swift-') as folder:

        def remember(db: sqlite3.Connection) -> None:
            memory.load(storage, db, folder)
            if lock.was_left:
                memory.forget_marks(db)  # the last collection may have done what contradicts them

        survey = take(storage, folder, pace, progress, remember, lock.now(), options.threads, options.v1_path)
        with contextlib.closing(survey.db):
            yield survey, folder


def every(seconds: float, once: Callable[[], int]) -> NoReturn:
    """Call `once` again and again, once in so many seconds, whatever it returns."""
    while True:
        started = time.monotonic()
        once()
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))
