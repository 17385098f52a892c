"""What a target is: a function that gives bytes to a parser and raises if a promise is broken."""

import importlib
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import processor

LONGEST = 8 * 1024  # bytes of an input
MOST_SECONDS = 0.05  # of the processor, for one input; a regular expression that tries too much takes longer
TRIES = 3  # an input is too slow only if it is too slow each time: the machine may be busy

MOST_MEMORY = 2 * 1024**3  # bytes of address space; what needs more raises MemoryError instead of ending the machine

MODULES = ('texts', 'names_given', 'signed', 'documents', 'files', 'exchanges', 'swift_answers', 'old_images')

#: All targets by name, in the order of `MODULES`.
TARGETS: dict[str, 'Target'] = {}


class TooSlow(AssertionError):
    pass


@dataclass(frozen=True)
class Target:
    """A function of bytes with its seeds: inputs from which the search starts, and on which the tests run it.

    `words` are pieces of inputs that chance would not find. `most_seconds` of the processor are allowed for one input.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    most_seconds: float = MOST_SECONDS

    def __call__(self, data: bytes) -> None:
        """Check one input.

        :raises TooSlow: it took more than `most_seconds`, each of `TRIES` times
        :raises Exception: the target broke a promise: either it raised what it must not raise, or an assertion of the check failed
        """
        took = processor.seconds(lambda: self.check(data), self.most_seconds, TRIES)
        if took > self.most_seconds:
            raise TooSlow(f'{len(data)} bytes took {took * 1000:.0f} ms of the processor, at best of {TRIES} times')


def target(
    *seeds: bytes, words: tuple[bytes, ...] = (), most_seconds: float = MOST_SECONDS
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Return a decorator that makes a function of bytes a target with its name."""

    def add(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
        name = check.__name__.replace('_', '-')
        TARGETS[name] = Target(name, check, seeds, words, most_seconds)
        return check

    return add


def bound_memory() -> None:
    """Allow this process no more than `MOST_MEMORY`."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def load(modules: Iterable[str] = MODULES) -> dict[str, Target]:
    """Import modules of targets, and return `TARGETS`."""
    for name in modules:
        importlib.import_module(name)
    return TARGETS
