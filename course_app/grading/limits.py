"""What a submission may use, and the walls that the operating system builds around it.

Runs in the submission's own process, before any of its code. Linux has all of the walls;
elsewhere those that exist are used, and the watcher outside holds the limits too.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds for one submission; far above what any right answer needs."""

    import_seconds: float = 20.0
    start_seconds: float = 10.0
    request_seconds: float = 3.0
    check_seconds: float = 90.0
    cpu_seconds: int = 120
    memory_bytes: int = 1024 * _MIB
    processes: int = 32
    open_files: int = 512
    output_bytes: int = 20 * _MIB


# Numbers of linux/landlock.h and linux/prctl.h; the system calls are the same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _NET_PORT = 1, 2
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_WRITES = sum(1 << bit for bit in (1, *range(4, 13)))
_CONNECT_TCP = 1 << 1
_SCOPE_SOCKETS_AND_SIGNALS = 0b11
_NO_NEW_PRIVILEGES, _KEEP_CAPABILITIES, _AMBIENT = 38, 8, 47
_READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH
_CAPABILITY_VERSION = 0x20080522

# Ids that belong to nobody on common systems. A submission graded by root gets one of its own:
# the limit on processes counts by user, and root has none.
_FIRST_FREE_UID, _FREE_UIDS = 61_000, 4_000


def enclose(limits: Limits, folder: Path, ports: Sequence[int]) -> tuple[str, ...]:
    """Put this process behind walls for good; returns the names of those that stand.

    Args:
        limits: the bounds.
        folder: the only place where it may write.
        ports: the only TCP ports that it may connect to.
    """
    walls = ["limits"]
    if os.geteuid() == 0 and sys.platform == "linux":
        uid = _FIRST_FREE_UID + os.getpid() % _FREE_UIDS
        os.chown(folder, uid, uid)
        _become(uid)
        walls.append("user")
    _limit(limits)
    if sys.platform == "linux":
        walls += _landlock(folder, ports)
    return tuple(walls)


def _limit(limits: Limits) -> None:
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: 2 * limits.output_bytes,
        # Address space is more than memory: threads and libraries reserve what they never touch.
        resource.RLIMIT_AS: 4 * limits.memory_bytes,
        resource.RLIMIT_NPROC: _own_threads() + 4 * limits.processes,
    }
    for what, bound in bounds.items():
        _, hard = resource.getrlimit(what)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (bound, bound))


def _own_threads() -> int:
    # The system's limit counts all threads of the user, a desktop's included.
    total = 0
    for entry in os.scandir("/proc") if os.path.isdir("/proc") else ():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                total += len(os.listdir(f"{entry.path}/task"))
        except OSError:
            continue
    return total


def _become(uid: int) -> None:
    """Another user, who can still read what root could read: the packages may be in /root."""
    libc = _libc()
    libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    sets = struct.pack("=6I", *(3 * (_READ_SEARCH,)), 0, 0, 0)
    if libc.capset(header, sets) == 0:
        libc.prctl(_AMBIENT, 2, 2, 0, 0)  # also for the programs that it starts


def _landlock(folder: Path, ports: Sequence[int]) -> list[str]:
    """Nothing outside of ``folder`` can be written, signalled or connected to any more."""
    libc = _libc()
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1 or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return []
    writes = _WRITES | (1 << 13 if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    fields = [writes, _CONNECT_TCP, _SCOPE_SOCKETS_AND_SIGNALS]
    known = 1 + (version >= 4) + (version >= 6)
    ruleset = struct.pack(f"={known}Q", *fields[:known])
    rules = libc.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0)
    if rules < 0:
        return []
    _allow_writing(libc, rules, folder, writes)
    _allow_writing(libc, rules, Path("/dev"), writes & (_WRITE_FILE | _TRUNCATE))
    _allow_writing(libc, rules, Path("/dev/shm"), writes)
    for port in ports if known > 1 else ():
        libc.syscall(_ADD_RULE, rules, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
    if libc.syscall(_RESTRICT_SELF, rules, 0) != 0:
        return []
    return ["files", "network", "signals"][:known]


def _allow_writing(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    if not path.is_dir():
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
