"""One Swift and one registry of each kind for all attacks, and the table at the end."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / 'v2')]

from bench import Bench  # noqa: E402
from outcome import table  # noqa: E402

OUTCOMES = []


@pytest.fixture(scope='session')
def outcomes():
    """A list of the `Outcome` of each attack. A table of it is printed at the end."""
    return OUTCOMES


@pytest.fixture(scope='session')
def bench(swift_python):
    os.environ['SWIFT_PYTHON'] = swift_python
    made = Bench()
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter):
    if OUTCOMES:
        terminalreporter.section('what other clients saw during attacks (seconds; connections / requests of the attackers)')
        terminalreporter.write_line(table(OUTCOMES))
