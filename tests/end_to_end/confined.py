"""Runs a program with what deploy/registry-swift.service lets it do: `/usr/bin/python3 confined.py UNIT PROGRAM ARGUMENT ...`

systemd does not run where the tests do. So this applies the lines of the unit that can break a program: system calls, memory that is
writable and executable, kinds of sockets, capabilities, read-only files, /dev, /proc. What the tests are made of may be in a home or in
/tmp, so these stay, and TMPDIR stands for the private /tmp. It needs Debian's python3-seccomp, which only Debian's own Python finds.
"""

import contextlib
import ctypes
import errno
import os
import socket
import subprocess
import sys

import seccomp

PR_CAPBSET_DROP, LAST_CAPABILITY = 24, 63
CLONE_NEWNS = 0x20000
DEVICES = ('null', 'zero', 'full', 'random', 'urandom', 'tty')  # all that PrivateDevices leaves, with /dev/shm
WRITE, EXECUTE, SHM_EXECUTE = 2, 4, 0o100000
#: Always allowed, see SystemCallFilter in systemd.exec(5).
ALWAYS = {'execve', 'exit', 'exit_group', 'getrlimit', 'rt_sigreturn', 'sigreturn'}


def settings(path):
    """Return {name: [values]} of a unit."""
    found = {}
    with open(path) as unit:
        for line in unit:
            name, is_setting, value = line.strip().partition('=')
            if is_setting and not line.startswith('#'):
                found.setdefault(name, []).append(value)
    return found


def calls_in(group):
    """Return the system calls of a group such as @system-service."""
    listed = subprocess.run(['systemd-analyze', 'syscall-filter', group], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith('#')]
    return set().union(*(calls_in(word) if word.startswith('@') else {word} for word in words))


def allowed_calls(filters):
    allowed = set(ALWAYS)
    for text in filters:
        named = set().union(*map(calls_in, text.lstrip('~').split()))
        allowed = allowed - named | ALWAYS if text.startswith('~') else allowed | named
    return allowed | calls_in('@default')


def confine(unit):
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    special = {'mmap': 2, 'mprotect': 2, 'pkey_mprotect': 2, 'shmat': 2, 'socket': 0}
    for name in allowed_calls(unit['SystemCallFilter']) - set(special):
        with contextlib.suppress(RuntimeError):  # a call of another architecture
            rules.add_rule(seccomp.ALLOW, name)
    assert unit['MemoryDenyWriteExecute'] == ['yes']
    for protection in (0, WRITE, EXECUTE):
        rules.add_rule(seccomp.ALLOW, 'mmap', seccomp.Arg(2, seccomp.MASKED_EQ, WRITE | EXECUTE, protection))
    for name in ('mprotect', 'pkey_mprotect'):
        rules.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, EXECUTE, 0))
    rules.add_rule(seccomp.ALLOW, 'shmat', seccomp.Arg(2, seccomp.MASKED_EQ, SHM_EXECUTE, 0))
    for family in unit['RestrictAddressFamilies'][0].split():
        rules.add_rule(seccomp.ALLOW, 'socket', seccomp.Arg(0, seccomp.EQ, int(getattr(socket, family))))
    rules.set_attr(seccomp.Attr.CTL_NNP, 1 if unit['NoNewPrivileges'] == ['yes'] else 0)
    rules.load()


def mount(*arguments):
    subprocess.run(['mount', *arguments], check=True)


def confine_files(unit):
    """Make all but /dev, /proc, /sys and TMPDIR read-only, in a namespace of mounts of this process."""
    assert unit['ProtectSystem'] == ['strict'] and unit['PrivateDevices'] == ['yes'] and unit['ProtectKernelTunables'] == ['yes']
    assert unit['ProtectProc'] == ['invisible']
    assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
    mount('--make-rprivate', '/')
    temporary = os.environ.get('TMPDIR')
    if temporary:
        mount('--bind', temporary, temporary)
    mount('-t', 'tmpfs', 'dev', '/mnt')
    os.mkdir('/mnt/shm')
    mount('--bind', '/dev/shm', '/mnt/shm')
    for name in DEVICES:
        open('/mnt/' + name, 'w').close()
        mount('--bind', '/dev/' + name, '/mnt/' + name)
    mount('--move', '/mnt', '/dev')
    with open('/proc/self/mounts') as mounts:
        places = [line.split()[1] for line in mounts]
    for place in places:
        if place != temporary and not place.startswith(('/dev', '/proc', '/sys')):
            mount('-o', 'remount,bind,ro', place)
    mount('-t', 'proc', '-o', 'ro,hidepid=invisible' + (',subset=pid' if unit.get('ProcSubset') == ['pid'] else ''), 'proc', '/proc')


def main(path, *command):
    unit = settings(path)
    assert unit['CapabilityBoundingSet'] == ['']
    confine_files(unit)
    os.umask(int(unit['UMask'][0], 8))
    for capability in range(LAST_CAPABILITY + 1):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    confine(unit)
    os.execv(command[0], command)


if __name__ == '__main__':
    main(*sys.argv[1:])
