"""Files that are read again when they change."""

import os
from pathlib import Path

import pytest

from docker_registry.v2.access import watched


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'file'
    path.write_text('first')
    return path


@pytest.fixture
def file(path):
    return watched.File(str(path), lambda path: Path(path).read_text(), 'entries', 'consequence')


def replace(path, text):
    """Write a new file to the same name, which is settled."""
    new = path.with_suffix('.new')
    new.write_text(text)
    os.utime(new, (1, 1))
    new.rename(path)


def test_a_change_is_seen(path, file):
    replace(path, 'second')

    assert file.current() == 'second'


def test_a_file_that_is_being_truncated_counts_as_it_was(path, file, monkeypatch):
    """Linux shows the new size before the new times: seen on ext4 for up to 75 ms."""
    replace(path, 'second')
    file.current()
    before = os.stat(path)
    path.write_text('')
    truncated = os.stat_result([*before[:6], 0, *before[7:]], {'st_mtime_ns': before.st_mtime_ns, 'st_ctime_ns': before.st_ctime_ns})
    with monkeypatch.context() as patch:
        patch.setattr(watched.os, 'stat', lambda _: truncated)
        current = file.current()

    assert current == 'second'
