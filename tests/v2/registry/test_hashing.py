"""Hashing in other threads."""

import hashlib
import random
import subprocess
import sys
import threading

import pytest

from docker_registry.v2.registry import hashing

KiB = 1024


class Recorder:
    """A hash object that remembers which threads fed it, and can be stopped."""

    def __init__(self):
        self.threads, self.content, self.blocks = set(), b'', 0
        self.go = threading.Event()

    def update(self, block):
        assert self.go.wait(30)
        self.threads.add(threading.get_ident())
        self.content += block
        self.blocks += 1


@pytest.mark.parametrize('seed', range(20))
def test_the_bytes_are_hashed_in_their_order(seed):
    chance = random.Random(seed)
    blocks = [chance.randbytes(chance.choice([0, 1, 1000, 256 * KiB, 3000 * KiB])) for _ in range(chance.randrange(1, 12))]
    beside = hashing.Hashing(hashlib.sha256())
    for block in blocks:
        beside.update(block)

    assert beside.finished().hexdigest() == hashlib.sha256(b''.join(blocks)).hexdigest()


def test_one_can_go_on_after_an_end():
    beside = hashing.Hashing(hashlib.sha256())
    beside.update(b'a')
    assert beside.finished().hexdigest() == hashlib.sha256(b'a').hexdigest()
    beside.update(b'b')
    assert beside.finished().hexdigest() == hashlib.sha256(b'ab').hexdigest()


def test_another_thread_hashes_while_the_caller_goes_on():
    recorder = Recorder()
    beside = hashing.Hashing(recorder)
    for _ in range(4):
        beside.update(b'x' * 256 * KiB)  # none of them is hashed yet
    recorder.go.set()
    beside.finished()

    assert len(recorder.content) == 1024 * KiB and threading.get_ident() not in recorder.threads


def test_at_most_two_batches_wait():
    recorder, issued, most = Recorder(), 0, 0
    recorder.go.set()
    beside = hashing.Hashing(recorder)
    for _ in range(40):
        beside.update(b'x' * 256 * KiB)
        issued += 256 * KiB
        most = max(most, issued - len(recorder.content))

    assert most <= 2 * hashing.BATCH
    assert len(beside.finished().content) == issued


def test_nor_do_many_small_blocks_wait():
    """A client may send two bytes at a time, and a list of them would take twenty times their memory."""
    recorder, most = Recorder(), 0
    recorder.go.set()
    beside = hashing.Hashing(recorder)
    for issued in range(1000):
        beside.update(b'xy')
        most = max(most, issued + 1 - recorder.blocks)

    assert most <= 2 * hashing.BATCH // hashing.SMALL
    assert beside.finished().content == b'xy' * 1000


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import hashlib
from docker_registry.v2.registry import hashing
identity = monkey.get_original('_thread', 'get_ident')
class Digest:
    def __init__(self):
        self.threads, self.digest = set(), hashlib.sha256()
    def update(self, block):
        self.threads.add(identity())
        self.digest.update(block)
digest = Digest()
beside = hashing.Hashing(digest)
for _ in range(40):
    beside.update(b'x' * 256 * 1024)
assert beside.finished().digest.digest() == hashlib.sha256(b'x' * 10 * 1024**2).digest()
assert identity() not in digest.threads, digest.threads
"""


def test_among_greenlets_it_is_a_thread_of_the_system():
    pytest.importorskip('gevent')
    done = subprocess.run([sys.executable, '-c', GREENLETS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
