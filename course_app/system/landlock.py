"""Landlock: Linux keeps a process from files, ports and other processes, for good.

https://docs.kernel.org/userspace-api/landlock.html; older kernels know a part of it, and other
systems none.
"""

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from course_app.system import platforms

# linux/landlock.h and linux/prctl.h; the system calls have the same numbers on all machines
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _NET_PORT = 1, 2
_WRITE_FILE, _READ_FILE, _TRUNCATE = 1 << 1, 1 << 2, 1 << 14
_WRITES = sum(1 << bit for bit in (1, *range(4, 13)))
_CONNECT_TCP = 1 << 1
_SCOPE_SOCKETS_AND_SIGNALS = 0b11
_NO_NEW_PRIVILEGES = 38

#: What can stand, as readers know it; older kernels have the first of them only.
WALLS = ("files", "network", "signals")


def available() -> bool:
    """Whether this kernel has it (5.13 and later, where it is switched on)."""
    return platforms.is_linux() and _version(ctypes.CDLL(None)) >= 1


def confine(folder: Path, ports: Sequence[int], readable: Sequence[Path]) -> tuple[str, ...]:
    """Nothing outside of ``folder`` can be written, signalled or connected to any more.

    Args:
        folder: the only place where this process and its children may write; device files and
            shared memory stay.
        readable: files, and folders with all that is in them, that they may read beside it.
            Names of files can be listed everywhere.
        ports: the only TCP ports that they may connect to.

    Returns:
        which of ``WALLS`` stand; none where the system has no such thing.
    """
    if not platforms.is_linux():
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    version = _version(libc)
    if version < 1 or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return ()
    writes = _WRITES | (1 << 13 if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    fields = [writes | _READ_FILE, _CONNECT_TCP, _SCOPE_SOCKETS_AND_SIGNALS]
    known = 1 + (version >= 4) + (version >= 6)
    ruleset = struct.pack(f"={known}Q", *fields[:known])
    rules = libc.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0)
    if rules < 0:
        return ()
    _allow(libc, rules, folder, writes | _READ_FILE)
    _allow(libc, rules, Path("/dev"), writes & (_WRITE_FILE | _TRUNCATE))
    _allow(libc, rules, Path("/dev/shm"), writes | _READ_FILE)
    for path in readable:
        _allow(libc, rules, path, _READ_FILE)
    for port in ports if known > 1 else ():
        libc.syscall(_ADD_RULE, rules, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
    if libc.syscall(_RESTRICT_SELF, rules, 0) != 0:
        return ()
    return WALLS[:known]


def _version(libc: ctypes.CDLL) -> int:
    return int(libc.syscall(_CREATE_RULESET, None, 0, 1))


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there, or not for this user
        return
    libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)
