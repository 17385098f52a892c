"""What a command shows while it runs."""

import fcntl
import io
import pty
import struct
import termios
from types import SimpleNamespace

import pytest

from docker_registry.v2.operations import progress as progress_module
from docker_registry.v2.operations.progress import BYTES, Progress


def set_clock(monkeypatch, *times):
    """Give Progress, and nobody else, these times one after the other. The last one stays."""
    left = list(times)
    monkeypatch.setattr(progress_module, 'time', SimpleNamespace(monotonic=lambda: left.pop(0) if len(left) > 1 else left[0]))


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """No time passes, however slow the machine is."""
    set_clock(monkeypatch, 0.0)


def work(progress, total=None):
    with progress.stage('Reading', 'names', total) as advance:
        advance(2)
        advance(1)


def test_lines_where_there_is_no_terminal(monkeypatch):
    set_clock(monkeypatch, 0.0, 0.1)
    stream = io.StringIO()
    work(Progress(stream, seconds=0), 3)

    assert stream.getvalue().splitlines() == [
        'Reading: 2 of 3 names in 0 s',
        'Reading: 3 of 3 names in 0 s',
        'Reading: 3 of 3 names in 0 s',
    ]


def test_lines_about_bytes_with_an_estimate(monkeypatch):
    set_clock(monkeypatch, 0.0, 10.0, 10.0, 20.0)
    stream = io.StringIO()
    with Progress(stream, seconds=10).stage('Converting', BYTES, 8 * 1024**2) as advance:
        advance(2 * 1024**2)
        advance(6 * 1024**2)

    assert stream.getvalue().splitlines() == [
        'Converting: 2.0 MiB of 8.0 MiB in 10 s, about 30 s left',
        'Converting: 8.0 MiB of 8.0 MiB in 20 s',
        'Converting: 8.0 MiB of 8.0 MiB in 20 s',
    ]


def test_no_line_for_what_is_short():
    stream = io.StringIO()
    work(Progress(stream))

    assert stream.getvalue() == ''


def test_nothing_without_a_stream(capsys):
    work(Progress(None))

    assert capsys.readouterr() == ('', '')


@pytest.fixture
def terminal():
    """(what a program writes to, a function that returns what a terminal of 80 columns has got)."""
    pytest.importorskip('tqdm')
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    with open(ours, 'rb', buffering=0) as screen, open(theirs, 'w') as stream:
        yield stream, lambda: everything(stream, screen)


def everything(stream, screen):
    """Return all that was written to a terminal. The kernel passes it on later, in pieces: so read up to a mark behind it."""
    print('<end>', end='', file=stream, flush=True)
    got = b''
    while not got.endswith(b'<end>'):
        got += screen.read(65536)
    return got[: -len(b'<end>')].decode()


def test_a_bar_at_a_terminal(terminal):
    stream, shown = terminal
    work(Progress(stream), 3)

    assert 'Reading' in shown()


def test_the_bar_ends_with_the_work(terminal):
    stream, shown = terminal
    with pytest.raises(ZeroDivisionError):
        with Progress(stream).stage('Reading', 'names') as advance:
            advance(1 // 0)

    assert shown().endswith('\r')  # the line is empty again
