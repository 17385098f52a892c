"""The targets on their seeds, and the harness itself: it must see what is wrong."""

import os
import pathlib
import re
import resource
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'v2')]

import target as target_module  # noqa: E402

TARGETS = target_module.load()
PLANTED = """\
from target import target

@target(b"aaaaaaaa", words=(b"open sesame",))
def planted(data):
    assert b"open sesame" not in data
"""


@pytest.fixture(autouse=True)
def bounded_memory():
    before = resource.getrlimit(resource.RLIMIT_AS)
    target_module.bound_memory()
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(*arguments, **environ):
    return subprocess.run([sys.executable, HERE, *arguments], capture_output=True, text=True, env=dict(os.environ, **environ))


@pytest.mark.parametrize('name', TARGETS)
def test_the_seeds_of(name):
    assert TARGETS[name].seeds
    for seed in TARGETS[name].seeds:
        TARGETS[name](seed)


def test_a_regular_expression_that_tries_too_much_is_too_slow():
    slow = target_module.Target('slow', lambda data: re.match(rb'(a+)+b', data), ())
    slow(b'a' * 10)
    with pytest.raises(target_module.TooSlow):
        slow(b'a' * 22)


def test_the_search_finds_a_fault_and_shows_the_input(tmp_path):
    pytest.importorskip('atheris')
    (tmp_path / 'planted.py').write_text(PLANTED)
    options = ['--modules', 'planted', '--folder', tmp_path, '--seconds', '60', '--seed', '1']
    answer = fuzz('planted', *options, PYTHONPATH=f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}')
    assert answer.returncode == 1
    assert re.search("planted fails on .*:\nb'.*open sesame.*'\n", answer.stdout)


def test_an_unknown_target_is_named():
    answer = fuzz('nothing')
    assert answer.returncode == 2
    assert 'nothing' in answer.stdout and 'range-field' in answer.stdout
