"""What an error means for the tag that it is about. An error of one tag does not end an import."""

import threading
from collections.abc import Callable
from typing import TypeVar

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing.outcomes import FAILED, SKIPPED, Outcome
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.tagging import Tag
from docker_registry.v2.operations.survey.reading import Failures
from docker_registry.v2.registry import errors

Result = TypeVar('Result')
UNKNOWN = (exceptions.UnreachableError, exceptions.BrokenError, errors.Unavailable)


class Attempts:
    """Turns errors into outcomes. Threads share it. If Swift fails many times in a row, it is down, and the import ends."""

    def __init__(self) -> None:
        self._failures = Failures()
        self._lock = threading.Lock()
        self._seen: list[Exception] = []

    def about(self, tag: Tag, call: Callable[[], Result]) -> Result | Outcome:
        """Return what a call about a tag returns. If it raises, return what that means for the tag.

        :raises: the error, if it is one of many in a row, or if none of its like can be about one tag alone
        """
        try:
            found = call()
        except Skipped as why:
            return Outcome(tag, SKIPPED, str(why))
        except (*UNKNOWN, errors.ManifestBlobUnknown) as error:  # the last: a blob has gone just now
            self._count(error)
            return Outcome(tag, FAILED, _line(error))
        except (exceptions.WrongArgumentsError, exceptions.FileNotFoundError, errors.RegistryError) as error:
            return Outcome(tag, SKIPPED, _line(error))
        self._failures.succeeded()
        return found

    def _count(self, error: Exception) -> None:
        """All tags that need a layer get the same error, which counts once."""
        with self._lock:
            if not any(error is seen for seen in self._seen[-1000:]):
                self._seen.append(error)
                self._failures.failed(error)


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())
