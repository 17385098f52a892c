"""What a command shows on standard error while it runs: a bar at a terminal, else a line every 30 seconds."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from docker_registry.v2.operations import space

SECONDS = 30.0  # between two lines
BYTES = 'bytes'  # a unit that is shown as KiB, MiB and so on


class Progress:
    """Shows the stages of a command.

    :param stream: where to write; None for nowhere
    :param seconds: between two lines, where there is no terminal
    """

    def __init__(self, stream: TextIO | None = sys.stderr, seconds: float = SECONDS):
        self._stream, self._seconds = stream, seconds

    @contextlib.contextmanager
    def stage(self, title: str, unit: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
        """Show a stage of work. In the block, call what this gives with the number of units that are done.

        :param unit: such as `names`
        :param total: units of the whole stage, if known
        """
        if self._stream is None:
            yield lambda count: None
        elif self._stream.isatty():
            with _bar(self._stream, title, unit, total) as bar:
                yield bar.update
        else:
            lines = _Lines(self._stream, title, unit, total, self._seconds)
            yield lines.update
            lines.end()


def _bar(stream: TextIO, title: str, unit: str, total: int | None) -> Any:
    from tqdm import tqdm  # here, because the server needs none of it

    units = {'unit': 'B', 'unit_divisor': 1024} if unit == BYTES else {'unit': f' {unit}'}
    return tqdm(desc=title, **units, total=total, file=stream, leave=False, dynamic_ncols=True, unit_scale=True)


class _Lines:
    def __init__(self, stream: TextIO, title: str, unit: str, total: int | None, seconds: float):
        self._stream, self._title, self._unit, self._seconds = stream, title, unit, seconds
        self._total = total
        self._done, self._started = 0, time.monotonic()
        self._shown = self._started

    def update(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._shown >= self._seconds:
            self._show()

    def end(self) -> None:
        """Show the outcome of a stage that was long enough to be shown before."""
        if self._shown > self._started:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        print(f'{self._title}: {self._count()} in {self._shown - self._started:.0f} s{self._estimate()}', file=self._stream, flush=True)

    def _count(self) -> str:
        counts = [self._done] if self._total is None else [self._done, self._total]
        if self._unit == BYTES:
            return ' of '.join(map(space.text, counts))
        return f'{" of ".join(map(str, counts))} {self._unit}'

    def _estimate(self) -> str:
        """Return how long the rest will take if it goes on like this, or '' if that is not known."""
        passed, left = self._shown - self._started, (self._total or 0) - self._done
        return f', about {passed / self._done * left:.0f} s left' if left > 0 and self._done and passed >= self._seconds > 0 else ''
