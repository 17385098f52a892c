"""Memory that the registry no longer uses goes back to the system."""

import subprocess
import sys

import pytest

# A block of 16 MiB makes glibc keep smaller ones. What is made after them stands behind them, as in a registry that serves others.
PEAK = """
import ctypes
from docker_registry.v2.http import memory
if not hasattr(ctypes.CDLL(None), 'mallopt'):
    raise SystemExit(77)
%s
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * 4096
bytearray(16 * 1024**2)
before = resident()
blocks = [bytearray(b'x') * 1500000 for _ in range(20)]
after_them = [bytearray(2000) for _ in range(1000)]
del blocks
print(resident() - before)
"""


#: Each block has a small one behind it that is still in use.
SCATTERED = (
    PEAK.replace("bytearray(b'x') * 1500000 for _ in range(20)", "(b'x' * 250000, bytearray(1000)) for _ in range(120)")
    .replace('after_them = [bytearray(2000) for _ in range(1000)]', 'small = [after for _, after in blocks]')
    .replace('del blocks', 'del blocks\nlast()')
)


def kept(*statements, peak=PEAK):
    """Return the bytes that a process keeps after a peak of 30 MB."""
    done = subprocess.run([sys.executable, '-c', peak % '\n'.join(statements)], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip('the C library is not glibc')
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_the_memory_of_a_peak_is_given_back():
    assert kept('memory.give_back()') < 8 * 1024**2 < kept()


def test_so_is_what_is_scattered_among_what_is_in_use():
    nothing, trim = 'last = lambda: None', 'last = memory.trim'
    assert kept('memory.give_back()', trim, peak=SCATTERED) < 8 * 1024**2 < kept('memory.give_back()', nothing, peak=SCATTERED)
